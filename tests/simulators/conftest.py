"""Boards for the tests of the virtual board: with a program of the test's own, or with the real firmware."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tocsin_sim.board import Board

sys.path.insert(0, str(Path(__file__).parent))  # lone_broker, shared by the tests of this folder

from lone_broker import LoneBroker, credentials


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[[str], Board]]:
    """program(source): a board that runs that main.py instead of the firmware; switched off at the end."""
    made: list[Board] = []

    def make(source: str) -> Board:
        files = {"boot.py": b"", "main.py": source.encode()}
        board = Board.create(tmp_path / f"board-{len(made)}", credentials("bench-1", 1), extra_files=files)
        made.append(board)
        return board

    yield make
    for board in made:
        board.close()


@pytest.fixture
def broker() -> Iterator[LoneBroker]:
    with LoneBroker() as running:
        yield running


@pytest.fixture
def post(tmp_path: Path, broker: LoneBroker) -> Iterator[Board]:
    """A board with the real firmware, in service with the broker of this test."""
    with Board.create(tmp_path / "post", credentials("bau-1", broker.port)) as board:
        board.power_on()
        assert board.wait_for_state("in service", 20), board.console()
        yield board
