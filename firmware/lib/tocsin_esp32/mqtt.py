"""MQTT over umqtt.simple as it is (1.3.4 to 1.8): one subclass, and one guard in place of its module's `socket`.

What umqtt does and what stands here against it; tests/firmware/ has a test for each:

- setblocking(True) in wait_msg wipes the timeout on ESP32: the guard's socket never blocks, the guard has the deadline.
- publish at QoS 1 waits for its PUBACK, and a late one desynchronises the stream: publish is answered at once by the
  guard, the real PUBACK goes to `in_flight` when it comes, and a packet is parsed only when it is whole.
- five small writes a publish meet Nagle and a delayed ACK (44 ms): writes are gathered and sent in one.
- packet id 65,536 goes out as 0: ids here go 1 to 65535 and round, past those in flight.
- a packet of any length is read into the heap: above _MAX_PACKET it is refused by its header.
- failures come as OSError, ValueError, IndexError, AssertionError, TypeError and MQTTException: here, LinkLost.
- accented str corrupts frames: only bytes go in. Nothing pings, a half-open link is silent: tocsin_device.link asks.

DUP is never set: on a new connection a press is a new publish whose `try` has risen. `mpy-cross -O` must not be used:
it removes asserts that umqtt relies on.
"""

import errno
import select

from micropython import const
from umqtt import simple

from . import clock

_MAX_PACKET = const(1024)  # remaining length of anything received (limits.MAX_RECEIVED)
_MAX_IN_FLIGHT = const(8)  # questions without their answer
_CONNECT_MS = const(5000)  # for TCP and CONNACK together
_PARTIAL_MS = const(2500)  # a packet that began must end
_SEND_BUFFER = const(768)  # the largest frame with its topic takes 605; CONNECT with its Will 440

_sockets = simple.socket  # whatever umqtt imported; the guard stands in its place
_received = bytearray(_MAX_PACKET + 8)  # made when the heap is still in one piece; a post has one connection
_gathered = bytearray(_SEND_BUFFER)


class LinkLost(Exception):
    """The connection to the broker is over, or never came to be; the argument says why."""


class Guard:
    """What umqtt takes for the module `socket` and for its socket. It waits only while connecting, and calls `idle`."""

    def __init__(self, idle) -> None:
        self._idle = idle
        self._sock = self.address = None
        self._poll = select.poll()
        # _in[_at:_end] is unread, up to `limit` it is the packet at hand; _out[:unsent] has not left.
        self._in, self._out = _received, _gathered
        self._at = self._end = self._deadline_ms = self.limit = self.unsent = 0
        self.said = b""  # what the next reads find, instead of bytes from the network

    def socket(self, *_kind):
        self._at = self._end = self.limit = self.unsent = 0
        self._deadline_ms = clock.now_ms() + _CONNECT_MS
        self._sock = _sockets.socket()
        self._poll.register(self._sock, select.POLLOUT)
        return self

    def getaddrinfo(self, *_host):
        return ((0, 0, 0, "", self.address),)  # resolved beforehand: a resolver blocks

    def connect(self, address) -> None:
        self._sock.setblocking(False)
        try:
            self._sock.setsockopt(6, 1, 1)  # TCP_NODELAY, where there is one
        except (OSError, AttributeError):
            pass
        try:
            self._sock.connect(address)
        except OSError as error:
            if error.args[0] not in (errno.EINPROGRESS, 119):  # 119: ESP32's own
                raise
        self._await()
        self._poll.modify(self._sock, select.POLLIN)

    def setblocking(self, _wish) -> None:
        pass  # it never blocks, and the deadline is ours

    settimeout = setblocking

    def close(self) -> None:
        """Give the connection up; a second time does nothing."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._poll.unregister(sock)
            sock.close()

    def write(self, data, length=None) -> None:
        size = len(data) if length is None else length
        if self.unsent + size > _SEND_BUFFER:
            raise LinkLost("the broker does not read")
        self._out[self.unsent : self.unsent + size] = memoryview(data)[:size]
        self.unsent += size

    def flush(self) -> None:
        """Send what was gathered, as far as the network takes it."""
        if self.unsent:
            sent = self._sock.write(memoryview(self._out)[: self.unsent]) or 0
            self._out[: self.unsent - sent] = self._out[sent : self.unsent]
            self.unsent -= sent
            self._poll.modify(self._sock, select.POLLIN | select.POLLOUT if self.unsent else select.POLLIN)

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes of what was `said`, of the packet at hand, or of CONNACK."""
        if self.said:
            data, self.said = self.said[:size], self.said[size:]
            return data
        while not self.limit and self._end - self._at < size:
            self._await()
            self.fill()
        if size < 0 or self._at + size > (self.limit or self._end):
            raise LinkLost("a packet shorter than it says")
        self._at += size
        return bytes(memoryview(self._in)[self._at - size : self._at])

    def fill(self) -> bool:
        """Take what has come, behind what is left of a packet. False if nothing has."""
        self._in[: self._end - self._at] = self._in[self._at : self._end]
        self._end -= self._at
        self._at = 0
        count = self._sock.readinto(memoryview(self._in)[self._end :])
        if count == 0:
            raise LinkLost("the broker closed the connection")
        self._end += count or 0
        return bool(count)

    def done(self) -> None:
        """The packet at hand was read, to its end."""
        if self._at != self.limit:
            raise LinkLost("a packet longer than it says")
        self.limit = 0

    def packet(self) -> int:
        """The first byte of the next packet if it is whole; -1 if not yet, 0 if it has not begun."""
        length = shift = 0
        for at in range(self._at + 1, self._end):
            length |= (self._in[at] & 0x7F) << shift
            shift += 7
            if length > _MAX_PACKET or shift > 28:
                raise LinkLost("a packet of %d bytes or more" % length)
            if self._in[at] < 0x80:
                if at + length >= self._end:
                    break
                self.limit = at + 1 + length
                return self._in[self._at] or 1  # 0 is no packet of MQTT either
        return -1 if self._end > self._at else 0

    def wait(self, wait_ms: int) -> bool:
        """Wait for bytes, or for room to send, at most so long. Whether there are any."""
        return bool(self._poll.poll(wait_ms))

    def _await(self) -> None:
        self.flush()
        while not self.wait(5):  # a sample
            self._idle()
            if clock.now_ms() >= self._deadline_ms:
                raise LinkLost("no answer")
        if self._poll.poll(0)[0][1] & select.POLLERR:
            raise LinkLost("refused or unreachable")


class Client(simple.MQTTClient):
    """One post's connection. Any method may raise LinkLost: then `guard.close`. `idle` is called while connecting."""

    def __init__(self, client_id: bytes, user: bytes, password: bytes, keepalive_s: int, idle) -> None:
        super().__init__(client_id, b"", 1, user, password, keepalive_s)
        self.guard = Guard(idle)
        self.in_flight = []  # (packet id, uptime when sent), oldest first
        self.arrived = []  # one (topic, frame, retained), for the caller to take; the next comes with the next `check`
        self.heard_ms = self._begun_ms = self._answer = self._kind = self._last_id = 0
        self.set_callback(lambda topic, frame: self.arrived.append((topic, frame, bool(self._kind & 1))))

    def open(self, address, will) -> None:
        """Connect with a clean session and a Will (topic, frame, qos, retain). Returns after CONNACK."""
        simple.socket = self.guard
        self.guard.address = address
        self.in_flight = []
        self.set_last_will(will[0].encode(), will[1], will[3], will[2])
        self._call(simple.MQTTClient.connect, True)
        self.heard_ms = clock.now_ms()

    def listen(self, topic: str) -> None:
        """Subscribe at QoS 1; a refusal comes later, as LinkLost."""
        self._ask(0x90, b"\x03", b"\x01")
        self._call(simple.MQTTClient.subscribe, topic.encode(), 1)

    def send(self, topic: str, frame: bytes, qos: int, retain: bool) -> None:
        """Publish, without waiting for anything."""
        if qos:
            self._ask(0x40, b"\x02", b"")
        self._call(simple.MQTTClient.publish, topic.encode(), frame, retain, qos)

    def ask(self) -> None:
        """PINGREQ."""
        self._call(simple.MQTTClient.ping)

    def room(self) -> bool:
        """Whether one more frame can be sent now."""
        return not self.guard.unsent and len(self.in_flight) < _MAX_IN_FLIGHT

    def check(self) -> None:
        """Take in what has come, up to one message, and send on what has not left; waits for nothing."""
        self._call(Client._take)

    def wait_msg(self):
        """umqtt's publish and subscribe wait here for their answer: they have it at once."""
        return self._answer

    def _take(self) -> None:
        while not self.arrived:
            self._kind = self.guard.packet()
            if self._kind > 0:
                self._begun_ms = 0
                code = simple.MQTTClient.wait_msg(self)
                if code == 0x40 or code == 0x90:  # PUBACK, SUBACK
                    data = self.guard.read(3 + (code >> 7))
                    self.in_flight = [row for row in self.in_flight if row[0] != data[1] << 8 | data[2]]
                    if code == 0x90 and data[3] & 0x80:
                        raise LinkLost("the broker refuses the subscription")
                elif code is not None and code & 0xF0 != 0x30:
                    raise LinkLost("not a packet for a client")
                self.guard.done()
            elif self.guard.fill():
                self.heard_ms = clock.now_ms()
            else:
                self._begun_ms = self._kind and (self._begun_ms or self.heard_ms)
                if self._begun_ms and clock.now_ms() - self._begun_ms > _PARTIAL_MS:
                    raise LinkLost("half a packet")
                return

    def _ask(self, kind: int, length: bytes, ending: bytes) -> None:
        """Give the next packet an id, and umqtt the answer that it will wait for."""
        busy = [self._last_id] + [row[0] for row in self.in_flight]
        while self._last_id in busy:
            self._last_id = self._last_id % 65535 + 1
        self.pid = self._last_id - 1
        self._answer = kind
        self.guard.said = length + self._last_id.to_bytes(2, "big") + ending
        self.in_flight.append((self._last_id, clock.now_ms()))

    def _call(self, method, *arguments) -> None:
        try:
            method(self, *arguments)
            self.guard.flush()
        except (LinkLost, MemoryError):
            raise
        except Exception as error:  # OSError, ValueError, IndexError, AssertionError, TypeError, MQTTException
            raise LinkLost(repr(error)) from None
