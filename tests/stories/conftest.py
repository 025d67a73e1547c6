import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "backend"))
sys.path.insert(0, str(Path(__file__).parent))

from backend_rig import SCREEN, Post, Rig, steps, who
from town import ANNE, BOB, CARL, POLICE


@pytest.fixture
def rig(tmp_path: Path, database_url: str) -> Iterator[Rig]:
    made = Rig(tmp_path, url=database_url)
    yield made
    made.close()


@pytest.fixture
def town(rig: Rig) -> Rig:
    """Anne first, Bob after 30 s, Carl (by mail) after 60 s more; then Carl again every 2 minutes."""
    rig.person("anne", webhook=ANNE)
    rig.person("bob", webhook=BOB)
    rig.person("carl", email=CARL)
    rig.person("police", webhook="!" + POLICE)
    rig.policy(steps((30, [SCREEN, who("anne")]), (60, [who("bob")]), (120, [who("carl")]), answer_timeout_ms=600_000))
    return rig


@pytest.fixture
def post(town: Rig) -> Post:
    made = town.post("bau-1", policy="plan")
    made.birth()
    return made
