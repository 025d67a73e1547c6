"""CAP 1.2: the message goes into the organisation's feed and, if a folder is named, into a file as well.

    {folder}/{organisation}/{identifier}.xml      whole or not there: written beside, synced, then renamed

The message says how the alert is when it is issued: a try that comes late tells no stale news. What was issued once is
never composed again, so that a file that could not be written is the same message on the next try.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection

from ..clock import Clock
from ..domain import alerts, cap
from ..domain.dispatches import Outcome
from ..store import alerts as alert_rows
from ..store import cap as messages
from ..store.database import Database, Priority
from . import DEADLINE_S, Outgoing


class Cap:
    """`sender_host`: what stands behind the @ of the sender. `folder`: where files go; None: the feed only."""

    name = "cap"
    workers = 1  # in the order of the alerts, since a message references the ones before
    confirms = ("handed",)
    answers = ""

    def __init__(self, database: Database, clock: Clock, sender_host: str, folder: Path | None = None) -> None:
        self._database = database
        self._clock = clock
        self._sender_host = sender_host
        self._folder = folder

    def send(self, outgoing: Outgoing) -> Outcome:
        """Issue what there is to say; nothing new is a success. A drill or a probe is refused."""

        def job(conn: Connection) -> tuple[str, str, str] | Outcome:
            return self._issue(conn, outgoing)

        issued = self._database.write(job, Priority.ENGINE).result(DEADLINE_S)
        if isinstance(issued, Outcome):
            return issued
        org, identifier, body = issued
        if self._folder is not None:
            try:
                write_whole(self._folder / org / f"{identifier}.xml", body.encode())
            except OSError as error:
                return Outcome(False, error=f"the file could not be written: {error.strerror}", provider_id=identifier)
        return Outcome(True, provider_id=identifier)

    def close(self) -> None:
        """Nothing is kept."""

    def _issue(self, conn: Connection, outgoing: Outgoing) -> tuple[str, str, str] | Outcome:
        alert = alert_rows.get(conn, outgoing.alert_id)
        assert alert is not None, "a dispatch belongs to an alert (foreign key)"
        if alert.mode != alerts.REAL:
            return Outcome(False, permanent=True, error="a drill or a probe never leaves by cap")
        known = messages.of_dispatch(conn, outgoing.dispatch_id)
        if known is not None:
            return alert.org, *known
        place, zone = messages.place(conn, alert.device_org, alert.site, alert.device)
        identifier, sender = f"tocsin-{outgoing.dispatch_id}", f"{alert.org}@{self._sender_host}"
        now_ms = self._clock.now_ms()
        earlier = messages.earlier(conn, alert.id)
        issued = cap.compose(alert, place, earlier, identifier, sender, now_ms, zone)
        if issued is None:
            return Outcome(True)
        messages.add(conn, outgoing.dispatch_id, alert.org, alert.id, issued, now_ms)
        return alert.org, issued.identifier, issued.body


def write_whole(path: Path, content: bytes) -> None:
    """A file that is there whole, even after a power cut, or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(beside).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(beside).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
