"""Short messages by the modem of a gateway: down with the gateway's other rows, and what became of them back up.

    {"id": 41, "sms": {"id": "<dispatch id>", "to": "+33612345678", "text": "…", "ttl_s": 30}}       downlink row
    {"reports": [{"id": "<dispatch id>", "r": "accepted", "error": ""}]}                              what comes back

A worker of the channel waits here for the gateway's first word, 30 s at most; no word is a temporary refusal, and the
row is taken back. The gateway knows what it has sent by its id: the same message twice leaves once.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.store import contacts as contact_rows
from tocsin_backend.store import downlink
from tocsin_backend.store.database import Database, Priority, notes

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
            self._database.write(lambda conn: self._down(conn, waiting, message_id, to, text), Priority.ENGINE).result()
            waiting.heard.wait(self._wait_ms / 1000)
        finally:
            with self._lock:
                if self._waiting.get(message_id) is waiting:
                    del self._waiting[message_id]
        if waiting.word in (ACCEPTED, DELIVERED):
            confirmed = "delivered" if waiting.word == DELIVERED else ""
            return Outcome(True, provider_id=f"gateway:{gateway}", confirmed=confirmed)
        self._database.write(lambda conn: downlink.withdraw(conn, message_id), Priority.ENGINE).result()
        if not waiting.word:
            return Outcome(False, error=f"the gateway {gateway} did not say within {self._wait_ms // 1000} s")
        error = {NO_MODEM: "has no modem", EXPIRED: "was too late"}.get(waiting.word, f"refused: {waiting.error}"[:160])
        return Outcome(False, permanent=waiting.word == NO_MODEM, error=f"the gateway {gateway} {error}")

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

    def _down(self, conn: Connection, waiting: _Waiting, message_id: str, to: str, text: str) -> None:
        org, gateway = waiting.of
        until_ms = self._now_ms() + self._wait_ms
        downlink.add_sms(conn, org, gateway, message_id, {"to": to, "text": text, "until_ms": until_ms}, self._now_ms())
        notes(conn).downlinks.add((org, gateway))
