"""What a person standing at the post would say the lamp means, read from the pins alone.

Pure, and independent of the firmware's own table on purpose: a firmware that blinks wrongly is not understood here.
The states are those of the device's indicator table.
"""

from collections.abc import Iterator

MS = 1_000_000  # nanoseconds

OFF, STARTING = "off", "starting"
IN_SERVICE, SENDING, SENT, ANSWERED = "in service", "sending", "sent", "answered"
NOT_DELIVERED, NO_NETWORK, FAULT = "not delivered", "no network", "fault"
STATES = (OFF, STARTING, IN_SERVICE, SENDING, SENT, ANSWERED, NOT_DELIVERED, NO_NETWORK, FAULT)

# Longer than any yellow or green blink (125 ms at 4 Hz): from here on the light is steady.
STEADY_MS = 200
# A dark time longer than this ends a group of flashes (the longest inside a group is 300 ms).
GROUP_END_MS = 450
# A flash longer than this is a long one (short 125 to 150 ms, long 600 ms).
LONG_MS = 350
# The longest darkness of a living post is the 4,950 ms between two "in service" blinks.
DARK_MS = 6_000
# (number of red flashes, long) -> what they say
RED_GROUPS = {(2, False): NO_NETWORK, (3, False): NOT_DELIVERED, (3, True): FAULT}
# The first of the two rising tones that come with "sent": it dates a lamp that was already lit by its last blink.
RISING_HZ = 1800


class IndicatorReader:
    """Fed with every change of light and sound, it tells the state and when each state began (wall clock, ns)."""

    def __init__(self) -> None:
        self.state = OFF
        self.changes: list[tuple[int, str]] = []
        self._colour = "off"
        self._since_ns = 0
        self._last_light_ns = 0
        self._tone_ns = 0
        self._group: list[tuple[int, bool]] = []

    def power(self, at_ns: int, on: bool) -> None:
        """The board starts, or stops: dark either way, and nothing of before counts."""
        self.advance(at_ns)
        self._colour = "off"
        self._since_ns = self._last_light_ns = at_ns
        self._group = []
        self._become(at_ns, STARTING if on else OFF)

    def sound(self, at_ns: int, hz: int) -> None:
        """The buzzer's tone changed; 0 is silence."""
        self.advance(at_ns)
        if hz == RISING_HZ and self._colour == "yellow" and self._since_ns > self._tone_ns:
            self._tone_ns = at_ns

    def light(self, at_ns: int, colour: str) -> None:
        """The lamp changed to `colour`: off, red, yellow or green."""
        self.advance(at_ns)
        if colour == self._colour:
            return
        lit_ms = (at_ns - self._since_ns) // MS
        if self._colour == "red":
            self._group.append((self._since_ns, lit_ms > LONG_MS))
            self._read_group(complete=False)
        elif self._colour == "green" and lit_ms < STEADY_MS:
            self._become(self._since_ns, IN_SERVICE)
        if colour == "yellow":
            self._become(at_ns, SENDING)
        if colour in ("yellow", "green"):
            self._group = []
        if self._colour != "off" or colour != "off":
            self._last_light_ns = at_ns
        self._colour, self._since_ns = colour, at_ns

    def advance(self, now_ns: int) -> str:
        """Let time pass with the light as it is; return the state at `now_ns`."""
        lasted_ms = (now_ns - self._since_ns) // MS
        if self._colour == "yellow" and lasted_ms >= STEADY_MS:
            self._become(max(self._since_ns, self._tone_ns), SENT)
        elif self._colour == "green" and lasted_ms >= STEADY_MS:
            self._become(self._since_ns, ANSWERED)
        elif self._colour == "off":
            if self._group and lasted_ms >= GROUP_END_MS:
                self._read_group(complete=True)
            if (now_ns - self._last_light_ns) // MS >= DARK_MS and self.state != OFF:
                self._become(now_ns, STARTING)
        return self.state

    def began(self, state: str, after_ns: int) -> int | None:
        """When `state` first began at or after that instant; None while it has not."""
        return next((at_ns for at_ns, which in self.changes if which == state and at_ns >= after_ns), None)

    def since(self, after_ns: int) -> Iterator[tuple[int, str]]:
        """Each (instant, state) that began at or after that instant."""
        return ((at_ns, state) for at_ns, state in self.changes if at_ns >= after_ns)

    def _read_group(self, complete: bool) -> None:
        said = RED_GROUPS.get((len(self._group), all(long for _, long in self._group)))
        # Two flashes may still become three; three are three.
        if said and (complete or len(self._group) == 3):
            self._become(self._group[0][0], said)
        if complete or len(self._group) >= 3:
            self._group = []

    def _become(self, at_ns: int, state: str) -> None:
        if state != self.state:
            self.state = state
            self.changes.append((at_ns, state))
            del self.changes[:-1000]
