"""The hardware watchdog, fed only on evidence that every vital task ran since the last time. A broker is not vital."""

from machine import WDT

VITAL = ("inputs", "lamp", "turn")


class Watchdog:
    """Each vital task calls `ran` with its name."""

    def __init__(self, timeout_ms: int) -> None:
        self._wdt = WDT(timeout=timeout_ms)
        self._missing = set(VITAL)

    def ran(self, task: str) -> None:
        """A vital task did its work once."""
        self._missing.discard(task)
        if not self._missing:
            self._wdt.feed()
            self._missing.update(VITAL)
