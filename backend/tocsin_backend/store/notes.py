"""What a committed job tells the rest of the process, and the gate before which messages wait for the commit."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Notes:
    """What a committed job tells the rest of the process."""

    alerts: set[str] = field(default_factory=set)  # alert ids whose row or timeline changed
    devices: set[tuple[str, str]] = field(default_factory=set)  # (org, device) whose presence or description changed
    catalogue: bool = False  # sites, devices, keys, people or policies were edited: caches are void
    downlinks: set[tuple[str, str]] = field(default_factory=set)  # (org, gateway) with new downlink rows
    outgoing: list[Any] = field(default_factory=list)  # channels.Outgoing leased by this process, to send now
    cancelled: set[str] = field(default_factory=set)  # dispatch ids that should no longer leave
    wake_ms: int | None = None  # an instant the engine must not sleep past

    def wake(self, at_ms: int | None) -> None:
        """The engine must look again at `at_ms` at the latest."""
        if at_ms is not None and (self.wake_ms is None or at_ms < self.wake_ms):
            self.wake_ms = at_ms

    def add(self, other: "Notes") -> None:
        self.alerts |= other.alerts
        self.devices |= other.devices
        self.catalogue |= other.catalogue
        self.downlinks |= other.downlinks
        self.outgoing += other.outgoing
        self.cancelled |= other.cancelled
        self.wake(other.wake_ms)


class Gate:
    """Whether the transaction under way was committed: whoever was told of it before the commit waits here."""

    def __init__(self) -> None:
        self._settled = threading.Event()
        self._lock = threading.Lock()
        self._known = False
        self._committed = False
        self._then: list[Callable[[], None]] = []

    def then(self, act: Callable[[], None]) -> None:
        """Call `act`, which must not block, once it is committed: on the writer thread, or here if it is already."""
        with self._lock:
            if not self._known:
                self._then.append(act)
                return
        if self._committed:
            act()

    def settle(self, committed: bool) -> None:
        with self._lock:
            self._known, self._committed = True, committed
        for act in self._then if committed else ():
            try:
                act()
            except Exception:
                log.exception("something that waited for a commit failed")
        self._settled.set()

    def passed(self) -> bool:
        """Waits until it is known; False when nothing was committed."""
        self._settled.wait()
        return self._committed
