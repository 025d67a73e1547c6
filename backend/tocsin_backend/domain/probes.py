"""Probes: a post's own test presses. When the next must have come, and when one is overdue.

A probe is *good* when it went the whole way: stored, handed to its sink, and the post confirmed `closed`, the order
that came down to it as an answer would. A post that never sent one is not expected to: its firmware may make none.
"""

from dataclasses import dataclass
from typing import Final

DAY_MS: Final = 86_400_000
EVERY_MS: Final = DAY_MS  # by default
EVERY_MIN_MS: Final = 60_000
EVERY_MAX_MS: Final = 3 * DAY_MS  # EN 81-28: the longest between two automatic tests of an alarm
GRACE_MS: Final = (
    2 * 3_600_000
)  # a post that starts anew makes its first within 65 min, and repeats it till it is heard
RESUME_MS: Final = 3_600_000  # after our own pause nothing is overdue before this: what waits in spools comes first
WINDOW_MS: Final = 31 * DAY_MS  # what the figures of a post look back on
SUBJECT: Final = "probe-overdue"


@dataclass(frozen=True, slots=True)
class Probed:
    """What is known of a post's probes. `last_ms`: the last good one; `by_ms`: the next must have come by then."""

    every_ms: int
    last_ms: int | None
    by_ms: int | None


def began(known: Probed, now_ms: int) -> Probed | None:
    """A probe came: the first one ever begins the watch. None if nothing changes."""
    if known.by_ms is not None:
        return None
    return Probed(known.every_ms, known.last_ms, now_ms + known.every_ms + GRACE_MS)


def good(known: Probed, contact_ms: int, now_ms: int) -> Probed:
    """A probe of that contact went the whole way; an older one than the last changes no instant.

    What lies ahead was dated by a clock that went back since, and counts for nothing.
    """
    before_ms = 0 if known.last_ms is None or known.last_ms > now_ms else known.last_ms
    last_ms = max(min(contact_ms, now_ms), before_ms)
    by_ms = last_ms + known.every_ms + GRACE_MS
    return Probed(known.every_ms, last_ms, min(max(by_ms, known.by_ms or 0), now_ms + known.every_ms + GRACE_MS))


def looked_again(known: Probed, is_lost: bool, now_ms: int) -> Probed:
    """Its instant passed: told at most once a period. A post that is lost is told of as lost, and watched on."""
    return Probed(known.every_ms, known.last_ms, now_ms + (GRACE_MS if is_lost else known.every_ms))


def is_overdue(known: Probed, now_ms: int) -> bool:
    """Whether the last good one is older than a period and its grace. False before the first probe ever."""
    if known.by_ms is None:
        return False
    if known.last_ms is None:
        return known.by_ms <= now_ms
    return now_ms >= known.last_ms + known.every_ms + GRACE_MS


def fault_of(every_ms: int) -> str:
    """What is wrong with a period; "" when nothing is."""
    if EVERY_MIN_MS <= every_ms <= EVERY_MAX_MS:
        return ""
    return f"must be between {EVERY_MIN_MS // 1000} s and {EVERY_MAX_MS // 3_600_000} h (EN 81-28)"
