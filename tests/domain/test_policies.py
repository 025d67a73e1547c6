import tomllib

import pytest
from tocsin_backend.domain import policies
from tocsin_backend.domain.rights import ROLES

PEOPLE = {
    "a.martin": ("supervisor", frozenset(("webhook", "email"))),
    "b.durand": ("supervisor", frozenset(("email",))),
    "c.mute": ("technician", frozenset()),
}
GOOD = """
id = "lycee-jour"
title = "Lycées, le jour"
answer_timeout_s = 900
passes = 2

[[step]]
delay_s = 30
targets = [{ channel = "console" }, { person = "a.martin" }]

[[step]]
delay_s = 60
targets = [{ person = "b.durand", channels = ["email"] }, { role = "supervisor" }]
"""


def faults(text: str) -> list[str]:
    with pytest.raises(policies.BadPolicy) as caught:
        policies.parse(tomllib.loads(text), PEOPLE)
    assert str(caught.value) == "\n".join(map(str, caught.value.faults))
    return [str(each) for each in caught.value.faults]


def test_a_good_policy_is_read_frozen_and_read_back() -> None:
    policy = policies.parse(tomllib.loads(GOOD), PEOPLE)
    assert policy == policies.Policy(
        "lycee-jour",
        "Lycées, le jour",
        900_000,
        2,
        (
            policies.Step(30_000, (policies.Target(channel="console"), policies.Target(person="a.martin"))),
            policies.Step(
                60_000, (policies.Target(person="b.durand", channels=("email",)), policies.Target(role="supervisor"))
            ),
        ),
    )
    assert policies.load(policies.dump(policy)) == policy


def test_every_fault_is_listed_at_once_with_its_place() -> None:
    text = """
id = "Lycée"
title = ""
answer_timeout_s = 5
passes = 10
colour = "red"

[[step]]
delay_s = 4
targets = []

[[step]]
targets = [
  { person = "nobody" }, { person = "c.mute" }, { person = "b.durand", channels = ["webhook"] },
  { person = "a.martin", role = "supervisor" }, { role = "technician" }, { role = "king" }, { channel = "email" },
  { person = "a.martin", channels = [] }, { person = "a.martin", channels = ["pager"] }, "a.martin", {},
]
"""
    assert faults(text) == [
        "colour: is not known here; known: id, title, answer_timeout_s, passes, step",
        "id: must be 1 to 32 of a-z, 0-9 and -, not 'Lycée'",
        "title: must be a text of 1 to 120 characters",
        "answer_timeout_s: is 5; it must be between 30 and 604800",
        "passes: is 10; it must be between 1 and 9",
        "step[0].delay_s: is 4; it must be between 5 and 86400",
        "step[0].targets: there must be at least one target",
        "step[1].delay_s: is missing: how long before the next step",
        "step[1].targets[0].person: 'nobody' is not a person of this organisation",
        "step[1].targets[1].person: 'c.mute' cannot be reached: no such contact method",
        "step[1].targets[2].person: 'b.durand' cannot be reached by webhook: no such contact method",
        "step[1].targets[3]: must name exactly one of person, role, channel",
        "step[1].targets[4].role: nobody reachable has the role 'technician'",
        f"step[1].targets[5].role: 'king' is not a role; roles: {', '.join(ROLES)}",
        "step[1].targets[6].channel: 'email' reaches nobody by itself; here: console, cap",
        "step[1].targets[7].channels: must be a list of at least one channel",
        "step[1].targets[8].channels: 'pager' is not a channel to a person; here: webhook, email, sms, push",
        "step[1].targets[8].person: 'a.martin' cannot be reached by pager: no such contact method",
        "step[1].targets[9]: must be a table: { person = … }, { role = … } or { channel = … }",
        "step[1].targets[10]: must name exactly one of person, role, channel",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('id = "x"\ntitle = "x"', "step: there must be at least one [[step]]"),
        ('id = "x"\ntitle = "x"\nstep = 3', "step: there must be at least one [[step]]"),
        ('id = "x"\ntitle = "x"\nstep = ["a"]', "step[0]: must be a table"),
        ('id = "x"\ntitle = "x"\npasses = true', "passes: must be a whole number, not True"),
        ('id = "x"\ntitle = "x"\npasses = 1.5', "passes: must be a whole number, not 1.5"),
    ],
)
def test_what_is_not_a_policy_at_all(text: str, fault: str) -> None:
    assert fault in faults(text)


def test_sizes_are_bounded() -> None:
    step = '[[step]]\ndelay_s = 5\ntargets = [{ channel = "console" }]\n'
    assert faults('id = "x"\ntitle = "x"\n' + step * 21) == ["step: there are 21 steps; at most 20"]
    many = ", ".join(['{ channel = "console" }'] * 51)
    text = f'id = "x"\ntitle = "x"\n[[step]]\ndelay_s = 5\ntargets = [{many}]'
    assert faults(text) == ["step[0].targets: there are 51 targets; at most 50"]


def test_without_a_policy_a_press_is_still_for_somebody() -> None:
    for language in ("fr", "en"):
        for policy in (policies.fallback(language), policies.technical_fallback(language)):
            assert policies.load(policies.dump(policy)) == policy
            assert policies.Target(channel="console") in policy.steps[0].targets
