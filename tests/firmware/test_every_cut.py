"""Bar 4: a power cut at every flash program and erase, torn three ways: no acknowledged press lost, no boot refused.

The journal and the boot counter are the firmware's own, on the real MicroPython and the real littlefs; the flash is RAM
under NOR rules. The recovering boot is cut at each of its own operations too. What NVS holds survives, or not.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tocsin_sim import toolchain
from tocsin_sim.board import STAND_INS

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
SCRIPT = Path(__file__).with_name("every_cut_script.py")
TEARS = 3


def run(bug: str, nvs: str, days: int) -> dict[str, Any]:
    done = subprocess.run(
        [*toolchain.micropython(), "-X", "heapsize=4m", str(SCRIPT), bug, nvs, str(days)],
        env={**os.environ, "MICROPYPATH": f"{FIRMWARE / 'lib'}:.frozen:{STAND_INS}"},
        capture_output=True,
        text=True,
        timeout=170,
    )
    last = done.stdout.strip().splitlines()[-1:] or [""]
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return json.loads(last[0])


@pytest.mark.parametrize(("nvs", "days"), [("kept", 6), ("lost", 4)])
def test_every_cut(nvs: str, days: int) -> None:
    found = run("none", nvs, days)
    assert found["violations"] == []
    assert found["operations"] == found["programs"] + found["erases"]
    assert found["programs"] > 60
    assert found["erases"] > 0
    assert found["spoiled"] == 0
    # Each operation of the life is cut in three ways, and the boot after it again at its own operations.
    assert found["cases"] > TEARS * found["operations"]
    assert found["second_cuts"] > found["operations"]


@pytest.mark.parametrize(
    ("bug", "nvs", "sees"),
    [
        ("acknowledges-before-flush", "kept", "changed"),
        ("leftover-stops-boot", "kept", "refused"),
        ("counter-removed-first", "lost", "reused"),
    ],
)
def test_a_planted_bug_is_seen(bug: str, nvs: str, sees: str) -> None:
    assert any(sees in violation for violation in run(bug, nvs, 2)["violations"])
