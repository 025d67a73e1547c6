"""Refused frames, the newest kept as evidence up to a bound."""

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from . import tables

_evidence = tables.Evidence.__table__  # type: ignore[attr-defined]
_insert = insert(_evidence)
_oldest = select(_evidence.c.id).order_by(_evidence.c.id).limit(bindparam("rows"))
_drop_oldest = delete(_evidence).where(_evidence.c.id.in_(_oldest.scalar_subquery()))


def add(conn: Connection, at_ms: int, org: str, gateway: str, topic: str, frame: bytes, reason: str) -> None:
    """Keep one refused frame."""
    values = {"at_ms": at_ms, "org": org, "gateway": gateway, "topic": topic, "frame": frame, "reason": reason}
    conn.execute(_insert, values)


def drop_oldest(conn: Connection, rows: int) -> int:
    """Make room; how many went."""
    return conn.execute(_drop_oldest, {"rows": rows}).rowcount


def count(conn: Connection) -> int:
    """How many are kept."""
    return conn.execute(select(func.count()).select_from(_evidence)).scalar_one()
