"""One kept connection to the backend, blocking, with one deadline over a whole exchange.

http.client reads the answers; the requests are written here, because HTTPConnection sends head and body in two packets
and knows only a timeout for each read, which a server that drips one byte a second never meets. Redirects are never
followed: the token goes to the address that was configured and to no other.
"""

import contextlib
import http.client
import io
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from tocsin_gateway.clock import steady_ms

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

ANSWER_BYTES_MAX = 4_000_000  # 500 answers with an ack each come to some 300 kB
CONNECT_WITHIN_MS = 5_000


class Unreachable(Exception):
    """The backend cannot be reached, or the connection broke before a whole answer came."""


class TooSlow(Exception):
    """The deadline passed before a whole answer came."""


class NotHttp(Exception):
    """What came back is not an HTTP answer, or is too long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the Retry-After span it asked for (0: none), and its body."""

    status: int
    retry_after_ms: int
    body: bytes


class _Reader(io.RawIOBase):
    """The receiving half of a socket under one deadline and one size limit."""

    def __init__(self, sock: socket.socket, deadline_ms: int, most: int) -> None:
        super().__init__()
        self._sock = sock
        self.deadline_ms = deadline_ms
        self._left = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        left_ms = self.deadline_ms - steady_ms()
        if left_ms <= 0:
            raise TimeoutError("deadline")
        if self._left <= 0:
            raise NotHttp("the answer is too long")
        self._sock.settimeout(left_ms / 1000)
        count = self._sock.recv_into(buffer)
        self._left -= count
        return count


class _Handed:
    """What http.client takes for a socket: it only ever asks for a file."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._reader, 16_384)


class Connection:
    """A connection to `url` (http or https, no path) that is opened when needed and kept. For one thread at a time."""

    def __init__(self, url: str, token: str, ca_file: str = "") -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = ssl.create_default_context(cafile=ca_file or None)
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._port = parts.port or (443 if self._tls else 80)
        self._head = (
            f"Host: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
            "Accept: application/json\r\nContent-Type: application/json\r\n"
        )
        self._socket: socket.socket | None = None
        self._address: tuple[int, tuple[str, int]] | None = None  # resolved once: DNS must not stand in a press's way

    def post(self, path: str, body: bytes, within_ms: int) -> Answer:
        """POST and the whole answer. Raises Unreachable, TooSlow or NotHttp; the connection is then closed."""
        request = f"POST {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        deadline_ms = steady_ms() + within_ms
        kept = self.is_warm()
        try:
            return self._exchange(request, deadline_ms)
        except Unreachable:
            if not kept:
                raise
        # The server had closed a kept connection in the same instant: once more, on a new one. Sending a signal twice
        # is harmless.
        return self._exchange(request, deadline_ms)

    def is_warm(self) -> bool:
        """Whether a connection stands; one the server has closed meanwhile is noticed and dropped."""
        if self._socket is None:
            return False
        try:
            self._socket.setblocking(False)
            self._socket.recv(1)  # nothing should come unasked: it is the end of the stream, or nothing good
        except (BlockingIOError, ssl.SSLWantReadError):  # TLS has swallowed its own session tickets on the way
            return True
        except OSError:
            pass
        self.close()
        return False

    def warm(self) -> None:
        """Open the connection ahead of need. Raises Unreachable or TooSlow."""
        if not self.is_warm():
            self._open(steady_ms() + CONNECT_WITHIN_MS)

    def lines(self, path: str, silence_ms: int) -> Iterator[bytes]:
        """GET a stream and give its lines as they come. Raises Unreachable, TooSlow (nothing for `silence_ms`) or
        NotHttp (among them any status but 200; `args[0]` then is the status).
        """
        self.close()
        sock = self._open(steady_ms() + CONNECT_WITHIN_MS)
        reader = _Reader(sock, steady_ms() + silence_ms, 2**62)
        try:
            sock.sendall(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode())
            response = http.client.HTTPResponse(cast(socket.socket, _Handed(reader)), method="GET")
            response.begin()
            if response.status != 200:
                raise NotHttp(response.status)
            while True:
                line = response.readline(65_537)
                if not line.endswith(b"\n"):
                    raise Unreachable("the stream ended") if len(line) < 65_537 else NotHttp("a line without end")
                reader.deadline_ms = steady_ms() + silence_ms
                yield line
        except TimeoutError as error:
            raise TooSlow(f"nothing within {silence_ms} ms") from error
        except (OSError, http.client.IncompleteRead, http.client.RemoteDisconnected) as error:
            raise Unreachable(str(error)) from error
        except http.client.HTTPException as error:
            raise NotHttp(repr(error)) from error
        finally:
            self.close()

    def interrupt(self) -> None:
        """From another thread: end whatever this connection waits for."""
        sock = self._socket
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it; the next use opens a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, request: bytes, deadline_ms: int) -> Answer:
        try:
            sock = self._socket or self._open(min(deadline_ms, steady_ms() + CONNECT_WITHIN_MS))
            sock.settimeout(max(0.001, (deadline_ms - steady_ms()) / 1000))
            sock.sendall(request)
            reader = _Reader(sock, deadline_ms, ANSWER_BYTES_MAX)
            response = http.client.HTTPResponse(cast(socket.socket, _Handed(reader)), method="POST")
            response.begin()
            body = response.read()
            if response.will_close:
                self.close()
            return Answer(response.status, _retry_after_ms(response.getheader("Retry-After")), body)
        except TimeoutError as error:
            self.close()
            raise TooSlow("no whole answer before the deadline") from error
        except (OSError, http.client.IncompleteRead, http.client.RemoteDisconnected) as error:
            self.close()
            raise Unreachable(str(error) or repr(error)) from error
        except (http.client.HTTPException, ValueError) as error:
            self.close()
            raise NotHttp(repr(error)) from error
        except NotHttp:
            self.close()
            raise

    def _open(self, deadline_ms: int) -> socket.socket:
        within_s = max(0.001, (deadline_ms - steady_ms()) / 1000)
        try:
            if self._address is None:
                family, _, _, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0]
                self._address = (int(family), cast("tuple[str, int]", address))
            sock = socket.socket(self._address[0], socket.SOCK_STREAM)
            try:
                sock.settimeout(within_s)
                sock.connect(self._address[1])
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    sock = self._tls.wrap_socket(sock, server_hostname=self._host)
            except BaseException:
                sock.close()
                raise
        except TimeoutError as error:
            self._address = None
            raise TooSlow(f"no connection to {self._host}:{self._port} in time") from error
        except OSError as error:  # ssl.SSLError among them: a certificate we do not trust is a backend we do not reach
            self._address = None
            raise Unreachable(f"{self._host}:{self._port}: {error}") from error
        self._socket = sock
        return sock


def _retry_after_ms(header: str | None) -> int:
    """Only the form in seconds; a date would need a clock that agrees."""
    return int(header) * 1000 if header and header.isascii() and header.isdigit() and len(header) < 6 else 0
