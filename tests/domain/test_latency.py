from tocsin_backend.domain import latency


def test_the_ledger_needs_no_common_clock() -> None:
    ledger = latency.opened(age_ms=40, received_ms=1_000, held_ms=1_001, stored_ms=1_004)
    assert latency.hops(ledger) == [("contact", 0), ("published", 40), ("received", 40), ("held", 41), ("stored", 44)]


def test_a_gateway_whose_clock_is_ahead_does_not_store_before_it_received() -> None:
    ledger = latency.opened(40, received_ms=9_000, held_ms=8_000, stored_ms=1_000)
    assert (ledger.contact_ms, ledger.received_ms, ledger.held_ms) == (960, 1_000, 1_000)
    assert latency.opened(2**53, 10**13, 10**13, 10**13).contact_ms > 0


def test_a_press_sent_while_it_was_being_committed_is_held_when_it_is_stored():
    ledger = latency.opened(40, received_ms=1_000, held_ms=0, stored_ms=1_004)
    assert (ledger.received_ms, ledger.held_ms, ledger.stored_ms) == (1_000, 1_004, 1_004)


def test_a_lamp_is_timed_by_the_post_or_by_its_word() -> None:
    assert latency.lamp_ms(1_000, 85, 5_000) == 1_085
    assert latency.lamp_ms(1_000, -1, 5_000) == 5_000


def test_percentiles_are_nearest_rank() -> None:
    assert latency.summary([]) == {"n": 0}
    assert latency.summary(range(1, 101)) == {"n": 100, "p50": 50, "p95": 95, "p99": 99, "max": 100}
    assert latency.summary([7]) == {"n": 1, "p50": 7, "p95": 7, "p99": 7, "max": 7}
