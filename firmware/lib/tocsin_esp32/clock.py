"""The only reader of time on a post: uptime that does not wrap, and the real-time clock across resets."""

import time

import machine
from micropython import const

_BUILT_S = const(1767225600)  # 2026-01-01: a real-time clock that is behind this was never set
_UNIX_2000_S = const(946684800)  # the ESP32 port counts from 2000, the unix port from 1970

_last = time.ticks_ms()
_uptime_ms = 0


def now_ms() -> int:
    """Uptime. ticks_ms wraps after 2**30 ms (12.4 days); this does not. Called at least once a wrap, by far."""
    global _last, _uptime_ms
    ticks = time.ticks_ms()
    _uptime_ms += time.ticks_diff(ticks, _last)
    _last = ticks
    return _uptime_ms


def since_ms(ticks: int) -> int:
    """How long ago ticks_ms read `ticks`: for instants taken in an interrupt handler."""
    return time.ticks_diff(time.ticks_ms(), ticks)


def sleep_ms(wait_ms: int) -> None:
    """Wait; interrupt handlers run."""
    time.sleep_ms(wait_ms)


def read_rtc_s() -> int:
    """Epoch seconds kept by the real-time clock over a reset, or 0 if it was never set."""
    epoch_s = time.time()
    if time.gmtime(0)[0] == 2000:
        epoch_s += _UNIX_2000_S
    return epoch_s if epoch_s >= _BUILT_S else 0


def write_rtc(epoch_s: int) -> None:
    """Set the real-time clock."""
    if time.gmtime(0)[0] == 2000:
        epoch_s -= _UNIX_2000_S
    year, month, day, hour, minute, second, weekday, _ = time.gmtime(epoch_s)
    machine.RTC().datetime((year, month, day, weekday, hour, minute, second, 0))
