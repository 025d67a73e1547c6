"""Writing and checking timelines. The table is append-only: triggers refuse anything but INSERT."""

from dataclasses import fields

from sqlalchemy import Connection, bindparam, insert, select

from ..domain import timeline
from ..domain.timeline import Entry, Flaw
from . import tables
from .dialect import Prepared

_entry = tables.TimelineEntry.__table__  # type: ignore[attr-defined]
_alert = tables.Alert.__table__  # type: ignore[attr-defined]

_names = tuple(field.name for field in fields(Entry))
_columns = [_entry.c[name] for name in _names]
_insert = Prepared(insert(_entry), _names)
_of = (
    select(*_columns)
    .where(_entry.c.alert_id == bindparam("key"), _entry.c.origin == bindparam("origin"))
    .order_by(_entry.c.seq)
)


def add(conn: Connection, entries: tuple[Entry, ...]) -> None:
    """Append entries."""
    _insert.run_many(conn, [{name: getattr(each, name) for name in _names} for each in entries])


def of(conn: Connection, alert_id: str, origin: str = timeline.BACKEND) -> list[Entry]:
    """One chain, in the order of its numbers."""
    return [Entry(*row) for row in conn.execute(_of, {"key": alert_id, "origin": origin})]


def verify(conn: Connection) -> tuple[int, list[Flaw]]:
    """(alerts checked, the first flaw of each chain that has one), oldest alert first: `tocsin verify`."""
    flaws: list[Flaw] = []
    known = set()
    heads = select(_alert.c.id, _alert.c.timeline_seq, _alert.c.timeline_hash).order_by(_alert.c.raised_ms)
    for alert_id, seq, digest in conn.execute(heads).all():
        known.add(alert_id)
        flaw = timeline.verify(of(conn, alert_id), seq, digest)
        if flaw is not None:
            flaws.append(Flaw(alert_id, flaw.origin, flaw.seq, flaw.reason))
    for (stray,) in conn.execute(select(_entry.c.alert_id).distinct()):
        if stray not in known:
            flaws.append(Flaw(stray, timeline.BACKEND, 1, "its alert is missing"))
    return len(known), flaws
