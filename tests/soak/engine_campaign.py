"""Random histories of the engine, one seed each, in processes beside each other.

Of ten histories nine are played on the pure engine (tests/domain/history_world.py) and one on a real SQLite store
(tests/backend/store_history.py), which is slower by as much. A history is told by its seed alone.
"""

import itertools
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
PURE, STORE = "pure", "store"
STORE_EVERY = 10  # one history in so many is played on the store
PROGRESS_S = 10.0
SEEDS = 1_000_000  # apart, so that no two campaigns share a history


def _ready() -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and judges what there is
    sys.path[:0] = [str(TESTS), str(TESTS / "domain"), str(TESTS / "backend")]


@contextmanager
def _counted(kind: Any, name: str) -> Iterator[list[None]]:
    """Something for each call of that method while the block runs: processes that died, clocks that went back."""
    calls: list[None] = []
    method = getattr(kind, name)

    def counted(self: Any, *words: Any, **more: Any) -> Any:
        calls.append(None)
        return method(self, *words, **more)

    setattr(kind, name, counted)
    try:
        yield calls
    finally:
        setattr(kind, name, method)


def play(case: tuple[str, int]) -> tuple[str, int, dict[str, Any]]:
    """One history: (where, its seed, its figures). A history that raises is a violation."""
    where, seed = case
    try:
        if where == PURE:
            from history_world import World, run_history

            with _counted(World, "restart") as faults:
                found: dict[str, Any] = dict(run_history(seed))
        else:
            from backend_rig import Rig
            from store_history import run_history as run_stored

            with tempfile.TemporaryDirectory(prefix="tocsin-history-") as folder, _counted(Rig, "restart") as faults:
                found = dict(run_stored(f"sqlite:///{folder}/history.db", seed))
        found["faults"] = len(faults)
    except Exception as error:
        found = {"violations": [f"{type(error).__name__}: {error}"]}
    return where, seed, found


def run(seconds: float, seed: int, cases: int | None, say: Callable[[str], None]) -> tuple[dict[str, Any], list[str]]:
    """(the report, what did not hold): histories until the time or their number is used up."""
    began, shown = time.monotonic(), time.monotonic()
    totals: Counter[str] = Counter()
    sentences: list[str] = []

    def coming() -> Any:
        for number in itertools.count() if cases is None else range(cases):
            if time.monotonic() - began > seconds:
                return
            yield (STORE if number % STORE_EVERY == STORE_EVERY - 1 else PURE, seed * SEEDS + number)

    def judge(where: str, its_seed: int, found: dict[str, Any]) -> None:
        totals[where] += 1
        totals.update({name: value for name, value in found.items() if name != "seed" and isinstance(value, int)})
        sentences.extend(f"{where} history {its_seed}: {each}" for each in found["violations"])

    with multiprocessing.get_context("fork").Pool(os.cpu_count(), _ready) as pool:
        waiting: list[Any] = []
        source = coming()
        try:
            for case in source:
                waiting.append(pool.apply_async(play, (case,)))
                while len(waiting) >= 2 * (os.cpu_count() or 1):
                    judge(*waiting.pop(0).get())
                if time.monotonic() - shown > PROGRESS_S:
                    shown = time.monotonic()
                    done = totals[PURE] + totals[STORE]
                    say(f"{shown - began:.0f} s: {done} histories, {totals['dispatches']} dispatches, "
                        f"{len(sentences)} violations")  # fmt: skip
            for each in waiting:
                judge(*each.get())
        except KeyboardInterrupt:
            say("stopped: judging what there is")
    return _report(seed, time.monotonic() - began, totals, sentences), sentences


def _report(seed: int, lasted_s: float, totals: Counter[str], sentences: list[str]) -> dict[str, Any]:
    kinds = {name: sum(name in each.lower() for each in sentences) for name in ("lost", "duplicate")}
    return {
        "what": "engine",
        "seed": seed,
        "seconds": round(lasted_s, 1),
        "cases": totals[PURE] + totals[STORE],
        "cases_on_the_store": totals[STORE],
        "faults": totals["faults"],
        "accepted": totals["alerts"],
        "events": totals["events"],
        "dispatches": totals["dispatches"],
        "lost": kinds["lost"],
        "duplicates": kinds["duplicate"],
        "lies": 0,  # no lamp here: the chain campaign looks at them
        "violations": len(sentences),
    }
