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
from ..domain.telling import FEEDS
from . import people, tables
from .dialect import Prepared, locked, locks
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
_by_id = select(*_columns).where(_alert.c.id == bindparam("key"))
_get, _get_locked, _claim = Prepared(_by_id), Prepared(locked(_by_id)), Prepared(locked(_by_id, skip=True))
_silent, _unanswered = NAMES.index("silent"), NAMES.index("unanswered")
_site, _device = NAMES.index("site"), NAMES.index("device")  # NULL where the domain says ""
_of_dedup = (
    select(*_columns)
    .where(_alert.c.dedup == bindparam("dedup"))
    # the open one first, whatever the clock did; then the last one that was closed
    .order_by(case((_alert.c.status == alerts.CLOSED, 1), else_=0), _alert.c.raised_ms.desc())
    .limit(literal_column("1"))
)
_newest, _newest_locked = Prepared(_of_dedup), Prepared(locked(_of_dedup))
_answers = select(*(_answer.c[field.name] for field in fields(Answer))).where(_answer.c.alert_id == bindparam("key"))
_insert_answer = insert(_answer)
_set_progress = (
    update(_answer)
    .where(
        _answer.c.alert_id == bindparam("key"),
        _answer.c.epoch == bindparam("of_epoch"),
        _answer.c.person_id == bindparam("of_person"),
    )
    .values(progress=bindparam("new_progress"), progress_ms=bindparam("new_progress_ms"))
)
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
        _dispatch.c.kind == dispatches.ACTUATE,
        (_dispatch.c.epoch == bindparam("epoch"))
        & (_dispatch.c.pass_ == bindparam("pass_"))
        & (_dispatch.c.step == bindparam("step")),
    ),
)
_told = (
    select(*(_dispatch.c[field.name] for field in fields(escalation.Told)))
    .where(
        _dispatch.c.alert_id == bindparam("key"),
        _dispatch.c.kind == dispatches.NOTIFY,
        _dispatch.c.status.in_(dispatches.TOLD),
        or_(_dispatch.c.person_id.is_not(None), _dispatch.c.channel.in_(FEEDS)),
    )
    .distinct()
)


def get(conn: Connection, alert_id: str) -> Alert | None:
    """The alert of this id. For a job that writes it is locked: whoever else would change it waits for our commit."""
    return _alert_of((_get_locked if locks(conn) else _get).first(conn, {"key": alert_id}))


def claim(conn: Connection, alert_id: str) -> Alert | None:
    """As `get` for a job that writes; None also while another engine, or a person's act there, has it locked."""
    return _alert_of((_claim if locks(conn) else _get).first(conn, {"key": alert_id}))


def newest(conn: Connection, dedup: str) -> Alert | None:
    """The open alert of this dedup key; else the last one that was closed. Locked as by `get`."""
    return _alert_of((_newest_locked if locks(conn) else _newest).first(conn, {"dedup": dedup}))


def _alert_of(row: tuple[Any, ...] | None) -> Alert | None:
    if row is None:
        return None
    values = list(row)
    values[_silent], values[_unanswered] = bool(values[_silent]), bool(values[_unanswered])
    values[_site], values[_device] = values[_site] or "", values[_device] or ""
    return Alert(*values)


def rows(conn: Connection, alert: Alert, now_ms: int, told: bool = True) -> escalation.Rows:
    """Everything that an event of this alert may need at this instant.

    `told`: also everyone who was told so far, for an event that is news to them; after a day of repetitions those are
    tens of thousands of rows, which no press has to wait for.
    """
    key = {"key": alert.id}
    place = {**key, "epoch": alert.epoch, "pass_": alert.pass_, "step": alert.step}
    live = tuple(dispatches.Dispatch(*row) for row in conn.execute(_live_dispatches, place))
    hearers = frozenset(escalation.Told(*row) for row in conn.execute(_told, key)) if told else frozenset()
    answers = tuple(Answer(*row) for row in conn.execute(_answers, key))
    known = {alert.answered_by, *(each.person_id for each in answers), *(each.person_id for each in hearers)}
    who = people.directory(conn, alert.org, load(alert.frozen), known, alert.site, now_ms)
    return escalation.Rows(alert, live, hearers, answers, who)


def add(conn: Connection, alert: Alert) -> None:
    """Store a new alert."""
    values = {name: getattr(alert, name) for name in NAMES}
    _insert.run(conn, values | {"site": alert.site or None, "device": alert.device or None})


def save(conn: Connection, alert: Alert) -> None:
    """Store what may change of an alert."""
    changed = {"new_" + name: getattr(alert, name) for name in _mutable}
    _update.run(conn, {"key": alert.id, **changed})


def add_answers(conn: Connection, answers: list[Answer]) -> None:
    """Store answers. One of the same epoch and person that is there already is a bug: IntegrityError."""
    rows_ = [{field.name: getattr(answer, field.name) for field in fields(Answer)} for answer in answers]
    conn.execute(_insert_answer, rows_)


def save_progress(conn: Connection, answers: list[Answer]) -> None:
    """Store what people who answered said since."""
    rows_ = [
        {
            "key": each.alert_id,
            "of_epoch": each.epoch,
            "of_person": each.person_id,
            "new_progress": each.progress,
            "new_progress_ms": each.progress_ms,
        }
        for each in answers
    ]
    conn.execute(_set_progress, rows_)


def was_told(conn: Connection, alert_id: str, person_id: int) -> bool:
    """Whether this person may have been told of the alert: what gives somebody of another organisation a say in it."""
    mine = (_dispatch.c.alert_id == alert_id) & (_dispatch.c.person_id == person_id)
    query = select(_dispatch.c.id).where(mine, _dispatch.c.status.in_(dispatches.TOLD)).limit(1)
    return conn.execute(query).first() is not None


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
