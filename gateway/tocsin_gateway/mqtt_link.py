"""The link to the broker: paho-mqtt, driven by a loop of our own.

paho's loop would run in a thread that dies silently of a callback's exception (paho#365, #504, #704); here each turn
leaves a mark, callbacks only enqueue and are wrapped, and whoever watches the marks may put a new link in place of a
stuck one. PUBACKs are ours to send (`manual_ack`): the broker keeps what we have not stored.
"""

import contextlib
import hashlib
import itertools
import json
import logging
import random
import select
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from tocsin_wire import topics

from tocsin_gateway import forwarding
from tocsin_gateway.clock import epoch_ms, steady_ms
from tocsin_gateway.faults import Counts, Faults

log = logging.getLogger(__name__)

KEEPALIVE_S = 15  # a broker that answers nothing is given up after at most twice this
TURN_S = 1.0  # the longest the loop sleeps
STUCK_AFTER_MS = 20_000  # no turn for so long: connecting may take 5 s for the name, 5 for TCP and 5 for TLS
CONNECT_WITHIN_S = 5.0
BACKOFF_MAX_MS = 5_000
STABLE_MS = 60_000  # a connection that lasted so long was a good one: the next wait starts small again
WAITING_MAX = 1_000  # publishes kept while the broker is away; devices ask again, the downlink repeats
OUTGOING_MAX = 20_000  # publishes between two turns of the loop: one answer to a batch of beats brings thousands
MINOR = 1  # `v`

_sessions = itertools.count(1)  # connections of this process, whichever link made them


class Sink(Protocol):
    """Takes what arrives; `mid` is 0 at QoS 0. Called from the link's thread: it only enqueues."""

    def __call__(self, session: int, mid: int, topic: str, frame: bytes, *, retained: bool, dup: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and as whom we enter."""

    host: str
    port: int
    user: str
    password: str
    tls: bool = False
    ca_file: str = ""


def client_id(user: str, password: str) -> str:
    """Fixed, so that the broker keeps our session; unguessable, so that nobody who may enter can take it over."""
    return f"tocsin-gateway-{hashlib.sha256(f'client id {user} {password}'.encode()).hexdigest()[:16]}"


def state_message(state: str, now_ms: int, engine: str = "") -> bytes:
    """The gateway's own retained state, `ready` or `lost`; it is not signed. `engine`: "" while it is well."""
    document = {"v": MINOR, "st": state, "t": now_ms // 1000} | ({"eng": engine} if engine else {})
    return json.dumps(document, separators=(",", ":")).encode()


class Link:
    """One paho client and its thread. A link is never restarted: a stuck one is abandoned and a new one made."""

    def __init__(
        self,
        broker: Broker,
        org: str,
        gateway: str,
        sink: Sink,
        lost_session: Callable[[int], None],
        faults: Faults,
        counts: Counts,
    ) -> None:
        self._broker = broker
        self._org = org
        self._state_topic = topics.gateway_topic(org, gateway)
        self._sink = sink
        self._lost_session = lost_session
        self._faults = faults
        self._counts = counts
        self._random = random.Random()  # noqa: S311 (spreads retries; guards nothing)
        self._lock = threading.Lock()  # a PUBACK must never reach another connection than its own
        self._session = 0  # of the live connection; 0 when there is none
        self._connected_ms = 0
        self._asked: dict[int, list[str]] = {}  # SUBSCRIBE packet id -> channels
        self._missing: set[str] = set()  # channels not granted yet
        self._outgoing: deque[tuple[str, bytes, int, Callable[[], None] | None, int]] = deque()
        self._state_due = False  # whether the retained state changed while connected
        self.engine = ""  # what the retained state says of the backend's engine: "" or "silent"
        self._callbacks: dict[int, Callable[[], None]] = {}  # packet id -> after the PUBACK; the link's thread only
        self._closing = threading.Event()
        self.turned_ms = steady_ms()
        self.ready = False
        self._client = self._make_client()
        self.thread = threading.Thread(target=self._run, name="broker", daemon=True)

    def start(self) -> None:
        """Start the thread; it connects, and reconnects for ever."""
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        self.thread.start()

    def is_healthy(self) -> bool:
        """Whether the thread lives and turns."""
        return self.thread.is_alive() and steady_ms() - self.turned_ms < STUCK_AFTER_MS

    def puback(self, session: int, mid: int) -> None:
        """Acknowledge packet `mid` of connection `session`, if that is still the connection; from any thread."""
        with self._lock:
            if mid and session == self._session:
                self._client.ack(mid, 1)
        self._wake()

    def publish(
        self, topic: str, frame: bytes, qos: int = 1, then: Callable[[], None] | None = None, until_ms: int = 0
    ) -> None:
        """Publish from any thread; `then` is called from the link's after the PUBACK. Without a connection WAITING_MAX
        of them are kept at QoS 1, and those at QoS 0 are dropped. A command that still waits for the broker after
        `until_ms` (of steady_ms) is dropped, and `then` called all the same: late is worse than never.

        The link's thread alone speaks to paho about it: paho calls `on_publish` with its own lock held, and a lock of
        ours around its `publish` would meet that one the other way round.
        """
        room = OUTGOING_MAX if self._session else WAITING_MAX if qos else 0
        if len(self._outgoing) >= room:
            self._counts.add("publishes_dropped")
            return
        self._outgoing.append((topic, frame, qos, then, until_ms))
        self._wake()

    def say_engine(self, engine: str) -> None:
        """Have the retained state say so, now if there is a connection, and after each new one."""
        self.engine = engine
        self._state_due = True
        self._wake()

    def stop(self, *, say_lost: bool = True) -> None:
        """Leave the broker politely and end the thread; an abandoned link only forgets (`say_lost=False`)."""
        if say_lost and self.ready:
            self._client.publish(self._state_topic, state_message("lost", epoch_ms()), 1, retain=True)
        self._closing.set()
        self._wake()
        if say_lost and self.thread.is_alive():
            self.thread.join(2.0)

    def abandon(self) -> None:
        """It does not turn any more: nothing it may still do counts."""
        with self._lock:
            session, self._session = self._session, 0
        self._sink = _deaf
        self.stop(say_lost=False)
        self._lost_session(session)
        sock = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
        if not self.thread.is_alive():  # nobody else will
            for each in (sock, self._wake_read, self._wake_write):
                if each is not None:
                    each.close()

    # What follows runs in the link's thread.

    def _make_client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id(self._broker.user, self._broker.password),
            clean_session=False,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.username_pw_set(self._broker.user, self._broker.password)
        if self._broker.tls:
            context = ssl.create_default_context(cafile=self._broker.ca_file or None)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            client.tls_set_context(context)
        client.connect_timeout = CONNECT_WITHIN_S
        client.max_queued_messages_set(WAITING_MAX)
        client.max_inflight_messages_set(100)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_socket_open = _no_delay
        # Its presence alone matters: without it paho writes from whichever thread publishes, and two may interleave.
        client.on_socket_register_write = lambda *_: None
        client.will_set(self._state_topic, state_message("lost", epoch_ms()), 1, retain=True)
        client.connect_async(self._broker.host, self._broker.port, KEEPALIVE_S)
        return client

    def _run(self) -> None:
        attempt = 0
        while not self._closing.is_set():
            try:
                self._client.will_set(self._state_topic, state_message("lost", epoch_ms()), 1, retain=True)
                self._client.reconnect()
                self._turn_until_lost()
            except (OSError, ValueError) as error:  # ValueError: paho, of a certificate for another host
                self._faults.begin("broker", f"no connection to the broker: {error}")
            except Exception:
                log.exception("the broker link stumbled and starts over")
                self._counts.add("link_errors")
            lasted_ms = steady_ms() - self._connected_ms if self._connected_ms else 0
            self._end_session()
            attempt = 0 if lasted_ms > STABLE_MS else attempt + 1
            self._wait(forwarding.backoff_ms(attempt, BACKOFF_MAX_MS, self._random.random()))
        with contextlib.suppress(Exception):
            self._leave()
        self._wake_read.close()
        self._wake_write.close()

    def _turn_until_lost(self) -> None:
        client = self._client
        poll = select.poll()
        sock = client.socket()
        if sock is None:
            return
        broker_fd, wake_fd = sock.fileno(), self._wake_read.fileno()
        poll.register(wake_fd, select.POLLIN)
        misc_ms = 0
        while not self._closing.is_set() and client.socket() is sock:
            writing = client.want_write()
            poll.register(broker_fd, select.POLLIN | (select.POLLOUT if writing else 0))
            pending = (
                self._broker.tls and cast(ssl.SSLSocket, sock).pending()
            )  # decrypted already: poll would not speak of it
            ready = dict(poll.poll(0 if pending else int(TURN_S * 1000)))
            self.turned_ms = now_ms = steady_ms()
            if wake_fd in ready:
                with contextlib.suppress(BlockingIOError):
                    self._wake_read.recv(4096)
            self._publish_waiting()
            if (pending or ready.get(broker_fd, 0) & ~select.POLLOUT) and client.loop_read():
                return
            if client.want_write() and client.loop_write():
                return
            if now_ms - misc_ms > TURN_S * 1000:
                misc_ms = now_ms
                if client.loop_misc():
                    return

    def _publish_waiting(self) -> None:
        if self.ready and self._state_due:
            self._state_due = False
            state = state_message("ready", epoch_ms(), self.engine)
            self._client.publish(self._state_topic, state, 1, retain=True)
        while self._session and self._outgoing:
            topic, frame, qos, then, until_ms = self._outgoing.popleft()
            if until_ms and steady_ms() > until_ms:
                self._counts.add("commands_expired")
                if then is not None:
                    then()
                continue
            info = self._client.publish(topic, frame, qos)
            if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
                self._counts.add("publishes_dropped")
            elif then is not None:
                self._callbacks[info.mid] = then

    def _leave(self) -> None:
        """DISCONNECT after what waits: the broker then forgets the Will, and `lost` has been said in its place."""
        sock = self._client.socket()
        if sock is None:
            return
        deadline_ms = steady_ms() + 1_000
        self._client.disconnect()
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLOUT)
        while self._client.want_write() and steady_ms() < deadline_ms:
            poll.poll(100)
            self._client.loop_write()

    def _wait(self, span_ms: int) -> None:
        deadline_ms = steady_ms() + span_ms
        while not self._closing.is_set() and (left_ms := deadline_ms - steady_ms()) > 0:
            self.turned_ms = steady_ms()
            self._closing.wait(min(TURN_S, left_ms / 1000))
        self.turned_ms = steady_ms()

    def _wake(self) -> None:
        if self.thread.ident is not None and threading.current_thread() is not self.thread:
            with contextlib.suppress(OSError):  # full: it is awake already; closed: it has ended
                self._wake_write.send(b"\0")

    def _end_session(self) -> None:
        with self._lock:
            session, self._session = self._session, 0
            self._connected_ms = 0
            self.ready = False
        if session:
            self._lost_session(session)
        if session and not self._closing.is_set():
            self._faults.begin("broker", "the connection to the broker was lost")

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._faults.begin("broker", f"the broker refuses us: {reason}")
            return
        with self._lock:
            self._session = next(_sessions)
            self._connected_ms = steady_ms()
        # On every connection, for a broker may have lost our session: then this is what brings it back.
        self._missing = {channel for channel, _ in forwarding.SUBSCRIBED}
        self._asked = {}
        for channel, qos in forwarding.SUBSCRIBED:
            _, mid = client.subscribe(f"{topics.PREFIX}{self._org}/+/{channel}", qos)
            if mid is not None:
                self._asked[mid] = [channel]

    def _on_subscribe(self, client: paho.Client, _data: Any, mid: int, reasons: Any, _properties: Any) -> None:
        channels = self._asked.pop(mid, [])
        if any(reason.is_failure for reason in reasons):
            self._faults.begin("subscription", f"the broker refuses our subscription to {', '.join(channels)}")
            return
        self._missing.difference_update(channels)
        if not self._missing:
            self.ready = True
            self._faults.end("broker")
            self._faults.end("subscription")
            client.publish(self._state_topic, state_message("ready", epoch_ms(), self.engine), 1, retain=True)
            log.info("listening to %s on %s:%d", self._org, self._broker.host, self._broker.port)

    def _on_disconnect(self, _client: paho.Client, _data: Any, _flags: Any, _reason: Any, _properties: Any) -> None:
        self._end_session()

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            try:
                topic = message.topic
            except UnicodeDecodeError:
                topic = "undecodable"
            self._sink(
                self._session, message.mid, topic, bytes(message.payload), retained=message.retain, dup=message.dup
            )
        except Exception:
            # Not acknowledged, for it is not stored: the broker sends it again.
            self._counts.add("callback_errors")
            log.exception("a message could not be taken in")

    def _on_publish(self, _client: paho.Client, _data: Any, mid: int, _reason: Any, _properties: Any) -> None:
        then = self._callbacks.pop(mid, None)
        if then is not None:
            try:
                then()
            except Exception:
                self._counts.add("callback_errors")
                log.exception("a PUBACK could not be passed on")


def _no_delay(_client: paho.Client, _data: Any, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _deaf(session: int, mid: int, topic: str, frame: bytes, *, retained: bool, dup: bool) -> None:
    """What an abandoned link hears goes nowhere, and stays with the broker."""
