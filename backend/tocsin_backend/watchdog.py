"""`tocsin watchdog`: looks at a server's /healthz from another machine, and tells people by its own channels.

It needs no database and none of the server's secrets. Rules: domain/watching.py.
"""

import http.client
import json
import logging
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from .channels import Channel, Outgoing
from .channels.email import Email
from .channels.push import Push
from .channels.webhook import Webhook
from .clock import Clock
from .domain import contacts, dispatches, watching
from .domain.notices import Message
from .domain.watching import Look, Watched, Word
from .errors import Misconfigured
from .settings import Settings, read_private, read_smtp_password

log = logging.getLogger(__name__)

LOOK_S = 4.0  # less than the pause between two looks
ANSWER_MAX = 65_536
TRIES = 3  # of one message, in a row: the next word comes in ten minutes


class Teller:
    """Whom the watchdog tells: a line an address, `mailto:ADDRESS`, `https://… SECRET`, or a push service's URL."""

    def __init__(self, lines: Sequence[str], settings: Settings, clock: Clock, language: str) -> None:
        """Raises Misconfigured with every line that is no address."""
        self._language = language
        self._channels: dict[str, Channel] = {
            contacts.WEBHOOK: Webhook(clock, settings.webhook_private_networks),
            contacts.EMAIL: Email(
                clock, host=settings.smtp_host, port=settings.smtp_port, security=settings.smtp_security,
                user=settings.smtp_user, password=read_smtp_password(settings), sender=settings.smtp_from,
            ),
            contacts.PUSH: Push(settings.webhook_private_networks),
        }  # fmt: skip
        self._whom: list[tuple[str, str, str]] = []
        faults = []
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                self._whom.append(_whom(line.strip()))
            except contacts.BadAddress as error:
                faults.append(f"line {number}: {error}")
        if not self._whom and not faults:
            faults.append("nobody to tell: one address a line")
        if faults:
            raise Misconfigured("; ".join(faults))

    def tell(self, word: Word) -> int:
        """Tell everybody; how many took it."""
        text = watching.phrase(word, self._language)
        facts: dict[str, object] = {"kind": f"watchdog-{word.what}", "why": word.why, "lasted_ms": word.lasted_ms}
        message = Message(f"[Tocsin] {text}", text, facts)
        return sum(self._tell_one(*each, message) for each in self._whom)

    def _tell_one(self, channel: str, address: str, secret: str, message: Message) -> bool:
        key = str(uuid.uuid4())
        outgoing = Outgoing(key, key, channel, address, secret, dispatches.TECHNICAL_CLASS, message)
        for _ in range(TRIES):
            outcome = self._channels[channel].send(outgoing)
            if outcome.accepted:
                return True
            log.warning("%s: not told: %s", channel, outcome.error)
            if outcome.permanent:
                break
        return False

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()


def _whom(line: str) -> tuple[str, str, str]:
    """(channel, address, secret) of one line. Raises BadAddress, whose text leaves the line out: it may be secret."""
    address, _, secret = line.partition(" ")
    if address.startswith("mailto:"):
        return contacts.EMAIL, contacts.checked(contacts.EMAIL, address.removeprefix("mailto:")), ""
    if address.startswith(("https://", "http://")):
        return contacts.WEBHOOK, contacts.checked(contacts.WEBHOOK, address), secret.strip()
    return contacts.PUSH, contacts.checked(contacts.PUSH, address), ""


def read_lines(path: Path) -> list[str]:
    """The lines of the file of addresses, which hold secrets: mode 0600. Raises SettingsError, Misconfigured."""
    try:
        return (
            read_private(path, "the file of addresses", "write an address a line there, mode 0600")
            .decode()
            .splitlines()
        )
    except UnicodeDecodeError:
        raise Misconfigured(f"{path} is not UTF-8") from None


def healthz_of(url: str) -> str:
    """The address to look at. Raises Misconfigured."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Misconfigured("--url is the server's address: https://tocsin.example")
    return url if parts.path.endswith("/healthz") else url.rstrip("/") + "/healthz"


def look(address: str) -> Look:
    """One look at a server's /healthz, without following a redirect or using a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
    try:
        with opener.open(address, timeout=LOOK_S) as answer:
            return watching.judge(answer.status, _json(answer.read(ANSWER_MAX)))
    except urllib.error.HTTPError as error:
        with error:
            return watching.judge(error.code, _json(error.read(ANSWER_MAX)))
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        return Look(f"no answer ({type(reason).__name__})")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _json(body: bytes) -> object:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found


def run(
    see: Callable[[], Look],
    teller: Teller,
    clock: Clock,
    stop: threading.Event,
    say: Callable[[Look, Word | None], None],
) -> None:
    """Look every 5 s until `stop`. A word that nobody took is said again with the next look."""
    watched = Watched()
    while True:
        found = see()
        before = watched
        watched, word = watching.after(watched, found, clock.now_ms())
        say(found, word)
        if word is not None and not teller.tell(word):
            log.error("nobody could be told: %s", word.what)
            watched = (
                Watched(watched.misses, watched.since_ms, before.told_ms) if word.what == watching.DOWN else before
            )
        if stop.wait(watching.EVERY_MS / 1000):
            return
