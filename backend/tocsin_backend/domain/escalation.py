"""What happens to an alert: `apply(rows, event, now_ms) -> changes`. The law is ENGINE.md.

An event is one of the classes below. `fact_of` names it, alerts.TRANSITIONS gives the next status and the effect, and
the effect (a method of _Turn) says which rows change, what the timeline reads, and which technical alert is owed.
Nothing here knows a clock, a database or a channel.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from . import alerts, dispatches, timeline
from .alerts import Alert, Answer
from .dispatches import Dispatch, Outcome
from .people import Directory, Method, Person
from .policies import Policy, load


@dataclass(frozen=True, slots=True)
class Rows:
    """What is known when an event comes.

    `alert`: the alert; for a press, the newest of its dedup key. `dispatches`: those that are pending or leased, and
    all of the current (epoch, pass, step). `told`: (person id, method id, channel) of everyone who may have been told,
    by any notice of this alert. `answers`: all of this alert.
    """

    alert: Alert | None = None
    dispatches: tuple[Dispatch, ...] = ()
    told: frozenset[tuple[int, int, str]] = frozenset()
    answers: tuple[Answer, ...] = ()
    people: Directory = field(default_factory=Directory)


# -- events


@dataclass(frozen=True, slots=True)
class Press:
    """A new signal of a person; or, for a technical alert, a fact that the backend or the device noticed."""

    alert_id: str  # of the alert it raises if none is open
    org: str
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
class Escalate:
    """A person asks for the next step now, quoting what the screen showed."""

    person_id: int
    epoch: int
    pass_: int
    step: int


@dataclass(frozen=True, slots=True)
class Close:
    """A person closes, with one of alerts.REASONS. `epoch` is the one the person was shown; None: the current one."""

    person_id: int
    reason: str
    note: str = ""
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A sender knows what came of a try."""

    dispatch_id: str
    outcome: Outcome


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


Event = Press | Due | Take | Escalate | Close | Sent | LampConfirmed | Cleared | Remark


@dataclass(frozen=True, slots=True)
class Trouble:
    """Owed a technical alert of the same device: what went wrong with this one."""

    subject: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What an event changes. `alert` None: nothing of the alert's row; then nothing else either.

    `outcome` is said to whoever caused the event: raised, counted, reopened, won, taken, stale, late, closed,
    escalated, recorded, ignored.
    """

    alert: Alert | None = None
    dispatches: tuple[Dispatch, ...] = ()
    answers: tuple[Answer, ...] = ()
    entries: tuple[timeline.Entry, ...] = ()
    trouble: tuple[Trouble, ...] = ()
    outcome: str = "ignored"


def fact_of(alert: Alert | None, event: Event, now_ms: int) -> str:
    """The fact that an event is, seen from this alert: where the guards of the transition table are."""
    match event:
        case Press():
            if event.category == alerts.TECHNICAL:
                other = alert is not None and event.subject != alert.subject
                return "return-other" if other else "return"
            return "press" if alert is None or not alerts.may_reopen(alert, now_ms) else "repress"
        case Due():
            return "due"
        case Take():
            if _is_past(event.epoch, alert):
                return "answer-stale"
            return "answer-cleared" if alert is not None and alert.condition == alerts.CLEARED else "answer"
        case Escalate():
            quoted = (event.epoch, event.pass_, event.step)
            current = alert is not None and quoted == (alert.epoch, alert.pass_, alert.step)
            return "escalate" if current else "escalate-stale"
        case Close():
            return "close-stale" if _is_past(event.epoch, alert) else "close"
        case Cleared():
            return "clear"
        case _:
            raise ValueError(f"{event!r} concerns no status")


def _is_past(epoch: int | None, alert: Alert | None) -> bool:
    """Whether somebody was shown an epoch that has ended since: the alert was raised again."""
    return alert is not None and epoch is not None and epoch < alert.epoch


def apply(rows: Rows, event: Event, now_ms: int) -> Changes:
    """Everything that changes because of `event` at `now_ms`; an event that is out of place changes nothing."""
    turn = _Turn(rows, now_ms)
    match event:
        case Sent():
            turn.settle(event)
        case Due() if rows.alert is None or rows.alert.due_ms is None or now_ms < rows.alert.due_ms:
            pass  # another engine was quicker, or somebody answered meanwhile
        case Cleared() if rows.alert is not None and rows.alert.subject != event.subject:
            pass  # something else is wrong as well, and newer
        case LampConfirmed():
            turn.confirm(event)
        case Remark():
            if turn.alert is not None:
                turn.note(event.what, **dict(event.data))
                turn.outcome = "recorded"
        case _:
            turn.run(fact_of(rows.alert, event, now_ms), event)
    return turn.changes()


class _Turn:
    """One event being applied: the rows as they become."""

    def __init__(self, rows: Rows, now_ms: int) -> None:
        self.rows = rows
        self.now_ms = now_ms
        self.alert: Alert | None = rows.alert
        self.changed: dict[str, Dispatch] = {}
        self.answers: list[Answer] = []
        self.entries: list[timeline.Entry] = []
        self.trouble: list[Trouble] = []
        self.outcome = "ignored"

    def run(self, fact: str, event: Event) -> None:
        before = alerts.NONE if self.alert is None else self.alert.status
        after, effect = alerts.TRANSITIONS[before, fact]
        EFFECTS[effect](self, event)
        now = alerts.NONE if self.alert is None else self.alert.status
        assert now == after, f"{before} + {fact} gave {now}, the table says {after}"

    def changes(self) -> Changes:
        if self.alert is self.rows.alert and not self.changed:
            return Changes(outcome=self.outcome)
        return Changes(
            self.alert,
            tuple(self.changed.values()),
            tuple(self.answers),
            tuple(self.entries),
            tuple(self.trouble),
            self.outcome,
        )

    # -- what every effect uses

    @property
    def now(self) -> Alert:
        assert self.alert is not None
        return self.alert

    @property
    def policy(self) -> Policy:
        return load(self.now.frozen)

    def note(self, what: str, **data: object) -> None:
        """One more line of the timeline."""
        alert = self.now
        line = timeline.entry(alert.id, alert.timeline_seq + 1, self.now_ms, what, data, alert.timeline_hash)
        self.entries.append(line)
        self.alert = replace(alert, timeline_seq=line.seq, timeline_hash=line.hash)

    def arm(self, span_ms: int) -> None:
        self.alert = replace(self.now, due_ms=self.now_ms + span_ms, span_ms=span_ms)

    def current(self) -> Iterable[Dispatch]:
        """The dispatches as they are by now, changed ones included."""
        for each in self.rows.dispatches:
            if each.id not in self.changed:
                yield each
        yield from self.changed.values()

    def add(self, dispatch: Dispatch) -> None:
        self.changed[dispatch.id] = dispatch

    def cancel(self, why: str, *kinds: str) -> None:
        for each in list(self.current()):
            if each.status in dispatches.OPEN and each.kind in kinds:
                self.add(dispatches.cancel(each, why))

    # -- telling people

    def fire(self, also: Iterable[Person] = ()) -> bool:
        """Tell the targets of the current step, and `also`; False when there was nobody to tell."""
        alert, policy = self.now, self.policy
        place = (alert.epoch, alert.pass_, alert.step)
        class_ = self.notice_class()
        made: dict[str, Dispatch] = {}
        told: list[list[object]] = []
        for target in policy.steps[alert.step].targets:
            if target.channel:
                one = dispatches.new(
                    alert.id, place, dispatches.NOTIFY, target.channel, target.channel, class_, self.now_ms
                )
                made[one.id] = one
                told.append([target.channel, target.channel])
                continue
            people = self.rows.people.login(target.person) if target.person else self.rows.people.role(target.role)
            for person in people:
                for method in self.allowed(person, target.channels):
                    one = self.notice(person, method, dispatches.NOTIFY, class_)
                    if one.id not in made:
                        made[one.id] = one
                        told.append([f"person:{person.id}", method.channel])
        for person in also:
            for method in self.allowed(person, ()):
                one = self.notice(person, method, dispatches.NOTIFY, class_)
                if one.id not in made:
                    made[one.id] = one
                    told.append([f"person:{person.id}", method.channel])
        if not made:
            self.note("empty-step", **{"epoch": alert.epoch, "pass": alert.pass_, "step": alert.step})
            return False
        self.supersede(made.values())
        for one in made.values():
            self.add(one)
        self.note("step", **{"epoch": alert.epoch, "pass": alert.pass_, "step": alert.step, "told": told})
        return True

    def notice_class(self) -> int:
        alert = self.now
        if alert.category == alerts.TECHNICAL:
            return dispatches.TECHNICAL_CLASS
        first = alert.pass_ == 1 and alert.step == 0
        return dispatches.FIRST_CLASS if first else dispatches.LATER_CLASS

    def notice(self, person: Person, method: Method, kind: str, class_: int) -> Dispatch:
        alert = self.now
        place = (alert.epoch, alert.pass_, alert.step)
        target = f"person:{person.id}"
        return dispatches.new(alert.id, place, kind, target, method.channel, class_, self.now_ms, person.id, method.id)

    def allowed(self, person: Person, channels: tuple[str, ...]) -> list[Method]:
        """This person's methods for this alert: of these channels, and never an external one for a drill or a probe."""
        inside_only = self.now.mode != alerts.REAL
        return [
            method
            for method in person.methods
            if (not channels or method.channel in channels) and not (inside_only and method.external)
        ]

    def supersede(self, new: Iterable[Dispatch]) -> None:
        """At most one unsent notice per (alert, epoch, target, method): the newer one replaces the waiting one."""
        coming = {(each.target, each.method_id) for each in new}
        for each in list(self.current()):
            waits = each.status == dispatches.PENDING and each.kind == dispatches.NOTIFY
            if waits and (each.target, each.method_id) in coming:
                self.add(dispatches.cancel(each, "superseded"))

    def climb(self) -> None:
        """Go to the next step that has somebody to tell, and tell them; past the last pass, the last step for ever."""
        while True:
            alert, policy = self.now, self.policy
            last = len(policy.steps) - 1
            if alert.step < last:
                self.alert = replace(alert, step=alert.step + 1)
            elif alert.pass_ < policy.passes:
                self.alert = replace(alert, pass_=alert.pass_ + 1, step=0)
            else:
                self.alert = replace(alert, pass_=alert.pass_ + 1)
                if not alert.unanswered:
                    self.note("unanswered", epoch=alert.epoch)
                    self.alert = replace(self.now, unanswered=True)
                    self.owe("unanswered")
            fired = self.fire()
            self.arm(policy.steps[self.now.step].delay_ms)
            if fired or self.in_tail():
                return
            self.owe("empty-step")

    def in_tail(self) -> bool:
        """Whether the policy is exhausted and its last step repeats, paced by its own delay."""
        return self.now.pass_ > self.policy.passes

    def start(self, also: Iterable[Person] = ()) -> None:
        """Fire step 0 of this epoch; an empty step goes on to the next one now."""
        self.alert = replace(self.now, pass_=1, step=0)
        fired = self.fire(also)
        self.arm(self.policy.steps[0].delay_ms)
        if not fired:
            self.owe("empty-step")
            self.climb()

    def owe(self, subject: str) -> None:
        """A technical alert says it once an epoch; a technical alert owes none."""
        trouble = Trouble(subject)
        if self.now.category != alerts.TECHNICAL and trouble not in self.trouble:
            self.trouble.append(trouble)

    def news(self, kind: str, except_id: int | None) -> None:
        """Tell those who were told what became of it, once each, by the way they were told."""
        told = set(self.rows.told)
        told |= {
            (each.person_id, each.method_id, each.channel)
            for each in self.rows.dispatches
            if each.person_id is not None and each.kind == dispatches.NOTIFY and each.status in dispatches.TOLD
        }
        for person_id, method_id, channel in sorted(told):
            person = self.rows.people.by_id.get(person_id)
            if person is None or person_id == except_id:
                continue
            for method in self.allowed(person, (channel,)):
                if method.id == method_id:
                    self.add(self.notice(person, method, kind, dispatches.NEWS_CLASS))

    def lamp(self, lamp: str) -> None:
        """Order the post's lamp; nothing for a silent alert, nor for one that no press raised (P6, invariant 12)."""
        self.cancel("superseded", dispatches.LAMP)
        alert = self.now
        if alert.silent or alert.category == alerts.TECHNICAL:
            return
        place = (alert.epoch, alert.pass_, alert.step)
        self.add(
            dispatches.new(
                alert.id, place, dispatches.LAMP, f"lamp:{lamp}", "lamp", dispatches.FIRST_CLASS, self.now_ms
            )
        )

    # -- effects, by the names in alerts.TRANSITIONS

    def raise_(self, event: Press) -> None:
        old = self.alert
        self.alert = Alert(
            id=event.alert_id,
            org=event.org,
            device_org=event.org,
            site=event.site,
            device=event.device,
            category=event.category,
            mode=event.mode,
            silent=event.silent,
            scenario="",
            dedup=alerts.dedup_key(event.org, event.site, event.device, event.category, event.mode, event.silent),
            status=alerts.RAISED,
            condition=alerts.ACTIVE,
            epoch=1,
            pass_=1,
            step=0,
            due_ms=None,
            span_ms=0,
            unanswered=False,
            presses=1,
            severity=0,
            recent=str(self.now_ms),
            progress="",
            close_asked_by=None,
            close_asked_reason=None,
            window_id=None,
            about_id=None,
            raised_ms=self.now_ms,
            reopened_ms=None,
            answered_ms=None,
            answered_by=None,
            closed_ms=None,
            closed_by=None,
            reason=None,
            previous_id=None if old is None else old.id,
            subject=event.subject,
            lamp=None,
            policy=load(event.frozen).id,
            policy_version=event.policy_version,
            frozen=event.frozen,
            timeline_seq=0,
            timeline_hash=timeline.GENESIS,
        )
        # The rows given were the old alert's; they concern the new one in nothing.
        self.rows = replace(self.rows, alert=old, dispatches=(), told=frozenset(), answers=())
        facts: dict[str, object] = {
            "epoch": 1,
            "category": event.category,
            "mode": event.mode,
            "silent": event.silent,
            "signal": event.signal,
            "subject": event.subject,
            "policy": [self.now.policy, event.policy_version],
            "previous": self.now.previous_id,
        }
        self.note("raised", **facts | dict(event.detail))
        self.start()
        self.outcome = "raised"

    def count(self, event: Press) -> None:
        alert = self.now
        self.alert = replace(alert, presses=alert.presses + 1, condition=alerts.ACTIVE, subject=event.subject)
        what = "returned" if alert.category == alerts.TECHNICAL else "pressed"
        detail = {"signal": event.signal, "subject": event.subject, **dict(event.detail)}
        self.note(what, presses=alert.presses + 1, **detail)
        self.outcome = "counted"

    def reopen(self, why: str) -> None:
        alert = self.now
        answerers = sorted({each.person_id for each in self.rows.answers})
        self.cancel("reopened", dispatches.NOTIFY, dispatches.TAKEN)
        self.alert = replace(
            alert,
            status=alerts.RAISED,
            epoch=alert.epoch + 1,
            reopened_ms=self.now_ms,
            answered_ms=None,
            answered_by=None,
            unanswered=False,
        )
        self.note("reopened", epoch=alert.epoch + 1, why=why, answered_by=alert.answered_by)
        people = self.rows.people.by_id
        self.start([people[each] for each in answerers if each in people])
        self.outcome = "reopened"

    def reopen_by_press(self, event: Press) -> None:
        self.count(event)
        self.reopen("press")
        # The ack of this very press carries the new epoch to the lamp; an older order must not turn it green again.
        self.cancel("reopened", dispatches.LAMP)

    def reopen_by_other(self, event: Press) -> None:
        """Whoever took it knows of the first cause only."""
        self.count(event)
        self.reopen("other-cause")

    def reopen_by_timeout(self, _event: Due) -> None:
        self.reopen("answer-timeout")
        self.lamp("stored")

    def advance(self, _event: Due) -> None:
        self.climb()
        self.outcome = "escalated"

    def skip(self, _event: object) -> None:
        """The current step failed for good: the next one now, except in the tail, which keeps its pace."""
        alert = self.now
        self.note("step-undeliverable", **{"epoch": alert.epoch, "pass": alert.pass_, "step": alert.step})
        self.owe("step-undeliverable")
        if not self.in_tail():
            self.climb()

    def hasten(self, event: Escalate) -> None:
        """The next step now. Once answered, nothing of that epoch may leave any more: a new epoch begins for it."""
        alert = self.now
        if alert.status == alerts.ANSWERED:
            self.cancel("reopened", dispatches.NOTIFY, dispatches.TAKEN)
            self.alert = replace(
                alert,
                status=alerts.RAISED,
                epoch=alert.epoch + 1,
                reopened_ms=self.now_ms,
                answered_ms=None,
                answered_by=None,
                unanswered=False,
            )
            self.note("reopened", epoch=alert.epoch + 1, why="escalated", answered_by=alert.answered_by)
            self.lamp("stored")
        self.note("escalated", person=event.person_id)
        self.climb()
        self.outcome = "escalated"

    def take(self, event: Take) -> None:
        alert = self.now
        self.answers.append(Answer(alert.id, alert.epoch, event.person_id, event.channel, self.now_ms))
        self.alert = replace(
            alert, status=alerts.ANSWERED, answered_ms=self.now_ms, answered_by=event.person_id, unanswered=False
        )
        self.note("answered", person=event.person_id, epoch=alert.epoch, channel=event.channel)
        self.news(dispatches.TAKEN, event.person_id)
        self.cancel("answered", dispatches.NOTIFY)
        self.lamp("answered")
        self.arm(self.policy.answer_timeout_ms or FOREVER_MS)
        self.outcome = "won"

    def take_and_close(self, event: Take) -> None:
        self.take(event)
        self.finish(None, alerts.CLEARED_BY_ITSELF, "")

    def note_taken(self, event: Take) -> None:
        if event.person_id == self.now.answered_by:
            self.outcome = "won"  # the same person, once more: hers already
            return
        self.note("also-answered", person=event.person_id, epoch=self.now.epoch, taken_by=self.now.answered_by)
        self.outcome = "taken"

    def note_stale(self, event: Take) -> None:
        self.note("stale-answer", person=event.person_id, epoch=event.epoch, current=self.now.epoch)
        self.outcome = "stale"

    def note_late(self, event: Take) -> None:
        self.note("late-answer", person=event.person_id, epoch=event.epoch)
        self.outcome = "late"

    def close(self, event: Close) -> None:
        self.finish(event.person_id, event.reason, event.note)
        self.outcome = "closed"

    def note_stale_close(self, event: Close) -> None:
        self.note("stale-close", person=event.person_id, epoch=event.epoch, current=self.now.epoch, reason=event.reason)
        self.outcome = "stale"

    def finish(self, person_id: int | None, reason: str, note: str) -> None:
        self.news(dispatches.CLOSED, person_id)
        self.cancel("closed", dispatches.NOTIFY, dispatches.TAKEN)
        self.alert = replace(
            self.now, status=alerts.CLOSED, due_ms=None, closed_ms=self.now_ms, closed_by=person_id, reason=reason
        )
        self.note("closed", person=person_id, reason=reason, note=note)
        self.lamp("closed")

    def note_cleared(self, event: Cleared) -> None:
        if self.now.condition == alerts.ACTIVE:
            self.alert = replace(self.now, condition=alerts.CLEARED)
            self.note("cleared", subject=event.subject)
            self.outcome = "cleared"

    def close_cleared(self, event: Cleared) -> None:
        self.note_cleared(event)
        self.finish(None, alerts.CLEARED_BY_ITSELF, "")
        self.outcome = "closed"

    def ignore(self, _event: object) -> None:
        """Out of place: nothing changes."""

    # -- dispatches

    def settle(self, event: Sent) -> None:
        """Record a try; when it was the last hope of the current step, go on to the next one now."""
        before = next((each for each in self.rows.dispatches if each.id == event.dispatch_id), None)
        if before is None or self.alert is None:
            return
        newer = any(
            each.status != dispatches.CANCELLED
            and each.created_ms > before.created_ms
            and (each.kind, each.target, each.method_id) == (before.kind, before.target, before.method_id)
            for each in self.rows.dispatches
        )
        after = dispatches.settle(before, event.outcome, self.now_ms, superseded=newer)
        if after == before:
            return
        self.add(after)
        self.outcome = "recorded"
        if after.status in (dispatches.HANDED, dispatches.FAILED):
            self.note(
                after.status,
                dispatch=after.id,
                kind=after.kind,
                target=after.target,
                channel=after.channel,
                attempts=after.attempts,
                maybe_dup=after.maybe_dup,
                error=after.error,
            )
        if after.status == dispatches.FAILED and after.kind == dispatches.NOTIFY:
            place = (self.now.epoch, self.now.pass_, self.now.step)
            mates = [
                each
                for each in self.current()
                if each.kind == dispatches.NOTIFY and (each.epoch, each.pass_, each.step) == place
            ]
            if mates and all(each.status == dispatches.FAILED for each in mates):
                self.run("undeliverable", event)

    def confirm(self, event: LampConfirmed) -> None:
        """The post shows a lamp: the proof ("voyant confirmé"), and the end of the order that asked for it."""
        alert = self.alert
        if alert is None or (event.epoch is not None and event.epoch > alert.epoch):
            return
        if event.epoch in (None, alert.epoch):
            self.alert = replace(alert, lamp="stored" if event.lamp == "fallback" else event.lamp)
        for each in list(self.rows.dispatches):
            asked = each.kind == dispatches.LAMP and each.status in dispatches.OPEN
            if asked and each.target == f"lamp:{event.lamp}" and event.epoch in (None, each.epoch):
                self.add(dispatches.delivered(each, self.now_ms))
        self.note("lamp", lamp=event.lamp, epoch=event.epoch)
        self.outcome = "recorded"


# An answered alert whose policy has no answer timeout still has a next instant (invariant 1): a year ahead.
FOREVER_MS: Final = 365 * 86_400_000

EFFECTS: Final[dict[str, Callable[..., None]]] = {
    "raise": _Turn.raise_,
    "count": _Turn.count,
    "advance": _Turn.advance,
    "skip": _Turn.skip,
    "take": _Turn.take,
    "take-and-close": _Turn.take_and_close,
    "note-taken": _Turn.note_taken,
    "note-stale": _Turn.note_stale,
    "note-stale-close": _Turn.note_stale_close,
    "note-late": _Turn.note_late,
    "hasten": _Turn.hasten,
    "close": _Turn.close,
    "close-cleared": _Turn.close_cleared,
    "note-cleared": _Turn.note_cleared,
    "reopen-by-press": _Turn.reopen_by_press,
    "reopen-by-other": _Turn.reopen_by_other,
    "reopen-by-timeout": _Turn.reopen_by_timeout,
    "ignore": _Turn.ignore,
}
