"""Seeded random histories of the pure engine: the invariants hold after every event."""

import pytest
from history_world import run, run_history

SEEDS = range(200)


@pytest.mark.parametrize("first", range(0, len(SEEDS), 25))
def test_invariants_hold_after_every_event_of_a_history(first: int) -> None:
    for seed in SEEDS[first : first + 25]:
        found = run(seed)
        assert not found, f"seed {seed}: {found}"


def test_a_history_is_the_same_each_time_and_says_what_was_in_it() -> None:
    figures = run_history(7)
    assert figures == run_history(7)
    assert figures["violations"] == []
    assert {"seed", "events", "alerts", "dispatches"} < set(figures)
