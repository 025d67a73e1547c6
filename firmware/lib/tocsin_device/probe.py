"""The post's own test press: when it is made, how often it is sent, what its acks prove. Nobody is told.

A probe travels as a press does (`alert`, `k` probe), is judged by the same acks, and confirms them by the same `lamp`
event: `stored` came with the answer to the uplink, `closed` by the downlink that an answer takes. It is not written to
flash: after a restart a new one is made within the hour, and a daily write would wear what presses need.
"""

from .outbox import RETRY_MS, Signal, delay_ms

LONGEST_MS = 259200000  # three days: EN 81-28, the longest between two automatic tests of an alarm
FIRST_MS = 300000  # not before this after the boot: a site whose power is back has other things to say
FIRST_SPREAD_MS = 3600000  # the first of a boot falls within this
FAILED_MS = 600000  # a session this long without `stored`: a fault. Also after a refused one, the next


class Probe:
    """The newest probe, and the instant of the next. Times are uptime milliseconds; `jitter` is 0..999.

    `period_ms` 0: this post makes none. `flying`: `signal` waits for its ack; else its `closed` may still come.
    """

    def __init__(self, device: str, period_ms: int) -> None:
        self.period_ms = min(period_ms, LONGEST_MS)
        self.slot = slot_of(device)
        self.signal: "Signal | None" = None
        self.flying = False
        self.good = 0  # since boot
        self.since_ms = 0  # of the session in which it flies
        self.next_ms = -1

    def wants(self, jitter: int, now_ms: int) -> bool:
        """Whether one should be made now."""
        if not self.period_ms or self.flying:
            return False
        if self.next_ms < 0:
            spread_ms = min(self.period_ms, FIRST_SPREAD_MS)
            self.next_ms = min(self.period_ms, FIRST_MS) + (self.slot + spread_ms * jitter // 1000) % spread_ms
        return now_ms >= self.next_ms

    def due(self, jitter: int, now_ms: int) -> "Signal | None":
        """The probe to send now; it is counted as sent."""
        signal = self.signal
        if not signal or not self.flying or signal.due_ms > now_ms:
            return None
        signal.tries += 1
        signal.sent += 1
        signal.due_ms = now_ms + delay_ms(RETRY_MS, signal.sent, jitter)
        return signal

    def stored(self, epoch_ms: int, now_ms: int) -> None:
        """The backend has it: the next one falls on this post's own instant of the period, at most a period ahead.

        `epoch_ms` is the time of day, or the uptime where there is none: posts of a fleet are spread by their names.
        """
        self.flying = False
        self.good += 1
        self.next_ms = now_ms + (self.slot - epoch_ms - 1) % self.period_ms + 1


def slot_of(device: str) -> int:
    """An instant of the longest period, ms, that spreads devices by their names; the same on every interpreter.

    24 bits in steps of 16 ms: 3.1 days. Names that differ in their last digit lie far apart (Knuth's multiplier).
    """
    value = 5381
    for byte in device.encode():
        value = (value * 33 + byte) & 0xFFFFFF
    return ((value * 2654435761 >> 8) & 0xFFFFFF) * 16
