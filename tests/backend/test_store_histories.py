"""Seeded random histories on the real store, both databases; the same invariants as the pure engine's."""

from collections.abc import Callable

import pytest
from store_history import run_history

SEEDS = {"sqlite": range(60), "postgresql": range(1_000, 1_025)}
PART = 5  # of them a test: the parts run side by side


@pytest.mark.parametrize("part", range(len(SEEDS["sqlite"]) // PART))
def test_invariants_hold_on_the_real_store(new_database: Callable[[], str], database_kind: str, part: int) -> None:
    for seed in SEEDS[database_kind][part :: len(SEEDS["sqlite"]) // PART]:
        figures = run_history(new_database(), seed)
        assert figures["violations"] == [], f"seed {seed}"
        assert figures["alerts"], f"seed {seed}: nothing happened in it"
