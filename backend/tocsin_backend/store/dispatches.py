"""Reading and writing dispatches: the outbox."""

from collections.abc import Iterable
from dataclasses import fields

from sqlalchemy import Connection, bindparam, func, insert, select, update

from ..domain import dispatches
from ..domain.dispatches import Dispatch
from . import tables
from .dialect import Prepared

_dispatch = tables.Dispatch.__table__  # type: ignore[attr-defined]
_alert = tables.Alert.__table__  # type: ignore[attr-defined]

COLUMNS = tuple(field.name for field in fields(Dispatch))
_columns = [_dispatch.c[name] for name in COLUMNS]
_mutable = (
    "status", "attempts", "next_ms", "owner", "maybe_dup", "provider_id", "error", "handed_ms", "delivered_ms",
    "seen_ms",
)  # fmt: skip
_insert = Prepared(insert(_dispatch), COLUMNS)
_update = Prepared(
    update(_dispatch)
    .where(_dispatch.c.id == bindparam("key"))
    .values({name: bindparam("new_" + name) for name in _mutable})
)
_get = Prepared(select(*_columns).where(_dispatch.c.id == bindparam("key")))
_maybe_dup = COLUMNS.index("maybe_dup")
_due = (
    select(*_columns)
    .where(
        _dispatch.c.next_ms <= bindparam("ahead_ms"),
        ((_dispatch.c.next_ms <= bindparam("now_ms")) & _dispatch.c.channel.in_(bindparam("channels", expanding=True)))
        | ((_dispatch.c.status == dispatches.LEASED) & (_dispatch.c.owner == bindparam("owner"))),
    )
    .order_by(_dispatch.c.class_, _dispatch.c.next_ms)
    .limit(bindparam("limit"))
)
_earliest = select(func.min(_dispatch.c.next_ms))


def get(conn: Connection, dispatch_id: str) -> Dispatch | None:
    """The dispatch of this id."""
    row = _get.first(conn, {"key": dispatch_id})
    if row is None:
        return None
    values = list(row)
    values[_maybe_dup] = bool(values[_maybe_dup])
    return Dispatch(*values)


def add(conn: Connection, new: list[Dispatch]) -> None:
    """Store new dispatches."""
    _insert.run_many(conn, [{name: getattr(each, name) for name in COLUMNS} for each in new])


def save(conn: Connection, changed: list[Dispatch]) -> None:
    """Store what may change of dispatches."""
    rows = [{"key": each.id, **{"new_" + name: getattr(each, name) for name in _mutable}} for each in changed]
    _update.run_many(conn, rows)


def due(
    conn: Connection, now_ms: int, limit: int, channels: Iterable[str], owner: str, ahead_ms: int = 0
) -> list[Dispatch]:
    """Those to be looked at now, pending or leased, by class: of these channels, and whatever `owner` has leased.

    Of the latter also what ends within `ahead_ms`: its lease can still be prolonged before another engine takes it.

    The rows of a channel that has no room are left out here: a page full of them would hide every other channel's.
    """
    values = {
        "now_ms": now_ms,
        "ahead_ms": now_ms + ahead_ms,
        "limit": limit,
        "channels": sorted(channels),
        "owner": owner,
    }
    return [Dispatch(*row) for row in conn.execute(_due, values)]


def last_technical_ms(conn: Connection, method_id: int) -> int | None:
    """When the last technical notice or report to this contact method left, or was put on its way."""
    left_ms = func.coalesce(_dispatch.c.handed_ms, _dispatch.c.created_ms)
    query = select(func.max(left_ms)).where(
        _dispatch.c.method_id == method_id,
        _dispatch.c.class_ >= dispatches.TECHNICAL_CLASS,
        _dispatch.c.status.in_(dispatches.TOLD),
    )
    return conn.execute(query).scalar_one_or_none()


def waiting_technical(conn: Connection, method_id: int, limit: int) -> list[Dispatch]:
    """The technical notices and reports to this contact method that have not left, the oldest first."""
    query = (
        select(*_columns)
        .where(
            _dispatch.c.method_id == method_id,
            _dispatch.c.class_ >= dispatches.TECHNICAL_CLASS,
            _dispatch.c.status == dispatches.PENDING,
        )
        .order_by(_dispatch.c.created_ms, _dispatch.c.id)
        .limit(limit)
    )
    return [Dispatch(*row) for row in conn.execute(query)]


def put_off(conn: Connection, alert_ids: Iterable[str], since_ms: int, until_ms: int) -> None:
    """What was made for these alerts since and is pending is due at `until_ms` at the earliest."""
    made = _dispatch.c.alert_id.in_(sorted(alert_ids)) & (_dispatch.c.created_ms >= since_ms)
    pending = made & (_dispatch.c.status == dispatches.PENDING) & (_dispatch.c.next_ms < until_ms)
    conn.execute(_dispatch.update().where(pending).values(next_ms=until_ms))


def earliest_ms(conn: Connection) -> int | None:
    """When the next dispatch must be looked at."""
    return conn.execute(_earliest).scalar_one_or_none()


def clamp(conn: Connection, now_ms: int) -> None:
    """After a start: no instant further ahead than its longest span (invariant 5).

    A first try waits for its method's offset, counted anew when the clock went back behind it; a later one for less.
    """
    first = (_dispatch.c.status == dispatches.PENDING) & (_dispatch.c.attempts == 0)
    offset_ms = _dispatch.c.next_ms - _dispatch.c.created_ms
    conn.execute(update(_dispatch).where(first, _dispatch.c.created_ms > now_ms).values(next_ms=now_ms + offset_ms))
    for status, span_ms in (
        ((_dispatch.c.status == dispatches.PENDING) & (_dispatch.c.attempts > 0), max(dispatches.LAMP_RETRY_MS)),
        (_dispatch.c.status == dispatches.LEASED, dispatches.LEASE_MS),
    ):
        far = status & (_dispatch.c.next_ms > now_ms + span_ms)
        conn.execute(update(_dispatch).where(far).values(next_ms=now_ms + span_ms))


def expire_leases_of_others(conn: Connection, owner: str, now_ms: int) -> None:
    """One process at a time runs on SQLite: whoever else holds a lease is dead, and nobody has to wait for its end."""
    held = (_dispatch.c.status == dispatches.LEASED) & (_dispatch.c.owner != owner)
    conn.execute(update(_dispatch).where(held).values(next_ms=now_ms))


def hasten_orders(conn: Connection, org: str, device: str, now_ms: int) -> bool:
    """The device was just born: its lamp and alarm orders are repeated at once. True if there are any."""
    mine = select(_alert.c.id).where(_alert.c.org == org, _alert.c.device == device)
    lamps = (_dispatch.c.kind == dispatches.LAMP) & _dispatch.c.alert_id.in_(mine)
    ours = select(_alert.c.id).where(_alert.c.org == org)
    outputs = _dispatch.c.target.contains(f"/{device}/", autoescape=True)  # names hold no slash
    alarms = (_dispatch.c.kind == dispatches.ACTUATE) & outputs & _dispatch.c.alert_id.in_(ours)
    waiting = _dispatch.c.status == dispatches.PENDING
    query = update(_dispatch).where(waiting, lamps | alarms).values(next_ms=now_ms)
    return bool(conn.execute(query).rowcount)
