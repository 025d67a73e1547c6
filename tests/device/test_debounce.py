"""Debounce is a safety parameter: a reduced form of the table that chose 8 samples of 5 ms.

Models: a worn contact is closed in 80 % of the milliseconds, at random, for 150 to 400 ms; an interference burst is
twelve pulses of 1 to 3 ms at random within 300 ms. Beside our button stand the two usual ways, to show that the table
still tells them apart.
"""

from device_bench import Dice
from tocsin_device.button import PRESS, Button

RUNS = 200


def worn_contact(dice):
    return [dice.chance(80) for _ in range(150 + dice.below(250))]


def burst(dice):
    levels = [False] * 300
    for _ in range(12):
        at = dice.below(300)
        for ms in range(at, min(300, at + 1 + dice.below(3))):
            levels[ms] = True
    return levels


def presses_of(levels, dice):
    """What our button makes of a contact whose level is known each millisecond."""
    button = Button("call")
    phase = dice.below(5)
    count = 0
    edge_ms = None
    levels = [False] * 20 + levels + [False] * 200
    for ms in range(1, len(levels)):
        if levels[ms] and not levels[ms - 1] and edge_ms is None:
            edge_ms = ms
        if ms % 5 == phase:
            if button.step(levels[ms], edge_ms, ms) == PRESS:
                count += 1
            edge_ms = None
    return count


def one_sample(levels, dice):
    return 1 if any(levels[ms] for ms in range(dice.below(50), len(levels), 50)) else 0


def delayed_on(levels, _dice):
    run = 0
    for level in levels:
        run = run + 1 if level else 0
        if run >= 50:
            return 1
    return 0


def test_worn_contacts_are_one_press_each_and_bursts_none():
    dice = Dice(20)
    worn = [presses_of(worn_contact(dice), dice) for _ in range(RUNS)]
    false = sum([1 for _ in range(RUNS) if presses_of(burst(dice), dice)])
    assert worn.count(1) == RUNS, worn
    assert false <= RUNS * 7 // 1000, false


def test_the_usual_ways_would_fail_the_same_table():
    dice = Dice(21)
    assert sum([one_sample(burst(dice), dice) for _ in range(RUNS)]) > RUNS * 20 // 100
    assert sum([delayed_on(worn_contact(dice), dice) for _ in range(RUNS)]) < RUNS * 20 // 100
