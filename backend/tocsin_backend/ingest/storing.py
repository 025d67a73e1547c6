"""A verified frame, stored: the signal's row and whatever it does to its alert, in one transaction."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from tocsin_wire import codec, messages, signing, topics

from .. import acks
from ..clock import Clock
from ..domain import alerts, latency, notices, policies
from ..domain import probes as probe_rules
from ..domain import windows as window_rules
from ..domain.alerts import Alert
from ..domain.escalation import LampConfirmed, Press, Remark
from ..outbox import Outbox
from ..store import alerts as alert_rows
from ..store import probes, signals, windows
from ..store.database import notes
from ..store.devices import Card
from ..store.signals import Signal
from . import replies
from .judging import Frame
from .presence import Presences
from .refusing import Answer, Refusals, published

# Events that mean: this post would not work, or not for long. `released` ends `stuck`.
TROUBLE = ("stuck", "held-at-boot", "fault", "dropped", "ack-rejected")
REUSED = "reused"
WENT_BACK = "counter-went-back"  # the board was erased or swapped, and counts from an identity it used before
SCENARIOS = ("attack", "shelter", "evacuate")  # of an alert; an all-clear is no call for help
OF_THE_TRY = ("age", "try", "t", "q")  # what two sendings of one press may differ in


@dataclass(frozen=True, slots=True)
class Concerned:
    """The newest alert of a signal's dedup key, the id of the alert it belongs to, its mode, and the drill it is in."""

    newest: Alert | None = None
    alert_id: str | None = None
    mode: str = alerts.REAL
    window_id: int | None = None
    contact_ms: int = 0


NOTHING_CONCERNED = Concerned()
PROBE_POLICY = policies.dump(policies.probe())


class Storing:
    """See the module. `store` is a job on the writer thread."""

    def __init__(self, clock: Clock, outbox: Outbox, refusals: Refusals, presences: Presences) -> None:
        self.clock = clock
        self.outbox = outbox
        self.refusals = refusals
        self.presences = presences

    def store(self, frame: Frame, number: int, conn: Connection) -> Answer:
        """Store one frame; what its gateway is told of envelope `number`."""
        now_ms = self.clock.now_ms()
        match frame.channel:
            case "alert" | "event":
                said, alert_id, frames = self._signal(conn, frame, now_ms)
            case "reply":
                said, alert_id, frames = self._reply(conn, frame, now_ms)
            case "state":
                said, alert_id, frames = self.presences.state(conn, frame, now_ms), None, []
            case _:
                said, alert_id, frames = self.presences.info(conn, frame), None, []
        reason = REUSED if said == "refused" else None
        return {"id": number, "r": said, "alert": alert_id, "reason": reason, "publish": published(frames)}

    def _signal(
        self, conn: Connection, frame: Frame, now_ms: int, n: int | None = None
    ) -> tuple[str, str | None, list[tuple[str, bytes]]]:
        """A signal, once: its row, and whatever it does to its alert, in one transaction.

        `n`: what it is kept under when its own number was used before (`_went_back`).
        """
        card, message = frame.card, frame.message
        n = n or message["n"]
        ledger = latency.opened(message["age"], frame.received_ms, frame.held_ms, now_ms)
        concerned = self._concerned(conn, frame, n, ledger.contact_ms, now_ms)
        newest, alert_id = concerned.newest, concerned.alert_id
        signal = _signal_of(frame, n, message["k"], ledger.contact_ms, now_ms, alert_id)
        if not signals.add(conn, signal):
            return self._again(conn, frame, now_ms, n)
        word, epoch = "stored", None
        if frame.is_press or frame.is_probe:
            assert alert_id is not None
            place = notices.Place(card.site_name, card.device_name, card.zone)
            changes = self.outbox.raise_or_count(conn, newest, self._press(frame, concerned), now_ms, place)
            assert changes.alert is not None
            assert changes.alert.id == alert_id
            signals.add_ledger(conn, signal, ledger, concerned.mode)
            self._kept_in_mind(conn, card, concerned.mode, now_ms)
            word, epoch = acks.word(changes.alert.status, changes.alert.silent), changes.alert.epoch
        elif frame.channel == "event":
            self._event(conn, frame, signal, now_ms)
        elif alert_id is not None:  # a cancel at the post: told, and nothing closes by itself
            self._remark(conn, alert_id, f"{message['k']}-at-post", frame.signal, now_ms)
        self.presences.heard(conn, frame, now_ms)
        shown = alert_id if frame.is_press or frame.is_probe else None
        ack = acks.of_signal(card.org, card.device, frame.key, frame.signal, word, now_ms, shown, epoch)
        return "stored", alert_id, [ack]

    def _reply(self, conn: Connection, frame: Frame, now_ms: int) -> tuple[str, str | None, list[tuple[str, bytes]]]:
        """What a device says of a command, once."""
        card, message = frame.card, frame.message
        found = replies.concerned(conn, frame)
        alert_id = None if found is None else found[0].id
        ledger = latency.opened(message["age"], frame.received_ms, frame.held_ms, now_ms)
        signal = _signal_of(frame, message["n"], message["r"], ledger.contact_ms, now_ms, alert_id)
        ack = acks.of_signal(card.org, card.device, frame.key, frame.signal, "stored", now_ms)
        if not signals.add(conn, signal):
            return "duplicate", alert_id, [ack]
        if found is None:
            topic = topics.topic(card.org, card.device, frame.channel)
            self.refusals.keep(card.org, frame.gateway, topic, frame.raw, replies.FOREIGN, now_ms)
        else:
            replies.apply(conn, self.outbox, *found, frame, now_ms)
        self.presences.heard(conn, frame, now_ms)
        return "stored", alert_id, [ack]

    def _press(self, frame: Frame, concerned: "Concerned") -> Press:
        card, message = frame.card, frame.message
        assert concerned.alert_id is not None
        detail = {name: message[name] for name in ("in", "sc") if name in message}
        return Press(
            alert_id=concerned.alert_id,
            org=card.org,
            site=card.site,
            device=card.device,
            category=alerts.CATEGORY_OF_KIND.get(card.kind, alerts.CALL),
            mode=concerned.mode,
            silent=bool(message.get("silent", 0)),
            subject="",
            signal=frame.signal,
            policy_version=0 if frame.is_probe else card.policy_version,
            frozen=PROBE_POLICY if frame.is_probe else card.frozen,
            detail=tuple(detail.items()),
            scenario=message["sc"] if message.get("sc") in SCENARIOS else "",
            window_id=concerned.window_id,
            contact_ms=concerned.contact_ms,
        )

    def _kept_in_mind(self, conn: Connection, card: Card, mode: str, now_ms: int) -> None:
        """What the device's own row says of its last drill, and by when its next probe must come."""
        if mode == alerts.DRILL:
            windows.drilled(conn, card.org, card.device, now_ms)
        elif mode == alerts.PROBE:
            watched = probe_rules.began(probes.get(conn, card.org, card.device), now_ms)
            if watched is not None:
                probes.save(conn, card.org, card.device, watched)
                notes(conn).wake(watched.by_ms)

    def _concerned(self, conn: Connection, frame: Frame, n: int, contact_ms: int, now_ms: int) -> "Concerned":
        """The alert that a signal belongs to: the open one of its dedup key, or a new one; and its mode."""
        card, message = frame.card, frame.message
        if frame.channel == "event":
            if "re" not in message:
                return NOTHING_CONCERNED
            about = signals.known(conn, card.org, card.device, *self._latest(conn, frame))
            return NOTHING_CONCERNED if about is None else Concerned(None, about.alert_id)
        mode = alerts.PROBE if frame.is_probe else message["mode"]
        newest = self._newest(conn, frame, mode)
        window_id = None
        # An alert that was raised before the drill, and is open, is somebody who waits: this press is about it.
        if frame.is_press and (newest is None or newest.status == alerts.CLOSED):
            drill = windows.running(conn, card.org, card.site, window_rules.DRILL, now_ms)
            if drill is not None and window_rules.covers(drill, card.site, contact_ms, now_ms):
                window_id = drill.id
                if mode == alerts.REAL:
                    mode = alerts.DRILL
                    newest = self._newest(conn, frame, mode)
        if newest is not None and newest.status != alerts.CLOSED:
            return Concerned(newest, newest.id, mode, window_id, contact_ms)
        if message["k"] == "cancel":
            drilled = self._newest(conn, frame, alerts.DRILL)
            is_open = drilled is not None and drilled.status != alerts.CLOSED
            return Concerned(drilled, drilled.id if drilled is not None and is_open else None, mode)
        alert_id = alerts.alert_id(card.org, card.device, f"{message['b']}-{n}")
        return Concerned(newest, alert_id, mode, window_id, contact_ms)

    def _newest(self, conn: Connection, frame: Frame, mode: str) -> Alert | None:
        card, silent = frame.card, bool(frame.message.get("silent", 0))
        category = alerts.CATEGORY_OF_KIND.get(card.kind, alerts.CALL)
        return alert_rows.newest(conn, alerts.dedup_key(card.org, card.site, card.device, category, mode, silent))

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
            self.refusals.keep(card.org, frame.gateway, topic, frame.raw, WENT_BACK, now_ms)
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
        if status == alerts.CLOSED and alert_id is not None:
            real = alert_rows.get(conn, alerts.real_id(card.org, card.device, alert_id))
            if real is not None:  # its drill was made real: that is what became of this press
                alert_id, status, epoch, silent = real.id, real.status, real.epoch, real.silent
        if frame.is_press and n == message["n"] and not _same(kept, frame):
            return self._went_back(conn, frame, now_ms)
        if (channel, kind) != (frame.channel, message["k"]):  # an identity that already means something else
            self.refusals.keep(
                card.org, frame.gateway, topics.topic(card.org, card.device, frame.channel), frame.raw, REUSED, now_ms
            )
            return (
                "refused",
                None,
                [acks.of_signal(card.org, card.device, frame.key, frame.signal, "refused", now_ms, why=REUSED)],
            )
        if alert_id is None or status is None or not (frame.is_press or frame.is_probe):
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
                if alert.mode == alerts.PROBE and message["r"] == "closed" and contact_ms is not None:
                    self._probed(conn, card, (b, n), contact_ms, at_ms, now_ms)
        elif kind in TROUBLE:
            detail = {name: message[name] for name in ("in", "why", "count", "txt") if name in message}
            self.outbox.technical(conn, card.org, card.site, card.device, kind, now_ms, signal=frame.signal, **detail)
        elif kind == "released":
            self.presences.cleared(conn, card.org, card.site, card.device, "stuck", now_ms)

    def _probed(
        self, conn: Connection, card: Card, probe: tuple[int, int], contact_ms: int, at_ms: int, now_ms: int
    ) -> None:
        """The post confirmed the order that came down to it. With the sink's word, its probe went the whole way."""
        if not probes.confirmed(conn, card.org, card.device, *probe, at_ms):
            return
        known = probe_rules.good(probes.get(conn, card.org, card.device), contact_ms, now_ms)
        probes.save(conn, card.org, card.device, known)
        notes(conn).wake(known.by_ms)
        for subject in (probe_rules.SUBJECT, alerts.PROBE_FAILED):
            self.presences.cleared(conn, card.org, card.site, card.device, subject, now_ms)

    def _remark(self, conn: Connection, alert_id: str, what: str, signal: str, now_ms: int) -> None:
        alert = alert_rows.get(conn, alert_id)
        if alert is not None:
            self.outbox.apply(conn, alert, Remark(what, (("signal", signal),)), now_ms)


def _facts(message: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name not in OF_THE_TRY}


def _same(kept: bytes, frame: Frame) -> bool:
    """Whether a stored frame and this one are two sendings of one press: the same key signed the same facts."""
    body, kid, _ = signing.split(kept)
    return kid == frame.kid and _facts(codec.decode(body)) == _facts(frame.message)


def _signal_of(frame: Frame, n: int, kind: str, contact_ms: int, now_ms: int, alert_id: str | None) -> Signal:
    """What a frame reports, as it is kept: under `n`, at `now_ms`, with the alert it belongs to."""
    card, message = frame.card, frame.message
    return Signal(
        org=card.org,
        device=card.device,
        b=message["b"],
        n=n,
        channel=frame.channel,
        kind=kind,
        contact_ms=contact_ms,
        quality=message["q"],
        gateway=frame.gateway,
        received_ms=frame.received_ms,
        held_ms=frame.held_ms,
        stored_ms=now_ms,
        tries=message["try"],
        frame=frame.raw,
        alert_id=alert_id,
    )
