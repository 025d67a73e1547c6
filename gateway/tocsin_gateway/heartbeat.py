"""The engine's heartbeat, watched from here: a backend whose engine hangs still takes presses in, and nobody is told.

The downlink's `alive` lines say how long ago the engine last came by. Silence, or an old beat, for SILENT_MS is a fault
of this gateway's status page and `eng: silent` in its retained state. Once the engine is back, the backend is told
how long it was silent, if it was the engine and not the line: that is, if an old beat was heard meanwhile.
"""

import threading
from typing import Final

SILENT_MS: Final = 15_000  # the backend says that it lives every 5 s, and its engine comes by every 5 s

WELL: Final = "well"
SILENT: Final = "silent"


class Heartbeat:
    """Thread-safe; instants are steady ms. It begins well: a gateway that starts gives the backend its time."""

    def __init__(self, now_ms: int) -> None:
        self._lock = threading.Lock()
        self._beat_ms = now_ms
        self._since_ms = now_ms  # the last beat before the silence
        self._old_heard = False
        self.state = WELL

    def heard(self, age_ms: int, now_ms: int) -> None:
        """The backend says that its engine last came by this long ago."""
        with self._lock:
            self._beat_ms = max(self._beat_ms, now_ms - max(0, age_ms))
            self._old_heard = self._old_heard or age_ms > SILENT_MS

    def age_ms(self, now_ms: int) -> int:
        """How long ago the engine's last known beat was."""
        with self._lock:
            return max(0, now_ms - self._beat_ms)

    def look(self, now_ms: int) -> bool:
        """Whether `state` has just changed."""
        with self._lock:
            state = SILENT if now_ms - self._beat_ms > SILENT_MS else WELL
            if state == self.state:
                if state == WELL:
                    self._since_ms = self._beat_ms
                return False
            self.state = state
            return True

    def end(self, now_ms: int) -> int:
        """After a silence: how long it was, ms; 0 when it was the line's, not the engine's."""
        with self._lock:
            silent_ms = max(0, self._beat_ms - self._since_ms) if self._old_heard else 0
            self._old_heard, self._since_ms = False, now_ms
            return silent_ms
