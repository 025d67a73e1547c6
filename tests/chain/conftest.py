"""The chain's tests share their campaign with `make soak`: what stands in this folder is imported by name."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chain_system import System


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One system for the tests of a module: real broker, gateway, backend, one real board."""
    made = System(tmp_path_factory.mktemp("system"))
    try:
        made.start()
        yield made
    finally:
        made.close()
