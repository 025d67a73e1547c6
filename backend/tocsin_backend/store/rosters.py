"""Rosters and their overrides as they are stored."""

from typing import Any

from sqlalchemy import Connection, delete, insert, select, tuple_, update

from ..domain.rosters import Override, Roster, load
from . import tables

_roster = tables.Roster.__table__  # type: ignore[attr-defined]
_override = tables.RosterOverride.__table__  # type: ignore[attr-defined]
FIELDS = ("org", "id", "title", "version", "body", "source", "changed_ms", "changed_by")
OVERRIDE_FIELDS = (
    "id", "org", "roster", "starts_ms", "ends_ms", "replaces", "person", "note", "created_ms", "created_by",
    "cancelled_ms",
)  # fmt: skip


def named(conn: Connection, keys: set[tuple[str, str]]) -> dict[tuple[str, str], Roster]:
    """The rosters of these (org, id), without overrides and calendars."""
    if not keys:
        return {}
    query = select(_roster.c.org, _roster.c.id, _roster.c.body)
    rows = conn.execute(query.where(tuple_(_roster.c.org, _roster.c.id).in_(sorted(keys))))
    return {(org, name): load(body) for org, name, body in rows}


def overrides(
    conn: Connection, keys: set[tuple[str, str]], from_ms: int
) -> dict[tuple[str, str], tuple[Override, ...]]:
    """The overrides of these rosters that stand and end after `from_ms`, by id."""
    names = ("org", "roster", "id", "starts_ms", "ends_ms", "replaces", "person", "note")
    query = (
        select(*(_override.c[name] for name in names))
        .where(tuple_(_override.c.org, _override.c.roster).in_(sorted(keys)))
        .where(_override.c.ends_ms > from_ms, _override.c.cancelled_ms.is_(None))
        .order_by(_override.c.id)
    )
    found: dict[tuple[str, str], tuple[Override, ...]] = {}
    for row in conn.execute(query):
        found[row[0], row[1]] = (*found.get((row[0], row[1]), ()), Override(*row[2:]))
    return found


def listing(conn: Connection, org: str | None) -> list[dict[str, Any]]:
    """The rows of an organisation (None: of all)."""
    query = select(*(_roster.c[name] for name in FIELDS)).order_by(_roster.c.org, _roster.c.id)
    if org is not None:
        query = query.where(_roster.c.org == org)
    return [dict(row) for row in conn.execute(query).mappings()]


def get(conn: Connection, org: str, name: str) -> dict[str, Any] | None:
    """One row, or None."""
    return next((row for row in listing(conn, org) if row["id"] == name), None)


def save(conn: Connection, *, org: str, roster: Roster, body: str, source: str, by: str, now_ms: int) -> int:
    """The version under which the roster now stands: the same when nothing changed."""
    known = get(conn, org, roster.id)
    if known is not None and known["body"] == body and known["source"] == source:
        return int(known["version"])
    values = {"title": roster.title, "body": body, "source": source, "changed_ms": now_ms, "changed_by": by}
    if known is None:
        conn.execute(insert(_roster).values(org=org, id=roster.id, version=1, **values))
        return 1
    version = int(known["version"]) + 1
    where = (_roster.c.org == org) & (_roster.c.id == roster.id)
    conn.execute(update(_roster).where(where).values(version=version, **values))
    return version


def remove(conn: Connection, org: str, name: str) -> None:
    """Remove a roster and its overrides."""
    conn.execute(delete(_override).where(_override.c.org == org, _override.c.roster == name))
    conn.execute(delete(_roster).where(_roster.c.org == org, _roster.c.id == name))


def override_rows(conn: Connection, org: str, roster: str, from_ms: int = 0) -> list[dict[str, Any]]:
    """The overrides of a roster that end after `from_ms`, cancelled ones included."""
    query = select(*(_override.c[name] for name in OVERRIDE_FIELDS)).where(
        _override.c.org == org, _override.c.roster == roster, _override.c.ends_ms > from_ms
    )
    return [dict(row) for row in conn.execute(query.order_by(_override.c.starts_ms, _override.c.id)).mappings()]


def add_override(conn: Connection, **values: Any) -> int:
    """Store an override; its id."""
    return int(conn.execute(insert(_override).values(**values).returning(_override.c.id)).scalar_one())


def cancel_override(conn: Connection, org: str, roster: str, number: int, now_ms: int) -> bool:
    """Whether there was such an override that stood."""
    where = (_override.c.org == org) & (_override.c.roster == roster) & (_override.c.id == number)
    change = update(_override).where(where & _override.c.cancelled_ms.is_(None)).values(cancelled_ms=now_ms)
    return bool(conn.execute(change).rowcount)
