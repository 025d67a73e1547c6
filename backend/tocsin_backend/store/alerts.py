"""Reading and writing alerts as the domain knows them. Statements are built once: this is the path of a press."""

from dataclasses import fields
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    bindparam,
    case,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)

from ..domain import alerts, dispatches, escalation
from ..domain.alerts import Alert, Answer
from ..domain.policies import load
from . import people, tables
from .dialect import Prepared
from .dispatches import COLUMNS as DISPATCH_COLUMNS

_alert = tables.Alert.__table__  # type: ignore[attr-defined]
_answer = tables.Answer.__table__  # type: ignore[attr-defined]
_dispatch = tables.Dispatch.__table__  # type: ignore[attr-defined]

NAMES = tuple(field.name for field in fields(Alert))
_columns = [_alert.c[name] for name in NAMES]
_insert = Prepared(insert(_alert), NAMES)
_mutable = tuple(
    name
    for name in NAMES
    if name
    in (
        "status", "condition", "epoch", "pass_", "step", "due_ms", "span_ms", "unanswered", "presses", "reopened_ms",
        "answered_ms", "answered_by", "closed_ms", "closed_by", "reason", "subject", "lamp", "timeline_seq",
        "timeline_hash", "severity", "recent", "progress", "close_asked_by", "close_asked_reason",
    )
)  # fmt: skip
_update = Prepared(
    update(_alert).where(_alert.c.id == bindparam("key")).values({name: bindparam("new_" + name) for name in _mutable})
)
_get = Prepared(select(*_columns).where(_alert.c.id == bindparam("key")))
_silent, _unanswered = NAMES.index("silent"), NAMES.index("unanswered")
_site, _device = NAMES.index("site"), NAMES.index("device")  # NULL where the domain says ""
_newest = Prepared(
    select(*_columns)
    .where(_alert.c.dedup == bindparam("dedup"))
    # the open one first, whatever the clock did; then the last one that was closed
    .order_by(case((_alert.c.status == alerts.CLOSED, 1), else_=0), _alert.c.raised_ms.desc())
    .limit(literal_column("1"))
)
_answers = select(*(_answer.c[field.name] for field in fields(Answer))).where(_answer.c.alert_id == bindparam("key"))
_insert_answer = insert(_answer)
_due = (
    select(_alert.c.id, _alert.c.due_ms)
    .where(_alert.c.due_ms <= bindparam("now_ms"))
    .order_by(_alert.c.due_ms)
    .limit(bindparam("limit"))
)
_earliest = select(func.min(_alert.c.due_ms))
_live_dispatches = select(*(_dispatch.c[name] for name in DISPATCH_COLUMNS)).where(
    _dispatch.c.alert_id == bindparam("key"),
    or_(
        _dispatch.c.status.in_(dispatches.OPEN),
        (_dispatch.c.epoch == bindparam("epoch"))
        & (_dispatch.c.pass_ == bindparam("pass_"))
        & (_dispatch.c.step == bindparam("step")),
    ),
)
_told = (
    select(_dispatch.c.person_id, _dispatch.c.method_id, _dispatch.c.channel)
    .where(
        _dispatch.c.alert_id == bindparam("key"),
        _dispatch.c.kind == dispatches.NOTIFY,
        _dispatch.c.status.in_(dispatches.TOLD),
        _dispatch.c.person_id.is_not(None),
    )
    .distinct()
)


def get(conn: Connection, alert_id: str) -> Alert | None:
    """The alert of this id."""
    return _alert_of(_get.first(conn, {"key": alert_id}))


def newest(conn: Connection, dedup: str) -> Alert | None:
    """The open alert of this dedup key; else the last one that was closed."""
    return _alert_of(_newest.first(conn, {"dedup": dedup}))


def _alert_of(row: tuple[Any, ...] | None) -> Alert | None:
    if row is None:
        return None
    values = list(row)
    values[_silent], values[_unanswered] = bool(values[_silent]), bool(values[_unanswered])
    values[_site], values[_device] = values[_site] or "", values[_device] or ""
    return Alert(*values)


def rows(conn: Connection, alert: Alert) -> escalation.Rows:
    """Everything that an event of this alert may need."""
    key = {"key": alert.id}
    place = {**key, "epoch": alert.epoch, "pass_": alert.pass_, "step": alert.step}
    live = tuple(dispatches.Dispatch(*row) for row in conn.execute(_live_dispatches, place))
    told = frozenset((row[0], row[1], row[2]) for row in conn.execute(_told, key))
    answers = tuple(Answer(*row) for row in conn.execute(_answers, key))
    known = {alert.answered_by, *(each.person_id for each in answers), *(each[0] for each in told)}
    who = people.directory(conn, alert.org, load(alert.frozen), known)
    return escalation.Rows(alert, live, told, answers, who)


def add(conn: Connection, alert: Alert) -> None:
    """Store a new alert."""
    values = {name: getattr(alert, name) for name in NAMES}
    _insert.run(conn, values | {"site": alert.site or None, "device": alert.device or None})


def save(conn: Connection, alert: Alert) -> None:
    """Store what may change of an alert."""
    changed = {"new_" + name: getattr(alert, name) for name in _mutable}
    _update.run(conn, {"key": alert.id, **changed})


def add_answers(conn: Connection, answers: tuple[Answer, ...]) -> None:
    """Store answers. One of the same epoch and person that is there already is a bug: IntegrityError."""
    rows_ = [{field.name: getattr(answer, field.name) for field in fields(Answer)} for answer in answers]
    conn.execute(_insert_answer, rows_)


def due(conn: Connection, now_ms: int, limit: int) -> list[tuple[str, int]]:
    """(alert id, its due instant) of those whose instant has come, the longest waiting first."""
    return [(row[0], row[1]) for row in conn.execute(_due, {"now_ms": now_ms, "limit": limit})]


def earliest_due_ms(conn: Connection) -> int | None:
    """When the next alert is due."""
    return conn.execute(_earliest).scalar_one_or_none()


def clamp(conn: Connection, now_ms: int) -> None:
    """After a start: no instant is further ahead than its span, whatever the clock did meanwhile (invariant 1)."""
    latest = literal(now_ms, BigInteger) + _alert.c.span_ms  # an instant does not fit into PostgreSQL's INTEGER
    conn.execute(update(_alert).where(_alert.c.due_ms > latest).values(due_ms=latest))
