"""The gateway's decisions, as pure functions: lanes, batches, retries, beats, disk."""

import random

import pytest
from tocsin_gateway import forwarding
from tocsin_gateway.forwarding import (
    ALERT,
    ANSWERED,
    ASIDE_MAX_MS,
    BACKOFF_FIRST_MS,
    BACKOFF_LEAST_MS,
    BACKOFF_MAX_MS,
    BATCH_BYTES_MAX,
    BATCH_MAX,
    BUSY,
    CONSEQUENCES,
    FLOWING,
    LOCKED,
    LOCKED_OUT,
    REJECTED,
    REST,
    SLOW,
    UNREACHABLE,
    WAITING,
    Backlog,
    backoff_ms,
    bounded,
    fold,
    lane_of,
    may_pass_down,
    outcome_of,
)
from tocsin_wire.limits import MAX_RECEIVED


def filled(count, lane=REST, size=300):
    backlog = Backlog(lane)
    for identity in range(1, count + 1):
        backlog.add(identity, size, 0)
    return backlog


def test_only_alerts_take_the_alert_lane():
    assert lane_of("tocsin/1/demo/bau-1/alert") == ALERT
    for topic in ("tocsin/1/demo/bau-1/event", "tocsin/1/demo/bau-1/state", "tocsin/1/demo/bau-1/alerts", "", "alert"):
        assert lane_of(topic) == REST


def test_what_is_too_long_is_kept_long_enough_to_be_refused():
    topic, frame, cut = bounded("t" * 5000, b"x" * 1_000_000)
    assert len(topic) == forwarding.TOPIC_KEPT
    assert len(frame) == MAX_RECEIVED + 1
    assert cut == 1_000_000 - MAX_RECEIVED - 1
    assert bounded("t", b"x" * MAX_RECEIVED) == ("t", b"x" * MAX_RECEIVED, 0)


@pytest.mark.parametrize(
    ("topic", "passes"),
    [
        ("tocsin/1/demo/bau-1/ack", True),
        ("tocsin/1/demo/bau-1/cmd", True),
        ("tocsin/1/demo/bau-1/config", True),
        ("tocsin/1/other/bau-1/ack", False),
        ("tocsin/1/demo/bau-1/alert", False),
        ("tocsin/1/demo/+/ack", False),
        ("tocsin/1/demo/_gw/gw-1/state", False),
        ("$SYS/broker", False),
        ("", False),
    ],
)
def test_the_backend_may_have_us_publish_down_topics_of_our_organisation_only(topic, passes):
    assert may_pass_down("demo", topic) is passes


def test_every_status_has_an_outcome_and_every_outcome_a_consequence():
    expected = {200: ANSWERED, 429: BUSY, 503: BUSY, 401: LOCKED, 403: LOCKED}
    for status in range(100, 600):
        assert outcome_of(status) == expected.get(status, REJECTED)
    assert set(CONSEQUENCES) == {ANSWERED, BUSY, LOCKED, UNREACHABLE, SLOW, REJECTED}
    assert {outcome: (row.state, row.divide) for outcome, row in CONSEQUENCES.items()} == {
        ANSWERED: (FLOWING, 0),
        BUSY: (WAITING, 1),
        LOCKED: (LOCKED_OUT, 1),
        UNREACHABLE: (WAITING, 1),
        SLOW: (WAITING, 4),
        REJECTED: (WAITING, 2),
    }


def test_full_jitter_grows_to_its_ceiling_and_never_spins():
    assert backoff_ms(0, 5_000, 0.999) == 99
    assert backoff_ms(3, 5_000, 0.5) == BACKOFF_FIRST_MS * 4
    assert backoff_ms(50, 5_000, 0.999) == 4_995
    assert backoff_ms(10**6, 5_000, 0.0) == BACKOFF_LEAST_MS


def test_the_oldest_go_first_and_no_more_than_a_batch():
    backlog = filled(BATCH_MAX + 7)
    assert backlog.take(0) == list(range(1, BATCH_MAX + 1))
    backlog.answered(range(1, BATCH_MAX + 1), 0, 0.5)
    assert backlog.take(0) == list(range(BATCH_MAX + 1, BATCH_MAX + 8))


def test_a_batch_is_bounded_in_bytes_too():
    backlog = filled(100, size=BATCH_BYTES_MAX // 3)
    assert len(backlog.take(0)) == 3
    huge = filled(2, size=BATCH_BYTES_MAX * 2)
    assert huge.take(0) == [1]


def test_a_lone_press_is_taken_at_once():
    backlog = Backlog(ALERT)
    assert backlog.wait_ms(5) is None
    backlog.add(1, 300, 5)
    assert backlog.wait_ms(5) == 0
    assert backlog.take(5) == [1]
    assert backlog.wait_ms(5) is None


def test_what_failed_waits_in_its_old_place():
    backlog = filled(3)
    assert backlog.take(0) == [1, 2, 3]
    backlog.add(4, 300, 0)
    backlog.failed(UNREACHABLE, 0, 0.9)
    assert backlog.take(0) == []
    assert backlog.wait_ms(0) == 90
    assert backlog.take(90) == [1, 2, 3, 4]


def test_a_slow_line_gets_smaller_batches_and_bigger_ones_again():
    backlog = filled(600)
    assert len(backlog.take(0)) == 500
    backlog.failed(SLOW, 0, 0.0)
    assert len(backlog.take(1_000)) == 125
    backlog.failed(SLOW, 1_000, 0.0)
    first = backlog.take(2_000)
    assert len(first) == 31
    backlog.answered(first, 2_000, 0.0)
    assert len(backlog.take(2_000)) == 62


def test_the_backends_own_span_is_respected_up_to_our_ceiling():
    backlog = filled(1, lane=ALERT)
    backlog.take(0)
    backlog.failed(BUSY, 0, 0.0, not_before_ms=3_000)
    assert backlog.wait_ms(0) == 3_000
    backlog.take(3_000)
    backlog.failed(BUSY, 3_000, 0.0, not_before_ms=3_600_000)
    assert backlog.wait_ms(3_000) == BACKOFF_MAX_MS[ALERT]


def test_a_new_press_cuts_a_wait_short_and_a_new_event_does_not():
    for lane, wait_ms in ((ALERT, forwarding.HURRY_AFTER_MS - 100), (REST, 400)):
        backlog = filled(1, lane=lane)
        for _ in range(3):
            backlog.take(backlog.due_ms)
            backlog.failed(UNREACHABLE, 0, 0.999)
        backlog.due_ms = 500
        backlog.add(2, 300, 100)
        assert backlog.wait_ms(100) == wait_ms


def test_one_that_the_backend_chokes_on_is_isolated_and_the_others_pass():
    poison, passed, now_ms = 7, set(), 0
    backlog = filled(20)
    for _ in range(200):
        now_ms += backlog.wait_ms(now_ms) or 0
        chosen = backlog.take(now_ms)
        if poison in chosen:
            backlog.failed(REJECTED, now_ms, 0.5)
        else:
            passed.update(chosen)
            backlog.answered(chosen, now_ms, 0.5)
        if len(passed) == 19:
            break
    assert passed == set(range(1, 21)) - {poison}
    assert now_ms < 10_000
    assert len(backlog) == 1
    backlog.add(21, 300, now_ms)
    now_ms += backlog.wait_ms(now_ms)
    assert backlog.take(now_ms) == [21]
    backlog.answered([21], now_ms, 0.5)
    now_ms += backlog.wait_ms(now_ms)
    assert backlog.take(now_ms) == [poison]
    backlog.answered([poison], now_ms, 0.5)
    assert len(backlog) == 0


def test_an_answer_with_holes_leaves_the_rest_waiting():
    backlog = filled(3)
    backlog.take(0)
    backlog.answered([1, 3], 0, 0.5)
    assert (backlog.state, list(backlog.aside)) == (WAITING, [2])


@pytest.mark.parametrize("seed", range(20))
def test_no_history_loses_or_repeats_an_id(seed):
    """Random arrivals, answers and failures: every id is answered exactly once in the end, whatever happened."""
    chance = random.Random(seed)
    backlog, now_ms, next_id, answered = Backlog(chance.choice((ALERT, REST))), 0, 1, []
    for _ in range(400):
        now_ms += chance.randrange(200)
        for _ in range(chance.randrange(4)):
            backlog.add(next_id, chance.randrange(1, 1_000), now_ms)
            next_id += 1
        chosen = backlog.take(now_ms)
        if not chosen:
            assert backlog.wait_ms(now_ms) != 0
        elif chance.random() < 0.4:
            backlog.failed(chance.choice([BUSY, LOCKED, UNREACHABLE, SLOW, REJECTED]), now_ms, chance.random())
        else:
            some = chosen if chance.random() < 0.8 else chance.sample(chosen, chance.randrange(len(chosen) + 1))
            answered += some
            backlog.answered(some, now_ms, chance.random())
        assert not backlog.under_way
        assert backlog.due_ms <= now_ms + max(BACKOFF_MAX_MS.values())
        assert not set(backlog.waiting) & set(backlog.aside)
        assert len(backlog) + len(answered) == next_id - 1
    while len(backlog):
        now_ms += backlog.wait_ms(now_ms)
        chosen = backlog.take(now_ms)
        assert chosen
        answered += chosen
        backlog.answered(chosen, now_ms, 0.5)
    assert sorted(answered) == list(range(1, next_id))
    assert now_ms < 400 * 200 + ASIDE_MAX_MS[REST] * 10


def test_only_the_newest_beat_of_a_device_travels_with_its_count():
    beats = [("a", b"1", 10), ("b", b"2", 11), ("a", b"3", 12), ("a", b"4", 13)]
    assert [(beat.topic, beat.frame, beat.at_ms, beat.count) for beat in fold(beats)] == [
        ("a", b"4", 13, 3),
        ("b", b"2", 11, 1),
    ]
    assert [len(part) for part in forwarding.portions(fold((str(n), b"", 0) for n in range(120)), 50)] == [50, 50, 20]


def test_beats_are_the_first_to_go_when_the_disk_is_short():
    assert set(forwarding.STORAGE_AFTER.values()) == set(forwarding.STORAGE)
    assert [state for state in forwarding.STORAGE if forwarding.beats_pass(state)] == [forwarding.SOUND]
