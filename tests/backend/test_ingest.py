"""What gateways bring: believed only by its signature, stored once, refused alone."""

import base64
import json
import random
from collections.abc import Mapping
from typing import Any

import pytest
from backend_rig import ORG, SCREEN, Post, Rig, steps, who
from tocsin_backend.errors import Invalid
from tocsin_backend.ingest import storing
from tocsin_backend.store import enrolment, tables
from tocsin_wire import signing, topics


def refused(answer: Mapping[str, Any]) -> str:
    assert (answer["r"], answer["alert"], answer["publish"]) == ("refused", None, [])
    return str(answer["reason"])


def moved(envelope: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**envelope, **changes}


def test_a_press_is_one_alert_one_ack_and_a_ledger(rig: Rig) -> None:
    post = rig.post("bau-1")
    rig.clock.now += 7
    envelope = post.press_envelope(age=40)
    envelope |= {"at_ms": rig.clock.now - 3, "held_ms": rig.clock.now - 1}
    answer = rig.give(envelope)
    assert answer["r"] == "stored"
    [ack] = post.acks(answer)
    t = rig.clock.now // 1000
    assert ack == {"v": 1, "re": "1-1", "r": "stored", "t": t, "al": answer["alert"], "e": 1}
    columns = "contact_ms, received_ms, held_ms, stored_ms, handed_ms"
    now = rig.clock.now
    assert rig.sql(f"SELECT {columns} FROM ledger") == [(now - 43, now - 3, now - 1, now, None)]
    assert rig.sql("SELECT frame FROM signal") == [(base64.b64decode(envelope["frame"]),)]


def test_a_duplicate_however_late_answers_with_the_same_alert_in_its_present_state(rig: Rig) -> None:
    anne = rig.person("anne", webhook="https://a/")
    post = rig.post("bau-1")
    envelope = post.press_envelope()
    first = rig.give(envelope)
    again = rig.give(envelope)
    assert (again["r"], again["alert"]) == ("duplicate", first["alert"])
    assert post.acks(again)[0]["r"] == "stored"
    rig.engine.answer(ORG, first["alert"], anne, "console")
    assert post.acks(rig.give(envelope))[0]["r"] == "answered"
    rig.engine.close(ORG, first["alert"], anne, "real")
    rig.clock.now += 86_400_000
    late = rig.give(envelope)
    assert (late["r"], late["alert"], post.acks(late)[0]["r"]) == ("duplicate", first["alert"], "closed")
    assert rig.sql("SELECT count(*) FROM alert") == [(1,)]
    assert post.press()["alert"] != first["alert"]
    assert rig.sql("SELECT previous_id FROM alert WHERE status='raised'") == [(first["alert"],)]


def test_the_open_alert_is_found_although_the_clock_went_back(rig: Rig) -> None:
    anne = rig.person("anne", webhook="https://a/")
    post = rig.post("bau-1")
    rig.engine.close(ORG, post.press()["alert"], anne, "real")
    rig.clock.now -= 3_600_000
    alert = post.press()["alert"]
    assert post.press()["alert"] == alert
    assert rig.alert(alert).presses == 2


def test_the_same_envelope_twice_in_one_batch(rig: Rig) -> None:
    envelope = rig.post("bau-1").press_envelope()
    answers = rig.ingest.envelopes(ORG, "gw-1", [envelope, envelope])
    assert [answer["r"] for answer in answers] == ["stored", "duplicate"]
    assert answers[0]["alert"] == answers[1]["alert"]


def test_who_may_say_what(rig: Rig) -> None:
    post, other = rig.post("bau-1"), rig.post("bau-2")
    rig.save(tables.Organisation(id="other", name="x", created_ms=1))
    envelope = post.press_envelope()
    assert refused(rig.give(envelope, org="other")) == "foreign-org"
    assert refused(rig.give(moved(envelope, topic=topics.topic(ORG, "bau-2", "alert")))) == "bad-signature"
    assert refused(rig.give(moved(envelope, topic=topics.topic(ORG, "bau-1", "event")))) == "bad-signature"
    assert refused(rig.give(moved(envelope, topic=topics.topic(ORG, "nobody", "alert")))) == "unknown-device"
    assert refused(rig.give(moved(envelope, topic=topics.topic(ORG, "bau-1", "ack")))) == "bad-topic"
    assert refused(rig.give(moved(envelope, topic=topics.topic(ORG, "bau-1", "beat")))) == "bad-topic"
    stranger = Post(rig, "bau-1", b"another key, thirty-two bytes...")
    assert refused(stranger.press()) == "bad-signature"
    other.key = post.key
    assert refused(other.press()) == "bad-signature"
    rig.sql("UPDATE device_key SET revoked_ms=1 WHERE device='bau-1'")
    assert refused(rig.give(envelope)) == "unknown-key"
    rig.sql("UPDATE device SET retired_ms=1 WHERE id='bau-2'")
    assert refused(rig.post("bau-3").rig.give(moved(envelope, topic=topics.topic(ORG, "bau-2", "alert")))) == (
        "retired-device"
    )
    rig.settle()
    assert rig.sql("SELECT count(*) FROM alert") == [(0,)]
    kept = dict(rig.sql("SELECT reason, count(*) FROM evidence GROUP BY reason"))
    assert kept == dict(rig.ingest.refused)
    assert sum(kept.values()) == 10


def test_a_key_revoked_by_another_process_is_refused_within_a_minute(rig: Rig) -> None:
    """S6; the command line's write tells this process nothing."""
    post = rig.post("bau-1")
    assert post.press()["r"] == "stored"
    rig.database.write(lambda conn: conn.exec_driver_sql("UPDATE device_key SET revoked_ms=1") and None).result()
    rig.clock.now += 60_000
    assert refused(post.press()) == "unknown-key"


def test_credentials_given_by_another_process_are_good_within_a_second(rig: Rig) -> None:
    post = rig.post("bau-1")
    assert post.press()["r"] == "stored"
    key = b"n" * 32

    def job(conn: Any) -> None:
        conn.exec_driver_sql("UPDATE device_key SET revoked_ms=1")
        row = {"org": ORG, "device": "bau-1", "kid": "k2", "key": key, "created_ms": 1}
        conn.execute(tables.DeviceKey.__table__.insert().values(row))  # type: ignore[attr-defined]

    rig.database.write(job).result()
    post.kid, post.key = "k2", key
    assert refused(post.press()) == "unknown-key", "a card is read at most once a second, whoever knocks"
    rig.clock.now += 1_000
    assert post.press()["r"] == "stored"


def poison(post: Post, seed: int) -> list[dict[str, Any]]:
    """Bad envelopes of every sort: shapes, bytes, JSON, fields; signed properly wherever that can be."""
    draw = random.Random(seed)
    topic = topics.topic(ORG, "bau-1", "alert")
    good = json.dumps(
        {
            "v": 1,
            "b": 9,
            "n": 9,
            "t": 0,
            "q": "none",
            "age": 5,
            "try": 1,
            "k": "press",
            "in": "b",
            "held": 1,
            "mode": "real",
        }
    )

    def signed(body: bytes) -> dict[str, Any]:
        frame = signing.sign(topic, body, "k1", post.key)
        return {"id": 1, "topic": topic, "frame": base64.b64encode(frame).decode(), "at_ms": 1, "held_ms": 1}

    bodies = [
        b"", b"{}", b"[]", b"null", b"0", b'"x"', b"{", b'{"v":1', b"\xff\xfe", b"\x00", good.encode("utf-16"),
        *(good.replace("9", number, 1).encode() for number in ("NaN", "1e3", "1.0", "Infinity", "0x9", "09")),
        good.replace('"press"', '"\\ud800"').encode(), good.replace('"press"', '"\\u0000"').encode(),
        good.replace('"press"', "null").encode(), good.replace('"press"', "true").encode(),
        good.replace('"v": 1', '"v": 1, "v": 1').encode(), b"[" * 400, b'{"a":' * 150 + b"1" + b"}" * 150,
        good.replace('"n": 9', '"n": -1').encode(), good.replace('"n": 9', '"n": 0').encode(),
        good.replace('"n": 9', '"n": 99999999999999999999').encode(), good.replace('"n": 9', '"n": "9"').encode(),
        good.replace('"real"', '"unreal"').encode(), good.replace('"b"', '"B"', 1).encode(),
        good.replace('"in": "b"', '"in": "../etc"').encode(), good.replace('"in": "b"', '"in": ""').encode(),
        b"\xef\xbb\xbf" + good.encode(), good.encode()[:-1], good.encode() + b"}", b"x" * 2_000,
    ]  # fmt: skip
    for field in json.loads(good):
        message = json.loads(good)
        del message[field]
        bodies.append(json.dumps(message).encode())
        bodies.append(json.dumps({**message, field: [1]}).encode())
    for _ in range(40):
        spoilt = bytearray(good.encode())
        spoilt[draw.randrange(len(spoilt))] = draw.choice(b'\x00\x1f"{}[],:\\\xff')
        bodies.append(bytes(spoilt))
    made = [signed(body) for body in bodies]
    envelope = signed(good.encode())
    made += [
        moved(envelope, topic=value)
        for value in (
            "", "#", "+", "tocsin", "tocsin/1/demo/bau-1", "tocsin/2/demo/bau-1/alert", "tocsin/1/demo/+/alert",
            "tocsin/1/demo/bau-1/alert/x", "tocsin/1/DEMO/bau-1/alert", "tocsin/1/demo/\ud800/alert",
            "x" * 10_000, 7, None,
        )
    ]  # fmt: skip
    made += [moved(envelope, frame=value) for value in ("", "!", "é", "YQ==", "YQ", 7, None, "A" * 9_000, [], {})]
    made += [moved(envelope, at_ms=value) for value in ("1", None, -1, 1.5, 2**60)]
    made += [{}, {"id": 1}, {"id": "x", "topic": topic, "frame": ""}]
    return made


def test_poison_is_refused_kept_and_counted_and_a_press_beside_it_is_stored(rig: Rig) -> None:
    post = rig.post("bau-1")
    bad = [each for each in poison(post, 2) if each.get("topic") != "impossible"]
    assert len(bad) >= 100
    bad += [None, 7, "x", []]  # type: ignore[list-item]
    envelopes = list(bad)
    good = post.press_envelope()
    envelopes.insert(len(envelopes) // 2, good)
    answers = rig.ingest.envelopes(ORG, "gw-1", envelopes)
    assert len(answers) == len(envelopes)
    stored = [answer for answer in answers if answer["r"] == "stored"]
    # A byte changed inside a value may leave a message that is good: then it is a press like another.
    assert good["id"] in [answer["id"] for answer in stored]
    assert len(stored) <= 12
    for answer in answers:
        if answer["r"] == "refused":
            assert answer["reason"] != "internal-error", answer
    rig.settle()
    assert sum(rig.ingest.refused.values()) == sum(answer["r"] == "refused" for answer in answers)
    assert 0 < rig.sql("SELECT count(*) FROM evidence")[0][0] <= sum(rig.ingest.refused.values())


def test_a_bug_of_ours_harms_no_neighbour(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    posts = [rig.post(f"bau-{number}") for number in range(5)]
    right = storing.Storing._press

    def wrong(self: storing.Storing, frame: storing.Frame, alert_id: str) -> Any:
        if frame.card.device == "bau-2":
            raise KeyError("a bug")
        return right(self, frame, alert_id)

    monkeypatch.setattr(storing.Storing, "_press", wrong)
    envelopes = [post.press_envelope() for post in posts]
    answers = rig.ingest.envelopes(ORG, "gw-1", envelopes)
    assert [answer["r"] for answer in answers] == ["stored", "stored", "refused", "stored", "stored"]
    assert answers[2]["reason"] == "internal-error"
    assert rig.sql("SELECT count(*) FROM signal WHERE device='bau-2'") == [(0,)], "its signal went with it"
    monkeypatch.undo()
    assert rig.give(envelopes[2])["r"] == "stored", "the post sends it again"


def test_evidence_is_bounded_and_the_newest_stays(rig: Rig) -> None:
    rig.ingest.refusals.evidence_max = 10
    for round_ in range(12):
        rig.ingest.envelopes(ORG, "gw-1", [{"id": 1, "topic": f"x{round_}", "frame": ""}] * 5)
        rig.settle()
        assert rig.sql("SELECT count(*) FROM evidence")[0][0] <= 15, "one batch may go over"
    assert rig.ingest.refused == {"bad-topic": 60}
    assert rig.sql("SELECT count(*) FROM evidence WHERE topic='x11'") == [(5,)]
    assert rig.sql("SELECT count(*) FROM evidence WHERE topic='x0'") == [(0,)]
    assert rig.ingest.refusals.kept == rig.sql("SELECT count(*) FROM evidence")[0][0]


def test_lists_that_are_none(rig: Rig) -> None:
    for envelopes in ({}, None, "x", [{}] * 501):
        with pytest.raises(Invalid):
            rig.ingest.envelopes(ORG, "gw-1", envelopes)  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        rig.ingest.beats(ORG, "gw-1", {})  # type: ignore[arg-type]
    assert rig.ingest.envelopes(ORG, "gw-1", []) == []


def test_a_cancel_at_the_post_is_told_and_closes_nothing(rig: Rig) -> None:
    post = rig.post("bau-1")
    alert = post.press()["alert"]
    answer = rig.give(post.signal("alert", k="cancel", **{"in": "button"}, held=40, mode="real"))
    assert (answer["r"], answer["alert"]) == ("stored", alert)
    assert rig.alert(alert).status == "raised"
    assert rig.sql("SELECT data FROM timeline_entry WHERE what='cancel-at-post'") == [('{"signal":"1-2"}',)]


def test_lamp_confirmations_fill_the_ledger_and_end_the_order(rig: Rig) -> None:
    anne = rig.person("anne", webhook="https://a/")
    post = rig.post("bau-1")
    post.birth()
    alert = post.press(age=20)["alert"]
    post.lamp("1-1", "stored", 1, lat=95)
    assert rig.alert(alert).lamp == "stored"
    rig.clock.now += 5_000
    rig.engine.answer(ORG, alert, anne, "console")
    [(frame,)] = rig.sql("SELECT frame FROM downlink")
    read = post.read(topics.topic(ORG, "bau-1", "ack"), frame)
    assert (read["re"], read["r"], read["e"], read["al"]) == ("1-1", "answered", 1, alert)
    post.lamp("1-1", "answered", 1, lat=-1)
    assert rig.alert(alert).lamp == "answered"
    contact, sent, answered = rig.sql("SELECT contact_ms, lamp_sent_ms, lamp_answered_ms FROM ledger")[0]
    assert (sent - contact, answered) == (95, rig.clock.now - 5)
    assert rig.sql("SELECT status FROM dispatch WHERE kind='lamp'") == [("delivered",)]


def test_presence_follows_births_beats_and_deaths(rig: Rig) -> None:
    post = rig.post("bau-1")

    def presence() -> str:
        rig.settle()
        return str(rig.sql("SELECT presence FROM device")[0][0])

    assert presence() == "never"
    rig.give({**post.seal("state", {"s": "1.1", "st": "ready"}), "retained": 1})
    assert presence() == "never", "a retained word proves nothing"
    post.birth()
    assert presence() == "alive"
    answer = post.beat()
    assert answer["refused"] == []
    [ack] = post.acks(answer)
    assert (ack["re"], ack["r"], ack["s"], ack["i"]) == ("beat", "alive", "1.2", 1)
    post.death()
    assert presence() == "late"
    assert post.beat()["publish"] == [], "of a session that ended"
    post.birth()
    assert presence() == "alive"
    rig.run(91_000)
    assert presence() == "lost"
    assert rig.sql("SELECT category, subject, status FROM alert") == [("technical", "lost", "raised")]
    post.beat()
    assert presence() == "alive"
    assert rig.sql("SELECT condition FROM alert") == [("cleared",)]


def test_a_replayed_beat_keeps_nobody_alive(rig: Rig) -> None:
    post = rig.post("bau-1")
    post.birth()
    frame = post.beat_frame()
    assert len(rig.ingest.beats(ORG, "gw-1", [frame])["publish"]) == 1
    rig.clock.now += 30_000
    assert rig.ingest.beats(ORG, "gw-1", [frame])["publish"] == []
    rig.run(61_000)
    assert rig.sql("SELECT presence FROM device") == [("lost",)]


def test_beats_are_refused_one_by_one(rig: Rig) -> None:
    posts = [rig.post(f"bau-{number}") for number in range(150)]
    frames = [post.beat_frame() for post in posts]
    frames[7] = moved(frames[7], topic=frames[8]["topic"])
    frames[9] = 3  # type: ignore[call-overload]
    answer = rig.ingest.beats(ORG, "gw-1", frames)
    assert len(answer["publish"]) == 148
    assert [each["reason"] for each in answer["refused"]] == ["bad-signature", "bad-envelope"]


def test_trouble_at_a_post_is_a_technical_alert(rig: Rig) -> None:
    rig.person("tess", role="technician", email="tess@x")
    post = rig.post("bau-1")
    post.event("boot", why="power")
    assert rig.sql("SELECT count(*) FROM alert") == [(0,)]
    post.event("stuck", **{"in": "button"})
    rig.run()
    assert rig.told() == {("tess@x", "notify"): 1, ("console", "notify"): 1}
    post.event("dropped", count=3)
    assert rig.sql("SELECT presses, subject, condition FROM alert") == [(2, "dropped", "active")]
    post.event("stuck", **{"in": "button"})
    post.event("released", **{"in": "button"})
    assert rig.sql("SELECT presses, subject, condition FROM alert") == [(3, "stuck", "cleared")]
    rig.run()
    assert rig.told() == {}, "one alert a device bundles what is wrong with it"


def test_an_event_of_tomorrow_is_stored_as_it_is(rig: Rig) -> None:
    answer = rig.post("bau-1").event("levitating", txt="high")
    assert answer["r"] == "stored"
    assert rig.sql("SELECT kind FROM signal") == [("levitating",)]


def test_a_policy_is_for_the_next_press(rig: Rig) -> None:
    rig.person("anne", webhook="https://a/")
    rig.person("bob", webhook="https://b/")
    rig.policy(steps((30, [who("anne")])))
    first, second = rig.post("bau-1", policy="plan"), rig.post("bau-2", policy="plan")
    first.press()
    rig.policy(steps((30, [who("bob")])), version=2)
    second.press()
    rig.run()
    assert rig.told() == {("https://a/", "notify"): 1, ("https://b/", "notify"): 1}
    rig.run(31_000)
    assert rig.told() == {("https://a/", "notify"): 1, ("https://b/", "notify"): 1, ("console", "notify"): 2}
    assert SCREEN.channel == "console"  # the two technical alerts that say "unanswered"


def test_a_well_signed_message_that_is_wrong_is_refused_to_its_sender(rig: Rig) -> None:
    """A device with a bug stops sending what will never be taken; what names no signal gets no answer."""
    post = rig.post("bau-1")
    topic = topics.topic(ORG, "bau-1", "alert")
    body = b'{"v":1,"b":3,"n":9,"t":0,"q":"none","age":1,"try":1,"k":"press","in":"call","mode":"real"}'
    frame = base64.b64encode(signing.sign(topic, body, "k1", post.key)).decode()
    answer = rig.give(moved(post.press_envelope(), topic=topic, frame=frame))
    assert (answer["r"], answer["reason"], answer["alert"]) == ("refused", "bad-schema", None)
    t = rig.clock.now // 1000
    assert post.acks(answer) == [{"v": 1, "re": "3-9", "r": "refused", "why": "bad-schema", "t": t}]
    for nameless in (
        body.replace(b'"n":9', b'"n":0'),
        body.replace(b'"b":3,', b""),
        body.replace(b'"b":3', b'"b":"3"'),
    ):
        frame = base64.b64encode(signing.sign(topic, nameless, "k1", post.key)).decode()
        assert refused(rig.give(moved(post.press_envelope(), topic=topic, frame=frame))) == "bad-schema"
    assert rig.sql("SELECT count(*) FROM signal") == [(0,)]


def test_an_identity_that_means_something_else_is_refused_and_kept(rig: Rig) -> None:
    post = rig.post("bau-1")
    envelope = post.press_envelope()
    assert rig.give(envelope)["r"] == "stored"
    topic = topics.topic(ORG, "bau-1", "alert")
    body = b'{"v":1,"b":1,"n":1,"t":0,"q":"none","age":1,"try":1,"k":"cancel","in":"call","held":0,"mode":"real"}'
    frame = base64.b64encode(signing.sign(topic, body, "k1", post.key)).decode()
    answer = rig.give(moved(envelope, topic=topic, frame=frame))
    assert (answer["r"], answer["reason"], answer["alert"]) == ("refused", "reused", None)
    assert post.acks(answer)[0]["why"] == "reused"
    rig.settle()
    assert rig.sql("SELECT reason, count(*) FROM evidence GROUP BY reason") == [("reused", 1)]
    assert rig.sql("SELECT kind, presses FROM signal JOIN alert ON alert.id = alert_id") == [("press", 1)]


def test_a_press_of_a_swapped_board_is_never_taken_for_one_of_the_old_board(rig: Rig) -> None:
    """Its number was used a year ago: a new alert, whose lamp orders name the number that the new board knows."""
    anne = rig.person("anne", email="a@x")
    rig.person("tom", role="technician", email="t@x")
    post = rig.post("bau-1")
    old = post.press()["alert"]
    rig.engine.close(ORG, old, anne, "test")
    rig.run(1_000)
    rig.clock.now += 31_536_000_000
    rig.told()
    post.swap_board("k2")
    post.birth()
    envelope = post.press_envelope()
    answer = rig.give(envelope)
    new = answer["alert"]
    assert (answer["r"], new != old, rig.alert(new).status) == ("stored", True, "raised")
    assert [(ack["re"], ack["r"], ack["al"], ack["e"]) for ack in post.acks(answer)] == [("1-1", "stored", new, 1)]
    rig.run()
    assert rig.told()["a@x", "notify"] == 1
    assert rig.sql("SELECT count(*) FROM alert WHERE subject='counter-went-back' AND status='raised'") == [(1,)]
    assert rig.sql("SELECT reason FROM evidence") == [("counter-went-back",)]
    again = rig.give(envelope)
    assert (again["r"], again["alert"], rig.alert(new).presses) == ("duplicate", new, 1)
    post.n = 20
    post.lamp("1-1", "stored", 1)
    assert (rig.alert(new).lamp, rig.alert(old).lamp) == ("stored", None)
    rig.engine.answer(ORG, new, anne, "console")
    [row] = rig.sql("SELECT topic, frame FROM downlink ORDER BY id DESC LIMIT 1")
    assert [post.read(*row)[name] for name in ("re", "r", "al")] == ["1-1", "answered", new]


def test_a_frame_that_waited_in_a_spool_makes_no_lost_post_alive(rig: Rig) -> None:
    """P8: the gateway took it, the link went, the post died; what comes late is stored and proves no presence."""
    post = rig.post("bau-1")
    post.birth()
    post.beat()
    late = [post.press_envelope(), post.seal("state", {"s": f"1.{post.link + 1}", "st": "ready"})]
    rig.run(3_600_000)
    assert rig.sql("SELECT presence FROM device") == [("lost",)]
    rig.sql("UPDATE device SET gateway='gw-2'")
    assert [answer["r"] for answer in rig.ingest.envelopes(ORG, "gw-1", late)] == ["stored", "stored"]
    assert rig.sql("SELECT presence, gateway FROM device") == [("lost", "gw-2")]
    rig.clock.now += 1
    post.press()
    assert rig.sql("SELECT presence, gateway FROM device") == [("alive", "gw-1")]


def test_new_credentials_begin_above_every_boot_ever_heard(rig: Rig) -> None:
    post = rig.post("bau-1")

    def newest() -> int:
        with rig.database.read() as conn:
            return enrolment.newest_boot(conn, ORG, "bau-1")

    assert newest() == 0
    post.b = 7
    post.press()
    assert newest() == 7
    post.b = 9
    post.birth()
    assert newest() == 9
    post.b = 8
    post.press()
    rig.sql("UPDATE device SET boot=12")
    assert newest() == 12


def test_a_press_of_an_erased_board_counts_although_its_number_and_key_are_old(rig: Rig) -> None:
    post = rig.post("bau-1")
    alert = post.press(held=40)["alert"]
    post.n = 0
    other = rig.give(post.press_envelope(held=41))
    assert (other["r"], other["alert"], rig.alert(alert).presses) == ("stored", alert, 2)
    post.n = 0
    resent = rig.give(post.press_envelope(held=41, age=90_000, q="ntp", t=1_764_000_000, **{"try": 7}))
    assert (resent["r"], resent["alert"], rig.alert(alert).presses) == ("duplicate", alert, 2)


def test_a_press_under_the_number_of_an_event_is_an_alert(rig: Rig) -> None:
    post = rig.post("bau-1")
    post.event("boot", why="power")
    post.n = 0
    answer = post.press()
    assert (answer["r"], rig.alert(answer["alert"]).status) == ("stored", "raised")
