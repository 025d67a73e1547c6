"""What a contact does, microsecond by microsecond, when a person presses it: pure waveforms for a board's inputs.

A wave is a list of (microseconds from now, closed).
"""

import random

Wave = list[tuple[int, bool]]

# name -> (bounces at closing, their longest µs, drop-outs while held, their longest µs): a clean laboratory contact,
# a new push button, and one that ten winters have worn.
BOUNCES = {"clean": (0, 0, 0, 0), "new": (4, 900, 0, 0), "worn": (14, 2500, 3, 4000)}


def closing(bounce: str, dice: random.Random) -> Wave:
    """The contact closes and stays closed."""
    count, longest_us, _, _ = BOUNCES[bounce]
    wave, at_us = [(0, True)], 0
    for _ in range(count):
        at_us += dice.randint(40, longest_us)
        wave.append((at_us, False))
        at_us += dice.randint(40, longest_us)
        wave.append((at_us, True))
    return wave


def opening(bounce: str, dice: random.Random) -> Wave:
    """The contact opens and stays open."""
    return [(at_us, not closed) for at_us, closed in closing(bounce, dice)]


def pressing(hold_ms: int, bounce: str, dice: random.Random) -> Wave:
    """A whole press: closed for `hold_ms`, with the drop-outs of that contact, then open."""
    wave = closing(bounce, dice)
    _, _, dropouts, longest_us = BOUNCES[bounce]
    settled_us, end_us = wave[-1][0] + 1000, hold_ms * 1000
    for _ in range(dropouts):
        start_us = dice.randint(settled_us, max(settled_us, end_us - longest_us - 1000))
        wave += [(start_us, False), (start_us + dice.randint(200, longest_us), True)]
        settled_us = wave[-1][0] + 1000
    end_us = max(end_us, settled_us)
    return wave + [(end_us + at_us, closed) for at_us, closed in opening(bounce, dice)]


def spike(width_us: int) -> Wave:
    """An electromagnetic burst's single pulse: nobody pressed."""
    return [(0, True), (width_us, False)]
