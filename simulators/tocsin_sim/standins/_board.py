"""The virtual board's inside: clock, interrupts, the two pipes to the host, power. Runs on MicroPython's unix port.

Interrupts are real ones: the host's pipe and one POSIX timer raise SIGIO; its handler only asks MicroPython's scheduler
to run `_pump`, which runs between two bytecodes of the firmware, as soft interrupts do on the chip. Nothing polls.

Lines to the host: `<wall clock ns> <kind> <arguments>`. Lines from the host: `<kind> <arguments>`; see `_obey`.
"""

import array
import json
import sys

import ffi
import micropython
import uctypes
import utime
import vfs

FOLDER = sys.argv[1]
HOST = vfs.VfsPosix(FOLDER)  # the board's folder on the host, reached without being mounted: the firmware cannot see it
_file = HOST.open("start.json", "r")
SETTINGS = json.load(_file)
_file.close()

# The exit status that tells the host why the interpreter stopped; the watchdog's own is SIGALRM.
EXIT_RESET = 42
EXIT_POWER_CUT = 43

# ESP32's MICROPY_SCHEDULER_DEPTH: a ninth pending soft interrupt is dropped without a word.
QUEUE_DEPTH = 8
_SIGIO = 29

_libc = ffi.open("libc.so.6")
_mmap = _libc.func("P", "mmap", "Pliiil")
_open = _libc.func("i", "open", "si")
_exit = _libc.func("v", "_exit", "i")
_setitimer = _libc.func("i", "setitimer", "ipp")
_timer_settime = _libc.func("i", "timer_settime", "lipp")
_execv = _libc.func("i", "execv", "sp")

ticks_us = utime.ticks_us
wall_ns = utime.time_ns


def map_file(name, size):
    """The first `size` bytes of the board's file, shared with it: what is written survives a SIGKILL."""
    fd = _open(FOLDER + "/" + name, 2)
    if fd < 0:
        raise OSError(2, name)
    return uctypes.bytearray_at(_mmap(0, size, 3, 1, fd, 0), size)


def set_watchdog(timeout_ms):
    """SIGALRM, which nothing catches, ends the process unless set again in time; exec, so a soft reset, keeps it."""
    _setitimer(0, array.array("q", [0, 0, timeout_ms // 1000, timeout_ms % 1000 * 1000]), None)


def halt(status):
    """The end of this interpreter, at once: nothing is flushed, as on the chip."""
    _exit(status)


def soft_reset():
    """The same process starts anew with the heap empty: the watchdog keeps counting, RTC memory and pipes stay."""
    SETTINGS["reset_cause"] = "soft"
    file = HOST.open("start.json", "w")
    json.dump(SETTINGS, file)
    file.close()
    _libc.func("i", "fcntl", "iil")(SETTINGS["control_fd"], 4, 0)  # no SIGIO until the new start catches it
    words = [word.encode() + b"\0" for word in SETTINGS["argv"]]
    _execv(SETTINGS["argv"][0], array.array("P", [uctypes.addressof(word) for word in words] + [0]))


# -- to the host -----------------------------------------------------------------------------------------------------

_to_host = open(SETTINGS["event_fd"], "wb")
_from_host = open(SETTINGS["control_fd"], "rb")


def report(kind, *arguments):
    _to_host.write(" ".join([str(wall_ns()), kind] + [str(argument) for argument in arguments]) + "\n")


# -- the RTC: 8 bytes of clock, 2 of length, then its memory ----------------------------------------------------------

RTC_BYTES = 4096
EPOCH_2000_NS = 946684800 * 1000000000
rtc = map_file("rtc.bin", RTC_BYTES)
_rtc_clock = uctypes.struct(uctypes.addressof(rtc), {"lag_ns": 0 | uctypes.INT64}, uctypes.NATIVE)


def rtc_lag_ns():
    """How far the board's clock is behind the host's; set at power-on so that the clock starts on 2000-01-01."""
    if not _rtc_clock.lag_ns:
        _rtc_clock.lag_ns = wall_ns() - EPOCH_2000_NS
    return _rtc_clock.lag_ns


def set_rtc_lag_ns(lag_ns):
    _rtc_clock.lag_ns = lag_ns or 1


rtc_lag_ns()


# -- soft interrupts -------------------------------------------------------------------------------------------------

_queue = []
lost = 0
_asked = False
_masks = 0
_inside = 0
_deferred = False


def schedule(callback, argument):
    """Queue a soft interrupt; silently lost when the queue is full."""
    global lost
    if len(_queue) < QUEUE_DEPTH:
        _queue.append((callback, argument))
    else:
        lost += 1
        report("lost", lost)


def mask():
    """No soft interrupt until `unmask`: a flash operation, or machine.disable_irq()."""
    global _masks
    _masks += 1


def unmask():
    global _masks, _deferred
    _masks -= 1
    if not _masks and _deferred:
        _deferred = False
        _ask()


def enter():
    """The firmware is about to look at what interrupts change: none at all until `leave`."""
    global _inside
    _inside += 1


def leave():
    global _inside, _deferred
    _inside -= 1
    if not _inside and _deferred:
        _deferred = False
        _ask()


def _ask():
    global _asked
    if not _asked:
        _asked = True
        try:
            micropython.schedule(_pump, 0)
        except RuntimeError:
            _asked = False


def _on_signal(_signal):
    # Signal context: the heap is locked. Same three lines as _ask, without a call.
    global _asked
    if not _asked:
        _asked = True
        try:
            micropython.schedule(_pump, 0)
        except RuntimeError:
            _asked = False


def _pump(_):
    global _asked, _deferred
    _asked = False
    if _inside:
        _deferred = True
        return
    # The contacts move and the alarms ring whatever the processor does: what they queue waits for it, up to eight.
    _read_host()
    _run_clocks()
    if _masks:
        _deferred = True
        return
    while _queue:
        callback, argument = _queue.pop(0)
        try:
            callback(argument)
        except Exception as error:
            sys.print_exception(error)


# -- one clock for contacts and timers -------------------------------------------------------------------------------

_clocks = []  # objects with .due_us (ticks_us, or None) and .tick(now_us)
_armed_us = None
_timer = array.array("q", [0])
_spec = array.array("q", [0, 0, 0, 0])


def add_clock(clock):
    if clock not in _clocks:
        _clocks.append(clock)


def arm():
    """Set the POSIX timer to the earliest due instant of all clocks."""
    enter()
    _arm()
    leave()


def _arm():
    global _armed_us
    earliest = None
    for clock in _clocks:
        due = clock.due_us
        if due is not None and (earliest is None or due < earliest):
            earliest = due
    if earliest == _armed_us:
        return
    _armed_us = earliest
    wait_us = 0 if earliest is None else max(1, earliest - ticks_us())
    _spec[2] = wait_us // 1000000
    _spec[3] = wait_us % 1000000 * 1000
    _timer_settime(_timer[0], 0, _spec, None)


def _run_clocks():
    global _armed_us
    now_us = ticks_us()
    for clock in _clocks:
        if clock.due_us is not None and clock.due_us <= now_us:
            clock.tick(now_us)
    if _armed_us is not None and _armed_us <= now_us:
        _armed_us = None
    _arm()


# -- from the host: read and obeyed in place, because the heap is the firmware's --------------------------------------

_obeys = {}  # kind -> function(line), which takes its numbers with `number` and `text`
_line = bytearray(4096)
_lines = memoryview(_line)
_filled = 0
_at = 0


def on_host(kind, function):
    """`function()` is called for each line of that kind, in interrupt context."""
    _obeys[kind] = function


def number():
    """The next number of the line, or None where there is something else; goes behind the separator."""
    global _at
    value = None
    while 48 <= _line[_at] <= 57:
        value = (value or 0) * 10 + _line[_at] - 48
        _at += 1
    if value is None:
        _at += 1
    _at += 1
    return value


def more():
    """Whether the line goes on."""
    return _line[_at - 1] != 10


def _read_host():
    global _filled, _at
    while True:
        count = _from_host.readinto(_lines[_filled:])
        if count is None:
            return
        if count == 0:
            halt(0)  # the host is gone
        _filled += count
        while True:
            end = _line.find(b"\n", 0, _filled)
            if end < 0:
                break
            _at = _line.find(b" ", 0, end) + 1
            _obeys[bytes(_lines[: _at - 1])]()
            _lines[: _filled - end - 1] = _lines[end + 1 : _filled]
            _filled -= end + 1


def begin():
    """Start the interrupts; what the host sent before the start is obeyed first."""
    action = bytearray(152)  # struct sigaction of Linux's C library: handler, mask, flags; SA_RESTART off
    global _handler
    _handler = ffi.callback("v", _on_signal, "i", lock=True)
    action[0:8] = bytes(array.array("Q", [_handler.cfun()]))
    _libc.func("i", "sigaction", "ipp")(_SIGIO, action, None)
    event = array.array("i", [0, 0, _SIGIO, 0] + [0] * 12)  # struct sigevent: SIGEV_SIGNAL
    _libc.func("i", "timer_create", "ipp")(1, event, _timer)
    fcntl = _libc.func("i", "fcntl", "iil")
    fd = SETTINGS["control_fd"]
    fcntl(fd, 8, _libc.func("i", "getpid", "")())  # F_SETOWN
    fcntl(fd, 4, 0o4000 | 0o20000)  # F_SETFL: O_NONBLOCK | O_ASYNC
    _ask()
