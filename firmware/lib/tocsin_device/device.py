"""The post: contacts, acks and sessions in; effects and frames out. It decides everything and does nothing.

Each method is one thing that happened, told with `now_ms` (uptime). It returns the effects to carry out, in order.
What is to be published is asked for with `due`, one frame at a time, whenever the connection can take one; what the
lamp shows is asked for with `indicator`. The order of a press: sampled -> KEEP -> kept (durable) -> PLAY chirp, lamp
`sending` -> due (the frame) -> received (the ack) -> lamp `sent`, PLAY rising, MARK.
"""

from tocsin_wire import messages, topics
from tocsin_wire.errors import WireError
from tocsin_wire.limits import MAX_TEXT

from . import button
from .heart import Heart
from .lamp import sound_of
from .link import Link
from .outbox import OBEYED, REPEATED, UNCOUNTED, Event, Outbox, Press, Signal
from .probe import FAILED_MS, Probe
from .wall import Wall

UNDELIVERED_MS = 20000  # without an ack: say so, and say what to dial
REFUSED_MS = 120000  # how long a refusal is shown as a fault
LINK_LOST_MS = 3000  # a connection away for less is not shown: switches renegotiate, access points roam
REJECTED_EVERY_MS = 60000  # at most one event about rejected acks in this time
UNREADABLE_MS = 10000  # then flash that could not be read is tried again
CLOSED_REMEMBERED = 4  # presses whose `closed` may come again: the backend repeats it until it is confirmed

# Effects, as (what, with what): the press to write to the journal, durably, then call `kept`; the press whose `epoch`
# and `rank` to note there; the press to remove; the name of the sound of lamp.SOUNDS to begin; the epoch seconds that
# a signed ack brought, to be kept where a reset does not lose them; the (b, n) after which to read the next pending
# press from the journal, then call `returned`, or `unreadable`.
KEEP = "keep"
MARK = "mark"
FORGET = "forget"
PLAY = "play"
SET_CLOCK = "set clock"
FETCH = "fetch"

NOTHING: "tuple[tuple[str, object], ...]" = ()


class Device:
    """The whole post. `boot` is this boot's counter, `held` the presses found in the journal and read, `waiting` how
    many more pending ones, all newer, are there.

    `credentials` are organisation, device, key name and key. Without them it keeps presses, shows a fault, and
    publishes nothing. `probe_period_ms` 0: it makes no probes.
    """

    def __init__(
        self,
        credentials: "tuple[str, str, str, bytes] | None",
        buttons: "tuple[button.Button, ...]",
        silent: "tuple[bool, ...]",
        boot: int,
        held: "list[Press]",
        waiting: int,
        info: "dict[str, object]",
        beat_period_ms: int,
        keepalive_s: int,
        probe_period_ms: int = 0,
    ) -> None:
        self._credentials = credentials
        self.buttons = buttons
        self.boot = boot
        self.outbox = Outbox()
        self.link = Link(keepalive_s)
        self.heart = Heart(beat_period_ms)
        self.wall = Wall()
        self.probe = Probe(credentials[1] if credentials else "", probe_period_ms)
        self.faults: "dict[str, str]" = {}  # name -> what is wrong, while it is; "" where a silent input found it
        self.rejected = 0  # acks not obeyed, since boot
        self._silent = silent
        self._info = info
        self._n = 0
        self._nonce = ""
        self._born = False
        self._informed = False
        self._refused_ms: "int | None" = None
        self._rejected_why = ""
        self._rejected_told = 0
        self._rejected_told_ms = -REJECTED_EVERY_MS
        self._closed: "list[tuple[int, int, int]]" = []  # (b, n, epoch) of the last ones
        for press in held:
            self.outbox.put(press)
        self.outbox.waiting = waiting
        if waiting and self.outbox.newest():
            self.outbox.loud = boot, 0
        if credentials is None:
            self.faults["credentials"] = "missing or invalid"

    # What happened

    def started(self, why: str, text: str, now_ms: int) -> None:
        """The boot itself is worth an event: why this boot happened, and a text if the one before left one."""
        fields: "dict[str, object]" = {"k": "boot", "why": why}
        if text:
            fields["txt"] = text[:MAX_TEXT]
        self._report(fields, now_ms)

    def sampled(self, at: int, active: bool, edge_ms: "int | None", now_ms: int) -> "tuple[tuple[str, object], ...]":
        """Input number `at` was read: its level, and the instant of the edge latched since the last reading."""
        contact = self.buttons[at]
        told = contact.step(active, edge_ms, now_ms)
        if told == button.NOTHING:
            return NOTHING
        if told != button.PRESS:
            if told == button.RELEASED:
                self.faults.pop(contact.name, None)
            elif not self._silent[at]:
                self.faults[contact.name] = told
            self._report({"k": told, "in": contact.name}, now_ms)
            return NOTHING
        press = Press(
            self.boot,
            self._next(),
            contact.contact_ms,
            self.wall.epoch_s(contact.contact_ms),
            self.wall.quality,
            contact.name,
            contact.held_ms,
            self._silent[at],
        )
        return ((KEEP, press),)

    def kept(self, press: Press, durable: bool, now_ms: int) -> "tuple[tuple[str, object], ...]":
        """The journal answered. A press that could not be kept is sent all the same, and nothing is promised for it."""
        press.kept = durable
        press.due_ms = now_ms
        if durable:
            if not press.silent or not self.faults.get("journal"):
                self.faults.pop("journal", None)
            if self.outbox.full():
                self.outbox.waiting += 1
                if press.silent:
                    return NOTHING
                self.outbox.loud = press.b, press.n
                return ((PLAY, sound_of("sending")),)
            self.outbox.put(press)
            return self._sound("sending", press)
        self.fault("journal", "a press could not be written", now_ms, press.silent)
        if self.outbox.full():
            self.outbox.dropped += 1
        else:
            self.outbox.put(press)
        return NOTHING

    def returned(self, press: "Press | None") -> None:
        """This press, asked for with FETCH, was read from the journal; None: there is no more."""
        if self.outbox.read_ms:
            self.outbox.read_ms = 0
            self.faults.pop("journal", None)
        if press is None:
            self.outbox.waiting = 0
        elif self.outbox.press_named(press.b, press.n):
            self.outbox.last = press.b, press.n  # it came while flash could not be read
        else:
            self.outbox.waiting -= 1
            self.outbox.put(press)
        if not self.outbox.waiting or (press and (press.b, press.n) >= self.outbox.loud):
            self.outbox.loud = 0, 0

    def unreadable(self, now_ms: int) -> None:
        """Flash did not say what stands in the journal: those that wait there go on waiting."""
        self.outbox.read_ms = now_ms + UNREADABLE_MS
        silent = all(self._silent) or (self.outbox.waiting < UNCOUNTED and not self.outbox.loud[0])
        self.fault("journal", "presses could not be read", now_ms, silent)

    def fault(self, name: str, text: str, now_ms: int, silent: bool = False) -> None:
        """Something is wrong; told once, until it is over, and shown as a fault unless `silent`."""
        told = name in self.faults
        if not silent or not told:
            self.faults[name] = "" if silent else text
        if not told:
            self._report({"k": "fault", "txt": (name + ": " + text)[:MAX_TEXT]}, now_ms)

    def connected(self, nonce: str, now_ms: int) -> None:
        """CONNACK came for the attempt that `link.wants` allowed."""
        self.link.opened(now_ms)
        self.heart.opened(self.session(), now_ms)
        self.outbox.opened(now_ms)
        self.probe.since_ms = now_ms
        if self.probe.signal:
            self.probe.signal.due_ms = now_ms
        self._nonce = nonce
        self._born = False
        self._informed = False

    def received(self, topic: str, frame: bytes, retained: bool, now_ms: int) -> "tuple[tuple[str, object], ...]":
        """A frame came. Only a fresh ack, signed with our key, that names what we hold, has an effect."""
        if self._credentials is None:
            return NOTHING
        if retained:
            return self._reject("retained")
        if topic != self.topic("ack"):
            return self._reject("topic")
        try:
            ack = messages.unseal(topic, frame, self._credentials[3])
        except WireError as error:
            return self._reject(error.code)
        if ack["re"] == messages.BEAT:
            if not self.heart.alive(str(ack["s"]), _integer(ack["i"]), now_ms):
                return self._reject("beat")
            return self._clock(ack, now_ms)
        b, n = messages.parse_signal_id(str(ack["re"]))
        press = self.outbox.press_named(b, n)
        if press is not None:
            return self._obey(press, ack, now_ms)
        probe = self.probe.signal
        if probe and (probe.b, probe.n) == (b, n):
            return self._probed(probe, ack, now_ms)
        if self.outbox.settle_event(b, n):
            return self._clock(ack, now_ms)
        return self._unheld(b, n, ack, now_ms)

    def tick(self, now_ms: int) -> "tuple[tuple[str, object], ...]":
        """Time passed: say that a press was not delivered; report rejected acks and dropped events, once in a while."""
        if self.rejected > self._rejected_told and now_ms - self._rejected_told_ms >= REJECTED_EVERY_MS:
            count = self.rejected - self._rejected_told
            self._rejected_told = self.rejected
            self._rejected_told_ms = now_ms
            self._report({"k": "ack-rejected", "why": self._rejected_why, "count": count}, now_ms)
        if self.outbox.untold and not self.outbox.events:
            count = self.outbox.untold
            self.outbox.untold = 0
            self._report({"k": "dropped", "count": count}, now_ms)
        if self.probe.flying and self.link.state == "up" and now_ms - self.probe.since_ms > FAILED_MS:
            self.fault("probe", "not acknowledged", now_ms, all(self._silent))
        if self.outbox.wish(now_ms):
            return ((FETCH, self.outbox.last),)
        for press in self.outbox.presses:
            if not press.rank and not press.late and now_ms - press.made_ms >= UNDELIVERED_MS:
                press.late = True
                return self._sound("undelivered", press)
        return NOTHING

    # What to do about it

    def session(self) -> str:
        """The session of the connection that `link` counts now: the Will of its CONNECT names it too."""
        return messages.session(self.boot, self.link.number)

    def topic(self, channel: str) -> str:
        """The topic of one of this post's channels."""
        assert self._credentials is not None
        return topics.topic(self._credentials[0], self._credentials[1], channel)

    def will(self) -> "tuple[str, bytes, int, bool]":
        """What the broker says for us if the connection we are about to open dies, like a frame of `due`."""
        return self._sealed("state", {"v": messages.MINOR, "s": self.session(), "st": "lost"}, 1, True)

    def unsent(self) -> bool:
        """Whether a press waits for its ack: then the link hurries."""
        return self.outbox.pending() > 0

    def due(self, readings: "dict[str, int]", jitter: int, now_ms: int) -> "tuple[str, bytes, int, bool] | None":
        """The next (topic, frame, qos, retain) to publish now, None if there is none.

        A person overtakes a birth, a birth all the rest. `readings` are the fields of a beat that the shell measured:
        lag, free, and where known rssi, mv, blk.
        """
        if self._credentials is None or self.link.state != "up":
            return None
        press = self.outbox.due_press(False, jitter, now_ms)
        if press is not None:
            return self._alert(press, now_ms)
        if not self._born:
            self._born = True
            return self._birth(now_ms)
        if not self._informed:
            self._informed = True
            return self._sealed("info", self._info, 1, True)
        press = self.outbox.due_press(True, jitter, now_ms)
        if press is not None:
            return self._alert(press, now_ms)
        if self.probe.wants(jitter, now_ms) and self._quiet():
            self.probe.signal = Signal(self.boot, self._next(), now_ms, self.wall.epoch_s(now_ms), self.wall.quality)
            self.probe.flying = True
            self.probe.since_ms = now_ms
        probe = self.probe.due(jitter, now_ms)
        if probe is not None:
            fields = self._common(probe.b, probe.n, probe.t, probe.q, now_ms - probe.made_ms, probe.tries)
            fields.update({"k": "probe", "in": self.buttons[0].name, "held": 0, "mode": "real"})
            return self._sealed("alert", fields, 1, False)
        event = self.outbox.due_event(jitter, now_ms)
        if event is not None:
            fields = self._common(event.b, event.n, event.t, event.q, now_ms - event.made_ms, event.tries)
            fields.update(event.fields)
            return self._sealed("event", fields, 1, False)
        if self.heart.beat(jitter, now_ms):
            return self._beat(readings, now_ms)
        return None

    def indicator(self, now_ms: int) -> str:
        """What the lamp shows: a name of lamp.INDICATORS. It follows the newest press that is not silent."""
        press = self.outbox.newest()
        if self.outbox.loud[0] and (press is None or (press.rank and self.outbox.behind(press))):
            return "sending"  # the newest is still in the journal: what became of an older one is not its answer
        if press is not None:
            if press.rank >= 2:
                return "answered"
            if press.rank:
                return "sent"
            if press.late:
                return "undelivered"
            if press.kept:
                return "sending"
            return "fault"
        if (self.faults and any(self.faults.values())) or (
            self._refused_ms is not None and now_ms - self._refused_ms < REFUSED_MS
        ):
            return "fault"
        if self.heart.in_service(now_ms) and self.link.down_for_ms(now_ms) < LINK_LOST_MS:
            return "in-service"
        return "idle" if now_ms < LINK_LOST_MS else "no-network"

    # Inside

    def _next(self) -> int:
        self._n += 1
        return self._n

    def _report(self, fields: "dict[str, object]", now_ms: int) -> None:
        t = self.wall.epoch_s(now_ms)
        self.outbox.report(Event(self.boot, self._next(), now_ms, t, self.wall.quality, fields))

    def _sound(self, indicator: str, press: Press) -> "tuple[tuple[str, object], ...]":
        sound = sound_of(indicator)
        if not sound or press is not self.outbox.newest() or (press.rank and self.outbox.behind(press)):
            return NOTHING
        return ((PLAY, sound),)

    def _obey(self, press: Press, ack: "dict[str, object]", now_ms: int) -> "tuple[tuple[str, object], ...]":
        result = str(ack["r"])
        epoch = _integer(ack.get("e", press.epoch))
        verdict = self.outbox.ack(press, result, epoch, now_ms)
        if verdict == REPEATED:
            self._confirm(press.b, press.n, result, epoch, self._latency(press, now_ms), now_ms)
            return NOTHING
        if verdict != OBEYED:
            return self._reject(verdict)
        effects: "tuple[tuple[str, object], ...]" = self._clock(ack, now_ms)
        if result == "closed" or result == "refused":
            effects += ((FORGET, press),)
            self.outbox.forget(press)
            if result == "refused":
                if not press.silent:
                    self._refused_ms = now_ms
            else:
                self._closed = self._closed[1 - CLOSED_REMEMBERED :] + [(press.b, press.n, epoch)]
        else:
            effects += self._sound("answered" if result == "answered" else "sent", press) + ((MARK, press),)
            let_go = self.outbox.overflow()
            if let_go is not None:
                effects += ((FORGET, let_go),)
        self._confirm(press.b, press.n, result, epoch, self._latency(press, now_ms), now_ms)
        return effects

    def _quiet(self) -> bool:
        """Whether no press is in flight: none waits for its ack, no contact is closed."""
        return not self.unsent() and not self.outbox.waiting and all([one.line() != "pressed" for one in self.buttons])

    def _probed(self, probe: Signal, ack: "dict[str, object]", now_ms: int) -> "tuple[tuple[str, object], ...]":
        """The way there and back of a probe: judged and confirmed as a press is, and no lamp moves."""
        result = str(ack["r"])
        if result == "refused":
            self.probe.flying = False
            self.probe.next_ms = now_ms + FAILED_MS
        elif result != "stored" and result != "closed":
            return self._reject("result")
        else:
            if self.probe.flying:
                self.probe.stored(self.wall.epoch_s(now_ms) * 1000 or now_ms, now_ms)
                self.faults.pop("probe", None)
            self._confirm(probe.b, probe.n, result, _integer(ack.get("e", 0)), now_ms - probe.made_ms, now_ms)
        return self._clock(ack, now_ms)

    def _unheld(self, b: int, n: int, ack: "dict[str, object]", now_ms: int) -> "tuple[tuple[str, object], ...]":
        """An ack of a signal that is not held. A `closed` is confirmed again: no lamp shows that press, which is what
        the backend wants to hear; ours may have died with the power. Everything is sent again until it is acknowledged,
        so a second ack of an event of this boot is nothing to report."""
        epoch = _integer(ack.get("e", 0))
        minted = b < self.boot or (b == self.boot and n <= self._n)
        if ack["r"] == "closed" and minted:
            self._confirm(b, n, "closed", epoch, -1, now_ms)
            if (b, n, epoch) in self._closed:
                return NOTHING
        if ack["r"] == "stored" and b == self.boot and n <= self._n and "e" not in ack:
            return NOTHING
        return self._reject("unknown")

    def _latency(self, press: Press, now_ms: int) -> int:
        return -1 if press.restored else now_ms - press.made_ms

    def _confirm(self, b: int, n: int, result: str, epoch: int, lat_ms: int, now_ms: int) -> None:
        """Report the lamp, unless the same report is still on its way."""
        re = messages.signal_id(b, n)
        for event in self.outbox.events:
            fields = event.fields
            if fields.get("re") == re and fields["r"] == result and fields["e"] == epoch:
                return
        self._report({"k": "lamp", "re": re, "r": result, "e": epoch, "lat": lat_ms}, now_ms)

    def _reject(self, why: str) -> "tuple[tuple[str, object], ...]":
        self.rejected += 1
        self._rejected_why = why
        return NOTHING

    def _clock(self, ack: "dict[str, object]", now_ms: int) -> "tuple[tuple[str, object], ...]":
        epoch_s = _integer(ack.get("t", 0))
        if not epoch_s or self.wall.quality == "ntp":
            return NOTHING
        first = self.wall.quality != "gw"
        self.wall.set(epoch_s, "gw", now_ms)
        return ((SET_CLOCK, epoch_s),) if first else NOTHING

    def _common(self, b: int, n: int, t: int, q: str, age_ms: int, tries: int) -> "dict[str, object]":
        return {"v": messages.MINOR, "b": b, "n": n, "t": t, "q": q, "age": max(0, age_ms), "try": tries}

    def _alert(self, press: Press, now_ms: int) -> "tuple[str, bytes, int, bool]":
        age_ms = now_ms - press.made_ms  # of a restored one: at least this boot's uptime
        if press.restored and press.t and self.wall.quality != "none":
            age_ms = (self.wall.epoch_s(now_ms) - press.t) * 1000
        fields = self._common(press.b, press.n, press.t, press.q, age_ms, press.tries)
        fields.update({"k": "press", "in": press.name, "held": press.held_ms, "mode": "real"})
        if press.silent:
            fields["silent"] = 1
        return self._sealed("alert", fields, 1, False)

    def _birth(self, now_ms: int) -> "tuple[str, bytes, int, bool]":
        fields: "dict[str, object]" = {
            "v": messages.MINOR,
            "s": self.session(),
            "st": "ready",
            "nonce": self._nonce,
            "t": self.wall.epoch_s(now_ms),
            "q": self.wall.quality,
        }
        return self._sealed("state", fields, 1, True)

    def _beat(self, readings: "dict[str, int]", now_ms: int) -> "tuple[str, bytes, int, bool]":
        lines: "dict[str, object]" = {}
        rejected = 0
        for contact in self.buttons:
            lines[contact.name] = contact.line()
            rejected += contact.rejected
        fields: "dict[str, object]" = {
            "v": messages.MINOR,
            "s": self.session(),
            "i": self.heart.number,
            "b": self.boot,
            "n": self._n,
            "up": now_ms // 1000,
            "spool": self.outbox.pending() + self.outbox.waiting,
            "drop": self.outbox.dropped,
            "rej": rejected,
            "lines": lines,
            "t": self.wall.epoch_s(now_ms),
            "q": self.wall.quality,
        }
        fields.update(readings)
        return self._sealed("beat", fields, 0, False)

    def _sealed(
        self, channel: str, fields: "dict[str, object]", qos: int, keep: bool
    ) -> "tuple[str, bytes, int, bool]":
        assert self._credentials is not None
        topic = self.topic(channel)
        return topic, messages.seal(topic, fields, self._credentials[2], self._credentials[3]), qos, keep


def _integer(value: object) -> int:
    """A number that the wire's schema has already checked."""
    assert isinstance(value, int)
    return value
