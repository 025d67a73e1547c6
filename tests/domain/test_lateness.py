"""What is counted as late, and when lateness is said."""

from tocsin_backend.domain import lateness
from tocsin_backend.domain.lateness import Alarm, Tally


def test_a_tally_counts_what_is_over_two_seconds():
    tally = Tally()
    for late_ms in (0, 40, 2_000, 2_001, 9_000):
        tally = tally.plus(late_ms)
    assert tally == Tally(served=5, over=2, total_ms=13_041, max_ms=9_000)
    assert tally.with_all(Tally(1, 1, 10_000, 10_000)) == Tally(6, 3, 23_041, 10_000)


def test_what_was_due_while_no_engine_ran_is_counted_apart_and_alarms_nobody():
    started_ms = 1_000_000
    assert lateness.name("alert", started_ms - 1, started_ms) == "alert-restart"
    assert lateness.name("alert", started_ms, started_ms) == "alert"
    assert not lateness.is_alarming("alert-restart", 3_600_000)
    assert lateness.is_alarming("alert", 2_001)
    assert not lateness.is_alarming("alert", 2_000)


def test_lateness_is_said_once_a_minute_and_cleared_after_ten_quiet_ones():
    assert Alarm(seen_ms=5).is_to_say(5)
    said = Alarm(seen_ms=90_000, said_ms=60_000)
    assert not said.is_to_say(119_999)
    assert said.is_to_say(120_000)
    assert not said.is_quiet(689_999)
    assert said.is_quiet(690_000)


def test_a_timer_name_fits_its_column():
    assert all(len(name + lateness.AFTER_RESTART) <= 32 for name in lateness.TIMERS)
