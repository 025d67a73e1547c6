"""Who can be told, and how: the live side of a policy. A frozen policy names people; their numbers stay live."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Method:
    """One way to reach a person. `external`: rescuers or another organisation, never told of a drill or a probe."""

    id: int
    channel: str
    address: str
    external: bool = False
    secret: str = ""


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
class Directory:
    """The people an alert may concern, as they are now: active ones only."""

    by_id: Mapping[int, Person] = field(default_factory=dict)

    @staticmethod
    def of(people: Iterable[Person]) -> "Directory":
        return Directory({person.id: person for person in people})

    def login(self, login: str) -> list[Person]:
        """The person of this login, or nobody."""
        return [person for person in self.by_id.values() if person.login == login]

    def role(self, role: str) -> list[Person]:
        """Everybody of this role, by id."""
        return sorted((person for person in self.by_id.values() if person.role == role), key=lambda each: each.id)
