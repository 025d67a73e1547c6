from dataclasses import replace

import pytest
from tocsin_backend.domain import calendars, french_days, localtime, policies, rosters
from tocsin_backend.domain.lint import DAY_MS, lint
from tocsin_backend.domain.people import Desk, Directory, Method, Person
from tocsin_backend.domain.policies import Policy, Step, Target

PARIS = "Europe/Paris"
NOW = localtime.read("2026-11-23 12:00", PARIS)
DAY = calendars.parse({"id": "jour", "title": "J", "rule": [{"hours": ["08:00-20:00"]}]})
SCHOOL = calendars.parse(
    {"id": "ecole", "title": "E", "school_zone": "A", "rule": [{"except": ["school-holiday"]}]}
)  # fmt: skip
CORSICA = replace(
    SCHOOL, id="corse", school_zone="", holidays=((NOW_DAY := localtime.local(NOW, PARIS).date(), NOW_DAY),)
)


def person(number: int, *methods: Method, org: str = "o", role: str = "supervisor") -> Person:
    return Person(number, org, f"p{number}", f"P {number}", role, "fr", methods)


def proven(number: int, days: int | None = 1, channel: str = "email") -> Method:
    return Method(number, channel, "x", proven_ms=None if days is None else NOW - days * DAY_MS)


def weekly(*people: str, **more: str) -> rosters.Roster:
    layer = {"every": "week", "start": "2026-01-05", "people": list(people)} | more
    return rosters.parse({"id": "r", "title": "R", "layer": [layer]}, dict.fromkeys(people), {"jour": DAY}, PARIS)


WORLD = Directory(
    {
        1: person(1, proven(1)),
        2: person(2, proven(2)),
        3: person(3, proven(3, None)),
        4: person(4, proven(4, 91)),
        5: person(5),
        6: person(6, proven(6), org="h"),
    },
    rosters={
        "full": weekly("p1", "p2"),
        "ends": weekly("p1", "p2", until="2026-12-06"),
        "day": weekly("p1", "p2", during="jour"),
        "mute": weekly("p1", "p5", "p9"),
        "h/night": weekly("p6", until="2026-11-30"),
    },
    calendars={"jour": DAY, "ecole": SCHOOL, "corse": CORSICA},
    desks={"h/d": Desk("h", "d", "D", role="supervisor"), "h/n": Desk("h", "n", "N", roster="night")},
    alarm_groups={"hall": (("sirene-1", "hall"),)},
    org="o",
)
SCREEN = Target(channel="console")
GOOD = (Target(person="p1"), Target(person="p2"))


def doubts(*targets: Target, now: int = NOW, delay_s: int = 60) -> list[str]:
    policy = Policy("p", "P", 900_000, 1, (Step(delay_s * 1000, targets), Step(60_000, GOOD)))
    assert policies.load(policies.dump(policy)) == policy
    return [f"{each.path}: {each.code}" for each in lint(policy, WORLD, now)]


FIRST = "step[0].targets[0]"


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ((Target(person="p1"),), []),
        ((SCREEN,), []),
        ((Target(roster="full"),), []),
        ((Target(desk="h/d"),), []),
        ((Target(roster="ends"), SCREEN), [f"{FIRST}: roster-gap"]),
        ((Target(roster="ends"),), [f"{FIRST}: roster-gap", "step[0].targets: step-empty"]),
        ((Target(roster="day", during="jour"), SCREEN), []),  # its gaps are when it does not count
        ((Target(roster="day"), SCREEN), [f"{FIRST}: roster-gap"]),
        ((Target(desk="h/n"), SCREEN), [f"{FIRST}: roster-gap"]),
        ((Target(desk="h/n"),), [f"{FIRST}: roster-gap", "step[0].targets: step-empty"]),
        ((Target(roster="gone"), SCREEN), [f"{FIRST}: unreachable"]),
        ((Target(desk="h/x"), SCREEN), [f"{FIRST}: unreachable"]),
        ((Target(person="p1", during="gone"),), [f"{FIRST}: calendar-unknown"]),
        ((Target(person="p1", during="jour"),), ["step[0].targets: step-empty"]),
        ((Target(person="p1", during="jour"), Target(person="p2", not_during="jour")), []),
        ((Target(person="p1", not_during="ecole"), SCREEN), []),
        ((Target(person="p1", not_during="corse"), SCREEN), [f"{FIRST}: calendar-ends"]),
        ((Target(person="p3"),), [f"{FIRST}: contact-unproven"]),
        ((Target(person="p4"),), [f"{FIRST}: contact-unproven"]),
        ((Target(person="p1", channels=("sms",)), SCREEN), [f"{FIRST}: unreachable"]),
        ((Target(person="p5"), SCREEN), [f"{FIRST}: unreachable"]),
        ((SCREEN, SCREEN), ["step[0].targets[1]: repeated"]),
    ],
)
def test_each_doubt_and_no_other(targets: tuple[Target, ...], expected: list[str]) -> None:
    assert doubts(*targets) == expected


def test_an_alarm_group_that_is_gone_is_said_and_one_that_is_there_is_not() -> None:
    gone = f"{FIRST}: unreachable"
    assert gone in doubts(Target(alarms="cour"), SCREEN)
    assert gone not in doubts(Target(alarms="hall"), SCREEN)


def test_members_who_cannot_be_reached_are_named() -> None:
    found = lint(Policy("p", "P", 900_000, 1, (Step(60_000, (Target(roster="mute"), SCREEN)),)), WORLD, NOW)
    assert [each.reason for each in found if each.code == "unreachable"] == [
        "'p5' of the roster 'mute' is gone or has no contact method",
        "'p9' of the roster 'mute' is gone or has no contact method",
        "'p5' has no contact method that this step uses",
    ]


def test_a_long_delay_only_before_another_step() -> None:
    assert doubts(SCREEN, delay_s=601) == ["step[0].delay_s: long-delay"]
    last = Policy("p", "P", 900_000, 1, (Step(3_600_000, GOOD),))
    assert lint(last, WORLD, NOW) == []


def test_one_person_alone_in_all_steps() -> None:
    alone = Policy("p", "P", 900_000, 1, (Step(60_000, (GOOD[0],)), Step(60_000, (GOOD[0],))))
    assert [each.code for each in lint(alone, WORLD, NOW)] == ["one-alone"]
    beside = replace(alone, steps=(*alone.steps, Step(60_000, (SCREEN,))))
    assert lint(beside, WORLD, NOW) == []


def test_the_end_of_the_ministry_s_table_is_said_90_days_before() -> None:
    target = Target(person="p1", not_during="ecole")
    end = localtime.read(f"{french_days.school_until()} 12:00", PARIS)
    people = {
        key: replace(each, methods=(Method(1, "email", "x", proven_ms=end),)) for key, each in WORLD.by_id.items()
    }
    world = replace(WORLD, by_id=people)
    policy = Policy("p", "P", 900_000, 1, (Step(60_000, (target, SCREEN)), Step(60_000, GOOD)))
    assert lint(policy, world, end - 91 * DAY_MS) == []
    for when in (end - 89 * DAY_MS, end + 400 * DAY_MS):
        (found,) = (each for each in lint(policy, world, when) if each.code == "calendar-ends")
        assert f"known until {french_days.school_until()}" in found.reason


def test_how_an_alert_may_be_left_standing() -> None:
    ending = Policy("p", "P", 0, 1, (Step(60_000, GOOD), Step(60_000, (SCREEN, Target(roster="ends")))))
    found = {each.code: str(each) for each in lint(ending, WORLD, NOW, closers=1)}
    assert set(found) == {"roster-gap", "screen-alone", "no-answer-timeout", "one-may-close"}
    assert found["screen-alone"] == (
        "step[1].targets: at 2026-12-07 00:00+01:00 the rosters name nobody: "
        "the last step is told by the screen alone then"
    )
    assert found["one-may-close"] == "step: a silent alert and a threat are closed by two people; here 1 may"
    beside = replace(ending, steps=(ending.steps[0], Step(60_000, (SCREEN, Target(roster="ends"), GOOD[0]))))
    assert "screen-alone" not in {each.code for each in lint(beside, WORLD, NOW)}


def test_a_channel_that_cannot_leave_is_said_where_it_is_used() -> None:
    policy = Policy("p", "P", 900_000, 1, (Step(60_000, (SCREEN, *GOOD)),))
    assert lint(policy, WORLD, NOW, {"sms": "no-provider"}) == []
    found = lint(policy, WORLD, NOW, {"email": "no-relay"}, "fr")
    assert [(each.code, each.path) for each in found] == [
        ("cannot-leave", "step[0].targets[1]"),
        ("cannot-leave", "step[0].targets[2]"),
    ]
    assert found[0].reason == "email: aucun courriel ne part de ce serveur (TOCSIN_SMTP_HOST)"
