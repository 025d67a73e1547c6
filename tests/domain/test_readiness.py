from dataclasses import replace

import pytest
from tocsin_backend.domain import calendars, localtime, rosters, ways_out
from tocsin_backend.domain.lint import DAY_MS
from tocsin_backend.domain.people import Desk, Directory, Method, Person
from tocsin_backend.domain.policies import Policy, Step, Target
from tocsin_backend.domain.readiness import NOT_READY, READY, WEAK, Post, Readiness, prospect, readiness

PARIS = "Europe/Paris"
NOW = localtime.read("2026-11-23 12:00", PARIS)
ALIVE = Post("post-1", "Grille nord", "alive", NOW - DAY_MS, NOW + DAY_MS)


def person(number: int, channel: str = "email", days: int | None = 1) -> Person:
    proven_ms = None if days is None else NOW - days * DAY_MS
    methods = (Method(number, channel, "x", proven_ms=proven_ms),)
    return Person(number, "o", f"p{number}", f"P {number}", "supervisor", "fr", methods)


def world(*people: Person) -> Directory:
    return Directory({each.id: each for each in people}, org="o")


PAIR = world(person(1), person(2))
PLAN = Policy("p", "P", 900_000, 1, (Step(60_000, (Target(person="p1"),)), Step(60_000, (Target(role="supervisor"),))))


def ask(directory: Directory = PAIR, policy: Policy = PLAN, posts: tuple[Post, ...] = (ALIVE,)) -> Readiness:
    return readiness(policy.id, 3, posts, prospect("o", policy, directory, NOW), NOW)


def reasons(found: Readiness) -> tuple[str, list[str]]:
    return found.verdict, [each.code for each in found.reasons]


def test_a_site_that_is_ready() -> None:
    found = ask()
    assert reasons(found) == (READY, [])
    rings = [(line.offset_ms, line.person, line.method) for line in found.rings.lines]
    told = [(offset_ms, who.login, by.proven_ms) for offset_ms, who, by in rings if who and by]
    assert told[:3] == [(0, "p1", NOW - DAY_MS), (60_000, "p1", NOW - DAY_MS), (60_000, "p2", NOW - DAY_MS)]


@pytest.mark.parametrize(
    ("posts", "verdict", "codes"),
    [
        ((), NOT_READY, ["no-post"]),
        ((replace(ALIVE, presence="lost"),), NOT_READY, ["posts-lost"]),
        ((replace(ALIVE, presence="never", probe_ms=None),), NOT_READY, ["posts-lost", "never-probed"]),
        ((ALIVE, replace(ALIVE, presence="lost")), WEAK, ["post-not-heard"]),
        ((replace(ALIVE, presence="late"),), WEAK, ["post-not-heard"]),
        ((replace(ALIVE, probe_by_ms=NOW - 1),), WEAK, ["probe-overdue"]),
        ((replace(ALIVE, probe_ms=None, probe_by_ms=None),), WEAK, ["never-probed"]),
    ],
)
def test_the_posts(posts: tuple[Post, ...], verdict: str, codes: list[str]) -> None:
    assert reasons(ask(posts=posts)) == (verdict, codes)


@pytest.mark.parametrize(
    ("directory", "verdict", "codes"),
    [
        (world(), NOT_READY, ["nobody-rings", "step-empty"]),
        (world(person(1), person(2, days=None)), WEAK, ["contact-unproven"]),
        (world(person(1), person(2, days=91)), WEAK, ["contact-unproven"]),
        (world(person(1, days=None), person(2, days=None)), WEAK, ["nothing-proven"]),
        (world(person(1, "push"), person(2, "push")), WEAK, ["push-only"]),
        (world(person(1)), WEAK, ["one-alone"]),
    ],
)
def test_the_people(directory: Directory, verdict: str, codes: list[str]) -> None:
    assert (ask(directory).verdict, list(dict.fromkeys(each.code for each in ask(directory).reasons))) == (
        verdict,
        codes,
    )


def test_a_screen_alone_rings_nobody() -> None:
    screen = replace(PLAN, steps=(Step(60_000, (Target(channel="console"),)),))
    assert reasons(ask(policy=screen)) == (NOT_READY, ["nobody-rings"])
    first = replace(PLAN, steps=(*screen.steps, *PLAN.steps))
    assert reasons(ask(policy=first)) == (WEAK, ["first-step-screen-only"])
    centre = replace(PLAN, steps=(Step(60_000, (Target(channel="dc09/cra"),)),))
    assert reasons(ask(policy=centre)) == (READY, [])


def test_the_hour_decides_and_gaps_are_named() -> None:
    night = calendars.parse({"id": "nuit", "title": "N", "rule": [{"hours": ["20:00-08:00"]}]})
    layer = {"every": "day", "start": "2026-01-05", "people": ["p1", "p2"], "until": "2026-11-24"}
    roster = rosters.parse({"id": "r", "title": "R", "layer": [layer]}, {"p1": 1, "p2": 2}, {}, PARIS)
    directory = replace(PAIR, calendars={"nuit": night}, rosters={"r": roster})
    by_night = replace(PLAN, steps=(Step(60_000, (Target(roster="r", during="nuit"), Target(channel="console"))),))
    day, dark = (
        readiness("p", 1, (ALIVE,), prospect("o", by_night, directory, at_ms), at_ms)
        for at_ms in (localtime.read(f"2026-11-23 {hour}", PARIS) for hour in ("12:00", "22:00"))
    )
    assert reasons(day) == (NOT_READY, ["nobody-rings", "roster-gap"])
    assert reasons(dark) == (WEAK, ["roster-gap"])
    assert "2026-11-25 00:00+01:00" in dark.reasons[0].words


def test_rescuers_at_a_desk_count() -> None:
    rescuer = replace(person(9), org="h")
    directory = replace(world(rescuer), desks={"h/d": Desk("h", "d", "D", role="supervisor")})
    policy = replace(PLAN, steps=(Step(60_000, (Target(desk="h/d"),)),))
    found = ask(directory, policy)
    assert reasons(found) == (WEAK, ["one-alone"])
    assert found.rings.lines[0].method is not None
    assert found.rings.lines[0].method.external


def test_a_channel_that_cannot_leave_rings_nobody() -> None:
    def asked(directory: Directory) -> Readiness:
        ahead = prospect("o", PLAN, directory, NOW, blocked={"email": "no-relay"}, language="fr")
        return readiness("p", 3, (ALIVE,), ahead, NOW)

    found = asked(PAIR)
    assert reasons(found) == (NOT_READY, ["cannot-leave", "nobody-rings"])
    assert found.reasons[0].words == "email: aucun courriel ne part de ce serveur (TOCSIN_SMTP_HOST): p1, p2"
    assert {line.why_not for line in found.rings.lines if line.person} == {"no-relay"}
    assert reasons(asked(world(person(1), person(2, "webhook")))) == (WEAK, ["cannot-leave", "first-step-screen-only"])


@pytest.mark.parametrize(
    ("route", "seen_ms", "expected"),
    [
        ("provider", None, "no-provider"),
        ("gateway:gw-1", None, "gateway-unheard"),
        ("gateway:gw-1", NOW - 900_001, "gateway-unheard"),
        ("gateway:gw-1", NOW - 900_000, None),
    ],
)
def test_short_messages_leave_by_a_provider_or_by_a_gateway_that_is_heard(
    route: str, seen_ms: int | None, expected: str | None
) -> None:
    found = ways_out.blocked(mail=True, provider=False, route=route, seen_ms=seen_ms, now_ms=NOW)
    assert found.get("sms") == expected
    assert set(ways_out.PHRASES["fr"]) == set(ways_out.PHRASES["en"]) == {"no-relay", "no-provider", "gateway-unheard"}
    assert ways_out.blocked(mail=True, provider=True, route="provider", seen_ms=None, now_ms=NOW) == {}
