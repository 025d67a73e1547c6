"""The time of day as a post knows it: an anchor on its own uptime, and how far to trust it."""


class Wall:
    """Epoch seconds from uptime. `quality` is ntp, gw (a signed ack said so), rtc (kept over a reset) or none."""

    def __init__(self) -> None:
        self.quality = "none"
        self._epoch_ms = 0  # of uptime 0

    def set(self, epoch_s: int, quality: str, now_ms: int) -> None:
        """It is `epoch_s` now. The anchor keeps its fraction unless it is wrong by a second or more."""
        if self.quality == quality and abs(self._epoch_ms + now_ms - epoch_s * 1000 - 500) <= 1000:
            return
        self._epoch_ms = epoch_s * 1000 - now_ms
        self.quality = quality

    def epoch_s(self, now_ms: int) -> int:
        """Seconds since 1970 UTC, or 0 when unknown."""
        if self.quality == "none":
            return 0
        return (self._epoch_ms + now_ms) // 1000
