"""People's logins: passwords, sessions, and the throttle that slows guessing without locking anybody out.

A session is 32 random bytes given to the person and kept here only as a hash; so is a gateway's token. The CSRF token
is a function of the session's token: who cannot read the cookie cannot make it.
"""

import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from tocsin_backend.errors import Invalid

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


def csrf_token(session_token: str) -> str:
    """The token that a page must send back with each change, when the session came by cookie."""
    digest = hmac.digest(session_token.encode(errors="replace"), b"tocsin csrf", "sha256")
    return base64.urlsafe_b64encode(digest[:24]).decode()


def csrf_matches(session_token: str, offered: str) -> bool:
    return hmac.compare_digest(csrf_token(session_token).encode(), offered.encode(errors="replace"))


@dataclass
class _Failures:
    count: int = 0
    not_before_ms: int = 0
    last_ms: int = 0


class Throttle:
    """How long a login attempt must wait: a pure core, told the time.

    Failures are counted by (login, address) and by address, never by login alone: whoever guesses at a supervisor's
    password from elsewhere cannot keep the supervisor out. A wait is at most WAIT_MS_MAX, attempts made during it do
    not lengthen it, and failures are forgotten after FORGET_MS. Memory: at most ENTRIES_MAX pairs, oldest out first.
    """

    FREE_FAILURES = 5
    FREE_FAILURES_ADDRESS = 30
    WAIT_MS_MAX = 60_000
    FORGET_MS = 900_000
    ENTRIES_MAX = 10_000

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

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
        self._failures.pop((login, address), None)

    def _keys(self, login: str, address: str) -> tuple[tuple[tuple[str, str], int], ...]:
        return (((login, address), self.FREE_FAILURES), (("", address), self.FREE_FAILURES_ADDRESS))
