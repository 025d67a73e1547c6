"""The only place of the backend that reads time: epoch milliseconds, UTC."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

STEP_MS = 500  # a difference between wall clock and our own above which it is logged and slewed
SLEW = 0.1  # of elapsed time: an hour's jump is caught up in ten, no timer ever runs backwards


class Clock(Protocol):
    """What the shells are given; tests give one that they wind by hand."""

    def now_ms(self) -> int: ...


class SystemClock:
    """The wall clock at start plus the monotonic clock: a jump of the wall clock fires no step and holds none back.

    A lasting difference to the wall clock is logged once and made good slowly, never by a jump.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._last = monotonic()
        self._now = wall() * 1000
        self._slewing = False
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        with self._lock:
            at = self._monotonic()
            elapsed = (at - self._last) * 1000
            self._last = at
            self._now += elapsed
            apart = self._wall() * 1000 - self._now
            if abs(apart) > STEP_MS and not self._slewing:
                self._slewing = True
                log.warning("the wall clock is %.1f s away from ours: slewing towards it", apart / 1000)
            if self._slewing:
                self._now += max(-elapsed * SLEW, min(elapsed * SLEW, apart))
                self._slewing = abs(self._wall() * 1000 - self._now) > 1
            return int(self._now)
