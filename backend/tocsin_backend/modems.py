"""Short messages by the modem of a gateway: down with the gateway's other rows, and what became of them back up.

    {"id": 41, "sms": {"id": "<dispatch id>", "to": "+33612345678", "text": "…", "ttl_s": 30}}       downlink row
    {"reports": [{"id": "<dispatch id>", "r": "accepted", "error": ""}]}                              what comes back

A worker of the channel waits here for the gateway's first word, 30 s at most; no word is a temporary refusal, and the
row is taken back. The gateway knows what it has sent by its id: the same message twice leaves once.

A word may come to another process than the one that waits, or after the wait. Whoever hears it then records it
(answering.py), and the worker that waits learns of it by the commit.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Connection

from tocsin_backend.domain import dispatches
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.store import contacts as contact_rows
from tocsin_backend.store import dispatches as dispatch_rows
from tocsin_backend.store import downlink
from tocsin_backend.store.database import Database, Notes, Priority, notes

WAIT_MS = 30_000  # for the gateway's first word
ROUTES_MS = 30_000  # how long an organisation's choice is believed
ACCEPTED, DELIVERED, REFUSED, NO_MODEM, EXPIRED = "accepted", "delivered", "refused", "no-modem", "expired"
WORDS = (ACCEPTED, DELIVERED, REFUSED, NO_MODEM, EXPIRED)


@dataclass(slots=True)
class _Waiting:
    """A worker that waits for the first word about one message."""

    of: tuple[str, str]  # organisation, gateway
    heard: threading.Event = field(default_factory=threading.Event)
    word: str = ""
    error: str = ""
    alert_id: str = ""  # whose message it is; "": no alert's


class Modems:
    """Thread-safe; what channels/sms.py calls routes."""

    def __init__(self, database: Database, now_ms: Callable[[], int], wait_ms: int = WAIT_MS) -> None:
        self._database = database
        self._now_ms = now_ms
        self._wait_ms = wait_ms
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}
        self._routes: dict[str, str] = {}
        self._routes_until_ms = 0
        self._closing = False
        database.after_commit(self._committed)

    def gateway_of(self, org: str) -> str | None:
        """The gateway whose modem sends for this organisation; None: a provider does. Raises Unavailable."""
        now_ms = self._now_ms()
        if now_ms >= self._routes_until_ms:
            with self._database.read() as conn:
                self._routes = contact_rows.sms_routes(conn)
            self._routes_until_ms = now_ms + ROUTES_MS
        way, _, gateway = self._routes.get(org, "").partition(":")
        return gateway if way == "gateway" else None

    def send(self, org: str, gateway: str, message_id: str, to: str, text: str) -> Outcome:
        """Hand it to the gateway and wait for its first word. Raises Unavailable."""
        waiting = _Waiting((org, gateway))
        with self._lock:
            if self._closing:
                return Outcome(False, error="the server is stopping")
            self._waiting[message_id] = waiting
        try:
            job = partial(self._down, waiting, message_id, to, text)
            if not self._database.write(job, Priority.ENGINE).result():
                return Outcome(False, permanent=True, error=f"the gateway {gateway} is revoked: choose another way")
            settled = self._wait(waiting, message_id)
        finally:
            with self._lock:
                if self._waiting.get(message_id) is waiting:
                    del self._waiting[message_id]
        if settled is not None:
            return settled
        if waiting.word:
            outcome = outcome_of(gateway, waiting.word, waiting.error)
        else:
            outcome = Outcome(False, error=f"the gateway {gateway} did not say within {self._wait_ms // 1000} s")
        if not outcome.accepted:
            self._database.write(lambda conn: downlink.withdraw(conn, message_id), Priority.ENGINE).result()
        return outcome

    def _wait(self, waiting: _Waiting, message_id: str) -> Outcome | None:
        """Until the first word, or the end of the wait; what became of the message if it was settled without us."""
        until_s = time.monotonic() + self._wait_ms / 1000
        while waiting.heard.wait(max(0.0, until_s - time.monotonic())):
            waiting.heard.clear()
            if waiting.word or self._closing:
                return None
            with self._database.read() as conn:
                now = dispatch_rows.get(conn, message_id)
            if now is None or now.status == dispatches.LEASED:
                continue
            if now.status == dispatches.CANCELLED:  # answered meanwhile: what has not gone down stays here
                self._database.write(lambda conn: downlink.withdraw(conn, message_id), Priority.ENGINE).result()
            accepted = now.status in (dispatches.HANDED, *dispatches.REACHED)
            return Outcome(accepted, error=now.error, provider_id=now.provider_id)
        return None

    def heard(self, org: str, gateway: str, message_id: str, word: str, error: str) -> bool:
        """A gateway's word about a message; True when a worker was waiting for it, who then reports it."""
        with self._lock:
            waiting = self._waiting.get(message_id)
            if waiting is None or waiting.of != (org, gateway) or waiting.word:
                return False
            waiting.word, waiting.error = word, error
        waiting.heard.set()
        return True

    def close(self) -> None:
        """Nobody waits any longer: what was not confirmed is sent again after the next start."""
        with self._lock:
            self._closing = True
            left = list(self._waiting.values())
        for each in left:
            each.heard.set()

    def _committed(self, heard: Notes) -> None:
        """An alert changed, here or in another process: whoever waits for a message of it looks at it."""
        with self._lock:
            for each in self._waiting.values():
                if each.alert_id in heard.alerts:
                    each.heard.set()

    def _down(self, waiting: _Waiting, message_id: str, to: str, text: str, conn: Connection) -> bool:
        """False: nobody listens there any more."""
        org, gateway = waiting.of
        if not contact_rows.gateway_serves(conn, org, gateway):
            return False
        of = dispatch_rows.get(conn, message_id)
        waiting.alert_id = "" if of is None else of.alert_id
        until_ms = self._now_ms() + self._wait_ms
        downlink.add_sms(conn, org, gateway, message_id, {"to": to, "text": text, "until_ms": until_ms}, self._now_ms())
        notes(conn).downlinks.add((org, gateway))
        return True


def outcome_of(gateway: str, word: str, error: str) -> Outcome:
    """What a gateway's word means for the try."""
    if word in (ACCEPTED, DELIVERED):
        confirmed = dispatches.DELIVERED if word == DELIVERED else ""
        return Outcome(True, provider_id=f"gateway:{gateway}", confirmed=confirmed)
    said = {NO_MODEM: "has no modem", EXPIRED: "was too late"}.get(word, f"refused: {error}"[:160])
    return Outcome(False, permanent=word == NO_MODEM, error=f"the gateway {gateway} {said}")
