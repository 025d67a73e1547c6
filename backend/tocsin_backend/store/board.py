"""What the supervisors' screens read: alerts with the names of their places and people."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, case, func, select

from tocsin_backend.store.tables import Alert, Device, Dispatch, Ledger, Person, Signal, Site, TimelineEntry

_alert = Alert.__table__  # type: ignore[attr-defined]
_site = Site.__table__  # type: ignore[attr-defined]
_device = Device.__table__  # type: ignore[attr-defined]
_person = Person.__table__  # type: ignore[attr-defined]
_closer = Person.__table__.alias("closer")  # type: ignore[attr-defined]
_dispatch = Dispatch.__table__  # type: ignore[attr-defined]
_entry = TimelineEntry.__table__  # type: ignore[attr-defined]
_ledger = Ledger.__table__  # type: ignore[attr-defined]
_signal = Signal.__table__  # type: ignore[attr-defined]

IDS_MAX = 500  # of one IN (...): SQLite takes 32,766 variables, a plan for fewer is quicker made


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert as a list shows it. `seq` is the id of its newest timeline entry."""

    id: str
    seq: int
    org: str
    site: str
    site_name: str
    address: str
    timezone: str
    device: str
    device_name: str
    kind: str
    category: str
    mode: str
    silent: bool
    subject: str
    status: str
    condition: str
    epoch: int
    pass_: int
    step: int
    due_ms: int | None
    unanswered: bool
    presses: int
    raised_ms: int
    answered_ms: int | None
    owner: str | None
    owner_id: int | None
    closed_ms: int | None
    closer: str | None
    reason: str | None
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
    """One message to one person by one channel, or one lamp order."""

    kind: str
    target: str
    channel: str
    person: str | None
    status: str
    attempts: int
    error: str | None
    created_ms: int
    handed_ms: int | None
    delivered_ms: int | None
    seen_ms: int | None


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
    return (
        select(
            _alert.c.id,
            func.coalesce(newest, 0).label("seq"),
            _alert.c.org,
            _alert.c.site,
            _site.c.name.label("site_name"),
            _site.c.address,
            _site.c.timezone,
            _alert.c.device,
            _device.c.name.label("device_name"),
            _device.c.kind,
            _alert.c.category,
            _alert.c.mode,
            _alert.c.silent,
            _alert.c.subject,
            _alert.c.status,
            _alert.c.condition,
            _alert.c.epoch,
            _alert.c.pass_,
            _alert.c.step,
            _alert.c.due_ms,
            _alert.c.unanswered,
            _alert.c.presses,
            _alert.c.raised_ms,
            _alert.c.answered_ms,
            _person.c.name.label("owner"),
            _alert.c.answered_by.label("owner_id"),
            _alert.c.closed_ms,
            _closer.c.name.label("closer"),
            _alert.c.reason,
            _alert.c.lamp,
            _alert.c.frozen,
            func.coalesce(notices.c.notices, 0).label("notices"),
            func.coalesce(notices.c.reached, 0).label("reached"),
            func.coalesce(notices.c.failed, 0).label("failed"),
        )
        .outerjoin(_site, (_site.c.org == _alert.c.device_org) & (_site.c.id == _alert.c.site))
        .outerjoin(_device, (_device.c.org == _alert.c.device_org) & (_device.c.id == _alert.c.device))
        .outerjoin(_person, _person.c.id == _alert.c.answered_by)
        .outerjoin(_closer, _closer.c.id == _alert.c.closed_by)
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


def alert(conn: Connection, org: str, alert_id: str) -> AlertRow | None:
    """One alert of an organisation."""
    row = conn.execute(_alerts().where(_alert.c.id == alert_id, _alert.c.org == org)).one_or_none()
    return None if row is None else AlertRow(*row)


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
    query = (
        select(_entry.c.id, _entry.c.origin, _entry.c.at_ms, _entry.c.what, _entry.c.data)
        .where(_entry.c.alert_id == alert_id)
        .order_by(_entry.c.id)
    )
    return [EntryRow(*row) for row in conn.execute(query)]


def notices(conn: Connection, alert_id: str) -> list[NoticeRow]:
    """Who was told of an alert, oldest first."""
    query = (
        select(
            _dispatch.c.kind,
            _dispatch.c.target,
            _dispatch.c.channel,
            _person.c.name.label("person"),
            _dispatch.c.status,
            _dispatch.c.attempts,
            _dispatch.c.error,
            _dispatch.c.created_ms,
            _dispatch.c.handed_ms,
            _dispatch.c.delivered_ms,
            _dispatch.c.seen_ms,
        )
        .outerjoin(_person, _person.c.id == _dispatch.c.person_id)
        .where(_dispatch.c.alert_id == alert_id)
        .order_by(_dispatch.c.created_ms, _dispatch.c.epoch, _dispatch.c.pass_, _dispatch.c.step, _dispatch.c.id)
    )
    return [NoticeRow(*row) for row in conn.execute(query)]


def ledgers(conn: Connection, alert_id: str) -> list[LedgerRow]:
    """The ledger of each press of an alert, first press first."""
    query = (
        select(
            _ledger.c.b,
            _ledger.c.n,
            _ledger.c.contact_ms,
            _ledger.c.published_ms,
            _ledger.c.received_ms,
            _ledger.c.held_ms,
            _ledger.c.stored_ms,
            _ledger.c.handed_ms,
            _ledger.c.lamp_sent_ms,
            _ledger.c.answered_ms,
            _ledger.c.lamp_answered_ms,
        )
        .where(_ledger.c.alert_id == alert_id)
        .order_by(_ledger.c.stored_ms, _ledger.c.b, _ledger.c.n)
    )
    return [LedgerRow(*row) for row in conn.execute(query)]


def people_names(conn: Connection, org: str) -> dict[int, str]:
    """The names behind the ids that timelines keep; an erased person is an empty name."""
    query = select(_person.c.id, _person.c.name).where(_person.c.org == org)
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
