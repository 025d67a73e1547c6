"""A signed POST of JSON to a person's own system (a command centre, a gateway to telephones, a chat).

    Tocsin-Id: <dispatch id>            the same on every try: whoever receives twice keeps one
    Tocsin-Timestamp: <epoch seconds>   refuse what is old
    Tocsin-Signature: sha256=<hex>      HMAC-SHA256(secret, timestamp + "." + id + "." + body)

The name is resolved once and that address is connected to; private, loopback and link-local addresses are refused
unless a setting names their network (S17); a redirect is a refusal; an answer is read up to 64 KiB.
"""

import contextlib
import errno
import hmac
import http.client
import json
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from ..clock import Clock
from ..domain.dispatches import Outcome
from . import DEADLINE_S, Attempt, Outgoing
from .deadline import DeadlineSocket, DeadlineTLS, connect, tls_context, wrap
from .reach import Network, Reach, Refused

ANSWER_MAX = 65_536
KEPT_A_HOST = 8  # idle connections: one a worker
KEPT_MAX = 64  # of all hosts: whoever names one host after another keeps no connection of ours open for each
UNHEARD_MS = 3_000  # a connection whose bytes nobody acknowledges is dead: a NAT box forgets idle ones without a word
TEMPORARY = (408, 425, 429)  # of the 4xx: trying again may help

Peer = DeadlineSocket | DeadlineTLS
Host = tuple[str, str, int]  # scheme, name, port


class Webhook:
    """`allowed`: networks that are not global and yet may be called."""

    name = "webhook"
    workers = 8
    confirms = ("handed", "answered")
    answers = "link"

    def __init__(self, clock: Clock, allowed: Sequence[Network] = (), cafile: str | None = None) -> None:
        self._clock = clock
        self._reach = Reach(allowed)
        self._context = tls_context(cafile)
        self._kept: dict[Host, list[Peer]] = {}
        self._lock = threading.Lock()

    def send(self, outgoing: Outgoing) -> Outcome:
        """POST one message; any 2xx is an acceptance. A kept connection that the peer had closed is replaced once."""
        return self.prepare(outgoing).finish()

    def prepare(self, outgoing: Outgoing) -> Attempt:
        """The whole request, signed, and a warm connection if one is kept."""
        try:
            where = urlsplit(outgoing.address)
            port = where.port
        except ValueError as error:
            return _Never(f"bad address: {error}")
        if not outgoing.secret:
            return _Never("this contact method has no secret to sign with")
        if where.scheme not in ("http", "https") or not where.hostname:
            return _Never("the address must begin with http:// or https://")
        host = (where.scheme, where.hostname, port or (443 if where.scheme == "https" else 80))
        path = (where.path or "/") + (f"?{where.query}" if where.query else "")
        body = json.dumps(outgoing.message.facts, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            request = _Composer(host[1], host[2]).compose(path, body, self._headers(outgoing, body))
        except (http.client.HTTPException, UnicodeError) as error:
            return _Never(f"bad address: {error}"[:200])
        return _Post(self, host, request)

    def post(self, host: Host, request: bytes, first: Peer | None, sent: int) -> Outcome:
        """Send the request and read the answer; `first` is a kept connection that has `sent` bytes of it already."""
        deadline_s = time.monotonic() + DEADLINE_S
        try:
            while True:
                kept = first is not None
                peer = first or self._dial(host, deadline_s)
                peer.deadline_s = deadline_s
                try:
                    return self._exchange(peer, host, request[sent:] if kept else request)
                except (http.client.RemoteDisconnected, ConnectionError) as error:
                    peer.close()
                    if not kept:
                        return Outcome(False, error=f"{type(error).__name__}: {error}")
                    first = None
                except TimeoutError as error:
                    peer.close()
                    if not kept:
                        raise
                    self.forget(host)  # kept as long as this one, and as dead: the next try dials
                    if error.errno != errno.ETIMEDOUT:
                        raise
                    first = None  # its bytes never arrived
                except BaseException:
                    peer.close()
                    raise
        except Refused as error:
            return Outcome(False, permanent=True, error=str(error))
        except TimeoutError:
            return Outcome(False, error=f"no answer within {DEADLINE_S:.0f} s")
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            return Outcome(False, error=f"{type(error).__name__}: {error}"[:200])

    def take(self, host: Host) -> Peer | None:
        """A kept connection: the last one used, which is the warmest."""
        with self._lock:
            kept = self._kept.get(host)
            if not kept:
                return None
            peer = kept.pop()
            if not kept:
                del self._kept[host]
            return peer

    def give_back(self, host: Host, peer: Peer) -> None:
        """Keep a connection for the next message; of too many, those to the host that was longest without one go."""
        with self._lock:
            mine = self._kept.pop(host, [])
            left = [peer] if len(mine) >= KEPT_A_HOST else []
            self._kept[host] = mine if left else [*mine, peer]  # last in the dictionary: the host used last
            while sum(map(len, self._kept.values())) > KEPT_MAX:
                left += self._kept.pop(next(iter(self._kept)))
        for each in left:
            each.close()

    def forget(self, host: Host) -> None:
        """Give up every kept connection to this host."""
        with self._lock:
            left = self._kept.pop(host, [])
        for each in left:
            each.close()

    def close(self) -> None:
        with self._lock:
            for kept in self._kept.values():
                for peer in kept:
                    peer.close()
            self._kept.clear()

    def _headers(self, outgoing: Outgoing, body: bytes) -> dict[str, str]:
        timestamp = str(self._clock.now_ms() // 1000)
        signed = f"{timestamp}.{outgoing.dispatch_id}.".encode() + body
        mac = hmac.digest(outgoing.secret.encode(), signed, "sha256").hex()
        return {
            "Content-Type": "application/json",
            "User-Agent": "Tocsin",
            "Tocsin-Id": outgoing.dispatch_id,
            "Tocsin-Timestamp": timestamp,
            "Tocsin-Signature": f"sha256={mac}",
        }

    def _exchange(self, peer: Peer, host: Host, rest: bytes) -> Outcome:
        if rest:
            peer.sendall(rest)  # head and body in one write, which the peer reads at once
        answer = http.client.HTTPResponse(peer, method="POST")
        answer.begin()
        body = answer.read(ANSWER_MAX + 1)
        if answer.will_close or len(body) > ANSWER_MAX:
            peer.close()
        else:
            self.give_back(host, peer)
        if 200 <= answer.status < 300:
            return Outcome(True)
        if 300 <= answer.status < 400:
            return Outcome(False, permanent=True, error=f"HTTP {answer.status}: redirects are not followed")
        permanent = 400 <= answer.status < 500 and answer.status not in TEMPORARY
        return Outcome(False, permanent=permanent, error=f"HTTP {answer.status}")

    def _dial(self, host: Host, deadline_s: float) -> Peer:
        scheme, name, port = host
        plain = connect(self._reach.addresses(name, port, deadline_s), deadline_s)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD_MS)
        return wrap(self._context, plain, name, deadline_s) if scheme == "https" else plain


class _Post:
    """One POST: composed, and with a warm connection in hand if there was one."""

    def __init__(self, webhook: Webhook, host: Host, request: bytes) -> None:
        self._webhook = webhook
        self._host = host
        self._request = request
        self._peer = webhook.take(host)
        self._sent = 0

    def launch(self) -> None:
        """The request into the kernel's buffer, if it takes it; TLS, and whatever goes wrong, is left to `finish`."""
        if isinstance(self._peer, DeadlineSocket):
            with contextlib.suppress(OSError):
                self._peer.setblocking(False)
                self._sent = self._peer.send(self._request)

    def finish(self) -> Outcome:
        return self._webhook.post(self._host, self._request, self._peer, self._sent)

    def abandon(self) -> None:
        if self._peer is not None:
            self._webhook.give_back(self._host, self._peer)


class _Never:
    """A message that cannot leave, whoever tries."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def launch(self) -> None:
        """Nothing to begin."""

    def finish(self) -> Outcome:
        return Outcome(False, permanent=True, error=self._reason)

    def abandon(self) -> None:
        """Nothing was taken."""


class _Composer(http.client.HTTPConnection):
    """http.client's own writing of a request, kept instead of sent: it refuses what could not stand in one."""

    auto_open = 0

    def compose(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        """The whole request. Raises http.client.InvalidURL, UnicodeError."""
        self._parts: list[bytes] = []
        self.request("POST", path, body, headers)
        return b"".join(self._parts)

    def send(self, data: Any) -> None:
        self._parts.append(data)
