"""What comes up from the gateways: verified, judged, stored. One envelope, one answer.

    database = Database(settings.database); database.migrate()
    outbox = Outbox(owner, frozenset(channels), settings.public_url)
    ingest = Ingest(database, clock, outbox, evidence_max=settings.evidence_max)
    answers = ingest.envelopes("region-sud", "gw-1", body["envelopes"])      # blocking, any thread
    beats = ingest.beats("region-sud", "gw-1", body["beats"])                # blocking, any thread

Both raise errors.Unavailable when the database cannot take it now: nothing was said to be stored, the gateway keeps it
(503). They raise errors.Invalid when the list itself is not one (400). An async caller uses `envelopes_later`, which
verifies in place (≈ 50 µs an envelope) and gives a future.

A frame is judged by the device's key over the received bytes; only then is it parsed. What is refused is kept as
evidence with its reason, the newest up to a bound, and counted. A frame that makes us stumble is our bug: it is refused
alone, kept, counted as `internal-error`, and the post, which hears no ack, sends it again.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from sqlalchemy import Connection

from ..clock import Clock
from ..errors import Invalid, Unavailable
from ..outbox import Outbox
from ..store.database import Database, Priority
from .judging import Frame, Judge, Refusal
from .presence import Presences
from .refusing import Answer, Refusals
from .storing import Storing

log = logging.getLogger(__name__)

MAX_ENVELOPES = 500
BEATS_A_JOB = 64  # beats a transaction: a press that arrives meanwhile waits for at most this many rows


class Ingest:
    """See the module. Thread-safe."""

    def __init__(self, database: Database, clock: Clock, outbox: Outbox, evidence_max: int = 100_000) -> None:
        self.database = database
        self.clock = clock
        self.judge = Judge(database, clock)
        self.refusals = Refusals(database, evidence_max)
        self.presences = Presences(clock, outbox)
        self.storing = Storing(clock, outbox, self.refusals, self.presences)
        self._stumbled: set[type[BaseException]] = set()

    @property
    def refused(self) -> Counter[str]:
        """Reason -> frames, since the start."""
        return self.refusals.counted

    # -- envelopes

    def envelopes(self, org: str, gateway: str, envelopes: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """One answer per envelope, in their order: {"id", "r", "alert", "reason", "publish"}."""
        return self.envelopes_later(org, gateway, envelopes).result()

    def envelopes_later(self, org: str, gateway: str, envelopes: Sequence[Mapping[str, Any]]) -> "Future[list[Answer]]":
        """As `envelopes`, with the answers in a future. Presses are written first and share a commit."""
        if not isinstance(envelopes, list) or len(envelopes) > MAX_ENVELOPES:
            raise Invalid(f"envelopes must be a list of at most {MAX_ENVELOPES}")
        now_ms = self.clock.now_ms()
        answers: list[Answer | None] = [None] * len(envelopes)
        jobs: dict[Priority, list[tuple[int, Callable[[Connection], Answer]]]] = {}
        for at, envelope in enumerate(envelopes):
            number = _number(envelope)
            judged = self.judge.envelope(org, gateway, envelope, now_ms)
            if isinstance(judged, Refusal):
                answers[at] = self.refusals.answer(org, gateway, envelope, judged, number, now_ms)
                continue
            priority = Priority.PRESS if judged.channel == "alert" else Priority.ACTION
            jobs.setdefault(priority, []).append((at, partial(self.storing.store, judged, number)))
        return self._gather(org, gateway, envelopes, answers, jobs)

    def _gather(
        self,
        org: str,
        gateway: str,
        envelopes: Sequence[Mapping[str, Any]],
        answers: list[Answer | None],
        jobs: dict[Priority, list[tuple[int, Callable[[Connection], Answer]]]],
    ) -> "Future[list[Answer]]":
        """A future of all the answers, resolved by the last of the jobs."""
        whole: Future[list[Answer]] = Future()
        left = sum(map(len, jobs.values()))
        if not left:
            whole.set_result([each for each in answers if each is not None])
            return whole
        lock = threading.Lock()
        outage: list[BaseException] = []

        def done(at: int, future: "Future[Answer]") -> None:
            nonlocal left
            failure = future.exception()
            if failure is None:
                answers[at] = future.result()
            elif isinstance(failure, Unavailable):
                outage.append(failure)
            else:
                new = type(failure) not in self._stumbled  # a traceback once: a flood of them would be the next fault
                self._stumbled.add(type(failure))
                log.error("an envelope could not be stored: %r", failure, exc_info=failure if new else None)
                number = _number(envelopes[at])
                answers[at] = self.refusals.answer(
                    org, gateway, envelopes[at], Refusal("internal-error"), number, self.clock.now_ms()
                )
            with lock:
                left -= 1
                last = left == 0
            if last and outage:
                whole.set_exception(outage[0])
            elif last:
                whole.set_result([each for each in answers if each is not None])

        for priority in sorted(jobs):
            futures = self.database.write_all([job for _, job in jobs[priority]], priority)
            for (at, _), future in zip(jobs[priority], futures, strict=True):
                future.add_done_callback(partial(done, at))
        return whole

    # -- beats

    def beats(self, org: str, gateway: str, beats: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Count beats and say so: {"publish": [acks], "refused": [{"topic", "reason"}]}. Worthless when late."""
        return self.beats_later(org, gateway, beats).result()

    def beats_later(self, org: str, gateway: str, beats: Sequence[Mapping[str, Any]]) -> "Future[dict[str, Any]]":
        """As `beats`, with the answer in a future. Small transactions, which no press ever shares."""
        if not isinstance(beats, list):
            raise Invalid("beats must be a list")
        now_ms = self.clock.now_ms()
        frames: list[Frame] = []
        refused: list[dict[str, str]] = []
        for beat in beats:
            judged = self.judge.beat(org, gateway, beat, now_ms)
            if isinstance(judged, Refusal):
                answer = self.refusals.answer(org, gateway, beat, judged, 0, now_ms)
                topic = beat.get("topic") if isinstance(beat, Mapping) else None
                refused.append({"topic": str(topic), "reason": str(answer["reason"])})
            else:
                frames.append(judged)
        whole: Future[dict[str, Any]] = Future()
        chunks = [frames[at : at + BEATS_A_JOB] for at in range(0, len(frames), BEATS_A_JOB)]
        if not chunks:
            whole.set_result({"publish": [], "refused": refused})
            return whole
        publish: list[dict[str, str]] = []
        lock = threading.Lock()
        left = len(chunks)
        failures: list[BaseException] = []

        def done(future: "Future[list[dict[str, str]]]") -> None:
            nonlocal left
            failure = future.exception()
            with lock:
                if failure is None:
                    publish.extend(future.result())
                else:
                    failures.append(failure)
                left -= 1
                last = left == 0
            if last and failures:
                whole.set_exception(failures[0])
            elif last:
                whole.set_result({"publish": publish, "refused": refused})

        for chunk in chunks:
            self.database.write(partial(self.presences.beats, chunk), Priority.BEAT).add_done_callback(done)
        return whole


def _number(envelope: Mapping[str, Any]) -> int:
    """The envelope's own number, to answer it; 0 when it has none."""
    number = envelope.get("id") if isinstance(envelope, Mapping) else None
    return number if isinstance(number, int) else 0
