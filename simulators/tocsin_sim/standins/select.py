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
        return [(self._owner(found[0]), found[1]) for found in self._wait(timeout_ms)]

    def ipoll(self, timeout_ms=-1, _flags=0):
        return iter(self.poll(timeout_ms))

    def _wait(self, timeout_ms):
        start_ms = utime.ticks_ms()
        while not network.carries():
            if timeout_ms >= 0 and utime.ticks_ms() - start_ms >= timeout_ms:
                return []
            utime.sleep(min(5, timeout_ms) / 1000 if timeout_ms >= 0 else 0.005)
        for stream, _ in self._owners:
            if isinstance(stream, socket.socket):
                stream.resume()
        if timeout_ms >= 0:
            timeout_ms = max(0, timeout_ms - (utime.ticks_ms() - start_ms))
        return self._real.poll(timeout_ms)

    def _owner(self, real):
        for stream, inside in self._owners:
            if inside is real:
                return stream
        return real
