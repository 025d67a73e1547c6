"""Telling people: the notices of a step, and the news to whoever was told. And the lamp at the post."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from . import alarm_orders, alerts, dispatches
from .dispatches import Dispatch
from .owed import is_in_force, owed
from .people import Method, Person
from .turn import Told, Turn

FEEDS: Final = ("cap", "dc09")  # channels that follow an alert to its end, and never speak of a drill or a probe


def fire(turn: Turn, also: Iterable[Person] = (), only: Collection[int] | None = None, note_empty: bool = True) -> bool:
    """Tell the targets of the current step, and `also`; False when there was nobody and nothing to tell.

    `only`: of the step's people those alone, and nothing else of it. `note_empty`: whether the timeline says so then.
    """
    class_ = notice_class(turn)
    made: dict[str, Dispatch] = {}
    told: list[list[object]] = []
    for target in turn.policy.steps[turn.now.step].targets:
        people = owed(target, turn.rows.people, turn.now_ms)
        if only is not None:
            people = [each for each in people if each.id in only]
        elif target.channel and _is_allowed_feed(turn, target.channel):
            if is_in_force(target, turn.rows.people, turn.now_ms):
                one = _to_channel(turn, dispatches.NOTIFY, target.channel, class_)
                made[one.id] = one
                told.append([one.target, one.channel])
        elif target.alarms and is_in_force(target, turn.rows.people, turn.now_ms):
            told += alarm_orders.switch_on(turn, target.alarms)
        for person in people:
            _notify(turn, person, allowed(turn, person, target.channels), class_, made, told)
    for person in also:
        _notify(turn, person, allowed(turn, person), class_, made, told)
    if not told:
        if note_empty:
            turn.note_place("empty-step")
        return False
    for one in supersede(turn, made.values()):
        turn.put(one)
    late_ms = lateness_ms(turn)
    turn.note_place("step", told=told, **({"late_ms": late_ms} if late_ms else {}))
    return True


def lateness_ms(turn: Turn) -> int:
    """How long after its due instant this step leaves; 0 for the first of an alert, and for one that is hastened."""
    before = turn.rows.alert
    if before is None or before.id != turn.now.id or before.due_ms is None:
        return 0
    return max(0, turn.now_ms - before.due_ms)


def _notify(
    turn: Turn, person: Person, methods: list[Method], class_: int, made: dict[str, Dispatch], told: list[list[object]]
) -> None:
    for method in methods:
        one = notice(turn, person, method, dispatches.NOTIFY, class_)
        if one.id not in made:
            made[one.id] = one
            told.append([one.target, method.channel])


def notice_class(turn: Turn) -> int:
    """ENGINE.md, classes of dispatch."""
    alert = turn.now
    if alert.mode == alerts.PROBE:
        return dispatches.PROBE_CLASS
    if alert.category == alerts.TECHNICAL:
        return dispatches.TECHNICAL_CLASS
    first = alert.pass_ == 1 and alert.step == 0
    return dispatches.FIRST_CLASS if first else dispatches.LATER_CLASS


def notice(turn: Turn, person: Person, method: Method, kind: str, class_: int) -> Dispatch:
    """A message to a person by one of her methods; a notice waits for the method's offset."""
    offset_ms = method.offset_ms if kind == dispatches.NOTIFY else 0
    target = f"person:{person.id}"
    return dispatches.new(
        turn.now.id, turn.place, kind, target, method.channel, class_, turn.now_ms, person.id, method.id, offset_ms
    )


def _to_channel(turn: Turn, kind: str, target: str, class_: int) -> Dispatch:
    """A message to whoever is behind a channel: "console", "cap", "dc09/<centre>"."""
    channel = target.partition("/")[0]
    return dispatches.new(turn.now.id, turn.place, kind, target, channel, class_, turn.now_ms)


def _is_allowed_feed(turn: Turn, channel: str) -> bool:
    """Invariant 10: what others listen to hears of no drill and no probe."""
    return turn.now.mode == alerts.REAL or channel.partition("/")[0] not in FEEDS


def allowed(turn: Turn, person: Person, channels: tuple[str, ...] = ()) -> list[Method]:
    """This person's methods for this alert: of these channels, never an external one for a drill, none for a probe."""
    inside_only = turn.now.mode != alerts.REAL
    if turn.now.mode == alerts.PROBE or (inside_only and _is_outside(turn, person)):
        return []
    return [
        method
        for method in person.methods
        if (not channels or method.channel in channels) and not (inside_only and method.external)
    ]


def _is_outside(turn: Turn, person: Person) -> bool:
    """Whether this person is of another organisation, and of no desk there that counts as one of ours."""
    desks = turn.rows.people.desks.values()
    return person.org != turn.now.org and all(desk.external or desk.host != person.org for desk in desks)


def supersede(turn: Turn, new: Iterable[Dispatch]) -> list[Dispatch]:
    """At most one unsent notice per (alert, epoch, target, method): the newer one replaces the waiting one.

    It leaves no later than that one would have: a step that repeats faster than a method's offset is still heard.
    """
    coming = {(each.target, each.method_id): each for each in new}
    for each in turn.current():
        waits = each.status == dispatches.PENDING and each.kind == dispatches.NOTIFY
        key = (each.target, each.method_id)
        if waits and key in coming:
            turn.put(dispatches.cancel(each, "superseded"))
            newer = coming[key]
            if each.attempts == 0 and each.next_ms is not None and newer.next_ms is not None:
                coming[key] = replace(newer, next_ms=max(turn.now_ms, min(each.next_ms, newer.next_ms)))
    return list(coming.values())


def news(turn: Turn, kind: str, but: Collection[int | None] = ()) -> None:
    """Tell those who were told what became of it, once each, by the way they were told."""
    told = set(turn.rows.told)
    for each in turn.rows.dispatches:
        if each.kind == dispatches.NOTIFY and each.status in dispatches.TOLD:
            told.add(Told(each.person_id, each.method_id, each.channel, each.target))
    known = {each.id for each in turn.rows.dispatches}
    for one in sorted(told, key=lambda each: (each.person_id or 0, each.method_id, each.target)):
        if one.person_id is None:
            if one.channel in FEEDS:
                made = [_to_channel(turn, kind, one.target, dispatches.NEWS_CLASS)]
            else:
                made = []  # a screen shows the alert itself
        elif one.person_id in but or one.person_id not in turn.rows.people.by_id:
            continue
        else:
            person = turn.rows.people.by_id[one.person_id]
            ways = [method for method in allowed(turn, person, (one.channel,)) if method.id == one.method_id]
            made = [_numbered(turn, notice(turn, person, method, kind, dispatches.NEWS_CLASS)) for method in ways]
        for each in made:
            if each.id not in known:
                turn.put(each)


def _numbered(turn: Turn, one: Dispatch) -> Dispatch:
    """A request for a second closer that is not the first at this place: "person:12/2", so that it has its own id."""
    before = [each for each in turn.rows.dispatches if _is_request_to(each, one)]
    if one.kind != dispatches.INFO or not before:
        return one
    target = f"{one.target}/{len(before) + 1}"
    return dispatches.new(
        one.alert_id, turn.place, one.kind, target, one.channel, one.class_, turn.now_ms, one.person_id, one.method_id
    )


def _is_request_to(each: Dispatch, one: Dispatch) -> bool:
    place = (each.epoch, each.pass_, each.step) == (one.epoch, one.pass_, one.step)
    return place and (each.kind, each.person_id, each.method_id) == (one.kind, one.person_id, one.method_id)


def lamp(turn: Turn, word: str) -> None:
    """Order the post's lamp. Nothing for a silent alert (P6, invariant 12), nor for one that no press raised.

    A probe has one order, `closed`, once its sink has it: the way down is proven by it, and the post lights nothing.
    """
    turn.cancel("superseded", dispatches.LAMP)
    alert = turn.now
    proven = alert.mode != alerts.PROBE or alert.reason == alerts.PROBED
    if not alert.silent and alert.category != alerts.TECHNICAL and proven:
        class_ = dispatches.FIRST_CLASS
        turn.put(dispatches.new(alert.id, turn.place, dispatches.LAMP, f"lamp:{word}", "lamp", class_, turn.now_ms))
