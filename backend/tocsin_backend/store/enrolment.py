"""Organisations, sites, devices, gateways: how they come, change and go."""

from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from tocsin_backend.store.tables import Device, DeviceKey, Gateway, Organisation, Policy, Signal, Site

_organisation = Organisation.__table__  # type: ignore[attr-defined]
_site = Site.__table__  # type: ignore[attr-defined]
_device = Device.__table__  # type: ignore[attr-defined]
_key = DeviceKey.__table__  # type: ignore[attr-defined]
_gateway = Gateway.__table__  # type: ignore[attr-defined]
_policy = Policy.__table__  # type: ignore[attr-defined]
_signal = Signal.__table__  # type: ignore[attr-defined]

Row = dict[str, Any]


def _one(conn: Connection, query: Any) -> Row | None:
    row = conn.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)


def _all(conn: Connection, query: Any) -> list[Row]:
    return [dict(row) for row in conn.execute(query).mappings()]


def organisation(conn: Connection, org: str) -> Row | None:
    return _one(conn, select(_organisation).where(_organisation.c.id == org))


def organisations(conn: Connection) -> list[Row]:
    return _all(conn, select(_organisation).order_by(_organisation.c.id))


def add_organisation(conn: Connection, *, org: str, name: str, language: str, now_ms: int) -> None:
    row = Organisation(id=org, name=name, language=language, created_ms=now_ms)
    conn.execute(insert(_organisation).values(row.model_dump()))


def site(conn: Connection, org: str, site_id: str) -> Row | None:
    return _one(conn, select(_site).where(_site.c.org == org, _site.c.id == site_id))


def sites(conn: Connection, org: str | None) -> list[Row]:
    """The sites of an organisation (None: of all)."""
    query = select(_site).order_by(_site.c.org, _site.c.id)
    return _all(conn, query if org is None else query.where(_site.c.org == org))


def add_site(conn: Connection, values: Row) -> None:
    conn.execute(insert(_site).values(Site(**values).model_dump()))


def set_site_policy(conn: Connection, org: str, site_id: str, policy: str | None) -> None:
    conn.execute(update(_site).where(_site.c.org == org, _site.c.id == site_id).values(policy=policy))


def device(conn: Connection, org: str, device_id: str) -> Row | None:
    return _one(conn, select(_device).where(_device.c.org == org, _device.c.id == device_id))


def devices(conn: Connection, org: str | None, *, retired: bool = False) -> list[Row]:
    """The devices of an organisation (None: of all), with the name of their site; retired ones only when asked."""
    query = (
        select(_device, _site.c.name.label("site_name"))
        .join(_site, (_site.c.org == _device.c.org) & (_site.c.id == _device.c.site))
        .order_by(_device.c.org, _device.c.id)
    )
    if org is not None:
        query = query.where(_device.c.org == org)
    return _all(conn, query if retired else query.where(_device.c.retired_ms.is_(None)))


def device_ids(conn: Connection, org: str) -> set[str]:
    """Every id ever given in an organisation: a retired one is not given again."""
    return set(conn.execute(select(_device.c.id).where(_device.c.org == org)).scalars())


def add_device(conn: Connection, values: Row) -> None:
    conn.execute(insert(_device).values(Device(**values).model_dump()))


def add_key(conn: Connection, *, org: str, device_id: str, kid: str, key: bytes, now_ms: int) -> None:
    conn.execute(insert(_key).values(org=org, device=device_id, kid=kid, key=key, created_ms=now_ms))


def kids(conn: Connection, org: str, device_id: str) -> list[str]:
    """The names of every key a device ever had."""
    return list(conn.execute(select(_key.c.kid).where(_key.c.org == org, _key.c.device == device_id)).scalars())


def live_key(conn: Connection, org: str, device_id: str, kid: str) -> bytes | None:
    """A device's key by its name, None when it is unknown or revoked."""
    return conn.execute(
        select(_key.c.key).where(
            _key.c.org == org, _key.c.device == device_id, _key.c.kid == kid, _key.c.revoked_ms.is_(None)
        )
    ).scalar_one_or_none()


def newest_boot(conn: Connection, org: str, device_id: str) -> int:
    """The highest boot counter a device was ever heard with, 0 when it never was."""
    here = (_device.c.org == org, _device.c.id == device_id)
    beat, session = conn.execute(select(_device.c.boot, _device.c.session_b).where(*here)).one()
    signals = select(func.max(_signal.c.b)).where(_signal.c.org == org, _signal.c.device == device_id)
    return max(beat or 0, session or 0, conn.execute(signals).scalar() or 0)


def revoke_keys(conn: Connection, org: str, device_id: str, now_ms: int) -> None:
    conn.execute(
        update(_key)
        .where(_key.c.org == org, _key.c.device == device_id, _key.c.revoked_ms.is_(None))
        .values(revoked_ms=now_ms)
    )


def set_device(conn: Connection, org: str, device_id: str, **values: Any) -> None:
    conn.execute(update(_device).where(_device.c.org == org, _device.c.id == device_id).values(**values))


def gateway(conn: Connection, org: str, gateway_id: str) -> Row | None:
    return _one(conn, select(_gateway).where(_gateway.c.org == org, _gateway.c.id == gateway_id))


def gateways(conn: Connection, org: str | None) -> list[Row]:
    query = select(_gateway).order_by(_gateway.c.org, _gateway.c.id)
    return _all(conn, query if org is None else query.where(_gateway.c.org == org))


def gateway_by_token(conn: Connection, kept_token: str) -> tuple[str, str] | None:
    """(org, gateway) of a token's hash, None when it is unknown or revoked.

    The index compares hashes of 256 random bits: how long that takes tells nothing of a token.
    """
    row = conn.execute(
        select(_gateway.c.org, _gateway.c.id).where(
            _gateway.c.token_hash == kept_token, _gateway.c.revoked_ms.is_(None)
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def add_gateway(conn: Connection, values: Row) -> None:
    conn.execute(insert(_gateway).values(Gateway(**values).model_dump()))


def set_gateway(conn: Connection, org: str, gateway_id: str, **values: Any) -> None:
    conn.execute(update(_gateway).where(_gateway.c.org == org, _gateway.c.id == gateway_id).values(**values))


def policy_exists(conn: Connection, org: str, policy: str) -> bool:
    return conn.execute(select(_policy.c.id).where(_policy.c.org == org, _policy.c.id == policy)).first() is not None
