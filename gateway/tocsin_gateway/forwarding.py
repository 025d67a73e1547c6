"""What the gateway decides: which lane a message takes, what is sent next and when, what a failure means.

Pure: no clock, socket, file or random number. Times are milliseconds of any clock that does not jump; `chance` is a
number in [0, 1) that the shell draws.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tocsin_wire import topics
from tocsin_wire.errors import WireError
from tocsin_wire.limits import MAX_RECEIVED

# Lanes. Each has its own thread and connection to the backend, so that a press never waits behind a batch of events.
ALERT = 0
REST = 1
LANES = (ALERT, REST)
LANE_NAMES = {ALERT: "alerts", REST: "rest"}

BEAT = "beat"
# channel, QoS. Pages of a device's log (QoS 0) are for whoever asked for them, not for us.
SUBSCRIBED = tuple(
    (channel, qos) for channel, direction, qos, _ in topics.CHANNELS if direction == "up" and (qos or channel == BEAT)
)

TOPIC_KEPT = 256  # characters; a topic of this wire has at most 83
FRAME_KEPT = MAX_RECEIVED + 1  # bytes; one too many, so that the backend refuses it as oversize by its own rule


def lane_of(topic: str) -> int:
    """The lane of a topic. What is malformed goes with the rest: it must not be able to hold up a press."""
    return ALERT if topic.endswith("/alert") else REST


@dataclass(slots=True)
class Arrival:
    """One message taken from the broker and not settled yet.

    `session` numbers the connection on which `mid` means something. `at_ms` and `held_ms` are epoch milliseconds;
    `held_ms` is 0 until the spool has committed it. `cut` counts the bytes of the frame that were not kept.
    """

    id: int
    session: int
    mid: int
    topic: str
    frame: bytes
    at_ms: int
    retained: bool = False
    dup: bool = False
    held_ms: int = 0
    cut: int = 0
    offered: bool = False  # the uplink has it already: an alert is sent while it is being committed
    settled: bool = False  # the backend has it: it need not be stored any more


def bounded(topic: str, frame: bytes) -> tuple[str, bytes, int]:
    """(topic, frame, bytes cut off): as much of a message as is kept, as evidence, when it is longer than allowed."""
    cut = max(0, len(frame) - FRAME_KEPT)
    return topic[:TOPIC_KEPT], frame[:FRAME_KEPT] if cut else frame, cut


def may_pass_down(org: str, topic: str) -> bool:
    """Whether the backend may have us publish on `topic`: a down-topic of a device of our own organisation.

    A broker drops a gateway that publishes elsewhere, and presses with it.
    """
    try:
        topic_org, _, channel = topics.parse(topic)
    except WireError:
        return False
    return topic_org == org and channel in topics.DOWN


# What became of an attempt to send.

ANSWERED = "answered"  # 200, and every envelope has its answer
BUSY = "busy"  # 429 or 503: come back later
LOCKED = "locked"  # 401 or 403: our token is not accepted
UNREACHABLE = "unreachable"  # no connection, or it broke
SLOW = "slow"  # our deadline passed: too much at once for this line, or the backend hangs
REJECTED = "rejected"  # anything else: another status, a redirect, an answer that is not one

FLOWING = "flowing"
WAITING = "waiting"
LOCKED_OUT = "locked-out"  # like waiting; shown as a fault, because only a person can cure it


@dataclass(frozen=True, slots=True)
class Consequence:
    """What an outcome does to a lane: its next state, and by how much the batch is divided (0: it grows)."""

    state: str
    divide: int


# One table, from any state. It is drawn in README.md.
CONSEQUENCES = {
    ANSWERED: Consequence(FLOWING, 0),
    BUSY: Consequence(WAITING, 1),
    LOCKED: Consequence(LOCKED_OUT, 1),
    UNREACHABLE: Consequence(WAITING, 1),
    SLOW: Consequence(WAITING, 4),
    REJECTED: Consequence(WAITING, 2),  # one of them may be what the backend chokes on: halve until it is alone
}

BATCH_MAX = 500  # envelopes in one request: the backend's limit
BATCH_BYTES_MAX = 400_000  # of frames: some 3 minutes of a 20 kbit/s line, and the deadline then divides it further
BACKOFF_FIRST_MS = 100
BACKOFF_MAX_MS = {ALERT: 5_000, REST: 10_000}  # a press must not sleep through the end of an outage
BACKOFF_LEAST_MS = 20  # full jitter may draw nothing; never spin
ASIDE_MAX_MS = {ALERT: 5_000, REST: 60_000}  # alone, a press may just have met a backend that is starting
HURRY_AFTER_MS = 250  # a new press cuts a wait short, but not more often than this


def outcome_of(status: int) -> str:
    """The outcome of an HTTP status, before its body is looked at."""
    if status == 200:
        return ANSWERED
    if status in (429, 503):
        return BUSY
    if status in (401, 403):
        return LOCKED
    return REJECTED


def backoff_ms(attempt: int, ceiling_ms: int, chance: float) -> int:
    """Full jitter: from nothing to BACKOFF_FIRST_MS, doubled with each failed attempt, up to the ceiling."""
    span_ms = min(ceiling_ms, BACKOFF_FIRST_MS * 2 ** min(attempt, 20))
    return max(BACKOFF_LEAST_MS, int(span_ms * chance))


@dataclass(slots=True)
class Backlog:
    """One lane: what the backend has not answered yet, oldest first, and when to try next.

    An id is waiting, under way, or set aside (it failed alone); never two of these. Batches start at BATCH_MAX, shrink
    when they fail and grow again when they pass.
    """

    lane: int
    state: str = FLOWING
    attempt: int = 0  # failures in a row
    due_ms: int = 0  # not before this instant, while not flowing
    tried_ms: int = 0  # when the last attempt ended
    batch: int = BATCH_MAX
    waiting: "OrderedDict[int, int]" = field(default_factory=OrderedDict)  # id -> bytes
    under_way: "OrderedDict[int, int]" = field(default_factory=OrderedDict)
    aside: dict[int, tuple[int, int, int]] = field(default_factory=dict)  # id -> (due_ms, failures, bytes)

    def __len__(self) -> int:
        return len(self.waiting) + len(self.under_way) + len(self.aside)

    def add(self, identity: int, size: int, now_ms: int) -> None:
        """One more to send. Known ids change nothing. A new alert cuts a wait short."""
        if identity in self.waiting or identity in self.under_way or identity in self.aside:
            return
        self.waiting[identity] = size
        if self.lane == ALERT and self.state != FLOWING:
            self.due_ms = min(self.due_ms, max(now_ms, self.tried_ms + HURRY_AFTER_MS))

    def wait_ms(self, now_ms: int) -> int | None:
        """How long until `take` would give something; 0 now, None when there is nothing to send."""
        if self.waiting:
            next_ms = 0
        elif self.aside:
            next_ms = min(due for due, _, _ in self.aside.values())
        else:
            return None
        if self.state != FLOWING:
            next_ms = max(next_ms, self.due_ms)
        return max(0, next_ms - now_ms)

    def take(self, now_ms: int) -> list[int]:
        """The ids to send now, oldest first; they are under way until `answered` or `failed`."""
        if self.wait_ms(now_ms) != 0:
            return []
        chosen: list[int] = []
        total = 0
        while self.waiting and len(chosen) < self.batch:
            identity, size = next(iter(self.waiting.items()))
            if chosen and total + size > BATCH_BYTES_MAX:
                break
            del self.waiting[identity]
            self.under_way[identity] = size
            chosen.append(identity)
            total += size
        if not chosen:  # alone, so that it cannot take others down with it again
            identity = min(self.aside, key=lambda each: self.aside[each][0])
            self.under_way[identity] = self.aside[identity][2]
            chosen.append(identity)
        return chosen

    def answered(self, identities: Iterable[int], now_ms: int, chance: float) -> None:
        """The backend answered for these; what it left out of a batch waits again, in its old place."""
        for identity in identities:
            if self.under_way.pop(identity, None) is not None:
                self.aside.pop(identity, None)
        if self.under_way:  # an answer with holes is no proof of health
            self.failed(REJECTED, now_ms, chance)
            return
        self.state, self.attempt, self.due_ms, self.tried_ms = FLOWING, 0, 0, now_ms
        self.batch = min(BATCH_MAX, self.batch * 2)

    def failed(self, outcome: str, now_ms: int, chance: float, not_before_ms: int = 0) -> None:
        """The attempt came to nothing: all of it waits again. `not_before_ms` is the span the backend asked for."""
        consequence = CONSEQUENCES[outcome]
        count = len(self.under_way)
        if outcome == REJECTED and count == 1:
            identity, size = self.under_way.popitem()
            failures = self.aside[identity][1] + 1 if identity in self.aside else 1
            self.aside[identity] = (now_ms + backoff_ms(failures, ASIDE_MAX_MS[self.lane], chance), failures, size)
        while self.under_way:
            identity, size = self.under_way.popitem()
            if identity not in self.aside:
                self.waiting[identity] = size
                self.waiting.move_to_end(identity, last=False)
        self.batch = max(1, min(self.batch, count) // consequence.divide) if consequence.divide > 1 else self.batch
        ceiling_ms = BACKOFF_MAX_MS[self.lane]
        wait_ms = max(backoff_ms(self.attempt, ceiling_ms, chance), min(not_before_ms, ceiling_ms))
        self.state, self.attempt, self.tried_ms = consequence.state, self.attempt + 1, now_ms
        self.due_ms = now_ms + wait_ms


# Beats: only the newest of a device and period travels, with the count of those it stands for.


@dataclass(slots=True)
class Beat:
    """The newest beat of one device in one period; `count` of them arrived."""

    topic: str
    frame: bytes
    at_ms: int
    count: int


def fold(beats: Iterable[tuple[str, bytes, int]]) -> list[Beat]:
    """(topic, frame, at_ms) in order of arrival -> the newest of each topic."""
    folded: dict[str, Beat] = {}
    for topic, frame, at_ms in beats:
        known = folded.get(topic)
        if known is None:
            folded[topic] = Beat(topic, frame, at_ms, 1)
        else:
            known.frame, known.at_ms, known.count = frame, at_ms, known.count + 1
    return list(folded.values())


def portions(beats: Sequence[Beat], most: int) -> list[Sequence[Beat]]:
    """The same beats in requests of at most `most`."""
    return [beats[start : start + most] for start in range(0, len(beats), most)]


# The disk.

SOUND = "sound"
TIGHT = "tight"
FAILED = "failed"
STORAGE = (SOUND, TIGHT, FAILED)

ROOMY, LITTLE_ROOM, COMMIT_FAILED = "roomy", "little-room", "commit-failed"
# From any state: what the disk last showed decides. A failed disk heals by the first commit that succeeds.
STORAGE_AFTER = {ROOMY: SOUND, LITTLE_ROOM: TIGHT, COMMIT_FAILED: FAILED}


def beats_pass(storage: str) -> bool:
    """Beats are the first to go: on a gateway whose disk is short, nothing that can be spared is carried."""
    return storage == SOUND
