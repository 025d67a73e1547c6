"""Beats: the newest of each device, once a period, on a thread and a connection of their own. What cannot be delivered
at once is dropped: a beat that is late says nothing.
"""

import binascii
import json
import logging
import threading
from collections import deque
from collections.abc import Callable

from tocsin_gateway import forwarding
from tocsin_gateway.connection import Connection, NotHttp, TooSlow, Unreachable
from tocsin_gateway.faults import Counts
from tocsin_gateway.forwarding import Beat
from tocsin_gateway.uplink import BadAnswer, read_publications

log = logging.getLogger(__name__)

PATH = "/api/v1/gateway/beats"
ANSWER_WITHIN_MS = 5_000
WAITING_MAX = 20_000  # beats between two periods: 100,000 devices beating every 60 s bring 1,667 a second
PORTION = 50  # beats in one request: composing it takes the interpreter for 0.2 ms, which a press may have to wait for


def compose(beats: list[Beat]) -> bytes:
    """The body of a request."""
    rows = [
        {
            "topic": beat.topic,
            "frame": binascii.b2a_base64(beat.frame, newline=False).decode(),
            "at_ms": beat.at_ms,
            "count": beat.count,
        }
        for beat in beats
    ]
    return json.dumps({"beats": rows}, separators=(",", ":")).encode()


class Beats:
    """`offer` comes from the broker's thread; `run` is the thread."""

    def __init__(
        self,
        org: str,
        period_ms: int,
        connection: Connection,
        publish: Callable[[str, bytes], None],
        may_pass: Callable[[], bool],
        counts: Counts,
    ) -> None:
        self._org = org
        self._period_ms = period_ms
        self._connection = connection
        self._publish = publish
        self._may_pass = may_pass
        self._counts = counts
        self._waiting: deque[tuple[str, bytes, int]] = deque(maxlen=WAITING_MAX)
        self._stop = threading.Event()

    def offer(self, topic: str, frame: bytes, at_ms: int) -> None:
        """A beat. Never blocks; the oldest is dropped when too many wait."""
        self._waiting.append((topic, frame, at_ms))

    def stop(self) -> None:
        """End the thread soon."""
        self._stop.set()
        self._connection.interrupt()

    def run(self) -> None:
        """Until `stop`."""
        while not self._stop.wait(self._period_ms / 1000):
            self._turn()
        self._connection.close()

    def _turn(self) -> None:
        arrived = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not arrived:
            return
        if not self._may_pass():
            self._counts.add("beats_dropped", len(arrived))
            return
        beats = forwarding.fold(arrived)
        for portion in forwarding.portions(beats, PORTION):
            if self._stop.is_set():
                return
            try:
                self._send(list(portion))
            except (Unreachable, TooSlow, NotHttp, BadAnswer) as error:
                self._counts.add("beats_dropped", sum(beat.count for beat in portion))
                log.info("beats dropped: %s", error)
                return

    def _send(self, portion: list[Beat]) -> None:
        answer = self._connection.post(PATH, compose(portion), ANSWER_WITHIN_MS)
        if answer.status != 200:
            raise NotHttp(f"status {answer.status}")
        try:
            document = json.loads(answer.body)
            publications = read_publications(document["publish"], self._org)
            refused = len(document.get("refused") or ())
        except (ValueError, TypeError, KeyError, RecursionError, AttributeError):
            raise BadAnswer("an answer to beats that makes no sense") from None
        for topic, frame in publications:
            self._publish(topic, frame)
        self._counts.add("beats_forwarded", sum(beat.count for beat in portion))
        if refused:
            self._counts.add("beats_refused", refused)
