from collections.abc import Iterable
from dataclasses import replace

import pytest
from tocsin_backend.domain import alerts, calendars, localtime, policies
from tocsin_backend.domain.dry_run import MAX_LINES, DryRun, dry_run, press_of
from tocsin_backend.domain.people import Directory, Method, Person
from tocsin_backend.domain.policies import Policy, Step, Target

PARIS = "Europe/Paris"
DAY = calendars.parse({"id": "jour", "title": "J", "rule": [{"days": ["mon"], "hours": ["08:00-20:00"]}]})


def person(number: int, *channels: str, **more: object) -> Person:
    methods = tuple(Method(number * 10 + at, channel, "x", **more) for at, channel in enumerate(channels))  # type: ignore[arg-type]
    return Person(number, "o", f"p{number}", f"P {number}", "supervisor", "fr", methods)


WORLD = Directory(
    {1: person(1, "email", "sms"), 2: person(2, "webhook", external=True), 3: person(3, "sms", offset_ms=20_000)},
    calendars={"jour": DAY},
    alarm_groups={"sirenes": (("post-1", "siren"),)},
)
FIRST = Step(60_000, (Target(channel="console"), Target(person="p1")))


def plan(*steps: Step, passes: int = 1) -> str:
    return policies.dump(Policy("p", "P", 900_000, passes, steps))


def run(frozen: str, when: str = "2026-11-21 02:10", minutes: int = 5, **more: object) -> DryRun:
    press = press_of("o", "s", "d", frozen, **more)  # type: ignore[arg-type]
    return dry_run(press, WORLD, localtime.read(when, PARIS), minutes)


def told(found: DryRun) -> Iterable[tuple[int, str, str]]:
    return [
        (line.offset_ms // 1000, line.person.login if line.person else line.target, line.channel or line.what)
        for line in found.lines
    ]


def test_who_by_what_and_when() -> None:
    frozen = plan(FIRST, Step(120_000, (Target(person="p3"),)))
    assert told(run(frozen)) == [
        (0, "console", "console"),
        (0, "p1", "email"),
        (0, "p1", "sms"),
        (80, "p3", "sms"),
        (180, "", "unanswered"),
        (200, "p3", "sms"),
    ]


def test_the_hours_of_the_press_decide() -> None:
    by_day, by_night = Target(person="p1", during="jour"), Target(person="p2", not_during="jour")
    frozen = plan(Step(600_000, (by_day, by_night)))
    assert told(run(frozen, "2026-11-23 07:59")) == [(0, "p2", "webhook")]
    assert told(run(frozen, "2026-11-23 08:00")) == [(0, "p1", "email"), (0, "p1", "sms")]


def test_an_empty_step_goes_on_at_once_and_says_so() -> None:
    frozen = plan(Step(60_000, (Target(person="p1", during="jour"),)), Step(600_000, (Target(person="p2"),)))
    assert told(run(frozen)) == [(0, "", "empty-step"), (0, "p2", "webhook")]


def test_a_drill_tells_nobody_outside() -> None:
    frozen = plan(Step(600_000, (Target(person="p1"), Target(person="p2"))))
    assert {who for _, who, _ in told(run(frozen, mode=alerts.DRILL))} == {"p1"}


def test_an_alarm_group_sounds_once() -> None:
    found = told(run(plan(Step(60_000, (Target(alarms="sirenes"), Target(person="p2"))))))
    assert [each for each in found if each[2] == "siren"] == [(0, "alarm:sirenes/post-1/siren/on", "siren")]


def test_a_day_of_the_shortest_steps_is_cut() -> None:
    found = run(plan(Step(5_000, (Target(person="p1"),))), minutes=24 * 60)
    assert found.cut
    assert len(found.lines) == MAX_LINES


@pytest.mark.parametrize("when", ["2026-03-29 01:59", "2026-10-25 02:59"])
def test_offsets_are_real_time_when_clocks_change(when: str) -> None:
    frozen = plan(FIRST, Step(120_000, (Target(person="p2"),)))
    assert [each[0] for each in told(run(frozen, when))] == [0, 0, 0, 60, 180, 180]


def test_nothing_is_changed_and_the_same_press_gives_the_same_run() -> None:
    frozen = plan(FIRST)
    assert run(frozen) == run(frozen)
    assert replace(WORLD) == WORLD


def test_a_message_that_a_newer_one_replaced_is_told_once() -> None:
    slow = replace(WORLD, by_id={3: replace(WORLD.by_id[3], methods=(Method(30, "sms", "x", offset_ms=90_000),))})
    press = press_of("o", "s", "d", plan(Step(60_000, (Target(person="p3"),))))
    found = dry_run(press, slow, localtime.read("2026-11-21 02:10", PARIS), 5)
    assert [line.offset_ms // 1000 for line in found.lines if line.what == "told"] == [90, 210]


def test_the_organisation_above_is_told_once_with_unanswered() -> None:
    press = press_of("o", "s", "d", plan(Step(60_000, (Target(person="p2"),))))
    found = dry_run(press, WORLD, localtime.read("2026-11-21 02:10", PARIS), 3, above="ville")
    said = [(line.offset_ms, line.what, line.target) for line in found.lines if line.what != "told"]
    assert said == [(60_000, "unanswered", ""), (60_000, "above", "ville")]
