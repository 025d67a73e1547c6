"""kill -9 of a real process at each point between the decision and its record: at least one notice, same id, marked."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from backend_rig import Rig, steps, who
from hook_server import HookServer

CHILD = Path(__file__).parent / "crash_child.py"


@pytest.fixture
def server() -> Iterator[HookServer]:
    made = HookServer()
    yield made
    made.close()


def child(url: str, envelope: Path, fault: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CHILD), url, str(envelope), fault], capture_output=True, text=True, timeout=60, check=False
    )


# fault point -> how often the notice is received in all, and whether the last one says that it may be a duplicate
POINTS = {
    "after-commit": (1, True),
    "before-send": (1, True),
    "after-send": (2, True),
    "before-record": (2, True),
    "in-record": (2, True),
    "after-record": (1, False),
}


@pytest.mark.parametrize("fault", POINTS)
def test_a_killed_sender_loses_no_notice(tmp_path: Path, server: HookServer, fault: str) -> None:
    rig = Rig(tmp_path)
    rig.person("anne", webhook=f"{server.url}/anne")
    rig.policy(steps((600, [who("anne")])))
    envelope = tmp_path / "envelope.json"
    envelope.write_text(json.dumps(rig.post("bau-1", policy="plan").press_envelope()))
    rig.close()

    assert child(rig.url, envelope, fault).returncode == -9
    second = child(rig.url, envelope, "none")
    assert second.returncode == 0, second.stderr
    [answer] = json.loads(second.stdout)
    assert answer["r"] == "duplicate", "what was accepted before the kill is there after it"

    notices = [body for path, _, body in server.received if path == "/anne"]
    times, maybe_dup = POINTS[fault]
    assert len(notices) == times
    assert len({notice["id"] for notice in notices}) == 1
    assert notices[-1]["maybe_dup"] is maybe_dup
    rig.database = type(rig.database)(rig.url)
    assert rig.sql("SELECT status, maybe_dup, attempts FROM dispatch") == [("handed", int(maybe_dup), 1)]
    assert rig.sql("SELECT count(*) FROM alert") == [(1,)]
    rig.close()
