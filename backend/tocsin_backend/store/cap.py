"""CAP messages that were issued, and what is written into one. A message is issued once and never changed."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, insert, select

from ..domain.cap import Earlier, Issued, Place
from . import tables

_message = tables.CapMessage.__table__  # type: ignore[attr-defined]
_site = tables.Site.__table__  # type: ignore[attr-defined]
_device = tables.Device.__table__  # type: ignore[attr-defined]


def place(conn: Connection, org: str, site: str, device: str) -> tuple[Place, ZoneInfo]:
    """Where an alert of this site and device is, and its local time; of neither, what is known of it: nothing."""
    row = conn.execute(
        select(_site.c.name, _site.c.address, _site.c.latitude, _site.c.longitude, _site.c.insee, _site.c.uai,
               _site.c.timezone)
        .where(_site.c.org == org, _site.c.id == site)
    ).one_or_none()  # fmt: skip
    name = conn.execute(select(_device.c.name).where(_device.c.org == org, _device.c.id == device)).scalar_one_or_none()
    if row is None:
        return Place(site or org, name or ""), ZoneInfo("Europe/Paris")
    try:
        zone = ZoneInfo(row[6])
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("Europe/Paris")
    return Place(row[0], name or "", *row[1:6]), zone


def earlier(conn: Connection, alert_id: str) -> list[Earlier]:
    """The messages of an alert, in the order of issue."""
    rows = conn.execute(
        select(_message.c.identifier, _message.c.sent, _message.c.kind, _message.c.state)
        .where(_message.c.alert_id == alert_id)
        .order_by(_message.c.id)
    )
    return [Earlier(*row) for row in rows]


def of_dispatch(conn: Connection, dispatch_id: str) -> tuple[str, str] | None:
    """(identifier, XML) of the message that this dispatch issued: a second try issues no second one."""
    row = conn.execute(
        select(_message.c.identifier, _message.c.body).where(_message.c.dispatch_id == dispatch_id)
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def add(conn: Connection, dispatch_id: str, org: str, alert_id: str, issued: Issued, now_ms: int) -> None:
    """Keep a message."""
    conn.execute(
        insert(_message).values(
            dispatch_id=dispatch_id, org=org, alert_id=alert_id, identifier=issued.identifier, sent=issued.sent,
            kind=issued.kind, state=issued.state, body=issued.body, created_ms=now_ms,
        )
    )  # fmt: skip


def newest(conn: Connection, org: str, limit: int) -> list[dict[str, object]]:
    """The newest messages of an organisation: identifier, sent, kind, body, created_ms; the newest first."""
    names = ("identifier", "sent", "kind", "body", "created_ms")
    query = select(*(_message.c[name] for name in names)).where(_message.c.org == org)
    rows = conn.execute(query.order_by(_message.c.id.desc()).limit(limit))
    return [dict(zip(names, row, strict=True)) for row in rows]


def body(conn: Connection, org: str, identifier: str) -> str | None:
    """The XML of an organisation's message."""
    query = select(_message.c.body).where(_message.c.org == org, _message.c.identifier == identifier)
    found: str | None = conn.execute(query).scalar_one_or_none()
    return found
