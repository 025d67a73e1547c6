"""MQTT 3.1.1 by hand, blocking, one socket: a client that does exactly what it is told, for benches and rude tests.

Not a library to build on: no thread, no keepalive, no retry. What a device or gateway uses is umqtt and paho.
"""

import contextlib
import socket
import struct
import time
from dataclasses import dataclass

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 2, 3, 4, 9, 13
REFUSED = 0x80  # SUBACK: the subscription was not granted


@dataclass(frozen=True, slots=True)
class Message:
    """A PUBLISH as it arrived. `pid` is 0 at QoS 0."""

    topic: str
    payload: bytes
    qos: int
    pid: int
    dup: bool
    retained: bool


class Refused(ConnectionError):
    """The broker answered CONNECT with this return code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"CONNACK return code {code}")
        self.code = code


class RawClient:
    """One connection. Every method that waits raises TimeoutError after its `timeout_s`, EOFError at end of stream."""

    def __init__(
        self,
        port: int,
        client_id: str,
        user: str = "",
        password: str = "",
        *,
        clean: bool = True,
        will: tuple[str, bytes] | None = None,
        auto_ack: bool = True,
        host: str = "127.0.0.1",
        timeout_s: float = 5.0,
    ) -> None:
        self.auto_ack = auto_ack
        self.inbox: list[Message] = []
        self._buffer = bytearray()
        self._pid = 0
        self._acked: set[int] = set()
        self.socket = socket.create_connection((host, port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        flags = (0x02 if clean else 0) | (0xC0 if user else 0) | (0x2C if will else 0)  # a Will is QoS 1, retained
        body = _text("MQTT") + bytes((4, flags)) + struct.pack(">H", 600) + _text(client_id)
        if will:
            body += _text(will[0]) + _bytes(will[1])
        if user:
            body += _text(user) + _text(password)
        try:
            self.socket.sendall(_packet(0x10, body))
            kind, _, answer = self._read(timeout_s)
            if kind != CONNACK:
                raise ConnectionError(f"packet type {kind} instead of CONNACK")
            if answer[1]:
                raise Refused(answer[1])
        except (OSError, EOFError):
            self.socket.close()
            raise
        self.session_present = bool(answer[0])

    def subscribe(self, topic_filter: str, qos: int = 1, timeout_s: float = 5.0) -> int:
        """The SUBACK's return code: the granted QoS or REFUSED."""
        self._pid = self._pid % 65535 + 1
        self.socket.sendall(_packet(0x82, struct.pack(">H", self._pid) + _text(topic_filter) + bytes((qos,))))
        deadline = time.monotonic() + timeout_s
        while True:
            kind, flags, body = self._read(deadline - time.monotonic())
            if kind == SUBACK and struct.unpack(">H", body[:2])[0] == self._pid:
                return body[2]
            self._handle(kind, flags, body)

    def send_publish(self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False, pid: int = 0) -> int:
        """Write a PUBLISH in one packet, wait for nothing; returns the packet id, 0 at QoS 0."""
        body = _text(topic)
        if qos:
            if not pid:
                pid = self._pid = self._pid % 65535 + 1
            body += struct.pack(">H", pid)
        self.socket.sendall(_packet(0x30 | qos << 1 | retain, body + payload))
        return pid

    def publish(
        self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False, timeout_s: float = 5.0
    ) -> None:
        """Publish and, at QoS 1, wait for the PUBACK. What arrives meanwhile goes to `inbox`."""
        pid = self.send_publish(topic, payload, qos, retain=retain)
        deadline = time.monotonic() + timeout_s
        while pid and pid not in self._acked:
            self._handle(*self._read(deadline - time.monotonic()))
        self._acked.discard(pid)

    def take(self, timeout_s: float = 5.0) -> Message:
        """The next message."""
        deadline = time.monotonic() + timeout_s
        while not self.inbox:
            self._handle(*self._read(deadline - time.monotonic()))
        return self.inbox.pop(0)

    def collect(self, quiet_s: float) -> list[Message]:
        """All messages until none has come for `quiet_s`."""
        found = []
        try:
            while True:
                found.append(self.take(quiet_s))
        except (TimeoutError, EOFError):
            return found

    def ack(self, message: Message) -> None:
        """PUBACK, for clients made with `auto_ack=False`."""
        self.socket.sendall(_packet(0x40, struct.pack(">H", message.pid)))

    def close(self) -> None:
        """DISCONNECT: the broker forgets the Will."""
        with contextlib.suppress(OSError):
            self.socket.sendall(b"\xe0\x00")
        self.socket.close()

    def drop(self) -> None:
        """End the connection rudely (RST): the broker publishes the Will."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _handle(self, kind: int, flags: int, body: bytes) -> None:
        if kind == PUBACK:
            self._acked.add(struct.unpack(">H", body)[0])
        elif kind == PUBLISH:
            length = struct.unpack(">H", body[:2])[0]
            at = 2 + length
            qos, pid = flags >> 1 & 3, 0
            if qos:
                pid = struct.unpack(">H", body[at : at + 2])[0]
                at += 2
            topic = body[2 : 2 + length].decode()
            message = Message(topic, bytes(body[at:]), qos, pid, bool(flags & 8), bool(flags & 1))
            self.inbox.append(message)
            if qos and self.auto_ack:
                self.ack(message)

    def _read(self, timeout_s: float) -> tuple[int, int, bytes]:
        """(packet type, flags, body) of the next packet."""
        deadline = time.monotonic() + timeout_s
        while True:
            packet = self._split()
            if packet:
                return packet
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("nothing from the broker in time")
            self.socket.settimeout(left_s)
            data = self.socket.recv(65536)
            if not data:
                raise EOFError("the broker closed the connection")
            self._buffer += data

    def _split(self) -> tuple[int, int, bytes] | None:
        length, shift, at = 0, 0, 1
        while True:
            if at >= len(self._buffer):
                return None
            byte = self._buffer[at]
            length |= (byte & 0x7F) << shift
            shift += 7
            at += 1
            if byte < 0x80:
                break
        if len(self._buffer) < at + length:
            return None
        first, body = self._buffer[0], bytes(self._buffer[at : at + length])
        del self._buffer[: at + length]
        return first >> 4, first & 15, body


def _packet(first: int, body: bytes) -> bytes:
    length, size = len(body), bytearray()
    while True:
        byte, length = length & 0x7F, length >> 7
        size.append(byte | (0x80 if length else 0))
        if not length:
            return bytes((first,)) + size + body


def _bytes(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _text(text: str) -> bytes:
    return _bytes(text.encode())
