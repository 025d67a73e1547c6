"""The alert: its identity, its row, and the one table of its states and transitions.

`TRANSITIONS` is used by escalation.apply, asserted row by row by the tests, and drawn in backend/ENGINE.md. An event is
first named as a *fact* (`fact_of`, where the guards are), then (status, fact) gives the next status and the effect,
which is a function of escalation.py or acts.py. The set of pairs is complete: a missing one is a bug that a test names.

A signal that is already known never comes here: the unique constraint on (device, boot, n) answers for it.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from .identity import uuid5

NAMESPACE: Final = UUID("9a8b3a5e-7d0c-5f7e-9c1e-70c51e0a1e27")  # minted once; gateway and backend share it for ever

# Categories. A call travels from a post, a personal one from a button that is worn, a threat concerns a whole site; a
# technical alert says that something would not work.
CALL: Final = "call"
PERSONAL: Final = "personal"
THREAT: Final = "threat"
TECHNICAL: Final = "technical"
# What a press on a device of this kind means; a call if unknown.
CATEGORY_OF_KIND: Final = {"call_post": CALL, "personal_button": PERSONAL, "ppms_trigger": THREAT}

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
PROBED: Final = "probe"  # the reason of a probe that reached its sink
PROBE_FAILED: Final = "probe-failed"  # … and of one that did not

EN_ROUTE: Final = "en-route"
ON_SITE: Final = "on-site"
NEEDS_HELP: Final = "needs-help"
PROGRESS: Final = (EN_ROUTE, ON_SITE, NEEDS_HELP)

# Each fact, and for each of STATUSES in their order: (the next status, the effect). A pair that cannot come is ignored.
_NOTHING: Final = ((NONE, "ignore"), (RAISED, "ignore"), (ANSWERED, "ignore"), (CLOSED, "ignore"))
_A_NEW_ONE: Final = (RAISED, "raise")  # after CLOSED: a new alert, linked to the old one, which stays as it is
_LATE: Final = (CLOSED, "note-late")
_ROWS: Final[dict[str, tuple[tuple[str, str], tuple[str, str], tuple[str, str], tuple[str, str]]]] = {
    # a new signal
    "press": (_A_NEW_ONE, (RAISED, "count"), (ANSWERED, "count"), _A_NEW_ONE),
    # a new signal, the last reopening more than REPRESS_MS ago or never
    "repress": (_A_NEW_ONE, (RAISED, "count"), (RAISED, "reopen-by-press"), _A_NEW_ONE),
    # the alert's instant has come
    "due": (_NOTHING[0], (RAISED, "advance"), (RAISED, "reopen-by-timeout"), _NOTHING[3]),
    # … and fewer people have answered than the step asks for
    "due-missing": (_NOTHING[0], (RAISED, "advance"), (ANSWERED, "remind"), _NOTHING[3]),
    # every message of the current step failed for good
    "undeliverable": (_NOTHING[0], (RAISED, "skip"), _NOTHING[2], _NOTHING[3]),
    # a named person takes it, quoting the current epoch
    "answer": (_NOTHING[0], (ANSWERED, "take"), (ANSWERED, "note-taken"), _LATE),
    # … one more of the several who must
    "answer-more": (_NOTHING[0], (ANSWERED, "take"), (ANSWERED, "join"), _LATE),
    # … of a technical alert whose cause is gone
    "answer-cleared": (_NOTHING[0], (CLOSED, "take-and-close"), (ANSWERED, "note-taken"), _LATE),
    # … quoting an older epoch
    "answer-stale": (_NOTHING[0], (RAISED, "note-stale"), (ANSWERED, "note-stale"), _LATE),
    # en route, on site: said by one who answered in this epoch
    "progress": (_NOTHING[0], (RAISED, "note-progress"), (ANSWERED, "progress"), _LATE),
    # … or by anybody else
    "progress-other": (_NOTHING[0], (RAISED, "note-progress"), (ANSWERED, "note-progress"), _LATE),
    # … or of an older epoch
    "progress-stale": (_NOTHING[0], (RAISED, "note-stale"), (ANSWERED, "note-stale"), _LATE),
    # whoever is there needs help
    "help": (_NOTHING[0], (RAISED, "note-progress"), (RAISED, "reopen-for-help"), _LATE),
    # by hand, quoting what is current, or what is past
    "escalate": (_NOTHING[0], (RAISED, "hasten"), (RAISED, "hasten"), _NOTHING[3]),
    "escalate-stale": _NOTHING,
    # by a person, with a reason, quoting the current epoch
    "close": (_NOTHING[0], (CLOSED, "close"), (CLOSED, "close"), _NOTHING[3]),
    # … as the first of the two whom it takes
    "close-first": (_NOTHING[0], (RAISED, "ask-close"), (ANSWERED, "ask-close"), _NOTHING[3]),
    # … as the first once more
    "close-same": (_NOTHING[0], (RAISED, "ask-again"), (ANSWERED, "ask-again"), _NOTHING[3]),
    # … quoting an older epoch
    "close-stale": (_NOTHING[0], (RAISED, "note-stale-close"), (ANSWERED, "note-stale-close"), _NOTHING[3]),
    # a person switches the alarm outputs off
    "all-clear": (_NOTHING[0], (RAISED, "all-clear"), (ANSWERED, "all-clear"), (CLOSED, "all-clear")),
    # technical: the cause went away
    "clear": (_NOTHING[0], (RAISED, "note-cleared"), (CLOSED, "close-cleared"), _NOTHING[3]),
    # … and the policy asks for no answer
    "clear-closes": (_NOTHING[0], (CLOSED, "close-cleared"), (CLOSED, "close-cleared"), _NOTHING[3]),
    # technical: the cause came back
    "return": (_A_NEW_ONE, (RAISED, "count"), (ANSWERED, "count"), _A_NEW_ONE),
    # technical: another cause came, the last reopening more than REPRESS_MS ago or never
    "return-other": (_A_NEW_ONE, (RAISED, "count"), (RAISED, "reopen-by-other"), _A_NEW_ONE),
    # … or less
    "return-soon": (_A_NEW_ONE, (RAISED, "count"), (ANSWERED, "count-other"), _A_NEW_ONE),
    # a probe reached its sink, or did not
    "probed": (_NOTHING[0], (CLOSED, "close-probe"), (CLOSED, "close-probe"), _NOTHING[3]),
    "probe-failed": (_NOTHING[0], (CLOSED, "fail-probe"), (CLOSED, "fail-probe"), _NOTHING[3]),
}
FACTS: Final = tuple(_ROWS)
TRANSITIONS: Final[dict[tuple[str, str], tuple[str, str]]] = {
    (status, fact): row[at] for fact, row in _ROWS.items() for at, status in enumerate(STATUSES)
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
    """A named person took the alert in this epoch, and what she last said of it."""

    alert_id: str
    epoch: int
    person_id: int
    channel: str
    at_ms: int
    progress: str = ""
    progress_ms: int | None = None


def alert_id(org: str, device: str, fact: str) -> str:
    """The id of the alert that this fact raises: a device's signal "b-n", or "lost-<ms>", the backend's own."""
    return uuid5(NAMESPACE.bytes, f"{org}/{device}/{fact}")


def dedup_key(
    org: str,
    site: str,
    device: str,
    category: str,
    mode: str,
    silent: bool = False,
    subject: str = "",
    device_org: str = "",
    muted: bool = False,
) -> str:
    """At most one alert of this key is open (invariant 2). A device is in it: presses of two devices never merge.

    Nor do a silent and a loud press of one device: the lamp must stay dark for one and answer the other. What concerns
    no device is told apart by its subject, and a device of another organisation by that one's name. What maintenance
    muted stands beside what people know of, a subject each: it is still to be told at the end.
    """
    whose = f"{org}/{device_org}:" if device_org not in ("", org) else f"{org}/"
    key = f"{whose}{site}/{device}/{category}/{mode}" + ("/silent" if silent else "")
    key = key if device else f"{key}/{subject}"
    return f"{key}/muted/{subject}" if muted else key


def real_id(org: str, device: str, drill_id: str) -> str:
    """The id of the alert that a drill's alert becomes when somebody says that it is real."""
    return alert_id(org, device, f"real-{drill_id}")


def may_reopen(alert: Alert, now_ms: int) -> bool:
    """The guard of `repress`. A reopening that lies ahead was dated by a clock that went back since: no guard."""
    return alert.reopened_ms is None or not 0 <= now_ms - alert.reopened_ms <= REPRESS_MS


def takes_two_to_close(alert: Alert) -> bool:
    """Whether one person alone may not close it: under threat, she may be made to."""
    return alert.mode != PROBE and (alert.silent or alert.category == THREAT)
