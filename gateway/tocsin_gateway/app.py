"""The gateway put together: who hands what to whom.

broker -> link -> intake (spool, PUBACK) -> uplink "rest"
              \\-> uplink "alerts", at once     -> link (acks)
              \\-> beats
backend -> downlink -> link
"""

import itertools
import logging
import threading
from collections.abc import Callable
from typing import Any

from tocsin_gateway import forwarding, mqtt_link, spool
from tocsin_gateway.beats import Beats
from tocsin_gateway.clock import epoch_ms, steady_ms
from tocsin_gateway.connection import Connection
from tocsin_gateway.downlink import Downlink
from tocsin_gateway.faults import Counts, Faults
from tocsin_gateway.forwarding import ALERT, LANE_NAMES, LANES, Arrival, lane_of
from tocsin_gateway.heartbeat import SILENT, Heartbeat
from tocsin_gateway.intake import Intake, start
from tocsin_gateway.mqtt_link import Link
from tocsin_gateway.settings import Credentials, Settings
from tocsin_gateway.short_messages import ShortMessages
from tocsin_gateway.status import Status
from tocsin_gateway.uplink import Uplink

log = logging.getLogger(__name__)

WATCH_EVERY_S = 1.0
RETAINED_KNOWN_MAX = 200_000  # topics whose last forwarded frame is remembered: state and info of 100,000 devices


class App:
    """One gateway. `start`, then `wait` until `stop` is called from a signal or another thread."""

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._settings = settings
        self._credentials = credentials
        self.faults = Faults()
        self.counts = Counts()
        self._stopped = threading.Event()
        spool_file = settings.data / "spool.db"
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        said = spool.prepare(spool_file, epoch_ms())
        if said:
            self.faults.begin("spool-damaged", said)
        self._totals = spool.Reader(spool_file)
        self._ids = itertools.count(self._totals.last_id() + 1)
        self._retained: dict[str, int] = {}
        org = credentials.org
        self.intake = Intake(
            spool_file, self._puback, self._held, self.faults, self.counts, settings.spool_free_mb * 1_000_000
        )
        self.uplinks = {
            lane: Uplink(
                lane, org, spool_file, self._connection(), self.intake, self._publish, self.faults, self.counts
            )
            for lane in LANES
        }  # fmt: skip
        self.beats = Beats(
            org, settings.beat_period_ms, self._connection(), self._publish_beat_ack, self._beats_pass, self.counts
        )
        self.heartbeat = Heartbeat(steady_ms())
        self.short_messages = ShortMessages(None, self._connection(), self.counts)
        self.downlink = Downlink(
            org, self._connection(), self._connection(), self._publish_then, self.faults, self.counts, self.heartbeat,
            self.short_messages,
        )  # fmt: skip
        self.link = self._make_link()
        self.status = Status(settings.status_host, settings.status_port, self.describe)
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start every thread; what an earlier life left in the spool goes first."""
        for lane, uplink in self.uplinks.items():
            self._threads.append(start(uplink.run, f"uplink-{LANE_NAMES[lane]}"))
        self._threads.append(start(self.intake.run, "intake"))
        self._threads.append(start(self.beats.run, "beats"))
        self._threads.append(start(self.downlink.run, "downlink"))
        self._threads.append(start(self.downlink.run_acks, "downlink-acks"))
        self._threads.append(start(self.short_messages.run, "short-messages"))
        self._threads.append(start(self.short_messages.run_reports, "sms-reports"))
        self.status.start()
        self.link.start()
        log.info(
            "gateway %s of %s; status on port %d", self._credentials.gateway, self._credentials.org, self.status.port
        )

    def wait(self) -> bool:
        """Watch over the threads until `stop`; False when one that cannot be replaced has died."""
        while not self._stopped.wait(WATCH_EVERY_S):
            self._watch_engine()
            if not self.link.is_healthy():
                self.counts.add("links_replaced")
                log.error("the broker's thread is dead or stuck: a new one takes its place")
                self.link.abandon()
                self.link = self._make_link()
                self.link.start()
                self.downlink.restart()  # the PUBACKs it waits for will never come
            for thread in self._threads:
                if not thread.is_alive() and not self._stopped.is_set():
                    log.critical("the thread %s has died; leaving, so that whoever watches starts us anew", thread.name)
                    return False
        return True

    def _watch_engine(self) -> None:
        now_ms = steady_ms()
        if not self.heartbeat.look(now_ms):
            return
        if self.heartbeat.state == SILENT:
            self.faults.begin("engine", "the backend's engine is silent: alerts may not be escalated")
            self.link.say_engine(SILENT)
            return
        self.faults.end("engine")
        self.link.say_engine("")
        silent_ms = self.heartbeat.end(now_ms)
        if silent_ms:
            self.downlink.tell_silence(silent_ms)

    def request_stop(self) -> None:
        """Have `wait` return; safe in a signal handler."""
        self._stopped.set()

    def stop(self) -> None:
        """End everything; what is not stored stays with the broker, what is not forwarded stays in the spool."""
        self._stopped.set()
        self.link.stop()
        for uplink in self.uplinks.values():
            uplink.stop()
        self.beats.stop()
        self.downlink.stop()
        self.short_messages.stop()
        self.intake.stop()
        for thread in self._threads:
            thread.join(3.0)
        self.status.stop()

    def describe(self) -> dict[str, Any]:
        """The status page."""
        try:
            totals: dict[str, Any] = self._totals.totals()
        except spool.SpoolError as error:
            totals = {"spool": f"cannot be read: {error}"}
        return {
            "org": self._credentials.org,
            "gateway": self._credentials.gateway,
            "faults": self.faults.now(),
            "broker": "ready" if self.link.ready else "away",
            "engine": {"state": self.heartbeat.state, "beat_age_ms": self.heartbeat.age_ms(steady_ms())},
            "storage": self.intake.storage,
            "waiting_for_disk": self.intake.unheld(),
            "uplink": {LANE_NAMES[lane]: uplink.state() for lane, uplink in self.uplinks.items()},
            **totals,
            "counts": self.counts.now(),
        }

    def take_in(self, session: int, mid: int, topic: str, frame: bytes, *, retained: bool, dup: bool) -> None:
        """One message from the broker, in the link's thread: it is only put into queues."""
        now_ms = epoch_ms()
        topic, frame, cut = forwarding.bounded(topic, frame)
        if topic.endswith("/" + forwarding.BEAT):  # subscribed at QoS 0: nobody waits for a PUBACK
            self.beats.offer(topic, frame, now_ms)
            return
        if dup and self.intake.knows(session, mid, topic, frame):
            self.counts.add("repeated")
            return
        if cut:
            self.counts.add("oversize")
        lane = lane_of(topic)
        if lane != ALERT and self._is_known_retained(topic, frame, retained):
            self.link.puback(session, mid)
            self.counts.add("retained_known")
            return
        arrival = Arrival(next(self._ids), session, mid, topic, frame, now_ms, retained, dup, cut=cut)
        if lane == ALERT and self.uplinks[ALERT].roomy:
            arrival.offered = True
            self.uplinks[ALERT].offer(arrival)
        self.intake.offer(arrival)

    def _is_known_retained(self, topic: str, frame: bytes, retained: bool) -> bool:
        """Whether this is a retained state or info that went up unchanged already: a broker repeats them all each time
        we subscribe, and we subscribe each time we connect.
        """
        if not topic.endswith(("/state", "/info")):
            return False
        digest = hash(frame)
        if retained and self._retained.get(topic) == digest:
            return True
        if len(self._retained) >= RETAINED_KNOWN_MAX:
            self._retained.clear()
        self._retained[topic] = digest
        return False

    def _held(self, arrival: Arrival) -> None:
        if not arrival.offered:
            self.uplinks[lane_of(arrival.topic)].offer(arrival)

    def _puback(self, session: int, mid: int) -> None:
        self.link.puback(session, mid)

    def _publish(self, topic: str, frame: bytes) -> None:
        self.link.publish(topic, frame)

    def _publish_beat_ack(self, topic: str, frame: bytes) -> None:
        self.link.publish(topic, frame, qos=0)

    def _publish_then(self, topic: str, frame: bytes, then: Callable[[], None], until_ms: int) -> None:
        self.link.publish(topic, frame, then=then, until_ms=until_ms)

    def _beats_pass(self) -> bool:
        return forwarding.beats_pass(self.intake.storage)

    def _connection(self) -> Connection:
        return Connection(self._credentials.backend_url, self._credentials.token, self._settings.backend_ca)

    def _make_link(self) -> Link:
        who = self._credentials
        link = mqtt_link.Link(
            who.broker, who.org, who.gateway, self.take_in, self.intake.lost_session, self.faults, self.counts
        )
        link.engine = SILENT if self.heartbeat.state == SILENT else ""
        return link
