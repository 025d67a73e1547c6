"""When to connect, ping and give up."""

from device_bench import Dice
from tocsin_device.heart import Heart
from tocsin_device.link import Link
from tocsin_device.wall import Wall


def opened(now_ms=0):
    link = Link(30)
    assert link.wants(False, 0, now_ms)
    link.opened(now_ms)
    return link


def failed(link, jitter, now_ms):
    assert link.wants(False, 0, now_ms)
    link.closed(jitter, now_ms)


def test_the_window_doubles_to_a_minute_and_the_draw_is_from_all_of_it():
    link = Link(30)
    now_ms = 0
    waits = []
    for _ in range(14):
        failed(link, 999, now_ms)
        start_ms = now_ms
        while not link.wants(False, 0, now_ms):
            now_ms += 1
        waits.append(now_ms - start_ms)
        link.closed(0, now_ms)
    assert waits[0] == 99
    assert max(waits) == 59940
    link = Link(30)
    failed(link, 0, 0)
    assert link.wants(False, 0, 0)


def test_only_a_minute_of_session_forgets_the_failures():
    link = Link(30)
    for at in range(10):
        failed(link, 0, at)
    assert link.wants(False, 0, 100)
    link.opened(100)
    link.closed(999, 100 + 59999)
    assert not link.wants(False, 0, 60099 + 1000)
    link = opened()
    link.closed(999, 60000)
    assert link.wants(False, 0, 60100)


def test_an_unsent_alert_connects_at_once_and_then_at_most_two_seconds_apart():
    link = Link(30)
    for at in range(12):
        failed(link, 0, at)
    assert link.wants(False, 0, 100)
    link.closed(999, 100)
    assert not link.wants(False, 0, 10000)
    assert link.wants(True, 0, 10001)
    link.closed(999, 10001)
    assert not link.wants(True, 0, 10002)
    assert link.wants(True, 0, 12001)


def test_a_session_lost_with_an_alert_unsent_is_taken_up_at_once():
    link = opened()
    link.step(True, None, 70000)
    link.closed(999, 70000)
    assert link.wants(True, 0, 70100)


def test_pings_after_a_third_of_the_keepalive_or_two_seconds_when_an_alert_waits():
    link = opened()
    assert link.step(False, None, 9999) == ""
    assert link.step(False, None, 10000) == "ping"
    assert link.step(False, None, 10001) == ""
    link.heard(10500)
    assert link.step(True, None, 12499) == ""
    assert link.step(True, None, 12500) == "ping"


def test_five_seconds_without_an_answer_is_the_end():
    link = opened()
    assert link.step(False, None, 10000) == "ping"
    link.heard(0)  # nothing new: the answer to the ping is still out
    assert link.step(False, None, 14999) == ""
    assert link.step(False, None, 15000) == "dead"
    link = opened()
    assert link.step(True, 1000, 5999) in ("", "ping")
    assert link.step(True, 1000, 6000) == "dead"


def test_a_number_is_never_used_for_two_connections():
    link = Link(30)
    numbers = []
    for at in range(20):
        assert link.wants(False, 0, at * 100000)
        numbers.append(link.number)
        link.closed(0, at * 100000)
    assert numbers == list(range(1, 21))


def test_how_long_it_has_been_down():
    link = opened()
    assert link.down_for_ms(50000) == 0
    link.closed(0, 50000)
    assert link.down_for_ms(53000) == 3000
    assert link.wants(False, 0, 53000)
    assert link.down_for_ms(54000) == 4000


def test_beats_come_each_period_the_second_early_and_a_late_one_is_skipped():
    heart = Heart(30000)
    heart.opened("7.1", 1000)
    assert heart.beat(400, 1000)
    assert not heart.beat(400, 1000 + 17999)
    assert heart.beat(400, 19000)
    assert not heart.beat(400, 48999)
    assert heart.beat(400, 200000)
    assert not heart.beat(400, 200001)
    assert heart.number == 3


def test_in_service_for_ninety_seconds_after_an_ack_of_this_sessions_beat():
    heart = Heart(30000)
    heart.opened("7.1", 0)
    assert not heart.in_service(0)
    heart.beat(0, 0)
    assert not heart.alive("7.0", 1, 10)
    assert not heart.alive("7.1", 2, 10)
    assert heart.alive("7.1", 1, 10)
    assert not heart.alive("7.1", 1, 20), "a replayed one"
    assert heart.in_service(90009)
    assert not heart.in_service(90010)


def test_the_wall_clock_follows_its_anchor():
    wall = Wall()
    assert wall.epoch_s(5000) == 0
    wall.set(1790000000, "gw", 5000)
    assert wall.epoch_s(5999) == 1790000000
    assert wall.epoch_s(65000) == 1790000060
    wall.set(1790000060, "gw", 65400)
    assert wall.epoch_s(66000) == 1790000061, "half a second is no reason to move"
    wall.set(1790000000, "gw", 65000)
    assert wall.epoch_s(65000) == 1790000000


def test_no_history_of_a_link_raises():
    dice = Dice(5)
    link = Link(30)
    now_ms = 0
    for _ in range(20000):
        now_ms += dice.below(3000)
        unsent = dice.chance(30)
        if link.state == "waiting":
            link.wants(unsent, dice.below(1000), now_ms)
        elif link.state == "connecting":
            if dice.chance(50):
                link.opened(now_ms)
            else:
                link.closed(dice.below(1000), now_ms)
        elif link.step(unsent, now_ms - dice.below(7000) if dice.chance(20) else None, now_ms) == "dead":
            link.closed(dice.below(1000), now_ms)
        elif dice.chance(80):
            link.heard(now_ms)
    assert link.number > 100
