"""Reading people as the domain knows them: active, with the contact methods in force, and their duty as it is now."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, and_, bindparam, false, or_, select, tuple_

from ..domain.calendars import Calendar
from ..domain.people import Desk, Directory, Method, Person
from ..domain.policies import Policy, Target
from ..domain.rosters import Roster, calendars_of, members
from . import calendars, desks, rosters, tables
from .dialect import Prepared

_person = tables.Person.__table__  # type: ignore[attr-defined]
_method = tables.ContactMethod.__table__  # type: ignore[attr-defined]
_group = tables.AlarmGroup.__table__  # type: ignore[attr-defined]
_site = tables.Site.__table__  # type: ignore[attr-defined]
_org = tables.Organisation.__table__  # type: ignore[attr-defined]

WEEK_MS = 7 * 86_400_000  # whoever stood in so lately is still of that desk, for the news of what she was told
_PERSON = ("id", "org", "login", "name", "role", "language")
_METHOD = ("id", "channel", "address", "external", "secret", "offset_ms", "verified_ms", "proven_ms")
_METHODS = (_method.c.person_id == _person.c.id) & _method.c.disabled_ms.is_(None)
_COLUMNS = [_person.c[name] for name in _PERSON] + [_method.c[name] for name in _METHOD]


@lru_cache(maxsize=256)
def _select(logins: int, roles: int, ids: int) -> Prepared:
    """The people of so many (org, login), (org, role) and ids: policies have few shapes, each compiled once."""
    wanted = [
        and_(_person.c.org == bindparam(f"{column}{at}_org"), _person.c[column] == bindparam(f"{column}{at}"))
        for column, number in (("login", logins), ("role", roles))
        for at in range(number)
    ]
    wanted += [_person.c.id == bindparam(f"id{at}") for at in range(ids)]
    return Prepared(
        select(*_COLUMNS)
        .select_from(_person.outerjoin(_method, _METHODS))
        .where(_person.c.active, or_(false(), *wanted))
        .order_by(_person.c.id, _method.c.position, _method.c.id)
    )


def directory(
    conn: Connection, org: str, policy: Policy | None, ids: Iterable[int | None] = (), site: str = "", from_ms: int = 0
) -> Directory:
    """The people whom this policy of `org` may tell, those of the desks it names included, and those of these ids.

    One statement where the policy names people and roles only. `site`: whose local time `during` is meant in; without
    one, the organisation's. Somebody of these ids who is at no desk that `org` may tell has no contact method.
    `from_ms`: overrides of rosters that ended before it are left out.
    """
    targets = () if policy is None else tuple(target for step in policy.steps for target in step.targets)
    duty = _duty(conn, org, targets, from_ms) if any(each.roster or each.desk for each in targets) else _NO_DUTY
    desk_rows, roster_rows = duty
    logins = {(org, target.person) for target in targets if target.person}
    roles = {(org, target.role) for target in targets if target.role}
    roles |= {(desk.host, desk.role) for desk in desk_rows.values() if not desk.roster}
    for name, roster in roster_rows.items():
        logins |= {(name.rpartition("/")[0] or org, login) for login in members(roster)}
    people = _people(conn, logins, roles, {each for each in ids if each is not None})
    strangers = {key for key, p in people.items() if p.org != org and not _is_at(p, desk_rows.values(), roster_rows)}
    if strangers:
        # Told before, by an invitation that may be revoked since: known by name, reached no more (invariant 11).
        more = desks.invited(conn, org)
        duties = {(desk.host, desk.roster): f"{desk.host}/{desk.roster}" for desk in more.values() if desk.roster}
        lists = {duties[key]: each for key, each in loaded(conn, set(duties), from_ms - WEEK_MS).items()}
        strangers = {key for key in strangers if not _is_at(people[key], more.values(), lists)}
        people = {key: replace(p, methods=()) if key in strangers else p for key, p in people.items()}
    hours = {name for target in targets for name in (target.during, target.not_during) if name}
    groups = {target.alarms for target in targets if target.alarms}
    if not (duty is not _NO_DUTY or hours or groups):
        return Directory(people, org=org)
    return Directory(
        people,
        roster_rows,
        {name: each for (_, name), each in calendars.named(conn, {(org, name) for name in hours}).items()},
        desk_rows,
        _alarm_groups(conn, org, groups) if groups else {},
        zone(conn, org, site) if hours else "Europe/Paris",
        org,
    )


def _is_at(person: Person, at: Iterable[Desk], duties: Mapping[str, Roster]) -> bool:
    """Whether this person answers at one of these desks, at some time or other."""
    for desk in at:
        if desk.host == person.org:
            duty = duties.get(f"{desk.host}/{desk.roster}")
            if duty is not None and person.login in members(duty):
                return True
            if not desk.roster and person.role == desk.role:
                return True
    return False


_NO_DUTY: tuple[dict[str, Desk], dict[str, Roster]] = ({}, {})


def _duty(
    conn: Connection, org: str, targets: tuple[Target, ...], from_ms: int
) -> tuple[dict[str, Desk], dict[str, Roster]]:
    """The desks and rosters that these targets name, with the calendars and overrides of the rosters."""
    named = {target.desk for target in targets if target.desk}
    found = desks.invited(conn, org, named) if named else {}
    keys = {(org, target.roster): target.roster for target in targets if target.roster}
    keys |= {(desk.host, desk.roster): f"{desk.host}/{desk.roster}" for desk in found.values() if desk.roster}
    return found, {keys[key]: roster for key, roster in loaded(conn, set(keys), from_ms).items()}


def loaded(conn: Connection, keys: set[tuple[str, str]], from_ms: int = 0) -> dict[tuple[str, str], Roster]:
    """The rosters of these (org, id), complete: with their overrides not over before `from_ms`, and their calendars."""
    bare = rosters.named(conn, keys)
    if not bare:
        return {}
    overrides = rosters.overrides(conn, set(bare), from_ms)
    wanted = {(key[0], name) for key, roster in bare.items() for name in calendars_of(roster)}
    known: dict[tuple[str, str], Calendar] = calendars.named(conn, wanted)
    return {
        key: replace(
            roster,
            overrides=overrides.get(key, ()),
            calendars={name: each for (host, name), each in known.items() if host == key[0]},
        )
        for key, roster in bare.items()
    }


def _people(
    conn: Connection, logins: set[tuple[str, str]], roles: set[tuple[str, str]], ids: set[int]
) -> dict[int, Person]:
    values: dict[str, object] = {f"id{at}": each for at, each in enumerate(sorted(ids))}
    for column, pairs in (("login", logins), ("role", roles)):
        for at, (host, each) in enumerate(sorted(pairs)):
            values |= {f"{column}{at}_org": host, f"{column}{at}": each}
    return _gather(_select(len(logins), len(roles), len(ids)).all(conn, values))


def _gather(rows: Iterable[Any]) -> dict[int, Person]:
    found: dict[int, tuple[tuple[Any, ...], list[Method]]] = {}
    for row in rows:
        entry = found.setdefault(row[0], (tuple(row[:6]), []))
        if row[6] is not None:
            entry[1].append(Method(row[6], row[7], row[8], bool(row[9]), *row[10:14]))
    return {key: Person(*who, methods=tuple(methods)) for key, (who, methods) in found.items()}


def everybody(conn: Connection, orgs: Iterable[str]) -> dict[int, Person]:
    """Every active person of these organisations, with the methods in force."""
    query = select(*_COLUMNS).select_from(_person.outerjoin(_method, _METHODS))
    query = query.where(_person.c.active, _person.c.org.in_(sorted(orgs)))
    return _gather(conn.execute(query.order_by(_person.c.id, _method.c.position, _method.c.id)))


def _alarm_groups(conn: Connection, org: str, names: set[str]) -> dict[str, tuple[tuple[str, str], ...]]:
    query = select(_group.c.id, _group.c.outputs).where(
        tuple_(_group.c.org, _group.c.id).in_([(org, n) for n in names])
    )
    return {name: tuple((str(a), str(b)) for a, b in json.loads(outputs)) for name, outputs in conn.execute(query)}


def zone(conn: Connection, org: str, site: str = "") -> str:
    """The time zone of a site, or the organisation's where there is none of that name."""
    query = select(_org.c.timezone, _site.c.timezone).select_from(
        _org.outerjoin(_site, (_site.c.org == _org.c.id) & (_site.c.id == site))
    )
    row = conn.execute(query.where(_org.c.id == org)).one_or_none()
    return "Europe/Paris" if row is None else str(row[1] or row[0])


def person(conn: Connection, person_id: int) -> Person | None:
    """An active person, without the contact methods."""
    query = select(*(_person.c[name] for name in _PERSON))
    row = conn.execute(query.where(_person.c.id == person_id, _person.c.active)).one_or_none()
    return None if row is None else Person(*row)
