"""Probes: what is kept of them per device, when one is overdue, how long they took."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, func, literal, select, update

from ..domain import alerts
from ..domain.probes import GRACE_MS, Probed
from . import tables
from .dialect import Prepared

_device = tables.Device.__table__  # type: ignore[attr-defined]
_site = tables.Site.__table__  # type: ignore[attr-defined]
_ledger = tables.Ledger.__table__  # type: ignore[attr-defined]

_this = (_device.c.org == bindparam("of_org"), _device.c.id == bindparam("of_device"))
_probed = Prepared(select(_device.c.probe_every_ms, _device.c.probe_ms, _device.c.probe_by_ms).where(*_this))
_save = Prepared(
    update(_device).where(*_this).values(probe_ms=bindparam("new_probe_ms"), probe_by_ms=bindparam("new_probe_by_ms"))
)
_due = (
    select(_device.c.org, _device.c.id, _device.c.site, _device.c.presence, _device.c.probe_by_ms)
    .where(_device.c.probe_by_ms <= bindparam("now_ms"), _device.c.retired_ms.is_(None))
    .order_by(_device.c.probe_by_ms)
    .limit(bindparam("limit"))
)
_earliest = select(func.min(_device.c.probe_by_ms)).where(_device.c.retired_ms.is_(None))
_mine = (
    _ledger.c.org == bindparam("of_org"),
    _ledger.c.device == bindparam("of_device"),
    _ledger.c.b == bindparam("of_b"),
    _ledger.c.n == bindparam("of_n"),
    _ledger.c.mode == alerts.PROBE,
)
_closed = (
    update(_ledger).where(*_mine, _ledger.c.lamp_answered_ms.is_(None)).values(lamp_answered_ms=bindparam("at_ms"))
)
_handed = select(_ledger.c.handed_ms).where(*_mine)


class Due(NamedTuple):
    """A device whose probe should have come."""

    org: str
    device: str
    site: str
    presence: str
    by_ms: int


def get(conn: Connection, org: str, device: str) -> Probed:
    """What is known of a device's probes; the device is known."""
    row = _probed.first(conn, {"of_org": org, "of_device": device})
    assert row is not None
    return Probed(*row)


def save(conn: Connection, org: str, device: str, now: Probed) -> None:
    """Store when the last good one was and by when the next must come."""
    values = {"new_probe_ms": now.last_ms, "new_probe_by_ms": now.by_ms}
    _save.run(conn, {"of_org": org, "of_device": device, **values})


def confirmed(conn: Connection, org: str, device: str, b: int, n: int, at_ms: int) -> bool:
    """The post confirmed `closed`, which ends this probe's ledger. Whether its sink has it too: then it is good."""
    key = {"of_org": org, "of_device": device, "of_b": b, "of_n": n}
    conn.execute(_closed, {**key, "at_ms": at_ms})
    return conn.execute(_handed, key).scalar_one_or_none() is not None


def due(conn: Connection, now_ms: int, limit: int) -> list[Due]:
    """Devices whose instant has come, the longest waiting first."""
    return [Due(*row) for row in conn.execute(_due, {"now_ms": now_ms, "limit": limit})]


def earliest_ms(conn: Connection) -> int | None:
    """When the next probe must have come."""
    return conn.execute(_earliest).scalar_one_or_none()


def resume(conn: Connection, now_ms: int, not_before_ms: int) -> None:
    """After a start: nothing is overdue before this instant, nor further ahead than a period and its grace.

    Nor was any proven in the time to come: that clock went back since.
    """
    conn.execute(update(_device).where(_device.c.probe_ms > now_ms).values(probe_ms=now_ms))
    latest_ms = literal(now_ms + GRACE_MS, BigInteger) + _device.c.probe_every_ms
    conn.execute(update(_device).where(_device.c.probe_by_ms > latest_ms).values(probe_by_ms=latest_ms))
    early = _device.c.probe_by_ms < not_before_ms
    conn.execute(update(_device).where(early).values(probe_by_ms=not_before_ms))


def set_every(conn: Connection, org: str, device: str, every_ms: int) -> bool:
    """How often a device's probe is expected; the running instant moves with it. False: there is no such device."""
    moved = _device.c.probe_by_ms + (every_ms - _device.c.probe_every_ms)
    mine = (_device.c.org == org, _device.c.id == device, _device.c.retired_ms.is_(None))
    done = conn.execute(update(_device).where(*mine).values(probe_by_ms=moved, probe_every_ms=every_ms))
    return done.rowcount == 1


def listing(conn: Connection, org: str, site: str | None) -> list[dict[str, Any]]:
    """Devices in service with their probes, the most overdue first; those that never sent one last."""
    query = (
        select(
            _device.c.id, _device.c.name, _device.c.site, _site.c.name.label("site_name"), _device.c.presence,
            _device.c.probe_every_ms, _device.c.probe_ms, _device.c.probe_by_ms,
        )
        .join(_site, (_site.c.org == _device.c.org) & (_site.c.id == _device.c.site))
        .where(_device.c.org == org, _device.c.retired_ms.is_(None))
        .order_by(_device.c.probe_by_ms.is_(None), func.coalesce(_device.c.probe_ms, 0), _device.c.id)
    )  # fmt: skip
    if site is not None:
        query = query.where(_device.c.site == site)
    return [dict(row) for row in conn.execute(query).mappings()]


def round_trips(conn: Connection, org: str, since_ms: int, devices: Sequence[str]) -> dict[str, list[int]]:
    """ms from contact to the post's last confirmation, of each probe since an instant that went the whole way."""
    found: dict[str, list[int]] = {each: [] for each in devices}
    for start in range(0, len(devices), 500):
        query = select(_ledger.c.device, _ledger.c.lamp_answered_ms - _ledger.c.contact_ms).where(
            _ledger.c.org == org,
            _ledger.c.mode == alerts.PROBE,
            _ledger.c.contact_ms >= since_ms,
            _ledger.c.device.in_(devices[start : start + 500]),
            _ledger.c.lamp_answered_ms.is_not(None),
            _ledger.c.handed_ms.is_not(None),
        )
        for device, ms in conn.execute(query):
            found[device].append(max(0, ms))
    return found
