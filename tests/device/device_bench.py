"""A post on a bench, for the tests of this folder: common dialect, runs on CPython and MicroPython."""

from tocsin_device.button import Button
from tocsin_device.device import FETCH, FORGET, KEEP, MARK, PLAY, Device
from tocsin_device.outbox import Press
from tocsin_wire import messages, topics

KEY = bytes(range(32))
ACK = topics.topic("demo", "post-1", "ack")
READINGS = {"lag": 1, "free": 50000}


class Dice:
    """Seeded numbers, the same on both interpreters (a linear congruential generator of 31 bits)."""

    def __init__(self, seed):
        self.state = seed * 2654435761 % 2147483648

    def below(self, limit):
        self.state = (self.state * 1103515245 + 12345) % 2147483648
        return (self.state >> 8) % limit

    def chance(self, percent):
        return self.below(100) < percent


class Bench:
    """A Device with a journal in a dict, a clock, and a list of what it did."""

    def __init__(
        self, boot=7, held=(), waiting=0, journal=None, credentials=True, silent=False, probe_period_ms=0
    ):  # silent: input 0
        self.now_ms = 1000
        self.journal = {} if journal is None else journal
        self.flash_works = True
        self.flash_reads = True
        self.reads = 0
        self.minted = None
        self.hushed = set()  # the silent ones
        self.at = 0  # the input that is sampled
        self.played = []
        self.order = []  # what happened, in order: kept, played, sent
        who = ("demo", "post-1", "k1", KEY) if credentials else None
        contacts = (Button("call"), Button("hush"))
        self.device = Device(who, contacts, (silent, True), boot, list(held), waiting, INFO, 30000, 30, probe_period_ms)

    def do(self, effects):
        for what, subject in effects:
            if what == KEEP:
                self.minted = (subject.b, subject.n)
                if subject.silent:
                    self.hushed.add(self.minted)
                if self.flash_works:
                    self.journal[subject.b, subject.n] = "p"
                self.order.append(("kept", subject.n))
                self.do(self.device.kept(subject, self.flash_works, self.now_ms))
            elif what == MARK and self.flash_works:
                self.journal[subject.b, subject.n] = "o"
            elif what == FORGET and self.flash_works:
                self.journal.pop((subject.b, subject.n), None)
            elif what == PLAY:
                self.played.append(subject)
                self.order.append(("played", subject))
            elif what == FETCH:
                self.fetch(subject)

    def fetch(self, after):
        self.reads += 1
        if not self.flash_reads:
            self.device.unreadable(self.now_ms)
            return
        for name in sorted(self.journal):
            if self.journal[name] == "p" and name > after:
                press = Press(name[0], name[1], self.now_ms, 0, "none", "call", 40, name in self.hushed)
                press.kept = True
                self.device.returned(press)
                return
        self.device.returned(None)

    def sample(self, active, edge=False, ms=5):
        self.now_ms += ms
        self.do(self.device.sampled(self.at, active, self.now_ms - 1 if edge else None, self.now_ms))
        self.do(self.device.tick(self.now_ms))

    def rest(self, ms=200):
        for _ in range(ms // 5):
            self.sample(False)

    def press(self, at=0):
        """A clean press of 100 ms on input `at` (1 is a silent one); its (b, n), None if none was minted."""
        self.minted = None
        self.at = at
        self.rest()
        self.sample(True, edge=True)
        for _ in range(20):
            self.sample(True)
        self.rest()
        self.at = 0
        return self.minted

    def connect(self):
        while not self.device.link.wants(self.device.unsent(), 0, self.now_ms):
            self.now_ms += 100
        self.device.connected("0011223344556677", self.now_ms)

    def drop(self):
        self.device.link.closed(500, self.now_ms)

    def sent(self, jitter=500):
        """Everything due now, as (channel, message)."""
        found = []
        while True:
            frame = self.device.due(READINGS, jitter, self.now_ms)
            if frame is None:
                return found
            channel = topics.parse(frame[0])[2]
            message = messages.unseal(frame[0], frame[1], KEY)
            self.order.append(("sent", channel, message.get("n")))
            found.append((channel, message))

    def hear(self, message, key=KEY, topic=ACK, retained=False):
        frame = messages.seal(ACK, message, "k1", key)
        self.do(self.device.received(topic, frame, retained, self.now_ms))

    def ack(self, name, result, epoch=1, **more):
        message = {"v": 1, "re": messages.signal_id(*name), "r": result, "e": epoch}
        message.update(more)
        self.hear(message)

    def alive(self, t=1790000000):
        heart = self.device.heart
        self.hear({"v": 1, "re": "beat", "r": "alive", "s": heart.session, "i": heart.number, "t": t})

    def lamp(self):
        return self.device.indicator(self.now_ms)


INFO = {
    "v": 1,
    "kind": "call_post",
    "fw": "0.1.0",
    "profile": "call_post",
    "py": "micropython 1.25.0",
    "umqtt": "1.3.4",
    "board": "bench",
}
