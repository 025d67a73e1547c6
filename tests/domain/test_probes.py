"""When a probe must have come, and when one is overdue."""

import pytest
from tocsin_backend.domain import probes
from tocsin_backend.domain.probes import DAY_MS, EVERY_MAX_MS, GRACE_MS, Probed

NOW = 1_764_000_000_000
NEVER = Probed(DAY_MS, None, None)


def test_a_post_that_sent_none_is_never_overdue() -> None:
    assert not probes.is_overdue(NEVER, NOW + 100 * DAY_MS)


def test_the_first_one_begins_the_watch_and_only_the_first() -> None:
    known = probes.began(NEVER, NOW)
    assert known == Probed(DAY_MS, None, NOW + DAY_MS + GRACE_MS)
    assert known is not None
    assert probes.began(known, NOW + 5) is None
    assert not probes.is_overdue(known, NOW + DAY_MS)
    assert probes.is_overdue(known, NOW + DAY_MS + GRACE_MS), "it never went the whole way"


def test_a_good_one_moves_the_instant_and_an_old_one_moves_nothing_back() -> None:
    known = probes.good(NEVER, NOW - 10, NOW)
    assert known == Probed(DAY_MS, NOW - 10, NOW - 10 + DAY_MS + GRACE_MS)
    assert probes.good(known, NOW - DAY_MS, NOW + 5) == known
    later = probes.good(known, NOW + DAY_MS, NOW + DAY_MS)
    assert (later.last_ms, later.by_ms) == (NOW + DAY_MS, NOW + 2 * DAY_MS + GRACE_MS)
    assert probes.good(NEVER, NOW + 99 * DAY_MS, NOW).by_ms == NOW + DAY_MS + GRACE_MS, "a clock that ran ahead"


def test_an_overdue_one_is_told_once_a_period_and_a_lost_post_is_watched_on() -> None:
    known = Probed(DAY_MS, NOW - 2 * DAY_MS, NOW)
    assert probes.is_overdue(known, NOW)
    assert probes.looked_again(known, False, NOW).by_ms == NOW + DAY_MS
    assert probes.looked_again(known, True, NOW).by_ms == NOW + GRACE_MS
    assert probes.is_overdue(probes.looked_again(known, False, NOW), NOW + 1), "told is not mended"


@pytest.mark.parametrize(
    ("every_ms", "good"), [(60_000, True), (EVERY_MAX_MS, True), (59_999, False), (EVERY_MAX_MS + 1, False)]
)
def test_a_period_is_at_most_three_days(every_ms: int, good: bool) -> None:
    assert (probes.fault_of(every_ms) == "") is good
