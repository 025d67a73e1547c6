"""One object of build/bench.json out of samples."""

from collections.abc import Sequence
from typing import Any


def figures(samples_ms: Sequence[float], floor_ms: Sequence[float] = ()) -> dict[str, Any]:
    """One object of bench.json: nearest-rank percentiles, and ratios where there is a floor."""

    def rank(values: Sequence[float], share: int) -> float:
        ordered = sorted(values)
        return ordered[max(0, -(-len(ordered) * share // 100) - 1)]

    found: dict[str, Any] = {"n": len(samples_ms), "unit": "ms"}
    for share in (50, 95, 99):
        found[f"p{share}"] = round(rank(samples_ms, share), 3)
    found["max"] = round(max(samples_ms), 3)
    if floor_ms:
        for share in (50, 99):
            found[f"floor_p{share}"] = round(rank(floor_ms, share), 3)
            found[f"ratio_p{share}"] = round(rank(samples_ms, share) / rank(floor_ms, share), 2)
    return found
