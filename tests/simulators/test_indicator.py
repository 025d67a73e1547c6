"""What the lamp says, read from its light alone, against DEVICE.md's table and against the firmware's own."""

import pytest
from tocsin_device import lamp
from tocsin_sim import indicator
from tocsin_sim.indicator import MS, IndicatorReader

# colour, (on ms, off ms, ...), what a person should read; each is played for twelve seconds
TABLE = [
    ("green", (50, 4950), "in service"),
    ("green", (80, 4920), "in service"),
    ("yellow", (125, 125), "sending"),
    ("yellow", (12000,), "sent"),
    ("green", (12000,), "answered"),
    ("red", (125, 125, 125, 125, 125, 875), "not delivered"),
    ("red", (150, 150, 150, 1550), "no network"),
    ("red", (600, 300, 600, 300, 600, 1600), "fault"),
    ("off", (12000,), "starting"),
    # Not in the table: nothing may be read into them.
    ("red", (12000,), "starting"),
    ("red", (50, 2000), "starting"),
]


def play(reader: IndicatorReader, start_ns: int, colour: str, pattern: tuple[int, ...], lasts_ms: int) -> int:
    at_ns, end_ns, step = start_ns, start_ns + lasts_ms * MS, 0
    while at_ns < end_ns:
        reader.light(at_ns, "off" if step % 2 else colour)
        at_ns += pattern[step % len(pattern)] * MS
        step += 1
    reader.advance(end_ns)
    return end_ns


@pytest.mark.parametrize(("colour", "pattern", "state"), TABLE)
def test_table(colour: str, pattern: tuple[int, ...], state: str) -> None:
    reader = IndicatorReader()
    reader.power(0, on=True)
    play(reader, 1000 * MS, colour, pattern, 12000)
    assert reader.state == state
    assert state == "starting" or reader.began(state, 0) == 1000 * MS


@pytest.mark.parametrize("name", sorted(lamp.INDICATORS))
def test_the_firmwares_own_table_is_understood(name: str) -> None:
    said = {"idle": "starting", "in-service": "in service", "no-network": "no network", "undelivered": "not delivered"}
    reader = IndicatorReader()
    reader.power(0, on=True)
    for elapsed_ms in range(0, 12000, 5):
        reader.light(elapsed_ms * MS, lamp.lit(name, elapsed_ms))
    assert reader.advance(12000 * MS) == said.get(name, name)


def test_a_press_from_blink_to_answer() -> None:
    reader = IndicatorReader()
    reader.power(0, on=True)
    at_ns = play(reader, 0, "green", (50, 4950), 10000)
    at_ns = play(reader, at_ns, "yellow", (125, 125), 1000)
    at_ns = play(reader, at_ns, "yellow", (3000,), 3000)
    at_ns = play(reader, at_ns, "green", (4000,), 4000)
    play(reader, at_ns, "green", (50, 4950), 10000)
    assert [state for _, state in reader.changes] == [
        "starting",
        "in service",
        "sending",
        "sent",
        "answered",
        "in service",
    ]
    assert reader.began("sent", 0) == 11000 * MS
    assert reader.began("answered", 0) == 14000 * MS


def test_the_rising_tones_date_a_lamp_that_was_already_lit() -> None:
    reader = IndicatorReader()
    reader.power(0, on=True)
    reader.light(1000 * MS, "yellow")
    reader.sound(1003 * MS, indicator.RISING_HZ)
    reader.advance(2000 * MS)
    assert reader.began("sending", 0) == 1000 * MS
    assert reader.began("sent", 0) == 1003 * MS


def test_power_forgets_everything() -> None:
    reader = IndicatorReader()
    reader.power(0, on=True)
    reader.light(MS, "green")
    reader.power(100 * MS, on=False)
    assert reader.advance(60_000 * MS) == "off"
