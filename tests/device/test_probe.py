"""The post's own test press: when, how often, what its acks prove, and what it never disturbs."""

from device_bench import Bench
from tocsin_device.probe import FAILED_MS, FIRST_MS, FIRST_SPREAD_MS, LONGEST_MS, Probe, slot_of

DAY = 86400000


def probes(sent):
    return [message for channel, message in sent if channel == "alert" and message["k"] == "probe"]


def lamps(sent):
    return [message for channel, message in sent if channel == "event" and message["k"] == "lamp"]


def in_service(period=DAY):
    bench = Bench(probe_period_ms=period)
    bench.rest()
    bench.connect()
    bench.sent()
    bench.alive()
    bench.order = []
    return bench


def first_probe(bench):
    bench.now_ms = FIRST_MS + FIRST_SPREAD_MS
    (probe,) = probes(bench.sent())
    return probe


def test_a_probe_goes_the_way_of_a_press_and_moves_no_lamp():
    bench = in_service()
    assert probes(bench.sent()) == []
    probe = first_probe(bench)
    assert (probe["b"], probe["k"], probe["in"], probe["held"], probe["try"]) == (7, "probe", "call", 0, 1)
    shown = bench.lamp()
    bench.now_ms += 30
    bench.ack((7, probe["n"]), "stored")
    (lamp,) = lamps(bench.sent())
    assert (lamp["re"], lamp["r"], lamp["e"], lamp["lat"]) == ("7-%d" % probe["n"], "stored", 1, 30)
    bench.now_ms += 70
    bench.ack((7, probe["n"]), "closed")
    (lamp,) = lamps(bench.sent())
    assert (lamp["r"], lamp["lat"]) == ("closed", 100)
    assert bench.lamp() == shown
    assert bench.played == []
    assert bench.journal == {}
    assert (bench.device.probe.good, bench.device.rejected) == (1, 0)


def test_an_answer_that_is_already_closed_is_good_too():
    bench = in_service()
    probe = first_probe(bench)
    bench.ack((7, probe["n"]), "closed")
    assert [event["r"] for event in lamps(bench.sent())] == ["closed"]
    assert bench.device.probe.good == 1


def test_the_next_one_is_at_the_posts_own_instant_and_never_more_than_a_period_ahead():
    bench = in_service()
    probe = first_probe(bench)
    bench.ack((7, probe["n"]), "stored")
    began = bench.now_ms
    instants = []
    while len(instants) < 3:
        bench.now_ms += 60000
        bench.order = []
        for found in probes(bench.sent()):
            instants.append(bench.now_ms)
            bench.ack((7, found["n"]), "stored")
        assert bench.now_ms - began < 4 * DAY
    assert instants[0] - began <= DAY + 60000
    slot = slot_of("post-1")
    for at_ms in instants[1:]:
        away = (bench.device.wall.epoch_s(at_ms) * 1000 - slot) % DAY
        assert away < 120000 or away > DAY - 2000, away
    assert instants[2] - instants[1] <= DAY + 60000


def test_posts_are_spread_and_a_boot_is_not_a_stampede():
    slots = sorted([slot_of("bau-%d" % number) % DAY for number in range(200)])
    assert max([slots[at + 1] - slots[at] for at in range(199)]) < DAY // 20
    firsts = set()
    for number in range(50):
        probe = Probe("bau-%d" % number, DAY)
        assert not probe.wants(number * 20, FIRST_MS - 1)
        at_ms = FIRST_MS
        while not probe.wants(0, at_ms):
            at_ms += 60000
            assert at_ms <= FIRST_MS + FIRST_SPREAD_MS + 60000
        firsts.add(at_ms)
    assert len(firsts) > 20


def test_the_period_is_three_days_at_most_and_none_is_none():
    assert Probe("a", 10 * DAY).period_ms == LONGEST_MS
    bench = in_service(0)
    bench.now_ms += 3 * DAY
    assert probes(bench.sent()) == []


def test_never_while_a_press_is_in_flight():
    bench = in_service()
    bench.now_ms = FIRST_MS + FIRST_SPREAD_MS
    press = bench.press()
    assert [message["k"] for channel, message in bench.sent() if channel == "alert"] == ["press"]
    bench.now_ms += 20000
    assert probes(bench.sent()) == []
    bench.ack(press, "stored")
    assert len(probes(bench.sent())) == 1


def test_a_press_overtakes_a_probe_that_waits():
    bench = in_service()
    first_probe(bench)
    press = bench.press()
    bench.now_ms += 2000
    sent = [message["k"] for channel, message in bench.sent() if channel == "alert"]
    assert sent[0] == "press"
    assert bench.lamp() == "sending"
    bench.ack(press, "stored")
    assert bench.lamp() == "sent"


def test_unacknowledged_it_is_repeated_then_a_fault_until_it_comes_through():
    bench = in_service()
    probe = first_probe(bench)
    began = bench.now_ms
    tries = 1
    while bench.now_ms - began < FAILED_MS - 10000:
        bench.now_ms += 500
        bench.sample(False)
        for again in probes(bench.sent()):
            assert (again["n"], again["try"]) == (probe["n"], tries + 1)
            tries += 1
    assert tries > 50
    assert "probe" not in bench.device.faults
    bench.now_ms += 20000
    bench.sample(False)
    told = [message for channel, message in bench.sent() if channel == "event" and message["k"] == "fault"]
    assert [event["txt"] for event in told] == ["probe: not acknowledged"]
    assert bench.lamp() == "fault"
    bench.now_ms += 60000
    bench.sample(False)
    assert [event for _, event in bench.sent() if event.get("k") == "fault" and event["try"] == 1] == []
    bench.ack((7, probe["n"]), "stored")
    bench.alive()
    assert bench.lamp() == "in-service"
    assert bench.device.probe.good == 1


def test_a_network_that_is_away_is_no_failed_probe():
    bench = in_service()
    first_probe(bench)
    bench.drop()
    bench.now_ms += 2 * FAILED_MS
    bench.sample(False)
    bench.connect()
    bench.sample(False)
    assert "probe" not in bench.device.faults
    assert len(probes(bench.sent())) == 1


def test_a_refused_one_is_made_anew_under_its_own_number():
    bench = in_service()
    probe = first_probe(bench)
    bench.ack((7, probe["n"]), "refused", why="reused")
    assert probes(bench.sent()) == []
    bench.now_ms += FAILED_MS
    (again,) = probes(bench.sent())
    assert again["n"] > probe["n"]
    assert again["try"] == 1


def test_an_answered_probe_is_refused():
    bench = in_service()
    probe = first_probe(bench)
    bench.ack((7, probe["n"]), "answered")
    assert bench.device.rejected == 1
    assert bench.device.probe.good == 0
