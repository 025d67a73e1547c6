"""Press, fast-forward: exactly these people were told, and no one else. `told()` is compared whole."""

import pytest
from backend_rig import ACCEPTED, ORG, SCREEN, Post, Rig, steps, who
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.domain.policies import Target
from tocsin_backend.errors import Forbidden
from town import ANNE, BOB, CARL, POLICE, alive, answer, close


def test_1_anne_answers_at_once_and_nobody_else_is_woken(town: Rig, post: Post) -> None:
    alert = post.press()["alert"]
    town.run()
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1}
    assert answer(town, alert, "anne") == "won"
    alive(town, post, 300_000)
    assert close(town, alert, "anne") == "closed"
    alive(town, post, 3_600_000)
    assert town.told() == {}


def test_2_nobody_answers_and_each_step_leaves_at_its_instant(town: Rig, post: Post) -> None:
    post.press()
    alive(town, post, 29_999)
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1}
    alive(town, post, 1)
    assert town.told() == {(BOB, "notify"): 1}
    alive(town, post, 60_000)
    assert town.told() == {(CARL, "notify"): 1}
    alive(town, post, 119_999)
    assert town.told() == {}


def test_3_the_last_step_is_told_again_for_ever_and_unanswered_is_said_once(town: Rig, post: Post) -> None:
    post.press()
    alive(town, post, 90_000)
    town.told()
    alive(town, post, 120_000)
    assert town.told() == {(CARL, "notify"): 1, ("console", "notify"): 1}  # the screen: the technical alert
    alive(town, post, 1_200_000)
    assert town.told() == {(CARL, "notify"): 10}
    texts = town.sql("SELECT count(*) FROM timeline_entry WHERE what='unanswered'")
    assert texts == [(1,)]


def test_4_bob_takes_it_anne_and_bob_were_told_and_anne_hears_who(town: Rig, post: Post) -> None:
    alert = post.press()["alert"]
    alive(town, post, 40_000)
    town.told()
    assert answer(town, alert, "bob") == "won"
    town.run()
    sent = [(each.address, each.message.subject) for each in town.channels["webhook"].sent]
    assert sent == [(ANNE, "Pris en charge par Bob : Lycée de l'Emperi, Grille")]
    assert town.told() == {(ANNE, "taken"): 1}
    assert answer(town, alert, "anne") == "taken"
    assert close(town, alert, "bob", "false") == "closed"
    town.run()
    assert town.told() == {(ANNE, "closed"): 1}
    alive(town, post, 3_600_000)
    assert town.told() == {}


def test_5_an_answer_that_leads_nowhere_reopens_to_step_0_and_to_who_had_answered(town: Rig, post: Post) -> None:
    alert = post.press()["alert"]
    alive(town, post, 95_000)
    town.told()
    assert answer(town, alert, "carl") == "won"
    town.run()
    assert town.told() == {(ANNE, "taken"): 1, (BOB, "taken"): 1}
    alive(town, post, 599_000)
    assert town.told() == {}
    alive(town, post, 1_500)
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1, (CARL, "notify"): 1}
    assert town.engine.answer(ORG, alert, town.persons["carl"], "console", 1) == "stale"
    assert town.engine.answer(ORG, alert, town.persons["carl"], "console", 2) == "won"


def test_6_a_second_press_on_an_answered_alert_is_a_person_nobody_came_for(town: Rig, post: Post) -> None:
    alert = post.press()["alert"]
    town.run()
    assert answer(town, alert, "anne") == "won"
    alive(town, post, 300_000)
    town.told()
    again = post.press()
    assert again["alert"] == alert
    [ack] = post.acks(again)
    assert (ack["r"], ack["e"]) == ("stored", 2)
    town.run()
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1}
    assert answer(town, alert, "bob") == "won"
    alive(town, post, 30_000)
    town.told()
    third = post.press()
    assert post.acks(third)[0]["r"] == "answered", "within 60 s of the reopening it is the same moment"
    town.run()
    assert town.told() == {}


def test_7_presses_upon_an_open_alert_are_counted_and_tell_nobody_twice(town: Rig, post: Post) -> None:
    alert = post.press()["alert"]
    town.run()
    town.told()
    for _ in range(9):
        assert post.press()["alert"] == alert
    town.run()
    assert town.told() == {}
    for _ in range(20):
        assert post.press()["alert"] == alert
    town.run()
    assert town.told() == {("console", "notify"): 1}, "more than ten a minute: the button is stuck, said once"
    assert town.alert(alert).presses == 30


def test_8_two_posts_are_two_alerts(town: Rig, post: Post) -> None:
    other = town.post("bau-2", policy="plan")
    first, second = post.press()["alert"], other.press()["alert"]
    assert first != second
    town.run()
    assert town.told() == {("console", "notify"): 2, (ANNE, "notify"): 2}
    assert answer(town, first, "anne") == "won"
    town.run(31_000)
    assert town.told() == {(BOB, "notify"): 1}


def test_9_a_drill_reaches_no_rescuer_and_says_exercice_beside_a_real_press(town: Rig, post: Post) -> None:
    town.policy(steps((30, [SCREEN, who("anne"), who("police")])), version=2)
    drill = post.press(mode="drill")["alert"]
    town.run()
    subjects = [each.message.subject for each in town.channels["webhook"].sent]
    assert subjects == ["EXERCICE Appel à l'aide : Lycée de l'Emperi, Grille"]
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1}
    real = post.press()["alert"]
    assert real != drill
    town.run()
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1, (POLICE, "notify"): 1}


def test_10_a_dead_channel_sends_the_next_step_at_once(town: Rig, post: Post) -> None:
    dead = Outcome(False, permanent=True, error="HTTP 410")
    town.channels["webhook"].answer = lambda outgoing: dead if outgoing.address == BOB else ACCEPTED
    post.press()
    alive(town, post, 30_000)
    assert town.told() == {("console", "notify"): 2, (ANNE, "notify"): 1, (CARL, "notify"): 1}


def test_11_a_step_whose_people_left_is_passed_over_now(town: Rig, post: Post) -> None:
    town.sql("UPDATE person SET active=false WHERE login='bob'")
    post.press()
    alive(town, post, 30_000)
    assert town.told() == {("console", "notify"): 2, (ANNE, "notify"): 1, (CARL, "notify"): 1}
    assert town.sql("SELECT count(*) FROM timeline_entry WHERE what='empty-step'") == [(1,)]


def test_12_a_policy_edited_meanwhile_changes_nothing_of_a_running_alert(town: Rig, post: Post) -> None:
    post.press()
    town.policy(steps((5, [who("police")])), version=2)
    alive(town, post, 90_000)
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1, (BOB, "notify"): 1, (CARL, "notify"): 1}


def test_13_a_number_changed_meanwhile_is_used(town: Rig, post: Post) -> None:
    post.press()
    town.run()
    town.sql("UPDATE contact_method SET address='https://bob-new/' WHERE address=?", BOB)
    town.told()
    alive(town, post, 30_000)
    assert town.told() == {("https://bob-new/", "notify"): 1}


def test_14_a_person_asks_for_the_next_step_now(town: Rig, post: Post) -> None:
    alert = post.press()["alert"]
    town.run()
    town.told()
    assert town.engine.escalate(ORG, alert, town.persons["anne"], 1, 1, 0) == "escalated"
    town.run()
    assert town.told() == {(BOB, "notify"): 1}
    assert town.engine.escalate(ORG, alert, town.persons["anne"], 1, 1, 0) == "ignored"
    town.run(59_000)
    assert town.told() == {}
    town.run(2_000)
    assert town.told() == {(CARL, "notify"): 1}


def test_15_a_silent_post_s_lamp_stays_dark(town: Rig, post: Post) -> None:
    answer_ = post.press(silent=1)
    alert = answer_["alert"]
    town.run()
    assert answer(town, alert, "anne") == "won"
    assert town.sql("SELECT count(*) FROM downlink") == [(0,)]
    envelope = post.press_envelope(silent=1)
    assert close(town, alert, "anne") == "second-needed"
    assert close(town, alert, "bob") == "closed"
    assert town.sql("SELECT count(*) FROM downlink") == [(0,)]
    assert post.acks(town.give(envelope))[0]["r"] == "stored"


def test_a_silent_and_a_loud_press_of_one_post_are_two_alerts(town: Rig, post: Post) -> None:
    silent = post.press(silent=1)["alert"]
    loud = post.press()["alert"]
    assert silent != loud
    assert post.press(silent=1)["alert"] == silent
    town.run()
    town.told()
    assert answer(town, silent, "anne") == "won"
    assert town.sql("SELECT target FROM dispatch WHERE kind='lamp'") == []
    assert answer(town, loud, "anne") == "won"
    assert town.sql("SELECT alert_id, target FROM dispatch WHERE kind='lamp'") == [(loud, "lamp:answered")]


def test_a_lamp_order_that_is_past_waits_for_no_gateway_any_more(town: Rig, post: Post) -> None:
    def waiting() -> list[tuple[str, int]]:
        acks = [post.read(topic, bytes(frame)) for topic, frame in town.sql("SELECT topic, frame FROM downlink")]
        return [(ack["r"], ack["e"]) for ack in acks]

    alert = post.press()["alert"]
    town.run()
    answer(town, alert, "anne")
    assert waiting() == [("answered", 1)]
    post.press()  # reopened: an absent gateway must not turn the lamp green when it comes back
    assert waiting() == []
    answer(town, alert, "anne")
    assert waiting() == [("answered", 2), ("answered", 2)]  # both presses
    close(town, alert, "anne")
    assert waiting() == [("closed", 2), ("closed", 2)]
    post.event("lamp", re=f"{post.b}-{post.n}", r="closed", e=2, lat=5)
    assert waiting() == []


def test_16_a_post_falls_silent_and_comes_back(town: Rig, post: Post) -> None:
    town.person("tess", role="technician", email="tess@x.fr")
    alive(town, post, 60_000)
    town.run(95_000)
    assert town.told() == {("console", "notify"): 1, ("tess@x.fr", "notify"): 1}
    post.birth()
    town.run()
    [(alert,)] = town.sql("SELECT id FROM alert WHERE category='technical' AND condition='cleared'")
    assert close(town, alert, "anne", "technical") == "closed"
    town.run()
    assert town.told() == {("tess@x.fr", "closed"): 1}


def test_17_a_press_a_day_late_is_late_and_complete(town: Rig, post: Post) -> None:
    """The journal of a post that was cut off for a day: told at once, with its age in the ledger."""
    alert = post.press(age=86_400_000)["alert"]
    town.run()
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1}
    assert town.sql("SELECT stored_ms - contact_ms FROM ledger WHERE alert_id=?", alert) == [(86_400_000,)]


def test_18_a_role_is_whoever_holds_it_then(town: Rig, post: Post) -> None:
    town.policy(steps((30, [Target(role="supervisor", channels=("email",))])), version=2)
    town.person("dora", email="dora@x.fr")
    town.person("obs", role="observer", email="obs@x.fr")
    post.press()
    town.run()
    assert town.told() == {(CARL, "notify"): 1, ("dora@x.fr", "notify"): 1}


def test_19_a_post_without_a_policy_still_calls_everybody(town: Rig) -> None:
    town.post("bau-9").press()
    town.run()
    everybody = {(ANNE, "notify"): 1, (BOB, "notify"): 1, (CARL, "notify"): 1, (POLICE, "notify"): 1}
    assert town.told() == {("console", "notify"): 1, **everybody}


def test_20_restarted_at_every_moment_everyone_is_told_at_least_once(town: Rig, post: Post) -> None:
    post.press()
    told = {}
    for _ in range(12):
        town.restart(down_ms=10_000)
        town.run()
        told.update(town.told())
    assert set(told) - {("console", "notify")} == {(ANNE, "notify"), (BOB, "notify"), (CARL, "notify")}
    with town.database.read() as conn:
        from tocsin_backend.store import timeline

        assert timeline.verify(conn)[1] == []


def test_a_close_from_a_page_of_before_the_last_press_closes_nothing(town: Rig, post: Post) -> None:
    alert = post.press()["alert"]
    town.run()
    assert answer(town, alert, "anne") == "won"
    alive(town, post, 120_000)
    post.press()
    town.pump()
    assert town.alert(alert).epoch == 2
    assert town.engine.close(ORG, alert, town.persons["bob"], "false", "", 1) == "stale"
    assert town.alert(alert).status == "raised"
    assert [row[0] for row in town.sql("SELECT what FROM timeline_entry WHERE what LIKE '%close%'")] == ["stale-close"]
    assert town.engine.close(ORG, alert, town.persons["bob"], "false", "", 2) == "closed"


def test_a_post_that_falls_silent_after_its_technical_alert_was_taken_is_told_again(town: Rig, post: Post) -> None:
    town.person("tom", role="technician", email="tom@x.fr")
    post.beat()
    post.event("ack-rejected", why="older", count=1)
    town.run()
    assert town.told() == {("console", "notify"): 1, ("tom@x.fr", "notify"): 1}
    [(alert,)] = town.sql("SELECT id FROM alert")
    assert answer(town, alert, "anne") == "won"
    town.run()
    town.told()
    town.run(600_000)
    assert (town.alert(alert).status, town.alert(alert).epoch, town.alert(alert).subject) == ("raised", 2, "lost")
    assert town.told()["tom@x.fr", "notify"] == 1


def test_a_technician_takes_and_closes_technical_alerts_and_no_call(town: Rig, post: Post) -> None:
    town.person("tom", role="technician", email="tom@x.fr")
    call = post.press()["alert"]
    with pytest.raises(Forbidden):
        answer(town, call, "tom")
    with pytest.raises(Forbidden):
        close(town, call, "tom")
    post.event("ack-rejected", why="older", count=1)
    [(technical,)] = town.sql("SELECT id FROM alert WHERE category='technical'")
    assert answer(town, technical, "tom") == "won"
    assert close(town, technical, "tom", "technical") == "closed"
