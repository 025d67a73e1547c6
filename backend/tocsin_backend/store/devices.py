"""Devices: what ingest must know to believe one, and its presence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, tuple_, update

from ..domain import policies
from ..domain.liveness import Presence
from . import tables
from .dialect import Prepared, locked, locks

_device = tables.Device.__table__  # type: ignore[attr-defined]
_site = tables.Site.__table__  # type: ignore[attr-defined]
_organisation = tables.Organisation.__table__  # type: ignore[attr-defined]
_policy = tables.Policy.__table__  # type: ignore[attr-defined]
_version = tables.PolicyVersion.__table__  # type: ignore[attr-defined]
_key = tables.DeviceKey.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Card:
    """What a frame of this device is judged and worked with."""

    org: str
    device: str
    site: str
    kind: str
    device_name: str
    site_name: str
    language: str
    reporting_ms: int
    retired: bool
    keys: Mapping[str, bytes]  # in force, by kid
    policy_version: int
    frozen: str  # policies.dump of the policy of its presses
    zone: str = "Europe/Paris"  # of the site


_card = Prepared(
    select(
        _device.c.site, _device.c.kind, _device.c.name, _site.c.name, _organisation.c.language, _site.c.reporting_ms,
        _device.c.retired_ms, _version.c.version, _version.c.body, _site.c.timezone,
    )
    .select_from(
        _device.join(_organisation, _organisation.c.id == _device.c.org)
        .join(_site, (_site.c.org == _device.c.org) & (_site.c.id == _device.c.site))
        .outerjoin(
            _policy,
            (_policy.c.org == _device.c.org) & (_policy.c.id == func.coalesce(_device.c.policy, _site.c.policy)),
        )
        .outerjoin(
            _version,
            (_version.c.org == _policy.c.org)
            & (_version.c.policy == _policy.c.id)
            & (_version.c.version == _policy.c.version),
        )
    )
    .where(_device.c.org == bindparam("of_org"), _device.c.id == bindparam("of_device"))
)  # fmt: skip
_keys = Prepared(
    select(_key.c.kid, _key.c.key)
    .where(_key.c.org == bindparam("of_org"), _key.c.device == bindparam("of_device"), _key.c.revoked_ms.is_(None))
    .order_by(_key.c.created_ms, _key.c.kid)
)
_technical = (
    select(_organisation.c.language, _version.c.version, _version.c.body)
    .select_from(
        _organisation.outerjoin(
            _policy, (_policy.c.org == _organisation.c.id) & (_policy.c.id == _organisation.c.technical_policy)
        ).outerjoin(
            _version,
            (_version.c.org == _policy.c.org)
            & (_version.c.policy == _policy.c.id)
            & (_version.c.version == _policy.c.version),
        )
    )
    .where(_organisation.c.id == bindparam("of_org"))
)
_presence_columns = (
    _device.c.org, _device.c.id, _device.c.presence, _device.c.session_b, _device.c.session_link, _device.c.beat_i,
    _device.c.ended, _device.c.last_seen_ms, _device.c.expected_by_ms, _site.c.reporting_ms, _device.c.site,
)  # fmt: skip
_presences = (
    select(*_presence_columns)
    .select_from(_device.join(_site, (_site.c.org == _device.c.org) & (_site.c.id == _device.c.site)))
    .where(tuple_(_device.c.org, _device.c.id).in_(bindparam("devices", expanding=True)))
    .order_by(_device.c.org, _device.c.id)  # the order in which they are locked
)
_presences_locked = locked(_presences, _device)
_by_id = (
    select(*_presence_columns)
    .select_from(_device.join(_site, (_site.c.org == _device.c.org) & (_site.c.id == _device.c.site)))
    .where(_device.c.org == bindparam("of_org"), _device.c.id == bindparam("of_device"))
)
_presence, _presence_locked = Prepared(_by_id), Prepared(locked(_by_id, _device))
_claim = Prepared(locked(_by_id, _device, skip=True))
_this = (_device.c.org == bindparam("of_org"), _device.c.id == bindparam("of_device"))
_set_presence = Prepared(
    update(_device)
    .where(*_this)
    .values(
        presence=bindparam("new_presence"),
        session_b=bindparam("new_session_b"),
        session_link=bindparam("new_session_link"),
        beat_i=bindparam("new_beat_i"),
        ended=bindparam("new_ended"),
        last_seen_ms=bindparam("new_last_seen_ms"),
        expected_by_ms=bindparam("new_expected_by_ms"),
    )
)
_set_beat = Prepared(
    update(_device)
    .where(*_this)
    .values(
        beat=bindparam("new_beat"),
        beat_ms=bindparam("new_beat_ms"),
        boot=bindparam("new_boot"),
        last_n=bindparam("new_last_n"),
        gateway=bindparam("new_gateway"),
    )
)
_set_heard = Prepared(
    update(_device)
    .where(*_this)
    .values(
        presence=bindparam("new_presence"),
        session_b=bindparam("new_session_b"),
        session_link=bindparam("new_session_link"),
        beat_i=bindparam("new_beat_i"),
        ended=bindparam("new_ended"),
        last_seen_ms=bindparam("new_last_seen_ms"),
        expected_by_ms=bindparam("new_expected_by_ms"),
        gateway=bindparam("new_gateway"),
    )
)
_set_gateway = Prepared(update(_device).where(*_this).values(gateway=bindparam("new_gateway")))
_set_info = update(_device).where(*_this).values(info=bindparam("new_info"))
_names = (
    select(_site.c.name, _device.c.name, _device.c.gateway, _site.c.timezone)
    .select_from(_device.join(_site, (_site.c.org == _device.c.org) & (_site.c.id == _device.c.site)))
    .where(*_this)
)
_due = (
    select(*_presence_columns)
    .select_from(_device.join(_site, (_site.c.org == _device.c.org) & (_site.c.id == _device.c.site)))
    .where(_device.c.expected_by_ms <= bindparam("now_ms"), _device.c.retired_ms.is_(None))
    .order_by(_device.c.expected_by_ms)
    .limit(bindparam("limit"))
)
_earliest = select(func.min(_device.c.expected_by_ms)).where(_device.c.retired_ms.is_(None))


@dataclass(frozen=True, slots=True)
class Tracked:
    """A device's presence with what the rules of liveness need."""

    org: str
    device: str
    site: str
    reporting_ms: int
    presence: Presence


def card(conn: Connection, org: str, device: str) -> Card | None:
    """The card of a device."""
    key = {"of_org": org, "of_device": device}
    row = _card.first(conn, key)
    if row is None:
        return None
    site, kind, name, site_name, language, reporting_ms, retired_ms, version, body, zone = row
    if body is None:
        version, body = 0, policies.dump(policies.fallback(language))
    keys = {kid: bytes(secret) for kid, secret in _keys.all(conn, key)}
    return Card(
        org, device, site, kind, name, site_name, language, reporting_ms, retired_ms is not None, keys, version, body,
        zone,
    )  # fmt: skip


def signing_key(conn: Connection, org: str, device: str) -> tuple[str, bytes] | None:
    """(kid, key) with which to sign towards a device: its newest key in force."""
    rows = _keys.all(conn, {"of_org": org, "of_device": device})
    return None if not rows else (rows[-1][0], bytes(rows[-1][1]))


def technical_policy(conn: Connection, org: str) -> tuple[int, str]:
    """(version, policies.dump) of the policy of an organisation's technical alerts."""
    language, version, body = conn.execute(_technical, {"of_org": org}).one()
    if body is None:
        return 0, policies.dump(policies.technical_fallback(language))
    return version, body


def names(conn: Connection, org: str, device: str) -> tuple[str, str, str | None, str]:
    """(site's name, device's name, id of the gateway that last forwarded for it, the site's time zone)."""
    row = conn.execute(_names, {"of_org": org, "of_device": device}).one()
    return row[0], row[1], row[2], row[3]


def organisation(conn: Connection, org: str) -> tuple[str, str, str | None]:
    """(name, time zone, the next organisation up) of an organisation."""
    columns = (_organisation.c.name, _organisation.c.timezone, _organisation.c.parent)
    row = conn.execute(select(*columns).where(_organisation.c.id == org)).one()
    return row[0], row[1], row[2]


def site(conn: Connection, org: str, site_id: str) -> tuple[str, str] | None:
    """(name, time zone) of a site."""
    query = select(_site.c.name, _site.c.timezone).where(_site.c.org == org, _site.c.id == site_id)
    row = conn.execute(query).one_or_none()
    return None if row is None else (row[0], row[1])


def presences(conn: Connection, devices: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Tracked]:
    """The presence of these (org, device); for a job that writes they are locked, as an alert is."""
    rows = conn.execute(_presences_locked if locks(conn) else _presences, {"devices": sorted(devices)})
    return {(row[0], row[1]): _tracked(row) for row in rows}


def presence(conn: Connection, org: str, device: str) -> Tracked:
    """The presence of a device that is known; for a job that writes it is locked, as an alert is."""
    row = (_presence_locked if locks(conn) else _presence).first(conn, {"of_org": org, "of_device": device})
    assert row is not None
    return _tracked(row)


def claim(conn: Connection, org: str, device: str) -> Tracked | None:
    """As `presence` for a job that writes; None while another process has it locked."""
    row = (_claim if locks(conn) else _presence).first(conn, {"of_org": org, "of_device": device})
    return None if row is None else _tracked(row)


def due(conn: Connection, now_ms: int, limit: int) -> list[Tracked]:
    """Devices whose deadline has come."""
    return [_tracked(row) for row in conn.execute(_due, {"now_ms": now_ms, "limit": limit})]


def earliest_ms(conn: Connection) -> int | None:
    """When the next device is expected."""
    return conn.execute(_earliest).scalar_one_or_none()


def all_expected(conn: Connection) -> list[Tracked]:
    """Every device for which a deadline runs."""
    return due(conn, 2**62, 2**31)


def last_heard_ms(conn: Connection) -> int | None:
    """The last instant at which any device was heard: until then, at least, we were running."""
    return conn.execute(select(func.max(_device.c.last_seen_ms))).scalar_one_or_none()


def _tracked(row: Sequence[Any]) -> Tracked:
    org, device, state, b, link, beat_i, ended, seen, expected, reporting_ms, site = row
    found = Presence(state, (b, link), beat_i, bool(ended), seen, expected)
    return Tracked(org, device, site, reporting_ms, found)


def _values(org: str, device: str, now: Presence) -> dict[str, object]:
    return {
        "of_org": org,
        "of_device": device,
        "new_presence": now.state,
        "new_session_b": now.session[0],
        "new_session_link": now.session[1],
        "new_beat_i": now.beat_i,
        "new_ended": now.ended,
        "new_last_seen_ms": now.last_seen_ms,
        "new_expected_by_ms": now.expected_by_ms,
    }


def save_heard(conn: Connection, org: str, device: str, now: Presence, gateway: str) -> None:
    """Store the presence of a device that was just heard, and the gateway it was heard through."""
    _set_heard.run(conn, {**_values(org, device, now), "new_gateway": gateway})


def save_presences(conn: Connection, changed: Iterable[tuple[str, str, Presence]]) -> None:
    """Store presences."""
    rows = [_values(*each) for each in changed]
    if rows:
        _set_presence.run_many(conn, rows)


def save_beats(conn: Connection, beats: Iterable[tuple[str, str, str, int, int, int, str]]) -> None:
    """Store last beats: (org, device, JSON, ms, boot, last n, gateway)."""
    names_ = ("of_org", "of_device", "new_beat", "new_beat_ms", "new_boot", "new_last_n", "new_gateway")
    rows = [dict(zip(names_, beat, strict=True)) for beat in beats]
    if rows:
        _set_beat.run_many(conn, rows)


def save_gateway(conn: Connection, org: str, device: str, gateway: str) -> None:
    """The gateway that last forwarded for a device: downlinks go there."""
    _set_gateway.run(conn, {"of_org": org, "of_device": device, "new_gateway": gateway})


def save_info(conn: Connection, org: str, device: str, info: str) -> None:
    """Store a device's self-description, JSON."""
    conn.execute(_set_info, {"of_org": org, "of_device": device, "new_info": info})
