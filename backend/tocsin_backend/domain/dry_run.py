"""Press here then: who would be told, by what, when? The real engine runs it, and nobody answers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from . import alerts, dispatches
from .dispatches import Dispatch
from .escalation import apply
from .events import Due, Press
from .owed import owed
from .people import Directory, Method, Person
from .policies import load
from .turn import Changes, Rows

MAX_MINUTES: Final = 24 * 60
MAX_LINES: Final = 5_000  # a policy of 5 s steps for a day would print more than anybody reads
_SAID: Final = ("empty-step", "unanswered")  # what the timeline says besides the steps themselves


@dataclass(frozen=True, slots=True)
class Line:
    """`offset_ms` after the press, in (pass, step): a message to `person` by `channel`, or, without one, a target.

    `what`: told; empty-step or unanswered, which tell nobody; above: the organisation above, its name in `target`.
    `target`: console, cap, dc09/<centre>, alarm:<group>/…. `why_not`: this channel cannot leave the server (ways_out).
    """

    offset_ms: int
    pass_: int
    step: int
    what: str
    channel: str = ""
    target: str = ""
    person: Person | None = None
    method: Method | None = None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class DryRun:
    """`cut`: there was more than MAX_LINES; the rest is left out."""

    lines: tuple[Line, ...]
    cut: bool = False


def dry_run(
    press: Press, directory: Directory, at_ms: int, minutes: int, blocked: Mapping[str, str] | None = None,
    above: str = "",
) -> DryRun:  # fmt: skip
    """What a press at `at_ms` leads to within `minutes` if every message is taken and nobody answers.

    `blocked`: what cannot leave, of ways_out.blocked. `above`: the organisation that is told of what is unanswered.
    """
    blocked = blocked or {}
    lines: list[Line] = []
    end_ms = at_ms + minutes * 60_000
    contacts: dict[tuple[int, int], dict[int, tuple[Person, Method]]] = {}
    known: dict[str, Dispatch] = {}
    changes = apply(Rows(people=directory), press, at_ms)
    now_ms = at_ms
    while changes.alert is not None:
        alert = changes.alert
        lines += _said(changes, now_ms - at_ms, above)
        known |= {each.id: each for each in changes.dispatches}
        until_ms = end_ms if alert.due_ms is None else min(alert.due_ms, end_ms)
        for each in sorted(known.values(), key=lambda one: (one.next_ms or 0, one.target, one.method_id)):
            if each.status in dispatches.OPEN and each.next_ms is not None and each.next_ms < until_ms:
                known[each.id] = replace(each, status=dispatches.DELIVERED, next_ms=None, delivered_ms=each.next_ms)
                if each.kind in (dispatches.NOTIFY, dispatches.ACTUATE):
                    key = each.step, each.created_ms
                    if key not in contacts:
                        contacts[key] = _contacts(press, directory, *key)
                    person, method = contacts[key].get(each.method_id, (None, None))
                    place = each.next_ms - at_ms, each.pass_, each.step
                    why_not = blocked.get(each.channel, "")
                    lines.append(Line(*place, "told", each.channel, each.target, person, method, why_not))
        if alert.due_ms is None or alert.due_ms >= end_ms or len(lines) > MAX_LINES:
            break
        now_ms = alert.due_ms
        changes = apply(Rows(alert, tuple(known.values()), people=directory), Due(), now_ms)
    lines.sort(key=lambda line: line.offset_ms)
    return DryRun(tuple(lines[:MAX_LINES]), len(lines) > MAX_LINES)


def _said(changes: Changes, offset_ms: int, above: str) -> list[Line]:
    alert = changes.alert
    assert alert is not None
    place = offset_ms, alert.pass_, alert.step
    lines = [Line(*place, each.what) for each in changes.entries if each.what in _SAID]
    if above and any(trouble.above for trouble in changes.trouble):
        lines.append(Line(*place, "above", target=above))
    return lines


def _contacts(press: Press, directory: Directory, step: int, at_ms: int) -> dict[int, tuple[Person, Method]]:
    """By method, whom a step tells at an instant, as its targets mean them: external through a desk of rescuers."""
    targets = load(press.frozen).steps[step].targets
    people = [person for target in targets for person in owed(target, directory, at_ms)]
    return {method.id: (person, method) for person in people for method in person.methods}


def press_of(
    org: str, site: str, device: str, frozen: str, category: str = alerts.CALL, mode: str = alerts.REAL,
    silent: bool = False,
) -> Press:  # fmt: skip
    """A press to try, with the policy that it would be raised with."""
    return Press("00000000-0000-5000-8000-000000000000", org, site, device, category, mode, silent, "", "", 0, frozen)
