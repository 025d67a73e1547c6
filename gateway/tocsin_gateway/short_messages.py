"""Short messages for this gateway's modem: taken from the downlink, sent once, and what became of them told upstream.

    {"id": "<dispatch id>", "to": "+33612345678", "text": "…", "ttl_s": 30}         what comes down
    {"reports": [{"id": "<dispatch id>", "r": "accepted", "error": ""}]}            what goes up

`r` is accepted, delivered, refused, expired or no-modem. The same id is sent once: a row that comes again is answered
with what is known of it. A gateway without a modem answers at once, so that the backend tries another way.
"""

import collections
import json
import logging
import queue
import random
import threading
from typing import Any, Protocol

from tocsin_gateway import forwarding
from tocsin_gateway.clock import steady_ms
from tocsin_gateway.connection import Connection, NotHttp, TooSlow, Unreachable
from tocsin_gateway.faults import Counts

log = logging.getLogger(__name__)

PATH = "/api/v1/gateway/sms/reports"
WITHIN_MS = 5_000
BACKOFF_MAX_MS = 5_000
WAITING_MAX = 100  # messages that wait for the modem; it sends one in 3 to 5 s, and the backend waits 30 s
REPORTS_MAX = 500  # that wait for the backend; beyond, the oldest goes: it takes silence for a refusal
KNOWN_MAX = 1_000  # ids whose word is remembered
ACCEPTED, REFUSED, EXPIRED, NO_MODEM = "accepted", "refused", "expired", "no-modem"


class Refused(Exception):
    """The modem or its network did not take the message; the text says why."""


class Modem(Protocol):
    """What sends: one call at a time, from one thread."""

    def send(self, to: str, text: str) -> None:
        """Hand one message to the network. Raises Refused."""
        ...


class ShortMessages:
    """Two threads: `run` sends what came down, `run_reports` tells the backend. `modem`: None where there is none."""

    def __init__(self, modem: Modem | None, connection: Connection, counts: Counts) -> None:
        self._modem = modem
        self._connection = connection
        self._counts = counts
        self._lock = threading.Lock()
        self._known: collections.OrderedDict[str, tuple[str, str]] = collections.OrderedDict()
        self._until_ms: dict[str, int] = {}  # of what waits for the modem: after it the backend has given up
        self._waiting: queue.Queue[tuple[str, str, str] | None] = queue.Queue(WAITING_MAX)
        self._reports: collections.deque[dict[str, str]] = collections.deque(maxlen=REPORTS_MAX)
        self._told = threading.Condition()
        self._stop = threading.Event()
        self._random = random.Random()  # noqa: S311 (spreads retries; guards nothing)

    def take(self, message: Any) -> None:
        """One message from the downlink; never waits. What makes no sense is answered too, if it has an id.

        One that waits already is given the time of its newest row: the backend still wants it.
        """
        identity = message.get("id") if isinstance(message, dict) else None
        if not isinstance(identity, str) or not 0 < len(identity) <= 64:
            log.error("a short message without an id came down")
            return
        to, text, ttl_s = message.get("to"), message.get("text"), message.get("ttl_s")
        makes_sense = isinstance(to, str) and isinstance(text, str) and type(ttl_s) is int and 0 <= ttl_s <= 3600
        with self._lock:
            if makes_sense and identity in self._until_ms:
                self._until_ms[identity] = steady_ms() + ttl_s * 1000
            known = self._known.get(identity)
            if known is None:
                self._known[identity] = ("", "")
                if len(self._known) > KNOWN_MAX:
                    self._known.popitem(last=False)
        if known is not None:
            if known[0]:
                self._report(identity, *known)
            return
        if self._modem is None:
            self._settle(identity, NO_MODEM, "")
            return
        if not makes_sense:
            self._settle(identity, REFUSED, "the message makes no sense to this gateway")
            return
        with self._lock:
            self._until_ms[identity] = steady_ms() + ttl_s * 1000
        try:
            self._waiting.put_nowait((identity, to, text))
        except queue.Full:
            self._forget(identity)
            self._report(identity, REFUSED, "too many messages wait for the modem")

    def refuse(self, kind: Any) -> None:
        """A downlink item of a kind that this gateway does not know: {kind: {"id": …}}; told upstream at once."""
        identity = kind.get("id") if isinstance(kind, dict) else None
        if isinstance(identity, str) and 0 < len(identity) <= 64:
            self._report(identity, NO_MODEM, "this gateway does not know that kind of order")

    def run(self) -> None:
        """Send, one after another, until `stop`."""
        while True:
            message = self._waiting.get()
            if message is None:
                return
            identity, to, text = message
            with self._lock:
                late = steady_ms() >= self._until_ms.pop(identity, 0)
            if late:
                self._forget(identity)  # its next try is a new one, with a time of its own
                self._report(identity, EXPIRED, "")
                continue
            assert self._modem is not None, "nothing is put into the queue without one"
            try:
                self._modem.send(to, text)
            except Refused as error:
                self._forget(identity)  # the backend tries again under the same id
                self._report(identity, REFUSED, str(error)[:200])
            except Exception:
                log.exception("the modem failed")
                self._forget(identity)
                self._report(identity, REFUSED, "the modem failed")
            else:
                self._counts.add("sms_sent")
                self._settle(identity, ACCEPTED, "")

    def delivered(self, identity: str) -> None:
        """The network says that the message reached the telephone."""
        self._settle(identity, "delivered", "")

    def run_reports(self) -> None:
        """Tell the backend until `stop`; what it could not be told now is told later."""
        attempt = 0
        while not self._stop.is_set():
            with self._told:
                self._told.wait_for(lambda: self._reports or self._stop.is_set())
                batch = list(self._reports)
            if not batch:
                continue
            try:
                answer = self._connection.post(PATH, json.dumps({"reports": batch}).encode(), WITHIN_MS)
                # A report that the backend finds malformed would be refused for ever, and hold up the others.
                done = answer.status == 200 or (400 <= answer.status < 500 and answer.status not in (401, 408, 429))
            except (Unreachable, TooSlow, NotHttp):
                done = False
            if done:
                attempt = 0
                with self._told:
                    for each in batch:
                        if self._reports and self._reports[0] is each:
                            self._reports.popleft()
                continue
            self._stop.wait(forwarding.backoff_ms(attempt, BACKOFF_MAX_MS, self._random.random()) / 1000)
            attempt += 1
        self._connection.close()

    def stop(self) -> None:
        """End both threads soon; a message that waits for the modem is not sent."""
        self._stop.set()
        while True:
            try:
                self._waiting.get_nowait()
            except queue.Empty:
                break
        self._waiting.put_nowait(None)
        with self._told:
            self._told.notify_all()
        self._connection.interrupt()

    def _settle(self, identity: str, word: str, error: str) -> None:
        with self._lock:
            self._known[identity] = (word, error)
        self._report(identity, word, error)

    def _forget(self, identity: str) -> None:
        with self._lock:
            self._known.pop(identity, None)
            self._until_ms.pop(identity, None)

    def _report(self, identity: str, word: str, error: str) -> None:
        with self._told:
            self._reports.append({"id": identity, "r": word, "error": error})
            self._told.notify_all()
