"""Orders to alarm outputs: on by a step, off by an explicit all-clear only; each is tried until the device confirms.

A target reads "alarm:<group>/<device>/<output>/on". `method_id` counts the orders of one output in one alert, so that
each has its own id. An answer or a close changes nothing of them.
"""

from collections.abc import Iterable

from . import alerts, dispatches
from .dispatches import Dispatch
from .events import AllClear
from .turn import Turn

CHANNEL = "siren"
ON, OFF = "on", "off"


def switch_on(turn: Turn, group: str) -> list[list[object]]:
    """Switch this group's outputs on, those that this alert has not on already; [[target, channel], …] of them all.

    A silent alert sounds nothing (invariant 12), and a probe neither.
    """
    if turn.now.silent or turn.now.mode == alerts.PROBE:
        return []
    told: list[list[object]] = []
    for device, output in turn.rows.people.alarm_groups.get(group, ()):
        name = f"alarm:{group}/{device}/{output}"
        orders = _orders(turn, name)
        standing = [each for each in orders if each.status not in (dispatches.CANCELLED, dispatches.FAILED)]
        if not standing or not standing[-1].target.endswith(f"/{ON}"):
            _order(turn, name, ON, len(orders))
        told.append([f"{name}/{ON}", CHANNEL])
    return told


def all_clear(turn: Turn, event: AllClear) -> None:
    """Switch off every output that this alert ordered on, and withdraw what still asks for on.

    One that another open alert has on as well stays on: its order to be off is written down and not sent.
    """
    names = {
        each.target.rpartition("/")[0]
        for each in turn.current()
        if each.kind == dispatches.ACTUATE and (not event.group or each.target.startswith(f"alarm:{event.group}/"))
    }
    if not names:
        return
    held = sorted(each for each in names if _output(each) in event.held)
    for name in sorted(names):
        orders = _orders(turn, name)
        for each in orders:
            if each.status in dispatches.OPEN:
                turn.put(dispatches.cancel(each, "all-clear"))
        _order(turn, name, OFF, len(orders), why_not="held" if name in held else "")
    more = {"held": held} if held else {}
    turn.note("all-clear", person=event.person_id, group=event.group, outputs=sorted(names - set(held)), **more)
    turn.outcome = "held" if len(held) == len(names) else "all-clear"


def on_now(orders: Iterable[tuple[str, str, int, str]]) -> frozenset[tuple[str, str]]:
    """(device, output) that these orders leave on; each is (alert, target, number, status)."""
    newest: dict[tuple[str, str], tuple[int, str, str]] = {}
    for alert_id, target, number, status in orders:
        name, _, word = target.rpartition("/")
        newest[alert_id, name] = max(newest.get((alert_id, name), (-1, "", "")), (number, word, status))
    gone = (dispatches.CANCELLED, dispatches.FAILED)
    return frozenset(
        _output(name) for (_, name), (_, word, status) in newest.items() if word == ON and status not in gone
    )


def _output(name: str) -> tuple[str, str]:
    """(device, output) of "alarm:<group>/<device>/<output>"."""
    _, device, output = name.split("/")
    return device, output


def _orders(turn: Turn, name: str) -> list[Dispatch]:
    """The orders of one output, oldest first."""
    mine = [
        each for each in turn.current() if each.kind == dispatches.ACTUATE and each.target.rpartition("/")[0] == name
    ]
    return sorted(mine, key=lambda each: each.method_id)


def _order(turn: Turn, name: str, word: str, number: int, why_not: str = "") -> None:
    made = dispatches.new(
        turn.now.id,
        turn.place,
        dispatches.ACTUATE,
        f"{name}/{word}",
        CHANNEL,
        dispatches.FIRST_CLASS,
        turn.now_ms,
        method_id=number,
    )
    turn.put(dispatches.cancel(made, why_not) if why_not else made)
