"""Hours: nights when the clocks change, holidays, rosters and their gaps, hand-over between organisations."""

from datetime import datetime

import pytest
from backend_rig import ORG, SCREEN, Post, Rig, steps, who
from rig_estate import calendar, channels, desk, organisation, override, person_of, roster
from tocsin_backend.domain import calendars, localtime, rosters
from tocsin_backend.domain.policies import Target
from tocsin_backend.domain.rosters import Layer, Roster
from tocsin_backend.errors import NotFound
from town import ANNE, BOB, CARL, FOREVER_MS, answer

PARIS = "Europe/Paris"
PM, GARDE = "pm@ville", "garde@gendarmerie"
SCREEN_TOLD = {("console", "notify"): 1}


def at(town: Rig, reading: str) -> None:
    """The clocks of the town show this, forward from now."""
    now_ms = localtime.read(reading, PARIS)
    assert now_ms >= town.clock.now
    town.clock.now = now_ms


def lone(town: Rig, device: str, policy: str = "plan") -> Post:
    """A post of another site, that need not beat."""
    return town.post(device, site="gare", policy=policy, reporting_ms=FOREVER_MS)


@pytest.fixture
def night(town: Rig) -> Rig:
    """The municipal police by day, the gendarmerie at night: 08:00 to 20:00 and the rest; every 10 minutes again."""
    organisation(town, "ville")
    organisation(town, "gendarmerie")
    person_of(town, "ville", "pm", sms=PM)
    person_of(town, "gendarmerie", "garde", sms=GARDE)
    desk(town, "ville", "poste", role="supervisor")
    desk(town, "gendarmerie", "brigade", role="supervisor")
    channels(town, "sms")
    calendar(town, calendars.parse({"id": "jour", "title": "Jour", "rule": [{"hours": ["08:00-20:00"]}]}))
    by_day = Target(desk="ville/poste", during="jour")
    at_night = Target(desk="gendarmerie/brigade", not_during="jour")
    town.policy(steps((600, [SCREEN, by_day, at_night]), id="relais", answer_timeout_ms=1_800_000))
    return town


def test_36_by_day_the_municipal_police_is_told_and_at_night_the_gendarmerie(night: Rig) -> None:
    at(night, "2026-03-10 19:59")
    lone(night, "bau-1", "relais").press()
    night.run()
    assert night.told() == {**SCREEN_TOLD, (PM, "notify"): 1}
    at(night, "2026-03-10 20:00")
    lone(night, "bau-2", "relais").press()
    night.run()
    assert night.told() == {**SCREEN_TOLD, (GARDE, "notify"): 1}


def test_37_the_hand_over_comes_while_an_alert_rings(night: Rig) -> None:
    at(night, "2026-03-10 19:55")
    alert = lone(night, "bau-1", "relais").press()["alert"]
    night.run()
    assert night.told() == {**SCREEN_TOLD, (PM, "notify"): 1}
    night.run(600_000)
    assert night.told() == {("console", "notify"): 2, (GARDE, "notify"): 1}, "the screen: also that it is unanswered"
    assert night.engine.answer("gendarmerie", alert, night.persons["garde"], "sms") == "won"
    night.run()
    assert night.told() == {(PM, "taken"): 1}


def test_38_whoever_was_not_told_has_no_say_in_another_organisation_s_alert(night: Rig) -> None:
    at(night, "2026-03-10 12:00")
    alert = lone(night, "bau-1", "relais").press()["alert"]
    night.run()
    with pytest.raises(NotFound):
        night.engine.answer("gendarmerie", alert, night.persons["garde"], "sms")
    assert night.engine.answer("ville", alert, night.persons["pm"], "sms") == "won"


def test_39_a_drill_reaches_no_desk_outside_and_a_real_press_beside_it_does(night: Rig) -> None:
    at(night, "2026-03-10 12:00")
    lone(night, "bau-1", "relais").press(mode="drill")
    night.run()
    assert night.told() == SCREEN_TOLD
    lone(night, "bau-2", "relais").press()
    night.run()
    assert night.told() == {**SCREEN_TOLD, (PM, "notify"): 1}


def test_40_an_invitation_that_was_withdrawn_tells_nobody_and_says_so(night: Rig) -> None:
    at(night, "2026-03-10 12:00")
    night.policy(steps((600, [Target(desk="ville/poste")]), (600, [who("anne")]), id="seul"))
    night.sql("UPDATE invitation SET revoked_ms=1 WHERE host='ville'")
    lone(night, "bau-1", "seul").press()
    night.run()
    assert night.told() == {**SCREEN_TOLD, (ANNE, "notify"): 1}, "the screen: a step has nobody"


@pytest.mark.parametrize(("reading", "hour"), [("2026-03-29 01:59", "01:59:00"), ("2026-10-25 02:59", "02:59:00")])
def test_41_the_steps_keep_their_pace_in_the_nights_when_the_clocks_change(town: Rig, reading: str, hour: str) -> None:
    at(town, reading)
    lone(town, "bau-1").press()
    town.run(29_999)
    assert f"à {hour}," in town.channels["webhook"].sent[0].message.text
    assert town.told() == {**SCREEN_TOLD, (ANNE, "notify"): 1}
    town.run(1)
    assert town.told() == {(BOB, "notify"): 1}
    town.run(59_999)
    assert town.told() == {}
    town.run(1)
    assert town.told() == {(CARL, "notify"): 1}
    town.run(119_999)
    assert town.told() == {}


def test_42_the_night_watch_of_29_march_is_an_hour_shorter_and_leaves_no_hole(town: Rig) -> None:
    """Anne from 20:00 to 02:30, Bob from 02:30 to 08:00: 02:30 does not come, and Bob begins at 03:00."""
    rules = [{"hours": ["20:00-02:30"], "people": ["anne"]}, {"hours": ["02:30-08:00"], "people": ["bob"]}]
    roster(town, rosters.parse({"id": "nuit", "title": "Nuit", "rule": rules}, {"anne": 1, "bob": 1}, {}, PARIS))
    town.policy(steps((3_600, [Target(roster="nuit")]), id="veille"))
    at(town, "2026-03-29 01:59")
    lone(town, "bau-1", "veille").press()
    town.run(59_000)
    assert town.told() == {(ANNE, "notify"): 1}
    town.run(1_000)
    assert localtime.local(town.clock.now, PARIS).hour == 3
    lone(town, "bau-2", "veille").press()
    town.run()
    assert town.told() == {(BOB, "notify"): 1}


def test_43_the_hour_that_comes_twice_on_25_october_has_one_watch_each_time(town: Rig) -> None:
    rules = [{"hours": ["20:00-02:30"], "people": ["anne"]}, {"hours": ["02:30-08:00"], "people": ["bob"]}]
    roster(town, rosters.parse({"id": "nuit", "title": "Nuit", "rule": rules}, {"anne": 1, "bob": 1}, {}, PARIS))
    town.policy(steps((10_000, [Target(roster="nuit")]), id="veille"))
    at(town, "2026-10-25 02:29")
    lone(town, "bau-1", "veille").press()
    town.run(60_000)
    assert town.told() == {(ANNE, "notify"): 1}
    for number in (2, 3):  # 02:30, and 02:30 once more an hour later: Bob has begun
        lone(town, f"bau-{number}", "veille").press()
        town.run()
        assert town.told() == {(BOB, "notify"): 1}
        town.run(3_600_000)


@pytest.mark.parametrize(("day", "told"), [("2026-02-12", ANNE), ("2026-02-16", CARL), ("2026-03-03", ANNE)])
def test_44_in_the_school_holidays_of_its_zone_the_caretaker_is_told_instead_of_the_head(
    town: Rig, day: str, told: str
) -> None:
    """Zone B: 14 February to 1 March 2026."""
    rule = {"only": ["school-holiday"]}
    calendar(town, calendars.parse({"id": "vacances", "title": "V", "school_zone": "B", "rule": [rule]}))
    head, caretaker = Target(person="anne", not_during="vacances"), Target(person="carl", during="vacances")
    town.policy(steps((600, [head, caretaker]), id="ecole"))
    at(town, f"{day} 10:00")
    lone(town, "bau-1", "ecole").press()
    town.run(599_000)
    assert town.told() == {(told, "notify"): 1}


@pytest.mark.parametrize(("day", "told"), [("2026-07-13", ANNE), ("2026-07-14", BOB), ("2026-04-06", BOB)])
def test_45_on_public_holidays_somebody_else_is_told(town: Rig, day: str, told: str) -> None:
    """14 July and Easter Monday."""
    calendar(town, calendars.parse({"id": "feries", "title": "F", "rule": [{"only": ["public-holiday"]}]}))
    town.policy(
        steps((600, [Target(person="anne", not_during="feries"), Target(person="bob", during="feries")]), id="fetes")
    )
    at(town, f"{day} 10:00")
    lone(town, "bau-1", "fetes").press()
    town.run(599_000)
    assert town.told() == {(told, "notify"): 1}


def weekly(town: Rig) -> None:
    """Anne and Bob by weeks, handed over on Mondays at 08:00; Anne has the week of 2 March 2026."""
    turns = Layer((("anne",), ("bob",)), 168, datetime(2026, 3, 2, 8))
    roster(town, Roster("duty", "Astreinte", (turns,)))
    town.policy(steps((300, [Target(roster="duty")]), (300, [who("carl")]), id="duty", answer_timeout_ms=3_600_000))


def test_46_the_week_is_handed_over_on_monday_morning(town: Rig) -> None:
    weekly(town)
    at(town, "2026-03-09 07:59")
    lone(town, "bau-1", "duty").press()
    town.run()
    assert town.told() == {(ANNE, "notify"): 1}
    at(town, "2026-03-09 08:00")
    lone(town, "bau-2", "duty").press()
    town.run()
    assert town.told() == {(BOB, "notify"): 1}


def test_47_somebody_stands_in_for_the_one_who_is_ill(town: Rig) -> None:
    weekly(town)
    at(town, "2026-03-10 12:00")
    override(town, "duty", town.clock.now - 3_600_000, town.clock.now + 3_600_000, "anne")
    lone(town, "bau-1", "duty").press()
    town.run()
    assert town.told() == {(ANNE, "notify"): 1}, "Bob's week, and Anne stands in"


def test_48_a_gap_in_the_roster_goes_to_the_next_step_at_once_and_is_said(town: Rig) -> None:
    weekly(town)
    at(town, "2026-03-10 12:00")
    override(town, "duty", town.clock.now - 3_600_000, town.clock.now + 3_600_000, "")
    alert = lone(town, "bau-1", "duty").press()["alert"]
    town.run()
    assert town.told() == {**SCREEN_TOLD, (CARL, "notify"): 1}
    assert answer(town, alert, "carl") == "won"
    town.run(3_000_000)
    assert town.told() == {}
    [(subject,)] = town.sql("SELECT subject FROM alert WHERE category='technical' AND org=?", ORG)
    assert subject == "empty-step"


def test_49_a_roster_edited_while_an_alert_rings_counts_from_its_next_step(town: Rig) -> None:
    weekly(town)
    town.policy(steps((300, [Target(roster="duty")]), id="seul", passes=2))
    at(town, "2026-03-10 12:00")
    lone(town, "bau-1", "seul").press()
    town.run()
    assert town.told() == {(BOB, "notify"): 1}
    override(town, "duty", town.clock.now, town.clock.now + 3_600_000, "anne")
    town.run(300_000)
    assert town.told() == {(ANNE, "notify"): 1}


def test_50_who_is_told_follows_the_clock_of_the_site(town: Rig) -> None:
    """A site on La Réunion, two hours ahead in summer: by day there, at night here."""
    calendar(town, calendars.parse({"id": "jour", "title": "Jour", "rule": [{"hours": ["08:00-20:00"]}]}))
    by_day, at_night = Target(person="anne", during="jour"), Target(person="bob", not_during="jour")
    town.policy(steps((600, [by_day, at_night]), id="zone"))
    at(town, "2026-07-01 19:00")
    here = lone(town, "bau-1", "zone")
    there = town.post("bau-2", site="port", policy="zone", reporting_ms=FOREVER_MS)
    town.sql("UPDATE site SET timezone='Indian/Reunion' WHERE id='port'")
    here.press()
    town.run()
    assert town.told() == {(ANNE, "notify"): 1}
    there.press()
    town.run()
    assert "à 21:00:00," in town.channels["webhook"].sent[0].message.text
    assert town.told() == {(BOB, "notify"): 1}
