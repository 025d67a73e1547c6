"""Sequences that once led to silence, or to news that was not so: each on the whole backend, on both databases."""

from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from backend_rig import ACCEPTED, ORG, SCREEN, START_MS, Post, Rig, steps, who
from rig_estate import organisation, roster
from tocsin_backend.domain import lateness, policies, probes
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.domain.events import Due
from tocsin_backend.domain.policies import Target
from tocsin_backend.domain.rosters import Layer, Roster
from tocsin_backend.domain.windows import Draft
from tocsin_backend.errors import Unavailable
from tocsin_backend.outlook import all_readiness, site_readiness
from tocsin_backend.settings import read_settings
from tocsin_backend.store import probes as probe_rows

MIN_MS = 60_000
ANNE, BOB, TECH = "https://anne/", "https://bob/", "https://t/"
REFUSED = Outcome(False, permanent=True, error="gone")
FOREVER_MS = 10**9  # a post that need not beat


@pytest.fixture
def town(rig: Rig) -> Rig:
    rig.person("anne", webhook=ANNE)
    rig.person("bob", webhook=BOB)
    rig.person("tech", "technician", webhook=TECH)
    return rig


def lone(town: Rig, device: str = "bau-1", policy: str = "plan") -> Post:
    return town.post(device, policy=policy, reporting_ms=FOREVER_MS)


def to_people(town: Rig) -> Counter[tuple[str, str]]:
    return Counter({key: times for key, times in town.told().items() if key[0] in (ANNE, BOB)})


def on_duty(town: Rig, login: str, start: str) -> None:
    """The roster `garde`: this person, every day from that one on."""
    turns = Layer(((login,),), 24, datetime.fromisoformat(start))
    roster(town, Roster("garde", "Garde", (turns,)))


def maintenance(town: Rig, minutes: int, site: str | None = "lycee") -> None:
    starts_ms = town.clock.now - 1_000
    draft = Draft(site, "maintenance", "Travaux", starts_ms, town.clock.now + minutes * MIN_MS)
    town.engine.drills.add(ORG, draft, None, forced=True)


def test_a_last_step_whose_roster_has_a_gap_leaves_the_one_before_it_told_again(town: Rig) -> None:
    on_duty(town, "bob", "2099-01-01")
    town.policy(steps((30, [who("anne")]), (60, [Target(roster="garde")])))
    lone(town).press()
    town.run(10 * MIN_MS)
    assert to_people(town)[ANNE, "notify"] >= 9, "once a minute, as long as nobody is on duty"


def test_a_last_step_that_reaches_nobody_leaves_the_one_before_it_told_again(town: Rig) -> None:
    town.channels["webhook"].answer = lambda outgoing: REFUSED if outgoing.address == BOB else ACCEPTED
    town.policy(steps((30, [who("anne")]), (60, [who("bob")])))
    alert = lone(town).press()["alert"]
    town.run(10 * MIN_MS)
    assert to_people(town)[ANNE, "notify"] >= 9
    row = town.alert(alert)
    assert (row.status, row.unanswered) == ("raised", True)


def test_somebody_the_policy_does_not_name_answers_and_those_who_must_answer_too_are_told_on(town: Rig) -> None:
    """Two must answer, by a roster; the first to answer is somebody else."""
    on_duty(town, "anne", "2025-01-01")
    carl = town.person("carl", webhook="https://carl/")
    town.sql("UPDATE contact_method SET offset_ms=20000 WHERE address=?", ANNE)
    step = policies.Step(60_000, (Target(roster="garde"), who("bob")), answers=2)
    town.policy(policies.Policy("plan", "Plan", 900_000, 1, (step,)))
    alert = lone(town).press()["alert"]
    town.run()
    assert to_people(town) == {(BOB, "notify"): 1}
    assert town.engine.answer(ORG, alert, carl, "console") == "won"
    town.run(25_000)
    assert to_people(town) == {(ANNE, "notify"): 1}, "one answer is missing yet: hers was on its way"


def test_what_broke_in_the_maintenance_is_told_at_its_end_though_something_else_was_open(town: Rig) -> None:
    town.policy(steps((30, [SCREEN, who("anne")])))
    post = town.post("bau-1", policy="plan")
    post.birth()
    post.event("stuck", **{"in": "button"})
    town.run()
    [(alert,)] = town.sql("SELECT id FROM alert WHERE category='technical'")
    assert town.engine.answer(ORG, alert, town.persons["tech"], "console") == "won"
    maintenance(town, minutes=30)
    town.told()
    town.run(20 * MIN_MS)
    assert town.told()[TECH, "notify"] == 0
    town.run(20 * MIN_MS)
    assert town.told()[TECH, "notify"] >= 1, "the post was lost in between, and still is"
    found = town.sql("SELECT subject FROM alert WHERE category='technical' AND status='raised'")
    assert found == [("lost",)]


def test_an_outage_of_the_database_makes_no_post_lost(town: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beats could not be stored: a whole fleet lost would be a storm, and not so."""
    posts = [town.post(f"bau-{number}", reporting_ms=20_000) for number in range(3)]
    for each in posts:
        each.birth()
    right = town.database.read

    def away() -> None:
        raise Unavailable("the database is away")

    town.run()
    monkeypatch.setattr(town.database, "read", away)
    with pytest.raises(Unavailable):
        town.engine.turn()
    town.clock.now += 5 * MIN_MS
    monkeypatch.setattr(town.database, "read", right)
    town.run(10_000)
    assert town.sql("SELECT DISTINCT presence FROM device") == [("alive",)]
    for each in posts[1:]:
        each.birth()
        town.clock.now += 1
    for _ in range(6):
        town.run(8_000)
        for each in posts[1:]:
            each.beat()
    assert town.sql("SELECT device, subject FROM alert") == [("bau-0", "lost")], "who stays silent is lost all the same"


def test_while_a_drill_runs_readiness_promises_nobody_outside(town: Rig) -> None:
    town.person("police", webhook="!https://police/")
    town.policy(steps((30, [who("anne"), who("police")])))
    lone(town)
    settings = read_settings({})

    def rings() -> set[str]:
        with town.database.read() as conn:
            [answer] = site_readiness(conn, ORG, "lycee", "", settings, town.clock.now)
            assert all_readiness(conn, ORG, settings, town.clock.now) == {"lycee": [answer]}
        assert ("drill-running" in {each.code for each in answer.reasons}) == running
        return {line.person.login for line in answer.rings.lines if line.person is not None}

    running = False
    assert rings() == {"anne", "police"}
    draft = Draft("lycee", "drill", "PPMS", town.clock.now, town.clock.now + 30 * MIN_MS)
    town.engine.drills.add(ORG, draft, None, forced=True)
    running = True
    assert rings() == {"anne"}


def test_a_drill_s_notice_that_waits_is_not_sent_by_what_became_external(town: Rig) -> None:
    town.policy(steps((30, [SCREEN, who("anne")])))
    town.sql("UPDATE contact_method SET offset_ms=10000 WHERE address=?", ANNE)
    lone(town).press(mode="drill")
    town.run()
    town.sql("UPDATE contact_method SET external=? WHERE address=?", True, ANNE)
    town.run(20_000)
    assert to_people(town) == {}


def test_a_clock_that_was_a_year_ahead_ends_no_watch_over_probes(town: Rig) -> None:
    town.post("bau-1", reporting_ms=FOREVER_MS)
    year_ms = 365 * 86_400_000
    town.sql("UPDATE device SET probe_ms=?, probe_by_ms=?", START_MS + year_ms, START_MS + year_ms)
    town.restart()
    with town.database.read() as conn:
        known = probe_rows.get(conn, ORG, "bau-1")
    assert known.last_ms == town.clock.now, "never proven in the time to come"
    assert known.by_ms == town.clock.now + known.every_ms + probes.GRACE_MS


def test_a_row_on_which_we_stumble_again_and_again_is_told(town: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    town.policy(steps((30, [SCREEN, who("anne")])))
    alert = lone(town).press()["alert"]
    right = town.outbox.apply

    def stumbles(conn: Any, of: Any, event: Any, now_ms: int) -> Any:
        if of.id == alert and isinstance(event, Due):
            raise RuntimeError("a bug")
        return right(conn, of, event, now_ms)

    monkeypatch.setattr(town.outbox, "apply", stumbles)
    town.run(45_000)
    town.engine.lateness.flush(town.database)
    town.run()
    assert town.engine.unexpected >= 3
    assert town.sql("SELECT subject FROM alert WHERE category='technical'") == [(lateness.SUBJECT,)]


def test_a_call_that_nobody_answers_is_told_upwards_whatever_maintenance_runs_there(town: Rig) -> None:
    organisation(town, "prefecture", above_of=ORG)
    key = town.person("cadre", "technician", webhook="https://cadre/")
    town.sql("UPDATE person SET org='prefecture' WHERE id=?", key)
    for org in (ORG, "prefecture"):
        draft = Draft(None, "maintenance", "Travaux", START_MS - 1_000, START_MS + 60 * MIN_MS)
        town.engine.drills.add(org, draft, None, forced=True)
    town.policy(steps((30, [SCREEN, who("anne")])))
    lone(town).press()
    town.run(2 * MIN_MS)
    told = town.told()
    assert (told["https://cadre/", "notify"], told[TECH, "notify"]) == (1, 1)
    town.run(70 * MIN_MS)
    assert town.sql("SELECT count(*) FROM site_window WHERE ended_ms IS NULL") == [(0,)]
    assert town.engine.unexpected == 0
