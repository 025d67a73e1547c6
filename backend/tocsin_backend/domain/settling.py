"""What came of a message: a try, a report that came later, a lamp that the post shows."""

from collections.abc import Callable

from . import alerts, dispatches
from .dispatches import Dispatch
from .events import LampConfirmed, Reported, Sent
from .turn import Turn

Run = Callable[[str], None]  # go on with this fact


def sent(turn: Turn, event: Sent, run: Run) -> None:
    """Record a try; when it was the last hope of the current step, go on to the next one now."""
    before = _known(turn, event.dispatch_id)
    if before is None:
        return
    newer = any(
        each.status != dispatches.CANCELLED
        and (each.epoch, each.pass_, each.step) > (before.epoch, before.pass_, before.step)
        and (each.kind, each.target, each.method_id) == (before.kind, before.target, before.method_id)
        for each in turn.rows.dispatches
    )
    _changed(turn, before, dispatches.settle(before, event.outcome, turn.now_ms, superseded=newer), run)


def reported(turn: Turn, event: Reported, run: Run) -> None:
    """Record what was said of a message later; one that failed after all may have been the last hope as well."""
    before = _known(turn, event.dispatch_id)
    if before is not None:
        _changed(turn, before, dispatches.report(before, event.what, event.error, turn.now_ms), run)


def _known(turn: Turn, dispatch_id: str) -> Dispatch | None:
    return next((each for each in turn.rows.dispatches if each.id == dispatch_id), None)


def _changed(turn: Turn, before: Dispatch, after: Dispatch, run: Run) -> None:
    if after == before or turn.alert is None:
        return
    turn.put(after)
    turn.outcome = "recorded"
    if after.status != before.status and after.status in (dispatches.HANDED, *dispatches.REACHED, dispatches.FAILED):
        turn.note(
            after.status,
            dispatch=after.id,
            kind=after.kind,
            target=after.target,
            channel=after.channel,
            attempts=after.attempts,
            maybe_dup=after.maybe_dup,
            error=after.error,
        )
    if after.kind == dispatches.ACTUATE and after.status == dispatches.FAILED:
        turn.owe("alarm-undelivered")
    if after.kind != dispatches.NOTIFY:
        return
    probe = turn.now.mode == alerts.PROBE
    if probe and after.status in (dispatches.HANDED, *dispatches.REACHED):
        run("probed")
    elif after.status == dispatches.FAILED and _was_last_hope(turn, after):
        run("probe-failed" if probe else "undeliverable")


def _was_last_hope(turn: Turn, failed: Dispatch) -> bool:
    """Whether every notice of the current step has failed for good, this one among them."""
    mates = [
        each
        for each in turn.current()
        if each.kind == dispatches.NOTIFY and (each.epoch, each.pass_, each.step) == turn.place
    ]
    return failed in mates and all(each.status == dispatches.FAILED for each in mates)


def confirm(turn: Turn, event: LampConfirmed) -> None:
    """The post shows a lamp: the proof ("voyant confirmé"), and the end of the order that asked for it."""
    alert = turn.alert
    if alert is None or (event.epoch is not None and event.epoch > alert.epoch):
        return
    if event.epoch in (None, alert.epoch):
        turn.change(lamp="stored" if event.lamp == "fallback" else event.lamp)
    for each in turn.rows.dispatches:
        asked = each.kind == dispatches.LAMP and each.status in dispatches.OPEN
        if asked and each.target == f"lamp:{event.lamp}" and event.epoch in (None, each.epoch):
            turn.put(dispatches.delivered(each, turn.now_ms))
    turn.note("lamp", lamp=event.lamp, epoch=event.epoch)
    turn.outcome = "recorded"
