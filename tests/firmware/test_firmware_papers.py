"""The README's table, the mip manifest and the profile, against the code."""

import json
import re
from pathlib import Path

import pytest
from tocsin_device import lamp
from tocsin_device.probe import LONGEST_MS
from tocsin_wire import topics

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"

# ESP32: flash and ROM pins, straps that decide how the chip boots, and the two inputs of erratum 3.11 (they dip for
# 80 ns while Wi-Fi or the ADC runs). 34 to 39 have no pull resistors and cannot drive.
FLASH_PINS = {6, 7, 8, 9, 10, 11}
STRAPS = {0, 2, 5, 12, 15}
CONSOLE = {1, 3}
DIPPING = {36, 39}
INPUT_ONLY = set(range(34, 40))


def test_the_readmes_indicator_table_is_the_codes() -> None:
    rows = re.findall(
        r"^\| `([a-z-]+)` \| (\w+) \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", (FIRMWARE / "README.md").read_text(), re.M
    )
    shown = {}
    for state, colour, light, sound in rows:
        pattern = () if light == "steady" else tuple(int(part) for part in light.split(", "))
        notes = () if sound == "–" else tuple(int(part) for note in sound.split(", ") for part in note.split(" × "))
        shown[state] = (colour, pattern, notes)
    assert shown == {
        state: (colour, pattern, lamp.SOUNDS[sound] if sound else ())
        for state, (colour, pattern, sound) in lamp.INDICATORS.items()
    }


def test_the_mip_manifest_lists_exactly_the_files() -> None:
    manifest = json.loads((FIRMWARE / "package.json").read_text())
    there = sorted(path.relative_to(FIRMWARE).as_posix() for path in (FIRMWARE / "lib").glob("tocsin_*/*.py"))
    assert sorted(source for _, source in manifest["urls"]) == there
    assert all(source == f"lib/{target}" for target, source in manifest["urls"])
    about = (FIRMWARE / "lib" / "tocsin_esp32" / "about.py").read_text()
    assert f'FIRMWARE = "{manifest["version"]}"' in about


@pytest.mark.parametrize("path", sorted((FIRMWARE / "profiles").glob("*.json")), ids=lambda path: path.stem)
def test_a_profile_makes_sense(path: Path) -> None:
    profile = json.loads(path.read_text())
    assert profile["profile"] == path.stem
    pins = [row["pin"] for row in profile["inputs"]] + list(profile["lamp"].values()) + [profile["buzzer"]["pin"]]
    assert len(pins) == len(set(pins))
    assert not set(pins) & (FLASH_PINS | STRAPS | CONSOLE)
    assert not {*profile["lamp"].values(), profile["buzzer"]["pin"]} & INPUT_ONLY
    for row in profile["inputs"]:
        assert topics.is_name(row["name"])
        assert row["pin"] not in DIPPING
        assert row["active"] in ("low", "high"), "polarity is always stated"
        assert row["pull"] in ("up", "down", "none")
        assert row["pull"] == "none" or row["pin"] not in INPUT_ONLY
        assert 20 <= row["debounce_ms"] <= 40
        assert row["debounce_ms"] % 5 == 0
        assert row["stuck_ms"] >= 30000
        assert row["presses"] >= 1
        assert row["presses"] == 1 or row["within_ms"] > 0
        assert row["silent"] in (0, 1)
    assert 5000 <= profile["beat_period_ms"] <= 60000
    assert 3600000 <= profile["probe_period_ms"] <= LONGEST_MS
    assert profile["watchdog_ms"] >= 3 * 5000, "three times the longest connection attempt"
