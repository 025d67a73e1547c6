"""What is wrong with this gateway now: named, logged when it begins and ends, shown by the status page."""

import logging
import threading

log = logging.getLogger(__name__)


class Faults:
    """Named faults, set and cleared from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, str] = {}

    def begin(self, name: str, text: str) -> None:
        """Say that something is wrong. Repeating it is silent."""
        with self._lock:
            known = name in self._open
            self._open[name] = text
        if not known:
            log.error("FAULT %s: %s", name, text)

    def end(self, name: str) -> None:
        """Say that it is well again; harmless when it was."""
        if name in self._open:
            with self._lock:
                text = self._open.pop(name, None)
            if text is not None:
                log.warning("fault over: %s", name)

    def now(self) -> dict[str, str]:
        """name -> text of every fault."""
        with self._lock:
            return dict(self._open)


class Counts:
    """Named counters, from any thread. They start at 0 with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def add(self, name: str, count: int = 1) -> None:
        """Count `count` more."""
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + count

    def now(self) -> dict[str, int]:
        """name -> count."""
        with self._lock:
            return dict(self._counts)
