"""Reading people as the domain knows them: active, with the contact methods in force."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, bindparam, false, or_, select

from ..domain.people import Directory, Method, Person
from ..domain.policies import Policy
from . import tables
from .dialect import Prepared

_person = tables.Person.__table__  # type: ignore[attr-defined]
_method = tables.ContactMethod.__table__  # type: ignore[attr-defined]

_PERSON = ("id", "org", "login", "name", "role", "language")
_METHOD = ("id", "channel", "address", "external", "secret")


@lru_cache(maxsize=256)
def _select(logins: int, roles: int, ids: int) -> Prepared:
    """The people of so many logins, roles and ids: policies have few shapes, and each is compiled once."""
    wanted = [
        _person.c[column] == bindparam(f"{column}{at}")
        for column, number in (("login", logins), ("role", roles), ("id", ids))
        for at in range(number)
    ]
    methods = (_method.c.person_id == _person.c.id) & _method.c.disabled_ms.is_(None)
    columns = [_person.c[name] for name in _PERSON] + [_method.c[name] for name in _METHOD]
    return Prepared(
        select(*columns)
        .select_from(_person.outerjoin(_method, methods))
        .where(_person.c.org == bindparam("org"), _person.c.active, or_(false(), *wanted))
        .order_by(_person.c.id, _method.c.position, _method.c.id)
    )


def directory(conn: Connection, org: str, policy: Policy | None, ids: Iterable[int | None] = ()) -> Directory:
    """The people of this organisation whom this policy may tell, and those of these ids."""
    targets = () if policy is None else [target for step in policy.steps for target in step.targets]
    wanted = (
        sorted({target.person for target in targets if target.person}),
        sorted({target.role for target in targets if target.role}),
        sorted({each for each in ids if each is not None}),
    )
    values: dict[str, object] = {"org": org}
    for column, given in zip(("login", "role", "id"), wanted, strict=True):
        values.update((f"{column}{at}", each) for at, each in enumerate(given))
    found: dict[int, tuple[tuple[Any, ...], list[Method]]] = {}
    for row in _select(*map(len, wanted)).all(conn, values):
        entry = found.setdefault(row[0], (row[:6], []))
        if row[6] is not None:
            entry[1].append(Method(row[6], row[7], row[8], bool(row[9]), row[10]))
    return Directory({key: Person(*who, methods=tuple(methods)) for key, (who, methods) in found.items()})


def person(conn: Connection, person_id: int) -> Person | None:
    """An active person, without the contact methods."""
    query = select(*(_person.c[name] for name in _PERSON))
    row = conn.execute(query.where(_person.c.id == person_id, _person.c.active)).one_or_none()
    return None if row is None else Person(*row)
