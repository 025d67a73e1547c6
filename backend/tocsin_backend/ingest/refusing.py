"""What becomes of a frame that is not believed: counted, answered, and kept as evidence, the newest up to a bound."""

import base64
import binascii
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from sqlalchemy import Connection
from tocsin_wire import limits

from ..errors import Unavailable
from ..store import evidence
from ..store.database import Database, Priority
from .judging import Refusal

EVIDENCE_DROPPED_MAX = 2  # oldest rows a new one may cost: a limit that was lowered is reached by and by
EVIDENCE_WAITING_MAX = 256  # refused frames queued for the disk; a flood of bad frames costs nobody a write more

Answer = dict[str, Any]


class Refusals:
    """See the module. Thread-safe. `counted`: reason -> frames, since the start; `kept`: rows of evidence."""

    def __init__(self, database: Database, evidence_max: int) -> None:
        self.database = database
        self.evidence_max = evidence_max
        self.counted: Counter[str] = Counter()
        with database.read() as conn:
            self.kept = evidence.count(conn)
        self._waiting = 0
        self._lock = threading.Lock()

    def answer(
        self, org: str, gateway: str, envelope: Mapping[str, Any], refusal: Refusal, number: int, now_ms: int
    ) -> Answer:
        """What a gateway is told of a refused envelope, which is counted and kept."""
        topic = envelope.get("topic") if isinstance(envelope, Mapping) else None
        text = envelope.get("frame") if isinstance(envelope, Mapping) else None
        try:
            raw = base64.b64decode(text or "", validate=True) if isinstance(text, str) else b""
        except (binascii.Error, ValueError):
            raw = text.encode("utf-8", "replace") if isinstance(text, str) else b""
        self.keep(org, gateway, topic if isinstance(topic, str) else "", raw, refusal.reason, now_ms)
        publish = published([] if refusal.ack is None else [refusal.ack])
        return {"id": number, "r": "refused", "alert": None, "reason": refusal.reason, "publish": publish}

    def keep(self, org: str, gateway: str, topic: str, raw: bytes, reason: str, now_ms: int) -> None:
        """Count a refused frame, and keep it as evidence, the newest of them; nobody waits for it."""
        with self._lock:
            self.counted[reason] += 1
            if self._waiting >= EVIDENCE_WAITING_MAX:
                return
            self._waiting += 1
        topic = topic.encode("utf-8", "replace").decode()[: 2 * limits.MAX_NAME * 4]
        job = partial(self._keep_job, now_ms, org, gateway, topic, raw[: limits.MAX_RECEIVED + 1], reason)
        try:
            self.database.write(job, Priority.BEAT).add_done_callback(self._count)
        except Unavailable:
            self._count(None)

    def _keep_job(
        self, now_ms: int, org: str, gateway: str, topic: str, raw: bytes, reason: str, conn: Connection
    ) -> int:
        evidence.add(conn, now_ms, org, gateway, topic, raw, reason)
        excess = self.kept + 1 - self.evidence_max
        return 1 - (evidence.drop_oldest(conn, min(excess, EVIDENCE_DROPPED_MAX)) if excess > 0 else 0)

    def _count(self, future: "Future[int] | None") -> None:
        with self._lock:
            self._waiting -= 1
            if future is not None and future.exception() is None:
                self.kept += future.result()


def published(frames: Sequence[tuple[str, bytes]]) -> list[dict[str, str]]:
    """(topic, frame) of acks as an answer carries them."""
    return [{"topic": topic, "frame": base64.b64encode(sealed).decode()} for topic, sealed in frames]
