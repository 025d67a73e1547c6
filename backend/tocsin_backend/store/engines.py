"""The engines that share a database: who runs, who stopped, who has not been seen for a while.

Their clocks are the processes' own: they must agree within a second or two (NTP), as every due instant does.
"""

from sqlalchemy import Connection, delete, insert, select, update

from ..domain import dispatches
from . import tables

_engine = tables.Engine.__table__  # type: ignore[attr-defined]
_dispatch = tables.Dispatch.__table__  # type: ignore[attr-defined]

BEAT_MS = 5_000
BEATS_MISSED = 3  # after so many, nobody waits for an engine's leases to end
KEPT_MS = 7 * 86_400_000  # how long a row stays after its engine's last beat


def register(conn: Connection, owner: str, now_ms: int) -> None:
    """An engine starts. Rows of engines that are long gone are removed."""
    conn.execute(delete(_engine).where((_engine.c.owner == owner) | (_engine.c.beat_ms < now_ms - KEPT_MS)))
    conn.execute(insert(_engine).values(owner=owner, started_ms=now_ms, beat_ms=now_ms))


def beat(conn: Connection, owner: str, now_ms: int) -> None:
    """It lives."""
    conn.execute(update(_engine).where(_engine.c.owner == owner).values(beat_ms=now_ms))


def stop(conn: Connection, owner: str, now_ms: int) -> None:
    """It stops in good order: whatever it had leased and not sent is anybody's, now."""
    conn.execute(update(_engine).where(_engine.c.owner == owner).values(beat_ms=now_ms, stopped_ms=now_ms))
    expire_leases(conn, now_ms)


def _alive(now_ms: int):  # type: ignore[no-untyped-def]
    young = _engine.c.beat_ms > now_ms - BEATS_MISSED * BEAT_MS
    return select(_engine.c.owner).where(young, _engine.c.stopped_ms.is_(None))


def others(conn: Connection, owner: str, now_ms: int) -> list[str]:
    """The other engines that are alive."""
    return [row[0] for row in conn.execute(_alive(now_ms).where(_engine.c.owner != owner).order_by(_engine.c.owner))]


def expire_leases(conn: Connection, now_ms: int) -> int:
    """Leases whose holder is not alive end now instead of at their instant: how many."""
    held = (_dispatch.c.status == dispatches.LEASED) & (_dispatch.c.next_ms > now_ms)
    dead = _dispatch.c.owner.not_in(_alive(now_ms))
    return conn.execute(update(_dispatch).where(held, dead).values(next_ms=now_ms)).rowcount
