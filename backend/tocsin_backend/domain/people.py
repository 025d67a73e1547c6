"""Who can be told, and how: the live side of a policy. A frozen policy names people; their numbers stay live."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .calendars import Calendar
from .rosters import Roster


@dataclass(frozen=True, slots=True)
class Method:
    """One way to reach a person. `external`: rescuers or another organisation, never told of a drill or a probe.

    `offset_ms`: how long after the person's step it is tried. `verified_ms`: when the person showed that the address is
    hers. `proven_ms`: when a message last went through it.
    """

    id: int
    channel: str
    address: str
    external: bool = False
    secret: str = ""
    offset_ms: int = 0
    verified_ms: int | None = None
    proven_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """A person and the methods that are in force, in their order."""

    id: int
    org: str
    login: str
    name: str
    role: str
    language: str
    methods: tuple[Method, ...] = ()


@dataclass(frozen=True, slots=True)
class Desk:
    """A desk that the organisation was invited to tell: whoever has `role` at `host`, or is on `roster` there."""

    host: str
    id: str
    title: str
    role: str = ""
    roster: str = ""
    external: bool = True


@dataclass(frozen=True, slots=True)
class Directory:
    """The people an alert of `org` may concern, as they are now: active ones only.

    `by_id` also holds the people of the desks it may tell. `rosters` and `calendars` are named by their id, those of a
    desk's host by `host/id`; `desks` by `host/id`; `alarm_groups` give their outputs, (device, output). `zone` is the
    local time in which `during` is meant: the site's.
    """

    by_id: Mapping[int, Person] = field(default_factory=dict)
    rosters: Mapping[str, Roster] = field(default_factory=dict)
    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    desks: Mapping[str, Desk] = field(default_factory=dict)
    alarm_groups: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    zone: str = "Europe/Paris"
    org: str = ""  # "": everybody in it is of one organisation

    @staticmethod
    def of(people: Iterable[Person]) -> "Directory":
        return Directory({person.id: person for person in people})

    def of_org(self, org: str) -> list[Person]:
        """Everybody of this organisation, by id."""
        people = (person for person in self.by_id.values() if not org or person.org == org)
        return sorted(people, key=lambda each: each.id)

    def login(self, login: str, org: str = "") -> list[Person]:
        """The person of this login, or nobody."""
        return [person for person in self.of_org(org or self.org) if person.login == login]

    def role(self, role: str, org: str = "") -> list[Person]:
        """Everybody of this role, by id."""
        return [person for person in self.of_org(org or self.org) if person.role == role]
