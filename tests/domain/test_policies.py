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
        "colour: is not known here; known: id, title, answer_timeout_s, passes, severity_presses, severity_within_s, "
        "clear_closes, drill, step",
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
        "step[1].targets[3]: must name exactly one of person, role, roster, desk, channel, alarms",
        "step[1].targets[4].role: nobody reachable has the role 'technician'",
        f"step[1].targets[5].role: 'king' is not a role; roles: {', '.join(ROLES)}",
        "step[1].targets[6].channel: 'email' reaches nobody by itself; here: console, cap, dc09/<centre>",
        "step[1].targets[7].channels: must be a list of at least one channel",
        "step[1].targets[8].channels: 'pager' is not a channel to a person; here: webhook, email, sms, push",
        "step[1].targets[9]: must be a table: { person = … }, { role = … } or { channel = … }",
        "step[1].targets[10]: must name exactly one of person, role, roster, desk, channel, alarms",
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


# -- rosters, desks, alarms, hours

KNOWN = policies.Known(
    rosters={"astreinte": ("a.martin", "b.durand"), "muets": ("c.mute",), "push": ("d.push",)},
    hours={"jour": (True, True), "jamais": (False, True), "toujours": (True, False)},
    desks={
        "ville/pm": (frozenset(("email",)), True),
        "ville/bureau": (frozenset(("email",)), False),
        "ville/vide": (frozenset(), False),
    },
    centres={"cra": True},
    alarm_groups=frozenset(("sirenes",)),
    inside={"a.martin": frozenset(("email",)), "b.durand": frozenset(), "d.push": frozenset(("push",))},
)
EVERYBODY = PEOPLE | {"d.push": ("observer", frozenset(("push",)))}


def read(text: str) -> policies.Policy:
    return policies.parse(tomllib.loads(text), EVERYBODY, KNOWN)


def refused(targets: str, head: str = "", step: str = "") -> list[str]:
    text = f'id = "x"\ntitle = "x"\n{head}\n[[step]]\ndelay_s = 30\n{step}\ntargets = [{targets}]'
    with pytest.raises(policies.BadPolicy) as caught:
        read(text)
    return [str(each) for each in caught.value.faults]


def test_everything_a_policy_can_say_is_read_frozen_and_read_back() -> None:
    policy = read("""
id = "tout"
title = "Tout"
severity_presses = 3
severity_within_s = 60
clear_closes = true

[[step]]
delay_s = 30
answers = 2
targets = [
  { roster = "astreinte", channels = ["email"] }, { desk = "ville/pm", during = "jour" },
  { desk = "ville/bureau", not_during = "jour" }, { alarms = "sirenes" }, { channel = "dc09/cra" }, { channel = "cap" },
]
""")
    assert policy == policies.Policy(
        "tout",
        "Tout",
        900_000,
        1,
        (
            policies.Step(
                30_000,
                (
                    policies.Target(roster="astreinte", channels=("email",)),
                    policies.Target(desk="ville/pm", during="jour"),
                    policies.Target(desk="ville/bureau", not_during="jour"),
                    policies.Target(alarms="sirenes"),
                    policies.Target(channel="dc09/cra"),
                    policies.Target(channel="cap"),
                ),
                2,
            ),
        ),
        3,
        60_000,
        False,
        True,
    )
    assert policies.load(policies.dump(policy)) == policy


def test_what_an_older_version_froze_is_still_read() -> None:
    text = (
        '{"answer_timeout_ms":60000,"id":"p","passes":1,"steps":[{"delay_ms":30000,"targets":[{"channel":"console"},'
        '{"channels":["email"],"person":"b"}]}],"title":"P"}'
    )
    targets = (policies.Target(channel="console"), policies.Target(person="b", channels=("email",)))
    assert policies.load(text) == policies.Policy("p", "P", 60_000, 1, (policies.Step(30_000, targets),))
    assert policies.dump(policies.load(text)) == text


@pytest.mark.parametrize(
    ("targets", "fault"),
    [
        ('{ roster = "x" }', "targets[0].roster: 'x' is not a roster of this organisation"),
        ('{ roster = "muets" }', "targets[0].roster: nobody on the roster 'muets' can be reached"),
        (
            '{ roster = "astreinte", channels = ["sms"] }',
            "targets[0].roster: nobody on the roster 'astreinte' can be reached by sms",
        ),
        (
            '{ desk = "ville" }',
            "targets[0].desk: no desk 'ville' invited this organisation; it is written \"organisation/desk\"",
        ),
        ('{ desk = "ville/vide" }', "targets[0].desk: nobody at the desk 'ville/vide' can be reached"),
        ('{ channel = "dc09/x" }', "targets[0].channel: 'x' is not a monitoring centre of this organisation"),
        ('{ alarms = "x" }', "targets[0].alarms: 'x' is not an alarm group of this organisation"),
        ('{ person = 3 }', "targets[0].person: must be a text, not 3"),
        (
            '{ channel = "console", during = "x" }',
            "targets[0].during: 'x' is not a calendar of this organisation",
        ),
        (
            '{ channel = "console", during = "jamais" }',
            "targets[0].during: the calendar 'jamais' never holds in the year to come: never reached",
        ),
        (
            '{ channel = "console", not_during = "toujours" }',
            "targets[0].not_during: the calendar 'toujours' always holds in the year to come: never reached",
        ),
        (
            '{ channel = "console", during = "jour", not_during = "jour" }',
            "targets[0].not_during: is 'jour' like `during`: never reached",
        ),
        (
            '{ alarms = "sirenes" }, { channel = "cap" }',
            "targets: no person receives this step: add a person, a role, a roster or the console",
        ),
        (
            '{ roster = "push" }, { alarms = "sirenes" }',
            "targets: push alone is never a step: nobody answers for its delivery; add another way",
        ),
        (
            '{ channel = "console", channels = ["email"] }',
            "targets[0].channels: narrows the contact methods of people; channel has none",
        ),
    ],
)  # fmt: skip
def test_a_target_that_reaches_nobody_is_refused(targets: str, fault: str) -> None:
    assert refused(targets) == [f"step[0].{fault}"]


def test_push_beside_another_way_is_good() -> None:
    assert read('id="x"\ntitle="x"\n[[step]]\ndelay_s=5\ntargets=[{person="d.push"},{channel="console"}]')


def test_more_answers_than_people_can_never_come() -> None:
    assert refused('{ person = "a.martin" }', step="answers = 2") == [
        "step[0].answers: is 2; this policy reaches 1 who may answer"
    ]
    assert refused('{ channel = "console" }', step="answers = 10") == [
        "step[0].answers: is 10; it must be between 1 and 9"
    ]


def test_nothing_external_in_a_drill_policy() -> None:
    targets = (
        '{ desk = "ville/pm" }, { channel = "dc09/cra" }, { channel = "cap" }, { person = "b.durand" }, '
        '{ person = "a.martin", channels = ["webhook"] }'
    )
    assert refused(targets, "drill = true") == [
        "step[0].targets[0].desk: the desk 'ville/pm' is external: never in a drill policy",
        "step[0].targets[1].channel: 'dc09/cra' is external: never in a drill policy",
        "step[0].targets[2].channel: 'cap' is external: never in a drill policy",
        "step[0].targets[3].person: 'b.durand' cannot be reached without leaving the organisation: no such contact "
        "method",
        "step[0].targets[4].person: 'a.martin' cannot be reached by webhook without leaving the organisation: no such "
        "contact method",
    ]
    good = 'id="x"\ntitle="x"\ndrill=true\n[[step]]\ndelay_s=5\ntargets=[{desk="ville/bureau"},{person="a.martin"}]'
    assert read(good).drill


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        ("severity_presses = 1\nseverity_within_s = 60", "severity_presses: is 1; it must be between 2 and 10"),
        ("severity_presses = 3", "severity_within_s: must be a whole number, not None"),
        ("drill = 1", "drill: must be true or false, not 1"),
        ('clear_closes = "no"', "clear_closes: must be true or false, not 'no'"),
    ],
)
def test_the_other_fields(head: str, fault: str) -> None:
    assert refused('{ channel = "console" }', head) == [fault]


def test_a_probe_tells_nobody() -> None:
    assert policies.probe().steps == (policies.Step(60_000, (policies.Target(channel="probe"),)),)
