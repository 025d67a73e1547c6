"""`select` for the sockets of our `socket`: nothing is readable while Wi-Fi is down."""

import socket

import network
import uselect
import utime

POLLIN = uselect.POLLIN
POLLOUT = uselect.POLLOUT
POLLERR = uselect.POLLERR
POLLHUP = uselect.POLLHUP


class poll:
    def __new__(cls):
        self = object.__new__(cls)
        self._real = uselect.poll()
        self._owners = []  # (the socket the firmware registered, the real one)
        return self

    def register(self, stream, events=POLLIN | POLLOUT):
        real = getattr(stream, "real", stream)
        self._real.register(real, events)
        if all(owner is not stream for owner, _ in self._owners):
            self._owners.append((stream, real))

    def modify(self, stream, events):
        self._real.modify(getattr(stream, "real", stream), events)

    def unregister(self, stream):
        try:
            self._real.unregister(getattr(stream, "real", stream))
        except KeyError:
            pass
        self._owners = [pair for pair in self._owners if pair[0] is not stream]

    def poll(self, timeout_ms=-1):
        if not network.carries:
            timeout_ms = self._wait(timeout_ms)
        for stream, _ in self._owners:
            if isinstance(stream, socket.socket) and stream.late:
                stream.resume()
        found = self._real.poll(timeout_ms)
        if found:
            found = [(self._owner(one[0]), one[1]) for one in found]
            if not network.carries:
                return []
        return found

    def ipoll(self, timeout_ms=-1, _flags=0):
        return iter(self.poll(timeout_ms))

    def _wait(self, timeout_ms):
        """Let time pass until packets pass; what is left of the timeout."""
        start_ms = utime.ticks_ms()
        while not network.carries:
            left_ms = timeout_ms - (utime.ticks_ms() - start_ms)
            if timeout_ms >= 0 and left_ms <= 0:
                return 0
            utime.sleep((min(5, left_ms) if timeout_ms >= 0 else 5) / 1000)
        return max(0, timeout_ms - (utime.ticks_ms() - start_ms)) if timeout_ms >= 0 else -1

    def _owner(self, real):
        for stream, inside in self._owners:
            if inside is real:
                return stream
        return real
