"""What plans read besides people: centres, alarm groups, the policies of posts; and organisations' own fields."""

from typing import Any

from sqlalchemy import Connection, func, select, update

from . import tables

_org = tables.Organisation.__table__  # type: ignore[attr-defined]
_site = tables.Site.__table__  # type: ignore[attr-defined]
_device = tables.Device.__table__  # type: ignore[attr-defined]
_policy = tables.Policy.__table__  # type: ignore[attr-defined]
_version = tables.PolicyVersion.__table__  # type: ignore[attr-defined]
_centre = tables.MonitoringCentre.__table__  # type: ignore[attr-defined]
_group = tables.AlarmGroup.__table__  # type: ignore[attr-defined]


def centres(conn: Connection, org: str) -> dict[str, bool]:
    """The monitoring centres of an organisation, and whether each is external."""
    rows = conn.execute(select(_centre.c.id, _centre.c.external).where(_centre.c.org == org))
    return {row[0]: bool(row[1]) for row in rows}


def alarm_groups(conn: Connection, org: str) -> frozenset[str]:
    """The ids of an organisation's alarm groups."""
    return frozenset(conn.execute(select(_group.c.id).where(_group.c.org == org)).scalars())


def set_organisation(conn: Connection, org: str, **values: Any) -> None:
    """Change fields of an organisation."""
    conn.execute(update(_org).where(_org.c.id == org).values(**values))


def posts(conn: Connection, org: str, site: str | None = None) -> list[dict[str, Any]]:
    """The devices in service, each with the policy of its presses: version and body, None where none was chosen."""
    chosen = func.coalesce(_device.c.policy, _site.c.policy)
    query = (
        select(
            _device.c.id, _device.c.site, _device.c.name, _device.c.kind, _device.c.presence, _device.c.probe_ms,
            _device.c.probe_by_ms, _policy.c.version, _version.c.body,
        )
        .join(_site, (_site.c.org == _device.c.org) & (_site.c.id == _device.c.site))
        .outerjoin(_policy, (_policy.c.org == _device.c.org) & (_policy.c.id == chosen))
        .outerjoin(
            _version,
            (_version.c.org == _policy.c.org)
            & (_version.c.policy == _policy.c.id)
            & (_version.c.version == _policy.c.version),
        )
        .where(_device.c.org == org, _device.c.retired_ms.is_(None))
        .order_by(_device.c.site, _device.c.id)
    )  # fmt: skip
    if site is not None:
        query = query.where(_device.c.site == site)
    return [dict(row) for row in conn.execute(query).mappings()]
