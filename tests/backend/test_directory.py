"""The directory of a policy as the store brings it: complete, of this organisation and its hosts, in few statements."""

import pytest
from backend_rig import ORG, SCREEN, START_MS, Rig, steps, who
from tocsin_backend.domain import calendars, localtime, rosters
from tocsin_backend.domain.owed import owed
from tocsin_backend.domain.policies import Target
from tocsin_backend.errors import Invalid, NotFound
from tocsin_backend.plans import Plans
from tocsin_backend.store import people, tables

CALENDAR = {"id": "jour", "title": "Jour", "rule": [{"hours": ["08:00-20:00"]}]}
ROSTER = {
    "id": "astreinte", "title": "Astreinte",
    "layer": [{"every": "week", "start": "2026-01-05", "people": ["alice", "bob"], "during": "jour"}],
}  # fmt: skip
HOST = "ville"


def at(text: str) -> int:
    return localtime.read(text, "Europe/Paris")


@pytest.fixture
def town(rig: Rig) -> Rig:
    return furnish(rig)


def furnish(rig: Rig) -> Rig:
    for login in ("alice", "bob", "carol"):
        rig.person(login, email=f"{login}@example.org")
    rig.save(tables.Organisation(id=HOST, name="Ville", timezone="Indian/Reunion", created_ms=START_MS))
    for login in ("agent", "chef"):
        role = "supervisor" if login == "agent" else "administrator"
        key = rig.save(tables.Person(org=HOST, login=login, name=login, role=role, created_ms=START_MS))
        rig.save(tables.ContactMethod(person_id=key, channel="email", address="x@example.org", created_ms=START_MS))
    plans = rig.plans = Plans(rig.database, rig.clock.now_ms)  # type: ignore[attr-defined]
    plans.import_calendar(ORG, CALENDAR, "test")
    plans.import_roster(ORG, ROSTER, "test")
    plans.import_roster(HOST, {"id": "nuit", "title": "Nuit", "layer": [{"every": "day", "start": "2026-01-01",
                        "people": ["chef"]}]}, "test")  # fmt: skip
    plans.save_desk(HOST, "pm", title="PM", role="supervisor")
    plans.save_desk(HOST, "garde", title="Garde", roster="nuit")
    plans.invite(HOST, "pm", ORG)
    return rig


def directory(rig: Rig, *targets: Target, site: str = "", from_ms: int = 0):
    with rig.database.read() as conn:
        return people.directory(conn, ORG, steps((30, list(targets))), site=site, from_ms=from_ms)


def told(rig: Rig, target: Target, when: str, **more) -> list[str]:
    return [each.login for each in owed(target, directory(rig, target, **more), at(when))]


def test_a_roster_comes_with_its_people_calendars_and_overrides(town):
    target = Target(roster="astreinte")
    before = told(town, target, "2026-11-23 12:00")
    assert before == ["alice"]
    assert told(town, target, "2026-11-23 21:00") == []
    made = town.plans.add_override(
        ORG,
        "astreinte",
        begins="2026-11-23 10:00",
        ends="2026-11-23 14:00",
        replaces="",
        person="carol",
        note="",
        by="x",
    )
    assert told(town, target, "2026-11-23 12:00") == ["carol"]
    assert told(town, target, "2026-11-23 12:00", from_ms=at("2026-11-23 14:00")) == before, "over by then: left out"
    town.plans.cancel_override(ORG, "astreinte", made["id"])
    assert told(town, target, "2026-11-23 12:00") == before


def test_a_desk_is_told_while_it_is_invited(town):
    desk = Target(desk=f"{HOST}/pm")
    assert told(town, desk, "2026-11-23 12:00") == ["agent"]
    assert told(town, Target(desk=f"{HOST}/garde"), "2026-11-23 12:00") == []
    town.plans.invite(HOST, "garde", ORG, external=False)
    assert told(town, Target(desk=f"{HOST}/garde"), "2026-11-23 12:00") == ["chef"]
    town.plans.revoke(HOST, "pm", ORG)
    assert told(town, desk, "2026-11-23 12:00") == []


def test_somebody_told_before_the_invitation_was_revoked_is_named_and_reached_no_more(town):
    def agent():
        with town.database.read() as conn:
            return people.directory(conn, ORG, None, (4,)).by_id[4]

    assert (agent().login, len(agent().methods)) == ("agent", 1)
    town.plans.revoke(HOST, "pm", ORG)
    assert (agent().login, agent().methods) == ("agent", ())


def test_another_desk_of_the_same_host_is_another_invitation(town):
    """Two desks of one host, one of them revoked: its people are reached no more, the other's are."""

    def reached(*targets: Target) -> dict[str, int]:
        policy = steps((30, list(targets))) if targets else None
        with town.database.read() as conn:
            found = people.directory(conn, ORG, policy, (4, 5)).by_id
        return {each.login: len(each.methods) for each in found.values()}

    town.plans.invite(HOST, "garde", ORG)
    assert reached() == {"agent": 1, "chef": 1}
    town.plans.revoke(HOST, "pm", ORG)
    assert reached() == {"agent": 0, "chef": 1}
    assert reached(Target(desk=f"{HOST}/garde")) == {"agent": 0, "chef": 1}
    town.plans.invite(HOST, "pm", ORG)
    town.plans.revoke(HOST, "garde", ORG)
    assert reached(Target(desk=f"{HOST}/pm")) == {"agent": 1, "chef": 0}


def test_the_people_of_a_desk_s_host_are_no_people_of_ours(town):
    found = directory(town, Target(desk=f"{HOST}/pm"), Target(role="supervisor"))
    everyone = [each.login for each in owed(Target(role="supervisor"), found, START_MS)]
    assert everyone == ["alice", "bob", "carol"]
    assert {each.login for each in found.by_id.values()} == {"alice", "bob", "carol", "agent"}


def test_hours_are_meant_in_the_site_s_time(town):
    town.save(tables.Site(org=ORG, id="run", name="Lycée", timezone="Indian/Reunion", created_ms=START_MS))
    target = Target(person="alice", during="jour")
    assert told(town, target, "2026-11-23 18:00") == ["alice"]
    assert told(town, target, "2026-11-23 18:00", site="run") == [], "21:00 there"


def test_alarm_groups_come_with_their_outputs(town):
    town.save(tables.Site(org=ORG, id="s", name="S", created_ms=START_MS))
    town.save(
        tables.AlarmGroup(org=ORG, id="g", site="s", title="G", outputs='[["post-1","siren"]]', created_ms=START_MS)
    )
    assert directory(town, Target(alarms="g")).alarm_groups == {"g": (("post-1", "siren"),)}


def test_offsets_and_proofs_come_with_the_methods(town):
    town.sql("UPDATE contact_method SET offset_ms=7000, verified_ms=1, proven_ms=2 WHERE person_id=?", 1)
    (method,) = directory(town, who("alice")).by_id[1].methods
    assert (method.offset_ms, method.verified_ms, method.proven_ms) == (7000, 1, 2)


def test_a_change_makes_everybody_read_again(town):
    heard = []
    town.database.after_commit(lambda notes: heard.append(notes.catalogue))
    town.plans.import_calendar(ORG, CALENDAR | {"title": "Autrement"}, "test")
    town.plans.set_timezone(ORG, "Europe/Paris")
    assert heard == [True, True]


def test_what_is_refused_changes_nothing(town):
    with pytest.raises(Invalid, match="in use by roster astreinte"):
        town.plans.remove_calendar(ORG, "jour")
    with pytest.raises(Invalid, match="in use by desk garde"):
        town.plans.remove_roster(HOST, "nuit")
    for missing in (lambda p: p.remove_roster(ORG, "none"), lambda p: p.revoke(HOST, "garde", ORG)):
        with pytest.raises(NotFound):
            missing(town.plans)
    with town.database.read() as conn:
        found = people.loaded(conn, {(ORG, "astreinte"), (HOST, "nuit")})
    assert found[HOST, "nuit"].zone == "Indian/Reunion", "the organisation's, since the file names none"
    assert found[ORG, "astreinte"].calendars == {"jour": calendars.parse(CALENDAR)}
    assert rosters.members(found[ORG, "astreinte"]) == ("alice", "bob")


@pytest.mark.parametrize(
    ("targets", "statements"),
    [
        ([SCREEN, who("alice"), Target(role="supervisor")], 1),  # the press path of most policies: no more than before
        ([Target(person="alice", during="jour")], 3),
        ([Target(roster="astreinte")], 4),
        ([Target(desk=f"{HOST}/pm")], 2),
        ([Target(roster="astreinte", during="jour"), Target(desk=f"{HOST}/pm"), SCREEN], 7),
    ],
)
def test_how_many_statements_it_takes(sqlite_rig, targets, statements):
    rig = furnish(sqlite_rig)
    seen: list[str] = []
    with rig.database.read() as conn:
        conn.connection.driver_connection.set_trace_callback(seen.append)
        people.directory(conn, ORG, steps((30, targets)))
        conn.connection.driver_connection.set_trace_callback(None)
    assert len([text for text in seen if text.startswith("SELECT")]) == statements, seen
