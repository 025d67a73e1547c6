"""The people at the other end: a webhook receiver and a mail server on loopback that keep what they are sent.

Both can be told to misbehave, as the field does: refuse, hang, or be gone.
"""

import contextlib
import email
import email.message
import email.policy
import json
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

BODY_MAX = 1_000_000  # bytes of one message, ours are under 10 kB
HANG_S = 60.0  # longer than any sender's patience


@dataclass(frozen=True)
class Received:
    """One message: its instant (epoch ms, with fractions), to whom (webhook path or mail address), and what it said."""

    at_ms: float
    target: str
    headers: dict[str, str]
    body: bytes
    content: dict[str, Any] = field(default_factory=dict)  # webhook: the JSON object


def _now_ms() -> float:
    return time.time_ns() / 1e6


class _Inbox:
    """What both kinds share: the list, whoever listens, and waiting for a message."""

    def __init__(self, listener: Callable[[Received], None] | None) -> None:
        self._messages: list[Received] = []
        self._changed = threading.Condition()
        self._listener = listener

    @property
    def messages(self) -> list[Received]:
        """All messages so far, in the order of arrival."""
        with self._changed:
            return list(self._messages)

    def keep(self, message: Received) -> None:
        with self._changed:
            self._messages.append(message)
            self._changed.notify_all()
        if self._listener is not None:
            self._listener(message)

    def wait(self, wanted: Callable[[Received], bool], within_s: float = 10.0) -> Received:
        """The first message that is `wanted`, past or to come. Raises TimeoutError."""
        deadline = time.monotonic() + within_s
        seen = 0
        with self._changed:
            while True:
                for message in self._messages[seen:]:
                    if wanted(message):
                        return message
                seen = len(self._messages)
                if not self._changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    raise TimeoutError(f"no such message in {within_s} s, among {seen}")


class WebhookInbox(_Inbox):
    """An HTTP/1.1 server, kept alive. `status` is what it answers (0: hangs up without a word; -1: never answers)."""

    def __init__(self, listener: Callable[[Received], None] | None = None, port: int = 0) -> None:
        super().__init__(listener)
        self.status = 200
        self._server = _WebhookServer(("127.0.0.1", port), _WebhookHandler)
        self._server.inbox = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="webhook-inbox")
        self._thread.start()

    def url(self, path: str) -> str:
        """The address of one target: `path` tells targets apart."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()


class _Connections:
    """A threading server that can cut what is still connected, so that closing never waits for a kept-alive peer."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        self._open: set[Any] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)  # type: ignore[misc]

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)  # type: ignore[misc]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that was killed resets its connection: nothing to tell."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[misc]

    def hang_up(self) -> None:
        for request in list(self._open):
            with contextlib.suppress(OSError):
                request.shutdown(2)


class _WebhookServer(_Connections, ThreadingHTTPServer):
    inbox: WebhookInbox


class _WebhookHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one write an answer

    def do_POST(self) -> None:
        at_ms = _now_ms()
        inbox = cast(_WebhookServer, self.server).inbox
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(min(length, BODY_MAX))
        if inbox.status == -1:
            time.sleep(HANG_S)
        if inbox.status <= 0:
            self.close_connection = True
            return
        self.send_response(inbox.status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.flush()
        if inbox.status < 300:
            try:
                content = json.loads(body)
            except ValueError:
                content = {}
            headers = {name.lower(): value for name, value in self.headers.items()}
            inbox.keep(Received(at_ms, self.path.strip("/"), headers, body, content))

    def log_message(self, *arguments: Any) -> None:
        """Requests are kept, not logged."""


class MailInbox(_Inbox):
    """An SMTP server without TLS. `refuses`: every message is refused with 550; `defers`: with 451."""

    def __init__(self, listener: Callable[[Received], None] | None = None, port: int = 0) -> None:
        super().__init__(listener)
        self.refuses = False
        self.defers = False
        self._server = _MailServer(("127.0.0.1", port), _MailHandler)
        self._server.inbox = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="mail-inbox")
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()


class _MailServer(_Connections, socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    inbox: MailInbox


class _MailHandler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self._converse()

    def _converse(self) -> None:
        inbox = cast(_MailServer, self.server).inbox
        recipients: list[str] = []
        self._say("220 inbox.localhost ready")
        while line := self.rfile.readline(2000):
            words = line.decode("utf-8", "replace").strip()
            verb = words[:4].upper()
            if verb == "EHLO":
                self._say("250-inbox.localhost", "250-8BITMIME", "250 SMTPUTF8")
            elif verb in ("HELO", "MAIL", "RSET", "NOOP"):
                if verb != "NOOP":
                    recipients = []
                self._say("250 fine")
            elif verb == "RCPT":
                recipients.append(words.partition(":")[2].split()[0].strip("<>"))
                self._say("250 fine")
            elif verb == "DATA":
                self._say("354 go on, end with a dot")
                body = self._body()
                if inbox.refuses or inbox.defers:
                    self._say("451 later" if inbox.defers else "550 no such person")
                else:
                    at_ms = _now_ms()
                    self._say("250 kept")
                    headers = {name.lower(): value for name, value in message_of(body).items()}
                    for recipient in recipients:
                        inbox.keep(Received(at_ms, recipient, headers, body))
                recipients = []
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("502 not known here")

    def _say(self, *lines: str) -> None:
        self.wfile.write(("\r\n".join(lines) + "\r\n").encode())

    def _body(self) -> bytes:
        lines = []
        size = 0
        while (line := self.rfile.readline(10_000)) not in (b".\r\n", b".\n", b""):
            size += len(line)
            if size <= BODY_MAX:
                lines.append(line[1:] if line.startswith(b"..") else line)
        return b"".join(lines)


def message_of(body: bytes) -> email.message.EmailMessage:
    """A mail as Python sees it, with subject and text decoded."""
    return email.message_from_bytes(body, policy=email.policy.default)
