"""The virtual flash keeps NOR's rules, and tears as the every-cut test says it does."""

import os
import subprocess
from pathlib import Path

from tocsin_sim import toolchain
from tocsin_sim.board import STAND_INS


def test_nor_rules() -> None:
    done = subprocess.run(
        [*toolchain.micropython(), str(Path(__file__).with_name("flash_script.py"))],
        env={**os.environ, "MICROPYPATH": f"{STAND_INS}:.frozen"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout.strip() == "passed", done.stdout + done.stderr
