"""Is the device there? Presence is freshness, on the backend's clock: never seen, alive, late, lost.

Order is by session (boot, link), never by arrival: a broker may deliver an old `ready` after a `lost`, and the death of
another session than the current one says nothing. Retained words and open sockets prove nothing; only a frame that
was signed in the current session and has just come does.
"""

from dataclasses import dataclass, replace
from typing import Final

NEVER: Final = "never"
ALIVE: Final = "alive"
LATE: Final = "late"
LOST: Final = "lost"
STATES: Final = (NEVER, ALIVE, LATE, LOST)


@dataclass(frozen=True, slots=True)
class Presence:
    """A device's presence. `session`: (boot, link), the newest heard of. `expected_by_ms` None: no deadline runs."""

    state: str = NEVER
    session: tuple[int, int] = (0, 0)
    beat_i: int = 0  # the newest beat of that session: an older one, or the same again, proves nothing
    ended: bool = False  # its will, or its planned end, was received
    last_seen_ms: int | None = None
    expected_by_ms: int | None = None


def heard(
    presence: Presence, now_ms: int, reporting_ms: int, session: tuple[int, int] | None = None, beat_i: int = 0
) -> Presence:
    """A signed frame, never seen before, came now: a new signal (no session), a birth (beat 0), or a beat.

    Ignored: a birth or beat of an older session, of the current one after its end, or one already counted. It was on
    its way for long, or somebody replays it.
    """
    if session is None:
        return replace(presence, state=ALIVE, last_seen_ms=now_ms, expected_by_ms=now_ms + late_ms(reporting_ms))
    if session < presence.session:
        return presence
    if session == presence.session and (presence.ended or beat_i <= presence.beat_i):
        return presence
    return Presence(ALIVE, session, beat_i, False, now_ms, now_ms + late_ms(reporting_ms))


def ended(presence: Presence, reporting_ms: int, session: tuple[int, int], planned: bool) -> Presence:
    """The will of a session (the broker lost it), or its planned end (a restart the device announced).

    Neither makes it lost: the link may be back before anybody would care. The deadline that runs decides; an unplanned
    end is shown as late at once.
    """
    if session < presence.session or presence.state == NEVER:
        return presence
    beat_i = presence.beat_i if session == presence.session else 0
    gone = replace(presence, session=session, beat_i=beat_i, ended=True)
    return gone if planned or presence.state != ALIVE else _late(gone, reporting_ms)


def late_ms(reporting_ms: int) -> int:
    """After half the reporting time without a beat the device is late; after all of it, lost (P8: 20 s or 90 s)."""
    return reporting_ms // 2


def _late(presence: Presence, reporting_ms: int) -> Presence:
    assert presence.expected_by_ms is not None
    lost_ms = presence.expected_by_ms + reporting_ms - late_ms(reporting_ms)
    return replace(presence, state=LATE, expected_by_ms=lost_ms)


def due(presence: Presence, now_ms: int, reporting_ms: int) -> Presence:
    """The deadline has come: alive becomes late, late becomes lost, at last seen + reporting time."""
    while presence.expected_by_ms is not None and presence.expected_by_ms <= now_ms:
        if presence.state == ALIVE:
            presence = _late(presence, reporting_ms)
        else:
            presence = replace(presence, state=LOST, expected_by_ms=None)
    return presence


def resumed(presence: Presence, stopped_ms: int, now_ms: int, reporting_ms: int) -> Presence:
    """After our own downtime: deadlines move by it and one reporting time, so that our restart makes nobody late.

    At most two reporting times from now: restarting again and again hides no loss.
    """
    if presence.expected_by_ms is None:
        return presence
    moved = presence.expected_by_ms + (now_ms - stopped_ms) + reporting_ms
    return replace(presence, expected_by_ms=min(moved, now_ms + 2 * reporting_ms))
