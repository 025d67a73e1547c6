"""What is unwise in a policy but no reason to refuse it, as things stand now and in the next 90 days."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from . import ways_out
from .calendars import Calendar, known_until, spans
from .localtime import local, spelled
from .owed import is_in_force, owed
from .people import Directory, Method, Person
from .policies import Policy, Target
from .rosters import Roster, gaps, members, shifts

DAY_MS: Final = 86_400_000
AHEAD_MS: Final = 90 * DAY_MS
PROVEN_WITHIN_MS: Final = 90 * DAY_MS
EMPTY_AHEAD_MS: Final = 14 * DAY_MS  # weekly rules come round twice
LONG_DELAY_MS: Final = 600_000
GAPS_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Doubt:
    """`code` is stable, for programs; `path` is where in the policy; `reason` is for people."""

    code: str
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def lint(
    policy: Policy, directory: Directory, now_ms: int, blocked: Mapping[str, str] | None = None, language: str = "en",
    closers: int = 2,
) -> list[Doubt]:  # fmt: skip
    """Every warning: roster-gap, calendar-ends, calendar-unknown, step-empty, contact-unproven, unreachable, one-alone,
    long-delay, repeated, screen-alone, no-answer-timeout, one-may-close, cannot-leave.

    `blocked`: the channels that cannot leave (ways_out.blocked), whose reasons are said in `language`; `closers`: how
    many people of the organisation may close an alert.
    """
    found = [*_steps(policy, directory, now_ms), *_people(policy, directory, now_ms)]
    found += [*_ends(policy, directory, now_ms, closers), *_blocked(policy, directory, blocked or {}, language)]
    return list(dict.fromkeys(found))


def _ends(policy: Policy, directory: Directory, now_ms: int, closers: int) -> Iterator[Doubt]:
    """How an alert may be left standing: on a screen alone, answered and forgotten, closed by nobody."""
    last = len(policy.steps) - 1
    targets = policy.steps[last].targets
    others = [each for each in targets if not each.channel and not each.alarms]
    if any(each.channel == "console" for each in targets) and others:
        alone = _alone(others, directory, now_ms)
        if alone is not None:
            when = spelled(alone, directory.zone)
            reason = f"at {when} the rosters name nobody: the last step is told by the screen alone then"
            yield Doubt("screen-alone", f"step[{last}].targets", reason)
    if policy.answer_timeout_ms == 0:
        reason = "is 0: an alert that somebody took and forgot is never raised again"
        yield Doubt("no-answer-timeout", "answer_timeout_s", reason)
    if closers < 2:
        reason = f"a silent alert and a threat are closed by two people; here {closers} may"
        yield Doubt("one-may-close", "step", reason)


def _alone(others: list[Target], directory: Directory, now_ms: int) -> int | None:
    """The first instant of the next 90 days at which a roster of these names nobody, and no other target anybody."""
    edges = {now_ms}
    for target in others:
        roster = directory.rosters.get(_roster_of(target, directory))
        if roster is not None:
            edges |= {begins for begins, _ in gaps(roster, now_ms, now_ms + AHEAD_MS)}
    for edge in sorted(edges):
        if edges != {now_ms} and not any(_has_somebody(target, directory, edge) for target in others):
            return edge
    return None


def _roster_of(target: Target, directory: Directory) -> str:
    desk = directory.desks.get(target.desk)
    return target.roster or (f"{desk.host}/{desk.roster}" if desk is not None and desk.roster else "")


def _blocked(policy: Policy, directory: Directory, blocked: Mapping[str, str], language: str) -> Iterator[Doubt]:
    for at, step in enumerate(policy.steps):
        for number, target in enumerate(step.targets):
            people = everybody(target, directory)
            used = {method.channel for person in people for method in usable(person, target.channels)}
            for channel in sorted(used & set(blocked)):
                reason = f"{channel}: {ways_out.words(language, blocked[channel])}"
                yield Doubt("cannot-leave", f"step[{at}].targets[{number}]", reason)


def _steps(policy: Policy, directory: Directory, now_ms: int) -> Iterator[Doubt]:
    for at, step in enumerate(policy.steps):
        path = f"step[{at}]"
        if step.delay_ms > LONG_DELAY_MS and at < len(policy.steps) - 1:
            minutes = step.delay_ms // 60_000
            yield Doubt("long-delay", f"{path}.delay_s", f"nobody else is told for {minutes} minutes")
        for number, target in enumerate(step.targets):
            place = f"{path}.targets[{number}]"
            if target in step.targets[:number]:
                yield Doubt("repeated", place, "says the same as another target of this step")
            yield from _target(place, target, directory, now_ms)
        empty = _empty(step.targets, directory, now_ms)
        if empty is not None:
            when = spelled(empty, directory.zone)
            yield Doubt("step-empty", f"{path}.targets", f"names nobody at {when}: the next step comes at once then")


def _target(path: str, target: Target, directory: Directory, now_ms: int) -> Iterator[Doubt]:
    for name in filter(None, (target.during, target.not_during)):
        calendar = directory.calendars.get(name)
        if calendar is None:
            yield Doubt("calendar-unknown", path, f"the calendar {name!r} is gone: the target counts at any hour")
        else:
            yield from _known(path, calendar, directory.zone, now_ms)
    if target.alarms and not directory.alarm_groups.get(target.alarms):
        yield Doubt("unreachable", path, f"the alarm group {target.alarms!r} is gone: nothing is switched on")
    desk = directory.desks.get(target.desk)
    if target.desk and desk is None:
        yield Doubt("unreachable", path, f"the desk {target.desk!r} is gone, or its invitation was revoked")
    name = target.roster or (f"{desk.host}/{desk.roster}" if desk is not None and desk.roster else "")
    if not name:
        return
    roster = directory.rosters.get(name)
    if roster is None:
        yield Doubt("unreachable", path, f"the roster {name!r} is gone")
        return
    for calendar in roster.calendars.values():
        yield from _known(path, calendar, roster.zone, now_ms)
    yield from _gaps(path, name, roster, target, directory, now_ms)
    active = {person.login for person in directory.by_id.values() if person.methods}
    for login in members(roster):
        if login not in active:
            yield Doubt("unreachable", path, f"{login!r} of the roster {name!r} is gone or has no contact method")


def _known(path: str, calendar: Calendar, zone: str, now_ms: int) -> Iterator[Doubt]:
    until = known_until(calendar)
    if until is not None and until < local(now_ms + AHEAD_MS, zone).date():
        after = until + timedelta(days=1)
        reason = (
            f"school holidays of the calendar {calendar.id!r} are known until {until}; from {after} on every day counts"
        )
        yield Doubt("calendar-ends", path, f"{reason} as a school day")


def _gaps(path: str, name: str, roster: Roster, target: Target, directory: Directory, now_ms: int) -> Iterator[Doubt]:
    found = [gap for gap in gaps(roster, now_ms, now_ms + AHEAD_MS) if _counts(target, directory, gap)]
    if not found:
        return
    named = ", ".join(f"{spelled(a, roster.zone)} to {spelled(b, roster.zone)}" for a, b in found[:GAPS_NAMED])
    more = f" and {len(found) - GAPS_NAMED} more in 90 days" if len(found) > GAPS_NAMED else ""
    yield Doubt("roster-gap", path, f"nobody is on the roster {name!r} from {named}{more}")


def _counts(target: Target, directory: Directory, gap: tuple[int, int]) -> bool:
    """Whether the target is in force at any instant of the gap."""
    instants = [gap[0], *(each for each in _hours_change((target,), directory, *gap))]
    return any(is_in_force(target, directory, each) for each in instants)


def _hours_change(targets: Iterable[Target], directory: Directory, from_ms: int, to_ms: int) -> set[int]:
    names = {name for target in targets for name in (target.during, target.not_during)}
    calendars = [directory.calendars[name] for name in names if name in directory.calendars]
    edges = {edge for each in calendars for span in spans(each, from_ms, to_ms, directory.zone) for edge in span}
    return {edge for edge in edges if from_ms <= edge < to_ms}


def _empty(targets: tuple[Target, ...], directory: Directory, now_ms: int) -> int | None:
    """The first instant of the next fortnight at which a step names nobody and nothing; None: there is none."""
    end_ms = now_ms + EMPTY_AHEAD_MS
    edges = {now_ms} | _hours_change(targets, directory, now_ms, end_ms)
    for target in targets:
        desk = directory.desks.get(target.desk)
        name = target.roster if desk is None else f"{desk.host}/{desk.roster}"
        if name in directory.rosters:
            edges |= {shift.from_ms for shift in shifts(directory.rosters[name], now_ms, end_ms)}
    for edge in sorted(edges):
        if not any(_has_somebody(target, directory, edge) for target in targets):
            return edge
    return None


def _has_somebody(target: Target, directory: Directory, at_ms: int) -> bool:
    if target.channel or target.alarms:
        return is_in_force(target, directory, at_ms)
    return any(usable(person, target.channels) for person in owed(target, directory, at_ms))


def usable(person: Person, channels: tuple[str, ...] = ()) -> list[Method]:
    """The methods of a person that a target with these channels uses."""
    return [method for method in person.methods if not channels or method.channel in channels]


def unproven(method: Method, now_ms: int) -> bool:
    """Whether no message went through this method for 90 days."""
    return method.proven_ms is None or now_ms - method.proven_ms > PROVEN_WITHIN_MS


def everybody(target: Target, directory: Directory) -> list[Person]:
    """Everybody whom a target means at some time or other, by id."""
    desk = directory.desks.get(target.desk)
    roster = target.roster or (f"{desk.host}/{desk.roster}" if desk is not None and desk.roster else "")
    if roster:
        logins = set(members(directory.rosters[roster])) if roster in directory.rosters else set()
        return [person for person in directory.of_org("") if person.login in logins]
    if desk is not None:
        return directory.role(desk.role, desk.host)
    return directory.login(target.person) if target.person else directory.role(target.role) if target.role else []


def _people(policy: Policy, directory: Directory, now_ms: int) -> Iterator[Doubt]:
    steps: list[set[str]] = []
    for at, step in enumerate(policy.steps):
        names: set[str] = set()
        for number, target in enumerate(step.targets):
            people = everybody(target, directory)
            names |= {person.login for person in people} if not target.channel else {f"#{target.channel}"}
            for person in people:
                yield from _proof(f"step[{at}].targets[{number}]", person, target.channels, now_ms)
        steps.append(names)
    everyone = set().union(*steps)
    if len(everyone) == 1 and not next(iter(everyone)).startswith("#"):
        yield Doubt("one-alone", "step", f"{next(iter(everyone))!r} is alone in all steps: nobody stands behind")


def _proof(path: str, person: Person, channels: tuple[str, ...], now_ms: int) -> Iterator[Doubt]:
    methods = usable(person, channels)
    if not methods:
        yield Doubt("unreachable", path, f"{person.login!r} has no contact method that this step uses")
    elif all(unproven(method, now_ms) for method in methods):
        last = max((method.proven_ms for method in methods if method.proven_ms is not None), default=None)
        when = "never" if last is None else f"not for {(now_ms - last) // DAY_MS} days"
        yield Doubt("contact-unproven", path, f"{person.login!r} was {when} proven to be reached by any contact method")
