"""One event being applied to an alert: the rows as they become. What happens is in escalation.py and its neighbours."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from . import alerts, dispatches, timeline
from .alerts import Alert, Answer
from .dispatches import Dispatch
from .people import Directory
from .policies import Policy, load

# An answered alert whose policy has no answer timeout still has a next instant (invariant 1): a year ahead.
FOREVER_MS: Final = 365 * 86_400_000


@dataclass(frozen=True, slots=True)
class Told:
    """Somebody who may have been told of the alert by a notice; `person_id` None: a feed, named by its `target`."""

    person_id: int | None
    method_id: int
    channel: str
    target: str


@dataclass(frozen=True, slots=True)
class Rows:
    """What is known when an event comes.

    `alert`: the alert; for a press, the newest of its dedup key. `dispatches`: those that are pending or leased, all of
    the current (epoch, pass, step), and every order to an alarm output. `told`: everyone who may have been told, by any
    notice of this alert, for an answer, a close and a cause that went away. `answers`: all of this alert.
    """

    alert: Alert | None = None
    dispatches: tuple[Dispatch, ...] = ()
    told: frozenset[Told] = frozenset()
    answers: tuple[Answer, ...] = ()
    people: Directory = field(default_factory=Directory)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Owed a technical alert of the same device: what went wrong. `above`: the next organisation up is told too."""

    subject: str
    above: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """What an event changes. `alert` None: nothing of the alert's row; then nothing else either.

    `outcome` is said to whoever caused the event: raised, counted, reopened, won, taken, stale, late, closed,
    second-needed, escalated, recorded, cleared, all-clear, held, ignored. `answers`: new ones, and those that changed.
    """

    alert: Alert | None = None
    dispatches: tuple[Dispatch, ...] = ()
    answers: tuple[Answer, ...] = ()
    entries: tuple[timeline.Entry, ...] = ()
    trouble: tuple[Trouble, ...] = ()
    outcome: str = "ignored"


def answers_of(alert: Alert, answers: Iterable[Answer]) -> list[Answer]:
    """The answers of the current epoch, the first one first."""
    return sorted((each for each in answers if each.epoch == alert.epoch), key=lambda each: each.at_ms)


def is_missing(alert: Alert, answers: Iterable[Answer]) -> bool:
    """Whether the alert was answered by fewer different people than its step asks for."""
    asked = load(alert.frozen).steps[alert.step].answers
    return alert.status == alerts.ANSWERED and len({each.person_id for each in answers_of(alert, answers)}) < asked


def answer_deadline_ms(alert: Alert, answers: Iterable[Answer]) -> int | None:
    """When the answers of this epoch have led nowhere: the timeout after the last one, or after what was last said."""
    said = [max(each.at_ms, each.progress_ms or 0) for each in answers_of(alert, answers)]
    return max(said) + (load(alert.frozen).answer_timeout_ms or FOREVER_MS) if said else None


class Turn:
    """The rows of one alert while one event is applied to them."""

    def __init__(self, rows: Rows, now_ms: int) -> None:
        self.rows = rows
        self.now_ms = now_ms
        self.alert: Alert | None = rows.alert
        self.outcome = "ignored"
        self._dispatches: dict[str, Dispatch] = {}
        self._answers: dict[tuple[int, int], Answer] = {}
        self._entries: list[timeline.Entry] = []
        self._trouble: list[Trouble] = []

    def changes(self) -> Changes:
        if self.alert is self.rows.alert and not self._dispatches:
            return Changes(outcome=self.outcome)
        return Changes(
            self.alert,
            tuple(self._dispatches.values()),
            tuple(self._answers.values()),
            tuple(self._entries),
            tuple(self._trouble),
            self.outcome,
        )

    @property
    def now(self) -> Alert:
        assert self.alert is not None
        return self.alert

    @property
    def policy(self) -> Policy:
        return load(self.now.frozen)

    @property
    def place(self) -> tuple[int, int, int]:
        return self.now.epoch, self.now.pass_, self.now.step

    def change(self, **fields: object) -> None:
        self.alert = replace(self.now, **fields)  # type: ignore[arg-type]

    def note(self, what: str, **data: object) -> None:
        """One more line of the timeline."""
        alert = self.now
        line = timeline.entry(alert.id, alert.timeline_seq + 1, self.now_ms, what, data, alert.timeline_hash)
        self._entries.append(line)
        self.change(timeline_seq=line.seq, timeline_hash=line.hash)

    def note_place(self, what: str, **data: object) -> None:
        epoch, pass_, step = self.place
        self.note(what, **{"epoch": epoch, "pass": pass_, "step": step, **data})

    def arm(self, span_ms: int) -> None:
        self.change(due_ms=self.now_ms + span_ms, span_ms=span_ms)

    def owe(self, subject: str, above: bool = False) -> None:
        """A technical alert says it; a technical alert owes none.

        A step of rescuers and feeds is empty in a drill because it is one: its technical alert, which is real, would
        tell them after all (invariant 10).
        """
        trouble = Trouble(subject, above)
        if subject == "empty-step" and self.now.mode == alerts.DRILL:
            return
        if self.now.category != alerts.TECHNICAL and trouble not in self._trouble:
            self._trouble.append(trouble)

    # -- answers

    def answers(self) -> list[Answer]:
        """The answers of the current epoch, changed ones included."""
        known = {(each.epoch, each.person_id): each for each in self.rows.answers} | self._answers
        return answers_of(self.now, known.values())

    def answerers(self) -> set[int]:
        return {each.person_id for each in self.answers()}

    def put_answer(self, answer: Answer) -> None:
        self._answers[answer.epoch, answer.person_id] = answer

    # -- dispatches

    def current(self) -> list[Dispatch]:
        """The dispatches as they are by now, changed ones included."""
        kept = [each for each in self.rows.dispatches if each.id not in self._dispatches]
        return [*kept, *self._dispatches.values()]

    def put(self, dispatch: Dispatch) -> None:
        self._dispatches[dispatch.id] = dispatch

    def cancel(self, why: str, *kinds: str, keep: Iterable[int] = ()) -> None:
        """No dispatch of these kinds leaves any more, except to the people of `keep`."""
        spared = set(keep)
        for each in self.current():
            if each.status in dispatches.OPEN and each.kind in kinds and each.person_id not in spared:
                self.put(dispatches.cancel(each, why))
