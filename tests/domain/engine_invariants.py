"""ENGINE.md's invariants, one named check each, over rows: what every history, pure or stored, is held against.

Invariant 14 (a slow channel delays no other; no network inside `apply`) is no property of rows: tests/test_tree.py
keeps the domain free of input and output, tests/backend/test_channels_workers.py measures the channels.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tocsin_backend.domain import alerts, dispatches, timeline
from tocsin_backend.domain.alerts import Alert, Answer
from tocsin_backend.domain.dispatches import Dispatch
from tocsin_backend.domain.policies import Target, load
from tocsin_backend.domain.timeline import Entry

FOLDED = (
    "status", "condition", "epoch", "pass_", "step", "presses", "unanswered", "severity", "progress",
    "close_asked_by", "answered_by", "closed_by", "reason",
)  # fmt: skip


@dataclass
class Seen:
    """All rows of a history at one instant, and what the history itself knows."""

    now_ms: int
    alerts: Mapping[str, Alert]
    dispatches: Iterable[Dispatch]
    answers: Iterable[Answer]
    entries: Mapping[str, list[Entry]]
    signals: Mapping[str, list[str]]  # "device/b-n" -> ids of the alerts it is counted in
    frozen_at_raise: Mapping[str, str]  # alert id -> the policy it was raised with
    refusals: Mapping[str, tuple[int, bool]]  # dispatch id -> (tries whose outcome is known, one was permanent)
    external_methods: frozenset[int] = frozenset()
    orgs: Mapping[int, str] = field(default_factory=dict)  # person id -> organisation; empty: all of one
    guests: frozenset[int] = frozenset()  # persons at a desk that was invited
    changed: frozenset[str] | None = None  # alerts that changed since the last look; None: all of them

    def __post_init__(self) -> None:
        self.orders: dict[str, list[Dispatch]] = {}
        for each in self.dispatches:
            self.orders.setdefault(each.alert_id, []).append(each)
        self.answered: dict[str, list[Answer]] = {}
        for answer in self.answers:
            self.answered.setdefault(answer.alert_id, []).append(answer)

    def looked_at(self) -> Iterator[Alert]:
        """The alerts whose rows may be otherwise than at the last look."""
        return (each for each in self.alerts.values() if self.changed is None or each.id in self.changed)

    def answerers(self, alert: Alert) -> set[int]:
        return {each.person_id for each in self.answered.get(alert.id, ()) if each.epoch == alert.epoch}

    def asked(self, alert: Alert) -> int:
        return load(alert.frozen).steps[alert.step].answers


Check = Callable[[Seen], Iterator[str]]


def an_open_alert_is_due(seen: Seen) -> Iterator[str]:
    for alert in seen.alerts.values():
        if alert.status == alerts.CLOSED:
            continue
        if alert.due_ms is None:
            yield f"{alert.id[:8]} is {alert.status} and has no due instant"
        elif not seen.now_ms <= alert.due_ms <= seen.now_ms + alert.span_ms:
            yield f"{alert.id[:8]} is due in {alert.due_ms - seen.now_ms} ms of {alert.span_ms}"
        elif alert.status == alerts.ANSWERED and len(seen.answerers(alert)) < seen.asked(alert):
            step = load(alert.frozen).steps[alert.step]
            if alert.span_ms > step.delay_ms and _last_place(seen, alert) != "empty-step":
                yield f"{alert.id[:8]} misses an answer and is due only in {alert.span_ms} ms"


def one_open_alert_a_key_and_one_alert_a_signal(seen: Seen) -> Iterator[str]:
    open_keys = Counter(each.dedup for each in seen.alerts.values() if each.status != alerts.CLOSED)
    yield from (f"{count} open alerts of {key}" for key, count in open_keys.items() if count > 1)
    yield from (f"signal {signal} is in alerts {of}" for signal, of in seen.signals.items() if len(of) != 1)
    counted = Counter(of for each in seen.signals.values() for of in each)
    for alert in seen.alerts.values():
        if alert.category != alerts.TECHNICAL and alert.presses != counted[alert.id]:
            yield f"{alert.id[:8]} counts {alert.presses} presses, {counted[alert.id]} were accepted"


def closed_is_terminal(seen: Seen) -> Iterator[str]:
    for alert in seen.looked_at():
        if alert.status != alerts.CLOSED:
            continue
        if alert.due_ms is not None:
            yield f"{alert.id[:8]} is closed and due"
        stops = (dispatches.NOTIFY, dispatches.TAKEN, dispatches.INFO)
        if any(each.status in dispatches.OPEN and each.kind in stops for each in seen.orders.get(alert.id, ())):
            yield f"{alert.id[:8]} is closed and something is pending"
        chain = [each.what for each in seen.entries.get(alert.id, ())]
        if any(what in ("step", "raised", "reopened", "answered") for what in chain[chain.index("closed") :]):
            yield f"{alert.id[:8]} went on after it was closed"
        second = not (alert.silent or alert.category == alerts.THREAT) or alert.mode == alerts.PROBE
        if not second and alert.closed_by is not None and alert.close_asked_by in (None, alert.closed_by):
            yield f"{alert.id[:8]} takes two to close, and one closed it"


def after_an_answer_only_those_who_must_answer_too_are_told(seen: Seen) -> Iterator[str]:
    for alert in seen.looked_at():
        if alert.status != alerts.ANSWERED:
            continue
        waiting = [
            each
            for each in seen.orders.get(alert.id, ())
            if each.kind == dispatches.NOTIFY and each.status in dispatches.OPEN
        ]
        answerers = seen.answerers(alert)
        if waiting and len(answerers) >= seen.asked(alert):
            yield f"{alert.id[:8]} is answered and notices wait"
        for each in waiting:
            if each.person_id is None or each.person_id in answerers:
                yield f"{alert.id[:8]} is answered and {each.target} is told although it need not answer"


def a_dispatch_is_terminal_or_looked_at(seen: Seen) -> Iterator[str]:
    for each in seen.dispatches:
        name = f"{each.kind} {each.id[:8]}"
        if (each.status in dispatches.OPEN) != (each.next_ms is not None):
            yield f"{name} is {each.status} and next is {each.next_ms}"
        elif each.next_ms is not None and each.next_ms < seen.now_ms:
            yield f"{name} is {each.status} and was to be looked at {seen.now_ms - each.next_ms} ms ago"
        elif each.next_ms is not None and each.next_ms > seen.now_ms + 3_600_000:
            yield f"{name} is {each.status} and is looked at in {each.next_ms - seen.now_ms} ms"
        alarm_stopped = each.kind == dispatches.ACTUATE and each.status == dispatches.CANCELLED
        held = each.error == "held" and each.target.endswith("/off")  # another open alert has it on as well
        if alarm_stopped and each.error != "all-clear" and not held:
            yield f"{name} was withdrawn without an all-clear: {each.error}"


def failed_means_four_tries_or_a_permanent_refusal(seen: Seen) -> Iterator[str]:
    for each in seen.dispatches:
        tries, permanent = seen.refusals.get(each.id, (0, False))
        if each.status == dispatches.FAILED and each.kind not in dispatches.ORDERS and tries < 4 and not permanent:
            yield f"{each.kind} {each.id[:8]} failed after {tries} refused tries"
        over = permanent or tries >= 4
        if over and each.kind not in dispatches.ORDERS and each.status in (*dispatches.OPEN, dispatches.HANDED):
            yield f"{each.kind} {each.id[:8]} was refused for good and is {each.status}"


def one_unsent_notice_a_person(seen: Seen) -> Iterator[str]:
    for alert in seen.looked_at():
        kept = Counter(
            (each.epoch, each.target, each.method_id)
            for each in seen.orders.get(alert.id, ())
            if each.kind == dispatches.NOTIFY and each.status == dispatches.PENDING
        )
        yield from (f"{alert.id[:8]} has {count} unsent notices for {key}" for key, count in kept.items() if count > 1)


def the_policy_is_the_frozen_one(seen: Seen) -> Iterator[str]:
    for alert in seen.looked_at():
        frozen = seen.frozen_at_raise[alert.id]
        if alert.frozen != frozen:
            yield f"{alert.id[:8]} runs another policy than it was raised with"
        policy = load(frozen)
        answered: set[int] = set()
        for each in seen.entries.get(alert.id, ()):
            if each.what not in ("step", "answered", "co-answered"):
                continue
            data = json.loads(each.data)
            if each.what != "step":
                answered.add(data["person"])
                continue
            if data["step"] >= len(policy.steps):
                yield f"step {data['step']} of a policy that has {len(policy.steps)}"
                continue
            targets = policy.steps[data["step"]].targets
            for target, channel in data["told"]:
                if not any(_names(one, target, channel) for one in targets) and not (
                    target.startswith("person:") and int(target[7:]) in answered
                ):
                    yield f"step {data['step']} told {target}, whom the frozen policy does not name"


def _names(one: Target, target: str, channel: str) -> bool:
    """Whether a policy's target may have meant this one: people by their numbers, p7 is person 7."""
    if target.startswith("person:"):
        named = not one.person or one.person == f"p{target[7:]}"
        return bool(one.person or one.role or one.roster or one.desk) and named
    if target.startswith("alarm:"):
        return bool(one.alarms) and target.startswith(f"alarm:{one.alarms}/")
    return one.channel == target


def never_silent(seen: Seen) -> Iterator[str]:
    for alert in seen.looked_at():
        tail = alert.pass_ > load(alert.frozen).passes
        said = Counter(
            json.loads(each.data)["epoch"] for each in seen.entries.get(alert.id, ()) if each.what == "unanswered"
        )
        yield from (f"{alert.id[:8]}: epoch {epoch} is unanswered {n} times" for epoch, n in said.items() if n > 1)
        if alert.status != alerts.RAISED:
            continue
        if tail and not alert.unanswered:
            yield f"{alert.id[:8]} is past its policy and nobody says so"
        if tail:
            continue
        if _last_place(seen, alert) == "empty-step":
            yield f"{alert.id[:8]} waits at an empty step"
        place = (alert.epoch, alert.pass_, alert.step)
        mates = [
            each
            for each in seen.orders.get(alert.id, ())
            if each.kind == dispatches.NOTIFY and (each.epoch, each.pass_, each.step) == place
        ]
        if mates and all(each.status == dispatches.FAILED for each in mates):
            yield f"{alert.id[:8]} waits at a step that reached nobody"


def _last_place(seen: Seen, alert: Alert) -> str:
    places = [each.what for each in seen.entries.get(alert.id, ()) if each.what in ("step", "empty-step")]
    return places[-1] if places else ""


def a_drill_or_probe_stays_inside(seen: Seen) -> Iterator[str]:
    for alert in seen.looked_at():
        if alert.mode == alerts.REAL:
            continue
        for each in seen.orders.get(alert.id, ()):
            if each.method_id in seen.external_methods and each.person_id is not None:
                yield f"{alert.id[:8]} is a {alert.mode} and has a dispatch to an external method"
            if each.channel in ("cap", "dc09") or each.person_id in seen.guests:
                yield f"{alert.id[:8]} is a {alert.mode} and has a dispatch to {each.target} by {each.channel}"
            if alert.mode == alerts.PROBE and each.channel != "probe" and each.kind == dispatches.NOTIFY:
                yield f"{alert.id[:8]} is a probe and has a dispatch to {each.target}"


def nobody_outside_is_told(seen: Seen) -> Iterator[str]:
    for alert in seen.looked_at():
        for each in seen.orders.get(alert.id, ()):
            if each.person_id is None or not seen.orgs:
                continue
            if seen.orgs[each.person_id] != alert.org and each.person_id not in seen.guests:
                yield f"{alert.id[:8]} of {alert.org} told {each.target} of {seen.orgs[each.person_id]}"


def a_silent_alert_shows_nothing(seen: Seen) -> Iterator[str]:
    for alert in seen.looked_at():
        orders = [each for each in seen.orders.get(alert.id, ()) if each.kind in dispatches.ORDERS]
        if alert.silent and orders:
            yield f"{alert.id[:8]} is silent, and orders a lamp or an alarm output"
        if alert.mode == alerts.PROBE and any(each.target != "lamp:closed" for each in orders):
            yield f"{alert.id[:8]} is a probe, and orders more than the end of its own lamp logic"


def the_timeline_is_whole_and_gives_the_row_back(seen: Seen) -> Iterator[str]:
    for alert in seen.looked_at():
        chain = seen.entries.get(alert.id, [])
        flaw = timeline.verify(chain, alert.timeline_seq, alert.timeline_hash)
        if flaw is not None:
            yield f"{alert.id[:8]}: entry {flaw.seq} {flaw.reason}"
        folded = timeline.fold(chain)
        for name in FOLDED:
            if getattr(folded, name) != getattr(alert, name):
                yield f"{alert.id[:8]}.{name} is {getattr(alert, name)!r}, its timeline says {getattr(folded, name)!r}"


def no_press_is_merged_with_another_device_s(seen: Seen) -> Iterator[str]:
    whose: dict[str, set[str]] = {}
    for signal, of in seen.signals.items():
        for alert_id in of:
            whose.setdefault(alert_id, set()).add(signal.partition("/")[0])
    yield from (f"{alert_id[:8]} holds presses of {names}" for alert_id, names in whose.items() if len(names) > 1)


INVARIANTS: Mapping[int, Check] = {
    1: an_open_alert_is_due,
    2: one_open_alert_a_key_and_one_alert_a_signal,
    3: closed_is_terminal,
    4: after_an_answer_only_those_who_must_answer_too_are_told,
    5: a_dispatch_is_terminal_or_looked_at,
    6: failed_means_four_tries_or_a_permanent_refusal,
    7: one_unsent_notice_a_person,
    8: the_policy_is_the_frozen_one,
    9: never_silent,
    10: a_drill_or_probe_stays_inside,
    11: nobody_outside_is_told,
    12: a_silent_alert_shows_nothing,
    13: the_timeline_is_whole_and_gives_the_row_back,
    15: no_press_is_merged_with_another_device_s,
}


def violations(seen: Seen) -> list[str]:
    """ "<number>: <what>" of each invariant that does not hold."""
    return [f"{number}: {what}" for number, check in INVARIANTS.items() for what in check(seen)]
