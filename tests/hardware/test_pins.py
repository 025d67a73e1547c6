"""Pins: what the hardware's table names is what the firmware's profile uses, and the ESP32 allows it."""

import csv
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POSTS = sorted(path.parent.name for path in (ROOT / "hardware").glob("*/pins.csv"))

FLASH = range(6, 12)  # the module's own flash
STRAPPING = {0, 2, 5, 12, 15}  # read at reset: a pressed button would change how the chip boots
SERIAL = {1, 3}  # UART0: flashing and the console
WITHOUT_PULL_UP = range(34, 40)  # input-only, no internal pull
ERRATA_3_11 = {36, 39}  # 80 ns dips when Wi-Fi or the ADC wakes
EXIST = set(range(28)) - {20, 24} | {32, 33} | set(range(34, 40))


def pins_of_table(post: str) -> dict[str, tuple[int, str]]:
    with (ROOT / "hardware" / post / "pins.csv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: (int(row["gpio"]), row["direction"]) for row in csv.DictReader(file)}


def pins_of_profile(profile: dict) -> dict[str, tuple[int, str]]:
    found = {each["name"]: (each["pin"], "input") for each in profile["inputs"]}
    found |= {name: (pin, "output") for name, pin in profile["lamp"].items()}
    found["buzzer"] = (profile["buzzer"]["pin"], "output")
    return found


def illegal(pins: dict[str, tuple[int, str]], pulls: dict[str, str]) -> list[str]:
    """What the ESP32 does not allow, in words; `pulls`: the internal pull each input asks for."""
    wrong = []
    numbers = [gpio for gpio, _ in pins.values()]
    for name, (gpio, direction) in pins.items():
        if gpio not in EXIST:
            wrong.append(f"{name}: GPIO {gpio} does not exist")
        if gpio in FLASH or gpio in STRAPPING or gpio in SERIAL:
            wrong.append(f"{name}: GPIO {gpio} is the flash's, a strapping pin or the serial console")
        if gpio in WITHOUT_PULL_UP and (direction == "output" or pulls.get(name) != "none"):
            wrong.append(f"{name}: GPIO {gpio} is input-only and has no pull")
        if gpio in ERRATA_3_11:
            wrong.append(f"{name}: GPIO {gpio} dips (errata 3.11)")
        if numbers.count(gpio) > 1:
            wrong.append(f"{name}: GPIO {gpio} is used twice")
    return wrong


@pytest.mark.parametrize("post", POSTS)
def test_the_table_and_the_profile_agree_and_are_legal(post):
    profile = json.loads((ROOT / "firmware" / "profiles" / f"{post}.json").read_text(encoding="utf-8"))
    assert pins_of_table(post) == pins_of_profile(profile)
    assert illegal(pins_of_table(post), {each["name"]: each["pull"] for each in profile["inputs"]}) == []


@pytest.mark.parametrize("gpio", [0, 6, 12, 1, 20, 34, 36, 26])
def test_a_wrong_pin_is_caught(gpio):
    pins = pins_of_table("call_post") | {"call": (gpio, "input")}
    assert illegal(pins, {"call": "up"})


def test_there_is_a_post():
    assert "call_post" in POSTS
