"""What the supervisors' screens and the API read: alerts with the names of their places and people."""

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Row, Select, case, false, func, select

from tocsin_backend.domain import dispatches
from tocsin_backend.store.tables import (
    Alert,
    Answer,
    Device,
    Dispatch,
    Ledger,
    Organisation,
    Person,
    Signal,
    Site,
    TimelineEntry,
    Window,
)

_alert = Alert.__table__  # type: ignore[attr-defined]
_answer = Answer.__table__  # type: ignore[attr-defined]
_organisation = Organisation.__table__  # type: ignore[attr-defined]
_site = Site.__table__  # type: ignore[attr-defined]
_device = Device.__table__  # type: ignore[attr-defined]
_person = Person.__table__  # type: ignore[attr-defined]
_closer = Person.__table__.alias("closer")  # type: ignore[attr-defined]
_asker = Person.__table__.alias("asker")  # type: ignore[attr-defined]
_dispatch = Dispatch.__table__  # type: ignore[attr-defined]
_entry = TimelineEntry.__table__  # type: ignore[attr-defined]
_ledger = Ledger.__table__  # type: ignore[attr-defined]
_signal = Signal.__table__  # type: ignore[attr-defined]
_window = Window.__table__  # type: ignore[attr-defined]

IDS_MAX = 500  # of one IN (...): SQLite takes 32,766 variables, a plan for fewer is quicker made


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert as a list shows it. `seq` is the id of its newest timeline entry.

    A technical alert may be about no device, or no place: then `device`, or `site`, is None and its names are empty.
    `timezone` is the site's, else the organisation's.
    """

    id: str
    seq: int
    org: str
    org_name: str
    device_org: str
    site: str | None
    site_name: str
    address: str
    timezone: str
    device: str | None
    device_name: str
    kind: str
    category: str
    mode: str
    silent: bool
    scenario: str
    subject: str
    status: str
    condition: str
    epoch: int
    pass_: int
    step: int
    due_ms: int | None
    unanswered: bool
    presses: int
    severity: int
    progress: str
    raised_ms: int
    answered_ms: int | None
    owner: str | None
    owner_id: int | None
    close_asked_by: str | None
    close_asked_id: int | None
    close_asked_reason: str | None
    closed_ms: int | None
    closer: str | None
    reason: str | None
    window_id: int | None
    window_title: str | None
    window_ends_ms: int | None
    about_id: str | None
    previous_id: str | None
    lamp: str | None
    frozen: str
    notices: int
    reached: int
    failed: int


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One timeline entry; `data` is its canonical JSON."""

    id: int
    origin: str
    at_ms: int
    what: str
    data: str


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """One message to one person by one channel, or one lamp order. `maybe_dup`: perhaps sent twice, by the same id."""

    kind: str
    target: str
    channel: str
    person: str | None
    class_: int
    status: str
    attempts: int
    maybe_dup: bool
    error: str | None
    created_ms: int
    handed_ms: int | None
    delivered_ms: int | None
    seen_ms: int | None


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """A person who took the alert, in which epoch, and what she said of it last."""

    person: str
    channel: str
    epoch: int
    at_ms: int
    progress: str
    progress_ms: int | None


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """The instants of one press; None is not reached yet."""

    b: int
    n: int
    contact_ms: int
    published_ms: int
    received_ms: int
    held_ms: int
    stored_ms: int
    handed_ms: int | None
    lamp_sent_ms: int | None
    answered_ms: int | None
    lamp_answered_ms: int | None


def _columns(shape: Any, table: Any, **others: Any) -> list[Any]:
    """What fills a row of this shape, in its order: the table's columns of the same names, and `others`."""
    return [others[f.name].label(f.name) if f.name in others else table.c[f.name] for f in fields(shape)]


def newest_entry(conn: Connection) -> int:
    """The id of the newest timeline entry of the database, 0 when there is none."""
    return conn.execute(select(func.max(_entry.c.id))).scalar_one() or 0


def _alerts() -> Select[Any]:
    notices = (
        select(
            _dispatch.c.alert_id,
            func.count().label("notices"),
            func.sum(case((_dispatch.c.status.in_(("handed", "delivered", "seen")), 1), else_=0)).label("reached"),
            func.sum(case((_dispatch.c.status == "failed", 1), else_=0)).label("failed"),
        )
        .where(_dispatch.c.kind == "notify", _dispatch.c.person_id.is_not(None))
        .group_by(_dispatch.c.alert_id)
        .subquery()
    )
    newest = select(func.max(_entry.c.id)).where(_entry.c.alert_id == _alert.c.id).scalar_subquery()
    columns = _columns(
        AlertRow, _alert,
        seq=func.coalesce(newest, 0), org_name=_organisation.c.name, site_name=func.coalesce(_site.c.name, ""),
        address=func.coalesce(_site.c.address, ""), timezone=func.coalesce(_site.c.timezone, _organisation.c.timezone),
        device_name=func.coalesce(_device.c.name, ""), kind=func.coalesce(_device.c.kind, ""), owner=_person.c.name,
        owner_id=_alert.c.answered_by, close_asked_by=_asker.c.name, close_asked_id=_alert.c.close_asked_by,
        closer=_closer.c.name, window_title=_window.c.title, window_ends_ms=_window.c.ends_ms,
        notices=func.coalesce(notices.c.notices, 0), reached=func.coalesce(notices.c.reached, 0),
        failed=func.coalesce(notices.c.failed, 0),
    )  # fmt: skip
    return (
        select(*columns)
        .select_from(_alert)
        .join(_organisation, _organisation.c.id == _alert.c.org)
        .outerjoin(_site, (_site.c.org == _alert.c.device_org) & (_site.c.id == _alert.c.site))
        .outerjoin(_device, (_device.c.org == _alert.c.device_org) & (_device.c.id == _alert.c.device))
        .outerjoin(_person, _person.c.id == _alert.c.answered_by)
        .outerjoin(_closer, _closer.c.id == _alert.c.closed_by)
        .outerjoin(_asker, _asker.c.id == _alert.c.close_asked_by)
        .outerjoin(_window, _window.c.id == _alert.c.window_id)
        .outerjoin(notices, notices.c.alert_id == _alert.c.id)
    )


def open_alerts(conn: Connection, org: str | None = None) -> list[AlertRow]:
    """The open alerts of an organisation (None: of all), oldest first. No probe: it is for nobody's eyes."""
    query = (
        _alerts().where(_alert.c.status != "closed", _alert.c.mode != "probe").order_by(_alert.c.raised_ms, _alert.c.id)
    )
    if org is not None:
        query = query.where(_alert.c.org == org)
    return [AlertRow(*row) for row in conn.execute(query)]


def alerts_by_id(conn: Connection, ids: list[str]) -> list[AlertRow]:
    """Those alerts, open or closed."""
    found: list[AlertRow] = []
    for start in range(0, len(ids), IDS_MAX):
        query = _alerts().where(_alert.c.id.in_(ids[start : start + IDS_MAX]))
        found += [AlertRow(*row) for row in conn.execute(query)]
    return found


def alert(conn: Connection, org: str, alert_id: str, person_id: int | None = None) -> AlertRow | None:
    """One alert of an organisation; or of another one, where `person_id` may have been told of it."""
    mine = false() if person_id is None else _alert.c.id.in_(told(person_id))
    row = conn.execute(_alerts().where(_alert.c.id == alert_id, (_alert.c.org == org) | mine)).one_or_none()
    return None if row is None else AlertRow(*row)


def told(person_id: int) -> Select[Any]:
    """Ids of the alerts of which this person may have been told: what gives somebody of elsewhere a say in them."""
    mine = (_dispatch.c.person_id == person_id) & _dispatch.c.status.in_(dispatches.TOLD)
    return select(_dispatch.c.alert_id).where(mine)


def closed_alerts(conn: Connection, org: str, limit: int) -> list[AlertRow]:
    """The last alerts of an organisation that were closed, newest first."""
    query = (
        _alerts()
        .where(_alert.c.org == org, _alert.c.status == "closed", _alert.c.mode != "probe")
        .order_by(_alert.c.closed_ms.desc(), _alert.c.id)
        .limit(limit)
    )
    return [AlertRow(*row) for row in conn.execute(query)]


def timeline(conn: Connection, alert_id: str) -> list[EntryRow]:
    """An alert's timeline, in the order in which it was written."""
    query = select(*_columns(EntryRow, _entry)).where(_entry.c.alert_id == alert_id).order_by(_entry.c.id)
    return [EntryRow(*row) for row in conn.execute(query)]


def notices(conn: Connection, alert_id: str) -> list[NoticeRow]:
    """Who was told of an alert, oldest first."""
    query = (
        select(*_columns(NoticeRow, _dispatch, person=_person.c.name))
        .select_from(_dispatch)
        .outerjoin(_person, _person.c.id == _dispatch.c.person_id)
        .where(_dispatch.c.alert_id == alert_id)
        .order_by(_dispatch.c.created_ms, _dispatch.c.epoch, _dispatch.c.pass_, _dispatch.c.step, _dispatch.c.id)
    )
    return [NoticeRow(*row) for row in conn.execute(query)]


def answers(conn: Connection, alert_id: str) -> list[AnswerRow]:
    """Who took an alert, the first one first."""
    query = (
        select(*_columns(AnswerRow, _answer, person=_person.c.name))
        .select_from(_answer)
        .join(_person, _person.c.id == _answer.c.person_id)
        .where(_answer.c.alert_id == alert_id)
        .order_by(_answer.c.id)
    )
    return [AnswerRow(*row) for row in conn.execute(query)]


def ledgers(conn: Connection, alert_id: str) -> list[LedgerRow]:
    """The ledger of each press of an alert, first press first."""
    query = (
        select(*_columns(LedgerRow, _ledger))
        .where(_ledger.c.alert_id == alert_id)
        .order_by(_ledger.c.stored_ms, _ledger.c.b, _ledger.c.n)
    )
    return [LedgerRow(*row) for row in conn.execute(query)]


def people_names(conn: Connection, org: str, alert_id: str = "") -> dict[int, str]:
    """The names behind the ids that timelines keep; an erased person is an empty name.

    With `alert_id`, also of those of other organisations who were to be told of that alert.
    """
    told_ids = select(_dispatch.c.person_id).where(_dispatch.c.alert_id == alert_id)
    query = select(_person.c.id, _person.c.name).where((_person.c.org == org) | _person.c.id.in_(told_ids))
    return {row.id: row.name for row in conn.execute(query)}


def last_presses(conn: Connection, org: str) -> dict[str, int]:
    """The contact instant of the newest press of each device."""
    query = (
        select(_signal.c.device, func.max(_signal.c.contact_ms).label("contact_ms"))
        .where(_signal.c.org == org, _signal.c.kind == "press")
        .group_by(_signal.c.device)
    )
    return {row.device: row.contact_ms for row in conn.execute(query)}


def presence_counts(conn: Connection) -> list[Row[tuple[str, str, int]]]:
    """(org, presence, number of devices in service)."""
    query = (
        select(_device.c.org, _device.c.presence, func.count().label("number"))
        .where(_device.c.retired_ms.is_(None))
        .group_by(_device.c.org, _device.c.presence)
    )
    return list(conn.execute(query))
