"""`make run` itself: unattended it proves itself; interactive it starts again in seconds and leaves nothing behind."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.chain, pytest.mark.timeout(300)]
STOPS_WITHIN_S = 5  # 3 s on a machine that does nothing else


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "run"


def demo(folder: Path, *words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", "import sys; from tocsin_sim.cli import main; sys.exit(main())", "demo"]
    return subprocess.Popen(
        [*argv, "--folder", str(folder), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def processes_of(folder: Path) -> list[str]:
    """The command lines or working folders of every process that belongs to a demo in `folder`, but the demo itself."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            place = str((entry / "cwd").readlink())
        except OSError:
            continue
        if place.startswith(str(folder)):
            found.append(place)
    return found


def test_unattended_every_press_becomes_one_alert(folder: Path):
    report = folder.parent / "report.json"
    process = demo(folder, "--seconds", "8", "--seed", "5", "--report", str(report))
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said[-3000:]
    figures = json.loads(report.read_text())
    assert figures["presses"] == figures["stored"] == figures["alerts"] == figures["answered"] >= 12
    assert (figures["lost"], figures["duplicates"], figures["boards"], figures["seed"]) == (0, 0, 12, 5)
    assert figures["interpreter"].startswith("micropython ")
    for name in ("lamp_sent_ms", "dispatch_ms", "lamp_answered_ms"):
        assert list(figures[name]) == ["p50", "p95", "p99"]
    assert set(figures) == {
        "presses", "stored", "alerts", "lost", "duplicates", "answered", "lamp_sent_ms", "dispatch_ms",
        "lamp_answered_ms", "boards", "interpreter", "umqtt", "seed",
    }  # fmt: skip
    assert processes_of(folder) == []
    logins = folder / "logins.json"
    assert logins.stat().st_mode & 0o077 == 0


def read_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """The lines up to the first that holds these words."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError("".join(lines))


def test_a_second_start_keeps_the_fleet_and_ctrl_c_leaves_nothing(folder: Path):
    before = json.loads((folder / "logins.json").read_text())
    process = demo(folder)
    lines = read_until(process, "Ctrl-C stops everything")
    assert any(before["camille"] in line for line in lines), "the same login as last time"
    assert not any("first start" in line for line in lines)
    rival = demo(folder)
    said, _ = rival.communicate(timeout=60)
    assert rival.returncode == 1
    assert "another demo is running" in said
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert time.monotonic() - began < STOPS_WITHIN_S
    assert processes_of(folder) == []


def test_a_killed_demo_leaves_no_orphan(folder: Path):
    process = demo(folder)
    read_until(process, "Ctrl-C stops everything")
    assert processes_of(folder)
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 10
    while processes_of(folder):
        assert time.monotonic() < deadline, processes_of(folder)
        time.sleep(0.05)
