"""Several people and one alert: who must answer too, who says how it goes, who closes. `told()` is compared whole."""

import pytest
from backend_rig import ACCEPTED, ORG, SCREEN, Post, Rig, who
from rig_estate import organisation, person_of
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.domain.policies import Policy, Step
from town import ANNE, BOB, CARL, FOREVER_MS, alive, answer, close, texts


@pytest.fixture
def pair(town: Rig) -> Post:
    """Two of Anne, Bob and Carl must answer; they are reminded every minute; ten minutes without an end reopen it."""
    step = Step(60_000, (SCREEN, who("anne"), who("bob"), who("carl")), 2)
    town.policy(Policy("pair", "Two", 600_000, 1, (step,)))
    post = town.post("pair-1", site="gare", policy="pair", reporting_ms=FOREVER_MS)
    post.birth()
    return post


def progress(town: Rig, alert: str, login: str, word: str) -> str:
    return town.engine.progress(ORG, alert, town.persons[login], word)


def test_21_two_must_answer_and_the_first_answer_frees_nobody(town: Rig, pair: Post) -> None:
    alert = pair.press()["alert"]
    town.run()
    everybody = {(ANNE, "notify"): 1, (BOB, "notify"): 1, (CARL, "notify"): 1}
    assert town.told() == {("console", "notify"): 1, **everybody}
    assert answer(town, alert, "anne") == "won"
    town.run(59_000)
    assert town.told() == {}
    assert town.alert(alert).status == "answered", "and the lamp says so"
    town.run(1_000)
    assert town.told() == {(BOB, "notify"): 1, (CARL, "notify"): 1}
    assert answer(town, alert, "bob") == "won"
    town.run()
    assert town.told() == {(CARL, "taken"): 1}
    town.run(500_000)
    assert town.told() == {}
    assert answer(town, alert, "carl") == "taken"


def test_21b_a_colleague_whose_message_was_held_up_is_told_although_the_first_has_answered(
    town: Rig, pair: Post
) -> None:
    town.channels["webhook"].answer = lambda outgoing: ACCEPTED if outgoing.address == ANNE else Outcome(False)
    alert = pair.press()["alert"]
    town.run()
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1, (CARL, "notify"): 1}
    assert answer(town, alert, "anne") == "won"
    town.channels["webhook"].answer = lambda outgoing: ACCEPTED
    town.run(2_000)
    assert town.told() == {(BOB, "notify"): 1}
    assert answer(town, alert, "carl") == "won"
    town.run()
    assert town.told() == {(BOB, "taken"): 1}


def test_22_the_same_person_twice_is_one_answer(town: Rig, pair: Post) -> None:
    alert = pair.press()["alert"]
    town.run()
    town.told()
    assert answer(town, alert, "anne") == "won"
    assert answer(town, alert, "anne") == "won"
    town.run(60_000)
    assert town.told() == {(BOB, "notify"): 1, (CARL, "notify"): 1}
    assert town.sql("SELECT person_id FROM answer") == [(town.persons["anne"],)]


def test_23_the_second_answer_never_comes_and_it_is_raised_again(town: Rig, pair: Post) -> None:
    alert = pair.press()["alert"]
    town.run()
    town.told()
    answer(town, alert, "anne")
    town.run(599_000)
    assert town.told() == {(BOB, "notify"): 9, (CARL, "notify"): 9}
    town.run(1_000)
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1, (BOB, "notify"): 1, (CARL, "notify"): 1}
    assert (town.alert(alert).status, town.alert(alert).epoch) == ("raised", 2)


def test_24_en_route_and_on_site_push_the_timeout_back(town: Rig, post: Post) -> None:
    alert = post.press()["alert"]
    town.run()
    answer(town, alert, "anne")
    town.told()
    alive(town, post, 590_000)
    assert progress(town, alert, "anne", "en-route") == "recorded"
    alive(town, post, 590_000)
    assert progress(town, alert, "anne", "on-site") == "recorded"
    alive(town, post, 599_000)
    assert town.told() == {}
    assert town.alert(alert).progress == "on-site"
    assert town.sql("SELECT progress, progress_ms - at_ms FROM answer") == [("on-site", 1_180_000)]
    alive(town, post, 1_500)
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1}


def test_25_whoever_is_there_needs_help_and_both_audiences_are_told(town: Rig, post: Post) -> None:
    alert = post.press()["alert"]
    alive(town, post, 30_000)
    answer(town, alert, "bob")
    town.run()
    town.told()
    assert progress(town, alert, "bob", "needs-help") == "reopened"
    town.run()
    subjects = [each.message.text for each in town.channels["webhook"].sent]
    assert all("Renfort demandé" in each for each in subjects)
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1, (BOB, "notify"): 1}
    assert (town.alert(alert).status, town.alert(alert).epoch, town.alert(alert).progress) == (
        "raised",
        2,
        "needs-help",
    )


def test_26_what_somebody_else_says_of_it_changes_nothing(town: Rig, post: Post) -> None:
    alert = post.press()["alert"]
    town.run()
    answer(town, alert, "anne")
    due_ms = town.alert(alert).due_ms
    town.told()
    town.run(10_000)
    assert progress(town, alert, "bob", "en-route") == "recorded"
    assert town.alert(alert).due_ms == due_ms
    assert town.told() == {}


@pytest.fixture
def trigger(town: Rig) -> Post:
    post = town.post("ppms-1", policy="plan", reporting_ms=FOREVER_MS)
    town.sql("UPDATE device SET kind='ppms_trigger' WHERE id='ppms-1'")
    return post


def test_27_a_threat_is_closed_by_two(town: Rig, trigger: Post) -> None:
    alert = trigger.press(sc="attack")["alert"]
    town.run(30_000)
    assert texts(town, "webhook") == ["Attentat ou intrusion : Lycée de l'Emperi, Grille"] * 2
    town.told()
    assert answer(town, alert, "anne") == "won"
    town.run()
    assert town.told() == {(BOB, "taken"): 1}
    assert close(town, alert, "anne", "false") == "second-needed"
    town.run()
    assert texts(town, "webhook") == ["Clôture à confirmer par une seconde personne : Lycée de l'Emperi, Grille"]
    assert town.told() == {(BOB, "info"): 1}
    assert close(town, alert, "anne", "false") == "second-needed"
    town.run()
    assert town.told() == {}
    assert close(town, alert, "bob", "false") == "closed"
    town.run()
    assert town.told() == {(ANNE, "closed"): 1}
    town.run(3_600_000)
    assert town.told() == {}


def test_28_a_second_press_voids_what_the_first_closer_asked(town: Rig, trigger: Post) -> None:
    alert = trigger.press()["alert"]
    town.run()
    assert close(town, alert, "anne", "false") == "second-needed"
    town.told()
    trigger.press()
    town.run()
    assert town.told() == {}
    assert close(town, alert, "bob", "false") == "second-needed", "what Anne saw is no longer so"
    town.run()
    assert town.told() == {(ANNE, "info"): 1}
    assert close(town, alert, "carl", "false") == "closed"


def test_28b_each_new_request_for_a_second_closer_is_heard(town: Rig, trigger: Post) -> None:
    alert = trigger.press(sc="attack")["alert"]
    town.run(30_000)
    town.told()
    for _ in range(3):
        assert close(town, alert, "anne", "false") == "second-needed"
        assert close(town, alert, "anne", "false") == "second-needed"
        town.run()
        assert town.told() == {(BOB, "info"): 1}
        trigger.press(sc="attack")
        town.run()
        assert town.told() == {}
    assert close(town, alert, "anne", "false") == "second-needed"
    trigger.press(sc="attack")
    assert close(town, alert, "anne", "false") == "second-needed"
    town.run()
    assert town.told() == {(BOB, "info"): 1}, "the request that nobody had heard yet is replaced"
    assert close(town, alert, "bob", "false") == "closed"
    town.run()
    assert town.told() == {(ANNE, "closed"): 1}


def test_29_unanswered_is_told_to_the_next_organisation_up_once_and_taken_back(town: Rig, post: Post) -> None:
    organisation(town, "region", above_of=ORG)
    person_of(town, "region", "tess", role="technician", email="tess@region")
    alert = post.press()["alert"]
    alive(town, post, 210_000)
    assert texts(town, "email")[-1].endswith("un appel de Région reste sans réponse")
    told = town.told()
    assert told["tess@region", "notify"] == 1
    alive(town, post, 1_200_000)
    assert set(town.told()) == {(CARL, "notify")}
    [(above, about)] = town.sql("SELECT id, about_id FROM alert WHERE org='region'")
    assert about == alert
    answer(town, alert, "carl")
    town.run()
    assert town.alert(above).condition == "cleared"
    assert town.engine.answer("region", above, town.persons["tess"], "console") == "won"
    assert town.alert(above).status == "closed"


def test_30_three_presses_in_a_minute_go_to_the_next_step_now(town: Rig) -> None:
    town.policy(
        Policy("grave", "Grave", 600_000, 1, (Step(300_000, (who("anne"),)), Step(300_000, (who("bob"),))), 3, 60_000)
    )
    post = town.post("grave-1", site="gare", policy="grave", reporting_ms=FOREVER_MS)
    alert = post.press()["alert"]
    town.run(20_000)
    post.press()
    town.run(20_000)
    assert town.told() == {(ANNE, "notify"): 1}
    post.press()
    town.run()
    assert "gravité 1" in town.channels["webhook"].sent[0].message.text
    assert town.told() == {(BOB, "notify"): 1}
    assert town.alert(alert).severity == 1
    post.press()
    town.run()
    assert town.told() == {}


def test_31_a_second_way_waits_for_its_offset_and_an_answer_stops_it(town: Rig) -> None:
    town.person("eve", webhook="https://eve/", email="eve@x.fr")
    town.sql("UPDATE contact_method SET offset_ms=120000 WHERE address='eve@x.fr'")
    town.policy(Policy("slow", "Slow", 3_600_000, 1, (Step(600_000, (who("eve"),)),)))
    post = town.post("slow-1", site="gare", policy="slow", reporting_ms=FOREVER_MS)
    post.press()
    town.run(119_000)
    assert town.told() == {("https://eve/", "notify"): 1}
    town.run(1_000)
    assert town.told() == {("eve@x.fr", "notify"): 1}
    second = town.post("slow-2", site="gare", policy="slow").press()["alert"]
    town.run(60_000)
    assert answer(town, second, "eve") == "won"
    town.run(200_000)
    assert town.told() == {("https://eve/", "notify"): 1}


def test_32_a_mail_that_comes_back_later_sends_the_next_step_at_once(town: Rig) -> None:
    town.policy(Policy("mail", "Mail", 600_000, 1, (Step(900_000, (who("carl"),)), Step(900_000, (who("bob"),)))))
    post = town.post("mail-1", site="gare", policy="mail", reporting_ms=FOREVER_MS)
    post.press()
    town.run(10_000)
    assert town.told() == {(CARL, "notify"): 1}
    [(message,)] = town.sql("SELECT id FROM dispatch WHERE kind='notify' AND channel='email'")
    assert town.engine.report(message, "failed", "550 no such mailbox") == "recorded"
    town.run()
    assert town.told() == {(BOB, "notify"): 1, ("console", "notify"): 1}
    assert town.engine.report(message, "failed", "550 no such mailbox") == "ignored"
    town.run()
    assert town.told() == {}


def test_33_a_mail_that_was_read_and_one_that_comes_back_after_the_answer_move_nothing(town: Rig) -> None:
    town.policy(Policy("mail", "Mail", 600_000, 1, (Step(900_000, (who("carl"),)), Step(900_000, (who("bob"),)))))
    post = town.post("mail-1", site="gare", policy="mail", reporting_ms=FOREVER_MS)
    alert = post.press()["alert"]
    town.run()
    [(message,)] = town.sql("SELECT id FROM dispatch WHERE kind='notify' AND channel='email'")
    assert town.engine.report(message, "seen") == "recorded"
    assert town.engine.report(message, "failed") == "ignored"
    assert answer(town, alert, "carl") == "won"
    town.run()
    assert town.told() == {(CARL, "notify"): 1}


def test_34_a_refusal_that_passes_is_tried_again_and_nobody_else_is_woken(town: Rig, post: Post) -> None:
    tries = iter((Outcome(False, error="busy"), Outcome(False, error="busy")))
    town.channels["webhook"].answer = lambda outgoing: next(tries, ACCEPTED)
    post.press()
    alive(town, post, 6_000)
    assert town.told() == {("console", "notify"): 1}
    alive(town, post, 1_000)
    assert town.told() == {(ANNE, "notify"): 1}


def test_35_a_worn_button_and_a_post_are_two_alerts_and_say_what_they_are(town: Rig, post: Post) -> None:
    wrist = town.post("wrist-1", policy="plan", reporting_ms=FOREVER_MS)
    town.sql("UPDATE device SET kind='personal_button' WHERE id='wrist-1'")
    assert wrist.press()["alert"] != post.press()["alert"]
    town.run()
    assert sorted(each.message.subject.split(" :")[0] for each in town.channels["webhook"].sent) == [
        "Alerte d'une personne isolée",
        "Appel à l'aide",
    ]
    assert town.told() == {("console", "notify"): 2, (ANNE, "notify"): 2}
