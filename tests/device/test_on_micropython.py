"""The same tests, file by file, under the real MicroPython."""

import subprocess
from pathlib import Path

import pytest
from tocsin_sim import toolchain

HERE = Path(__file__).parent
FOLDERS = [str(HERE), str(HERE.parents[1] / "firmware" / "lib")]
MODULES = sorted(path.stem for path in HERE.glob("test_*.py") if path.stem != "test_on_micropython")


@pytest.mark.parametrize("module", MODULES)
def test_under_micropython(module):
    argv = [*toolchain.micropython(), str(HERE / "on_micropython.py"), *FOLDERS, "--", module]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" passed, 0 failed")
