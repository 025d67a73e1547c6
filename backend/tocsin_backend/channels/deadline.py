"""Sockets with one deadline over everything: connecting, TLS, and every byte that comes back.

A timeout a call is not enough: a peer that sends one byte a second holds a worker for ever (slow loris).
"""

import socket
import ssl
import time
from typing import Any


class _Reads:
    """Each read waits at most until the deadline. Raises TimeoutError after it."""

    deadline_s: float | None = None  # time.monotonic; None: the socket's own timeout

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.limit()
        return super().recv_into(*args, **kwargs)  # type: ignore[misc,no-any-return]

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.limit()
        super().sendall(*args, **kwargs)  # type: ignore[misc]

    def limit(self) -> None:
        """Set the time that is left; Python's sendall takes it for the whole of what it sends."""
        if self.deadline_s is not None:
            self.settimeout(left_s(self.deadline_s))  # type: ignore[attr-defined]


class DeadlineSocket(_Reads, socket.socket):
    """A TCP socket under a deadline."""


class DeadlineTLS(_Reads, ssl.SSLSocket):
    """The same over TLS, made by a context from `tls_context`."""

    def send(self, *args: Any, **kwargs: Any) -> int:
        """One piece of what `sendall` sends: a peer that takes a record a second would hold a worker for ever."""
        self.limit()
        return super().send(*args, **kwargs)


def left_s(deadline_s: float) -> float:
    """The seconds that are left. Raises TimeoutError when there are none."""
    left = deadline_s - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer within the deadline")
    return left


def tls_context(cafile: str | None = None) -> ssl.SSLContext:
    """TLS ≥ 1.2 with hostname check (S2), whose sockets know deadlines. `cafile`: more authorities to believe."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = DeadlineTLS
    if cafile is not None:
        context.load_verify_locations(cafile)
    return context


def connect(addresses: list[tuple[Any, ...]], deadline_s: float) -> DeadlineSocket:
    """A connection to the first of these (family, address) that answers. Raises OSError."""
    failure: OSError = OSError("no address to connect to")
    for family, address in addresses:
        made = DeadlineSocket(family, socket.SOCK_STREAM)
        made.deadline_s = deadline_s
        try:
            made.limit()
            made.connect(address)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a delayed ACK would cost 40 ms
        except OSError as error:
            made.close()
            failure = error
            continue
        return made
    raise failure


def wrap(context: ssl.SSLContext, plain: DeadlineSocket, host: str, deadline_s: float) -> DeadlineTLS:
    """TLS over a connection, to a host of this name. Raises OSError (ssl.SSLError among them)."""
    plain.limit()
    wrapped = context.wrap_socket(plain, server_hostname=host)
    assert isinstance(wrapped, DeadlineTLS)
    wrapped.deadline_s = deadline_s
    return wrapped
