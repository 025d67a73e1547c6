"""Windows: an announced drill, or maintenance, at one site or at all of an organisation; what makes one sound.

A press made and received inside a drill belongs to the drill; whatever is in doubt is real. Maintenance mutes technical
alerts and nothing else, never a person's press. Instants are epoch ms; an end is the first instant outside.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

DRILL: Final = "drill"
MAINTENANCE: Final = "maintenance"
KINDS: Final = (DRILL, MAINTENANCE)
NOTICE_MS: Final = 120_000  # a drill is announced: it begins this long after it was said, unless it is forced
LONGEST_MS: Final = 86_400_000
AHEAD_MS: Final = 400 * 86_400_000  # a school year and its summer
TITLE_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class Window:
    """A stored window. `site` None: every site. `next_ms`: when it is looked at next; None: it is over."""

    id: int
    org: str
    site: str | None
    kind: str
    title: str
    starts_ms: int
    ends_ms: int
    next_ms: int | None
    created_ms: int
    created_by: int | None
    ended_ms: int | None
    report: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A window that is asked for."""

    site: str | None
    kind: str
    title: str
    starts_ms: int
    ends_ms: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Which field is wrong, and why."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def faults(
    draft: Draft, sites: Iterable[str], others: Iterable[Window], now_ms: int, forced: bool = False
) -> list[Fault]:
    """Everything that is wrong with a draft; `others` are the organisation's windows that are not over."""
    found: list[Fault] = []
    if draft.kind not in KINDS:
        found.append(Fault("kind", f"{draft.kind!r} is no kind; kinds: {', '.join(KINDS)}"))
    if not draft.title.strip() or len(draft.title) > TITLE_MAX or any(ord(each) < 32 for each in draft.title):
        found.append(Fault("title", f"must be a text of 1 to {TITLE_MAX} characters on one line"))
    if draft.site is not None and draft.site not in set(sites):
        found.append(Fault("site", f"{draft.site!r} is not a site of this organisation"))
    span_ms = draft.ends_ms - draft.starts_ms
    if span_ms <= 0:
        found.append(Fault("ends_ms", "must be after starts_ms"))
    elif span_ms > LONGEST_MS:
        found.append(Fault("ends_ms", f"is {span_ms / 3_600_000:.1f} h after starts_ms; at most 24 h"))
    if draft.ends_ms <= now_ms:
        found.append(Fault("ends_ms", "is past"))
    if draft.starts_ms > now_ms + AHEAD_MS:
        found.append(Fault("starts_ms", "is more than 400 days ahead"))
    elif draft.starts_ms < now_ms + NOTICE_MS and draft.kind == DRILL and not forced:
        found.append(
            Fault("starts_ms", 'a drill is announced at least 2 min ahead, unless it is forced (--force, "forced")')
        )
    found += [
        Fault("starts_ms", f"overlaps {each.kind} {each.id} ({each.title})")
        for each in others
        if each.kind == draft.kind and _meet(draft, each)
    ]
    return found


def _meet(draft: Draft, other: Window) -> bool:
    where = draft.site is None or other.site is None or draft.site == other.site
    return where and draft.starts_ms < other.ends_ms and other.starts_ms < draft.ends_ms


def first_look_ms(draft: Draft, now_ms: int) -> int:
    """When the engine looks at a new window: its beginning; its end if it has begun, as nothing is left to begin."""
    return draft.starts_ms if now_ms < draft.starts_ms else draft.ends_ms


def covers(window: Window, site: str, contact_ms: int, now_ms: int) -> bool:
    """Whether a press at this site belongs to this drill: it was made, and it came, inside. In doubt it is real."""
    inside = window.starts_ms <= contact_ms and window.starts_ms <= now_ms < window.ends_ms
    return window.kind == DRILL and window.ended_ms is None and window.site in (None, site) and inside


def state_of(window: Window, now_ms: int) -> str:
    """announced, running or over."""
    if window.ended_ms is not None or window.ends_ms <= now_ms:
        return "over"
    return "running" if window.starts_ms <= now_ms else "announced"
