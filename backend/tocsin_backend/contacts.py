"""The ways a person is reached: adding, changing, switching off, and proving that an address is hers.

A person sees and changes her own; an administrator everybody's of the organisation. `verify` sends six digits through
the channel itself, and whoever gives them back within ten minutes has shown that the address works and whose it is.
When a code was sent and how often it was guessed wrong stands in the database: every process and the command line obey.
Secrets in an address (a push service's token) are taken and never given back: lists show it masked.
"""

import hmac
import logging
import secrets
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from tocsin_backend.channels import Channel, Outgoing
from tocsin_backend.domain import contacts, dispatches, rights
from tocsin_backend.domain.notices import Message
from tocsin_backend.errors import Forbidden, Invalid, NotFound
from tocsin_backend.store import contacts as store
from tocsin_backend.store.contacts import MethodRow
from tocsin_backend.store.database import Database, notes

log = logging.getLogger(__name__)

METHODS_MAX = 20  # of one person
CODE_MS = 600_000  # a code is good for this long, once
SEND_EVERY_MS = 60_000  # a code to one address: nobody's telephone is made to ring by us
SENDS_MAX = 3  # codes to one person's addresses in that span
SENDING_MAX = 4  # codes under way at once: a gateway's modem takes 30 s to say no, and others wait for the threads
WRONG_MAX = 5  # codes given back wrong, until the next is sent

PHRASES = {
    "fr": (
        "Tocsin : votre code",
        "Votre code Tocsin : {code}\nIl prouve que cette adresse vous joint. Valable 10 minutes.",
    ),
    "en": (
        "Tocsin: your code",
        "Your Tocsin code: {code}\nIt proves that this address reaches you. Good for 10 minutes.",
    ),
}


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: a person with her role, or the command line (`person_id` None), which may everything."""

    org: str
    person_id: int | None
    role: str = ""


class Contacts:
    """Every method raises NotFound, Forbidden, Invalid, Unavailable. Thread-safe."""

    def __init__(
        self, database: Database, secret: bytes, channels: Mapping[str, Channel], now_ms: Callable[[], int]
    ) -> None:
        self._database = database
        self._key = hmac.digest(secret, b"tocsin/1 contact-code", "sha256")
        self._channels = channels
        self._now_ms = now_ms
        self._sending = threading.BoundedSemaphore(SENDING_MAX)

    def of(self, asker: Asker, login: str = "") -> list[dict[str, Any]]:
        """The methods of a person (by login; "": the asker's own), addresses masked where they hold secrets."""
        with self._database.read() as conn:
            return [shown(row) for row in store.of_person(conn, self._person(conn, asker, login))]

    def add(self, asker: Asker, login: str, channel: str, address: str, **more: Any) -> dict[str, Any]:
        """A new method; `secret`, of a webhook, is in the answer this once. `more`: as `change`."""
        kept = _checked(channel, address)
        values = _values(more) | {"channel": channel, "address": kept}
        values["secret"] = secrets.token_urlsafe(32) if channel == contacts.WEBHOOK else ""

        def job(conn: Connection) -> dict[str, Any]:
            person_id = self._person(conn, asker, login)
            before = store.of_person(conn, person_id)
            if len(before) >= METHODS_MAX:
                raise Invalid(f"a person has at most {METHODS_MAX} contact methods")
            if any((each.channel, each.address) == (channel, kept) for each in before):
                raise Invalid("this person has that contact method already")
            made = store.add(conn, person_id, values, self._now_ms())
            notes(conn).catalogue = True
            return _row(store.get(conn, made))

        made = self._database.write(job).result()
        return made | ({"secret": values["secret"]} if values["secret"] else {})

    def change(self, asker: Asker, method_id: int, **more: Any) -> dict[str, Any]:
        """Change some of: address, offset_s (0 to 3600), external, position, disabled. A new address is unproven."""

        def job(conn: Connection) -> dict[str, Any]:
            row = self._method(conn, asker, method_id)
            values = _values(more)
            address = more.get("address")
            if address is not None:
                kept = _checked(row.channel, address)
                if kept != row.address:
                    others = store.of_person(conn, row.person_id)
                    if any((each.channel, each.address) == (row.channel, kept) for each in others):
                        raise Invalid("this person has that contact method already")
                    values |= {"address": kept, "verified_ms": None, "proven_ms": None, "created_ms": self._now_ms()}
            if more.get("disabled") is not None:
                values["disabled_ms"] = (row.disabled_ms or self._now_ms()) if more["disabled"] else None
            if values:
                store.change(conn, method_id, values)
                notes(conn).catalogue = True
            return _row(store.get(conn, method_id))

        return self._database.write(job).result()

    def verify(self, asker: Asker, method_id: int) -> None:
        """Send a code through the method. Raises Invalid when the channel does not take it, or one was just sent."""

        def job(conn: Connection) -> MethodRow:
            row = self._method(conn, asker, method_id)
            if row.channel not in self._channels:
                raise Invalid(f"nothing sends by {row.channel} here")
            now_ms = self._now_ms()
            there, hers = store.codes_sent(conn, row, now_ms - SEND_EVERY_MS)
            if there or hers >= SENDS_MAX:
                raise Invalid(f"a code was sent less than {SEND_EVERY_MS // 1000} s ago: wait for it")
            store.change(conn, method_id, {"code_ms": now_ms, "code_wrong": 0})
            return replace(row, code_ms=now_ms)

        if not self._sending.acquire(blocking=False):
            raise Invalid("many codes are being sent right now: try again in a minute")
        try:
            row = self._database.write(job).result()
            outcome = self._channels[row.channel].send(self._code_message(row))
        finally:
            self._sending.release()
        if not outcome.accepted:
            raise Invalid(f"the code could not be sent: {outcome.error}")

    def confirm(self, asker: Asker, method_id: int, code: str) -> dict[str, Any]:
        """The person gives the code back: the method is verified, and proven. Raises Invalid for a wrong one."""
        now_ms = self._now_ms()

        def job(conn: Connection) -> dict[str, Any] | str:
            row = self._method(conn, asker, method_id)
            if row.code_wrong >= WRONG_MAX:
                return "too many wrong codes: have another sent"
            fresh = row.code_ms is not None and now_ms - row.code_ms <= CODE_MS
            if not fresh or not hmac.compare_digest(self._code(row).encode(), code.strip().encode()):
                store.count_wrong(conn, method_id)
                return "that is not the code that was sent, or it is more than ten minutes old"
            given = {"verified_ms": now_ms, "proven_ms": now_ms, "code_ms": None, "code_wrong": 0}
            store.change(conn, method_id, given)
            notes(conn).catalogue = True
            return _row(store.get(conn, method_id))

        found = self._database.write(job).result()
        if isinstance(found, str):  # counted first: a job that raises changes nothing
            raise Invalid(found)
        return found

    # -- inside

    def _code_message(self, row: MethodRow) -> Outgoing:
        subject, text = PHRASES.get(row.language, PHRASES["fr"])
        code = self._code(row)
        message = Message(subject, text.format(code=code), {"kind": "code", "subject": subject, "code": code})
        class_ = dispatches.TECHNICAL_CLASS
        return Outgoing(str(uuid.uuid4()), "", row.channel, row.address, row.secret, class_, message, row.org)

    def _code(self, row: MethodRow) -> str:
        """Six digits that follow from the method, its address and when they were sent."""
        made = hmac.digest(self._key, f"{row.id}\n{row.address}\n{row.code_ms}".encode(), "sha256")
        return str(int.from_bytes(made[:8], "big") % 10**contacts.CODE_DIGITS).zfill(contacts.CODE_DIGITS)

    def _person(self, conn: Connection, asker: Asker, login: str) -> int:
        if not login:
            if asker.person_id is None:
                raise Invalid("whose contact methods? name a login")
            return asker.person_id
        found = store.person_of(conn, asker.org, login)
        if found is None or not self._may(asker, found):
            if found is not None:
                raise Forbidden
            raise NotFound(f"there is no login {login[:40]!r}")
        return found

    def _method(self, conn: Connection, asker: Asker, method_id: int) -> MethodRow:
        row = store.get(conn, method_id)
        if row is None or row.org != asker.org:
            raise NotFound("there is no such contact method")
        if not self._may(asker, row.person_id):
            raise Forbidden
        return row

    @staticmethod
    def _may(asker: Asker, person_id: int) -> bool:
        return asker.person_id in (None, person_id) or rights.may(asker.role, "write-contacts")


def shown(row: MethodRow) -> dict[str, Any]:
    """A method as lists and answers show it: a webhook's and a push's address masked, no secret."""
    plain = row.channel in (contacts.EMAIL, contacts.SMS)
    return {
        "id": row.id,
        "login": row.login,
        "channel": row.channel,
        "address": row.address if plain else contacts.masked(row.channel, row.address),
        "external": bool(row.external),
        "offset_s": row.offset_ms // 1000,
        "position": row.position,
        "verified_ms": row.verified_ms,
        "proven_ms": row.proven_ms,
        "disabled": row.disabled_ms is not None,
    }


def _row(row: MethodRow | None) -> dict[str, Any]:
    assert row is not None, "it was just written"
    return shown(row)


def _checked(channel: str, address: str) -> str:
    try:
        return contacts.checked(channel, address)
    except contacts.BadAddress as error:
        raise Invalid(f"the {channel if channel in contacts.CHANNELS else 'contact'} is refused: {error}") from None


def _values(more: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that follow from these words. Raises Invalid with every fault."""
    faults: list[str] = []
    values: dict[str, Any] = {}
    offset_s = more.get("offset_s")
    if offset_s is not None:
        if not 0 <= offset_s * 1000 <= contacts.OFFSET_MAX_MS:
            faults.append(f"offset_s: 0 to {contacts.OFFSET_MAX_MS // 1000} seconds after the person's step")
        values["offset_ms"] = offset_s * 1000
    position = more.get("position")
    if position is not None:
        if not 0 <= position <= 1000:
            faults.append("position: 0 to 1000, lower ones first")
        values["position"] = position
    if more.get("external") is not None:
        values["external"] = bool(more["external"])
    if faults:
        raise Invalid("\n".join(faults))
    return values
