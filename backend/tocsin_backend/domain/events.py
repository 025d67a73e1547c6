"""What can happen to an alert: the events that escalation.apply takes."""

from dataclasses import dataclass

from .dispatches import Outcome


@dataclass(frozen=True, slots=True)
class Press:
    """A new signal of a person; or, for a technical alert, a fact that the backend or the device noticed."""

    alert_id: str  # of the alert it raises if none is open
    org: str  # whose people are told
    site: str
    device: str
    category: str
    mode: str
    silent: bool
    subject: str  # technical: what; else ""
    signal: str  # "b-n", or ""
    policy_version: int
    frozen: str  # policies.dump
    detail: tuple[tuple[str, object], ...] = ()  # more for the timeline
    device_org: str = ""  # whose device it is; "": `org`
    scenario: str = ""  # PPMS: attack, shelter, evacuate
    window_id: int | None = None  # the drill it belongs to
    about_id: str | None = None  # the alert of another organisation that this one speaks of
    contact_ms: int = 0  # when the button was pressed; 0: now
    muted: bool = False  # technical, during maintenance: written down, and told to nobody before its end


@dataclass(frozen=True, slots=True)
class Due:
    """The alert's due instant has come."""


@dataclass(frozen=True, slots=True)
class Take:
    """A person answers. `epoch` is the one the person was shown; None: whichever is current."""

    person_id: int
    channel: str
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """A person says how it goes: one of alerts.PROGRESS. `epoch` is the one the person was shown; None: the current."""

    person_id: int
    progress: str
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Escalate:
    """A person asks for the next step now, quoting what the screen showed."""

    person_id: int
    epoch: int
    pass_: int
    step: int


@dataclass(frozen=True, slots=True)
class Close:
    """A person closes, with one of alerts.REASONS; nobody (None) at the end of a drill or of a maintenance.

    `epoch` is the one the person was shown; None: the current one.

    A silent alert and a threat are closed by two people: the first close asks for it, another person's does it.
    """

    person_id: int | None
    reason: str
    note: str = ""
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class AllClear:
    """A person switches off the alarm outputs that this alert switched on: of this group, or of all for "".

    `held`: (device, output) that other open alerts have on as well: those stay on until their own all-clear.
    """

    person_id: int
    group: str = ""
    held: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Sent:
    """A sender knows what came of a try."""

    dispatch_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of a message after it was handed over, said later: `what` is delivered, seen or failed."""

    dispatch_id: str
    what: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class LampConfirmed:
    """The post says which lamp it shows: `lamp` as the ack that caused it (stored, fallback, answered, closed)."""

    lamp: str
    epoch: int | None


@dataclass(frozen=True, slots=True)
class Cleared:
    """Technical: the cause went away."""

    subject: str


@dataclass(frozen=True, slots=True)
class Remark:
    """A fact for the timeline that changes no state: a cancel at the post, a fallback of the gateway."""

    what: str
    data: tuple[tuple[str, object], ...] = ()


Event = Press | Due | Take | Progress | Escalate | Close | AllClear | Sent | Reported | LampConfirmed | Cleared | Remark
