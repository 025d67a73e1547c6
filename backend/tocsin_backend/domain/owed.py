"""Who is owed a notice at an instant: the people a target of a step means then."""

from dataclasses import replace

from .calendars import contains
from .people import Desk, Directory, Person
from .policies import Target
from .rosters import on_duty


def is_in_force(target: Target, directory: Directory, at_ms: int) -> bool:
    """Whether the target counts at this instant, by its `during` and `not_during`.

    A calendar that is not in the directory holds at no time, so that it neither admits nor shuts out: a step is never
    silent because a calendar is missing.
    """
    during, not_during = directory.calendars.get(target.during), directory.calendars.get(target.not_during)
    if during is not None and not contains(during, at_ms, directory.zone):
        return False
    return not_during is None or not contains(not_during, at_ms, directory.zone)


def owed(target: Target, directory: Directory, at_ms: int) -> list[Person]:
    """The people whom this target means at this instant, by id; nobody for a channel or an alarm group.

    A roster's gap gives nobody. The methods of a desk's people are external when the invitation says so.
    """
    if not is_in_force(target, directory, at_ms):
        return []
    if target.person:
        return directory.login(target.person)
    if target.role:
        return directory.role(target.role)
    if target.roster:
        return _on(target.roster, directory.org, directory, at_ms)
    desk = directory.desks.get(target.desk)
    return [] if desk is None else [_outside(person, desk) for person in at_desk(desk, directory, at_ms)]


def at_desk(desk: Desk, directory: Directory, at_ms: int) -> list[Person]:
    """Who answers at that desk at this instant, by id."""
    if desk.roster:
        return _on(f"{desk.host}/{desk.roster}", desk.host, directory, at_ms)
    return directory.role(desk.role, desk.host)


def _on(name: str, org: str, directory: Directory, at_ms: int) -> list[Person]:
    roster = directory.rosters.get(name)
    if roster is None:
        return []
    logins = set(on_duty(roster, at_ms))
    return [person for person in directory.of_org(org) if person.login in logins]


def _outside(person: Person, desk: Desk) -> Person:
    if not desk.external:
        return person
    return replace(person, methods=tuple(replace(method, external=True) for method in person.methods))
