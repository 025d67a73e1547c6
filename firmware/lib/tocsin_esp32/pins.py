"""Contacts, lamp and buzzer on the chip's pins. Polarity is always stated by the profile."""

import time

from machine import PWM, Pin
from tocsin_device.lamp import SOUNDS, lit

from . import clock

_PULLS = {"up": Pin.PULL_UP, "down": Pin.PULL_DOWN, "none": None}


class Contact:
    """One input. The handler only latches the first edge towards closed; it allocates nothing and schedules nothing."""

    def __init__(self, pin: int, active: str, pull: str) -> None:
        self._active = 1 if active == "high" else 0
        self._pin = Pin(pin, Pin.IN, _PULLS[pull])
        self._latched = False
        self._ticks = 0
        self._pin.irq(handler=self._edge, trigger=Pin.IRQ_RISING if self._active else Pin.IRQ_FALLING)

    def _edge(self, _pin: Pin) -> None:
        if not self._latched:
            self._ticks = time.ticks_ms()
            self._latched = True

    def active(self) -> bool:
        """Whether the contact is closed now."""
        return self._pin.value() == self._active

    def take_edge(self, now_ms: int) -> "int | None":
        """The uptime of the edge latched since the last call, None if there was none."""
        if not self._latched:
            return None
        edge_ms = now_ms - clock.since_ms(self._ticks)
        self._latched = False
        return edge_ms


class Lamp:
    """A red and a green light; both make yellow."""

    def __init__(self, red: int, green: int) -> None:
        self._red = Pin(red, Pin.OUT, value=0)
        self._green = Pin(green, Pin.OUT, value=0)
        self._indicator = ""
        self._since_ms = 0
        self._colour = "off"

    def show(self, indicator: str, now_ms: int) -> None:
        """Show an indicator of tocsin_device.lamp; call it every few milliseconds."""
        if indicator != self._indicator:
            self._indicator = indicator
            self._since_ms = now_ms
        colour = lit(indicator, now_ms - self._since_ms)
        if colour != self._colour:
            self._colour = colour
            self._red.value(1 if colour == "red" or colour == "yellow" else 0)
            self._green.value(1 if colour == "green" or colour == "yellow" else 0)


class Buzzer:
    """A passive sounder on PWM."""

    def __init__(self, pin: int) -> None:
        self._pwm = PWM(Pin(pin), freq=1000, duty_u16=0)
        self._notes = ()
        self._at = 0
        self._until_ms = 0

    def play(self, sound: str, now_ms: int) -> None:
        """Begin a sound of tocsin_device.lamp, instead of what sounds now."""
        self._notes = SOUNDS[sound]
        self._at = 0
        self._until_ms = now_ms
        self.step(now_ms)

    def step(self, now_ms: int) -> None:
        """Go to the next note when its time has come; call it every few milliseconds."""
        if not self._notes or now_ms < self._until_ms:
            return
        if self._at == len(self._notes):
            self._notes = ()
            self._pwm.duty_u16(0)
            return
        hertz = self._notes[self._at]
        self._until_ms = now_ms + self._notes[self._at + 1]
        self._at += 2
        if hertz:
            self._pwm.freq(hertz)
        self._pwm.duty_u16(32768 if hertz else 0)
