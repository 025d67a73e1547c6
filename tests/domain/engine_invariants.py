"""ENGINE.md's invariants as a function over rows: what every history, pure or stored, is held against."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tocsin_backend.domain import alerts, dispatches, timeline
from tocsin_backend.domain.alerts import Alert, Answer
from tocsin_backend.domain.dispatches import Dispatch
from tocsin_backend.domain.policies import load
from tocsin_backend.domain.timeline import Entry


@dataclass
class Seen:
    """All rows of a history at one instant, and what the history itself knows."""

    now_ms: int
    alerts: Mapping[str, Alert]
    dispatches: Iterable[Dispatch]
    answers: Iterable[Answer]
    entries: Mapping[str, list[Entry]]
    signals: Mapping[str, list[str]]  # signal -> ids of the alerts it is counted in
    frozen_at_raise: Mapping[str, str]  # alert id -> the policy it was raised with
    refusals: Mapping[str, tuple[int, bool]]  # dispatch id -> (tries whose outcome is known, one was permanent)
    external_methods: frozenset[int] = frozenset()
    people: Mapping[int, frozenset[int]] = field(default_factory=dict)  # person id -> method ids


def violations(seen: Seen) -> list[str]:
    """ "<number>: <what>" of each invariant that does not hold."""
    found: list[str] = []
    orders: dict[str, list[Dispatch]] = {}
    for each in seen.dispatches:
        orders.setdefault(each.alert_id, []).append(each)
    for alert in seen.alerts.values():
        found += _of_alert(seen, alert, orders.get(alert.id, []))
    open_keys = Counter(each.dedup for each in seen.alerts.values() if each.status != alerts.CLOSED)
    found += [f"2: {count} open alerts of {key}" for key, count in open_keys.items() if count > 1]
    found += [f"2: signal {signal} is in alerts {of}" for signal, of in seen.signals.items() if len(of) != 1]
    found += _of_outbox(seen)
    return found


def _of_alert(seen: Seen, alert: Alert, orders: list[Dispatch]) -> list[str]:
    found = []
    name = alert.id[:8]
    waiting = [each for each in orders if each.status in dispatches.OPEN]
    notices = [each for each in waiting if each.kind == dispatches.NOTIFY]
    if alert.status == alerts.CLOSED:
        if alert.due_ms is not None:
            found.append(f"3: {name} is closed and due")
        if notices or any(each.kind == dispatches.TAKEN for each in waiting):
            found.append(f"3: {name} is closed and something is pending")
    else:
        if alert.due_ms is None:
            found.append(f"1: {name} is {alert.status} and has no due instant")
        elif not seen.now_ms <= alert.due_ms <= seen.now_ms + alert.span_ms:
            found.append(f"1: {name} is due in {alert.due_ms - seen.now_ms} ms of {alert.span_ms}")
    if alert.status == alerts.ANSWERED and notices:
        found.append(f"4: {name} is answered and notices wait")
    kept = Counter(
        (each.epoch, each.target, each.method_id)
        for each in orders
        if each.kind == dispatches.NOTIFY and each.status == dispatches.PENDING
    )
    found += [f"7: {name} has {count} unsent notices for {key}" for key, count in kept.items() if count > 1]
    if alert.frozen != seen.frozen_at_raise[alert.id]:
        found.append(f"8: {name} runs another policy than it was raised with")
    found += _of_steps(seen, alert)
    if alert.mode != alerts.REAL and any(each.method_id in seen.external_methods for each in orders):
        found.append(f"10: {name} is a {alert.mode} and reached an external target")
    chain = seen.entries.get(alert.id, [])
    flaw = timeline.verify(chain, alert.timeline_seq, alert.timeline_hash)
    if flaw is not None:
        found.append(f"13: {name}: entry {flaw.seq} {flaw.reason}")
    folded = timeline.fold(chain)
    for field_ in ("status", "condition", "epoch", "pass_", "step", "presses", "unanswered", "answered_by", "reason"):
        if getattr(folded, field_) != getattr(alert, field_):
            told, row = getattr(folded, field_), getattr(alert, field_)
            found.append(f"13: {name}.{field_} is {row!r}, its timeline says {told!r}")
    return found


def _of_steps(seen: Seen, alert: Alert) -> list[str]:
    """Who was told at each step is who the frozen policy names (8); an empty step never waits (9)."""
    import json

    found = []
    policy = load(seen.frozen_at_raise[alert.id])
    chain = seen.entries.get(alert.id, [])
    answered = {json.loads(each.data)["person"] for each in chain if each.what == "answered"}
    last_place = None
    for each in chain:
        data = json.loads(each.data)
        if each.what in ("step", "empty-step"):
            last_place = each.what
        if each.what != "step":
            continue
        step = policy.steps[data["step"]]
        for target, _ in data["told"]:
            person = int(target.partition(":")[2] or 0)
            named = any(t.channel == target for t in step.targets) or person in answered
            if not named and not any(f"p{person}" == t.person or t.role for t in step.targets):
                found.append(f"8: step {data['step']} told {target}, whom the frozen policy does not name")
    tail = alert.pass_ > policy.passes
    if alert.status == alerts.RAISED and last_place == "empty-step" and not tail:
        found.append(f"9: {alert.id[:8]} waits at an empty step")
    return found


def _of_outbox(seen: Seen) -> list[str]:
    found = []
    for each in seen.dispatches:
        name = f"{each.kind} {each.id[:8]}"
        if (each.status in dispatches.OPEN) != (each.next_ms is not None):
            found.append(f"5: {name} is {each.status} and next is {each.next_ms}")
        elif each.next_ms is not None and each.next_ms < seen.now_ms:
            found.append(f"5: {name} is {each.status} and was to be looked at {seen.now_ms - each.next_ms} ms ago")
        if each.status == dispatches.FAILED and each.kind != dispatches.LAMP:
            tries, permanent = seen.refusals.get(each.id, (0, False))
            if tries < 4 and not permanent:
                found.append(f"6: {name} failed after {tries} refused tries")
    return found
