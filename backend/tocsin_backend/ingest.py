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

import base64
import binascii
import hashlib
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection
from tocsin_wire import codec, limits, messages, signing, topics
from tocsin_wire.errors import WireError

from . import acks
from .clock import Clock
from .domain import alerts, latency, liveness, notices
from .domain.alerts import Alert
from .domain.escalation import Cleared, LampConfirmed, Press, Remark
from .errors import Invalid, Unavailable
from .outbox import Outbox
from .store import alerts as alert_rows
from .store import devices, dispatches, evidence, signals
from .store.database import Database, Notes, Priority, notes
from .store.devices import Card
from .store.signals import Signal

log = logging.getLogger(__name__)

MAX_ENVELOPES = 500
CARD_TTL_MS = 45_000  # above the 30 s between beats, which keep it warm; the command line may revoke a key (S6: 60 s)
MAX_CARDS = 100_000
REREAD_MS = 1_000  # a card that knows no such key is read anew: the command line may have given one
BEATS_A_JOB = 64  # beats a transaction: a press that arrives meanwhile waits for at most this many rows
EVIDENCE_DROPPED_MAX = 2  # oldest rows a new one may cost: a limit that was lowered is reached by and by
EVIDENCE_WAITING_MAX = 256  # refused frames queued for the disk; a flood of bad frames costs nobody a write more

# Events that mean: this post would not work, or not for long. `released` ends `stuck`.
TROUBLE = ("stuck", "held-at-boot", "fault", "dropped", "ack-rejected")
REUSED = "reused"
WENT_BACK = "counter-went-back"  # the board was erased or swapped, and counts from an identity it used before
OF_THE_TRY = ("age", "try", "t", "q")  # what two sendings of one press may differ in
UP_BY_ENVELOPE = ("alert", "event", "state", "info")

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a frame is not believed: a wire code, or one of ours. `ack`: what its sender is told, if it can be."""

    reason: str
    ack: tuple[str, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose signature was verified, with the card of its device and the key that signed it."""

    card: Card
    kid: str
    channel: str
    message: dict[str, Any]
    raw: bytes
    gateway: str
    received_ms: int
    held_ms: int
    retained: bool

    @property
    def key(self) -> tuple[str, bytes]:
        return self.kid, self.card.keys[self.kid]

    @property
    def is_press(self) -> bool:
        return self.channel == "alert" and self.message["k"] == "press"

    @property
    def signal(self) -> str:
        return messages.signal_id(self.message["b"], self.message["n"])


class Ingest:
    """See the module. Thread-safe."""

    def __init__(self, database: Database, clock: Clock, outbox: Outbox, evidence_max: int = 100_000) -> None:
        self.database = database
        self.clock = clock
        self.outbox = outbox
        self.evidence_max = evidence_max
        self.refused: Counter[str] = Counter()  # reason -> frames, since the start
        self._cards: dict[tuple[str, str], tuple[int, Card]] = {}
        with database.read() as conn:
            self._evidence_kept = evidence.count(conn)
        self._evidence_waiting = 0
        self._stumbled: set[type[BaseException]] = set()
        self._lock = threading.Lock()
        database.after_commit(self._forget)

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
            judged = self._judge(org, gateway, envelope, now_ms)
            if isinstance(judged, Refusal):
                answers[at] = self._refuse(org, gateway, envelope, judged, number, now_ms)
                continue
            priority = Priority.PRESS if judged.channel == "alert" else Priority.ACTION
            jobs.setdefault(priority, []).append((at, partial(self._store, judged, number)))
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
                answers[at] = self._refuse(
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

    # -- judging

    def _judge(self, org: str, gateway: str, envelope: Mapping[str, Any], now_ms: int) -> Frame | Refusal:
        """Verify one envelope; nothing in it is believed before its signature is."""
        if not isinstance(envelope, Mapping) or not isinstance(envelope.get("id"), int):
            return Refusal("bad-envelope")
        topic, text = envelope.get("topic"), envelope.get("frame")
        at_ms, held_ms = envelope.get("at_ms", now_ms), envelope.get("held_ms", now_ms)
        if not isinstance(topic, str) or not isinstance(text, str) or not _is_ms(at_ms) or not _is_ms(held_ms):
            return Refusal("bad-envelope")
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return Refusal("bad-envelope")
        retained = bool(envelope.get("retained"))
        return self._verify(org, gateway, topic, raw, at_ms, held_ms, retained, UP_BY_ENVELOPE)

    def _verify(
        self,
        org: str,
        gateway: str,
        topic: str,
        raw: bytes,
        received_ms: int,
        held_ms: int,
        retained: bool,
        channels: tuple[str, ...],
    ) -> Frame | Refusal:
        """S4: the topic's organisation is the gateway's, and the topic's device is the one whose key signed."""
        try:
            if len(raw) > limits.MAX_RECEIVED:
                return Refusal("oversize")
            topic_org, device, channel = topics.parse(topic)
            if channel not in channels:
                return Refusal("bad-topic")
            if topic_org != org:
                return Refusal("foreign-org")
            _, kid, _ = signing.split(raw)
            card = self._card(org, device)
            if card is not None and (card.retired or kid not in card.keys):
                card = self._card(org, device, REREAD_MS)
            if card is None:
                return Refusal("unknown-device")
            if card.retired:
                return Refusal("retired-device")
            key = card.keys.get(kid)
            if key is None:
                return Refusal("unknown-key")
            message = codec.decode(signing.verify(topic, raw, key))
        except WireError as error:
            return Refusal(error.code)
        try:
            messages.check(channel, message)
        except WireError as error:
            return Refusal(
                error.code, _refusing_ack(card, (kid, key), channel, message, error.code, self.clock.now_ms())
            )
        return Frame(card, kid, channel, message, raw, gateway, received_ms, held_ms, retained)

    def _card(self, org: str, device: str, ttl_ms: int = CARD_TTL_MS) -> Card | None:
        now_ms = self.clock.now_ms()
        known = self._cards.get((org, device))
        if known is not None and now_ms - known[0] < ttl_ms:
            return known[1]
        with self.database.glance() as conn:
            card = devices.card(conn, org, device)
        if card is not None:
            if len(self._cards) >= MAX_CARDS:
                self._cards.clear()
            self._cards[org, device] = (now_ms, card)
        return card

    def _forget(self, heard: Notes) -> None:
        """This process edited people, devices or policies: the next press reads them anew."""
        if heard.catalogue:
            self._cards.clear()

    # -- refusing

    def _refuse(
        self, org: str, gateway: str, envelope: Mapping[str, Any], refusal: Refusal, number: int, now_ms: int
    ) -> Answer:
        topic = envelope.get("topic") if isinstance(envelope, Mapping) else None
        text = envelope.get("frame") if isinstance(envelope, Mapping) else None
        try:
            raw = base64.b64decode(text or "", validate=True) if isinstance(text, str) else b""
        except (binascii.Error, ValueError):
            raw = text.encode("utf-8", "replace") if isinstance(text, str) else b""
        self._keep(org, gateway, topic if isinstance(topic, str) else "", raw, refusal.reason, now_ms)
        publish = _published([] if refusal.ack is None else [refusal.ack])
        return {"id": number, "r": "refused", "alert": None, "reason": refusal.reason, "publish": publish}

    def _keep(self, org: str, gateway: str, topic: str, raw: bytes, reason: str, now_ms: int) -> None:
        """Count a refused frame, and keep it as evidence, the newest of them; nobody waits for it."""
        with self._lock:
            self.refused[reason] += 1
            if self._evidence_waiting >= EVIDENCE_WAITING_MAX:
                return
            self._evidence_waiting += 1
        topic = topic.encode("utf-8", "replace").decode()[: 2 * limits.MAX_NAME * 4]
        job = partial(self._keep_job, now_ms, org, gateway, topic, raw[: limits.MAX_RECEIVED + 1], reason)
        try:
            self.database.write(job, Priority.BEAT).add_done_callback(self._kept)
        except Unavailable:
            self._kept(None)

    def _keep_job(
        self, now_ms: int, org: str, gateway: str, topic: str, raw: bytes, reason: str, conn: Connection
    ) -> int:
        evidence.add(conn, now_ms, org, gateway, topic, raw, reason)
        excess = self._evidence_kept + 1 - self.evidence_max
        return 1 - (evidence.drop_oldest(conn, min(excess, EVIDENCE_DROPPED_MAX)) if excess > 0 else 0)

    def _kept(self, future: "Future[int] | None") -> None:
        with self._lock:
            self._evidence_waiting -= 1
            if future is not None and future.exception() is None:
                self._evidence_kept += future.result()

    # -- storing, on the writer thread

    def _store(self, frame: Frame, number: int, conn: Connection) -> Answer:
        now_ms = self.clock.now_ms()
        match frame.channel:
            case "alert" | "event":
                said, alert_id, frames = self._signal(conn, frame, now_ms)
            case "state":
                said, alert_id, frames = self._state(conn, frame, now_ms), None, []
            case _:
                said, alert_id, frames = self._info(conn, frame), None, []
        reason = REUSED if said == "refused" else None
        return {"id": number, "r": said, "alert": alert_id, "reason": reason, "publish": _published(frames)}

    def _signal(
        self, conn: Connection, frame: Frame, now_ms: int, n: int | None = None
    ) -> tuple[str, str | None, list[tuple[str, bytes]]]:
        """A signal, once: its row, and whatever it does to its alert, in one transaction.

        `n`: what it is kept under when its own number was used before (`_went_back`).
        """
        card, message = frame.card, frame.message
        n = n or message["n"]
        newest, alert_id = self._concerned(conn, frame, n)
        ledger = latency.opened(message["age"], frame.received_ms, frame.held_ms, now_ms)
        signal = Signal(
            org=card.org,
            device=card.device,
            b=message["b"],
            n=n,
            channel=frame.channel,
            kind=message["k"],
            contact_ms=ledger.contact_ms,
            quality=message["q"],
            gateway=frame.gateway,
            received_ms=frame.received_ms,
            held_ms=frame.held_ms,
            stored_ms=now_ms,
            tries=message["try"],
            frame=frame.raw,
            alert_id=alert_id,
        )
        if not signals.add(conn, signal):
            return self._again(conn, frame, now_ms, n)
        word, epoch = "stored", None
        if frame.is_press:
            assert alert_id is not None
            place = notices.Place(card.site_name, card.device_name)
            changes = self.outbox.raise_or_count(conn, newest, self._press(frame, alert_id), now_ms, place)
            assert changes.alert is not None
            assert changes.alert.id == alert_id
            signals.add_ledger(conn, signal, ledger, message["mode"])
            word, epoch = acks.word(changes.alert.status, changes.alert.silent), changes.alert.epoch
        elif frame.channel == "event":
            self._event(conn, frame, signal, now_ms)
        elif alert_id is not None:  # a cancel at the post: told, and nothing closes by itself
            self._remark(conn, alert_id, f"{message['k']}-at-post", frame.signal, now_ms)
        self._heard(conn, frame, now_ms)
        shown = alert_id if frame.is_press else None
        ack = acks.of_signal(card.org, card.device, frame.key, frame.signal, word, now_ms, shown, epoch)
        return "stored", alert_id, [ack]

    def _press(self, frame: Frame, alert_id: str) -> Press:
        card, message = frame.card, frame.message
        detail = {name: message[name] for name in ("in", "sc") if name in message}
        return Press(
            alert_id=alert_id,
            org=card.org,
            site=card.site,
            device=card.device,
            category=alerts.CATEGORY_OF_KIND.get(card.kind, alerts.CALL),
            mode=message["mode"],
            silent=bool(message.get("silent", 0)),
            subject="",
            signal=frame.signal,
            policy_version=card.policy_version,
            frozen=card.frozen,
            detail=tuple(detail.items()),
        )

    def _concerned(self, conn: Connection, frame: Frame, n: int) -> tuple[Alert | None, str | None]:
        """(the newest alert of a signal's dedup key, the id of the alert it belongs to: the open one, or a new one)."""
        card, message = frame.card, frame.message
        if frame.channel == "event":
            if "re" not in message:
                return None, None
            about = signals.known(conn, card.org, card.device, *self._latest(conn, frame))
            return None, None if about is None else about.alert_id
        if message["k"] == "probe":
            return None, None  # its sink is the ledger of probes; nobody is told
        category = alerts.CATEGORY_OF_KIND.get(card.kind, alerts.CALL)
        silent = bool(message.get("silent", 0))
        dedup = alerts.dedup_key(card.org, card.site, card.device, category, message["mode"], silent)
        newest = alert_rows.newest(conn, dedup)
        if newest is not None and newest.status != alerts.CLOSED:
            return newest, newest.id
        if message["k"] != "press":
            return newest, None
        return newest, alerts.alert_id(card.org, card.device, f"{message['b']}-{n}")

    def _latest(self, conn: Connection, frame: Frame) -> tuple[int, int]:
        """(b, n) under which the press that an event speaks of is kept."""
        b, n = messages.parse_signal_id(frame.message["re"])
        return b, signals.latest(conn, frame.card.org, frame.card.device, b, n)

    def _went_back(
        self, conn: Connection, frame: Frame, now_ms: int
    ) -> tuple[str, str | None, list[tuple[str, bytes]]]:
        """A press that is new and bears an old number: a person pressed, so it is an alert; and the board is told of.

        It is kept under a number of its own, made from what it says, by which its re-sendings are known.
        """
        card, message = frame.card, frame.message
        what = json.dumps([frame.kid, _facts(message)], sort_keys=True)
        variant = int.from_bytes(hashlib.sha256(what.encode()).digest()[:4], "big") >> 2 or 1
        answer = self._signal(conn, frame, now_ms, signals.variant(message["n"], variant))
        if answer[0] == "stored":
            topic = topics.topic(card.org, card.device, frame.channel)
            self._keep(card.org, frame.gateway, topic, frame.raw, WENT_BACK, now_ms)
            self.outbox.technical(
                conn, card.org, card.site, card.device, WENT_BACK, now_ms, signal=frame.signal, kid=frame.kid
            )
        return answer

    def _again(
        self, conn: Connection, frame: Frame, now_ms: int, n: int
    ) -> tuple[str, str | None, list[tuple[str, bytes]]]:
        """Known already, by whatever way and however late: the answer is the present state of the same alert."""
        card, message = frame.card, frame.message
        found = signals.known(conn, card.org, card.device, message["b"], n)
        assert found is not None, "the unique constraint knew it"
        alert_id, status, epoch, silent, channel, kind, kept = found
        if frame.is_press and n == message["n"] and not _same(kept, frame):
            return self._went_back(conn, frame, now_ms)
        if (channel, kind) != (frame.channel, message["k"]):  # an identity that already means something else
            self._keep(
                card.org, frame.gateway, topics.topic(card.org, card.device, frame.channel), frame.raw, REUSED, now_ms
            )
            return (
                "refused",
                None,
                [acks.of_signal(card.org, card.device, frame.key, frame.signal, "refused", now_ms, why=REUSED)],
            )
        if frame.channel != "alert" or alert_id is None or status is None or message["k"] != "press":
            ack = acks.of_signal(card.org, card.device, frame.key, frame.signal, "stored", now_ms)
        else:
            word = acks.word(status, silent)
            ack = acks.of_signal(card.org, card.device, frame.key, frame.signal, word, now_ms, alert_id, epoch)
        return "duplicate", alert_id, [ack]

    def _event(self, conn: Connection, frame: Frame, signal: Signal, now_ms: int) -> None:
        card, message = frame.card, frame.message
        kind = message["k"]
        if kind == "lamp" and signal.alert_id is not None:
            b, n = self._latest(conn, frame)
            contact_ms = signals.contact_ms(conn, card.org, card.device, b, n)
            if contact_ms is not None:
                at_ms = latency.lamp_ms(contact_ms, message["lat"], signal.contact_ms)
                signals.lamp(conn, card.org, card.device, b, n, message["r"], at_ms)
            alert = alert_rows.get(conn, signal.alert_id)
            if alert is not None:
                self.outbox.apply(conn, alert, LampConfirmed(message["r"], message.get("e") or None), now_ms)
        elif kind in TROUBLE:
            detail = {name: message[name] for name in ("in", "why", "count", "txt") if name in message}
            self.outbox.technical(conn, card.org, card.site, card.device, kind, now_ms, signal=frame.signal, **detail)
        elif kind == "released":
            self._cleared(conn, card.org, card.site, card.device, "stuck", now_ms)

    def _remark(self, conn: Connection, alert_id: str, what: str, signal: str, now_ms: int) -> None:
        alert = alert_rows.get(conn, alert_id)
        if alert is not None:
            self.outbox.apply(conn, alert, Remark(what, (("signal", signal),)), now_ms)

    def _cleared(self, conn: Connection, org: str, site: str, device: str, subject: str, now_ms: int) -> None:
        dedup = alerts.dedup_key(org, site, device, alerts.TECHNICAL, alerts.REAL)
        alert = alert_rows.newest(conn, dedup)
        if alert is not None and alert.status != alerts.CLOSED:
            self.outbox.apply(conn, alert, Cleared(subject), now_ms)

    def _state(self, conn: Connection, frame: Frame, now_ms: int) -> str:
        """Birth, planned end, will. A retained one may be of any age: it proves nothing (P8)."""
        card, message = frame.card, frame.message
        if frame.retained:
            return "stored"
        session = messages.parse_session(message["s"])
        if message["st"] == "ready":
            if self._heard(conn, frame, now_ms, session) and dispatches.hasten_lamps(
                conn, card.org, card.device, now_ms
            ):
                notes(conn).wake(now_ms)
            return "stored"
        tracked = devices.presence(conn, card.org, card.device)
        planned = message["st"] == "restarting"
        after = liveness.ended(tracked.presence, tracked.reporting_ms, session, planned)
        if after != tracked.presence:
            devices.save_presences(conn, [(tracked.org, tracked.device, after)])
            self._seen(conn, tracked, after)
        return "stored"

    def _info(self, conn: Connection, frame: Frame) -> str:
        card = frame.card
        devices.save_info(conn, card.org, card.device, json.dumps(frame.message, ensure_ascii=False))
        if not _stale(frame, self.clock.now_ms()):
            devices.save_gateway(conn, card.org, card.device, frame.gateway)
        notes(conn).devices.add((card.org, card.device))
        return "stored"

    def _heard(self, conn: Connection, frame: Frame, now_ms: int, session: tuple[int, int] | None = None) -> bool:
        """A new signal or a birth: the device is there, downlinks go by this gateway. False if it was an old one.

        What a gateway kept for longer than the reporting time proves a press, and no presence (P8).
        """
        if _stale(frame, now_ms):
            return False
        tracked = devices.presence(conn, frame.card.org, frame.card.device)
        after = liveness.heard(tracked.presence, now_ms, tracked.reporting_ms, session)
        if after == tracked.presence:
            return False
        devices.save_heard(conn, tracked.org, tracked.device, after, frame.gateway)
        self._seen(conn, tracked, after)
        if tracked.presence.state == liveness.LOST:
            self._cleared(conn, tracked.org, tracked.site, tracked.device, "lost", now_ms)
        return True

    def _seen(self, conn: Connection, tracked: devices.Tracked, after: liveness.Presence) -> None:
        """Whoever must hear of a presence that changed: the engine of the deadline, screens of the state."""
        notes(conn).wake(after.expected_by_ms)
        if after.state != tracked.presence.state:
            notes(conn).devices.add((tracked.org, tracked.device))

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
            judged = self._judge_beat(org, gateway, beat, now_ms)
            if isinstance(judged, Refusal):
                answer = self._refuse(org, gateway, beat, judged, 0, now_ms)
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
            self.database.write(partial(self._store_beats, chunk), Priority.BEAT).add_done_callback(done)
        return whole

    def _judge_beat(self, org: str, gateway: str, beat: Mapping[str, Any], now_ms: int) -> Frame | Refusal:
        if not isinstance(beat, Mapping):
            return Refusal("bad-envelope")
        topic, text = beat.get("topic"), beat.get("frame")
        if not isinstance(topic, str) or not isinstance(text, str):
            return Refusal("bad-envelope")
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return Refusal("bad-envelope")
        return self._verify(org, gateway, topic, raw, now_ms, now_ms, False, ("beat",))

    def _store_beats(self, frames: list[Frame], conn: Connection) -> list[dict[str, str]]:
        now_ms = self.clock.now_ms()
        tracked = devices.presences(conn, {(frame.card.org, frame.card.device) for frame in frames})
        presence = {key: each.presence for key, each in tracked.items()}
        saved: dict[tuple[str, str], tuple[str, str, str, int, int, int, str]] = {}
        publish: list[dict[str, str]] = []
        for frame in frames:
            card, message = frame.card, frame.message
            key = (card.org, card.device)
            session = messages.parse_session(message["s"])
            before = presence[key]
            after = liveness.heard(before, now_ms, card.reporting_ms, session, message["i"])
            if after == before:
                continue  # replayed, or of a session that is over: not even an ack
            presence[key] = after
            text = json.dumps(message, ensure_ascii=False)
            saved[key] = (card.org, card.device, text, now_ms, message["b"], message["n"], frame.gateway)
            topic, sealed = acks.of_beat(card.org, card.device, frame.key, message["s"], message["i"], now_ms)
            publish.append({"topic": topic, "frame": base64.b64encode(sealed).decode()})
        devices.save_beats(conn, saved.values())
        devices.save_presences(conn, [(*key, presence[key]) for key in saved])
        heard = notes(conn)
        for key in saved:
            heard.wake(presence[key].expected_by_ms)
            if tracked[key].presence.state != liveness.ALIVE:
                heard.devices.add(key)
            if tracked[key].presence.state == liveness.LOST:
                self._cleared(conn, key[0], tracked[key].site, key[1], "lost", now_ms)
        return publish


def _number(envelope: Mapping[str, Any]) -> int:
    """The envelope's own number, to answer it; 0 when it has none."""
    number = envelope.get("id") if isinstance(envelope, Mapping) else None
    return number if isinstance(number, int) else 0


def _stale(frame: Frame, now_ms: int) -> bool:
    return now_ms - frame.received_ms > frame.card.reporting_ms


def _facts(message: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name not in OF_THE_TRY}


def _same(kept: bytes, frame: Frame) -> bool:
    """Whether a stored frame and this one are two sendings of one press: the same key signed the same facts."""
    body, kid, _ = signing.split(kept)
    return kid == frame.kid and _facts(codec.decode(body)) == _facts(frame.message)


def _published(frames: Sequence[tuple[str, bytes]]) -> list[dict[str, str]]:
    return [{"topic": topic, "frame": base64.b64encode(sealed).decode()} for topic, sealed in frames]


def _refusing_ack(
    card: Card, key: tuple[str, bytes], channel: str, message: Mapping[str, Any], why: str, now_ms: int
) -> tuple[str, bytes] | None:
    """Well signed and wrong: its sender is told, if the signal can be named, and stops sending it."""
    b, n = message.get("b"), message.get("n")
    if channel not in ("alert", "event") or not all(isinstance(each, int) and 0 < each <= 2**31 for each in (b, n)):
        return None
    return acks.of_signal(card.org, card.device, key, messages.signal_id(b, n), "refused", now_ms, why=why)  # type: ignore[arg-type]


def _is_ms(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < 2**53
