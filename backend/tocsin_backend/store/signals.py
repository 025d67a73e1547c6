"""Signals, append-only, and the ledgers of presses."""

from dataclasses import dataclass, fields
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from ..domain.latency import Ledger
from . import tables
from .dialect import Prepared, insert_or_nothing

_signal = tables.Signal.__table__  # type: ignore[attr-defined]
_ledger = tables.Ledger.__table__  # type: ignore[attr-defined]
_alert = tables.Alert.__table__  # type: ignore[attr-defined]

_known = (
    select(
        _signal.c.alert_id, _alert.c.status, _alert.c.epoch, _alert.c.silent, _signal.c.channel, _signal.c.kind,
        _signal.c.frame,
    )
    .select_from(_signal.outerjoin(_alert, _alert.c.id == _signal.c.alert_id))
    .where(
        _signal.c.org == bindparam("org"),
        _signal.c.device == bindparam("device"),
        _signal.c.b == bindparam("b"),
        _signal.c.n == bindparam("n"),
    )
)  # fmt: skip
VARIANT = 1 << 32  # above every number a device counts to: what a reused number is kept under begins here
_latest = (
    select(_signal.c.n)
    .where(
        _signal.c.org == bindparam("org"),
        _signal.c.device == bindparam("device"),
        _signal.c.b == bindparam("b"),
        _signal.c.n % VARIANT == bindparam("n"),
    )
    .order_by(_signal.c.id.desc())
    .limit(1)
)
_presses = (
    select(_signal.c.b, _signal.c.n)
    .where(_signal.c.alert_id == bindparam("key"), _signal.c.kind.in_(("press", "probe")))
    .order_by(_signal.c.id.desc())
    .limit(bindparam("limit"))
)
_handed = Prepared(
    update(_ledger)
    .where(_ledger.c.alert_id == bindparam("key"), _ledger.c.handed_ms.is_(None))
    .values(handed_ms=bindparam("at_ms"))
)
_answered = (
    update(_ledger)
    .where(_ledger.c.alert_id == bindparam("key"), _ledger.c.answered_ms.is_(None))
    .values(answered_ms=bindparam("at_ms"))
)
_mine = (
    _ledger.c.org == bindparam("of_org"),
    _ledger.c.device == bindparam("of_device"),
    _ledger.c.b == bindparam("of_b"),
    _ledger.c.n == bindparam("of_n"),
)
_contact = select(_ledger.c.contact_ms).where(*_mine)
_lamp = {
    lamp: update(_ledger).where(*_mine, _ledger.c[column].is_(None)).values({column: bindparam("at_ms")})
    for lamp, column in (
        ("stored", "lamp_sent_ms"),
        ("fallback", "lamp_sent_ms"),
        ("answered", "lamp_answered_ms"),
    )
}


@dataclass(frozen=True, slots=True)
class Signal:
    """The row of a signal: the fields of the table `signal`, by the same names."""

    org: str
    device: str
    b: int
    n: int
    channel: str
    kind: str
    contact_ms: int
    quality: str
    gateway: str
    received_ms: int
    held_ms: int
    stored_ms: int
    tries: int
    frame: bytes
    alert_id: str | None


_names = tuple(field.name for field in fields(Signal))
_hops = tuple(field.name for field in fields(Ledger))
_insert = Prepared(lambda name: insert_or_nothing(_signal, name), _names)
_insert_ledger = Prepared(insert(_ledger), ("org", "device", "b", "n", "alert_id", "mode", *_hops))


def add(conn: Connection, signal: Signal) -> bool:
    """Store a signal; False when (device, b, n) is known already: the unique constraint decides, never a look first."""
    return _insert.run(conn, {name: getattr(signal, name) for name in _names}) == 1


class Known(NamedTuple):
    """A stored signal and the alert it belongs to; None, 0 and False where it has none."""

    alert_id: str | None
    status: str | None
    epoch: int
    silent: bool
    channel: str
    kind: str
    frame: bytes


def known(conn: Connection, org: str, device: str, b: int, n: int) -> Known | None:
    """A stored signal, None when there is no such one."""
    row = conn.execute(_known, {"org": org, "device": device, "b": b, "n": n}).one_or_none()
    return None if row is None else Known(row[0], row[1], row[2] or 0, bool(row[3]), row[4], row[5], bytes(row[6]))


def variant(n: int, number: int) -> int:
    """What a press is kept under whose number `n` was used before; `number`, from 1, tells such presses apart."""
    return number * VARIANT + n


def latest(conn: Connection, org: str, device: str, b: int, n: int) -> int:
    """What the newest signal with this number is kept under: `n`, or a variant of it."""
    return conn.execute(_latest, {"org": org, "device": device, "b": b, "n": n}).scalar() or n


def newest_presses(conn: Connection, alert_id: str, limit: int) -> list[tuple[int, int]]:
    """(b, n) of the last presses, or probes, of an alert, the newest first, as their device counts them."""
    return [(row[0], row[1] % VARIANT) for row in conn.execute(_presses, {"key": alert_id, "limit": limit})]


def add_ledger(conn: Connection, signal: Signal, ledger: Ledger, mode: str) -> None:
    """Open the ledger of a press: real, drill or probe."""
    key = {"org": signal.org, "device": signal.device, "b": signal.b, "n": signal.n, "alert_id": signal.alert_id}
    _insert_ledger.run(conn, {**key, "mode": mode, **{name: getattr(ledger, name) for name in _hops}})


def handed(conn: Connection, alert_id: str, at_ms: int) -> None:
    """A channel accepted a notice of this alert: the first one counts."""
    _handed.run(conn, {"key": alert_id, "at_ms": at_ms})


def answered(conn: Connection, alert_id: str, at_ms: int) -> None:
    """A person took the alert: the first answer after each press counts."""
    conn.execute(_answered, {"key": alert_id, "at_ms": at_ms})


def contact_ms(conn: Connection, org: str, device: str, b: int, n: int) -> int | None:
    """The contact instant in a press's ledger."""
    key = {"of_org": org, "of_device": device, "of_b": b, "of_n": n}
    return conn.execute(_contact, key).scalar_one_or_none()


def lamp(conn: Connection, org: str, device: str, b: int, n: int, which: str, at_ms: int) -> None:
    """The post confirmed a lamp: the first time counts."""
    if which in _lamp:
        conn.execute(_lamp[which], {"of_org": org, "of_device": device, "of_b": b, "of_n": n, "at_ms": at_ms})
