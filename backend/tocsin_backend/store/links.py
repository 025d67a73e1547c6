"""What stands behind an answer link or a reply code: the dispatch, its alert and its person; and the use of it."""

from dataclasses import dataclass

from sqlalchemy import Connection, case, false, func, insert, or_, select, update

from ..domain import alerts, contacts, dispatches
from . import tables

_dispatch = tables.Dispatch.__table__  # type: ignore[attr-defined]
_alert = tables.Alert.__table__  # type: ignore[attr-defined]
_person = tables.Person.__table__  # type: ignore[attr-defined]
_method = tables.ContactMethod.__table__  # type: ignore[attr-defined]
_site = tables.Site.__table__  # type: ignore[attr-defined]
_device = tables.Device.__table__  # type: ignore[attr-defined]
_answer = tables.Answer.__table__  # type: ignore[attr-defined]
_use = tables.LinkUse.__table__  # type: ignore[attr-defined]
_organisation = tables.Organisation.__table__  # type: ignore[attr-defined]
_taker = _person.alias("taker")


@dataclass(frozen=True, slots=True)
class Told:
    """One notice to one person, and its alert as it is now."""

    dispatch_id: str
    kind: str
    channel: str
    epoch: int
    method_id: int
    created_ms: int
    alert_id: str
    org: str
    status: str
    alert_epoch: int
    category: str
    mode: str
    silent: bool
    subject: str
    progress: str
    presses: int
    raised_ms: int
    answered_ms: int | None
    closed_ms: int | None
    person_id: int
    person_org: str
    person: str
    role: str
    language: str
    active: bool
    taken_by: int | None
    taker: str
    site: str
    device: str
    zone: str
    phone: str
    used: str  # its outcome; "": it was not used yet
    kept: bool  # the contact method that it went to is still used, with the same address


_told = (
    select(
        _dispatch.c.id, _dispatch.c.kind, _dispatch.c.channel, _dispatch.c.epoch, _dispatch.c.method_id,
        _dispatch.c.created_ms, _alert.c.id, _alert.c.org, _alert.c.status, _alert.c.epoch, _alert.c.category,
        _alert.c.mode, _alert.c.silent, _alert.c.subject, _alert.c.progress, _alert.c.presses, _alert.c.raised_ms,
        _alert.c.answered_ms, _alert.c.closed_ms, _person.c.id, _person.c.org, _person.c.name, _person.c.role,
        _person.c.language, _person.c.active, _alert.c.answered_by, func.coalesce(_taker.c.name, ""),
        func.coalesce(_site.c.name, ""), func.coalesce(_device.c.name, ""),
        func.coalesce(_site.c.timezone, "Europe/Paris"), func.coalesce(_site.c.phone, ""),
        func.coalesce(_use.c.outcome, ""),
        func.coalesce(_method.c.disabled_ms.is_(None) & (_method.c.created_ms <= _dispatch.c.created_ms), false()),
    )
    .select_from(_dispatch)
    .join(_alert, _alert.c.id == _dispatch.c.alert_id)
    .join(_person, _person.c.id == _dispatch.c.person_id)
    .outerjoin(_taker, _taker.c.id == _alert.c.answered_by)
    .outerjoin(_site, (_site.c.org == _alert.c.device_org) & (_site.c.id == _alert.c.site))
    .outerjoin(_device, (_device.c.org == _alert.c.device_org) & (_device.c.id == _alert.c.device))
    .outerjoin(_use, _use.c.dispatch_id == _dispatch.c.id)
    .outerjoin(_method, _method.c.id == _dispatch.c.method_id)
)  # fmt: skip


def told(conn: Connection, dispatch_id: str) -> Told | None:
    """The notice of this id; None when there is none, or it was no notice to a person."""
    row = conn.execute(_told.where(_dispatch.c.id == dispatch_id, _dispatch.c.kind == dispatches.NOTIFY)).one_or_none()
    return None if row is None else Told(*row)


def codes_of(conn: Connection, number: str, since_ms: int, org: str | None) -> list[str]:
    """The notices that went to this telephone since then: their codes are the ones it may send.

    Those that can still be taken come first, then the newest. `org`: of the alerts of this organisation only.
    """
    live = (_alert.c.status != alerts.CLOSED) & (_alert.c.epoch == _dispatch.c.epoch)
    query = (
        select(_dispatch.c.id)
        .join(_method, _method.c.id == _dispatch.c.method_id)
        .join(_alert, _alert.c.id == _dispatch.c.alert_id)
        .where(
            _method.c.channel == contacts.SMS, _method.c.address == number, _method.c.disabled_ms.is_(None),
            _dispatch.c.channel == contacts.SMS, _dispatch.c.kind == dispatches.NOTIFY,
            _dispatch.c.created_ms >= since_ms, _dispatch.c.created_ms >= _method.c.created_ms,
            _dispatch.c.person_id == _method.c.person_id,
        )
        .order_by(case((live, 0), else_=1), _dispatch.c.created_ms.desc(), _dispatch.c.id)
        .limit(500)
    )  # fmt: skip
    if org is not None:
        query = query.where(_alert.c.org == org)
    return list(conn.execute(query).scalars())


def owner_of(conn: Connection, number: str, org: str | None) -> tuple[str, str] | None:
    """(language, organisation) of whoever has this number (of this organisation, if one is named); None: nobody."""
    query = (
        select(_person.c.language, _person.c.org)
        .join(_method, _method.c.person_id == _person.c.id)
        .where(_method.c.channel == contacts.SMS, _method.c.address == number, _person.c.active)
        .where(_method.c.disabled_ms.is_(None))
        .order_by(_person.c.id)
        .limit(1)
    )
    if org is not None:
        query = query.where(_person.c.org == org)
    row = conn.execute(query).one_or_none()
    return None if row is None else (row[0], row[1])


def has_answered(conn: Connection, alert_id: str, epoch: int, person_id: int) -> bool:
    """Whether this person answered the alert in this epoch, by whatever way."""
    mine = (_answer.c.alert_id == alert_id) & (_answer.c.epoch == epoch) & (_answer.c.person_id == person_id)
    return conn.execute(select(_answer.c.id).where(mine)).first() is not None


def use(conn: Connection, dispatch_id: str, way: str, outcome: str, now_ms: int) -> None:
    """It was used: by "link" or by "code"."""
    conn.execute(insert(_use).values(dispatch_id=dispatch_id, way=way, used_ms=now_ms, outcome=outcome))


def reported(conn: Connection, dispatch_id: str) -> tuple[str, str, str, str] | None:
    """(alert, organisation, channel, that organisation's way of short messages) of a dispatch, for whoever reports."""
    query = (
        select(_alert.c.id, _alert.c.org, _dispatch.c.channel, _organisation.c.sms_route)
        .join(_alert, _alert.c.id == _dispatch.c.alert_id)
        .join(_organisation, _organisation.c.id == _alert.c.org)
    )
    row = conn.execute(query.where(_dispatch.c.id == dispatch_id)).one_or_none()
    return None if row is None else (row[0], row[1], row[2], row[3])


def prove(conn: Connection, dispatch_id: str, now_ms: int) -> None:
    """The contact method of this dispatch works: what went through it was delivered, seen or answered."""
    mine = _dispatch.c.id == dispatch_id
    method = select(_dispatch.c.method_id).where(mine).scalar_subquery()
    left_ms = select(_dispatch.c.created_ms).where(mine).scalar_subquery()  # before its address changed: proves nothing
    older = or_(_method.c.proven_ms.is_(None), _method.c.proven_ms < now_ms)
    ours = (_method.c.id == method) & (_method.c.created_ms <= left_ms)
    conn.execute(update(_method).where(ours, older).values(proven_ms=now_ms))
