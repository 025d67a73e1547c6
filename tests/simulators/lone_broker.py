"""A broker, gateway and backend in sixty lines: enough MQTT for one real post, and signed acks on demand.

It never says more than the wire allows, so that what the firmware does with it is what it does in the field.
"""

import socket
import threading
import time
from typing import Any

from tocsin_wire import messages, signing, topics

KEY = bytes(range(32))
ORG = "demo"


def credentials(device: str, port: int) -> dict[str, Any]:
    """What `tocsin device add --json` would print for this device."""
    return {
        "org": ORG,
        "device": device,
        "site": "lycee-1",
        "kind": "call_post",
        "kid": "k1",
        "key": signing.key_to_text(KEY),
        "broker": {"host": "127.0.0.1", "port": port, "user": device, "password": "x", "tls": 0},
        "topics": {channel: topics.topic(ORG, device, channel) for channel in (*topics.UP, *topics.DOWN)},
        "profile": "call_post",
    }


class LoneBroker:
    """Serves one device at a time. With `answers`, every press is stored at once and every beat is answered."""

    def __init__(self) -> None:
        self.answers = True
        self.arrived: list[tuple[str, dict[str, Any]]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._peer: socket.socket | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> "LoneBroker":
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._listener.close()
        self.hang_up()
        self._thread.join(timeout=5)

    def hang_up(self) -> None:
        """End the connection, if there is one."""
        peer = self._peer
        if peer is not None:
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def presses(self) -> list[dict[str, Any]]:
        """The distinct presses that came, oldest first."""
        with self._changed:
            found = {
                (message["b"], message["n"]): message for topic, message in self.arrived if topic.endswith("/alert")
            }
        return list(found.values())

    def wait_for_presses(self, count: int, timeout_s: float) -> list[dict[str, Any]]:
        """Wait until that many distinct presses came."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while len(self.presses()) < count and time.monotonic() < deadline:
                self._changed.wait(0.05)
        return self.presses()

    def ack(self, device: str, **fields: Any) -> None:
        """Sign and send an ack."""
        topic = topics.topic(ORG, device, "ack")
        message = {"v": 1, "t": int(time.time()), **fields}
        self._publish(topic, messages.seal(topic, message, "k1", KEY))

    def _publish(self, topic: str, frame: bytes) -> None:
        name = topic.encode()
        rest = len(name).to_bytes(2, "big") + name + frame
        head = bytearray(b"\x30")
        size = len(rest)
        while size > 127:
            head.append(size & 127 | 128)
            size >>= 7
        head.append(size)
        peer = self._peer
        assert peer is not None
        peer.sendall(bytes(head) + rest)

    def _serve(self) -> None:
        while not self._closed:
            peer, _ = self._listener.accept()
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peer = peer
            with peer, peer.makefile("rb") as stream:
                try:
                    while self._packet(peer, stream):
                        pass
                except OSError:
                    continue

    def _packet(self, peer: socket.socket, stream: Any) -> bool:
        first = stream.read(1)
        if not first:
            return False
        size = shift = 0
        while True:
            byte = stream.read(1)[0]
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        body = stream.read(size)
        kind = first[0] >> 4
        if kind == 1:
            peer.sendall(b"\x20\x02\0\0")
        elif kind == 8:
            peer.sendall(b"\x90\x03" + body[:2] + b"\x00")
        elif kind == 12:
            peer.sendall(b"\xd0\x00")
        elif kind == 3:
            end = 2 + int.from_bytes(body[:2], "big")
            topic, frame = body[2:end].decode(), body[end:]
            if first[0] & 6:
                peer.sendall(b"\x40\x02" + frame[:2])
                frame = frame[2:]
            self._arrive(topic, frame)
        return kind != 14

    def _arrive(self, topic: str, frame: bytes) -> None:
        message = messages.unseal(topic, frame, KEY)
        _, device, channel = topics.parse(topic)
        with self._changed:
            self.arrived.append((topic, message))
            self._changed.notify_all()
        if self.answers and channel in ("alert", "event"):
            fields = {"e": 1, "al": "0" * 36} if channel == "alert" else {}
            self.ack(device, re=messages.signal_id(message["b"], message["n"]), r="stored", **fields)
        elif self.answers and channel == "beat":
            self.ack(device, re="beat", r="alive", s=message["s"], i=message["i"])
