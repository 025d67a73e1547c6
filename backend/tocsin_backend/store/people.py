"""Reading people as the domain knows them: active, with the contact methods in force."""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, or_, select

from ..domain.people import Directory, Method, Person
from ..domain.policies import Policy
from . import tables

_person = tables.Person.__table__  # type: ignore[attr-defined]
_method = tables.ContactMethod.__table__  # type: ignore[attr-defined]

_select = (
    select(
        _person.c.id, _person.c.org, _person.c.login, _person.c.name, _person.c.role, _person.c.language,
        _method.c.id, _method.c.channel, _method.c.address, _method.c.external, _method.c.secret,
    )
    .select_from(
        _person.outerjoin(_method, (_method.c.person_id == _person.c.id) & (_method.c.disabled_ms.is_(None)))
    )
    .where(
        _person.c.org == bindparam("org"),
        _person.c.active,
        or_(
            _person.c.login.in_(bindparam("logins", expanding=True)),
            _person.c.role.in_(bindparam("roles", expanding=True)),
            _person.c.id.in_(bindparam("ids", expanding=True)),
        ),
    )
    .order_by(_person.c.id, _method.c.position, _method.c.id)
)  # fmt: skip


def directory(conn: Connection, org: str, policy: Policy | None, ids: Iterable[int | None] = ()) -> Directory:
    """The people of this organisation whom this policy may tell, and those of these ids."""
    targets = () if policy is None else [target for step in policy.steps for target in step.targets]
    wanted = {
        "org": org,
        "logins": sorted({target.person for target in targets if target.person}),
        "roles": sorted({target.role for target in targets if target.role}),
        "ids": sorted({each for each in ids if each is not None}),
    }
    found: dict[int, tuple[tuple[object, ...], list[Method]]] = {}
    for row in conn.execute(_select, wanted):
        entry = found.setdefault(row[0], (tuple(row[:6]), []))
        if row[6] is not None:
            entry[1].append(Method(row[6], row[7], row[8], row[9], row[10]))
    return Directory({key: Person(*who, methods=tuple(methods)) for key, (who, methods) in found.items()})  # type: ignore[arg-type]


def person(conn: Connection, person_id: int) -> Person | None:
    """An active person, without the contact methods."""
    query = select(*(_person.c[name] for name in ("id", "org", "login", "name", "role", "language")))
    row = conn.execute(query.where(_person.c.id == person_id, _person.c.active)).one_or_none()
    return None if row is None else Person(*row)
