"""A test of the tests: the oracle passes a good run and catches each kind of bad one."""

from dataclasses import replace
from uuid import uuid5

import chain_oracle
import pytest
from chain_oracle import MS, Lit, Pressed, Tables, Tone, judge
from tocsin_backend.domain.alerts import NAMESPACE

T_MS = 1_800_000_000_000
ALERT = str(uuid5(NAMESPACE, "demo/bau-1/3-7"))
PRESS = Pressed("bau-1", 3, 7, T_MS * MS, (T_MS + 40) * MS, (T_MS + 40) * MS)
SHOWN = [
    Tone("bau-1", (T_MS + 60) * MS, "sent"),
    Lit("bau-1", (T_MS + 60) * MS, (T_MS + 6_000) * MS, "sent"),
    Tone("bau-1", (T_MS + 6_010) * MS, "answered"),
]


def tables() -> Tables:
    key = {"org": "demo", "device": "bau-1", "b": 3, "n": 7, "alert_id": ALERT}
    instants = {"contact_ms": T_MS, "published_ms": T_MS + 45, "received_ms": T_MS + 45, "held_ms": T_MS + 46}
    return Tables(
        signals=[{**key, "kind": "press", "stored_ms": T_MS + 50}],
        alerts=[{"id": ALERT, "category": "call", "presses": 1, "dedup": "d", "status": "answered"}],
        answers=[{"alert_id": ALERT, "at_ms": T_MS + 6_000}],
        ledgers=[{**key, **instants, "stored_ms": T_MS + 50, "handed_ms": T_MS + 55, "answered_ms": T_MS + 6_000}],
        dispatches=[{"id": "m1", "maybe_dup": 0}, {"id": "m2", "maybe_dup": 1}],
    )


def test_a_good_run_is_clean():
    assert judge([PRESS], SHOWN, tables(), ["m1", "m2", "m2"]) == chain_oracle.Verdict()


def found(verdict: chain_oracle.Verdict) -> set[str]:
    return {name for name in ("lost", "duplicates", "lies", "violations") if getattr(verdict, name)}


def lose(t: Tables) -> None:
    for rows in (t.signals, t.ledgers, t.alerts):
        rows.clear()


def orphan(t: Tables) -> None:
    t.alerts.clear()


def second_signal(t: Tables) -> None:
    t.signals.append(dict(t.signals[0]))
    t.alerts[0]["presses"] = 2


def phantom(t: Tables) -> None:
    t.signals.append({**t.signals[0], "n": 8})
    t.ledgers.append({**t.ledgers[0], "n": 8})
    t.alerts[0]["presses"] = 2


def second_alert(t: Tables) -> None:
    t.alerts.append({**t.alerts[0], "id": "another", "presses": 0})


def late_store(t: Tables) -> None:
    t.signals[0]["stored_ms"] = T_MS + 61
    t.ledgers[0]["stored_ms"] = T_MS + 61
    t.ledgers[0]["handed_ms"] = T_MS + 62


def no_answer(t: Tables) -> None:
    t.answers.clear()


def backwards(t: Tables) -> None:
    t.ledgers[0]["held_ms"] = T_MS + 51


@pytest.mark.parametrize(
    ("spoil", "kinds"),
    [
        (lose, {"lost", "lies"}),
        (orphan, {"lost"}),
        (second_signal, {"duplicates"}),
        (phantom, {"duplicates"}),
        (second_alert, {"duplicates"}),
        (late_store, {"lies"}),
        (no_answer, {"lies"}),
        (backwards, {"violations"}),
    ],
)
def test_a_spoilt_database_is_caught(spoil, kinds):
    spoilt = tables()
    spoil(spoilt)
    assert found(judge([PRESS], SHOWN, spoilt)) == kinds


def test_an_unmarked_second_notice_and_a_foreign_one_are_caught():
    assert len(judge([PRESS], SHOWN, tables(), ["m1", "m1"]).violations) == 1
    assert len(judge([PRESS], SHOWN, tables(), ["m9"]).violations) == 1


def test_a_light_is_judged_by_the_newest_press_it_outlasted():
    again = replace(PRESS, n=9, known_ns=(T_MS + 2_000) * MS)
    spoilt = tables()
    assert "bau-1 3-9 was shown sent and is not stored" in judge([PRESS, again], SHOWN[:2], spoilt).lies
    # A press that came just before the light changed was never told anything by it.
    late = replace(again, known_ns=(T_MS + 5_900) * MS)
    assert judge([PRESS, late], SHOWN[:2], spoilt).lies == []


def test_a_light_before_any_press_is_a_lie():
    assert len(judge([], SHOWN[:1], tables()).lies) == 1
