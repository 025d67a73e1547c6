"""The whole post: the order of a press, what the lamp follows, what is refused, what is sent when."""

from device_bench import ACK, READINGS, Bench
from tocsin_device.outbox import MAX_EVENTS, MAX_OPEN, MAX_PENDING, Press
from tocsin_wire import messages


def channels(sent):
    return [channel for channel, _ in sent]


def only(sent, channel):
    return [message for found, message in sent if found == channel]


def in_service():
    bench = Bench()
    bench.rest()
    bench.connect()
    bench.sent()
    bench.alive()
    bench.order = []
    return bench


def test_the_order_of_a_press():
    bench = in_service()
    assert bench.lamp() == "in-service"
    bench.sample(True, edge=True)
    for _ in range(6):
        bench.sample(True)
        assert bench.order == []
    bench.sample(True)
    n = bench.device._n
    assert bench.order == [("kept", n), ("played", "chirp")]
    assert bench.lamp() == "sending"
    (alert,) = only(bench.sent(), "alert")
    assert (alert["b"], alert["n"], alert["try"], alert["k"], alert["mode"]) == (7, n, 1, "press", "real")
    assert 35 <= alert["held"] <= 40
    assert alert["age"] == alert["held"]
    bench.now_ms += 9
    bench.ack((7, n), "stored")
    assert bench.lamp() == "sent"
    assert bench.played == ["chirp", "rising"]
    assert bench.journal == {(7, n): "o"}
    (lamp,) = only(bench.sent(), "event")
    assert (lamp["k"], lamp["re"], lamp["r"], lamp["e"]) == ("lamp", "7-%d" % n, "stored", 1)
    assert lamp["lat"] == alert["age"] + 9
    bench.ack((7, n), "answered")
    assert bench.lamp() == "answered"
    assert bench.played[-1] == "three"
    bench.ack((7, n), "closed")
    assert bench.lamp() == "in-service"
    assert bench.journal == {}
    assert [event["r"] for event in only(bench.sent(), "event")] == ["answered", "closed"]


def test_a_new_session_says_first_what_a_person_waits_for():
    bench = Bench()
    bench.device.started("power", "", 0)
    bench.press()
    bench.connect()
    sent = bench.sent()
    assert channels(sent) == ["alert", "state", "info", "event", "beat"]
    assert sent[1][1]["s"] == "7.1"
    assert sent[1][1]["st"] == "ready"
    assert len(sent[1][1]["nonce"]) == 16
    assert sent[4][1]["spool"] == 1
    assert sent[4][1]["lines"] == {"call": "idle", "hush": "idle"}
    assert sent[4][1]["free"] == 50000


def test_the_will_is_of_the_session_that_follows():
    bench = Bench()
    assert bench.device.link.wants(False, 0, bench.now_ms)
    topic, frame, qos, retain = bench.device.will()
    assert (topic, qos, retain) == ("tocsin/1/demo/post-1/state", 1, True)
    assert b'"lost"' in frame
    assert b'"7.1"' in frame


def test_an_alert_is_sent_again_until_an_ack_names_it():
    bench = in_service()
    press = bench.press()
    times = []
    for _ in range(60 * 200):
        bench.sample(False)
        for alert in only(bench.sent(), "alert"):
            times.append((bench.now_ms, alert["try"]))
    gaps = [later[0] - earlier[0] for earlier, later in zip(times, times[1:])]  # noqa: B905, RUF007 (MicroPython)
    for gap, wanted in zip(gaps, [500, 1000, 2000, 4000, 8000, 10000, 10000]):  # noqa: B905
        assert abs(gap - wanted) <= 10, gaps
    assert [number for _, number in times] == list(range(1, len(times) + 1))
    bench.ack(press, "stored")
    assert only(bench.sent(), "alert") == []


def test_not_delivered_within_20_s_says_so_once_and_an_ack_still_turns_it():
    bench = in_service()
    press = bench.press()
    for _ in range(19500 // 5):
        bench.sample(False)
    assert bench.lamp() == "sending"
    for _ in range(200):
        bench.sample(False)
    assert bench.lamp() == "undelivered"
    assert bench.played == ["chirp", "low-triple"]
    bench.ack(press, "stored")
    assert bench.lamp() == "sent"


def test_epoch_and_rank_never_go_down_and_a_higher_epoch_reopens():
    bench = in_service()
    press = bench.press()
    bench.ack(press, "answered", 1)
    assert bench.lamp() == "answered"
    bench.ack(press, "stored", 1)
    assert bench.lamp() == "answered"
    assert bench.device.rejected == 1
    bench.ack(press, "stored", 2)
    assert bench.lamp() == "sent"
    bench.ack(press, "answered", 1)
    assert bench.lamp() == "sent"
    assert bench.device.rejected == 2
    bench.ack(press, "answered", 2)
    assert bench.lamp() == "answered"


def test_wrong_replayed_and_foreign_acks_change_nothing_and_are_counted():
    bench = in_service()
    n = bench.press()[1]
    good = {"v": 1, "re": "7-%d" % n, "r": "stored", "e": 1}
    bench.hear(good, key=bytes(32))
    bench.hear(good, retained=True)
    bench.hear(good, topic="tocsin/1/demo/post-2/ack")
    bench.hear({"v": 1, "re": "7-%d" % (n + 5), "r": "stored", "e": 1})
    bench.hear({"v": 1, "re": "6-1", "r": "answered", "e": 1})
    bench.hear({"v": 1, "re": "beat", "r": "alive", "s": "6.1", "i": 1})
    bench.hear({"v": 1, "re": "beat", "r": "alive", "s": "7.1", "i": 1})
    bench.do(bench.device.received(ACK, b"rubbish", False, bench.now_ms))
    bench.do(bench.device.received(ACK, b'{"v":1}\nk1:' + b"A" * 22, False, bench.now_ms))
    assert bench.lamp() == "sending"
    assert bench.device.rejected == 9
    bench.sample(False)
    bench.sample(False)
    told = [event for event in only(bench.sent(), "event") if event["k"] == "ack-rejected"]
    assert [event["count"] for event in told] == [9]


def test_rejections_are_told_at_most_once_a_minute():
    bench = in_service()
    told = []
    for _ in range(125 * 200):
        if bench.now_ms % 1000 == 0:
            bench.do(bench.device.received(ACK, b"rubbish", False, bench.now_ms))
        bench.sample(False)
        told += [event["count"] for event in only(bench.sent(), "event") if event["try"] == 1]
    assert 2 <= len(told) <= 3
    assert sum(told) <= bench.device.rejected


def test_a_repeated_ack_is_confirmed_again_and_nothing_else():
    bench = in_service()
    press = bench.press()
    bench.ack(press, "answered")
    played = list(bench.played)
    (event,) = only(bench.sent(), "event")
    bench.ack(press, "answered")
    assert only(bench.sent(), "event") == [], "the first confirmation is still on its way"
    bench.ack((7, event["n"]), "stored")
    bench.ack(press, "answered")
    assert [event["r"] for event in only(bench.sent(), "event")] == ["answered"]
    assert bench.played == played
    assert bench.device.rejected == 0


def test_a_closed_that_comes_again_is_confirmed_again():
    bench = in_service()
    press = bench.press()
    bench.ack(press, "closed")
    (event,) = only(bench.sent(), "event")
    bench.ack((7, event["n"]), "stored")
    bench.ack(press, "closed")
    assert [event["r"] for event in only(bench.sent(), "event")] == ["closed"]
    assert bench.device.rejected == 0
    bench.ack((3, 9), "closed")
    assert [(event["re"], event["lat"]) for event in only(bench.sent(), "event")] == [("3-9", -1)]


def test_refused_is_a_fault_for_a_while_and_is_not_sent_again():
    bench = in_service()
    press = bench.press()
    bench.ack(press, "refused", why="unknown-device")
    assert bench.lamp() == "fault"
    assert bench.journal == {}
    assert only(bench.sent(), "alert") == []
    bench.now_ms += 121000
    assert bench.lamp() == "no-network"


def test_the_lamp_follows_the_newest_press():
    bench = in_service()
    first = bench.press()
    bench.ack(first, "answered")
    second = bench.press()
    assert bench.lamp() == "sending"
    bench.ack(second, "stored")
    assert bench.lamp() == "sent"
    bench.ack(second, "closed")
    assert bench.lamp() == "answered"


def test_a_press_that_flash_refuses_is_sent_and_promises_nothing():
    bench = in_service()
    bench.flash_works = False
    press = bench.press()
    assert bench.played == []
    assert bench.lamp() == "fault"
    assert [alert["n"] for alert in only(bench.sent(), "alert")] == [press[1]]
    bench.ack(press, "stored")
    assert bench.lamp() == "sent"
    assert bench.played == ["rising"]
    bench.ack(press, "closed")
    assert bench.lamp() == "fault"
    bench.flash_works = True
    bench.ack(bench.press(), "closed")
    assert bench.lamp() == "in-service"


def test_after_a_reboot_pending_presses_go_first_and_open_ones_ask_what_became_of_them():
    pending, followed = (
        Press(3, 2, 0, 1789999000, "gw", "call", 40, False),
        Press(2, 9, 0, 0, "none", "call", 40, False),
    )
    for press in (pending, followed):
        press.restored = press.kept = True
    followed.epoch, followed.rank = 1, 2
    bench = Bench(held=[pending, followed])
    assert bench.lamp() == "sending"
    bench.connect()
    sent = bench.sent()
    assert channels(sent)[:3] == ["alert", "state", "info"]
    assert [(alert["b"], alert["n"]) for alert in only(sent, "alert")] == [(3, 2), (2, 9)]
    assert only(sent, "alert")[0]["age"] == bench.now_ms, "without a clock at least this boot"
    bench.alive(t=1790000000)
    bench.now_ms += 500
    assert only(bench.sent(), "alert")[0]["age"] == 1000000
    bench.ack((3, 2), "closed")
    assert [event["lat"] for event in only(bench.sent(), "event")] == [-1]
    assert bench.lamp() == "answered"


def test_presses_beyond_memory_wait_in_the_journal_and_all_are_sent_in_order():
    bench = Bench()
    minted = [bench.press() for _ in range(MAX_PENDING * 3)]
    assert bench.played.count("chirp") == len(minted)
    assert bench.device.outbox.pending() == MAX_PENDING
    bench.connect()
    seen = []
    for _ in range(400):
        for alert in only(bench.sent(), "alert"):
            if (alert["b"], alert["n"]) not in seen:
                seen.append((alert["b"], alert["n"]))
            bench.ack((alert["b"], alert["n"]), "stored")
        bench.sample(False)
    assert seen == minted
    assert list(bench.journal.values()) == ["o"] * MAX_OPEN, "the newest are followed, the others are the backend's"


def test_a_press_whose_mark_flash_refused_is_not_read_again():
    bench = in_service()
    minted = [bench.press() for _ in range(MAX_PENDING + 2)]
    bench.flash_works = False
    for press in minted[:MAX_PENDING]:
        bench.ack(press, "stored")
    bench.rest()
    assert [(press.b, press.n) for press in bench.device.outbox.presses] == minted[-MAX_OPEN - 2 :]
    assert bench.device.outbox.waiting == 0
    for press in minted[MAX_PENDING:]:
        bench.ack(press, "stored")
    assert bench.lamp() == "sent"


def test_presses_that_flash_cannot_read_now_are_not_forgotten():
    bench = in_service()
    minted = [bench.press() for _ in range(MAX_PENDING + 2)]
    bench.sent()
    bench.flash_reads = False
    for press in minted[:MAX_PENDING]:
        bench.ack(press, "closed")
    bench.rest(25000)
    assert bench.reads == 3, "every ten seconds"
    assert bench.lamp() == "sending"
    assert [event["txt"] for event in only(bench.sent(), "event") if event["k"] == "fault"] == [
        "journal: presses could not be read"
    ]
    newer = bench.press()
    assert [(alert["b"], alert["n"]) for alert in only(bench.sent(), "alert")] == [newer], "and hold nothing back"
    bench.ack(newer, "stored")
    assert bench.lamp() == "sent"
    minted.append(bench.press())
    bench.flash_reads = True
    bench.rest(10000)
    assert [(press.b, press.n) for press in bench.device.outbox.presses] == sorted([newer] + minted[MAX_PENDING:])  # noqa: RUF005 (MicroPython)
    assert bench.device.outbox.waiting == 0
    alerts = [(alert["b"], alert["n"]) for alert in only(bench.sent(), "alert")]
    assert sorted(alerts) == minted[MAX_PENDING:]
    for press in alerts:
        bench.ack(press, "closed")
    assert bench.device.faults == {}


def test_while_the_newest_press_waits_in_the_journal_nothing_is_said_of_an_older_one():
    bench = Bench()
    minted = [bench.press() for _ in range(MAX_PENDING + 1)]
    bench.connect()
    for press in minted[:-1]:
        bench.sent()
        bench.ack(press, "stored")
        bench.ack(press, "answered")
        if bench.device.outbox.waiting:
            assert bench.lamp() == "sending"
    assert "rising" not in bench.played
    assert "three" not in bench.played
    bench.rest()  # there is room: it is read from the journal
    bench.sent()
    bench.ack(minted[-1], "stored")
    assert bench.lamp() == "sent"
    assert bench.played[-1] == "rising"


def test_events_are_bounded_and_what_was_dropped_is_told():
    bench = Bench()
    for at in range(MAX_EVENTS + 5):
        bench.device.fault("f%d" % at, "x", bench.now_ms)
    bench.connect()
    events = only(bench.sent(), "event")
    assert len(events) == MAX_EVENTS
    assert bench.device.outbox.dropped == 5
    for event in events:
        bench.ack((event["b"], event["n"]), "stored")
    bench.sample(False)
    assert [(event["k"], event["count"]) for event in only(bench.sent(), "event")] == [("dropped", 5)]


def test_a_silent_press_shows_and_sounds_nothing():
    bench = Bench(silent=True)
    bench.connect()
    bench.sent()
    bench.alive()
    press = bench.press()
    assert only(bench.sent(), "alert")[0]["silent"] == 1
    for result in ("stored", "answered", "closed"):
        bench.ack(press, result)
        assert bench.lamp() == "in-service"
        assert bench.played == []


def test_what_is_wrong_at_a_silent_input_is_told_and_not_shown():
    bench = Bench(silent=True)
    bench.connect()
    bench.sent()
    bench.alive()
    bench.rest()
    bench.sample(True, edge=True)
    for at in range(6200):
        bench.sample(True)
        if at % 1500 == 0 and at < 6000:
            bench.sent()
            bench.alive()
        assert bench.lamp() == "in-service"
    assert [event["k"] for event in only(bench.sent(), "event")] == ["stuck"]
    bench.flash_works = False
    refused = bench.press()
    assert [event["k"] for event in only(bench.sent(), "event") if event["try"] == 1] == ["released", "fault"]
    bench.press()
    assert only(bench.sent(), "event") == [], "told once"
    bench.ack(refused, "refused")
    assert bench.lamp() == "in-service"
    assert bench.played == []


def test_a_fault_that_a_silent_press_found_first_is_shown_when_another_finds_it():
    bench = in_service()
    bench.flash_works = False
    bench.ack(bench.press(1), "closed")
    assert bench.lamp() == "in-service"
    bench.ack(bench.press(0), "closed")
    assert bench.lamp() == "fault"
    bench.flash_works = True
    bench.ack(bench.press(1), "closed")
    assert bench.lamp() == "fault", "a silent press puts no lamp out either"
    bench.ack(bench.press(0), "closed")
    assert bench.lamp() == "in-service"


def test_silent_presses_after_another_leave_it_its_lamp_and_its_sounds():
    bench = in_service()
    press = bench.press()
    bench.ack(press, "stored")
    hushed = [bench.press(1) for _ in range(MAX_PENDING + 2)]  # the last ones wait in the journal
    assert bench.lamp() == "sent"
    for name in hushed:
        bench.rest()
        bench.ack(name, "stored")
        assert bench.lamp() == "sent"
    bench.ack(press, "answered")
    assert bench.lamp() == "answered"
    assert bench.played == ["chirp", "rising", "three"]


def test_a_press_behind_silent_ones_in_the_journal_is_shown():
    bench = in_service()
    hushed = [bench.press(1) for _ in range(MAX_PENDING)]
    press = bench.press()
    assert bench.lamp() == "sending"
    for name in hushed:
        bench.ack(name, "stored")
    bench.rest()
    bench.ack(press, "stored")
    assert bench.lamp() == "sent"
    assert bench.played == ["chirp", "rising"]


def test_without_credentials_presses_are_kept_and_a_fault_is_shown():
    bench = Bench(credentials=False)
    bench.now_ms += 5000
    assert bench.lamp() == "fault"
    bench.press()
    assert list(bench.journal.values()) == ["p"]
    assert bench.lamp() == "sending"
    assert bench.device.due(READINGS, 0, bench.now_ms) is None


def test_no_network_is_shown_after_three_seconds_and_after_ninety_without_an_answer():
    bench = in_service()
    bench.drop()
    bench.now_ms += 2000
    assert bench.lamp() == "in-service"
    bench.now_ms += 1000
    assert bench.lamp() == "no-network"
    bench.connect()
    assert bench.lamp() == "in-service"
    bench.now_ms += 90000
    assert bench.lamp() == "no-network"


def test_the_clock_is_set_by_signed_acks_only_and_told():
    bench = in_service()
    assert bench.device.wall.quality == "gw"
    assert bench.device.wall.epoch_s(bench.now_ms) == 1790000000
    bench.hear({"v": 1, "re": "9-9", "r": "stored", "e": 1, "t": 1500000000})
    assert bench.device.wall.epoch_s(bench.now_ms) == 1790000000


def test_a_stuck_contact_is_a_fault_and_still_one_press():
    bench = in_service()
    bench.sample(True, edge=True)
    for _ in range(6200):
        bench.sample(True)
    sent = bench.sent()
    assert len(only(sent, "alert")) == 1
    assert [(event["k"], event["in"]) for event in only(sent, "event")] == [("stuck", "call")]
    bench.ack((7, only(sent, "alert")[0]["n"]), "closed")
    assert bench.lamp() == "fault"
    bench.rest()
    assert [event["k"] for event in only(bench.sent(), "event") if event["try"] == 1] == ["lamp", "released"]
    assert "call" not in bench.device.faults


def test_the_second_ack_of_an_event_is_nothing_to_report():
    bench = in_service()
    bench.ack(bench.press(), "stored")
    (event,) = only(bench.sent(), "event")
    for _ in range(2):
        bench.hear({"v": 1, "re": messages.signal_id(7, event["n"]), "r": "stored"})
    assert bench.device.rejected == 0
    bench.hear({"v": 1, "re": messages.signal_id(7, event["n"] + 1), "r": "stored"})
    bench.hear({"v": 1, "re": messages.signal_id(6, event["n"]), "r": "stored"})
    assert bench.device.rejected == 2, "never minted, or of another boot"
