"""From the backend: a stream that we open, so that it works behind NAT. Each row is published at QoS 1, and
acknowledged to the backend after the broker's PUBACK; a new stream begins after the last acknowledged row.
"""

import binascii
import json
import logging
import queue
import random
import threading
from collections.abc import Callable

from tocsin_wire.limits import MAX_RECEIVED

from tocsin_gateway import forwarding
from tocsin_gateway.clock import steady_ms
from tocsin_gateway.connection import Connection, NotHttp, TooSlow, Unreachable
from tocsin_gateway.faults import Counts, Faults
from tocsin_gateway.heartbeat import Heartbeat
from tocsin_gateway.short_messages import ShortMessages

log = logging.getLogger(__name__)

PATH = "/api/v1/gateway/downlink"
SILENCE_MS = 15_000  # the backend says that it lives every 5 s
ACK_WITHIN_MS = 5_000
UNDER_WAY_MAX = 200  # rows published without PUBACK yet: beyond, the stream is not read
PUBACK_WITHIN_S = 30.0  # after it the stream is opened again from the last row that is sure
BACKOFF_MAX_MS = 5_000

Publish = Callable[[str, bytes, Callable[[], None], int], None]
"""Publish at QoS 1 and call back after the PUBACK, or once it is too late: the instant of steady_ms after which the
frame is worth nothing, 0 for never."""


class Window:
    """Which rows the broker has taken: `upto` is the last before which none is missing. Pure; for one thread."""

    def __init__(self, upto: int) -> None:
        self.upto = upto
        self._order: list[int] = []
        self._taken: set[int] = set()

    def __len__(self) -> int:
        return len(self._order)

    def sent(self, identity: int) -> bool:
        """A row was read from the stream; False when it is known already."""
        if identity <= self.upto or identity in self._order:
            return False
        self._order.append(identity)
        return True

    def taken(self, identity: int) -> bool:
        """The broker has it; whether `upto` moved."""
        if identity not in self._order:
            return False
        self._taken.add(identity)
        before = self.upto
        while self._order and self._order[0] in self._taken:
            self.upto = self._order.pop(0)
            self._taken.discard(self.upto)
        return self.upto != before

    def forget(self) -> None:
        """The stream begins again after `upto`."""
        self._order.clear()
        self._taken.clear()


class Downlink:
    """Two threads: `run` reads the stream and publishes, `run_acks` tells the backend what the broker has taken."""

    def __init__(
        self,
        org: str,
        stream: Connection,
        acks: Connection,
        publish: Publish,
        faults: Faults,
        counts: Counts,
        heartbeat: Heartbeat,
        short_messages: ShortMessages,
    ) -> None:
        self._short_messages = short_messages
        self._org = org
        self._stream = stream
        self._acks = acks
        self._publish = publish
        self._faults = faults
        self._counts = counts
        self._heartbeat = heartbeat
        self._lock = threading.Condition()
        self._window = Window(0)
        self._silent_ms = 0
        self._moved: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._random = random.Random()  # noqa: S311 (spreads retries; guards nothing)
        self._stop = threading.Event()

    def stop(self) -> None:
        """End both threads soon."""
        self._stop.set()
        self._moved.put(None)
        with self._lock:
            self._lock.notify_all()
        self._stream.interrupt()
        self._acks.interrupt()

    def tell_silence(self, silent_ms: int) -> None:
        """Tell the backend, with the next acknowledgement, that its engine was silent for so long."""
        self._silent_ms = silent_ms
        self._moved.put(self._window.upto)

    def restart(self) -> None:
        """Read the stream again from the last row that is sure."""
        self._stream.interrupt()

    def run(self) -> None:
        """Until `stop`."""
        attempt = 0
        while not self._stop.is_set():
            try:
                with self._lock:
                    self._window.forget()
                    after = self._window.upto
                for line in self._stream.lines(f"{PATH}?after={after}", SILENCE_MS):
                    if self._stop.is_set():
                        break
                    attempt = 0
                    self._faults.end("downlink")
                    self._take(line)
            except (Unreachable, TooSlow, NotHttp) as error:
                if not self._stop.is_set():
                    self._faults.begin("downlink", f"no stream from the backend: {error}")
            self._stop.wait(forwarding.backoff_ms(attempt, BACKOFF_MAX_MS, self._random.random()) / 1000)
            attempt += 1
        self._stream.close()

    def run_acks(self) -> None:
        """Until `stop`."""
        attempt = 0
        upto = 0
        while not self._stop.is_set():
            try:
                moved = self._moved.get(timeout=None if not attempt else self._pause_s(attempt))
                while moved is not None:
                    upto = max(upto, moved)
                    moved = self._moved.get_nowait()
                continue
            except queue.Empty:
                pass
            try:
                silent_ms = self._silent_ms
                more = b',"engine_silent_ms":%d' % silent_ms if silent_ms else b""
                answer = self._acks.post(f"{PATH}/ack", b'{"upto":%d%s}' % (upto, more), ACK_WITHIN_MS)
                attempt = 0 if answer.status == 200 else attempt + 1
                if answer.status == 200 and silent_ms == self._silent_ms:
                    self._silent_ms = 0
            except (Unreachable, TooSlow, NotHttp):
                attempt += 1
        self._acks.close()

    def _pause_s(self, attempt: int) -> float:
        return forwarding.backoff_ms(attempt, BACKOFF_MAX_MS, self._random.random()) / 1000

    def _take(self, line: bytes) -> None:
        """Publish one row. Raises NotHttp for a line that is not one, TooSlow when the broker takes no more."""
        row = None
        try:
            row = json.loads(line)
            if "alive" in row:
                age_ms = row.get("engine_age_ms", 0)  # a backend of an older version says nothing of its engine
                if type(age_ms) is int:
                    self._heartbeat.heard(age_ms, steady_ms())
                return
            if "topic" not in row and "frame" not in row:
                self._take_other(row)
                return
            identity, topic, ttl_ms = row["id"], row["topic"], row.get("ttl_ms")
            frame = binascii.a2b_base64(row["frame"], strict_mode=True)
            if type(identity) is not int or not isinstance(topic, str):
                raise TypeError
            if ttl_ms is not None and (type(ttl_ms) is not int or ttl_ms < 0):
                raise TypeError
            until_ms = 0 if ttl_ms is None else steady_ms() + ttl_ms
        except (ValueError, TypeError, KeyError, RecursionError):
            if not isinstance(row, dict) or type(row.get("id")) is not int:
                raise NotHttp("a row that makes no sense") from None
            self._pass_over(row["id"])
            return
        with self._lock:
            if not self._window.sent(identity):
                return
            roomy = self._lock.wait_for(
                lambda: len(self._window) <= UNDER_WAY_MAX or self._stop.is_set(), PUBACK_WITHIN_S
            )
        if not roomy:
            raise TooSlow("the broker takes nothing")
        if not forwarding.may_pass_down(self._org, topic) or len(frame) > MAX_RECEIVED:
            # Never published, and acknowledged, for it would come back for ever and hold up every ack behind it.
            self._counts.add("downlink_refused")
            log.error("downlink row %d is not ours to publish: %r", identity, topic[:80])
            self._taken(identity)
            return
        self._counts.add("downlink")
        self._publish(topic, frame, lambda: self._taken(identity), until_ms)

    def _take_other(self, row: dict[str, object]) -> None:
        """An item that is no frame: {"id": 41, "sms": {…}}, or {"id": 41, kind: {…}} of a kind that we do not know.

        Raises TypeError, KeyError for what is neither.
        """
        identity = row["id"]
        kinds = sorted(set(row) - {"id"})
        if type(identity) is not int or len(kinds) != 1 or not isinstance(row[kinds[0]], dict):
            raise TypeError
        with self._lock:
            if not self._window.sent(identity):
                return
        if kinds == ["sms"]:
            self._counts.add("downlink_sms")
            self._short_messages.take(row["sms"])
        else:
            self._counts.add("downlink_unknown")
            self._short_messages.refuse(row[kinds[0]])
        self._taken(identity)

    def _pass_over(self, identity: int) -> None:
        """A row that makes no sense would come first for ever, and keep every command behind it from its device."""
        with self._lock:
            if not self._window.sent(identity):
                return
        self._counts.add("downlink_refused")
        log.error("downlink row %d makes no sense", identity)
        self._taken(identity)

    def _taken(self, identity: int) -> None:
        """The broker has this row. Called from its thread."""
        with self._lock:
            if self._window.taken(identity):
                self._moved.put(self._window.upto)
            self._lock.notify_all()
