"""Where notices arrive: the instant of the first request about a device, on the clock all processes share."""

import contextlib
import json
import re
import socket
import sys
import threading
import time

from floor import read_body

DEVICE = re.compile(rb"\bbench-[a-z0-9-]+")


class WebhookSink:
    """A server on loopback, one thread a connection. `first_ns` maps a device to CLOCK_MONOTONIC nanoseconds."""

    def __init__(self) -> None:
        self.first_ns: dict[str, int] = {}
        self.requests = 0
        self._arrived = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def wait(self, device: str, within_s: float) -> int:
        """When the first request that names this device was there. Raises TimeoutError."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: device in self.first_ns, within_s):
                raise TimeoutError(f"no notice of {device} within {within_s} s; {self.requests} requests came in all")
            return self.first_ns[device]

    def wait_for_devices(self, count: int, within_s: float) -> dict[str, int]:
        """`first_ns` once that many devices were named; whatever there is after that time."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self.first_ns) >= count, within_s)
            return dict(self.first_ns)

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with link, contextlib.suppress(OSError, EOFError):
            while True:
                body = read_body(link)
                now_ns = time.monotonic_ns()
                link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                with self._arrived:
                    self.requests += 1
                    for device in DEVICE.findall(body):
                        self.first_ns.setdefault(device.decode(), now_ns)
                    self._arrived.notify_all()


if __name__ == "__main__":
    # For whoever measures from another process: the port, then for each count on stdin a line of first_ns.
    sink = WebhookSink()
    print(sink.port, flush=True)
    for line in sys.stdin:
        print(json.dumps(sink.wait_for_devices(int(line), 60.0)), flush=True)
