"""Throttle of logins: slows guessing, locks nobody out (S13)."""

from tocsin_backend.accounts import Throttle

T0 = 1_700_000_000_000


def fail(throttle, times, login="alice", address="10.0.0.1", at_ms=T0):
    for _ in range(times):
        throttle.failed(login, address, at_ms)


def test_four_failures_cost_nothing_and_the_fifth_a_second():
    throttle = Throttle()
    fail(throttle, 4)
    assert throttle.wait_ms("alice", "10.0.0.1", T0) == 0
    fail(throttle, 1)
    assert throttle.wait_ms("alice", "10.0.0.1", T0) == 1000
    assert throttle.wait_ms("alice", "10.0.0.1", T0 + 1000) == 0


def test_the_wait_doubles_up_to_a_minute():
    throttle = Throttle()
    waits = []
    for _ in range(12):
        throttle.failed("alice", "10.0.0.1", T0)
        waits.append(throttle.wait_ms("alice", "10.0.0.1", T0))
    assert waits == [0, 0, 0, 0, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]


def test_who_guesses_elsewhere_does_not_lock_the_owner_out():
    throttle = Throttle()
    for guesser in range(200):
        fail(throttle, 20, address=f"203.0.113.{guesser}")
    assert throttle.wait_ms("alice", "10.0.0.1", T0) == 0


def test_one_address_that_tries_many_logins_waits_too():
    throttle = Throttle()
    for number in range(30):
        throttle.failed(f"user-{number}", "203.0.113.1", T0)
    assert throttle.wait_ms("somebody-else", "203.0.113.1", T0) == 1000


def test_success_clears_and_time_forgets():
    throttle = Throttle()
    fail(throttle, 8)
    throttle.succeeded("alice", "10.0.0.1")
    assert throttle.wait_ms("alice", "10.0.0.1", T0) == 0
    fail(throttle, 8)
    fail(throttle, 1, at_ms=T0 + Throttle.FORGET_MS + 1)
    assert throttle.wait_ms("alice", "10.0.0.1", T0 + Throttle.FORGET_MS + 1) == 0


def test_a_clock_set_back_does_not_prolong_a_wait():
    throttle = Throttle()
    fail(throttle, 6)
    assert throttle.wait_ms("alice", "10.0.0.1", T0 - 3_600_000) == Throttle.WAIT_MS_MAX


def test_memory_is_bounded():
    throttle = Throttle()
    for number in range(Throttle.ENTRIES_MAX + 100):
        throttle.failed(f"user-{number}", f"address-{number}", T0)
    assert len(throttle._failures) == Throttle.ENTRIES_MAX


def test_a_login_that_is_at_home_at_an_address_is_not_held_up_by_its_neighbours():
    throttle = Throttle()
    throttle.succeeded("alice", "10.0.0.1")
    for number in range(60):
        throttle.failed(f"user-{number}", "10.0.0.1", T0)
    assert throttle.wait_ms("alice", "10.0.0.1", T0) == 0
    assert throttle.wait_ms("bob", "10.0.0.1", T0) > 0
    assert throttle.wait_ms("alice", "10.0.0.2", T0) == 0
    fail(throttle, 6)
    assert throttle.wait_ms("alice", "10.0.0.1", T0) == 2000, "its own failures still count"


def test_ipv6_addresses_are_counted_by_their_64():
    throttle = Throttle()
    for number in range(30):
        throttle.failed(f"user-{number}", f"2001:db8:0:1::{number:x}", T0)
    assert throttle.wait_ms("bob", "2001:db8:0:1:ffff::1", T0) == 1000
    assert throttle.wait_ms("bob", "2001:db8:0:2::1", T0) == 0
    fail(throttle, 5, address="::ffff:10.0.0.9")
    assert throttle.wait_ms("alice", "10.0.0.9", T0) == 1000


def test_memory_of_who_is_at_home_is_bounded():
    throttle = Throttle()
    for number in range(Throttle.ENTRIES_MAX + 100):
        throttle.succeeded(f"user-{number}", "10.0.0.1")
    assert len(throttle._at_home) == Throttle.ENTRIES_MAX
