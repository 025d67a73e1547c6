"""The station interface. It only offers a network: whether the post is connected is judged by the broker's answers."""

import network
from micropython import const

_RETRY_MS = const(30000)  # without an address for this long: begin again
_SETTLE_MS = const(1000)  # between disconnect and connect: a second connect() at once raises "Wifi Internal Error"


class Wifi:
    """Call `step` every turn; it never waits."""

    def __init__(self, ssid: str, psk: str) -> None:
        self._ssid = ssid
        self._psk = psk
        self._station = network.WLAN(network.STA_IF)
        self._station.active(True)
        self._due_ms = 0
        self._pausing = True  # the first connect needs no disconnect before it

    def step(self, now_ms: int) -> None:
        """Ask for a connection again when there has been none for long."""
        if self._station.isconnected():
            self._due_ms = now_ms + _RETRY_MS
            self._pausing = False
            return
        if now_ms < self._due_ms:
            return
        try:
            if self._pausing:
                self._station.connect(self._ssid, self._psk)
                self._due_ms = now_ms + _RETRY_MS
            else:
                self._station.disconnect()
                self._due_ms = now_ms + _SETTLE_MS
        except OSError:
            self._due_ms = now_ms + _SETTLE_MS
        self._pausing = not self._pausing

    def ready(self) -> bool:
        """Whether an attempt to connect to the broker makes sense."""
        return self._station.isconnected()

    def rssi_dbm(self) -> "int | None":
        """The signal's strength, None if unknown."""
        try:
            rssi = self._station.status("rssi")
        except (OSError, ValueError):
            return None
        return rssi if isinstance(rssi, int) and -200 <= rssi <= 0 else None
