"""Who and what the histories are about: two organisations, one above the other, a guest's desk, posts and policies."""

import random
from datetime import datetime

from tocsin_backend.domain import alerts, policies
from tocsin_backend.domain.people import Desk, Directory, Method, Person
from tocsin_backend.domain.policies import Policy, Step, Target
from tocsin_backend.domain.rosters import Layer, Override, Roster

ORG, PARENT, POLICE, SITE = "demo", "region", "police", "lycee"
EXTERNAL = frozenset((13, 16))  # methods
GUESTS = frozenset((6,))
DEVICES = {"bau-1": alerts.CALL, "bau-2": alerts.CALL, "wrist": alerts.PERSONAL, "ppms": alerts.THREAT}
ORGS = {1: ORG, 2: ORG, 3: ORG, 4: ORG, 5: ORG, 6: POLICE, 7: POLICE, 8: PARENT}


def persons() -> dict[int, Person]:
    """p1 by webhook and, 8 s later, email; p2 by webhook; p3 by an external one only; p4 by nothing; p5 a technician;

    p6 at the police's desk, which is invited, p7 elsewhere there; p8 a technician of the organisation above.
    """
    ways = {
        1: (Method(10, "webhook", "w1"), Method(11, "email", "e1", offset_ms=8_000)),
        2: (Method(12, "webhook", "w2"),),
        3: (Method(13, "webhook", "w3", external=True),),
        4: (),
        5: (Method(15, "email", "e5"),),
        6: (Method(16, "sms", "s6"),),
        7: (Method(17, "sms", "s7"),),
        8: (Method(18, "email", "e8"),),
    }
    role = {5: "technician", 8: "technician", 6: "observer", 7: "technician"}
    return {
        key: Person(key, ORGS[key], f"p{key}", f"Person {key}", role.get(key, "supervisor"), "fr", methods)
        for key, methods in ways.items()
    }


def roster(choice: random.Random, now_ms: int) -> Roster:
    """p1 and p2 by turns of an hour; sometimes replaced by p4, or by nobody: a gap."""
    overrides = tuple(
        Override(number, now_ms + at, now_ms + at + 600_000, person=choice.choice(("p2", "p4")))
        for number, at in enumerate(choice.sample(range(0, 7_200_000, 60_000), choice.randint(0, 2)))
    )
    layers: tuple[Layer, ...] = (Layer((("p1",), ("p2",)), 1, datetime(2023, 11, 14)),)
    return Roster("duty", "Duty", layers if choice.random() < 0.9 else (), "Europe/Paris", {}, overrides)


def directory(org: str, people: dict[int, Person], duty: Roster) -> Directory:
    """What the store would load for an alert of this organisation."""
    if org != ORG:
        return Directory(people, org=org)
    desk = Desk(POLICE, "post", "Police", role="observer")
    groups = {"horns": (("horn", "out-1"), ("horn", "out-2"))}
    return Directory(people, {"duty": duty}, {}, {"police/post": desk}, groups, "Europe/Paris", org)


TARGETS = (
    Target(channel="console"),
    Target(channel="cap"),
    *(Target(person=f"p{number}") for number in (1, 2, 3, 4)),
    Target(role="technician"),
    Target(roster="duty"),
    Target(desk="police/post"),
    Target(alarms="horns"),
)


def policy(choice: random.Random) -> Policy:
    """One to four steps of one to three targets; sometimes two must answer, sometimes presses raise the severity."""
    steps = tuple(
        Step(
            choice.choice((5_000, 10_000, 60_000)),
            tuple(choice.sample(TARGETS, choice.randint(1, 3))),
            choice.choice((1, 1, 1, 2)),
        )
        for _ in range(choice.randint(1, 4))
    )
    severity = choice.choice(((0, 0), (0, 0), (3, 60_000)))
    return Policy("plan", "Plan", choice.choice((0, 30_000, 300_000)), choice.randint(1, 2), steps, *severity)


def technical_policy() -> Policy:
    return policies.technical_fallback()
