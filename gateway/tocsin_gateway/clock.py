"""The only place that reads time."""

import time


def epoch_ms() -> int:
    """Wall clock, epoch milliseconds UTC: what is written into envelopes."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """Milliseconds of a clock that never jumps: what waits and deadlines are measured with."""
    return time.monotonic_ns() // 1_000_000
