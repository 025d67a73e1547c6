"""Seeded random histories on the real store, both databases; the same invariants as the pure engine's."""

from collections.abc import Callable

import pytest
from store_history import run_history

SEEDS = 25  # of each database; those of PostgreSQL are others


@pytest.mark.parametrize("first", range(0, SEEDS, 5))
def test_invariants_hold_on_the_real_store(new_database: Callable[[], str], database_kind: str, first: int) -> None:
    start = 0 if database_kind == "sqlite" else SEEDS
    for seed in range(start + first, start + first + 5):
        figures = run_history(new_database(), seed)
        assert figures["violations"] == [], f"seed {seed}"
        assert figures["alerts"], f"seed {seed}: nothing happened in it"
