"""What an organisation plans: policies, calendars, rosters and their overrides, desks and who may tell them.

Every document is read whole: it is saved as it stands, or refused with every fault. Each change is one job of the
database's writer and makes every cache and replica read again (`notes(conn).catalogue`).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from tocsin_backend.domain import calendars, policies, rosters
from tocsin_backend.domain.documents import NAME, BadDocument, table_of
from tocsin_backend.domain.localtime import is_zone, read
from tocsin_backend.domain.people import Desk, Person
from tocsin_backend.domain.rights import ROLES
from tocsin_backend.domain.toml_text import toml_text
from tocsin_backend.errors import Invalid, NotFound, NotInvited
from tocsin_backend.store import calendars as calendar_rows
from tocsin_backend.store import desks as desk_rows
from tocsin_backend.store import enrolment as enrolment_rows
from tocsin_backend.store import people as people_rows
from tocsin_backend.store import plans as plan_rows
from tocsin_backend.store import policies as policy_rows
from tocsin_backend.store import rosters as roster_rows
from tocsin_backend.store.database import Database, notes

Source = str | Mapping[str, Any]  # a TOML text, or the same document as JSON
YEAR_MS: Final = 366 * 86_400_000
OVERRIDE_MAX_MS: Final = YEAR_MS


class DocumentFaults(Invalid):
    """The document is refused; `faults` holds (path, reason) of each fault."""

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(f"{path}: {reason}" for path, reason in self.faults))


def tables_of(source: Source) -> tuple[Mapping[str, Any], str]:
    """(the document, its TOML text). Raises BadDocument."""
    if isinstance(source, str):
        return table_of(source), source
    return source, toml_text(source)


def need_organisation(conn: Connection, org: str) -> dict[str, Any]:
    """The organisation's row. Raises NotFound."""
    found = enrolment_rows.organisation(conn, org)
    if found is None:
        raise NotFound(f"there is no organisation {org[:40]!r}")
    return found


class Plans:
    """Changes to an organisation's plans. Every method raises Invalid or NotFound with what to show."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    def _write(self, job: Callable[[Connection], Any]) -> Any:
        def noted(conn: Connection) -> Any:
            result = job(conn)
            notes(conn).catalogue = True
            return result

        return self._database.write(noted).result()

    def _save(self, org: str, check_only: bool, job: Callable[[Connection, bool], dict[str, Any]]) -> dict[str, Any]:
        """Run a job that saves a document, or only reads it. Raises DocumentFaults."""

        def checked(conn: Connection) -> dict[str, Any]:
            need_organisation(conn, org)
            try:
                return job(conn, not check_only)
            except BadDocument as error:
                raise DocumentFaults((fault.path, fault.reason) for fault in error.faults) from None

        if check_only:
            with self._database.read() as conn:
                return checked(conn)
        found: dict[str, Any] = self._write(checked)
        return found

    # -- policies, calendars, rosters

    def import_policy(self, org: str, source: Source, by: str, *, check_only: bool = False) -> dict[str, Any]:
        """Saves a policy as its next version; {"id", "title", "version", "steps"}, version 0 when only checked."""

        def job(conn: Connection, save: bool) -> dict[str, Any]:
            document, text = tables_of(source)
            policy = policies.parse(document, *self.known(conn, org))
            version = 0
            if save:
                version = policy_rows.save(
                    conn, org=org, policy=policy.id, title=policy.title, body=policies.dump(policy), source=text,
                    by=by, now_ms=self._now_ms(),
                )  # fmt: skip
            return {"id": policy.id, "title": policy.title, "version": version, "steps": len(policy.steps)}

        return self._save(org, check_only, job)

    def known(self, conn: Connection, org: str) -> tuple[policies.People, policies.Known]:
        """What a policy of this organisation may name."""
        desks = desk_rows.invited(conn, org)
        by_id = people_rows.everybody(conn, {org} | {desk.host for desk in desks.values()})
        own = [person for person in by_id.values() if person.org == org]
        hosted = {(desk.host, desk.roster) for desk in desks.values() if desk.roster}
        hosts = {f"{host}/{name}": each for (host, name), each in people_rows.loaded(conn, hosted).items()}
        keys = {(org, row["id"]) for row in roster_rows.listing(conn, org)}
        loaded = people_rows.loaded(conn, keys, self._now_ms())
        zone, now_ms = people_rows.zone(conn, org), self._now_ms()
        hours: dict[str, tuple[bool, bool]] = {}
        for name, calendar in calendar_rows.of_organisation(conn, org).items():
            held = calendars.spans(calendar, now_ms, now_ms + YEAR_MS, zone)
            hours[name] = (bool(held), held != [(now_ms, now_ms + YEAR_MS)])
        known = policies.Known(
            rosters={name: rosters.members(each) for (_, name), each in loaded.items()},
            hours=hours,
            desks={name: (_desk_ways(desk, by_id.values(), hosts), desk.external) for name, desk in desks.items()},
            centres=plan_rows.centres(conn, org),
            alarm_groups=plan_rows.alarm_groups(conn, org),
            inside={each.login: frozenset(m.channel for m in each.methods if not m.external) for each in own},
        )
        return {each.login: (each.role, frozenset(m.channel for m in each.methods)) for each in own}, known

    def import_calendar(self, org: str, source: Source, by: str, *, check_only: bool = False) -> dict[str, Any]:
        """Saves a calendar; {"id", "title", "version"}, version 0 when only checked."""

        def job(conn: Connection, save: bool) -> dict[str, Any]:
            document, text = tables_of(source)
            calendar = calendars.parse(document)
            version = 0
            if save:
                body, now_ms = calendars.dump(calendar), self._now_ms()
                version = calendar_rows.save(
                    conn, org=org, calendar=calendar, body=body, source=text, by=by, now_ms=now_ms
                )
            return {"id": calendar.id, "title": calendar.title, "version": version}

        return self._save(org, check_only, job)

    def import_roster(self, org: str, source: Source, by: str, *, check_only: bool = False) -> dict[str, Any]:
        """Saves a roster; {"id", "title", "version"}, version 0 when only checked. Overrides stay as they are."""

        def job(conn: Connection, save: bool) -> dict[str, Any]:
            document, text = tables_of(source)
            people = {each.login: None for each in people_rows.everybody(conn, {org}).values()}
            hours = calendar_rows.of_organisation(conn, org)
            roster = rosters.parse(document, people, hours, people_rows.zone(conn, org))
            version = 0
            if save:
                body, now_ms = rosters.dump(roster), self._now_ms()
                version = roster_rows.save(conn, org=org, roster=roster, body=body, source=text, by=by, now_ms=now_ms)
            return {"id": roster.id, "title": roster.title, "version": version}

        return self._save(org, check_only, job)

    def remove_calendar(self, org: str, name: str) -> None:
        """Raises Invalid while a current policy or a roster names it."""

        def job(conn: Connection) -> None:
            if calendar_rows.get(conn, org, name) is None:
                raise NotFound(f"there is no calendar {name[:40]!r}")
            users = _policies_that(conn, org, lambda target: name in (target.during, target.not_during))
            users += [
                f"roster {row['id']}"
                for row in roster_rows.listing(conn, org)
                if name in rosters.calendars_of(rosters.load(row["body"]))
            ]
            _refuse_used("calendar", name, users)
            calendar_rows.remove(conn, org, name)

        self._write(job)

    def remove_roster(self, org: str, name: str) -> None:
        """Raises Invalid while a current policy or a desk names it."""

        def job(conn: Connection) -> None:
            self._need_roster(conn, org, name)
            users = _policies_that(conn, org, lambda target: target.roster == name)
            users += [f"desk {row['id']}" for row in desk_rows.listing(conn, org) if row["roster"] == name]
            _refuse_used("roster", name, users)
            roster_rows.remove(conn, org, name)

        self._write(job)

    @staticmethod
    def _need_roster(conn: Connection, org: str, name: str) -> rosters.Roster:
        found = people_rows.loaded(conn, {(org, name)})
        if not found:
            raise NotFound(f"there is no roster {name[:40]!r}")
        return found[org, name]

    def add_override(
        self, org: str, roster: str, *, begins: str, ends: str, replaces: str, person: str, note: str, by: str
    ) -> dict[str, Any]:
        """Somebody stands in; `begins` and `ends` are texts in the roster's local time. Raises DocumentFaults."""

        def job(conn: Connection) -> dict[str, Any]:
            found = self._need_roster(conn, org, roster)
            faults: list[tuple[str, str]] = []
            instants = []
            for path, text in (("from", begins), ("to", ends)):
                try:
                    instants.append(read(text, found.zone))
                except (ValueError, OverflowError):
                    faults.append((path, f'must be local time such as "2026-12-24 18:00", not {text[:40]!r}'))
            if len(instants) == 2 and not instants[0] < instants[1]:
                faults.append(("to", "is not after `from`"))
            elif len(instants) == 2 and instants[1] - instants[0] > OVERRIDE_MAX_MS:
                faults.append(("to", "is more than a year after `from`: change the roster instead"))
            people = {each.login for each in people_rows.everybody(conn, {org}).values()}
            for path, login in (("replaces", replaces), ("person", person)):
                if login and login not in people:
                    faults.append((path, f"{login[:40]!r} is not a person of this organisation"))
            if person and person == replaces:
                faults.append(("person", "is the person who is replaced"))
            if len(note) > 200 or not note.isprintable():
                faults.append(("note", "must be at most 200 printable characters"))
            if faults:
                raise DocumentFaults(faults)
            values = {
                "org": org, "roster": roster, "starts_ms": instants[0], "ends_ms": instants[1], "replaces": replaces,
                "person": person, "note": note, "created_ms": self._now_ms(), "created_by": by, "cancelled_ms": None,
            }  # fmt: skip
            return {"id": roster_rows.add_override(conn, **values), **values}

        found: dict[str, Any] = self._write(job)
        return found

    def cancel_override(self, org: str, roster: str, number: int) -> None:
        def job(conn: Connection) -> None:
            if not roster_rows.cancel_override(conn, org, roster, number, self._now_ms()):
                raise NotFound(f"the roster {roster[:40]!r} has no override {number} that stands")

        self._write(job)

    # -- desks

    def save_desk(self, org: str, desk: str, *, title: str, role: str = "", roster: str = "") -> None:
        """Makes a desk or changes it: exactly one of role and roster."""

        def job(conn: Connection) -> None:
            need_organisation(conn, org)
            faults: list[tuple[str, str]] = []
            if not NAME.match(desk):
                faults.append(("id", f"must be 1 to 32 of a-z, 0-9 and -, not {desk[:40]!r}"))
            if not title.strip() or len(title) > 120 or not title.isprintable():
                faults.append(("title", "must be a text of 1 to 120 characters"))
            if bool(role) == bool(roster):
                faults.append(("role", "give exactly one of role and roster"))
            elif role and role not in ROLES:
                faults.append(("role", f"{role[:40]!r} is not a role; roles: {', '.join(ROLES)}"))
            elif roster and roster_rows.get(conn, org, roster) is None:
                faults.append(("roster", f"{roster[:40]!r} is not a roster of this organisation"))
            if faults:
                raise DocumentFaults(faults)
            desk_rows.save(conn, org=org, desk=desk, title=title, role=role, roster=roster, now_ms=self._now_ms())

        self._write(job)

    def remove_desk(self, org: str, desk: str) -> None:
        """Raises Invalid while an organisation is invited to it."""

        def job(conn: Connection) -> None:
            found = _need_desk(conn, org, desk)
            _refuse_used("desk", desk, [f"the invitation of {each['org']}" for each in found["invitations"]])
            desk_rows.remove(conn, org, desk)

        self._write(job)

    def invite(self, host: str, desk: str, org: str, *, external: bool = True) -> None:
        """Lets another organisation tell this desk. `external`: rescuers, never told of a drill or a probe."""

        def job(conn: Connection) -> None:
            _need_desk(conn, host, desk)
            need_organisation(conn, org)
            if org == host:
                raise Invalid("an organisation needs no invitation to itself: name the role or the roster")
            desk_rows.invite(conn, host=host, desk=desk, org=org, external=external, now_ms=self._now_ms())

        self._write(job)

    def revoke(self, host: str, desk: str, org: str) -> None:
        """From now on that organisation tells this desk nothing, running alerts included."""

        def job(conn: Connection) -> None:
            if not desk_rows.revoke(conn, host=host, desk=desk, org=org, now_ms=self._now_ms()):
                raise NotFound(f"{org[:40]!r} is not invited to the desk {desk[:40]!r}")

        self._write(job)

    # -- organisations

    def set_parent(self, org: str, parent: str | None, *, invited_only: bool = False) -> None:
        """Whom the organisation's unanswered alerts are told. `invited_only`: only who invited it to a desk.

        Raises Invalid for a circle, NotInvited without an invitation.
        """

        def job(conn: Connection) -> None:
            need_organisation(conn, org)
            # Before anything else: whether an organisation of that name exists is not for strangers to learn.
            if invited_only and parent and all(d.host != parent for d in desk_rows.invited(conn, org).values()):
                raise NotInvited(f"{parent[:40]!r} has invited this organisation to none of its desks")
            above = parent
            while above is not None:
                if above == org:
                    raise Invalid("an organisation cannot stand above itself")
                above = need_organisation(conn, above)["parent"]
            plan_rows.set_organisation(conn, org, parent=parent)

        self._write(job)

    def set_timezone(self, org: str, zone: str) -> None:
        """The local time of rosters and of sites that have none of their own."""

        def job(conn: Connection) -> None:
            need_organisation(conn, org)
            if not is_zone(zone):
                raise Invalid(f"{zone[:40]!r} is not a time zone; such as Europe/Paris")
            plan_rows.set_organisation(conn, org, timezone=zone)

        self._write(job)


def _desk_ways(desk: Desk, people: Iterable[Person], hosted: Mapping[str, rosters.Roster]) -> frozenset[str]:
    """The channels by which somebody at a desk is reached at some time or other."""
    roster = hosted.get(f"{desk.host}/{desk.roster}")
    logins = set() if roster is None else set(rosters.members(roster))
    at_desk = (
        person
        for person in people
        if person.org == desk.host and (person.login in logins if desk.roster else person.role == desk.role)
    )
    return frozenset(method.channel for person in at_desk for method in person.methods)


def _need_desk(conn: Connection, org: str, desk: str) -> dict[str, Any]:
    found = desk_rows.get(conn, org, desk)
    if found is None:
        raise NotFound(f"there is no desk {desk[:40]!r}")
    return found


def _policies_that(conn: Connection, org: str, names: Callable[[policies.Target], bool]) -> list[str]:
    """The current policies of which a target does."""
    return [
        f"policy {row['id']}"
        for row in policy_rows.all_current(conn, org)
        if any(names(target) for step in policies.load(row["body"]).steps for target in step.targets)
    ]


def _refuse_used(what: str, name: str, users: list[str]) -> None:
    if users:
        raise Invalid(f"the {what} {name!r} is in use by {', '.join(users)}")
