"""Press here then: who would be told, by what, when? The real engine runs it, and nobody answers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from . import alerts, dispatches
from .dispatches import Dispatch
from .escalation import apply
from .events import Due, Press
from .people import Directory, Method, Person
from .turn import Changes, Rows

MAX_MINUTES: Final = 24 * 60
MAX_LINES: Final = 5_000  # a policy of 5 s steps for a day would print more than anybody reads
_SAID: Final = ("empty-step", "unanswered")  # what the timeline says besides the steps themselves


@dataclass(frozen=True, slots=True)
class Line:
    """`offset_ms` after the press, in (pass, step): a message to `person` by `channel`, or, without one, a target.

    `what`: told; empty-step or unanswered, which tell nobody. `target`: console, cap, dc09/<centre>, alarm:<group>/….
    """

    offset_ms: int
    pass_: int
    step: int
    what: str
    channel: str = ""
    target: str = ""
    person: Person | None = None
    method: Method | None = None


@dataclass(frozen=True, slots=True)
class DryRun:
    """`cut`: there was more than MAX_LINES; the rest is left out."""

    lines: tuple[Line, ...]
    cut: bool = False


def dry_run(press: Press, directory: Directory, at_ms: int, minutes: int) -> DryRun:
    """What a press at `at_ms` leads to within `minutes` if every message is taken and nobody answers."""
    lines: list[Line] = []
    end_ms = at_ms + minutes * 60_000
    methods = {method.id: method for person in directory.by_id.values() for method in person.methods}
    known: dict[str, Dispatch] = {}
    changes = apply(Rows(people=directory), press, at_ms)
    now_ms = at_ms
    while changes.alert is not None:
        alert = changes.alert
        lines += _said(changes, now_ms - at_ms)
        known |= {each.id: each for each in changes.dispatches}
        until_ms = end_ms if alert.due_ms is None else min(alert.due_ms, end_ms)
        for each in sorted(known.values(), key=lambda one: (one.next_ms or 0, one.target, one.method_id)):
            if each.status in dispatches.OPEN and each.next_ms is not None and each.next_ms < until_ms:
                known[each.id] = replace(each, status=dispatches.DELIVERED, next_ms=None, delivered_ms=each.next_ms)
                if each.kind in (dispatches.NOTIFY, dispatches.ACTUATE):
                    lines.append(_told(each, directory.by_id, methods, at_ms))
        if alert.due_ms is None or alert.due_ms >= end_ms or len(lines) > MAX_LINES:
            break
        now_ms = alert.due_ms
        changes = apply(Rows(alert, tuple(known.values()), people=directory), Due(), now_ms)
    lines.sort(key=lambda line: line.offset_ms)
    return DryRun(tuple(lines[:MAX_LINES]), len(lines) > MAX_LINES)


def _said(changes: Changes, offset_ms: int) -> list[Line]:
    alert = changes.alert
    assert alert is not None
    return [Line(offset_ms, alert.pass_, alert.step, each.what) for each in changes.entries if each.what in _SAID]


def _told(dispatch: Dispatch, people: Mapping[int, Person], methods: Mapping[int, Method], at_ms: int) -> Line:
    person = None if dispatch.person_id is None else people.get(dispatch.person_id)
    offset_ms = (dispatch.next_ms or dispatch.created_ms) - at_ms
    place = (offset_ms, dispatch.pass_, dispatch.step)
    return Line(*place, "told", dispatch.channel, dispatch.target, person, methods.get(dispatch.method_id))


def press_of(
    org: str, site: str, device: str, frozen: str, category: str = alerts.CALL, mode: str = alerts.REAL,
    silent: bool = False,
) -> Press:  # fmt: skip
    """A press to try, with the policy that it would be raised with."""
    return Press("00000000-0000-5000-8000-000000000000", org, site, device, category, mode, silent, "", "", 0, frozen)
