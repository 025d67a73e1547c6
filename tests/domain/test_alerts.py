"""The transition table, one case a row, and that the code follows it."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from tocsin_backend.domain import alerts, dispatches, escalation, policies
from tocsin_backend.domain.alerts import Alert
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.domain.escalation import (
    AllClear,
    Cleared,
    Close,
    Due,
    Escalate,
    Event,
    Press,
    Progress,
    Rows,
    Sent,
    Take,
)
from tocsin_backend.domain.people import Directory, Method, Person
from tocsin_backend.domain.policies import Policy, Step, Target

NOW = 1_700_000_000_000
PEOPLE = replace(
    Directory.of(
        [
            Person(1, "o", "p1", "P1", "supervisor", "fr", (Method(1, "email", "p1@x"),)),
            Person(2, "o", "p2", "P2", "supervisor", "fr", (Method(2, "email", "p2@x"),)),
        ]
    ),
    alarm_groups={"siren": (("horn", "out-1"),)},
)
TEXT = policies.dump(Policy("plan", "Plan", 60_000, 1, (Step(30_000, (Target(person="p1"),)),)))
PAIR = policies.dump(Policy("pair", "Two", 60_000, 1, (Step(30_000, (Target(person="p1"), Target(person="p2")), 2),)))
HORN = policies.dump(Policy("horn", "Horn", 60_000, 1, (Step(30_000, (Target(person="p1"), Target(alarms="siren"))),)))
SELF = policies.dump(Policy("self", "Self", 60_000, 1, (Step(30_000, (Target(person="p1"),)),), clear_closes=True))
PROBE = policies.dump(policies.probe())


def press(category: str = alerts.CALL, frozen: str = TEXT, **more: object) -> Press:
    alert_id = alerts.alert_id("o", "d", "1-1")
    made = Press(alert_id, "o", "s", "d", category, alerts.REAL, False, "", "1-1", 1, frozen)
    return replace(made, **more)  # type: ignore[arg-type]


def after(rows: Rows, event: Event, now_ms: int) -> Rows:
    """The rows once the event was applied."""
    changes = escalation.apply(rows, event, now_ms)
    if changes.alert is None:
        return rows
    changed = {each.id for each in changes.dispatches}
    kept = [each for each in rows.dispatches if each.id not in changed]
    answers = {(each.epoch, each.person_id): each for each in (*rows.answers, *changes.answers)}
    return replace(rows, alert=changes.alert, dispatches=(*kept, *changes.dispatches), answers=tuple(answers.values()))


def in_status(status: str, event: Press | None = None) -> Rows:
    """The rows of an alert in this status; `event` raised it."""
    rows = Rows(people=PEOPLE)
    if status == alerts.NONE:
        return rows
    rows = after(rows, event or press(), NOW)
    if status == alerts.ANSWERED:
        rows = after(rows, Take(1, "console"), NOW)
    if status == alerts.CLOSED:
        rows = after(rows, Close(1, "real"), NOW)
        rows = rows if rows.alert and rows.alert.status == alerts.CLOSED else after(rows, Close(2, "real"), NOW)
    return rows


Situation = tuple[Rows, Event, int]


def _reopened(rows: Rows) -> Rows:
    return replace(rows, alert=replace(rows.alert, reopened_ms=NOW)) if rows.alert else rows


def _later(rows: Rows) -> Rows:
    return replace(rows, alert=replace(rows.alert, epoch=2)) if rows.alert else rows


def _cleared(rows: Rows) -> Rows:
    return replace(rows, alert=replace(rows.alert, condition=alerts.CLEARED)) if rows.alert else rows


def _asked(rows: Rows, person: int) -> Rows:
    return replace(rows, alert=replace(rows.alert, close_asked_by=person)) if rows.alert else rows


def _quote(alert: Alert | None) -> tuple[int, int, int]:
    return (alert.epoch, alert.pass_, alert.step) if alert else (1, 1, 0)


def _due_ms(rows: Rows) -> int:
    return (rows.alert.due_ms or NOW) if rows.alert else NOW


def _sent(rows: Rows, outcome: Outcome) -> Event:
    notices = [each for each in rows.dispatches if each.kind == dispatches.NOTIFY]
    return Sent(notices[0].id if notices else "none", outcome)


def _with(event: Press, act: Callable[[Rows], Situation]) -> Callable[[str], Situation]:
    return lambda status: act(in_status(status, event))


CALL, THREAT, FAULT = press(), press(alerts.THREAT), press(alerts.TECHNICAL)
TEST = press(frozen=PROBE, mode=alerts.PROBE)
REFUSED = Outcome(False, permanent=True)
# How each fact comes about, in an alert that is in a given status.
SITUATIONS: dict[str, Callable[[str], Situation]] = {
    "press": _with(CALL, lambda rows: (_reopened(rows), CALL, NOW + alerts.REPRESS_MS)),
    "repress": _with(CALL, lambda rows: (_reopened(rows), CALL, NOW + alerts.REPRESS_MS + 1)),
    "due": _with(CALL, lambda rows: (rows, Due(), _due_ms(rows))),
    "due-missing": _with(press(frozen=PAIR), lambda rows: (rows, Due(), _due_ms(rows))),
    "undeliverable": _with(CALL, lambda rows: (rows, _sent(rows, REFUSED), NOW)),
    "answer": _with(CALL, lambda rows: (rows, Take(1, "console", 1), NOW)),
    "answer-more": _with(press(frozen=PAIR), lambda rows: (rows, Take(2, "console", 1), NOW)),
    "answer-cleared": _with(FAULT, lambda rows: (_cleared(rows), Take(1, "console"), NOW)),
    "answer-stale": _with(CALL, lambda rows: (_later(rows), Take(1, "console", 1), NOW)),
    "progress": _with(CALL, lambda rows: (rows, Progress(1, alerts.ON_SITE, 1), NOW)),
    "progress-other": _with(CALL, lambda rows: (rows, Progress(2, alerts.EN_ROUTE), NOW)),
    "progress-stale": _with(CALL, lambda rows: (_later(rows), Progress(1, alerts.EN_ROUTE, 1), NOW)),
    "help": _with(CALL, lambda rows: (rows, Progress(1, alerts.NEEDS_HELP), NOW)),
    "escalate": _with(CALL, lambda rows: (rows, Escalate(1, *_quote(rows.alert)), NOW)),
    "escalate-stale": _with(CALL, lambda rows: (rows, Escalate(1, 1, 2, 0), NOW)),
    "close": _with(CALL, lambda rows: (rows, Close(1, "false", epoch=1), NOW)),
    "close-first": _with(THREAT, lambda rows: (rows, Close(1, "false"), NOW)),
    "close-same": _with(THREAT, lambda rows: (_asked(rows, 1), Close(1, "false"), NOW)),
    "close-stale": _with(CALL, lambda rows: (_later(rows), Close(1, "false", epoch=1), NOW)),
    "all-clear": _with(press(frozen=HORN), lambda rows: (rows, AllClear(1), NOW)),
    "clear": _with(FAULT, lambda rows: (rows, Cleared(""), NOW)),
    "clear-closes": _with(press(alerts.TECHNICAL, SELF), lambda rows: (rows, Cleared(""), NOW)),
    "return": _with(FAULT, lambda rows: (rows, FAULT, NOW)),
    "return-other": _with(FAULT, lambda rows: (rows, replace(FAULT, subject="lost"), NOW)),
    "return-soon": _with(FAULT, lambda rows: (_reopened(rows), replace(FAULT, subject="lost"), NOW + 1)),
    "probed": _with(TEST, lambda rows: (rows, _sent(rows, Outcome(True)), NOW)),
    "probe-failed": _with(TEST, lambda rows: (rows, Due(), _due_ms(rows))),
}

# The law, by hand: fact -> for each of none, raised, answered, closed "the next status: what is said of it".
EXPECTED = {
    "press": ("raised: raised", "raised: counted", "answered: counted", "raised: raised"),
    "repress": ("raised: raised", "raised: counted", "raised: reopened", "raised: raised"),
    "due": ("none: ignored", "raised: escalated", "raised: reopened", "closed: ignored"),
    "due-missing": ("none: ignored", "raised: escalated", "answered: reminded", "closed: ignored"),
    "undeliverable": ("none: ignored", "raised: recorded", "answered: ignored", "closed: ignored"),
    "answer": ("none: ignored", "answered: won", "answered: won", "closed: late"),
    "answer-more": ("none: ignored", "answered: won", "answered: won", "closed: late"),
    "answer-cleared": ("none: ignored", "closed: won", "answered: won", "closed: late"),
    "answer-stale": ("none: ignored", "raised: stale", "answered: stale", "closed: late"),
    "progress": ("none: ignored", "raised: recorded", "answered: recorded", "closed: late"),
    "progress-other": ("none: ignored", "raised: recorded", "answered: recorded", "closed: late"),
    "progress-stale": ("none: ignored", "raised: stale", "answered: stale", "closed: late"),
    "help": ("none: ignored", "raised: recorded", "raised: reopened", "closed: late"),
    "escalate": ("none: ignored", "raised: escalated", "raised: escalated", "closed: ignored"),
    "escalate-stale": ("none: ignored", "raised: ignored", "answered: ignored", "closed: ignored"),
    "close": ("none: ignored", "closed: closed", "closed: closed", "closed: ignored"),
    "close-first": ("none: ignored", "raised: second-needed", "answered: second-needed", "closed: ignored"),
    "close-same": ("none: ignored", "raised: second-needed", "answered: second-needed", "closed: ignored"),
    "close-stale": ("none: ignored", "raised: stale", "answered: stale", "closed: ignored"),
    "all-clear": ("none: ignored", "raised: all-clear", "answered: all-clear", "closed: all-clear"),
    "clear": ("none: ignored", "raised: cleared", "closed: closed", "closed: ignored"),
    "clear-closes": ("none: ignored", "closed: closed", "closed: closed", "closed: ignored"),
    "return": ("raised: raised", "raised: counted", "answered: counted", "raised: raised"),
    "return-other": ("raised: raised", "raised: counted", "raised: reopened", "raised: raised"),
    "return-soon": ("raised: raised", "raised: counted", "answered: counted", "raised: raised"),
    "probed": ("none: ignored", "closed: closed", "closed: closed", "closed: recorded"),
    "probe-failed": ("none: ignored", "closed: closed", "closed: closed", "closed: ignored"),
}
# Facts whose guard asks for something that an alert in this status cannot have: the situation is another fact there.
OTHERWISE = {
    ("none", "repress"): "press", ("none", "due-missing"): "due", ("raised", "due-missing"): "due",
    ("closed", "due-missing"): "due", ("none", "answer-more"): "answer", ("raised", "answer-more"): "answer",
    ("closed", "answer-more"): "answer", ("none", "answer-cleared"): "answer", ("none", "answer-stale"): "answer",
    ("none", "progress"): "progress-other", ("raised", "progress"): "progress-other",
    ("closed", "progress"): "progress-other", ("none", "progress-stale"): "progress-other",
    ("none", "escalate"): "escalate-stale", ("none", "close-first"): "close", ("none", "close-same"): "close",
    ("closed", "close-first"): "close-same", ("none", "close-stale"): "close", ("none", "clear-closes"): "clear",
    ("none", "return-other"): "return", ("none", "return-soon"): "return", ("none", "probe-failed"): "due",
}  # fmt: skip


PAIRS = list(itertools.product(alerts.STATUSES, alerts.FACTS))


def test_every_pair_has_a_row_and_every_effect_a_function() -> None:
    assert set(alerts.TRANSITIONS) == set(PAIRS)
    assert {effect for _, effect in alerts.TRANSITIONS.values()} == set(escalation.EFFECTS)
    assert {next_ for next_, _ in alerts.TRANSITIONS.values()} <= set(alerts.STATUSES)
    assert set(EXPECTED) == set(SITUATIONS) == set(alerts.FACTS)


def test_nothing_leaves_closed_and_a_person_s_call_never_closes_itself() -> None:
    for (before, fact), (next_, effect) in alerts.TRANSITIONS.items():
        if before == alerts.CLOSED:
            assert next_ == alerts.CLOSED or effect == "raise"
        if next_ == alerts.CLOSED and before != alerts.CLOSED:
            assert fact in ("close", "clear", "clear-closes", "answer-cleared", "probed", "probe-failed")


@pytest.mark.parametrize(("status", "fact"), PAIRS)
def test_an_event_does_what_its_row_says(status: str, fact: str) -> None:
    rows, event, now_ms = SITUATIONS[fact](status)
    if not isinstance(event, Sent):
        assert escalation.fact_of(rows, event, now_ms) == OTHERWISE.get((status, fact), fact)
    changes = escalation.apply(rows, event, now_ms)
    next_, said = EXPECTED[fact][alerts.STATUSES.index(status)].split(": ")
    if (status, fact) in OTHERWISE:
        next_, said = EXPECTED[OTHERWISE[status, fact]][alerts.STATUSES.index(status)].split(": ")
    before = rows.alert.status if rows.alert else alerts.NONE
    if isinstance(event, Sent) and before in (alerts.ANSWERED, alerts.CLOSED) and fact == "undeliverable":
        assert changes.alert is None, "it was cancelled by then: what came of it changes nothing"
        return
    assert (changes.alert.status if changes.alert else before, changes.outcome) == (next_, said)
    if said == "ignored" and changes.alert is None:
        assert changes.dispatches == changes.entries == changes.answers == changes.trouble == ()


@pytest.mark.parametrize(("status", "fact"), PAIRS)
def test_the_law_by_hand_and_the_table_agree(status: str, fact: str) -> None:
    assert EXPECTED[fact][alerts.STATUSES.index(status)].split(":")[0] == alerts.TRANSITIONS[status, fact][0]


@pytest.mark.parametrize(
    ("status", "condition", "event", "next_", "outcome"),
    [
        ("raised", "active", Cleared("other"), "raised", "ignored"),
        ("raised", "cleared", FAULT, "raised", "counted"),
        ("answered", "cleared", Take(2, "console"), "answered", "taken"),
        ("closed", "active", replace(FAULT, subject="lost"), "raised", "raised"),
        ("closed", "active", FAULT, "raised", "raised"),
    ],
)
def test_a_technical_alert_closes_once_answered_and_cleared(
    status: str, condition: str, event: Event, next_: str, outcome: str
) -> None:
    rows = in_status(status, FAULT)
    assert rows.alert is not None
    rows = replace(rows, alert=replace(rows.alert, condition=condition))
    changes = escalation.apply(rows, event, NOW)
    assert changes.outcome == outcome
    assert (changes.alert or rows.alert).status == next_


def test_a_due_instant_that_another_engine_served_is_nothing() -> None:
    rows = in_status(alerts.RAISED)
    assert escalation.apply(rows, Due(), _due_ms(rows) - 1).alert is None


def test_a_clock_that_went_back_does_not_hide_a_second_press() -> None:
    rows = in_status(alerts.ANSWERED)
    assert rows.alert is not None
    rows = replace(rows, alert=replace(rows.alert, reopened_ms=NOW, epoch=2))
    assert escalation.apply(rows, press(), NOW - 3_600_000).outcome == "reopened"


def test_ids_are_the_same_wherever_they_are_minted() -> None:
    assert alerts.alert_id("demo", "bau-1", "812-7") == "5293e0f4-bfaf-5202-bc98-b32fc99d14af"
    assert alerts.alert_id("demo", "bau-1", "812-7") != alerts.alert_id("demo", "bau-2", "812-7")


def test_what_concerns_no_device_is_told_apart_by_its_subject_and_another_s_device_by_its_organisation() -> None:
    keys = [
        alerts.dedup_key("o", "", "", "technical", "real", subject="lateness"),
        alerts.dedup_key("o", "", "", "technical", "real", subject="engine-silent"),
        alerts.dedup_key("o", "s", "d", "technical", "real", subject="lost"),
        alerts.dedup_key("o", "s", "d", "technical", "real", subject="unanswered", device_org="child"),
    ]
    assert len(set(keys)) == 4
    assert alerts.dedup_key("o", "s", "d", "technical", "real", subject="stuck", device_org="o") == keys[2]


@pytest.mark.parametrize(
    ("kind", "category"), [("call_post", "call"), ("personal_button", "personal"), ("ppms_trigger", "threat")]
)
def test_what_a_press_on_a_device_means(kind: str, category: str) -> None:
    assert alerts.CATEGORY_OF_KIND[kind] == category
