"""Drills beside real presses, maintenance beside a call, probes beside everybody: exactly these people, no one else."""

import pytest
from backend_rig import ORG, SCREEN, Post, Rig, steps, who
from tocsin_backend.domain.policies import Target
from tocsin_backend.domain.windows import Draft, Window

ANNE, BOB, POLICE, TECH = "https://anne/", "https://bob/", "https://police/", "https://tech/"
MIN_MS = 60_000


@pytest.fixture
def town(rig: Rig) -> Rig:
    """Anne and the police at once, Bob after 30 s, then Bob again every minute. A lycée and a station."""
    rig.person("anne", webhook=ANNE)
    rig.person("bob", webhook=BOB)
    rig.person("police", webhook="!" + POLICE)
    rig.person("tech", "technician", webhook=TECH)
    rig.policy(steps((30, [SCREEN, who("anne"), who("police")]), (60, [who("bob")])))
    return rig


@pytest.fixture
def lycee(town: Rig) -> Post:
    made = town.post("bau-lycee", site="lycee", policy="plan")
    made.birth()
    return made


@pytest.fixture
def gare(town: Rig) -> Post:
    made = town.post("bau-gare", site="gare", policy="plan")
    made.birth()
    return made


def window(town: Rig, kind: str = "drill", site: str | None = "lycee", minutes: int = 20) -> Window:
    now_ms = town.clock.now
    draft = Draft(site, kind, "PPMS attentat", now_ms - 1_000, now_ms + minutes * MIN_MS)
    return town.engine.drills.add(ORG, draft, town.persons["anne"], forced=True)


def texts(town: Rig) -> list[str]:
    """What was said since the last call, and told() forgets it."""
    found = [str(sent.message.facts["text"]) for each in town.channels.values() for sent in each.sent]
    town.told()
    return found


def alive(posts: list[Post], for_ms: int) -> None:
    while for_ms > 0:
        part = min(for_ms, 20_000)
        posts[0].rig.run(part)
        for each in posts:
            each.beat()
        posts[0].rig.run()
        for_ms -= part


def test_1_a_drill_here_and_a_call_there_at_the_same_moment(town: Rig, lycee: Post, gare: Post) -> None:
    window(town)
    drill, call = lycee.press()["alert"], gare.press()["alert"]
    town.run()
    assert town.told() == {("console", "notify"): 2, (ANNE, "notify"): 2, (POLICE, "notify"): 1}
    assert (town.alert(drill).mode, town.alert(call).mode) == ("drill", "real")
    alive([lycee, gare], 30_000)
    assert town.told() == {(BOB, "notify"): 2}


def test_2_every_text_of_the_drill_says_so_and_no_other_does(town: Rig, lycee: Post, gare: Post) -> None:
    window(town)
    lycee.press()
    town.run()
    assert all(text.startswith("EXERCICE") for text in texts(town))
    gare.press()
    town.run()
    assert not any("EXERCICE" in text for text in texts(town))


def test_3_the_drill_ends_and_everybody_who_was_told_is_told_so(town: Rig, lycee: Post) -> None:
    window(town, minutes=5)
    lycee.press()
    town.run()
    town.told()
    alive([lycee], 20_000)
    assert town.told() == {}
    alive([lycee], 5 * MIN_MS)
    told = town.told()
    assert told[ANNE, "closed"] == 1
    assert told[POLICE, "closed"] == told[POLICE, "notify"] == 0
    alive([lycee], 3_600_000)
    assert town.told() == {}


def test_4_a_person_is_really_hurt_in_the_drill(town: Rig, lycee: Post) -> None:
    window(town)
    drill = lycee.press()["alert"]
    town.run()
    town.told()
    real = town.engine.drills.make_real(ORG, drill, town.persons["anne"])
    town.run()
    assert town.told() == {
        ("console", "notify"): 1, (ANNE, "notify"): 1, (POLICE, "notify"): 1, (ANNE, "closed"): 1,
    }  # fmt: skip
    assert lycee.press()["alert"] == real
    alive([lycee], 30_000)
    assert town.told() == {(BOB, "notify"): 1}


def test_5_someone_pressed_before_the_drill_and_nobody_came(town: Rig, lycee: Post) -> None:
    call = lycee.press()["alert"]
    alive([lycee], 10_000)
    window(town)
    assert lycee.press()["alert"] == call
    alive([lycee], 20_000)
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1, (POLICE, "notify"): 1, (BOB, "notify"): 1}


def test_6_a_press_that_waited_in_a_dead_network_is_no_drill(town: Rig, lycee: Post) -> None:
    envelope = lycee.press_envelope()
    town.clock.now += 10 * MIN_MS
    window(town)
    town.clock.now += 60_000
    assert town.alert(town.give(envelope)["alert"]).mode == "real"
    town.run()
    assert town.told()[POLICE, "notify"] == 1


def test_7_a_drill_whose_only_people_are_rescuers_tells_nobody(town: Rig) -> None:
    town.policy(steps((30, [who("police")]), id="secours"))
    post = town.post("bau-secours", policy="secours")
    post.birth()
    window(town)
    post.press()
    alive([post], 120_000)
    assert (POLICE, "notify") not in town.told()


def test_7b_what_is_empty_because_it_is_a_drill_is_no_technical_fault(town: Rig) -> None:
    """The technical plan tells a feed and the police: they would hear of the drill by that way."""
    town.policy(steps((30, [Target(channel="cap"), who("police")]), (600, [who("anne")]), id="secours"))
    town.policy(steps((600, [Target(channel="cap"), who("police")]), id="pannes"))
    town.sql("UPDATE organisation SET technical_policy='pannes'")
    town.outbox.channels = frozenset({*town.outbox.channels, "cap"})
    post = town.post("bau-secours", policy="secours")
    post.birth()
    window(town)
    post.press()
    alive([post], 60_000)
    assert town.told() == {(ANNE, "notify"): 1}
    assert town.sql("SELECT count(*) FROM dispatch WHERE channel='cap'") == [(0,)]
    assert town.sql("SELECT count(*) FROM alert WHERE category='technical'") == [(0,)]


def test_8_a_call_in_the_middle_of_maintenance(town: Rig, lycee: Post) -> None:
    window(town, "maintenance")
    lycee.event("stuck")
    town.run()
    assert town.told() == {("console", "notify"): 1}
    lycee.press()
    town.run()
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1, (POLICE, "notify"): 1}


def test_9_a_probe_in_a_drill_beside_a_call_tells_nobody(town: Rig, lycee: Post, gare: Post) -> None:
    window(town)
    gare.press()
    town.run()
    town.told()
    probe = town.give(lycee.signal("alert", k="probe", **{"in": "button"}, held=0, mode="real"))
    town.run()
    assert town.told() == {("probe", "notify"): 1}
    assert (town.alert(probe["alert"]).mode, town.alert(probe["alert"]).window_id) == ("probe", None)


def test_10_the_engine_dies_in_the_drill_and_its_end_comes_all_the_same(town: Rig, lycee: Post) -> None:
    announced = window(town, minutes=10)
    drill = lycee.press()["alert"]
    town.run()
    town.restart(down_ms=30 * MIN_MS)
    town.run()
    assert (town.alert(drill).status, town.alert(drill).reason) == ("closed", "drill")
    assert town.sql("SELECT ended_ms, next_ms FROM site_window") == [(announced.ends_ms, None)]
    lycee.link += 1
    assert town.alert(lycee.press()["alert"]).mode == "real"


def test_11_a_roster_of_nobody_in_a_drill_is_nobody(town: Rig) -> None:
    town.policy(steps((30, [Target(roster="astreinte")]), (60, [SCREEN]), id="astreinte"))
    post = town.post("bau-nuit", policy="astreinte")
    post.birth()
    window(town)
    post.press()
    town.run()
    assert set(town.told()) <= {("console", "notify"), (TECH, "notify")}
