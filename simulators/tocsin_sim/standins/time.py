"""`time` as ESP32 has it: epoch 2000, whole seconds, milliseconds that wrap after 2**30."""

import _board
import utime

EPOCH_S = 946684800  # 2000-01-01 in the epoch of 1970
_PERIOD = 1 << 30
_MASK = _PERIOD - 1
_HALF = _PERIOD >> 1

_real_ms = utime.ticks_ms
_real_us = utime.ticks_us
_start_ms = utime.ticks_ms() - _board.SETTINGS.get("ticks_start_ms", 0)
_start_us = utime.ticks_us() - _board.SETTINGS.get("ticks_start_ms", 0) * 1000


def ticks_ms():
    return (_real_ms() - _start_ms) & _MASK


def ticks_us():
    return (_real_us() - _start_us) & _MASK


def ticks_cpu():
    return (_real_us() - _start_us) & _MASK


def ticks_add(ticks, delta):
    return (ticks + delta) & _MASK


def ticks_diff(end, start):
    return ((end - start + _HALF) & _MASK) - _HALF


def sleep(seconds):
    utime.sleep(seconds)


def sleep_ms(ms):
    # The port's own sleep_ms wakes every half millisecond; its sleep waits in the kernel and still serves interrupts.
    if ms > 0:
        utime.sleep(ms / 1000)


def sleep_us(us):
    if us > 0:
        utime.sleep(us / 1000000)


def time_ns():
    return utime.time_ns() - EPOCH_S * 1000000000 - _board.rtc_lag_ns()


def time():
    return time_ns() // 1000000000


def gmtime(seconds=None):
    return utime.gmtime((time() if seconds is None else seconds) + EPOCH_S)[:8]


localtime = gmtime


def mktime(moment):
    return int(utime.mktime(moment)) - EPOCH_S
