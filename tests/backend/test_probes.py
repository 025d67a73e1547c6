"""A probe goes the way of a press to its sink and back, tells nobody, is counted apart; one that is late is told."""

from typing import Any

import pytest
from backend_rig import ORG, Post, Rig
from tocsin_backend.domain import latency, probes
from tocsin_backend.store import board, listings
from tocsin_backend.store import probes as rows
from tocsin_wire import topics

EVERY_MS, GRACE_MS = probes.EVERY_MS, probes.GRACE_MS


@pytest.fixture
def post(rig: Rig) -> Post:
    rig.person("anne", webhook="https://a/")
    rig.person("tech", "technician", webhook="https://t/")
    made = rig.post("bau-1")
    made.birth()
    return made


def give_probe(post: Post, **fields: Any) -> dict[str, Any]:
    return post.rig.give(post.signal("alert", k="probe", **{"in": "button"}, held=0, mode="real", **fields))


def go_round(post: Post) -> str:
    """A probe, all the way: its alert."""
    rig = post.rig
    answer = give_probe(post)
    name = f"{post.b}-{post.n}"
    post.lamp(name, "stored", 1, lat=40)
    rig.run()
    post.lamp(name, "closed", 1, lat=90)
    rig.run()
    alert: str = answer["alert"]
    return alert


def stay(rig: Rig, post: Post, for_ms: int) -> None:
    """Time passes at a post that beats."""
    until_ms = rig.clock.now + for_ms
    while rig.clock.now < until_ms:
        rig.clock.now += 60_000
        post.beat()
    rig.run()


def test_there_and_back_with_every_hop_and_to_nobody(rig: Rig, post: Post) -> None:
    began_ms = rig.clock.now
    answer = give_probe(post)
    [ack] = post.acks(answer)
    assert (answer["r"], ack["r"], ack["al"]) == ("stored", "stored", answer["alert"])
    assert (rig.alert(answer["alert"]).mode, rig.alert(answer["alert"]).policy) == ("probe", "probe")
    post.lamp("1-1", "stored", 1, lat=40)
    rig.run()
    assert rig.told() == {("probe", "notify"): 1}
    alert = rig.alert(answer["alert"])
    assert (alert.status, alert.reason) == ("closed", "probe")
    [(frame,)] = rig.sql("SELECT frame FROM downlink")
    down = post.read(topics.topic(ORG, "bau-1", "ack"), bytes(frame))
    assert (down["re"], down["r"], down["e"]) == ("1-1", "closed", 1)
    assert rig.sql("SELECT probe_ms FROM device") == [(None,)], "not good before the post has confirmed it"
    rig.clock.now += 100
    post.lamp("1-1", "closed", 1, lat=90)
    rig.run(60_000)
    assert rig.sql("SELECT status FROM dispatch WHERE kind='lamp'") == [("delivered",)]
    assert rig.sql("SELECT probe_ms, probe_by_ms FROM device") == [(began_ms - 5, began_ms + EVERY_MS + GRACE_MS)]
    with rig.database.read() as conn:
        [ledger] = board.ledgers(conn, alert.id)
        assert rows.round_trips(conn, ORG, began_ms - 1_000, ["bau-1"]) == {"bau-1": [90]}
    hops = dict(latency.hops(latency.Ledger(**{f"{h}_ms": getattr(ledger, f"{h}_ms") for h in latency.HOPS})))
    assert set(hops) == set(latency.HOPS) - {"answered"}
    assert (hops["lamp_sent"], hops["lamp_answered"]) == (40, 90)
    assert rig.told() == {}


def test_a_duplicate_is_told_how_it_ended_and_is_counted_once(rig: Rig, post: Post) -> None:
    envelope = post.signal("alert", k="probe", **{"in": "button"}, held=0, mode="real")
    first = rig.give(envelope)
    rig.run()
    again = rig.give(envelope)
    assert (again["r"], again["alert"], post.acks(again)[0]["r"]) == ("duplicate", first["alert"], "closed")
    assert rig.sql("SELECT count(*) FROM alert") == [(1,)]


def test_lists_and_latency_of_presses_know_no_probe(rig: Rig, post: Post) -> None:
    probe = go_round(post)
    press = post.press()["alert"]
    waiting = give_probe(post)["alert"]
    with rig.database.read() as conn:
        every = ("raised", "answered", "closed")
        assert listings.alert_ids(conn, ORG, every, None, None, 100) == [press]
        assert set(listings.alert_ids(conn, ORG, every, None, None, 100, ("probe",))) == {probe, waiting}
        assert [row.id for row in board.open_alerts(conn)] == [press]
        assert board.closed_alerts(conn, ORG, 10) == []
        assert [row["alert_id"] for row in listings.ledgers_since(conn, ORG, 0, 10)] == [press]


def test_a_probe_beside_an_open_press_is_another_alert(rig: Rig, post: Post) -> None:
    press = post.press()["alert"]
    rig.run()
    rig.told()
    probe = give_probe(post)["alert"]
    rig.run()
    assert probe != press
    assert (rig.alert(press).presses, rig.alert(press).status) == (1, "raised")
    assert rig.told() == {("probe", "notify"): 1}


def test_a_sink_that_takes_nothing_is_a_failed_probe(rig: Rig, post: Post) -> None:
    del rig.engine.senders["probe"]
    rig.outbox.channels = frozenset({"console", "webhook", "email"})
    alert = give_probe(post)["alert"]
    stay(rig, post, 120_000)
    assert (rig.alert(alert).status, rig.alert(alert).reason) == ("closed", "probe-failed")
    assert rig.sql("SELECT subject FROM alert WHERE category='technical'") == [("probe-failed",)]
    assert rig.told() == {("console", "notify"): 1, ("https://t/", "notify"): 1}


def test_one_that_does_not_come_is_told_once_a_day_and_cleared_by_the_next(rig: Rig, post: Post) -> None:
    go_round(post)
    rig.told()
    stay(rig, post, EVERY_MS + GRACE_MS - 120_000)
    assert rig.told() == {}
    stay(rig, post, 180_000)
    assert rig.sql("SELECT subject, device FROM alert WHERE category='technical'") == [("probe-overdue", "bau-1")]
    assert rig.told() == {("console", "notify"): 1, ("https://t/", "notify"): 1}
    go_round(post)
    assert rig.sql("SELECT condition FROM alert WHERE category='technical'") == [("cleared",)]


def test_a_probe_that_never_comes_back_is_overdue_too(rig: Rig, post: Post) -> None:
    give_probe(post)
    rig.run()
    stay(rig, post, EVERY_MS + GRACE_MS + 120_000)
    assert rig.sql("SELECT subject FROM alert WHERE category='technical'") == [("probe-overdue",)]


def test_a_post_that_makes_none_is_expected_to_make_none(rig: Rig, post: Post) -> None:
    stay(rig, post, 4 * EVERY_MS // 24)
    rig.clock.now += 5 * EVERY_MS
    post.beat()
    rig.run()
    assert rig.sql("SELECT subject FROM alert WHERE subject='probe-overdue'") == []


def test_a_lost_post_is_told_of_as_lost_only(rig: Rig, post: Post) -> None:
    go_round(post)
    rig.run(EVERY_MS + 3 * GRACE_MS)
    assert rig.sql("SELECT subject FROM alert WHERE category='technical'") == [("lost",)]
    assert rig.sql("SELECT count(*) FROM device WHERE probe_by_ms > ?", rig.clock.now) == [(1,)]


def test_after_our_own_pause_nothing_is_overdue_for_an_hour(rig: Rig, post: Post) -> None:
    go_round(post)
    rig.restart(down_ms=3 * EVERY_MS)
    assert rig.sql("SELECT probe_by_ms FROM device") == [(rig.clock.now + probes.RESUME_MS,)]


def test_the_period_is_bounded_and_moves_the_running_instant(rig: Rig, post: Post) -> None:
    go_round(post)
    [(before_ms,)] = rig.sql("SELECT probe_by_ms FROM device")
    assert rig.database.write(lambda conn: rows.set_every(conn, ORG, "bau-1", 2 * EVERY_MS)).result()
    assert rig.sql("SELECT probe_by_ms, probe_every_ms FROM device") == [(before_ms + EVERY_MS, 2 * EVERY_MS)]
    assert not rig.database.write(lambda conn: rows.set_every(conn, ORG, "none", EVERY_MS)).result()
