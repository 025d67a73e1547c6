"""What happens to an alert: `apply(rows, event, now_ms) -> changes`. The law is ENGINE.md.

An event is one of events.py. `fact_of` names it, alerts.TRANSITIONS gives the next status and the effect, and the
effect (a function below, or of acts.py: what people do) says which rows change, what the timeline reads, and which
technical alert is owed. Telling people is telling.py, going on when nobody answers climbing.py, what came of messages
settling.py, alarm outputs alarm_orders.py. Nothing here knows a clock, a database or a channel.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from . import acts, alarm_orders, alerts, climbing, dispatches, settling, telling, timeline
from .alerts import Alert
from .events import (
    AllClear,
    Cleared,
    Close,
    Due,
    Escalate,
    Event,
    LampConfirmed,
    Press,
    Progress,
    Remark,
    Reported,
    Sent,
    Take,
)
from .policies import load
from .presses import Recent
from .turn import Changes, Rows, Told, Trouble, Turn, answer_deadline_ms, answers_of, is_missing

__all__ = [
    "EFFECTS", "AllClear", "Changes", "Cleared", "Close", "Due", "Escalate", "Event", "LampConfirmed", "Press",
    "Progress", "Remark", "Reported", "Rows", "Sent", "Take", "Told", "Trouble", "Turn", "apply", "fact_of", "load",
]  # fmt: skip


STUCK: Final = "stuck"  # more presses than a hand makes, or a contact that never opens


def fact_of(rows: Rows, event: Event, now_ms: int) -> str:
    """The fact that an event is, seen from this alert: where the guards of the transition table are."""
    alert = rows.alert
    match event:
        case Press():
            return _press_fact(alert, event, now_ms)
        case Due():
            return _due_fact(rows, now_ms)
        case Take():
            if _is_past(event.epoch, alert):
                return "answer-stale"
            if alert is not None and alert.condition == alerts.CLEARED:
                return "answer-cleared"
            more = alert is not None and is_missing(alert, rows.answers) and not _has_answered(rows, event.person_id)
            return "answer-more" if more else "answer"
        case Progress():
            if _is_past(event.epoch, alert):
                return "progress-stale"
            if event.progress == alerts.NEEDS_HELP:
                return "help"
            return "progress" if _has_answered(rows, event.person_id) else "progress-other"
        case Escalate():
            quoted = (event.epoch, event.pass_, event.step)
            current = alert is not None and quoted == (alert.epoch, alert.pass_, alert.step)
            return "escalate" if current else "escalate-stale"
        case Close():
            return _close_fact(alert, event)
        case AllClear():
            return "all-clear"
        case Cleared():
            return "clear-closes" if alert is not None and load(alert.frozen).clear_closes else "clear"
        case _:
            raise ValueError(f"{event!r} concerns no status")


def _press_fact(alert: Alert | None, event: Press, now_ms: int) -> str:
    again = alert is None or alerts.may_reopen(alert, now_ms)
    if event.category != alerts.TECHNICAL:
        return "repress" if alert is not None and again else "press"
    if alert is None or event.subject == alert.subject:
        return "return"
    return "return-other" if again else "return-soon"


def _due_fact(rows: Rows, now_ms: int) -> str:
    alert = rows.alert
    if alert is None:
        return "due"
    if alert.mode == alerts.PROBE:
        return "probe-failed"
    deadline_ms = answer_deadline_ms(alert, rows.answers)
    missing = is_missing(alert, rows.answers) and deadline_ms is not None and now_ms < deadline_ms
    return "due-missing" if missing else "due"


def _close_fact(alert: Alert | None, event: Close) -> str:
    if event.person_id is None:
        return "close"
    if _is_past(event.epoch, alert):
        return "close-stale"
    if alert is None or not alerts.takes_two_to_close(alert):
        return "close"
    if alert.close_asked_by is None:
        return "close-first"
    return "close-same" if alert.close_asked_by == event.person_id else "close"


def _has_answered(rows: Rows, person_id: int) -> bool:
    alert = rows.alert
    return alert is not None and any(each.person_id == person_id for each in answers_of(alert, rows.answers))


def _is_past(epoch: int | None, alert: Alert | None) -> bool:
    """Whether somebody was shown an epoch that has ended since: the alert was raised again."""
    return alert is not None and epoch is not None and epoch < alert.epoch


def apply(rows: Rows, event: Event, now_ms: int) -> Changes:
    """Everything that changes because of `event` at `now_ms`; an event that is out of place changes nothing."""
    turn = Turn(rows, now_ms)
    match event:
        case Sent():
            settling.sent(turn, event, lambda fact: run(turn, fact, event))
        case Reported():
            settling.reported(turn, event, lambda fact: run(turn, fact, event))
        case Due() if rows.alert is None or rows.alert.due_ms is None or now_ms < rows.alert.due_ms:
            pass  # another engine was quicker, or somebody answered meanwhile
        case Cleared() if rows.alert is not None and rows.alert.subject != event.subject:
            pass  # something else is wrong as well, and newer
        case LampConfirmed():
            settling.confirm(turn, event)
        case Remark():
            if turn.alert is not None:
                turn.note(event.what, **dict(event.data))
                turn.outcome = "recorded"
        case _:
            run(turn, fact_of(rows, event, now_ms), event)
    return turn.changes()


def run(turn: Turn, fact: str, event: object) -> None:
    """What the table says of this fact."""
    before = alerts.NONE if turn.alert is None else turn.alert.status
    after, effect = alerts.TRANSITIONS[before, fact]
    EFFECTS[effect](turn, event)
    now = alerts.NONE if turn.alert is None else turn.alert.status
    assert now == after, f"{before} + {fact} gave {now}, the table says {after}"


# -- effects: presses and facts


def _raise(turn: Turn, event: Press) -> None:
    old = turn.alert
    device_org = event.device_org or event.org
    turn.alert = Alert(
        id=event.alert_id,
        org=event.org,
        device_org=device_org,
        site=event.site,
        device=event.device,
        category=event.category,
        mode=event.mode,
        silent=event.silent,
        scenario=event.scenario,
        dedup=alerts.dedup_key(
            event.org,
            event.site,
            event.device,
            event.category,
            event.mode,
            event.silent,
            event.subject,
            device_org,
            event.muted,
        ),
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
        recent=str(event.contact_ms or turn.now_ms),
        progress="",
        close_asked_by=None,
        close_asked_reason=None,
        window_id=event.window_id,
        about_id=event.about_id,
        raised_ms=turn.now_ms,
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
    turn.rows = replace(turn.rows, alert=old, dispatches=(), told=frozenset(), answers=())
    facts: dict[str, object] = {
        "epoch": 1,
        "category": event.category,
        "mode": event.mode,
        "silent": event.silent,
        "signal": event.signal,
        "subject": event.subject,
        "policy": [turn.now.policy, event.policy_version],
        "previous": turn.now.previous_id,
    }
    more = {"scenario": event.scenario, "window": event.window_id, "about": event.about_id}
    turn.note("raised", **facts | {name: value for name, value in more.items() if value} | dict(event.detail))
    climbing.start(turn)
    turn.outcome = "raised"


def _count(turn: Turn, event: Press) -> None:
    technical = event.category == alerts.TECHNICAL
    turn.change(presses=turn.now.presses + 1, condition=alerts.ACTIVE, subject=event.subject)
    detail = {"signal": event.signal, "subject": event.subject, **dict(event.detail)}
    turn.note("returned" if technical else "pressed", presses=turn.now.presses, **detail)
    climbing.void_close(turn)
    turn.outcome = "counted"
    if not technical:
        _weigh(turn, event.contact_ms or turn.now_ms)


def _weigh(turn: Turn, at_ms: int) -> None:
    """Many presses: a button that is stuck, or somebody who cannot wait."""
    policy = turn.policy
    recent = Recent.load(turn.now.recent).with_press(at_ms, policy.severity_presses)
    if recent.is_stuck(at_ms):
        turn.note("many-presses", presses=turn.now.presses)
        turn.owe(STUCK)
    severe = recent.is_severe(at_ms, policy.severity_presses, policy.severity_within_ms)
    turn.change(recent=(recent.run_ended() if severe else recent).dump())
    if severe:
        turn.change(severity=turn.now.severity + 1)
        turn.note("severity", severity=turn.now.severity, presses=turn.now.presses)
        if turn.now.status == alerts.RAISED and not climbing.in_tail(turn):
            climbing.climb(turn)


def _count_other(turn: Turn, event: Press) -> None:
    """Another cause within the guard: told of with the end of the guard, and not each time that causes alternate."""
    _count(turn, event)
    reopened_ms = turn.now.reopened_ms
    assert reopened_ms is not None, "the guard runs from a reopening"
    left_ms = max(1, reopened_ms + alerts.REPRESS_MS - turn.now_ms)
    turn.arm(min(left_ms, max(1, (turn.now.due_ms or 0) - turn.now_ms)))


def _reopen_by_press(turn: Turn, event: Press) -> None:
    _count(turn, event)
    climbing.reopen(turn, "press")
    # The ack of this very press carries the new epoch to the lamp; an older order must not turn it green again.
    turn.cancel("reopened", dispatches.LAMP)


def _reopen_by_other(turn: Turn, event: Press) -> None:
    """Whoever took it knows of the first cause only."""
    _count(turn, event)
    climbing.reopen(turn, "other-cause")


def _note_cleared(turn: Turn, event: Cleared) -> None:
    if turn.now.condition == alerts.ACTIVE:
        turn.change(condition=alerts.CLEARED)
        turn.note("cleared", subject=event.subject)
        turn.outcome = "cleared"


def _close_cleared(turn: Turn, event: Cleared) -> None:
    _note_cleared(turn, event)
    acts.finish(turn, None, alerts.CLEARED_BY_ITSELF)
    turn.outcome = "closed"


def _close_probe(turn: Turn, _event: object) -> None:
    acts.finish(turn, None, alerts.PROBED)
    turn.outcome = "closed"


def _fail_probe(turn: Turn, _event: object) -> None:
    turn.owe("probe-failed")
    acts.finish(turn, None, alerts.PROBE_FAILED)
    turn.outcome = "closed"


# -- effects: time


def _advance(turn: Turn, _event: object) -> None:
    climbing.climb(turn)
    turn.outcome = "escalated"


def _skip(turn: Turn, _event: object) -> None:
    climbing.skip(turn)


def _remind(turn: Turn, _event: object) -> None:
    climbing.remind(turn)


def _reopen_by_timeout(turn: Turn, _event: object) -> None:
    climbing.reopen(turn, "answer-timeout")
    telling.lamp(turn, "stored")


def _ignore(_turn: Turn, _event: object) -> None:
    """Out of place: nothing changes."""


EFFECTS: Final[dict[str, Callable[..., None]]] = {
    "raise": _raise,
    "count": _count,
    "count-other": _count_other,
    "advance": _advance,
    "remind": _remind,
    "skip": _skip,
    "take": acts.take,
    "join": acts.join,
    "take-and-close": acts.take_and_close,
    "note-taken": acts.note_taken,
    "note-stale": acts.note_stale,
    "note-stale-close": acts.note_stale_close,
    "note-late": acts.note_late,
    "progress": acts.progress,
    "note-progress": acts.note_progress,
    "hasten": acts.hasten,
    "close": acts.close,
    "ask-close": acts.ask_close,
    "ask-again": acts.ask_again,
    "all-clear": alarm_orders.all_clear,
    "close-cleared": _close_cleared,
    "note-cleared": _note_cleared,
    "close-probe": _close_probe,
    "fail-probe": _fail_probe,
    "reopen-by-press": _reopen_by_press,
    "reopen-by-other": _reopen_by_other,
    "reopen-by-timeout": _reopen_by_timeout,
    "reopen-for-help": acts.reopen_for_help,
    "ignore": _ignore,
}
