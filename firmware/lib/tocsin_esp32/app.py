"""The post's loop: one thread, one turn after another, nothing that waits longer than a sample.

A turn serves the contacts, the lamp and the sounder every 5 ms, then the network; in between it sleeps on the socket,
so that an ack is handled when it comes and not when a tick does.
"""

import gc
import os

from tocsin_device.button import SAMPLE_MS, Button
from tocsin_device.device import FETCH, FORGET, KEEP, MARK, PLAY, SET_CLOCK, Device

from . import clock
from .log import say
from .mqtt import Client, LinkLost
from .pins import Buzzer, Contact, Lamp
from .resolver import Resolver
from .watchdog import Watchdog
from .wifi import Wifi

BUTTON = (
    "name",
    "debounce_ms",
    "stuck_ms",
    "presses",
    "within_ms",
    "long_ms",
)  # of a profile's input, in Button's order


class App:
    """One post, put together from the facts of start.py. `run` never returns."""

    def __init__(self, facts) -> None:
        profile = facts["profile"]
        inputs = profile["inputs"]
        self._contacts = [Contact(row["pin"], row["active"], row["pull"]) for row in inputs]
        self._lamp = Lamp(profile["lamp"]["red"], profile["lamp"]["green"])
        self._buzzer = Buzzer(profile["buzzer"]["pin"])
        self._journal = facts["journal"]
        self._device = device = Device(
            facts["credentials"],
            tuple([Button(*[row[key] for key in BUTTON]) for row in inputs]),
            tuple([bool(row["silent"]) for row in inputs]),
            self._journal.boot,
            facts["held"],
            facts["waiting"],
            facts["info"],
            profile["beat_period_ms"],
            profile["keepalive_s"],
            profile.get("probe_period_ms", 86400000),
        )
        self._readings = {"lag": 0, "free": 0}
        self._sampled_ms = now_ms = clock.now_ms()
        if facts["epoch_s"]:
            device.wall.set(facts["epoch_s"], "rtc", now_ms)
        device.started(facts["why"], facts["word"], now_ms)
        if not facts["counted"]:
            device.fault("counter", "neither flash nor NVS keeps the boot counter", now_ms)
        self._busy = False
        self._client = None  # without credentials there is no network: the post keeps presses and says so
        if facts["broker"]:
            broker = facts["broker"]
            self._client = Client(*facts["login"], profile["keepalive_s"], self._serve)
            self._resolver = Resolver(broker["host"], broker["port"])
            self._wifi = Wifi(*facts["net"])
        self._watchdog = Watchdog(profile["watchdog_ms"])

    def run(self) -> None:
        """Serve for ever."""
        while True:
            self.turn()

    def turn(self) -> None:
        """Serve the contacts if a sample is due, then the network; then wait for the next sample or for bytes."""
        now_ms = clock.now_ms()
        if now_ms - self._sampled_ms >= SAMPLE_MS:
            self._serve()
        if self._client is not None:
            self._network(clock.now_ms())
        self._watchdog.ran("turn")
        wait_ms = 0 if self._busy else max(0, SAMPLE_MS - (clock.now_ms() - self._sampled_ms))
        if self._device.link.state == "up":
            self._client.guard.wait(wait_ms)
        elif wait_ms:
            clock.sleep_ms(wait_ms)

    def _serve(self) -> None:
        """Everything that may not wait for the network; also called inside a connection attempt."""
        device = self._device
        now_ms = clock.now_ms()
        lag_ms = now_ms - self._sampled_ms - SAMPLE_MS
        if lag_ms > self._readings["lag"]:
            self._readings["lag"] = lag_ms
        self._sampled_ms = now_ms
        for at in range(len(self._contacts)):
            contact = self._contacts[at]
            edge_ms = contact.take_edge(now_ms)
            effects = device.sampled(at, contact.active(), edge_ms, now_ms)
            if effects:
                self._do(effects)
        self._watchdog.ran("inputs")
        self._do(device.tick(now_ms))
        self._buzzer.step(now_ms)
        self._show()

    def _show(self) -> None:
        now_ms = clock.now_ms()
        self._lamp.show(self._device.indicator(now_ms), now_ms)
        self._watchdog.ran("lamp")

    def _network(self, now_ms: int) -> None:
        device, link = self._device, self._device.link
        self._wifi.step(now_ms)
        if link.state != "up":
            if not self._wifi.ready() or not self._resolver.ready(device.unsent(), now_ms):
                return
            if not link.wants(device.unsent(), _jitter(), now_ms):
                return
        try:
            if link.state == "connecting":
                self._connect()
            self._talk()
        except LinkLost as lost:
            self._client.guard.close()
            now_ms = clock.now_ms()
            self._resolver.failed(link.state == "connecting")
            link.closed(_jitter(), now_ms)
            say("link lost: %s" % (lost,))

    def _connect(self) -> None:
        device = self._device
        self._client.open(self._resolver.address, device.will())
        device.connected(_nonce(), clock.now_ms())
        self._resolver.worked()
        self._client.listen(device.topic("ack"))
        say("connected %s" % device.session())

    def _talk(self) -> None:
        """Hear what has come, then send what is due while there is room, then ask whether the link lives."""
        device, client = self._device, self._client
        client.check()
        device.link.heard(client.heard_ms)
        self._busy = bool(client.arrived)  # there may be more: the next turn does not wait, and serves the contacts
        if self._busy:
            topic, frame, retained = client.arrived.pop()
            try:
                name = topic.decode()
            except ValueError:
                name = ""
            effects = device.received(name, frame, retained, clock.now_ms())
            if effects:
                self._show()  # the flash, slower, can wait: the backend has the press
                self._do(effects)
        while client.room():
            now_ms = clock.now_ms()
            is_beat = device.heart.is_due(now_ms)
            if is_beat:
                self._measure()
            frame = device.due(self._readings, _jitter(), now_ms)
            if frame is None:
                break
            client.send(*frame)
            if is_beat:
                self._readings["lag"] = 0
        now_ms = clock.now_ms()
        asked_ms = client.in_flight[0][1] if client.in_flight else None
        wish = device.link.step(device.unsent(), asked_ms, now_ms)
        if wish == "dead":
            raise LinkLost("the broker does not answer")
        if wish == "ping":
            client.ask()

    def _measure(self) -> None:
        """Fresh readings for the beat that is due, and a sweep of the heap while nobody waits."""
        gc.collect()
        self._readings["free"] = gc.mem_free()
        rssi_dbm = self._wifi.rssi_dbm()
        if rssi_dbm is not None:
            self._readings["rssi"] = rssi_dbm

    def _do(self, effects) -> None:
        """Carry effects out, in order."""
        device = self._device
        for what, subject in effects:
            if what == KEEP:
                durable = self._journal.keep(subject)
                self._do(device.kept(subject, durable, clock.now_ms()))
                self._show()
            elif what == PLAY:
                self._buzzer.play(subject, clock.now_ms())
            elif what == MARK:
                self._journal.mark(subject)
            elif what == FORGET:
                self._journal.forget(subject)
            elif what == FETCH:
                try:
                    found = self._journal.next_pending(subject)
                except OSError:
                    device.unreadable(clock.now_ms())
                else:
                    device.returned(self._journal.read("p", *found) if found else None)
            elif what == SET_CLOCK:
                clock.write_rtc(subject)


def _jitter() -> int:
    return int.from_bytes(os.urandom(2), "big") % 1000


def _nonce() -> str:
    return "".join(["%02x" % byte for byte in os.urandom(8)])
