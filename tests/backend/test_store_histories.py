"""Seeded random histories on the real store, both databases; the same invariants as the pure engine's."""

from collections.abc import Callable

import pytest
from store_history import run_history

SEEDS = {"sqlite": range(200), "postgresql": range(1_000, 1_015)}  # 0.5 s each, and 1.5 s; `make soak` does more
PARTS = 20  # they run side by side


@pytest.mark.parametrize("part", range(PARTS))
def test_invariants_hold_on_the_real_store(new_database: Callable[[], str], database_kind: str, part: int) -> None:
    for seed in SEEDS[database_kind][part::PARTS]:
        figures = run_history(new_database(), seed)
        assert figures["violations"] == [], f"seed {seed}"
        assert figures["alerts"], f"seed {seed}: nothing happened in it"
