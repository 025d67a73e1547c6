"""A real press through the whole backend: the municipal police by day, the gendarmerie at night, the roster between."""

import pytest
from backend_rig import ORG, START_MS, Rig
from tocsin_backend.channels import Outgoing
from tocsin_backend.domain import localtime
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.plans import Plans
from tocsin_backend.store import tables

CALENDAR = {"id": "jour", "title": "Jour", "rule": [{"hours": ["08:00-20:00"]}]}
ROSTER = {"id": "nuit", "title": "Nuit", "layer": [{"every": "day", "start": "2026-01-01", "at": "12:00",
          "people": ["anne", "bob"]}]}  # fmt: skip
POLICY = {
    "id": "plan", "title": "Plan",
    "step": [
        {
            "delay_s": 60,
            "targets": [{"desk": "ville/pm", "during": "jour"}, {"desk": "etat/cic", "not_during": "jour"}],
        },
        {"delay_s": 60, "targets": [{"roster": "nuit"}]},
    ],
}  # fmt: skip


@pytest.fixture
def town(rig: Rig) -> Rig:
    plans = rig.plans = Plans(rig.database, rig.clock.now_ms)  # type: ignore[attr-defined]
    for login in ("anne", "bob"):
        rig.person(login, webhook=f"https://{login}/")
    for host, desk in (("ville", "pm"), ("etat", "cic")):
        rig.save(tables.Organisation(id=host, name=host, created_ms=START_MS))
        key = rig.save(tables.Person(org=host, login=desk, name=desk, role="supervisor", created_ms=START_MS))
        rig.save(
            tables.ContactMethod(
                person_id=key, channel="webhook", address=f"https://{desk}/", secret="s", created_ms=START_MS
            )
        )
        plans.save_desk(host, desk, title=desk, role="supervisor")
        plans.invite(host, desk, ORG)
    plans.import_calendar(ORG, CALENDAR, "test")
    plans.import_roster(ORG, ROSTER, "test")
    plans.import_policy(ORG, POLICY, "test")
    return rig


def press_at(rig: Rig, when: str, **fields: str) -> None:
    rig.clock.now = localtime.read(when, "Europe/Paris")
    rig.post("bau-1", policy="plan").press(**fields)


@pytest.mark.parametrize(
    ("when", "desk"),
    [
        ("2026-03-29 01:59", "cic"),
        ("2026-03-29 07:59", "cic"),
        ("2026-03-29 08:00", "pm"),
        ("2026-10-25 19:59", "pm"),
        ("2026-10-25 20:00", "cic"),
        ("2028-02-29 12:00", "pm"),
    ],
)
def test_exactly_the_desk_of_the_hour_is_told(town: Rig, when: str, desk: str) -> None:
    press_at(town, when)
    town.run(1_000)
    assert town.told() == {(f"https://{desk}/", "notify"): 1}


def test_a_step_that_is_due_after_the_hour_tells_whoever_is_on_duty_then(town: Rig) -> None:
    press_at(town, "2026-01-02 11:59:30")
    town.run(61_000)
    assert town.told() == {("https://pm/", "notify"): 1, ("https://bob/", "notify"): 1}, "handed over at noon"


def test_a_gap_in_the_roster_goes_on_to_the_next_pass_at_once(town: Rig) -> None:
    town.plans.add_override(
        ORG, "nuit", begins="2026-01-02 00:00", ends="2026-01-03 00:00", replaces="", person="", note="", by="x"
    )
    press_at(town, "2026-01-02 10:00")
    town.run(61_000)
    assert {who for who, _ in town.told()} == {"https://pm/", "console"}, "the console: the technical alert of it"
    whats = [row[0] for row in town.sql("SELECT what FROM timeline_entry WHERE what='empty-step'")]
    assert whats, "the gap is said"


def test_a_drill_is_for_nobody_outside(town: Rig) -> None:
    press_at(town, "2026-01-02 10:00", mode="drill")
    town.run(1_000)
    assert set(town.told()) <= {("https://anne/", "notify"), ("https://bob/", "notify"), ("console", "notify")}


def test_a_message_that_waits_does_not_leave_once_the_invitation_is_revoked(town: Rig) -> None:
    tries = []

    def busy(outgoing: Outgoing) -> Outcome:
        tries.append(outgoing.address)
        return Outcome(False, error="busy") if outgoing.address == "https://pm/" else Outcome(True)

    town.channels["webhook"].answer = busy
    press_at(town, "2026-01-02 10:00")
    town.run(1_000)
    assert tries == ["https://pm/"]
    town.plans.revoke("ville", "pm", ORG)
    town.run(30_000)
    assert [each for each in tries if each == "https://pm/"] == ["https://pm/"]
    assert "https://anne/" in tries, "the next step at once: this one failed for good"
