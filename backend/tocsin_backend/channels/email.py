"""E-mail by SMTP. The Message-ID is the dispatch's id, the same on every try: a mail store keeps one.

A relay that accepts has not delivered: `handed` is all this channel confirms.
"""

import smtplib
import socket
import ssl
import time
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from typing import Any

from ..clock import Clock
from ..domain.dispatches import Outcome
from ..domain.notices import one_line
from . import DEADLINE_S, Outgoing
from .deadline import DeadlineSocket, connect, tls_context, wrap


class Email:
    """`security`: none, starttls or tls. `host` empty: there is no relay, and every notice fails at once, visibly."""

    name = "email"
    workers = 4

    def __init__(
        self,
        clock: Clock,
        host: str,
        port: int = 25,
        security: str = "none",
        user: str = "",
        password: str = "",
        sender: str = "tocsin@localhost",
        cafile: str | None = None,
    ) -> None:
        self._clock = clock
        self._host = host
        self._port = port
        self._security = security
        self._user = user
        self._password = password
        self._sender = sender
        self._context = tls_context(cafile)

    def send(self, outgoing: Outgoing) -> Outcome:
        """Hand one mail to the relay: a 4xx answer is temporary, a 5xx permanent."""
        if not self._host:
            return Outcome(False, permanent=True, error="no mail relay is configured (TOCSIN_SMTP_HOST)")
        _, address = parseaddr(outgoing.address)
        if not address or "@" not in address or one_line(outgoing.address) != outgoing.address:
            return Outcome(False, permanent=True, error="not an e-mail address")
        mail = EmailMessage()
        mail["From"] = self._sender
        mail["To"] = outgoing.address
        mail["Subject"] = outgoing.message.subject
        mail["Date"] = formatdate(self._clock.now_ms() / 1000)
        mail["Message-ID"] = f"<{outgoing.dispatch_id}@{self._sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday reply answers a call for help
        mail["X-Tocsin-Alert"] = outgoing.alert_id
        mail.set_content(outgoing.message.text)
        try:
            self._hand_over(mail)
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            return Outcome(False, permanent=code >= 500, error=f"SMTP {code} {_words(text)}")
        except smtplib.SMTPResponseException as error:
            permanent = error.smtp_code >= 500
            return Outcome(False, permanent=permanent, error=f"SMTP {error.smtp_code} {_words(error.smtp_error)}")
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            return Outcome(False, error=f"{type(error).__name__}: {error}"[:200])
        return Outcome(True)

    def close(self) -> None:
        """No connection is kept: relays close idle ones within minutes, and presses are rarer than that."""

    def _hand_over(self, mail: EmailMessage) -> None:
        context = self._context if self._security == "tls" else None
        relay = _Relay(self._host, self._port, time.monotonic() + DEADLINE_S, context)
        try:
            if self._security == "starttls":
                relay.starttls(context=self._context)
            if self._user:
                relay.login(self._user, self._password)
            relay.send_message(mail)
            with suppress(OSError, smtplib.SMTPException):  # it is accepted, however the relay says good-bye
                relay.quit()
        finally:
            relay.close()


class _Relay(smtplib.SMTP):
    """smtplib over sockets that know a deadline."""

    def __init__(self, host: str, port: int, deadline_s: float, context: ssl.SSLContext | None) -> None:
        self._deadline_s = deadline_s
        self._tls_context = context
        super().__init__(host, port, timeout=DEADLINE_S)

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        plain: DeadlineSocket = connect([(family, address) for family, _, _, _, address in found], self._deadline_s)
        return plain if self._tls_context is None else wrap(self._tls_context, plain, host, self._deadline_s)


def _words(text: bytes | str) -> str:
    return one_line(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)[:160]
