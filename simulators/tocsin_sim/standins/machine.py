"""`machine` as ESP32 has it: what the firmware needs of it, no more."""

import array

import _board
import utime

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

# What ESP32's reset_cause() says of what really happened: a brown-out passes for a power-on, a panic for a hard reset.
_CAUSES = {
    "power": PWRON_RESET,
    "brownout": PWRON_RESET,
    "reset": HARD_RESET,
    "panic": HARD_RESET,
    "watchdog": WDT_RESET,
    "soft": SOFT_RESET,
}


def reset_cause():
    return _CAUSES[_board.SETTINGS["reset_cause"]]


def reset():
    _board.report("halt", "reset")
    _board.halt(_board.EXIT_RESET)


def soft_reset():
    _board.report("halt", "soft")
    _board.soft_reset()


def unique_id():
    return bytes.fromhex(_board.SETTINGS["unique_id"])


def freq(_hz=None):
    return 160000000


def idle():
    utime.sleep(0.001)


def disable_irq():
    _board.mask()
    return 0


def enable_irq(_state=0):
    _board.unmask()


class Pin:
    """One pin of the chip; Pin(n) is always the same object. What moves an input comes from the host."""

    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2
    WAKE_LOW = 4
    WAKE_HIGH = 5
    DRIVE_0 = 0
    DRIVE_1 = 1
    DRIVE_2 = 2
    DRIVE_3 = 3
    _pins = {}

    def __new__(cls, number, *_args, **_options):
        if number not in cls._pins:
            if number not in range(40) or number in (20, 24, 28, 29, 30, 31):
                raise ValueError("invalid pin")
            pin = object.__new__(cls)
            pin.number = number
            pin._mode = cls.IN
            pin._pull = None
            pin._output = 0
            pin._driven = None  # what the outside imposes: 0, 1, or None when nothing is connected
            pin._wave = None  # instants in ticks_us and levels (-1: let go), one after the other
            pin._next = 0
            pin._end = 0
            pin.due_us = None
            pin._handler = None
            pin._trigger = 0
            pin.millivolts = 0
            cls._pins[number] = pin
        return cls._pins[number]

    def __init__(self, number, mode=-1, pull=-1, *, value=None, drive=None, hold=None):
        self.init(mode, pull, value=value)

    def __repr__(self):
        return "Pin(%d)" % self.number

    def init(self, mode=-1, pull=-1, *, value=None, drive=None, hold=None):
        if mode is not None and mode != -1:
            if mode != Pin.IN and self.number >= 34:
                raise ValueError("pin can only be input")
            if self._mode == Pin.IN and mode != Pin.IN:
                _board.report("pin", self.number, value if value is not None else self._output)
            self._mode = mode
        if pull != -1:
            self._pull = None if self.number >= 34 else pull  # 34..39 have no pull resistors
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is not None:
            level = 1 if level else 0
            if level != self._output:
                self._output = level
                if self._mode != Pin.IN:
                    _board.report("pin", self.number, level)
            return None
        if self._mode == Pin.OUT:
            return self._output
        if self.due_us is None:
            return self._level()
        _board.enter()
        self.tick(_board.ticks_us())
        level = self._level()
        _board.leave()
        return level

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def toggle(self):
        self.value(1 - self._output)

    def irq(self, handler=None, trigger=3, *, wake=None, hard=False):
        """Soft interrupts only, through the queue of eight."""
        self._handler = handler
        self._trigger = trigger

    def _level(self):
        if self._driven is not None:
            return self._driven
        return 1 if self._pull == Pin.PULL_UP else 0

    def play(self, start_us):
        """What the contact does from `start_us` on: the rest of the host's line, <microseconds>:<level or z>,..."""
        if self._wave is None:
            self._wave = _waves.pop() if _waves else array.array("q", bytes(_WAVE_BYTES))
        self._next = self._end = 0
        while _board.more():
            self._wave[self._end] = start_us + _board.number()
            level = _board.number()
            self._wave[self._end + 1] = -1 if level is None else level
            self._end += 2
        self._look_ahead()
        _board.add_clock(self)

    def _look_ahead(self):
        self.due_us = self._wave[self._next] if self._next < self._end else None

    def tick(self, now_us):
        """Take every level change that is due; each one that moves the pin is an edge."""
        while self.due_us is not None and self.due_us <= now_us:
            before = self._level()
            at_us = self.due_us
            driven = self._wave[self._next + 1]
            self._driven = None if driven < 0 else driven
            self._next += 2
            self._look_ahead()
            level = self._level()
            if level != before:
                _board.report("in", self.number, level, now_us - at_us)
                if self._handler and self._trigger & (Pin.IRQ_RISING if level else Pin.IRQ_FALLING):
                    _board.schedule(self._handler, self)


_WAVE_BYTES = 16 * 100  # a hundred level changes; the host sends no more at once
_waves = [array.array("q", bytes(_WAVE_BYTES))]  # made before the firmware takes its heap


def _play():
    pin = Pin(_board.number())
    pin.play(_board.ticks_us() - (_board.wall_ns() - _board.number()) // 1000)


def _set_millivolts():
    pin = Pin(_board.number())
    pin.millivolts = _board.number()


_board.on_host(b"in", _play)
_board.on_host(b"adc", _set_millivolts)


class Signal:
    """A pin with its polarity."""

    def __init__(self, pin, *, invert=False):
        self._pin = pin
        self._invert = 1 if invert else 0

    def value(self, level=None):
        if level is None:
            return self._pin.value() ^ self._invert
        return self._pin.value((1 if level else 0) ^ self._invert)

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)


class Timer:
    """ESP32's four timers; their callbacks are soft interrupts too."""

    ONE_SHOT = 0
    PERIODIC = 1
    _taken = {}

    def __new__(cls, number, *_args, **_options):
        if number not in cls._taken:
            if number not in range(4):
                raise ValueError("invalid Timer number")
            cls._taken[number] = object.__new__(cls)
            cls._taken[number].due_us = None
        return cls._taken[number]

    def __init__(self, number, **options):
        if options:
            self.init(**options)

    def init(self, *, mode=PERIODIC, freq=-1, period=-1, callback=None, hard=False):
        self._period_us = int(1000000 / freq) if freq != -1 else period * 1000
        self._repeats = mode == Timer.PERIODIC
        self._callback = callback
        self.due_us = _board.ticks_us() + self._period_us
        _board.add_clock(self)
        _board.arm()

    def deinit(self):
        self.due_us = None

    def tick(self, now_us):
        if self._repeats:
            # The alarm comes once a period; the ones missed while the processor was away are queued too.
            while self.due_us <= now_us:
                self.due_us += self._period_us
                _board.schedule(self._callback, self)
        else:
            self.due_us = None
            _board.schedule(self._callback, self)


class PWM:
    """The tone or brightness a pin gives; every change is told to the host with its frequency and duty (of 65535)."""

    def __init__(self, pin, freq=None, duty=None, duty_u16=None, duty_ns=None, invert=0):
        self._pin = pin
        self._freq = 5000
        self._duty = 32768
        self._told = None
        self.init(freq, duty, duty_u16, duty_ns)

    def init(self, freq=None, duty=None, duty_u16=None, duty_ns=None, invert=0):
        if freq is not None:
            if freq <= 0:
                raise ValueError("frequency must be from 1Hz to 40MHz")
            self._freq = freq
        if duty is not None:
            self._duty = min(65535, duty << 6)
        if duty_u16 is not None:
            self._duty = duty_u16
        if duty_ns is not None:
            self._duty = duty_ns * self._freq * 65535 // 1000000000
        self._tell()

    def freq(self, hz=None):
        if hz is None:
            return self._freq
        return self.init(freq=hz)

    def duty(self, duty=None):
        if duty is None:
            return self._duty >> 6
        return self.init(duty=duty)

    def duty_u16(self, duty=None):
        if duty is None:
            return self._duty
        return self.init(duty_u16=duty)

    def duty_ns(self, duty=None):
        if duty is None:
            return self._duty * 1000000000 // (65535 * self._freq)
        return self.init(duty_ns=duty)

    def deinit(self):
        self._duty = 0
        self._tell()

    def _tell(self):
        now = (self._freq, self._duty)
        if now != self._told:
            self._told = now
            _board.report("pwm", self._pin.number, self._freq, self._duty)


class ADC:
    """The voltage the host put on a pin, as ESP32 reads it at full attenuation: 12 bits widened to 16."""

    ATTN_0DB = 0
    ATTN_2_5DB = 1
    ATTN_6DB = 2
    ATTN_11DB = 3
    WIDTH_12BIT = 3
    _FULL_SCALE_MV = 3300

    def __init__(self, pin, *, atten=None):
        self._pin = pin if isinstance(pin, Pin) else Pin(pin)
        if self._pin.number not in range(32, 40):
            raise ValueError("ADC2 cannot be read while Wi-Fi is on")

    def atten(self, _atten):
        pass

    def width(self, _width):
        pass

    def read_uv(self):
        return self._pin.millivolts * 1000

    def read_u16(self):
        return min(65535, self._pin.millivolts * 65535 // ADC._FULL_SCALE_MV)

    def read(self):
        return self.read_u16() >> 4


class WDT:
    """The hardware watchdog: once started it cannot be stopped, and a soft reset does not stop it."""

    def __init__(self, id=0, timeout=5000):
        if timeout < 1:
            raise ValueError("WDT timeout too short")
        self._timeout_ms = timeout
        self.feed()

    def feed(self):
        _board.set_watchdog(self._timeout_ms)


class RTC:
    """The clock, and 2 kB of memory; both survive any reset and are lost with the power."""

    _SIZE = 2048

    def memory(self, data=None):
        stored = _board.rtc
        if data is None:
            size = stored[8] | stored[9] << 8
            return bytes(memoryview(stored)[16 : 16 + min(size, RTC._SIZE)])
        data = data.encode() if isinstance(data, str) else bytes(data)
        if len(data) > RTC._SIZE:
            raise ValueError("buffer too long")
        stored[16 : 16 + len(data)] = data
        stored[8] = len(data) & 255
        stored[9] = len(data) >> 8
        return None

    def datetime(self, moment=None):
        """(year, month, day, weekday, hour, minute, second, microsecond); the weekday is not read when setting."""
        import time

        if moment is None:
            ns = time.time_ns()
            at = time.gmtime(ns // 1000000000)
            return (at[0], at[1], at[2], at[6], at[3], at[4], at[5], ns // 1000 % 1000000)
        year, month, day, _, hour, minute, second, us = moment
        wanted_s = utime.mktime((year, month, day, hour, minute, second, 0, 0))
        _board.set_rtc_lag_ns(utime.time_ns() - (int(wanted_s) * 1000000000 + us * 1000))
        return None

    init = datetime
