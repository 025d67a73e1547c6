"""The policy: an ordered list of steps. Its file format, its faults, its frozen form.

    id = "lycee-jour"                  # [a-z0-9-], at most 32
    title = "Lycées, le jour"
    answer_timeout_s = 900             # reopen when an answered alert is not closed by then; 0: never. Default 900
    passes = 2                         # over all steps, before the last one repeats for ever. Default 1, at most 9

    [[step]]
    delay_s = 30                       # before the next step, at least 5
    targets = [
        { channel = "console" },                           # the supervisors' screen
        { person = "a.martin" },                           # by every contact method she has
        { person = "b.durand", channels = ["email"] },     # by these only
        { role = "supervisor" },                           # everybody who has this role then
    ]

Step 0 fires at once. A running alert keeps the policy it was raised with (`dump`, `load`).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from .rights import ROLES

MIN_DELAY_S: Final = 5  # below it, a person is told twice before having read the first message
MAX_DELAY_S: Final = 86_400
MAX_STEPS: Final = 20
MAX_PASSES: Final = 9
MAX_TARGETS: Final = 50
MIN_TIMEOUT_S: Final = 30
MAX_TIMEOUT_S: Final = 7 * 86_400
PERSONAL_CHANNELS: Final = ("webhook", "email", "sms", "push")  # reach one person
SHARED_CHANNELS: Final = ("console", "cap")  # reach whoever is there; and dc09/<centre>
_NAME: Final = re.compile(r"[a-z0-9-]{1,32}\Z")


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


@dataclass(frozen=True, slots=True)
class Fault:
    """Where in the document, and what is wrong there."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class BadPolicy(ValueError):
    """The policy has faults; all of them are listed."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


class _Reader:
    """Reads a document and gathers what is wrong with it instead of stopping at the first."""

    def __init__(self, people: Mapping[str, tuple[str, frozenset[str]]]) -> None:
        self.people = people
        self.faults: list[Fault] = []

    def fault(self, path: str, reason: str) -> None:
        self.faults.append(Fault(path, reason))

    def keys(self, path: str, table: Mapping[str, object], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                self.fault(f"{path}{key}", f"is not known here; known: {', '.join(known)}")

    def integer(self, path: str, value: object, low: int, high: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            self.fault(path, f"must be a whole number, not {value!r}")
        elif not low <= value <= high:
            self.fault(path, f"is {value}; it must be between {low} and {high}")
        else:
            return value
        return low

    def policy(self, document: Mapping[str, object]) -> Policy:
        self.keys("", document, ("id", "title", "answer_timeout_s", "passes", "step"))
        name, title = document.get("id"), document.get("title")
        if not isinstance(name, str) or not _NAME.match(name):
            self.fault("id", f"must be 1 to 32 of a-z, 0-9 and -, not {name!r}")
        if not isinstance(title, str) or not title.strip() or len(title) > 120:
            self.fault("title", "must be a text of 1 to 120 characters")
        timeout = document.get("answer_timeout_s", 900)
        timeout_s = 0 if timeout == 0 else self.integer("answer_timeout_s", timeout, MIN_TIMEOUT_S, MAX_TIMEOUT_S)
        passes = self.integer("passes", document.get("passes", 1), 1, MAX_PASSES)
        steps = document.get("step")
        if not isinstance(steps, list) or not steps:
            self.fault("step", "there must be at least one [[step]]")
            steps = []
        elif len(steps) > MAX_STEPS:
            self.fault("step", f"there are {len(steps)} steps; at most {MAX_STEPS}")
        read = tuple(self.step(f"step[{at}]", step) for at, step in enumerate(steps[:MAX_STEPS]))
        return Policy(str(name), str(title), timeout_s * 1000, passes, read)

    def step(self, path: str, step: object) -> Step:
        if not isinstance(step, dict):
            self.fault(path, "must be a table")
            return Step(0, ())
        self.keys(f"{path}.", step, ("delay_s", "targets"))
        delay_s = MIN_DELAY_S
        if "delay_s" not in step:
            self.fault(f"{path}.delay_s", "is missing: how long before the next step")
        else:
            delay_s = self.integer(f"{path}.delay_s", step["delay_s"], MIN_DELAY_S, MAX_DELAY_S)
        targets = step.get("targets")
        if not isinstance(targets, list) or not targets:
            self.fault(f"{path}.targets", "there must be at least one target")
            targets = []
        elif len(targets) > MAX_TARGETS:
            self.fault(f"{path}.targets", f"there are {len(targets)} targets; at most {MAX_TARGETS}")
        read = tuple(self.target(f"{path}.targets[{at}]", target) for at, target in enumerate(targets[:MAX_TARGETS]))
        return Step(delay_s * 1000, read)

    def target(self, path: str, target: object) -> Target:
        if not isinstance(target, dict):
            self.fault(path, "must be a table: { person = … }, { role = … } or { channel = … }")
            return Target()
        self.keys(f"{path}.", target, ("person", "role", "channel", "channels"))
        if sum(key in target for key in ("person", "role", "channel")) != 1:
            self.fault(path, "must name exactly one of person, role, channel")
            return Target()
        channels = self.channels(path, target)
        if "channel" in target:
            if target["channel"] not in SHARED_CHANNELS:
                reason = f"{target['channel']!r} reaches nobody by itself; here: {', '.join(SHARED_CHANNELS)}"
                self.fault(f"{path}.channel", reason)
            return Target(channel=str(target["channel"]))
        if "role" in target:
            role = target["role"]
            if role not in ROLES:
                self.fault(f"{path}.role", f"{role!r} is not a role; roles: {', '.join(ROLES)}")
            elif not any(held == role and self.reachable(has, channels) for held, has in self.people.values()):
                self.fault(f"{path}.role", f"nobody reachable has the role {role!r}")
            return Target(role=str(role), channels=channels)
        login = target["person"]
        if not isinstance(login, str) or login not in self.people:
            self.fault(f"{path}.person", f"{login!r} is not a person of this organisation")
        elif not self.reachable(self.people[login][1], channels):
            way = f" by {' or '.join(channels)}" if channels else ""
            self.fault(f"{path}.person", f"{login!r} cannot be reached{way}: no such contact method")
        return Target(person=str(login), channels=channels)

    def channels(self, path: str, target: Mapping[str, object]) -> tuple[str, ...]:
        if "channels" not in target:
            return ()
        given = target["channels"]
        if not isinstance(given, list) or not given:
            self.fault(f"{path}.channels", "must be a list of at least one channel")
            return ()
        for channel in given:
            if channel not in PERSONAL_CHANNELS:
                reason = f"{channel!r} is not a channel to a person; here: {', '.join(PERSONAL_CHANNELS)}"
                self.fault(f"{path}.channels", reason)
        return tuple(str(channel) for channel in given)

    @staticmethod
    def reachable(has: frozenset[str], wanted: tuple[str, ...]) -> bool:
        return bool(has & set(wanted) if wanted else has)


def parse(document: Mapping[str, object], people: Mapping[str, tuple[str, frozenset[str]]]) -> Policy:
    """The policy in a parsed TOML file.

    `people` maps each login of the organisation to (role, the channels of that person's contact methods).
    Raises BadPolicy, which lists every fault with its path.
    """
    reader = _Reader(people)
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
