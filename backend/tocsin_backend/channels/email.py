"""E-mail by SMTP. The Message-ID is the dispatch's id, the same on every try: a mail store keeps one.

A relay that accepts has not delivered: `handed` is all that SMTP confirms; the link in the mail is the answer.
One deadline stands over the whole try: the name, the connection, TLS and every line of the conversation.
"""

import smtplib
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
from .deadline import DeadlineSocket, DeadlineTLS, connect, tls_context, wrap
from .reach import resolve


class Email:
    """`security`: none, starttls or tls. `host` empty: there is no relay, and every notice fails at once, visibly."""

    name = "email"
    workers = 4
    confirms = ("handed", "answered")
    answers = "link"

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
        self._domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
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
        mail["Message-ID"] = f"<{outgoing.dispatch_id}@{self._domain}>"
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
        relay = _Relay(self._host, self._port, time.monotonic() + DEADLINE_S, context, self._domain)
        try:
            if self._security == "starttls":
                relay.encrypt(self._context)
            if self._user:
                relay.login(self._user, self._password)
            relay.send_message(mail)
            with suppress(OSError, smtplib.SMTPException):  # it is accepted, however the relay says good-bye
                relay.quit()
        finally:
            relay.close()


class _Relay(smtplib.SMTP):
    """smtplib over sockets that know a deadline. `domain`: what we call ourselves, so that nothing looks it up."""

    def __init__(self, host: str, port: int, deadline_s: float, context: ssl.SSLContext | None, domain: str) -> None:
        self._deadline_s = deadline_s
        self._tls_context = context
        super().__init__(host, port, local_hostname=domain, timeout=DEADLINE_S)

    def encrypt(self, context: ssl.SSLContext) -> None:
        """TLS on the connection that stands; the socket it makes must be told of the deadline anew."""
        if isinstance(self.sock, DeadlineSocket):
            self.sock.limit()
        self.starttls(context=context)
        if isinstance(self.sock, DeadlineTLS):
            self.sock.deadline_s = self._deadline_s

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        plain: DeadlineSocket = connect(resolve(host, port, self._deadline_s), self._deadline_s)
        return plain if self._tls_context is None else wrap(self._tls_context, plain, host, self._deadline_s)


def _words(text: bytes | str) -> str:
    return one_line(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)[:160]
