"""Probes that did not come: told as a technical alert of the post, once a period, until a good one clears it."""

from sqlalchemy import Connection

from .domain import liveness, probes
from .outbox import Outbox
from .store import devices
from .store import probes as rows
from .store.database import notes


def look(conn: Connection, outbox: Outbox, org: str, device: str, now_ms: int) -> bool:
    """The instant of this device has come. False: another engine is at it."""
    tracked = devices.claim(conn, org, device)
    if tracked is None:
        return False
    known = rows.get(conn, org, device)
    if known.by_ms is None or known.by_ms > now_ms:
        return True
    is_lost = tracked.presence.state == liveness.LOST
    after = probes.looked_again(known, is_lost, now_ms)
    rows.save(conn, org, device, after)
    notes(conn).wake(after.by_ms)
    if not is_lost:
        outbox.technical(conn, org, tracked.site, device, probes.SUBJECT, now_ms, last_ms=known.last_ms)
    return True
