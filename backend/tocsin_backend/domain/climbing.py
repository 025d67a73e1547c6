"""Going on when nobody answers: the next step, the next pass, the last step for ever; and beginning again."""

from collections.abc import Iterable

from . import alerts, dispatches, telling
from .owed import owed
from .people import Person
from .turn import FOREVER_MS, Turn, answer_deadline_ms, is_missing


def in_tail(turn: Turn) -> bool:
    """Whether the policy is exhausted and its last step repeats, paced by its own delay."""
    return turn.now.pass_ > turn.policy.passes


def start(turn: Turn, also: Iterable[Person] = ()) -> None:
    """Fire step 0 of this epoch; an empty step goes on to the next one now."""
    turn.change(pass_=1, step=0)
    fired = telling.fire(turn, also)
    turn.arm(turn.policy.steps[0].delay_ms)
    if not fired:
        turn.owe("empty-step")
        climb(turn)


def climb(turn: Turn) -> None:
    """Go to the next step that has somebody to tell, and tell them; past the last pass, the last step for ever."""
    while True:
        alert, policy = turn.now, turn.policy
        last = len(policy.steps) - 1
        if alert.step < last and not in_tail(turn):
            turn.change(step=alert.step + 1)
        elif alert.pass_ < policy.passes:
            turn.change(pass_=alert.pass_ + 1, step=0)
        else:
            turn.change(pass_=alert.pass_ + 1, step=last)
            if not alert.unanswered:
                _unanswered(turn)
        fired = telling.fire(turn)
        turn.arm(policy.steps[turn.now.step].delay_ms)
        if fired:
            return
        turn.owe("empty-step")
        if in_tail(turn):
            fall_back(turn)
            return


def fall_back(turn: Turn) -> None:
    """In the tail, and the step has nobody or reached nobody: the nearest earlier one that has somebody, now.

    A roster's gap in the last step would silence the alert for as long as it lasts (invariant 9). The next repetition
    begins with the last step again.
    """
    at_first = turn.now.step
    for step in reversed(range(at_first)):
        turn.change(step=step)
        if telling.fire(turn, note_empty=False):
            turn.arm(turn.policy.steps[step].delay_ms)
            return
    turn.change(step=at_first)


def _unanswered(turn: Turn) -> None:
    """Said once an epoch, here and to the next organisation up. A drill says it in its own report only."""
    turn.note("unanswered", epoch=turn.now.epoch)
    turn.change(unanswered=True)
    if turn.now.mode == alerts.REAL:
        turn.owe("unanswered", above=True)


def skip(turn: Turn) -> None:
    """The current step failed for good: the next one now; in the tail, which keeps its pace, an earlier one."""
    turn.note_place("step-undeliverable")
    turn.owe("step-undeliverable")
    if in_tail(turn):
        fall_back(turn)
    else:
        climb(turn)


def new_epoch(turn: Turn, why: str) -> None:
    """Raised again: whatever was answered or asked for is the past."""
    alert = turn.now
    turn.cancel("reopened", dispatches.NOTIFY, dispatches.TAKEN, dispatches.INFO)
    void_close(turn)
    turn.change(
        status=alerts.RAISED,
        epoch=alert.epoch + 1,
        pass_=1,
        reopened_ms=turn.now_ms,
        answered_ms=None,
        answered_by=None,
        unanswered=False,
        progress=alerts.NEEDS_HELP if why == alerts.NEEDS_HELP else "",
    )
    turn.note("reopened", epoch=alert.epoch + 1, why=why, answered_by=alert.answered_by)


def reopen(turn: Turn, why: str) -> None:
    """Begin again, with step 0 and with whoever had answered."""
    answerers = sorted({each.person_id for each in turn.rows.answers})
    new_epoch(turn, why)
    people = turn.rows.people.by_id
    start(turn, [people[each] for each in answerers if each in people])
    turn.outcome = "reopened"


def void_close(turn: Turn) -> None:
    """What the first of two closers saw is no longer so."""
    if turn.now.close_asked_by is not None:
        turn.note("close-void", asked_by=turn.now.close_asked_by)
        turn.change(close_asked_by=None, close_asked_reason=None)


# -- while it is answered


def await_end(turn: Turn) -> None:
    """After an answer: due when it has led nowhere, or when it is time to remind those who must answer as well.

    Never further ahead than the timeout: an answer may be dated by a clock that went back since.
    """
    deadline_ms = answer_deadline_ms(turn.now, turn.answers())
    assert deadline_ms is not None, "an answered alert has an answer"
    span_ms = min(max(1, deadline_ms - turn.now_ms), turn.policy.answer_timeout_ms or FOREVER_MS)
    if is_missing(turn.now, turn.answers()):
        span_ms = min(span_ms, turn.policy.steps[turn.now.step].delay_ms)
    turn.arm(span_ms)


def awaited(turn: Turn) -> set[int]:
    """The colleagues who must answer as well: of the people that the current step means now, those who have not."""
    if not is_missing(turn.now, turn.answers()):
        return set()
    directory = turn.rows.people
    step = turn.policy.steps[turn.now.step]
    people = {person.id for target in step.targets for person in owed(target, directory, turn.now_ms)}
    return people - turn.answerers()


def remind(turn: Turn) -> None:
    """Somebody has it, and fewer people than it takes: those of the same step are told again."""
    turn.change(pass_=turn.now.pass_ + 1)  # each telling has its own place
    if telling.fire(turn, only=awaited(turn)):
        await_end(turn)
    else:
        turn.owe("empty-step")
        deadline_ms = answer_deadline_ms(turn.now, turn.answers()) or turn.now_ms
        turn.arm(max(1, deadline_ms - turn.now_ms))
    turn.outcome = "reminded"
