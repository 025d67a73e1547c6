"""Calendars as they are stored."""

from typing import Any

from sqlalchemy import Connection, delete, insert, select, tuple_, update

from ..domain.calendars import Calendar, load
from . import tables

_calendar = tables.Calendar.__table__  # type: ignore[attr-defined]
FIELDS = ("org", "id", "title", "version", "body", "source", "changed_ms", "changed_by")


def named(conn: Connection, keys: set[tuple[str, str]]) -> dict[tuple[str, str], Calendar]:
    """The calendars of these (org, id)."""
    if not keys:
        return {}
    query = select(_calendar.c.org, _calendar.c.id, _calendar.c.body)
    rows = conn.execute(query.where(tuple_(_calendar.c.org, _calendar.c.id).in_(sorted(keys))))
    return {(org, name): load(body) for org, name, body in rows}


def of_organisation(conn: Connection, org: str) -> dict[str, Calendar]:
    """Every calendar of an organisation, by id."""
    rows = conn.execute(select(_calendar.c.id, _calendar.c.body).where(_calendar.c.org == org).order_by(_calendar.c.id))
    return {name: load(body) for name, body in rows}


def listing(conn: Connection, org: str | None) -> list[dict[str, Any]]:
    """The rows of an organisation (None: of all)."""
    query = select(*(_calendar.c[name] for name in FIELDS)).order_by(_calendar.c.org, _calendar.c.id)
    if org is not None:
        query = query.where(_calendar.c.org == org)
    return [dict(row) for row in conn.execute(query).mappings()]


def get(conn: Connection, org: str, name: str) -> dict[str, Any] | None:
    """One row, or None."""
    return next((row for row in listing(conn, org) if row["id"] == name), None)


def save(conn: Connection, *, org: str, calendar: Calendar, body: str, source: str, by: str, now_ms: int) -> int:
    """The version under which the calendar now stands: the same when nothing changed."""
    known = get(conn, org, calendar.id)
    if known is not None and known["body"] == body and known["source"] == source:
        return int(known["version"])
    values = {"title": calendar.title, "body": body, "source": source, "changed_ms": now_ms, "changed_by": by}
    if known is None:
        conn.execute(insert(_calendar).values(org=org, id=calendar.id, version=1, **values))
        return 1
    version = int(known["version"]) + 1
    where = (_calendar.c.org == org) & (_calendar.c.id == calendar.id)
    conn.execute(update(_calendar).where(where).values(version=version, **values))
    return version


def remove(conn: Connection, org: str, name: str) -> None:
    conn.execute(delete(_calendar).where(_calendar.c.org == org, _calendar.c.id == name))
