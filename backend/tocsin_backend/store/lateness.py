"""How late timers were served: one row an hour, timer and engine."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from ..domain import alerts
from ..domain.lateness import AFTER_RESTART, SUBJECT, Tally
from . import tables
from .dialect import insert_or_add

_lateness = tables.TimerLateness.__table__  # type: ignore[attr-defined]
_alert = tables.Alert.__table__  # type: ignore[attr-defined]
HOUR_MS = 3_600_000
ALERTS_ASKED = 500  # ids in one question; more late alerts than that belong to the same organisations


def add(conn: Connection, owner: str, now_ms: int, tallies: Mapping[str, Tally]) -> None:
    """Add what an engine served to this hour's rows: one statement for all timers."""
    hour_ms = now_ms - now_ms % HOUR_MS
    rows = [
        {
            "timer": timer, "hour_ms": hour_ms, "owner": owner, "served": tally.served, "over": tally.over,
            "total_ms": tally.total_ms, "max_ms": tally.max_ms,
        }
        for timer, tally in sorted(tallies.items())
    ]  # fmt: skip
    if rows:
        keys, sums = ("timer", "hour_ms", "owner"), ("served", "over", "total_ms")
        conn.execute(insert_or_add(_lateness, conn.dialect.name, keys, sums, ("max_ms",)), rows)


def since(conn: Connection, since_ms: int) -> list[dict[str, Any]]:
    """The rows of the hours since an instant, newest first; `mean_ms` is rounded."""
    query = (
        select(_lateness)
        .where(_lateness.c.hour_ms >= since_ms - since_ms % HOUR_MS)
        .order_by(_lateness.c.hour_ms.desc(), _lateness.c.timer, _lateness.c.owner)
    )
    found = [dict(row) for row in conn.execute(query).mappings()]
    return [row | {"mean_ms": round(row["total_ms"] / max(1, row["served"]))} for row in found]


def over_since(conn: Connection, since_ms: int) -> int:
    """How many timers were late in the hours since an instant, by any engine; those after a restart not counted."""
    query = select(func.coalesce(func.sum(_lateness.c.over), 0)).where(
        _lateness.c.hour_ms >= since_ms - since_ms % HOUR_MS, _lateness.c.timer.not_like("%" + AFTER_RESTART)
    )
    return int(conn.execute(query).scalar_one())


def organisations_of(conn: Connection, alert_ids: Collection[str]) -> set[str]:
    """The organisations of these alerts."""
    asked = sorted(alert_ids)[:ALERTS_ASKED]
    return set(conn.execute(select(_alert.c.org).where(_alert.c.id.in_(asked)).distinct()).scalars())


def alarmed(conn: Connection) -> set[str]:
    """The organisations that have an open alert about lateness."""
    query = select(_alert.c.org).where(
        _alert.c.subject == SUBJECT,
        _alert.c.category == alerts.TECHNICAL,
        _alert.c.status != alerts.CLOSED,
        _alert.c.condition == alerts.ACTIVE,
    )
    return set(conn.execute(query).scalars())
