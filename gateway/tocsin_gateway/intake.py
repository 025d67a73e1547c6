"""Store, then acknowledge: one thread commits whatever has arrived, all of it in one transaction, and then sends the
PUBACKs. A lone press never waits for company, and what comes during a commit shares the next one.

Alerts are not made to wait for the commit before they are sent: the uplink gets them at the same instant (`app.py`).
That breaks no promise. The PUBACK still follows the commit, or the backend's own `stored`, which is the stronger of the
two; a crash in between leaves the message with the broker, who sends it again, and the backend knows it already.
"""

import logging
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tocsin_gateway import forwarding, spool
from tocsin_gateway.clock import epoch_ms, steady_ms
from tocsin_gateway.faults import Counts, Faults
from tocsin_gateway.forwarding import ALERT, Arrival, lane_of

log = logging.getLogger(__name__)

COMMIT_MOST = 500  # messages in one transaction: 3 ms of SQLite, which an alert may have to wait for
TURN_S = 0.5  # without arrivals: when what the backend has is deleted, and a failed disk is tried again
LOOK_EVERY_MS = 5_000  # how often the room on the disk is looked at


class Puback(Protocol):
    """Sends a PUBACK for packet `mid` of connection `session`; does nothing when that connection is gone."""

    def __call__(self, session: int, mid: int) -> None: ...


class Intake:
    """Between the broker and the spool. `offer`, `settle`, `refuse` come from other threads; `run` is the thread."""

    def __init__(
        self,
        path: Path,
        puback: Puback,
        held: Callable[[Arrival], None],
        faults: Faults,
        counts: Counts,
        free_min: int,
    ) -> None:
        self._puback = puback
        self._held = held
        self._faults = faults
        self._counts = counts
        self._free_min = free_min
        self._folder = path.parent
        self._writer = spool.Writer(path)
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._alerts: deque[Arrival] = deque()
        self._rest: deque[Arrival] = deque()
        self._answers: deque[tuple[int, str]] = deque()  # (id, reason): reason "" when the backend has it
        self._unheld: dict[tuple[int, int], Arrival] = {}  # what the broker still keeps for us, by (session, mid)
        self._by_id: dict[int, Arrival] = {}  # the same
        self._settled: list[int] = []
        self._refused: list[tuple[int, str]] = []
        self._refused_unstored: list[tuple[Arrival, str]] = []
        self._looked_ms = -(10**9)
        self._stopping = False
        self.storage = forwarding.SOUND

    def offer(self, arrival: Arrival) -> None:
        """A message to store. Never blocks."""
        self._unheld[arrival.session, arrival.mid] = arrival
        self._by_id[arrival.id] = arrival
        (self._alerts if lane_of(arrival.topic) == ALERT else self._rest).append(arrival)
        self._wake.put(None)

    def knows(self, session: int, mid: int, topic: str, frame: bytes) -> bool:
        """Whether this is a message we hold unacknowledged already: brokers repeat what waits for its PUBACK."""
        known = self._unheld.get((session, mid))
        return known is not None and known.topic == topic and known.frame == frame

    def settle(self, identity: int) -> None:
        """The backend has it: it may be forgotten, along with the next commit; no disk is kept busy for that alone."""
        self._answers.append((identity, ""))
        if identity in self._by_id:
            self._wake.put(None)

    def refuse(self, identity: int, reason: str) -> None:
        """The backend will never take it: it goes to quarantine."""
        self._answers.append((identity, reason))
        self._wake.put(None)

    def lost_session(self, session: int) -> None:
        """The broker will send again what it was not acknowledged on this connection."""
        for key in [key for key in list(self._unheld) if key[0] == session]:
            self._unheld.pop(key, None)

    def unheld(self) -> int:
        """How many messages wait for the disk."""
        return len(self._by_id)

    def stop(self) -> None:
        """Let `run` return after it has committed what it can."""
        self._stopping = True
        self._wake.put(None)

    def run(self) -> None:
        """Until `stop`. An error of the disk is a fault, never an end."""
        while True:
            try:
                self._wake.get(timeout=TURN_S)
                while True:
                    self._wake.get_nowait()
            except queue.Empty:
                pass
            self._sort_answers()
            done = self._turn()
            if self._stopping and (done or self.storage == forwarding.FAILED):
                self._writer.close()
                return

    def _sort_answers(self) -> None:
        while self._answers:
            identity, reason = self._answers.popleft()
            arrival = self._by_id.get(identity)
            if arrival is None:
                if reason:
                    self._refused.append((identity, reason))
                else:
                    self._settled.append(identity)
            elif reason:
                arrival.settled = True
                self._refused_unstored.append((arrival, reason))
            else:
                arrival.settled = True
                self._release(arrival)

    def _turn(self) -> bool:
        """Commit once; whether nothing is left to commit."""
        batch: list[Arrival] = []
        for lane in (self._alerts, self._rest):
            while lane and len(batch) < COMMIT_MOST:
                arrival = lane.popleft()
                if not arrival.settled and arrival.id in self._by_id:
                    batch.append(arrival)
        change = spool.Change(batch, self._settled, self._refused, self._refused_unstored)
        now_ms = epoch_ms()
        try:
            if batch or self._settled or self._refused or self._refused_unstored:
                self._writer.apply(change, now_ms)
                self._settled, self._refused = [], []
            elif self.storage == forwarding.FAILED:
                self._writer.probe(now_ms)
        except sqlite3.Error as error:
            for arrival in reversed(batch):
                (self._alerts if lane_of(arrival.topic) == ALERT else self._rest).appendleft(arrival)
            self._counts.add("commits_failed")
            self._disk(forwarding.COMMIT_FAILED, f"the spool cannot be written: {error}")
            return False
        for arrival in batch:
            arrival.held_ms = now_ms
            self._release(arrival)
            self._held(arrival)
        for arrival, _ in self._refused_unstored:
            self._release(arrival)
        self._refused_unstored = []
        self._look_at_disk()
        if self._alerts or self._rest:
            self._wake.put(None)
            return False
        return True

    def _release(self, arrival: Arrival) -> None:
        """It is safe, here or at the backend: the broker may forget it."""
        self._by_id.pop(arrival.id, None)
        if self._unheld.get((arrival.session, arrival.mid)) is arrival:
            del self._unheld[arrival.session, arrival.mid]
        self._puback(arrival.session, arrival.mid)

    def _look_at_disk(self) -> None:
        now_ms = steady_ms()
        if self.storage == forwarding.SOUND and now_ms - self._looked_ms < LOOK_EVERY_MS:
            return
        self._looked_ms = now_ms
        try:
            free = spool.free_bytes(self._folder)
        except OSError as error:
            self._disk(forwarding.COMMIT_FAILED, f"the spool's disk does not answer: {error.strerror}")
            return
        if free < self._free_min:
            self._disk(forwarding.LITTLE_ROOM, f"{free // 1_000_000} MB left on the spool's disk")
        else:
            self._disk(forwarding.ROOMY, "")

    def _disk(self, shown: str, text: str) -> None:
        self.storage = forwarding.STORAGE_AFTER[shown]
        for state, name in ((forwarding.TIGHT, "storage-tight"), (forwarding.FAILED, "storage-failed")):
            if self.storage == state:
                self._faults.begin(name, text)
            else:
                self._faults.end(name)


def start(target: Callable[[], None], name: str) -> threading.Thread:
    """A daemon thread: what must survive is on the disk, so nothing waits for one at the end."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread
