"""Refused frames, kept as evidence up to a bound."""

from sqlalchemy import Connection, func, insert, select

from . import tables

_evidence = tables.Evidence.__table__  # type: ignore[attr-defined]
_insert = insert(_evidence)


def add(conn: Connection, at_ms: int, org: str, gateway: str, topic: str, frame: bytes, reason: str) -> None:
    """Keep one refused frame."""
    values = {"at_ms": at_ms, "org": org, "gateway": gateway, "topic": topic, "frame": frame, "reason": reason}
    conn.execute(_insert, values)


def count(conn: Connection) -> int:
    """How many are kept."""
    return conn.execute(select(func.count()).select_from(_evidence)).scalar_one()
