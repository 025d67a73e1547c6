from dataclasses import replace

import pytest
from tocsin_backend.domain import calendars, localtime, rosters
from tocsin_backend.domain.owed import at_desk, is_in_force, owed
from tocsin_backend.domain.people import Desk, Directory, Method, Person
from tocsin_backend.domain.policies import Target

PARIS = "Europe/Paris"
DAY = calendars.parse({"id": "jour", "title": "Jour", "rule": [{"hours": ["08:00-20:00"]}]})
HOLIDAYS = calendars.parse({"id": "feries", "title": "F", "rule": [{"only": ["public-holiday"]}]})


def person(number: int, org: str, role: str = "supervisor") -> Person:
    method = Method(number * 10, "email", f"p{number}@example.org")
    return Person(number, org, f"p{number}", f"P {number}", role, "fr", (method,))


def weekly(*people: str) -> rosters.Roster:
    layer = {"every": "week", "start": "2026-01-05", "people": list(people)}
    return rosters.parse({"id": "x", "title": "X", "layer": [layer]}, dict.fromkeys(people), {}, PARIS)


PEOPLE = [person(3, "town"), person(1, "school"), person(2, "school"), person(4, "town", "technician")]
WORLD = Directory(
    {each.id: each for each in PEOPLE},
    {"astreinte": weekly("p1", "p2"), "town/nuit": weekly("p4", "p3")},
    {"jour": DAY, "feries": HOLIDAYS},
    {
        "town/pm": Desk("town", "pm", "Police municipale", role="supervisor"),
        "town/garde": Desk("town", "garde", "Garde", roster="nuit", external=False),
    },
    {"sirens": (("post-1", "siren"),)},
    PARIS,
    "school",
)


def at(text: str) -> int:
    return localtime.read(text, PARIS)


def logins(target: Target, when: str = "2026-01-06 12:00", world: Directory = WORLD) -> list[str]:
    return [each.login for each in owed(target, world, at(when))]


def test_whom_each_target_means() -> None:
    assert logins(Target(person="p1")) == ["p1"]
    assert logins(Target(role="supervisor")) == ["p1", "p2"]
    assert logins(Target(roster="astreinte")) == ["p1"]
    assert logins(Target(roster="astreinte"), "2026-01-13 12:00") == ["p2"]
    assert logins(Target(roster="astreinte"), "2026-01-04 12:00") == [], "before its start: a gap"
    assert logins(Target(desk="town/pm")) == ["p3"]
    assert logins(Target(desk="town/garde")) == ["p4"]
    for nobody in (Target(channel="console"), Target(alarms="sirens"), Target(roster="other"), Target(desk="town/x")):
        assert logins(nobody) == []


def test_people_of_another_organisation_only_through_its_desk() -> None:
    assert logins(Target(person="p3")) == []
    assert logins(Target(role="technician")) == []
    stranger = replace(WORLD, rosters={"astreinte": weekly("p3", "p4")})
    assert logins(Target(roster="astreinte"), world=stranger) == []


def test_the_methods_of_rescuers_are_external() -> None:
    (outside,) = owed(Target(desk="town/pm"), WORLD, at("2026-01-06 12:00"))
    (inside,) = owed(Target(desk="town/garde"), WORLD, at("2026-01-06 12:00"))
    assert [each.external for each in outside.methods] == [True]
    assert [each.external for each in inside.methods] == [False]
    assert not WORLD.by_id[3].methods[0].external


@pytest.mark.parametrize(
    ("when", "by_day", "by_night"),
    [
        ("2026-03-29 07:59", [], ["p1"]),
        ("2026-03-29 08:00", ["p1"], []),
        ("2026-10-25 19:59", ["p1"], []),
        ("2026-10-25 20:00", [], ["p1"]),
    ],
)
def test_day_and_night_hand_over(when: str, by_day: list[str], by_night: list[str]) -> None:
    assert logins(Target(person="p1", during="jour"), when) == by_day
    assert logins(Target(person="p1", not_during="jour"), when) == by_night


def test_during_and_not_during_together() -> None:
    workday = Target(channel="console", during="jour", not_during="feries")
    assert is_in_force(workday, WORLD, at("2026-07-13 12:00"))
    assert not is_in_force(workday, WORLD, at("2026-07-14 12:00"))
    assert not is_in_force(workday, WORLD, at("2026-07-13 21:00"))


def test_the_local_time_is_the_site_s() -> None:
    reunion = replace(WORLD, zone="Indian/Reunion")
    instant = at("2026-11-23 17:30")  # 20:30 in Saint-Denis
    assert [is_in_force(Target(person="p1", during="jour"), each, instant) for each in (WORLD, reunion)] == [
        True,
        False,
    ]


def test_a_calendar_that_is_gone_silences_nobody() -> None:
    assert logins(Target(person="p1", during="gone")) == ["p1"]
    assert logins(Target(person="p1", not_during="gone")) == ["p1"]


def test_a_stand_in_is_told_instead() -> None:
    now = at("2026-01-06 12:00")
    base = WORLD.rosters["astreinte"]
    absent = replace(base, overrides=(rosters.Override(1, now, now + 1, "p1", "p2"),))
    world = replace(WORLD, rosters={"astreinte": absent})
    assert logins(Target(roster="astreinte"), world=world) == ["p2"]
    assert [each.login for each in at_desk(Desk("school", "d", "D", role="supervisor"), world, now)] == ["p1", "p2"]
