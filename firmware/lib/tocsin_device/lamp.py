"""What the person at the post sees and hears: one table, used by the code, asserted by tests, printed in the README."""

# state -> lamp colour, light pattern (on ms, off ms, on ms, ...; repeats; () is steady), sound when it begins
INDICATORS = {
    "idle": ("off", (), ""),
    "in-service": ("green", (50, 4950), ""),
    "no-network": ("red", (150, 150, 150, 1550), ""),
    "fault": ("red", (600, 300, 600, 300, 600, 1600), ""),
    "sending": ("yellow", (125, 125), "chirp"),
    "sent": ("yellow", (), "rising"),
    "answered": ("green", (), "three"),
    "undelivered": ("red", (125, 125, 125, 125, 125, 875), "low-triple"),
}

# name -> hertz, ms, hertz, ms, ...; 0 Hz is silence
SOUNDS = {
    "chirp": (2700, 80),
    "rising": (1800, 150, 2700, 250),
    "three": (2200, 150, 0, 80, 2200, 150, 0, 80, 2200, 300),
    "low-triple": (600, 300, 0, 150, 600, 300, 0, 150, 600, 300),
}


def lit(indicator: str, elapsed_ms: int) -> str:
    """The lamp's colour ("off", "red", "yellow", "green") `elapsed_ms` after `indicator` began."""
    colour, pattern, _ = INDICATORS[indicator]
    if not pattern:
        return colour
    at_ms = elapsed_ms % sum(pattern)
    on = True
    for part_ms in pattern:
        if at_ms < part_ms:
            return colour if on else "off"
        at_ms -= part_ms
        on = not on
    return "off"


def sound_of(indicator: str) -> str:
    """The sound that goes with the beginning of `indicator`, "" for none."""
    return INDICATORS[indicator][2]
