"""To the backend: one thread and one kept connection a lane, so that a press never waits behind a batch of events.

Endless retry with full jitter (forwarding.Backlog decides); an answer for each envelope; the ack of an answer is
published at once.
"""

import binascii
import json
import logging
import queue
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tocsin_wire.limits import MAX_RECEIVED

from tocsin_gateway import forwarding, spool
from tocsin_gateway.clock import steady_ms
from tocsin_gateway.connection import Connection, NotHttp, TooSlow, Unreachable
from tocsin_gateway.faults import Counts, Faults
from tocsin_gateway.forwarding import ANSWERED, LANE_NAMES, Arrival, Backlog
from tocsin_gateway.intake import Intake

log = logging.getLogger(__name__)

PATH = "/api/v1/gateway/envelopes"
ANSWER_WITHIN_MS = 10_000
FRESH_MAX = 1_000  # messages kept in memory as well as on the disk, a lane: 1.3 MB
WARM_EVERY_S = 2.0  # an idle connection is looked after this often, so that a press finds it open
TAKEN = ("stored", "duplicate")
REASON_KEPT = 200  # characters


class BadAnswer(ValueError):
    """A 200 whose body does not answer what was asked."""


def compose(arrivals: list[Arrival]) -> bytes:
    """The body of a request. Frames travel as they came, in base64."""
    return json.dumps(
        {
            "envelopes": [
                {
                    "id": arrival.id,
                    "topic": arrival.topic,
                    "frame": binascii.b2a_base64(arrival.frame, newline=False).decode(),
                    "at_ms": arrival.at_ms,
                    "held_ms": arrival.held_ms,
                    "retained": int(arrival.retained),
                    "dup": int(arrival.dup),
                }
                for arrival in arrivals
            ]
        },
        separators=(",", ":"),
    ).encode()


def read_publications(rows: object, org: str) -> list[tuple[str, bytes]]:
    """(topic, frame) of what the backend wants published. Raises BadAnswer, also for a topic that is not ours."""
    if not isinstance(rows, list):
        raise BadAnswer("publish is not a list")
    found = []
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("topic"), str) or not isinstance(row.get("frame"), str):
            raise BadAnswer("something to publish without topic or frame")
        if not forwarding.may_pass_down(org, row["topic"]):
            raise BadAnswer(f"not a down-topic of {org}: {row['topic'][:80]!r}")
        try:
            frame = binascii.a2b_base64(row["frame"], strict_mode=True)
        except ValueError:
            raise BadAnswer("a frame that is not base64") from None
        if len(frame) > MAX_RECEIVED:
            raise BadAnswer("a frame that is too long")
        found.append((row["topic"], frame))
    return found


def read_answers(body: bytes, asked: set[int], org: str) -> list[tuple[int, str, list[tuple[str, bytes]]]]:
    """(id, reason, publications) of each answer; reason is "" when the backend has it. Raises BadAnswer."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise BadAnswer("not JSON") from None
    rows = document.get("answers") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise BadAnswer("no answers")
    found = []
    for row in rows:
        identity, result = (row.get("id"), row.get("r")) if isinstance(row, dict) else (None, None)
        if type(identity) is not int or identity not in asked:
            raise BadAnswer("an answer to what was not asked")
        if result in TAKEN:
            reason = ""
        elif result == "refused":
            reason = str(row.get("reason") or "refused")[:REASON_KEPT]
        else:
            raise BadAnswer(f"not an answer: {str(result)[:40]!r}")
        found.append((identity, reason, read_publications(row.get("publish") or [], org)))
    return found


class Uplink:
    """One lane. `offer` comes from other threads; `run` is the thread."""

    def __init__(
        self,
        lane: int,
        org: str,
        spool_file: Path,
        connection: Connection,
        intake: Intake,
        publish: Callable[[str, bytes], None],
        faults: Faults,
        counts: Counts,
    ) -> None:
        self.lane = lane
        self._org = org
        self._connection = connection
        self._intake = intake
        self._publish = publish
        self._faults = faults
        self._counts = counts
        self._fault = f"backend-{LANE_NAMES[lane]}"
        self._inbox: queue.SimpleQueue[Arrival | tuple[int, int] | None] = queue.SimpleQueue()
        self._reader = spool.Reader(spool_file)
        self._backlog = Backlog(lane)
        self._fresh: dict[int, Arrival] = {}
        self._random = random.Random()  # noqa: S311 (spreads retries; guards nothing)
        self._stopping = False
        for identity, size in self._reader.pending(lane):
            self._backlog.add(identity, size, steady_ms())

    @property
    def roomy(self) -> bool:
        """Whether a message may be offered before it is on the disk."""
        return self._inbox.qsize() < FRESH_MAX

    def offer(self, arrival: Arrival) -> None:
        """A message to send. Never blocks."""
        if arrival.held_ms and not self.roomy:
            self._inbox.put((arrival.id, len(arrival.frame)))
        else:
            self._inbox.put(arrival)

    def state(self) -> dict[str, object]:
        """What the status page shows of this lane."""
        return {"state": self._backlog.state, "waiting": len(self._backlog), "failures_in_a_row": self._backlog.attempt}

    def stop(self) -> None:
        """End the thread soon, whatever it waits for."""
        self._stopping = True
        self._inbox.put(None)
        self._connection.interrupt()

    def run(self) -> None:
        """Until `stop`."""
        while not self._stopping:
            wait_ms = self._backlog.wait_ms(steady_ms())
            self._take_in(WARM_EVERY_S if wait_ms is None else min(WARM_EVERY_S, wait_ms / 1000))
            chosen = self._backlog.take(steady_ms())
            if chosen:
                self._send(chosen)
            elif not self._stopping and wait_ms is None:
                self._keep_warm()
        self._connection.close()
        self._reader.close()

    def _take_in(self, patience_s: float) -> None:
        """Everything in the inbox into the backlog, waiting for the first at most `patience_s`."""
        try:
            item = self._inbox.get(timeout=patience_s) if patience_s > 0 else self._inbox.get_nowait()
            while True:
                if isinstance(item, Arrival):
                    if not item.held_ms or len(self._fresh) < FRESH_MAX:
                        self._fresh[item.id] = item
                    self._backlog.add(item.id, len(item.frame), steady_ms())
                elif item is not None:
                    self._backlog.add(*item, steady_ms())
                item = self._inbox.get_nowait()
        except queue.Empty:
            pass

    def _send(self, chosen: list[int]) -> None:
        arrivals = [self._fresh[identity] for identity in chosen if identity in self._fresh]
        if len(arrivals) < len(chosen):
            try:
                arrivals += self._reader.read(identity for identity in chosen if identity not in self._fresh)
            except spool.SpoolError as error:
                self._fail(forwarding.UNREACHABLE, f"the spool cannot be read: {error}")
                return
            arrivals.sort(key=lambda arrival: arrival.id)
        asked = {arrival.id for arrival in arrivals}
        answers: list[tuple[int, str, list[tuple[str, bytes]]]] = []
        if asked:
            try:
                answer = self._connection.post(PATH, compose(arrivals), ANSWER_WITHIN_MS)
                outcome = forwarding.outcome_of(answer.status)
                if outcome != ANSWERED:
                    self._fail(outcome, f"the backend answers {answer.status}", answer.retry_after_ms)
                    return
                answers = read_answers(answer.body, asked, self._org)
            except Unreachable as error:
                self._fail(forwarding.UNREACHABLE, f"the backend is out of reach: {error}")
                return
            except TooSlow as error:
                self._fail(forwarding.SLOW, f"the backend is too slow: {error}")
                return
            except (NotHttp, BadAnswer) as error:
                self._fail(forwarding.REJECTED, f"the backend's answer makes no sense: {error}")
                return
        for identity, reason, publications in answers:
            for topic, frame in publications:
                self._publish(topic, frame)
            if reason:
                self._intake.refuse(identity, reason)
                log.warning("refused by the backend: envelope %d: %s", identity, reason)
            else:
                self._intake.settle(identity)
            self._fresh.pop(identity, None)
        # What is neither in memory nor in the spool any more was settled in an earlier life.
        gone = [identity for identity in chosen if identity not in asked]
        self._backlog.answered([*gone, *(identity for identity, _, _ in answers)], steady_ms(), self._random.random())
        self._counts.add("refused", sum(1 for _, reason, _ in answers if reason))
        self._counts.add("forwarded", sum(1 for _, reason, _ in answers if not reason))
        if len(answers) < len(asked):
            self._counts.add(f"uplink_{forwarding.REJECTED}")
            self._faults.begin(self._fault, f"{len(asked) - len(answers)} envelopes of {len(asked)} got no answer")
        else:
            self._faults.end(self._fault)

    def _fail(self, outcome: str, text: str, not_before_ms: int = 0) -> None:
        self._counts.add(f"uplink_{outcome}")
        self._faults.begin(self._fault, text)
        self._backlog.failed(outcome, steady_ms(), self._random.random(), not_before_ms)

    def _keep_warm(self) -> None:
        try:
            self._connection.warm()
        except (Unreachable, TooSlow) as error:
            self._faults.begin(self._fault, f"the backend is out of reach: {error}")
        else:
            if self._backlog.attempt == 0:
                self._faults.end(self._fault)
