"""Real, drill, probe, silent; alarm outputs; feeds; maintenance; outages. `told()` is compared whole."""

import pytest
from backend_rig import ORG, Post, Rig, steps, who
from rig_estate import alarm_group, channels, organisation, person_of
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.domain.policies import Target
from tocsin_backend.domain.windows import Draft
from tocsin_backend.errors import NotFound
from town import ANNE, BOB, CARL, FOREVER_MS, POLICE, alive, answer, close, texts

SCREEN_TOLD = {("console", "notify"): 1}


@pytest.fixture
def horns(town: Rig) -> Rig:
    """A step that sounds two horns and feeds CAP, tells Anne and the police; then Carl."""
    channels(town, "siren", "cap", "probe")
    town.post("bau-0")
    alarm_group(town, "cour", ("horn-1", "out-1"), ("horn-2", "out-1"))
    targets = [Target(alarms="cour"), Target(channel="cap"), who("anne"), who("police")]
    town.policy(steps((600, targets), (600, [who("carl")]), id="cour", answer_timeout_ms=3_600_000))
    return town


def lone(town: Rig, device: str = "bau-9", policy: str = "cour", site: str = "gare") -> Post:
    return town.post(device, site=site, policy=policy, reporting_ms=FOREVER_MS)


def orders(town: Rig) -> list[tuple[str, str]]:
    """(what, status) of the orders to the alarm outputs, in the order in which they were made."""
    rows = town.sql("SELECT target, status FROM dispatch WHERE kind='actuate' ORDER BY method_id, target")
    return [(target.removeprefix("alarm:cour/"), status) for target, status in rows]


def test_51_the_horns_sound_until_the_all_clear_whatever_is_answered_and_closed(horns: Rig) -> None:
    post = lone(horns)
    alert = post.press()["alert"]
    horns.run()
    assert horns.told() == {("siren", "actuate"): 2, ("cap", "notify"): 1, (ANNE, "notify"): 1,
                            (POLICE, "notify"): 1}  # fmt: skip
    assert orders(horns) == [("horn-1/out-1/on", "pending"), ("horn-2/out-1/on", "pending")]
    [(first,)] = horns.sql("SELECT id FROM dispatch WHERE target='alarm:cour/horn-1/out-1/on'")
    assert horns.engine.report(first, "delivered") == "recorded"
    horns.run(2_000)
    assert horns.told() == {("siren", "actuate"): 1}, "the horn that has not confirmed is told again"
    assert answer(horns, alert, "anne") == "won"
    horns.run()
    assert horns.told() == {("cap", "taken"): 1, (POLICE, "taken"): 1}
    assert close(horns, alert, "anne") == "closed"
    horns.run()
    assert horns.told() == {("cap", "closed"): 1, (POLICE, "closed"): 1}
    assert orders(horns) == [("horn-1/out-1/on", "delivered"), ("horn-2/out-1/on", "pending")]
    horns.run(5_000)
    assert horns.told() == {("siren", "actuate"): 1}
    with pytest.raises(NotFound, match="there is no alarm group 'elsewhere'"):
        horns.engine.all_clear(ORG, alert, horns.persons["bob"], "elsewhere")
    assert horns.engine.all_clear(ORG, alert, horns.persons["bob"]) == "all-clear"
    horns.run()
    assert horns.told() == {("siren", "actuate"): 2}
    assert orders(horns) == [
        ("horn-1/out-1/on", "delivered"),
        ("horn-2/out-1/on", "cancelled"),
        ("horn-1/out-1/off", "pending"),
        ("horn-2/out-1/off", "pending"),
    ]


def test_52_a_step_that_comes_again_does_not_sound_what_sounds_already(horns: Rig) -> None:
    horns.policy(steps((60, [Target(alarms="cour"), who("anne")]), id="cour-2"))
    lone(horns, policy="cour-2").press()
    horns.run()
    horns.sql("UPDATE dispatch SET status='delivered', next_ms=NULL WHERE kind='actuate'")
    horns.told()
    horns.run(60_000)
    assert horns.told() == {("console", "notify"): 1, (ANNE, "notify"): 1}
    horns.run(120_000)
    assert horns.told() == {(ANNE, "notify"): 2}
    [(alert,)] = horns.sql("SELECT id FROM alert WHERE category='call'")
    assert horns.engine.all_clear(ORG, alert, horns.persons["anne"]) == "all-clear"
    assert [what for what, _ in orders(horns)][2:] == ["horn-1/out-1/off", "horn-2/out-1/off"]
    horns.run(60_000)
    assert [what for what, _ in orders(horns)][4:] == ["horn-1/out-1/on", "horn-2/out-1/on"], "still unanswered: again"


def test_53_a_silent_press_sounds_and_lights_nothing_and_says_so(horns: Rig) -> None:
    lone(horns).press(silent=1)
    horns.run()
    assert orders(horns) == []
    assert horns.sql("SELECT count(*) FROM downlink") == [(0,)]
    assert all("Alerte silencieuse" in each.message.text for each in horns.channels["webhook"].sent)
    assert horns.told() == {("cap", "notify"): 1, (ANNE, "notify"): 1, (POLICE, "notify"): 1}


def test_54_a_drill_sounds_the_horns_and_tells_no_rescuer_and_no_feed(horns: Rig) -> None:
    alert = lone(horns).press(mode="drill")["alert"]
    horns.run()
    assert texts(horns, "webhook") == ["EXERCICE Appel à l'aide : Lycée de l'Emperi, Grille"]
    assert horns.told() == {("siren", "actuate"): 2, (ANNE, "notify"): 1}
    answer(horns, alert, "bob")
    horns.run()
    assert texts(horns, "webhook") == ["EXERCICE Pris en charge par Bob : Lycée de l'Emperi, Grille"]
    close(horns, alert, "bob", "drill")
    horns.run()
    assert [each.split()[0] for each in texts(horns, "webhook")] == ["EXERCICE", "EXERCICE"]


def test_55_a_drill_that_nobody_answers_is_our_own_affair(town: Rig, post: Post) -> None:
    organisation(town, "region", above_of=ORG)
    person_of(town, "region", "tess", role="technician", email="tess@region")
    post.press(mode="drill")
    alive(town, post, 250_000)
    assert town.told() == {**SCREEN_TOLD, (ANNE, "notify"): 1, (BOB, "notify"): 1, (CARL, "notify"): 2}
    assert town.sql("SELECT count(*) FROM alert WHERE category='technical'") == [(0,)]


def test_56_in_an_announced_drill_its_site_is_a_drill_and_the_next_one_is_real(horns: Rig) -> None:
    here, there = lone(horns, "bau-9", "plan"), lone(horns, "bau-8", "plan", "port")
    now_ms = horns.clock.now
    drill = Draft("gare", "drill", "PPMS", now_ms + 1_000, now_ms + 3_600_000)
    horns.engine.drills.add(ORG, drill, horns.persons["anne"], forced=True)
    horns.run(2_000)
    horns.told()
    practised = here.press()["alert"]
    horns.run()
    assert horns.alert(practised).mode == "drill"
    assert texts(horns, "webhook") == ["EXERCICE Appel à l'aide : Lycée de l'Emperi, Grille"]
    assert horns.told() == {**SCREEN_TOLD, (ANNE, "notify"): 1}
    real = there.press()["alert"]
    horns.run()
    assert horns.alert(real).mode == "real"
    assert texts(horns, "webhook") == ["Appel à l'aide : Lycée de l'Emperi, Grille"]
    assert horns.told() == {**SCREEN_TOLD, (ANNE, "notify"): 1}


def test_57_a_probe_goes_its_way_and_wakes_nobody(horns: Rig) -> None:
    post = lone(horns)
    alert = post.press(k="probe")["alert"]
    horns.run(3_600_000)
    assert set(horns.told()) == {("probe", "notify")}
    assert (horns.alert(alert).status, horns.alert(alert).reason) == ("closed", "probe")
    assert horns.alert(post.press()["alert"]).mode == "real"


def test_58_a_probe_that_does_not_arrive_is_told_to_the_technicians_only(horns: Rig) -> None:
    horns.person("tom", role="technician", email="tom@x.fr")
    horns.channels["probe"].answer = lambda outgoing: Outcome(False, error="down")
    alert = lone(horns).press(k="probe")["alert"]
    horns.run(61_000)
    assert texts(horns, "email") == ["Défaut technique : Lycée de l'Emperi, Grille, l'essai automatique n'a pas abouti"]
    assert horns.told() == {**SCREEN_TOLD, ("tom@x.fr", "notify"): 1}
    assert (horns.alert(alert).status, horns.alert(alert).reason) == ("closed", "probe-failed")


def test_59_maintenance_mutes_what_is_technical_and_no_press(town: Rig, post: Post) -> None:
    town.person("tom", role="technician", email="tom@x.fr")
    work = Draft("lycee", "maintenance", "Travaux", town.clock.now, town.clock.now + 3_600_000)
    town.engine.drills.add(ORG, work, town.persons["anne"], forced=True)
    alive(town, post, 20_000)
    town.run(200_000)
    assert town.told() == SCREEN_TOLD, "the post is silent, and that is known"
    post.press()
    town.run()
    assert town.told() == {**SCREEN_TOLD, (ANNE, "notify"): 1}


@pytest.mark.parametrize("minutes", [5, 50])
def test_60_after_an_outage_overdue_steps_leave_at_once_one_message_a_person(
    town: Rig, post: Post, minutes: int
) -> None:
    post.press()
    town.run()
    assert town.told() == {**SCREEN_TOLD, (ANNE, "notify"): 1}
    town.restart(down_ms=minutes * 60_000)
    town.run()
    assert town.told() == {(BOB, "notify"): 1}
    town.run(60_000)
    assert town.told() == {(CARL, "notify"): 1}


def test_61_two_causes_that_alternate_reopen_a_taken_technical_alert_once_a_minute(town: Rig, post: Post) -> None:
    town.person("tom", role="technician", email="tom@x.fr")
    post.event("fault", txt="x")
    town.run()
    assert town.told() == {**SCREEN_TOLD, ("tom@x.fr", "notify"): 1}
    [(alert,)] = town.sql("SELECT id FROM alert WHERE category='technical'")
    assert answer(town, alert, "anne") == "won"
    post.event("dropped", count=1)
    assert (town.alert(alert).status, town.alert(alert).epoch) == ("raised", 2), "Anne knows of the fault only"
    assert answer(town, alert, "anne") == "won"
    for kind in ("fault", "dropped", "fault"):
        town.run(5_000)
        post.event(kind, **({"txt": "x"} if kind == "fault" else {"count": 1}))
        town.run()
        assert (town.alert(alert).status, town.alert(alert).epoch) == ("answered", 2)
    alive(town, post, 60_000)
    assert (town.alert(alert).status, town.alert(alert).epoch) == ("raised", 3)
    alive(town, post, 600_000)
    assert {address for address, _ in town.told()} == {"console", "tom@x.fr", ANNE}
