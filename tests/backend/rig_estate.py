"""More than one organisation in a rig: who stands above, whose desk was invited, who is on duty, what sounds."""

import json

from backend_rig import ORG, START_MS, Recorder, Rig
from tocsin_backend.domain import calendars, rosters
from tocsin_backend.domain.calendars import Calendar
from tocsin_backend.domain.rosters import Roster
from tocsin_backend.engine import Sender
from tocsin_backend.store import tables


def channels(rig: Rig, *names: str) -> None:
    """Recorders for channels that the rig does not open by itself. After a restart they are opened anew."""
    for name in names:
        recorder = Recorder(name)
        rig.channels[name] = recorder
        rig.engine.senders[name] = Sender(recorder, rig.engine._sent, rig.clock.now_ms)
    rig.outbox.channels = frozenset({*rig.outbox.channels, *names})


def organisation(rig: Rig, name: str, above_of: str = "") -> None:
    """Another organisation; `above_of`: the one whose next one up it is."""
    rig.save(tables.Organisation(id=name, name=f"Organisation {name}", created_ms=START_MS))
    if above_of:
        rig.sql("UPDATE organisation SET parent=? WHERE id=?", name, above_of)


def person_of(rig: Rig, org: str, login: str, role: str = "supervisor", **addresses: str) -> int:
    """A person of another organisation."""
    key = rig.person(login, role, **addresses)
    rig.sql("UPDATE person SET org=? WHERE id=?", org, key)
    return key


def desk(rig: Rig, host: str, name: str, role: str = "", roster: str = "", external: bool = True) -> None:
    """A desk of `host`, and the rig's organisation invited to it."""
    rig.save(tables.Desk(org=host, id=name, title=name, role=role, roster=roster, created_ms=START_MS))
    rig.save(tables.Invitation(org=ORG, host=host, desk=name, external=external, created_ms=START_MS))


def roster(rig: Rig, made: Roster, org: str = ORG) -> None:
    rig.save(
        tables.Roster(org=org, id=made.id, title=made.title, version=1, body=rosters.dump(made), changed_ms=START_MS)
    )


def override(rig: Rig, name: str, starts_ms: int, ends_ms: int, person: str, org: str = ORG) -> None:
    """Somebody else than the roster says; "": nobody."""
    rig.save(
        tables.RosterOverride(
            org=org, roster=name, starts_ms=starts_ms, ends_ms=ends_ms, person=person, created_ms=START_MS
        )
    )


def alarm_group(rig: Rig, name: str, *outputs: tuple[str, str], site: str = "lycee") -> None:
    rig.save(
        tables.AlarmGroup(
            org=ORG, id=name, site=site, title=name, outputs=json.dumps([list(each) for each in outputs]),
            created_ms=START_MS,
        )
    )  # fmt: skip


def calendar(rig: Rig, made: Calendar, org: str = ORG) -> None:
    rig.save(
        tables.Calendar(
            org=org, id=made.id, title=made.title, version=1, body=calendars.dump(made), changed_ms=START_MS
        )
    )
