"""What people do to an alert: take it, say how it goes, ask for the next step, close it. Effects of escalation.py."""

from dataclasses import replace

from . import alerts, climbing, dispatches, telling
from .alerts import Answer
from .events import Close, Escalate, Progress, Take
from .turn import Turn


def hasten(turn: Turn, event: Escalate) -> None:
    """The next step now. Once answered, nothing of that epoch may leave any more: a new epoch begins for it."""
    if turn.now.status == alerts.ANSWERED:
        climbing.new_epoch(turn, "escalated")
        telling.lamp(turn, "stored")
    turn.note("escalated", person=event.person_id)
    climbing.climb(turn)
    turn.outcome = "escalated"


def take(turn: Turn, event: Take) -> None:
    alert = turn.now
    turn.put_answer(Answer(alert.id, alert.epoch, event.person_id, event.channel, turn.now_ms))
    turn.change(
        status=alerts.ANSWERED, answered_ms=turn.now_ms, answered_by=event.person_id, unanswered=False, progress=""
    )
    turn.note("answered", person=event.person_id, epoch=alert.epoch, channel=event.channel)
    colleagues = climbing.awaited(turn)
    telling.news(turn, dispatches.TAKEN, {event.person_id, *colleagues})
    turn.cancel("answered", dispatches.NOTIFY, keep=colleagues)
    telling.lamp(turn, "answered")
    climbing.await_end(turn)
    turn.outcome = "won"


def join(turn: Turn, event: Take) -> None:
    """One more of the several who must answer; with the last of them the others of the step are free."""
    alert = turn.now
    turn.put_answer(Answer(alert.id, alert.epoch, event.person_id, event.channel, turn.now_ms))
    turn.note("co-answered", person=event.person_id, epoch=alert.epoch, channel=event.channel)
    colleagues = climbing.awaited(turn)
    if not colleagues:
        telling.news(turn, dispatches.TAKEN, turn.answerers())
    turn.cancel("answered", dispatches.NOTIFY, keep=colleagues)
    climbing.await_end(turn)
    turn.outcome = "won"


def take_and_close(turn: Turn, event: Take) -> None:
    take(turn, event)
    finish(turn, None, alerts.CLEARED_BY_ITSELF)


def note_taken(turn: Turn, event: Take) -> None:
    if event.person_id in turn.answerers():
        turn.outcome = "won"  # the same person, once more: hers already
        return
    turn.note("also-answered", person=event.person_id, epoch=turn.now.epoch, taken_by=turn.now.answered_by)
    turn.outcome = "taken"


def note_stale(turn: Turn, event: Take | Progress) -> None:
    said = {"progress": event.progress} if isinstance(event, Progress) else {}
    turn.note("stale-answer", person=event.person_id, epoch=event.epoch, current=turn.now.epoch, **said)
    turn.outcome = "stale"


def note_late(turn: Turn, event: Take | Progress) -> None:
    said = {"progress": event.progress} if isinstance(event, Progress) else {}
    turn.note("late-answer", person=event.person_id, epoch=event.epoch, **said)
    turn.outcome = "late"


def progress(turn: Turn, event: Progress) -> None:
    """Whoever has it says how it goes: the answer timeout runs from there."""
    mine = next(each for each in turn.answers() if each.person_id == event.person_id)
    turn.put_answer(replace(mine, progress=event.progress, progress_ms=turn.now_ms))
    turn.change(progress=event.progress)
    turn.note("progress", person=event.person_id, progress=event.progress, epoch=turn.now.epoch)
    climbing.await_end(turn)
    turn.outcome = "recorded"


def note_progress(turn: Turn, event: Progress) -> None:
    """Said by somebody who has not answered: for the record."""
    turn.note("also-progress", person=event.person_id, progress=event.progress, epoch=turn.now.epoch)
    turn.outcome = "recorded"


def reopen_for_help(turn: Turn, event: Progress) -> None:
    turn.note("help-needed", person=event.person_id, epoch=turn.now.epoch)
    mine = next((each for each in turn.answers() if each.person_id == event.person_id), None)
    if mine is not None:
        turn.put_answer(replace(mine, progress=event.progress, progress_ms=turn.now_ms))
    climbing.reopen(turn, alerts.NEEDS_HELP)
    telling.lamp(turn, "stored")


def close(turn: Turn, event: Close) -> None:
    finish(turn, event.person_id, event.reason, event.note)
    turn.outcome = "closed"


def ask_close(turn: Turn, event: Close) -> None:
    """The first of two: the others who were told are asked for a second, anew after each request that was voided."""
    turn.change(close_asked_by=event.person_id, close_asked_reason=event.reason)
    turn.note("close-asked", person=event.person_id, reason=event.reason, note=event.note)
    turn.cancel("superseded", dispatches.INFO)
    telling.news(turn, dispatches.INFO, {event.person_id})
    turn.outcome = "second-needed"


def ask_again(turn: Turn, _event: Close) -> None:
    turn.outcome = "second-needed"


def note_stale_close(turn: Turn, event: Close) -> None:
    turn.note("stale-close", person=event.person_id, epoch=event.epoch, current=turn.now.epoch, reason=event.reason)
    turn.outcome = "stale"


def finish(turn: Turn, person_id: int | None, reason: str, note: str = "") -> None:
    telling.news(turn, dispatches.CLOSED, {person_id})
    turn.cancel("closed", dispatches.NOTIFY, dispatches.TAKEN, dispatches.INFO)
    turn.change(status=alerts.CLOSED, due_ms=None, closed_ms=turn.now_ms, closed_by=person_id, reason=reason)
    turn.note("closed", person=person_id, reason=reason, note=note)
    telling.lamp(turn, "closed")
