"""Drills and maintenance: the rows of `site_window`, and what happened inside a drill."""

from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, literal_column, or_, select, update

from ..domain import windows
from ..domain.windows import Draft, Window
from . import engines, tables
from .dialect import Prepared, locked

_window = tables.Window.__table__  # type: ignore[attr-defined]
_alert = tables.Alert.__table__  # type: ignore[attr-defined]
_answer = tables.Answer.__table__  # type: ignore[attr-defined]
_device = tables.Device.__table__  # type: ignore[attr-defined]
_dispatch = tables.Dispatch.__table__  # type: ignore[attr-defined]
_ledger = tables.Ledger.__table__  # type: ignore[attr-defined]
_site = tables.Site.__table__  # type: ignore[attr-defined]
_entry = tables.TimelineEntry.__table__  # type: ignore[attr-defined]

_columns = tuple(_window.c[field.name] for field in fields(Window))
# The narrower one first: two of a kind never overlap at one place, so there is at most one of each breadth.
_running = Prepared(
    select(*_columns)
    .where(
        _window.c.org == bindparam("of_org"),
        _window.c.ends_ms > bindparam("now_ms"),
        _window.c.starts_ms <= bindparam("now_ms"),
        _window.c.kind == bindparam("of_kind"),
        _window.c.ended_ms.is_(None),
        or_(_window.c.site.is_(None), _window.c.site == bindparam("of_site")),
    )
    .order_by(_window.c.site.is_(None), _window.c.id)
    .limit(literal_column("1"))
)
_earliest = select(func.min(_window.c.next_ms))
_due = (
    select(*_columns)
    .where(_window.c.next_ms <= bindparam("now_ms"))
    .order_by(_window.c.next_ms)
    .limit(bindparam("limit"))
)


def running(conn: Connection, org: str, site: str, kind: str, now_ms: int) -> Window | None:
    """The drill, or the maintenance, that runs now at this site ("": of the whole organisation). One statement."""
    row = _running.first(conn, {"of_org": org, "of_site": site, "of_kind": kind, "now_ms": now_ms})
    return None if row is None else Window(*row)


def muted(conn: Connection, org: str, site: str, now_ms: int) -> int | None:
    """The maintenance that mutes technical alerts at this site ("": of no site) now."""
    found = running(conn, org, site, windows.MAINTENANCE, now_ms)
    return None if found is None else found.id


def add(conn: Connection, org: str, draft: Draft, now_ms: int, created_by: int | None) -> int:
    """Store a window that has no faults; its id."""
    values = {
        "org": org, "site": draft.site, "kind": draft.kind, "title": draft.title, "starts_ms": draft.starts_ms,
        "ends_ms": draft.ends_ms, "next_ms": windows.first_look_ms(draft, now_ms), "created_ms": now_ms,
        "created_by": created_by, "report": "",
    }  # fmt: skip
    return int(conn.execute(insert(_window).values(values).returning(_window.c.id)).scalar_one())


def get(conn: Connection, org: str, window_id: int) -> Window | None:
    """A window of an organisation."""
    row = conn.execute(select(*_columns).where(_window.c.id == window_id, _window.c.org == org)).one_or_none()
    return None if row is None else Window(*row)


def listing(conn: Connection, org: str, kind: str | None, site: str | None, limit: int) -> list[Window]:
    """An organisation's windows, the newest beginning first."""
    query = (
        select(*_columns).where(_window.c.org == org).order_by(_window.c.starts_ms.desc(), _window.c.id).limit(limit)
    )
    if kind is not None:
        query = query.where(_window.c.kind == kind)
    if site is not None:
        query = query.where(or_(_window.c.site.is_(None), _window.c.site == site))
    return [Window(*row) for row in conn.execute(query)]


def not_over(conn: Connection, org: str, now_ms: int) -> list[Window]:
    """An organisation's windows that run or are announced."""
    query = select(*_columns).where(_window.c.org == org, _window.c.ended_ms.is_(None), _window.c.ends_ms > now_ms)
    return [Window(*row) for row in conn.execute(query)]


def due(conn: Connection, now_ms: int, limit: int) -> list[Window]:
    """Windows whose instant has come."""
    return [Window(*row) for row in conn.execute(_due, {"now_ms": now_ms, "limit": limit})]


def claim(conn: Connection, window_id: int) -> Window | None:
    """A window, for a job that writes; None while another engine has it locked."""
    query = locked(select(*_columns).where(_window.c.id == window_id), _window, skip=True)
    row = conn.execute(query).one_or_none()
    return None if row is None else Window(*row)


def earliest_ms(conn: Connection) -> int | None:
    """When the next window begins or ends."""
    return conn.execute(_earliest).scalar_one_or_none()


def look_at(conn: Connection, window_id: int, next_ms: int) -> None:
    """It began: it is looked at again at its end."""
    conn.execute(update(_window).where(_window.c.id == window_id).values(next_ms=next_ms))


def end(conn: Connection, window_id: int, ended_ms: int, report: str) -> None:
    """It is over."""
    values = {"ended_ms": ended_ms, "next_ms": None, "report": report}
    conn.execute(update(_window).where(_window.c.id == window_id).values(values))


def end_soon(conn: Connection, window: Window, now_ms: int) -> None:
    """It ends now; what has not begun is called off. No press belongs to it from here on.

    From another process: the engine sees it at its next beat, and is not late for what it could not know.
    """
    begun = {"ends_ms": now_ms, "next_ms": now_ms + engines.BEAT_MS}
    values = begun if window.starts_ms < now_ms else {"ended_ms": now_ms, "next_ms": None}
    conn.execute(update(_window).where(_window.c.id == window.id, _window.c.ended_ms.is_(None)).values(values))


def open_alerts(conn: Connection, window_id: int) -> list[str]:
    """Ids of the drill's alerts that are not closed."""
    query = select(_alert.c.id).where(_alert.c.window_id == window_id, _alert.c.status != "closed")
    return list(conn.execute(query.order_by(_alert.c.raised_ms, _alert.c.id)).scalars())


def muted_alerts(conn: Connection, org: str, site: str | None, policy: str) -> list[str]:
    """Ids of the open technical alerts that maintenance muted at this site (None: at all)."""
    query = select(_alert.c.id).where(_alert.c.org == org, _alert.c.policy == policy, _alert.c.status != "closed")
    if site is not None:
        query = query.where(_alert.c.site == site)
    return list(conn.execute(query.order_by(_alert.c.raised_ms, _alert.c.id)).scalars())


def drilled(conn: Connection, org: str, device: str, at_ms: int) -> None:
    """A press of this device was part of a drill."""
    mine = (_device.c.org == org, _device.c.id == device)
    conn.execute(update(_device).where(*mine).values(drill_ms=at_ms))


# -- what happened inside, for the report


def _rows(conn: Connection, query: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in conn.execute(query).mappings()]


def alerts_of(conn: Connection, window_id: int) -> list[dict[str, Any]]:
    """The drill's alerts, in the order in which they were raised."""
    query = (
        select(
            _alert.c.id, _alert.c.site, _alert.c.device, _alert.c.silent, _alert.c.presses, _alert.c.raised_ms,
            _alert.c.reason, _alert.c.epoch,
        )
        .where(_alert.c.window_id == window_id)
        .order_by(_alert.c.raised_ms, _alert.c.id)
    )  # fmt: skip
    return _rows(conn, query)


def answers_of(conn: Connection, window_id: int) -> list[dict[str, Any]]:
    """Who answered the drill's alerts, by what, when."""
    query = (
        select(_answer.c.alert_id, _answer.c.person_id, _answer.c.channel, _answer.c.at_ms)
        .join(_alert, _alert.c.id == _answer.c.alert_id)
        .where(_alert.c.window_id == window_id)
        .order_by(_answer.c.at_ms, _answer.c.id)
    )
    return _rows(conn, query)


def dispatches_of(conn: Connection, window_id: int) -> list[dict[str, Any]]:
    """What the drill sent: notices to people and screens, orders to lamps and alarm outputs."""
    query = (
        select(
            _dispatch.c.alert_id, _dispatch.c.kind, _dispatch.c.target, _dispatch.c.channel, _dispatch.c.person_id,
            _dispatch.c.status, _dispatch.c.error, _dispatch.c.created_ms, _dispatch.c.handed_ms,
            _dispatch.c.delivered_ms, _dispatch.c.seen_ms,
        )
        .join(_alert, _alert.c.id == _dispatch.c.alert_id)
        .where(_alert.c.window_id == window_id)
        .order_by(_dispatch.c.created_ms, _dispatch.c.id)
    )  # fmt: skip
    return _rows(conn, query)


def ledgers_of(conn: Connection, window_id: int) -> list[dict[str, Any]]:
    """The ledgers of the drill's presses."""
    query = (
        select(
            _ledger.c.alert_id, _ledger.c.device, _ledger.c.b, _ledger.c.n, _ledger.c.contact_ms,
            _ledger.c.lamp_sent_ms, _ledger.c.answered_ms, _ledger.c.lamp_answered_ms,
        )
        .join(_alert, _alert.c.id == _ledger.c.alert_id)
        .where(_alert.c.window_id == window_id)
        .order_by(_ledger.c.contact_ms, _ledger.c.device, _ledger.c.b, _ledger.c.n)
    )  # fmt: skip
    return _rows(conn, query)


def posts_of(conn: Connection, org: str, site: str | None) -> list[dict[str, Any]]:
    """The posts in service of a window's sites."""
    query = (
        select(_device.c.id.label("device"), _device.c.name, _device.c.site, _site.c.name.label("site_name"))
        .join(_site, (_site.c.org == _device.c.org) & (_site.c.id == _device.c.site))
        .where(_device.c.org == org, _device.c.retired_ms.is_(None))
        .order_by(_device.c.site, _device.c.id)
    )
    if site is not None:
        query = query.where(_device.c.site == site)
    return _rows(conn, query)
