"""What the API lists and /metrics counts, beyond what the supervisors' screen reads (board.py)."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, func, select

from tocsin_backend.store import board
from tocsin_backend.store.tables import Alert, Device, Dispatch, Evidence, Ledger, Signal, Site

_alert = Alert.__table__  # type: ignore[attr-defined]
_device = Device.__table__  # type: ignore[attr-defined]
_dispatch = Dispatch.__table__  # type: ignore[attr-defined]
_evidence = Evidence.__table__  # type: ignore[attr-defined]
_ledger = Ledger.__table__  # type: ignore[attr-defined]
_signal = Signal.__table__  # type: ignore[attr-defined]
_site = Site.__table__  # type: ignore[attr-defined]

Row = dict[str, Any]


def alert_ids(
    conn: Connection,
    org: str,
    statuses: Collection[str],
    device: str | None,
    before_ms: int | None,
    limit: int,
    modes: Collection[str] = ("real", "drill"),
    category: str | None = None,
    told: int | None = None,
) -> list[str]:
    """Ids of an organisation's alerts, the newest raised first; `before_ms` is where an earlier list ended.

    `told`, a person of the organisation: instead those of other organisations of which that person was told.
    """
    whose = (_alert.c.org == org) if told is None else (_alert.c.org != org) & _alert.c.id.in_(board.told(told))
    query = (
        select(_alert.c.id)
        .where(whose, _alert.c.status.in_(statuses), _alert.c.mode.in_(modes))
        .order_by(_alert.c.raised_ms.desc(), _alert.c.id)
        .limit(limit)
    )
    if device is not None:
        query = query.where(_alert.c.device == device)
    if category is not None:
        query = query.where(_alert.c.category == category)
    if before_ms is not None:
        query = query.where(_alert.c.raised_ms < before_ms)
    return list(conn.execute(query).scalars())


def signals(conn: Connection, alert_id: str) -> list[Row]:
    """The signals that an alert gathered, in the order in which they were stored."""
    query = (
        select(
            _signal.c.device, _signal.c.b, _signal.c.n, _signal.c.kind, _signal.c.contact_ms, _signal.c.quality,
            _signal.c.stored_ms, _signal.c.tries, _signal.c.gateway,
        )
        .where(_signal.c.alert_id == alert_id)
        .order_by(_signal.c.id)
    )  # fmt: skip
    return [dict(row) for row in conn.execute(query).mappings()]


def devices(conn: Connection, org: str, site: str | None) -> list[Row]:
    """The devices in service of an organisation, with their presence and what they last said of themselves."""
    query = (
        select(
            _device.c.id, _device.c.site, _site.c.name.label("site_name"), _device.c.kind, _device.c.name,
            _device.c.policy, _device.c.presence, _device.c.last_seen_ms, _device.c.expected_by_ms, _device.c.gateway,
            _device.c.boot, _device.c.last_n, _device.c.beat, _device.c.beat_ms, _device.c.info, _device.c.created_ms,
        )
        .join(_site, (_site.c.org == _device.c.org) & (_site.c.id == _device.c.site))
        .where(_device.c.org == org, _device.c.retired_ms.is_(None))
        .order_by(_device.c.id)
    )  # fmt: skip
    if site is not None:
        query = query.where(_device.c.site == site)
    return [dict(row) for row in conn.execute(query).mappings()]


def evidence(conn: Connection, org: str, reason: str | None, before_id: int | None, limit: int) -> list[Row]:
    """Refused frames that came through an organisation's gateways, newest first."""
    query = select(_evidence).where(_evidence.c.org == org).order_by(_evidence.c.id.desc()).limit(limit)
    if reason is not None:
        query = query.where(_evidence.c.reason == reason)
    if before_id is not None:
        query = query.where(_evidence.c.id < before_id)
    return [dict(row) for row in conn.execute(query).mappings()]


def ledgers_since(conn: Connection, org: str, since_ms: int, limit: int) -> list[Row]:
    """The newest ledgers of an organisation's real presses stored since an instant; no drill, no probe."""
    query = (
        select(_ledger)
        .where(_ledger.c.org == org, _ledger.c.stored_ms >= since_ms, _ledger.c.mode == "real")
        .order_by(_ledger.c.stored_ms.desc())
        .limit(limit)
    )
    return [dict(row) for row in conn.execute(query).mappings()]


# -- figures


def alert_figures(conn: Connection) -> list[tuple[str, str, str, str, int]]:
    """(org, category, mode, status, number of alerts)."""
    columns = (_alert.c.org, _alert.c.category, _alert.c.mode, _alert.c.status)
    return [tuple(row) for row in conn.execute(select(*columns, func.count()).group_by(*columns))]


def dispatch_figures(conn: Connection) -> list[tuple[str, str, int]]:
    """(channel, status, number of dispatches)."""
    columns = (_dispatch.c.channel, _dispatch.c.status)
    return [tuple(row) for row in conn.execute(select(*columns, func.count()).group_by(*columns))]


def signal_figures(conn: Connection) -> list[tuple[str, str, int]]:
    """(org, kind, number of signals)."""
    columns = (_signal.c.org, _signal.c.kind)
    return [tuple(row) for row in conn.execute(select(*columns, func.count()).group_by(*columns))]


def presence_figures(conn: Connection) -> list[tuple[str, str, int]]:
    """(org, presence, number of devices in service)."""
    columns = (_device.c.org, _device.c.presence)
    query = select(*columns, func.count()).where(_device.c.retired_ms.is_(None)).group_by(*columns)
    return [tuple(row) for row in conn.execute(query)]


def unanswered(conn: Connection) -> int:
    """Open alerts whose policy ran to its end without an answer."""
    query = select(func.count()).select_from(_alert).where(_alert.c.status != "closed", _alert.c.unanswered.is_(True))
    return int(conn.execute(query).scalar_one())
