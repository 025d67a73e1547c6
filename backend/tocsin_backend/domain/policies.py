"""The policy: an ordered list of steps. Its file format, its faults, its frozen form.

    id = "lycee-jour"                  # [a-z0-9-], at most 32
    title = "Lycées, le jour"
    answer_timeout_s = 900             # reopen when an answered alert is not closed by then; 0: never. Default 900
    passes = 2                         # over all steps, before the last one repeats for ever. Default 1, at most 9
    severity_presses = 3               # so many presses
    severity_within_s = 60             # within so long raise the severity by one; both or neither
    clear_closes = true                # technical alerts: cleared, they close without an answer. Default false
    drill = true                       # made for drills: nothing external may be in it. Default false

    [[step]]
    delay_s = 30                       # before the next step, at least 5
    answers = 2                        # so many different people must answer. Default 1
    targets = [
        { channel = "console" },                           # the supervisors' screen
        { person = "a.martin" },                           # by every contact method she has
        { person = "b.durand", channels = ["email"] },     # by these only
        { role = "supervisor" },                           # everybody who has this role then
        { roster = "astreinte" },                          # whoever is on duty then (rosters.py)
        { desk = "ville/pm", during = "jour" },            # another organisation's desk, which invited us,
        { desk = "gendarmerie/cic", not_during = "jour" }, # in the hours of a calendar, or outside them
        { alarms = "sirenes-lycee" },                      # an alarm group: its outputs sound
        { channel = "dc09/cra" },                          # a monitoring centre
        { channel = "cap" },                               # the CAP feed
    ]

Step 0 fires at once. A running alert keeps the policy it was raised with (`dump`, `load`).

Refused when it is saved: a step that no person receives; a step that is push alone, because a push service is nobody's
duty; a branch that cannot be reached (hours that never come, more answers than people); anything external in a drill
policy; whatever is not known here. What is only unwise is said by lint.py.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from .documents import BadDocument, Reader
from .rights import ROLES, may

MIN_DELAY_S: Final = 5  # below it, a person is told twice before having read the first message
MAX_DELAY_S: Final = 86_400
MAX_STEPS: Final = 20
MAX_PASSES: Final = 9
MAX_TARGETS: Final = 50
MIN_TIMEOUT_S: Final = 30
MAX_TIMEOUT_S: Final = 7 * 86_400
PERSONAL_CHANNELS: Final = ("webhook", "email", "sms", "push")  # reach one person
SHARED_CHANNELS: Final = ("console", "cap")  # reach whoever is there; and dc09/<centre>
MAX_ANSWERS: Final = 9


@dataclass(frozen=True, slots=True)
class Target:
    """Exactly one of person (a login), role, channel, roster, desk ("host/desk") or alarms (an alarm group).

    `channels` narrows the contact methods of the people it means. The target counts only in the hours of the calendar
    `during`, and not in those of `not_during`; owed.py.
    """

    person: str = ""
    role: str = ""
    channel: str = ""
    channels: tuple[str, ...] = ()
    roster: str = ""
    desk: str = ""
    alarms: str = ""
    during: str = ""
    not_during: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """`answers`: how many different people must answer before the alert counts as answered."""

    delay_ms: int
    targets: tuple[Target, ...]
    answers: int = 1


@dataclass(frozen=True, slots=True)
class Policy:
    id: str
    title: str
    answer_timeout_ms: int
    passes: int
    steps: tuple[Step, ...]
    severity_presses: int = 0  # so many presses within `severity_within_ms` raise the severity by one; 0: never
    severity_within_ms: int = 0
    drill: bool = False  # made for drills: nothing external may be in it
    clear_closes: bool = False  # technical: cleared, the alert closes without an answer


class BadPolicy(BadDocument):
    """The policy has faults; all of them are listed."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a policy of this organisation may name, besides people.

    `rosters`: everybody each may name. `hours`: whether a calendar ever holds, and whether it ever does not, in the
    year to come. `desks`: by "host/desk", the channels that reach somebody there, and whether they are external.
    `centres`: whether each is external. `inside`: the channels that reach each login without leaving the organisation.
    """

    rosters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hours: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)
    desks: Mapping[str, tuple[frozenset[str], bool]] = field(default_factory=dict)
    centres: Mapping[str, bool] = field(default_factory=dict)
    alarm_groups: frozenset[str] = frozenset()
    inside: Mapping[str, frozenset[str]] = field(default_factory=dict)


People = Mapping[str, tuple[str, frozenset[str]]]
_MEANS: Final = ("person", "role", "roster", "desk", "channel", "alarms")
_POLICY_KEYS: Final = (
    "id", "title", "answer_timeout_s", "passes", "severity_presses", "severity_within_s", "clear_closes", "drill",
    "step",
)  # fmt: skip


class _PolicyReader(Reader):
    """Reads a policy and gathers what is wrong with it instead of stopping at the first."""

    def __init__(self, people: People, known: Known) -> None:
        super().__init__()
        self.people = people
        self.known = known
        self.drill = False
        self.answerers: set[str] = set()  # the logins that the steps may reach
        self.elsewhere = False  # somebody of another organisation may answer: how many, nobody here knows

    def policy(self, document: Mapping[str, object]) -> Policy:
        self.keys("", document, _POLICY_KEYS)
        name, title = self.name("id", document.get("id")), self.title("title", document.get("title"))
        timeout = document.get("answer_timeout_s", 900)
        timeout_s = 0 if timeout == 0 else self.integer("answer_timeout_s", timeout, MIN_TIMEOUT_S, MAX_TIMEOUT_S)
        passes = self.integer("passes", document.get("passes", 1), 1, MAX_PASSES)
        presses, within_s = 0, 0
        if "severity_presses" in document or "severity_within_s" in document:
            presses = self.integer("severity_presses", document.get("severity_presses"), 2, 10)
            within_s = self.integer("severity_within_s", document.get("severity_within_s"), 5, 3600)
        clear_closes = self.boolean("clear_closes", document.get("clear_closes", False))
        self.drill = self.boolean("drill", document.get("drill", False))
        steps = document.get("step")
        if not isinstance(steps, list) or not steps:
            self.fault("step", "there must be at least one [[step]]")
            steps = []
        elif len(steps) > MAX_STEPS:
            self.fault("step", f"there are {len(steps)} steps; at most {MAX_STEPS}")
        read = tuple(self.step(f"step[{at}]", step) for at, step in enumerate(steps[:MAX_STEPS]))
        for at, step in enumerate(read):
            if step.answers > max(1, len(self.answerers)) and not self.elsewhere:
                self.fault(
                    f"step[{at}].answers",
                    f"is {step.answers}; this policy reaches {len(self.answerers)} who may answer",
                )
        more = (presses, within_s * 1000, self.drill, clear_closes)
        return Policy(name, title, timeout_s * 1000, passes, read, *more)

    def step(self, path: str, step: object) -> Step:
        if not isinstance(step, dict):
            self.fault(path, "must be a table")
            return Step(0, ())
        self.keys(f"{path}.", step, ("delay_s", "answers", "targets"))
        delay_s = MIN_DELAY_S
        if "delay_s" not in step:
            self.fault(f"{path}.delay_s", "is missing: how long before the next step")
        else:
            delay_s = self.integer(f"{path}.delay_s", step["delay_s"], MIN_DELAY_S, MAX_DELAY_S)
        answers = self.integer(f"{path}.answers", step.get("answers", 1), 1, MAX_ANSWERS)
        targets = step.get("targets")
        if not isinstance(targets, list) or not targets:
            self.fault(f"{path}.targets", "there must be at least one target")
            targets = []
        elif len(targets) > MAX_TARGETS:
            self.fault(f"{path}.targets", f"there are {len(targets)} targets; at most {MAX_TARGETS}")
        before = len(self.faults)
        read = tuple(self.target(f"{path}.targets[{at}]", target) for at, target in enumerate(targets[:MAX_TARGETS]))
        ways = frozenset[str]().union(*(self.ways(target) for target in read))
        if read and before == len(self.faults):
            if not ways:
                self.fault(
                    f"{path}.targets", "no person receives this step: add a person, a role, a roster or the console"
                )
            elif ways == {"push"}:
                self.fault(
                    f"{path}.targets", "push alone is never a step: nobody answers for its delivery; add another way"
                )
        return Step(delay_s * 1000, read, answers)

    def target(self, path: str, target: object) -> Target:
        if not isinstance(target, dict):
            self.fault(path, "must be a table: { person = … }, { role = … } or { channel = … }")
            return Target()
        self.keys(f"{path}.", target, (*_MEANS, "channels", "during", "not_during"))
        if sum(key in target for key in _MEANS) != 1:
            self.fault(path, f"must name exactly one of {', '.join(_MEANS)}")
            return Target()
        means = next(key for key in _MEANS if key in target)
        during, not_during = self.when(path, target)
        channels = self.channels(path, target, means)
        value = target[means]
        if not isinstance(value, str):
            self.fault(f"{path}.{means}", f"must be a text, not {value!r}")
            return Target()
        read = Target(**{means: value}, channels=channels, during=during, not_during=not_during)
        getattr(self, f"check_{means}")(f"{path}.{means}", read)
        return read

    # -- what each kind of target must be

    def check_person(self, path: str, target: Target) -> None:
        if target.person not in self.people:
            self.fault(path, f"{target.person!r} is not a person of this organisation")
        elif not self.ways(target):
            self.fault(path, f"{target.person!r} cannot be reached{self.how(target)}: no such contact method")
        else:
            self.answerers.add(target.person)

    def check_role(self, path: str, target: Target) -> None:
        if target.role not in ROLES:
            self.fault(path, f"{target.role!r} is not a role; roles: {', '.join(ROLES)}")
        elif not self.ways(target):
            self.fault(path, f"nobody reachable{self.how(target)} has the role {target.role!r}")
        self.answerers.update(login for login, (role, _) in self.people.items() if role == target.role)

    def check_roster(self, path: str, target: Target) -> None:
        if target.roster not in self.known.rosters:
            self.fault(path, f"{target.roster!r} is not a roster of this organisation")
        elif not self.ways(target):
            self.fault(path, f"nobody on the roster {target.roster!r} can be reached{self.how(target)}")
        self.answerers.update(self.known.rosters.get(target.roster, ()))

    def check_desk(self, path: str, target: Target) -> None:
        self.elsewhere = True
        if target.desk not in self.known.desks:
            self.fault(path, f'no desk {target.desk!r} invited this organisation; it is written "organisation/desk"')
        elif self.drill and self.known.desks[target.desk][1]:
            self.fault(path, f"the desk {target.desk!r} is external: never in a drill policy")
        elif not self.ways(target):
            self.fault(path, f"nobody at the desk {target.desk!r} can be reached{self.how(target)}")

    def check_channel(self, path: str, target: Target) -> None:
        kind, _, centre = target.channel.partition("/")
        if kind == "dc09" and centre:
            self.elsewhere = True
            if centre not in self.known.centres:
                self.fault(path, f"{centre!r} is not a monitoring centre of this organisation")
        elif target.channel not in SHARED_CHANNELS:
            here = ", ".join((*SHARED_CHANNELS, "dc09/<centre>"))
            self.fault(path, f"{target.channel!r} reaches nobody by itself; here: {here}")
        if self.drill and target.channel != "console":
            self.fault(path, f"{target.channel!r} is external: never in a drill policy")
        if target.channel == "console":
            self.answerers.update(login for login, (role, _) in self.people.items() if may(role, "answer"))

    def check_alarms(self, path: str, target: Target) -> None:
        if target.alarms not in self.known.alarm_groups:
            self.fault(path, f"{target.alarms!r} is not an alarm group of this organisation")

    # -- how a target is reached

    def ways(self, target: Target) -> frozenset[str]:
        """The channels by which this target reaches a person, the console and a monitoring centre among them."""
        if target.channel:
            return frozenset((target.channel,)) - {"cap"}
        if target.desk:
            found = self.known.desks.get(target.desk, (frozenset[str](), True))[0]
        else:
            logins = {target.person} | set(self.known.rosters.get(target.roster, ()))
            logins |= {login for login, (role, _) in self.people.items() if role == target.role}
            found = frozenset[str]().union(*(self.methods(login) for login in logins))
        return found & frozenset(target.channels) if target.channels else found

    def methods(self, login: str) -> frozenset[str]:
        if self.drill:
            return self.known.inside.get(login, frozenset())
        return self.people[login][1] if login in self.people else frozenset()

    def how(self, target: Target) -> str:
        inside = " without leaving the organisation" if self.drill else ""
        return (f" by {' or '.join(target.channels)}" if target.channels else "") + inside

    def channels(self, path: str, target: Mapping[str, object], means: str) -> tuple[str, ...]:
        if "channels" not in target:
            return ()
        if means in ("channel", "alarms"):
            self.fault(f"{path}.channels", f"narrows the contact methods of people; {means} has none")
        given = target["channels"]
        if not isinstance(given, list) or not given:
            self.fault(f"{path}.channels", "must be a list of at least one channel")
            return ()
        for channel in given:
            if channel not in PERSONAL_CHANNELS:
                reason = f"{channel!r} is not a channel to a person; here: {', '.join(PERSONAL_CHANNELS)}"
                self.fault(f"{path}.channels", reason)
        return tuple(channel for channel in given if channel in PERSONAL_CHANNELS)

    def when(self, path: str, target: Mapping[str, object]) -> tuple[str, str]:
        """`during` and `not_during`, which must leave some hour in which the target counts."""
        names = []
        for key, never in (("during", 0), ("not_during", 1)):
            name = target.get(key, "")
            if key in target and (not isinstance(name, str) or name not in self.known.hours):
                self.fault(f"{path}.{key}", f"{name!r} is not a calendar of this organisation")
            elif isinstance(name, str) and name and not self.known.hours[name][never]:
                when = "never holds" if key == "during" else "always holds"
                self.fault(f"{path}.{key}", f"the calendar {name!r} {when} in the year to come: never reached")
            names.append(str(name))
        if names[0] and names[0] == names[1]:
            self.fault(f"{path}.not_during", f"is {names[0]!r} like `during`: never reached")
        return names[0], names[1]


def parse(document: Mapping[str, object], people: People, known: Known | None = None) -> Policy:
    """The policy in a parsed TOML file.

    `people` maps each login of the organisation to (role, the channels of that person's contact methods).
    Raises BadPolicy, which lists every fault with its path.
    """
    reader = _PolicyReader(people, known or Known())
    policy = reader.policy(document)
    if reader.faults:
        raise BadPolicy(reader.faults)
    return policy


def fallback(org_language: str = "fr") -> Policy:
    """The policy where none was chosen: the screen and every supervisor, again and again. A press is for somebody."""
    title = "Sans politique" if org_language == "fr" else "No policy"
    targets = (Target(channel="console"), Target(role="supervisor"), Target(role="administrator"))
    return Policy("none", title, 900_000, 1, (Step(60_000, targets),))


def technical_fallback(org_language: str = "fr") -> Policy:
    """Technical alerts where no policy was chosen for them: screen and technicians, hourly; daily once taken."""
    title = "Technique" if org_language == "fr" else "Technical"
    targets = (Target(channel="console"), Target(role="technician"))
    return Policy("technical", title, 86_400_000, 1, (Step(3_600_000, targets),))


def probe() -> Policy:
    """The policy of a probe: the sink that counts it, and nobody."""
    return Policy("probe", "Probe", 60_000, 1, (Step(60_000, (Target(channel="probe"),)),), clear_closes=True)


MUTED_ID: Final = "muted"
DAY_MS: Final = 86_400_000


def muted() -> Policy:
    """The policy of a technical alert during maintenance: it stands on the screen, nobody is sent anything."""
    return Policy(MUTED_ID, "Maintenance", DAY_MS, 1, (Step(DAY_MS, (Target(channel="console"),)),), clear_closes=True)


_TARGET: Final = ("person", "role", "channel", "channels", "roster", "desk", "alarms", "during", "not_during")


def dump(policy: Policy) -> str:
    """The canonical JSON of a policy: what an alert freezes and a version stores. Defaults are left out."""
    steps: list[dict[str, object]] = []
    for step in policy.steps:
        targets = [
            {name: getattr(target, name) for name in _TARGET if getattr(target, name)} for target in step.targets
        ]
        more = {} if step.answers == 1 else {"answers": step.answers}
        steps.append({"delay_ms": step.delay_ms, "targets": targets, **more})
    body: dict[str, object] = {
        "id": policy.id,
        "title": policy.title,
        "answer_timeout_ms": policy.answer_timeout_ms,
        "passes": policy.passes,
        "steps": steps,
    }
    for name in ("severity_presses", "severity_within_ms", "drill", "clear_closes"):
        if getattr(policy, name):
            body[name] = getattr(policy, name)
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=512)
def load(text: str) -> Policy:
    """The policy in what `dump` wrote, by this version or an older one."""
    body = json.loads(text)
    steps = tuple(
        Step(step["delay_ms"], tuple(map(_target, step["targets"])), step.get("answers", 1)) for step in body["steps"]
    )
    return Policy(
        body["id"],
        body["title"],
        body["answer_timeout_ms"],
        body["passes"],
        steps,
        body.get("severity_presses", 0),
        body.get("severity_within_ms", 0),
        body.get("drill", False),
        body.get("clear_closes", False),
    )


def _target(body: dict[str, Any]) -> Target:
    return Target(**(body | {"channels": tuple(body.get("channels", ()))}))
