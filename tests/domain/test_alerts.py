"""The transition table, one case a row, and that the code follows it."""

import itertools
from dataclasses import replace

import pytest
from tocsin_backend.domain import alerts, escalation, policies
from tocsin_backend.domain.escalation import Cleared, Close, Due, Escalate, Press, Rows, Take
from tocsin_backend.domain.people import Directory, Method, Person
from tocsin_backend.domain.policies import Policy, Step, Target

NOW = 1_700_000_000_000
PEOPLE = Directory.of([Person(1, "o", "p1", "P1", "supervisor", "fr", (Method(1, "email", "p1@x"),))])
TEXT = policies.dump(Policy("plan", "Plan", 60_000, 1, (Step(30_000, (Target(person="p1"),)),)))


def press(category: str = alerts.CALL) -> Press:
    alert_id = alerts.alert_id("o", "d", "1-1")
    return Press(alert_id, "o", "s", "d", category, alerts.REAL, False, "", "1-1", 1, TEXT)


def in_status(status: str, category: str = alerts.CALL) -> alerts.Alert | None:
    if status == alerts.NONE:
        return None
    raised = escalation.apply(Rows(people=PEOPLE), press(category), NOW).alert
    assert raised is not None
    if status == alerts.RAISED:
        return raised
    event = Take(1, "console") if status == alerts.ANSWERED else Close(1, "real")
    return escalation.apply(Rows(raised, people=PEOPLE), event, NOW).alert


def event_of(fact: str, alert: alerts.Alert | None) -> tuple[alerts.Alert | None, escalation.Event, int]:
    """An event that is this fact for this alert, and the instant at which it is."""
    epoch, pass_, step = (alert.epoch, alert.pass_, alert.step) if alert else (1, 1, 0)
    match fact:
        case "press":
            return (replace(alert, reopened_ms=NOW) if alert else None), press(), NOW + alerts.REPRESS_MS
        case "repress":
            return (replace(alert, reopened_ms=NOW) if alert else None), press(), NOW + alerts.REPRESS_MS + 1
        case "due":
            return alert, Due(), (alert.due_ms or NOW) if alert else NOW
        case "answer":
            return alert, Take(1, "console", epoch), NOW
        case "answer-stale":
            return (replace(alert, epoch=2) if alert else None), Take(1, "console", 1), NOW
        case "escalate":
            return alert, Escalate(1, epoch, pass_, step), NOW
        case "escalate-stale":
            return alert, Escalate(1, epoch, pass_ + 1, step), NOW
        case "close":
            return alert, Close(1, "false", epoch=epoch), NOW
        case "close-stale":
            return (replace(alert, epoch=2) if alert else None), Close(1, "false", epoch=1), NOW
    raise AssertionError(fact)


def test_every_pair_has_a_row_and_every_effect_a_function() -> None:
    pairs = set(itertools.product(alerts.STATUSES, alerts.FACTS))
    assert set(alerts.TRANSITIONS) == pairs
    assert {effect for _, effect in alerts.TRANSITIONS.values()} == set(escalation.EFFECTS)
    assert {after for after, _ in alerts.TRANSITIONS.values()} <= set(alerts.STATUSES)


def test_nothing_leaves_closed_and_a_person_s_call_never_closes_itself() -> None:
    for (before, fact), (after, effect) in alerts.TRANSITIONS.items():
        if before == alerts.CLOSED:
            assert after == alerts.CLOSED or effect == "raise"
        if after == alerts.CLOSED and before != alerts.CLOSED:
            assert fact in ("close", "clear", "answer-cleared")


# fact -> status: what apply says of it
OUTCOMES = {
    ("none", "press"): "raised", ("none", "repress"): "raised", ("none", "due"): "ignored",
    ("none", "answer"): "ignored", ("none", "escalate-stale"): "ignored", ("none", "close"): "ignored",
    ("raised", "close-stale"): "stale", ("answered", "close-stale"): "stale", ("closed", "close-stale"): "ignored",
    ("raised", "press"): "counted", ("raised", "repress"): "counted", ("raised", "due"): "escalated",
    ("raised", "answer"): "won", ("raised", "answer-stale"): "stale", ("raised", "escalate"): "escalated",
    ("raised", "escalate-stale"): "ignored", ("raised", "close"): "closed",
    ("answered", "press"): "counted", ("answered", "repress"): "reopened", ("answered", "due"): "reopened",
    ("answered", "answer"): "won", ("answered", "answer-stale"): "stale", ("answered", "escalate"): "escalated",
    ("answered", "escalate-stale"): "ignored", ("answered", "close"): "closed",
    ("closed", "press"): "raised", ("closed", "repress"): "raised", ("closed", "due"): "ignored",
    ("closed", "answer"): "late", ("closed", "answer-stale"): "late", ("closed", "escalate"): "ignored",
    ("closed", "escalate-stale"): "ignored", ("closed", "close"): "ignored",
}  # fmt: skip


@pytest.mark.parametrize(("status", "fact"), OUTCOMES)
def test_an_event_does_what_its_row_says(status: str, fact: str) -> None:
    alert, event, now_ms = event_of(fact, in_status(status))
    assert escalation.fact_of(alert, event, now_ms) == ("press" if (status, fact) == ("none", "repress") else fact)
    changes = escalation.apply(Rows(alert, people=PEOPLE), event, now_ms)
    assert changes.outcome == OUTCOMES[status, fact]
    after = alerts.TRANSITIONS[status, fact][0]
    if changes.alert is None:
        assert after == status
        assert changes.dispatches == changes.entries == changes.answers == ()
    else:
        assert changes.alert.status == after


@pytest.mark.parametrize(
    ("status", "condition", "event", "after", "outcome"),
    [
        ("raised", "active", Cleared(""), "raised", "cleared"),
        ("answered", "active", Cleared(""), "closed", "closed"),
        ("closed", "active", Cleared(""), "closed", "ignored"),
        ("raised", "cleared", Take(1, "console"), "closed", "won"),
        ("raised", "active", Cleared("other"), "raised", "ignored"),
        ("raised", "cleared", press(alerts.TECHNICAL), "raised", "counted"),
        ("answered", "active", press(alerts.TECHNICAL), "answered", "counted"),
        ("raised", "active", replace(press(alerts.TECHNICAL), subject="lost"), "raised", "counted"),
        ("answered", "active", replace(press(alerts.TECHNICAL), subject="lost"), "raised", "reopened"),
        ("closed", "active", replace(press(alerts.TECHNICAL), subject="lost"), "raised", "raised"),
        ("closed", "active", press(alerts.TECHNICAL), "raised", "raised"),
        ("none", "active", press(alerts.TECHNICAL), "raised", "raised"),
    ],
)
def test_a_technical_alert_closes_once_answered_and_cleared(
    status: str, condition: str, event: escalation.Event, after: str, outcome: str
) -> None:
    alert = in_status(status, alerts.TECHNICAL)
    if alert is not None:
        alert = replace(alert, condition=condition)
    changes = escalation.apply(Rows(alert, people=PEOPLE), event, NOW)
    assert changes.outcome == outcome
    assert (changes.alert or alert).status == after  # type: ignore[union-attr]


def test_the_undeliverable_fact_goes_to_the_next_step_only_while_raised() -> None:
    assert {before: alerts.TRANSITIONS[before, "undeliverable"] for before in alerts.STATUSES} == {
        "none": ("none", "ignore"),
        "raised": ("raised", "skip"),
        "answered": ("answered", "ignore"),
        "closed": ("closed", "ignore"),
    }


def test_a_due_instant_that_another_engine_served_is_nothing() -> None:
    alert = in_status(alerts.RAISED)
    assert alert is not None
    assert escalation.apply(Rows(alert, people=PEOPLE), Due(), alert.due_ms - 1).alert is None  # type: ignore[operator]


def test_a_clock_that_went_back_does_not_hide_a_second_press() -> None:
    answered = in_status(alerts.ANSWERED)
    assert answered is not None
    reopened_once = replace(answered, reopened_ms=NOW, epoch=2)
    changes = escalation.apply(Rows(reopened_once, people=PEOPLE), press(), NOW - 3_600_000)
    assert changes.outcome == "reopened"


def test_ids_are_the_same_wherever_they_are_minted() -> None:
    assert alerts.alert_id("demo", "bau-1", "812-7") == "5293e0f4-bfaf-5202-bc98-b32fc99d14af"
    assert alerts.alert_id("demo", "bau-1", "812-7") != alerts.alert_id("demo", "bau-2", "812-7")
