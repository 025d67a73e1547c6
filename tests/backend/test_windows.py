"""Drills and maintenance on the real store: what belongs to a drill, its end, its report; and what is muted."""

from typing import Any

import pytest
from backend_rig import ORG, SCREEN, Post, Rig, steps, who
from tocsin_backend.domain import drill_report, policies
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.domain.windows import Draft, Window
from tocsin_backend.drills import BadWindow
from tocsin_backend.errors import Forbidden, Invalid, NotFound
from tocsin_backend.store import windows as rows
from tocsin_wire import topics

MIN_MS = 60_000
ANNE, BOB, POLICE = "https://anne/", "https://bob/", "https://police/"


@pytest.fixture
def town(rig: Rig) -> Rig:
    rig.person("anne", webhook=ANNE)
    rig.person("bob", webhook=BOB)
    rig.person("police", webhook="!" + POLICE)
    rig.person("tech", "technician", webhook="https://t/")
    rig.policy(steps((30, [SCREEN, who("anne"), who("police")]), (60, [who("bob")]), answer_timeout_ms=600_000))
    return rig


@pytest.fixture
def post(town: Rig) -> Post:
    made = town.post("bau-1", policy="plan")
    made.birth()
    return made


def announce(rig: Rig, kind: str = "drill", site: str | None = "lycee", minutes: int = 30, **more: Any) -> Window:
    """Of so many minutes; it began a second ago unless it is `ahead_ms`."""
    starts_ms = rig.clock.now + more.pop("ahead_ms", -1_000)
    ends_ms = max(starts_ms, rig.clock.now) + minutes * MIN_MS
    draft = Draft(site, kind, more.pop("title", "PPMS"), starts_ms, ends_ms)
    return rig.engine.drills.add(ORG, draft, rig.persons.get("anne"), forced=more.pop("forced", True))


def read_report(rig: Rig, window: Window) -> dict[str, Any]:
    with rig.database.read() as conn:
        found = rows.get(conn, ORG, window.id)
    assert found is not None
    return drill_report.load(found.report)


def stay(rig: Rig, posts: list[Post], for_ms: int) -> None:
    until_ms = rig.clock.now + for_ms
    while rig.clock.now < until_ms:
        rig.run(min(20_000, until_ms - rig.clock.now))
        for each in posts:
            each.beat()
    rig.run()


def test_a_press_inside_is_a_drill_with_its_window_and_reaches_no_rescuer(town: Rig, post: Post) -> None:
    window = announce(town)
    alert = post.press()["alert"]
    town.run()
    stored = town.alert(alert)
    assert (stored.mode, stored.window_id) == ("drill", window.id)
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1}
    assert town.sql("SELECT mode FROM ledger") == [("drill",)]
    assert town.sql("SELECT drill_ms FROM device") == [(town.clock.now,)]


@pytest.mark.parametrize(("at_ms", "age"), [(-1, 5), (30 * MIN_MS, 5), (2_000, 5_000)])
def test_in_doubt_it_is_real(town: Rig, post: Post, at_ms: int, age: int) -> None:
    """Before it, at its end, or made before it and received inside."""
    announce(town, ahead_ms=120_000, forced=False)
    town.clock.now += 120_000 + at_ms
    assert town.alert(post.press(age=age)["alert"]).mode == "real"


def test_elsewhere_is_real_and_an_organisations_drill_is_everywhere(town: Rig, post: Post) -> None:
    other = town.post("bau-2", site="gare", policy="plan")
    window = announce(town)
    assert town.alert(other.press()["alert"]).mode == "real"
    town.engine.drills.end(ORG, window.id, None)
    announce(town, site=None)
    third = town.post("bau-3", site="gare", policy="plan")
    assert town.alert(third.press()["alert"]).mode == "drill"
    assert town.alert(post.press()["alert"]).mode == "drill"


def test_a_call_that_was_open_before_stays_one(town: Rig, post: Post) -> None:
    before = post.press()["alert"]
    announce(town)
    assert post.press()["alert"] == before
    assert (town.alert(before).mode, town.alert(before).presses) == ("real", 2)


def test_its_end_closes_what_is_open_and_the_next_press_is_real(town: Rig, post: Post) -> None:
    window = announce(town, minutes=10)
    alert = post.press()["alert"]
    stay(town, [post], 10 * MIN_MS)
    assert (town.alert(alert).status, town.alert(alert).reason, town.alert(alert).closed_by) == (
        "closed",
        "drill",
        None,
    )
    assert town.sql("SELECT next_ms, ended_ms FROM site_window") == [(None, window.ends_ms)]
    assert town.alert(post.press()["alert"]).mode == "real"


def test_a_silent_drill_is_closed_by_its_end_without_two_people(town: Rig, post: Post) -> None:
    announce(town, minutes=5)
    alert = post.press(silent=1)["alert"]
    stay(town, [post], 5 * MIN_MS)
    assert town.alert(alert).reason == "drill"


def test_the_report_says_who_what_and_which_not(town: Rig, post: Post) -> None:
    mute = town.post("bau-mute", policy="plan")
    town.post("bau-never", policy="plan")
    gone = town.channels["webhook"]
    gone.answer = lambda outgoing: Outcome(outgoing.address != ANNE, permanent=outgoing.address == ANNE, error="410")
    window = announce(town, minutes=10)
    first = post.press(age=0)["alert"]
    post.lamp("1-1", "stored", 1)
    mute.press(age=0)
    town.run(40_000)
    assert town.engine.answer(ORG, first, town.persons["bob"], "console") == "won"
    post.lamp("1-1", "answered", 1)
    town.engine.drills.end(ORG, window.id, town.persons["anne"])
    report = read_report(town, window)
    assert (report["presses"], report["answered"]) == (
        2, {"n": 1, "of": 2, "median_ms": 40_000, "worst_ms": 40_000},
    )  # fmt: skip
    by_device = {alert["device"]: alert for alert in report["alerts"]}
    told = {(row["person"], row["status"]) for row in by_device["bau-1"]["told"] if row["person"]}
    assert told == {(town.persons["anne"], "failed"), (town.persons["bob"], "handed")}
    assert by_device["bau-1"]["answers"] == [{"person": town.persons["bob"], "channel": "console", "after_ms": 40_000}]
    assert by_device["bau-mute"]["answers"] == []
    outputs = {(row["device"], row["output"]) for row in report["unconfirmed"]}
    assert ("bau-mute", "lamp:stored") in outputs
    assert ("bau-1", "lamp:stored") not in outputs
    assert not [row for row in outputs if row[1] == "lamp:closed"], (
        "the end itself closed them: it may still be confirmed"
    )
    assert ("bau-1", f"webhook person:{town.persons['anne']}") in outputs
    assert [row["device"] for row in report["never_pressed"]] == ["bau-never"]
    text = "\n".join(line for _, line in drill_report.lines(report, {town.persons["bob"]: "Bob"}, "fr"))
    assert text.startswith("EXERCICE : PPMS")
    assert "Bob (console, après 40,0 s)" in text
    assert "bau-mute : voyant « appel envoyé » (non confirmé)" in text
    assert "bau-1 : personne effacée, par webhook (410)" in text
    assert "Anne" not in drill_report.dump(report), "no name in what is kept"


def test_ended_as_real_each_open_one_is_raised_anew(town: Rig, post: Post) -> None:
    window = announce(town)
    alert = post.press()["alert"]
    town.run()
    town.told()
    town.engine.drills.end(ORG, window.id, town.persons["anne"], real=True)
    town.run()
    assert town.told() == {
        ("console", "notify"): 1, (ANNE, "notify"): 1, (POLICE, "notify"): 1, (ANNE, "closed"): 1,
    }  # fmt: skip
    assert (town.alert(alert).status, town.alert(alert).reason) == ("closed", "drill")
    [(real,)] = town.sql("SELECT id FROM alert WHERE mode='real'")
    assert (town.alert(real).about_id, town.alert(real).status) == (alert, "raised")


def test_one_made_real_keeps_the_lamp_and_answers_for_its_press(town: Rig, post: Post) -> None:
    announce(town)
    envelope = post.press_envelope()
    alert = town.give(envelope)["alert"]
    town.run()
    real = town.engine.drills.make_real(ORG, alert, town.persons["anne"])
    assert town.engine.drills.make_real(ORG, alert, town.persons["anne"]) == real, "asked twice"
    town.run()
    assert town.sql("SELECT frame FROM downlink") == [], "the lamp of the drill is not put out"
    again = town.give(envelope)
    assert (again["alert"], post.acks(again)[0]["r"]) == (real, "stored")
    town.engine.answer(ORG, real, town.persons["anne"], "console")
    [(frame,)] = town.sql("SELECT frame FROM downlink")
    down = post.read(topics.topic(ORG, "bau-1", "ack"), bytes(frame))
    assert (down["re"], down["r"], down["al"]) == ("1-1", "answered", real)
    assert post.press()["alert"] == real, "the next press is about the real one"


def test_only_a_drill_can_be_made_real_and_only_by_who_may_answer(town: Rig, post: Post) -> None:
    real = post.press()["alert"]
    with pytest.raises(Invalid):
        town.engine.drills.make_real(ORG, real, town.persons["anne"])
    with pytest.raises(NotFound):
        town.engine.drills.make_real("other", real, town.persons["anne"])
    town.engine.close(ORG, real, town.persons["anne"], "test")
    announce(town)
    drill = post.press()["alert"]
    with pytest.raises(Forbidden):
        town.engine.drills.make_real(ORG, drill, town.persons["tech"])


def test_what_is_wrong_is_refused_whole_and_an_early_end_calls_it_off(town: Rig, post: Post) -> None:
    window = announce(town, ahead_ms=3_600_000, forced=False)
    with pytest.raises(BadWindow) as caught:
        announce(town, ahead_ms=3_600_000, minutes=2_000, title="")
    assert [fault.path for fault in caught.value.faults] == ["title", "ends_ms", "starts_ms"]
    ended = town.engine.drills.end(ORG, window.id, None)
    assert (ended.next_ms, ended.report) == (None, "")
    town.clock.now += 3_600_000
    assert town.alert(post.press()["alert"]).mode == "real"


def test_the_command_line_ends_one_and_the_engine_does_the_rest(town: Rig, post: Post) -> None:
    window = announce(town)
    alert = post.press()["alert"]
    town.run(5_000)
    town.database.write(lambda conn: rows.end_soon(conn, window, town.clock.now)).result()
    assert town.sql("SELECT next_ms - ends_ms FROM site_window") == [(5_000,)], (
        "by its next beat the engine knows of it"
    )
    town.run(5_000)
    assert town.alert(alert).reason == "drill"
    assert read_report(town, window)["presses"] == 1


def test_maintenance_mutes_technical_alerts_and_never_a_press(town: Rig, post: Post) -> None:
    announce(town, "maintenance", minutes=60)
    post.event("fault", txt="journal: worn")
    town.run()
    assert town.told() == {("console", "notify"): 1}, "on the screen, and to nobody"
    [(subject, policy)] = town.sql("SELECT subject, policy FROM alert WHERE category='technical'")
    assert (subject, policy) == ("fault", policies.MUTED_ID)
    press = post.press()["alert"]
    town.run()
    assert town.told() == {("console", "notify"): 1, (ANNE, "notify"): 1, (POLICE, "notify"): 1}
    assert town.alert(press).mode == "real"
    town.engine.close(ORG, press, town.persons["anne"], "test")
    town.run()
    town.told()
    stay(town, [post], 60 * MIN_MS)
    assert town.told()["https://t/", "notify"] == 1, "what is still wrong at its end is told then"
    assert town.sql("SELECT count(*) FROM alert WHERE category='technical' AND status <> 'closed'") == [(1,)]


def test_what_was_mended_in_the_maintenance_is_never_told(town: Rig, post: Post) -> None:
    announce(town, "maintenance", minutes=60)
    town.run(200_000)
    assert town.sql("SELECT subject FROM alert WHERE category='technical'") == [("lost",)]
    post.birth()
    stay(town, [post], 60 * MIN_MS)
    assert town.told() == {("console", "notify"): 1}


def test_a_trouble_that_was_open_before_is_noted_and_not_told_again(town: Rig, post: Post) -> None:
    post.event("fault", txt="a")
    town.run()
    town.told()
    announce(town, "maintenance", minutes=10)
    post.event("fault", txt="b")
    town.run()
    assert town.told() == {}
    assert town.sql("SELECT count(*) FROM timeline_entry WHERE what='muted'") == [(1,)]


def test_a_press_costs_one_statement_for_drills(town: Rig, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    right = rows.running

    def counted(conn: Any, org: str, site: str, kind: str, now_ms: int) -> Window | None:
        asked.append(kind)
        return right(conn, org, site, kind, now_ms)

    monkeypatch.setattr(rows, "running", counted)
    post.press()
    assert asked == ["drill"]
    post.press()
    assert asked == ["drill"], "an open call is nobody's drill"
