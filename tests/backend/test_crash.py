"""kill -9 of a real process, anywhere between a press and the record of its notice: at least one notice, one id.

The line test spreads its kills over the lines that stand in between, from a place that the seed says, on both
databases. TOCSIN_TEST_CRASH_EVERY=1 kills before each one.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backend_rig import Rig, steps, who
from hook_server import HookServer

CHILD = Path(__file__).parent / "crash_child.py"
LEASE_MS = 10_000
LINE_RUNS = 12  # a database; a whole pass is some 400 lines
SEED = random.SystemRandom().randrange(10_000)


@pytest.fixture
def server() -> Iterator[HookServer]:
    made = HookServer()
    yield made
    made.close()


class Forge:
    """Backend processes on demand, each one forked from one that has imported everything."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, rig: Rig, envelope: dict[str, Any], fault: str, ahead_ms: int = 0) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        job = {"url": rig.url, "envelope": envelope, "fault": fault, "ahead_ms": ahead_ms}
        print(json.dumps(job), file=self.process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge()
    yield made
    made.close()


def furnish(rig: Rig, server: HookServer, posts: int = 1) -> list[dict[str, Any]]:
    """A person with a webhook, and one press of each of so many posts."""
    rig.person("anne", webhook=f"{server.url}/anne")
    rig.policy(steps((600, [who("anne")])))
    return [rig.post(f"bau-{number}", policy="plan").press_envelope() for number in range(posts)]


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
def test_a_killed_sender_loses_no_notice(rig: Rig, server: HookServer, forge: Forge, fault: str) -> None:
    [envelope] = furnish(rig, server)
    assert forge.run(rig, envelope, fault)["status"] == -9
    second = forge.run(rig, envelope, "none", LEASE_MS)
    assert second["status"] == 0, second
    assert second["said"][0]["r"] == "duplicate", "what was accepted before the kill is there after it"

    notices = [body for path, _, body in server.received if path == "/anne"]
    times, maybe_dup = POINTS[fault]
    assert len(notices) == times
    assert len({notice["id"] for notice in notices}) == 1
    assert notices[-1]["maybe_dup"] is maybe_dup
    assert rig.sql("SELECT status, maybe_dup, attempts FROM dispatch") == [("handed", int(maybe_dup), 1)]
    assert rig.sql("SELECT count(*) FROM alert") == [(1,)]


def test_killed_at_any_line_it_loses_no_notice(rig: Rig, server: HookServer, forge: Forge) -> None:
    print("seed", SEED)
    [first, *envelopes] = furnish(rig, server, 1 + 600)
    whole = forge.run(rig, first, "none")
    assert whole["status"] == 0, whole
    lines = whole["lines"]
    assert 100 < lines < len(envelopes)
    every = int(os.environ.get("TOCSIN_TEST_CRASH_EVERY") or lines // LINE_RUNS)
    killed = 0
    for line, envelope in zip(range(1 + SEED % every, lines, every), envelopes, strict=False):
        server.received.clear()
        died = forge.run(rig, envelope, f"line {line}")
        # Threads do not run in the same order twice: the last lines may not be reached.
        assert died["status"] in (-9, 0), (line, died)
        killed += died["status"] == -9
        second = forge.run(rig, envelope, "none", LEASE_MS)
        assert second["status"] == 0, (line, second)
        alert = second["said"][0]["alert"]
        notices = [body for _, _, body in server.received if body["alert"]["id"] == alert]
        assert 1 <= len(notices) <= 2, (line, notices)
        assert len({notice["id"] for notice in notices}) == 1, line
        assert len(notices) == 1 or notices[1]["maybe_dup"], line
        assert rig.sql("SELECT status FROM dispatch WHERE alert_id=?", alert) == [("handed",)], line
    assert killed > 0.8 * len(range(1 + SEED % every, lines, every))
