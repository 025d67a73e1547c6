"""`socket` as ESP32 has it, over the host's network.

Two differences from the unix port matter: setblocking(True) cancels the timeout, and nothing travels while Wi-Fi is
down: what is written waits in the chip's own buffer as TCP's would, and nothing is read.
"""

import network
import usocket
import utime

AF_INET = usocket.AF_INET
SOCK_STREAM = usocket.SOCK_STREAM
SOCK_DGRAM = usocket.SOCK_DGRAM
SOL_SOCKET = usocket.SOL_SOCKET
SO_REUSEADDR = usocket.SO_REUSEADDR
IPPROTO_TCP = 6
TCP_NODELAY = 1

_SEND_BUFFER = 5744  # lwIP's TCP_SND_BUF in ESP32's build
_EAGAIN = 11
_ETIMEDOUT = 110
_EINPROGRESS = 115
_EHOSTUNREACH = 113
_SLICE_S = 0.005

# What waits while nothing passes. lwIP keeps it outside the heap: here it is there from the start, and counted
# with the stand-ins. One connection at a time has something in it.
_chip = bytearray(_SEND_BUFFER)


class socket:
    def __init__(self, family=AF_INET, kind=SOCK_STREAM, protocol=0):
        self._start(usocket.socket(family, kind))

    def _start(self, real):
        self.real = real
        self._timeout_ms = None  # None: for ever; 0: never wait
        self.late = False  # something waits for packets to pass again
        self._waiting = 0  # bytes of _chip
        self._address = None  # of a connection asked for while nothing passed

    def setblocking(self, on):
        self._set(None if on else 0)

    def settimeout(self, seconds):
        self._set(None if seconds is None else int(seconds * 1000))

    def _set(self, timeout_ms):
        self._timeout_ms = timeout_ms
        if timeout_ms is None:
            self.real.settimeout(None)  # setblocking(True) of the unix port would keep the old timeout in the kernel
        elif timeout_ms == 0:
            self.real.setblocking(False)
        else:
            self.real.settimeout(timeout_ms / 1000)

    def setsockopt(self, level, option, value):
        self.real.setsockopt(level, option, value)

    def connect(self, address):
        self._need_route()
        if not network.flows and not self._silence():
            self.late = True
            self._address = address  # the first packets are lost; TCP sends them again
            raise OSError(_EINPROGRESS)
        self.real.connect(address)

    def bind(self, address):
        self.real.bind(address)

    def listen(self, backlog=1):
        self.real.listen(backlog)

    def accept(self):
        real, address = self.real.accept()
        accepted = socket.__new__(socket)
        accepted._start(real)
        return accepted, address

    def close(self):
        self.real.close()

    def fileno(self):
        return self.real.fileno()

    def read(self, size=-1):
        if self._flows() or self._silence():
            return self.real.read(size) if size != -1 else self.real.read()
        return None

    def readinto(self, buffer, size=-1):
        if self._flows() or self._silence():
            return self.real.readinto(buffer, size) if size != -1 else self.real.readinto(buffer)
        return None

    def readline(self):
        if self._flows() or self._silence():
            return self.real.readline()
        return None

    def recv(self, size):
        if self._flows() or self._silence():
            return self.real.recv(size)
        raise OSError(_EAGAIN)

    def write(self, data, size=-1):
        if size != -1:
            data = memoryview(data)[:size]
        if self._flows():
            return self.real.write(data)
        count = min(len(data), _SEND_BUFFER - self._waiting)
        if not count:
            return self.real.write(data) if self._silence() else None
        _chip[self._waiting : self._waiting + count] = memoryview(data)[:count]
        self._waiting += count
        self.late = True
        return count

    def send(self, data):
        count = self.write(data)
        if count is None:
            raise OSError(_EAGAIN)
        return count

    def sendall(self, data):
        self.send(data)

    def sendto(self, data, address):
        self._need_route()
        return self.real.sendto(data, address)

    def recvfrom(self, size):
        return self.real.recvfrom(size)

    def makefile(self, *_mode):
        return self

    def _need_route(self):
        if not network.WLAN(network.STA_IF).isconnected():
            raise OSError(_EHOSTUNREACH)

    def _flows(self):
        """Whether packets pass; the first call after they pass again sends what had to wait."""
        if not network.carries:
            return False
        if self.late:
            self.late = False
            if self._address is not None:
                address, self._address = self._address, None
                self.real.connect(address)
            if self._waiting:
                count, self._waiting = self._waiting, 0
                self.real.write(memoryview(_chip)[:count])
        return True

    def resume(self):
        """Called by `select.poll` before it asks the host."""
        try:
            self._flows()
        except OSError:
            pass  # a connection in progress says so, a dead one will say it when read

    def _silence(self):
        """Nothing travels: False if this socket never waits, True when packets pass again, else ETIMEDOUT."""
        if self._timeout_ms == 0:
            return False
        start_ms = utime.ticks_ms()
        while self._timeout_ms is None or utime.ticks_ms() - start_ms < self._timeout_ms:
            utime.sleep(_SLICE_S)
            if self._flows():
                return True
        raise OSError(_ETIMEDOUT)


def getaddrinfo(host, port, *options):
    if not network.carries:
        raise OSError(-202)
    return usocket.getaddrinfo(host, port, *options)


def inet_pton(family, text):
    return usocket.inet_pton(family, text)
