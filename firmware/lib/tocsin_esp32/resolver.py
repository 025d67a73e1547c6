"""Where the broker is. getaddrinfo blocks, so a name is resolved while nobody waits, and the answer is kept.

A literal address never blocks. A name is looked up at the first connection and after _AGAIN failed ones in a row, but
not while a press is unsent if an earlier answer, of this boot or of the one before, can serve.
"""

import socket

from micropython import const

from . import clock, storage

_AGAIN = const(5)  # failed connections before the name is asked again: brokers move
_RETRY_MS = const(10000)  # between two failed look-ups
_KEPT = "/address.json"


class Resolver:
    """`address` is what connect takes, once `ready` has said so."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._failures = _AGAIN
        self._due_ms = 0
        kept = storage.read_json(_KEPT) or {}
        self._kept = kept.get("address") if kept.get("host") == host else None
        self.address = None

    def ready(self, urgent: bool, now_ms: int) -> bool:
        """Whether there is an address to connect to; looks the name up when that is due and allowed."""
        if urgent and self.address is None and self._kept:
            self._look_up(self._kept)
        if self._failures >= _AGAIN and now_ms >= self._due_ms and not (urgent and self.address):
            self._look_up(self._host)
        return self.address is not None

    def worked(self) -> None:
        """A connection was made to `address`: keep it for a boot that begins with a press to send."""
        self._failures = 0
        found = self.address[0] if isinstance(self.address, tuple) else self._host
        if found not in (self._host, self._kept):
            self._kept = found
            storage.write_json(_KEPT, {"host": self._host, "address": found})

    def failed(self, connecting: bool) -> None:
        """An attempt to connect failed, or (not connecting) a session ended."""
        if connecting:
            self._failures += 1

    def _look_up(self, host: str) -> None:
        try:
            self.address = socket.getaddrinfo(host, self._port)[0][-1]
            self._failures = 0
        except OSError:
            self._due_ms = clock.now_ms() + _RETRY_MS  # it may have blocked for longer than that
