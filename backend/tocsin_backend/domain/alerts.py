"""The alert: its identity, its row, and the one table of its states and transitions.

`TRANSITIONS` is used by escalation.apply, asserted row by row by the tests, and drawn in ENGINE.md. An event is first
named as a *fact* (`fact_of`, where the guards are), then (status, fact) gives the next status and the effect, which is
a function of escalation.py. The set of pairs is complete: a missing one is a bug that a test names.

A signal that is already known never comes here: the unique constraint on (device, boot, n) answers for it.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from .identity import uuid5

NAMESPACE: Final = UUID("9a8b3a5e-7d0c-5f7e-9c1e-70c51e0a1e27")  # minted once; gateway and backend share it for ever

# Categories. A call travels from a post; a technical alert says that something would not work.
CALL: Final = "call"
TECHNICAL: Final = "technical"
CATEGORY_OF_KIND: Final = {"call_post": CALL}  # what a press on a device of this kind means; a call if unknown

REAL: Final = "real"
DRILL: Final = "drill"
PROBE: Final = "probe"

# Statuses. NONE is "there is no alert, or none that is open, for this dedup key yet".
NONE: Final = "none"
RAISED: Final = "raised"
ANSWERED: Final = "answered"
CLOSED: Final = "closed"
STATUSES: Final = (NONE, RAISED, ANSWERED, CLOSED)

ACTIVE: Final = "active"
CLEARED: Final = "cleared"

# A second press within this span of the last reopening is the same person at the same moment; after it, a person whom
# nobody came to (ENGINE.md, transitions).
REPRESS_MS: Final = 60_000

REASONS: Final = ("real", "false", "malicious", "test", "drill", "duplicate", "technical")  # a person's, on closing
CLEARED_BY_ITSELF: Final = "cleared"  # the reason of a technical alert that was answered and whose cause went away

FACTS: Final = (
    "press",  # a new signal
    "repress",  # a new signal, the last reopening more than REPRESS_MS ago or never
    "due",  # the alert's instant has come
    "undeliverable",  # every message of the current step failed for good
    "answer",  # a named person takes it, quoting the current epoch
    "answer-cleared",  # … of a technical alert whose cause is gone
    "answer-stale",  # … quoting an older epoch
    "escalate",  # by hand, quoting what is current
    "escalate-stale",  # by hand, quoting what is past
    "close",  # by a person, with a reason, quoting the current epoch
    "close-stale",  # … quoting an older epoch
    "clear",  # technical: the cause went away
    "return",  # technical: the cause came back
    "return-other",  # technical: another cause came
)

TRANSITIONS: Final[dict[tuple[str, str], tuple[str, str]]] = {
    (NONE, "press"): (RAISED, "raise"),
    (NONE, "repress"): (RAISED, "raise"),
    (NONE, "return"): (RAISED, "raise"),
    (NONE, "return-other"): (RAISED, "raise"),
    (NONE, "due"): (NONE, "ignore"),
    (NONE, "undeliverable"): (NONE, "ignore"),
    (NONE, "answer"): (NONE, "ignore"),
    (NONE, "answer-cleared"): (NONE, "ignore"),
    (NONE, "answer-stale"): (NONE, "ignore"),
    (NONE, "escalate"): (NONE, "ignore"),
    (NONE, "escalate-stale"): (NONE, "ignore"),
    (NONE, "close"): (NONE, "ignore"),
    (NONE, "close-stale"): (NONE, "ignore"),
    (NONE, "clear"): (NONE, "ignore"),
    (RAISED, "press"): (RAISED, "count"),
    (RAISED, "repress"): (RAISED, "count"),
    (RAISED, "return"): (RAISED, "count"),
    (RAISED, "return-other"): (RAISED, "count"),
    (RAISED, "due"): (RAISED, "advance"),
    (RAISED, "undeliverable"): (RAISED, "skip"),
    (RAISED, "answer"): (ANSWERED, "take"),
    (RAISED, "answer-cleared"): (CLOSED, "take-and-close"),
    (RAISED, "answer-stale"): (RAISED, "note-stale"),
    (RAISED, "escalate"): (RAISED, "hasten"),
    (RAISED, "escalate-stale"): (RAISED, "ignore"),
    (RAISED, "close"): (CLOSED, "close"),
    (RAISED, "close-stale"): (RAISED, "note-stale-close"),
    (RAISED, "clear"): (RAISED, "note-cleared"),
    (ANSWERED, "press"): (ANSWERED, "count"),
    (ANSWERED, "repress"): (RAISED, "reopen-by-press"),
    (ANSWERED, "return"): (ANSWERED, "count"),
    (ANSWERED, "return-other"): (RAISED, "reopen-by-other"),
    (ANSWERED, "due"): (RAISED, "reopen-by-timeout"),
    (ANSWERED, "undeliverable"): (ANSWERED, "ignore"),
    (ANSWERED, "answer"): (ANSWERED, "note-taken"),
    (ANSWERED, "answer-cleared"): (ANSWERED, "note-taken"),
    (ANSWERED, "answer-stale"): (ANSWERED, "note-stale"),
    (ANSWERED, "escalate"): (RAISED, "hasten"),
    (ANSWERED, "escalate-stale"): (ANSWERED, "ignore"),
    (ANSWERED, "close"): (CLOSED, "close"),
    (ANSWERED, "close-stale"): (ANSWERED, "note-stale-close"),
    (ANSWERED, "clear"): (CLOSED, "close-cleared"),
    (CLOSED, "press"): (RAISED, "raise"),  # a new alert, linked to the old one, which stays as it is
    (CLOSED, "repress"): (RAISED, "raise"),
    (CLOSED, "return"): (RAISED, "raise"),
    (CLOSED, "return-other"): (RAISED, "raise"),
    (CLOSED, "due"): (CLOSED, "ignore"),
    (CLOSED, "undeliverable"): (CLOSED, "ignore"),
    (CLOSED, "answer"): (CLOSED, "note-late"),
    (CLOSED, "answer-cleared"): (CLOSED, "note-late"),
    (CLOSED, "answer-stale"): (CLOSED, "note-late"),
    (CLOSED, "escalate"): (CLOSED, "ignore"),
    (CLOSED, "escalate-stale"): (CLOSED, "ignore"),
    (CLOSED, "close"): (CLOSED, "ignore"),
    (CLOSED, "close-stale"): (CLOSED, "ignore"),
    (CLOSED, "clear"): (CLOSED, "ignore"),
}


@dataclass(frozen=True, slots=True)
class Alert:
    """The row of an alert: the fields of the table `alert`, by the same names. Instants and spans in ms."""

    id: str
    org: str  # whose people are told
    device_org: str  # whose device it is: `org`, except where another organisation was told
    site: str  # "": technical, and about no place
    device: str  # "": technical, and about no device
    category: str
    mode: str
    silent: bool
    scenario: str  # PPMS: attack, shelter, evacuate; else ""
    dedup: str
    status: str
    condition: str
    epoch: int  # 1, and one more at each reopening
    pass_: int  # over the policy, from 1
    step: int  # the last one fired, from 0
    due_ms: int | None
    span_ms: int  # how far ahead due was set
    unanswered: bool
    presses: int
    severity: int  # 0, and one more at each run of presses that the policy names
    recent: str  # instants of the newest presses, joined by commas
    progress: str  # what whoever answered last said: "", en-route, on-site, needs-help
    close_asked_by: int | None  # the first of the two people who close a silent or threat alert
    close_asked_reason: str | None
    window_id: int | None  # the drill it belongs to
    about_id: str | None  # the alert of another organisation that this one speaks of
    raised_ms: int
    reopened_ms: int | None
    answered_ms: int | None
    answered_by: int | None
    closed_ms: int | None
    closed_by: int | None
    reason: str | None
    previous_id: str | None
    subject: str
    lamp: str | None
    policy: str
    policy_version: int
    frozen: str  # policies.dump of the policy when the alert was raised
    timeline_seq: int
    timeline_hash: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A named person took the alert in this epoch."""

    alert_id: str
    epoch: int
    person_id: int
    channel: str
    at_ms: int


def alert_id(org: str, device: str, fact: str) -> str:
    """The id of the alert that this fact raises: a device's signal "b-n", or "lost-<ms>", the backend's own."""
    return uuid5(NAMESPACE.bytes, f"{org}/{device}/{fact}")


def dedup_key(org: str, site: str, device: str, category: str, mode: str, silent: bool = False) -> str:
    """At most one alert of this key is open (invariant 2). A device is in it: presses of two devices never merge.

    Nor do a silent and a loud press of one device: the lamp must stay dark for one and answer the other.
    """
    return f"{org}/{site}/{device}/{category}/{mode}" + ("/silent" if silent else "")


def may_reopen(alert: Alert, now_ms: int) -> bool:
    """The guard of `repress`. A reopening that lies ahead was dated by a clock that went back since: no guard."""
    return alert.reopened_ms is None or not 0 <= now_ms - alert.reopened_ms <= REPRESS_MS
