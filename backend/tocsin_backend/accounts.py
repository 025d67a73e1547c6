"""People's logins: passwords, sessions, and the throttle that slows guessing without locking anybody out.

A session is 32 random bytes given to the person and kept here only as a hash; so is a gateway's token.
"""

import hashlib
import hmac
import ipaddress
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from tocsin_backend.errors import Invalid, TocsinError
from tocsin_backend.store import accounts as store
from tocsin_backend.store.accounts import PersonRow, SessionRow
from tocsin_backend.store.database import Database

log = logging.getLogger(__name__)

PASSWORD_CHARACTERS_MIN = 12
PASSWORD_CHARACTERS_MAX = 200
# OWASP's Argon2id profile for interactive logins: 19 MiB, 2 passes, 1 lane; 25 ms here, and a login beside a press
# takes one core at most.
_hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
# Checked when the login does not exist, so that an unknown login costs what a known one does.
_NOBODY = _hasher.hash(secrets.token_urlsafe(16))


def check_password_strength(password: str) -> None:
    """Raises Invalid. Length is the rule (NIST SP 800-63B §5.1.1.2): no composition rules."""
    if not PASSWORD_CHARACTERS_MIN <= len(password) <= PASSWORD_CHARACTERS_MAX:
        raise Invalid(f"a password has {PASSWORD_CHARACTERS_MIN} to {PASSWORD_CHARACTERS_MAX} characters")
    if len(set(password)) < 5:
        raise Invalid("this password repeats too few characters")


def hash_password(password: str) -> str:
    """The argon2id hash to keep."""
    return _hasher.hash(password)


def password_matches(kept: str | None, password: str) -> bool:
    """Whether the password is the one whose hash is kept; None is an unknown login, and takes as long to refuse."""
    try:
        return _hasher.verify(kept or _NOBODY, password) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


def generate_password() -> str:
    """A password for a new person: 100 bits in five groups that can be read out on a telephone."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"  # 31 signs, none mistaken for another
    return "-".join("".join(secrets.choice(alphabet) for _ in range(4)) for _ in range(5))


def new_token() -> str:
    """A bearer token: 32 random bytes in base64url."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """What is kept of a token. 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


@dataclass
class _Failures:
    count: int = 0
    not_before_ms: int = 0
    last_ms: int = 0


class Throttle:
    """How long a login attempt must wait: a pure core, told the time.

    Failures are counted by (login, address) and by address, never by login alone: whoever guesses at a supervisor's
    password from elsewhere cannot keep the supervisor out. A login that succeeded from an address before is not held
    up by what others fail at there (a school behind one address). IPv6 addresses are counted by /64, which is what one
    household or one attacker has. A wait is at most WAIT_MS_MAX, attempts made during it do
    not lengthen it, and failures are forgotten after FORGET_MS. Memory: at most ENTRIES_MAX pairs, oldest out first.
    """

    FREE_FAILURES = 5
    FREE_FAILURES_ADDRESS = 30
    WAIT_MS_MAX = 60_000
    FORGET_MS = 900_000
    ENTRIES_MAX = 10_000

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        self._at_home: OrderedDict[tuple[str, str], None] = OrderedDict()  # pairs that have logged in

    def wait_ms(self, login: str, address: str, now_ms: int) -> int:
        """Milliseconds until this login may be tried from this address; 0 is now."""
        waits = [0]
        for key, _ in self._keys(login, address):
            entry = self._failures.get(key)
            if entry is not None:
                # A clock that was set back must not prolong a wait.
                waits.append(min(entry.not_before_ms - now_ms, self.WAIT_MS_MAX))
        return max(waits)

    def failed(self, login: str, address: str, now_ms: int) -> None:
        for key, free in self._keys(login, address):
            entry = self._failures.pop(key, None)
            if entry is None or now_ms - entry.last_ms > self.FORGET_MS:
                entry = _Failures()
            entry.count += 1
            entry.last_ms = now_ms
            if entry.count >= free:
                entry.not_before_ms = now_ms + min(1000 << min(entry.count - free, 16), self.WAIT_MS_MAX)
            self._failures[key] = entry
        while len(self._failures) > self.ENTRIES_MAX:
            self._failures.popitem(last=False)

    def succeeded(self, login: str, address: str) -> None:
        pair = (login, _network(address))
        self._failures.pop(pair, None)
        self._at_home.pop(pair, None)
        self._at_home[pair] = None
        while len(self._at_home) > self.ENTRIES_MAX:
            self._at_home.popitem(last=False)

    def _keys(self, login: str, address: str) -> tuple[tuple[tuple[str, str], int], ...]:
        network = _network(address)
        pair = ((login, network), self.FREE_FAILURES)
        if (login, network) in self._at_home:
            return (pair,)
        return (pair, (("", network), self.FREE_FAILURES_ADDRESS))


def _network(address: str) -> str:
    """What an address is counted as: itself, or its /64 for IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    return str(found.ipv4_mapped or ipaddress.IPv6Network((int(found), 64), strict=False))


class WrongLogin(TocsinError):
    """The login or the password is wrong."""


class TooManyAttempts(TocsinError):
    """Too many failed logins from this address; `wait_ms` says how long it must wait."""

    def __init__(self, wait_ms: int) -> None:
        super().__init__(f"too many failed logins: wait {-(-wait_ms // 1000)} s")
        self.wait_ms = wait_ms


@dataclass(frozen=True)
class Opened:
    """A session that has just begun; the token is known to its owner alone from here on."""

    token: str
    csrf: str
    expires_ms: int
    person: PersonRow


class Accounts:
    """Logging in and out, for the API and the console alike. Blocking: call it from a thread that may wait."""

    VERIFICATIONS_AT_ONCE = 2  # a flood of guesses takes 38 MiB and leaves the press path its processor time

    def __init__(self, database: Database, session_ms: int, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._session_ms = session_ms
        self._now_ms = now_ms
        self._throttle = Throttle()
        self._throttle_lock = threading.Lock()
        self._verifying = threading.BoundedSemaphore(self.VERIFICATIONS_AT_ONCE)

    def log_in(self, login: str, password: str, address: str) -> Opened:
        """Opens a session. Raises WrongLogin, TooManyAttempts, Unavailable."""
        with self._throttle_lock:
            wait_ms = self._throttle.wait_ms(login, address, self._now_ms())
        if wait_ms > 0:
            raise TooManyAttempts(wait_ms)
        with self._database.read() as conn:
            found = store.password_hash(conn, login)
        with self._verifying:
            good = len(password) <= PASSWORD_CHARACTERS_MAX and password_matches(found and found[1], password)
        now_ms = self._now_ms()
        with self._throttle_lock:
            if good:
                self._throttle.succeeded(login, address)
            else:
                self._throttle.failed(login, address, now_ms)
        if not good or found is None:
            # The login is not logged: people type their password into that field.
            log.warning("a login failed from %s", address)
            raise WrongLogin
        token, csrf, expires_ms, person_id = new_token(), new_token(), now_ms + self._session_ms, found[0]
        self._database.write(
            lambda conn: store.open_session(
                conn, kept_token=token_hash(token), person_id=person_id, csrf=csrf, now_ms=now_ms, expires_ms=expires_ms
            )
        ).result()
        with self._database.read() as conn:
            session = store.session(conn, token_hash(token), now_ms)
        if session is None:
            raise WrongLogin  # shut out between the check and the session
        log.info("%s logged in", session.person.login)
        return Opened(token, csrf, expires_ms, session.person)

    def session(self, token: str) -> SessionRow | None:
        """The live session of a token, None when there is none. Raises Unavailable."""
        if not token:
            return None
        now_ms, kept_token = self._now_ms(), token_hash(token)
        with self._database.read() as conn:
            session = store.session(conn, kept_token, now_ms)
        if session is not None and now_ms - session.seen_ms > store.SEEN_EVERY_MS:
            self._database.write(lambda conn: store.touch_session(conn, kept_token, now_ms))
        return session

    def log_out(self, token: str) -> None:
        """Ends a session; an unknown one is ended already."""
        self._database.write(lambda conn: store.close_session(conn, token_hash(token))).result()

    def ended(self, kept_tokens: Collection[str]) -> set[str]:
        """Those of the token hashes whose session is over: a stream that outlives its session must stop."""
        now_ms = self._now_ms()
        with self._database.read() as conn:
            return {kept for kept in kept_tokens if store.session(conn, kept, now_ms) is None}


def csrf_matches(session: SessionRow, offered: str) -> bool:
    """Whether a change that came by cookie was sent by our own page."""
    return hmac.compare_digest(session.csrf.encode(), offered.encode(errors="replace"))
