"""A board that replaces another begins at the boot counter its credentials name."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest


class Nvs:
    """Non-volatile storage, empty on a new board."""

    stored: ClassVar[dict[str, int]] = {}

    def __init__(self, _space: str) -> None:
        pass

    def get_i32(self, key: str) -> int:
        if key not in self.stored:
            raise OSError
        return self.stored[key]

    def set_i32(self, key: str, value: int) -> None:
        self.stored[key] = value

    def commit(self) -> None:
        pass


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules `boots` and `settings` over a flash and an NVS that are empty."""
    for name, values in {
        "machine": {},
        "esp32": {"NVS": Nvs},
        "micropython": {"const": lambda value: value},
    }.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("storage", "boots", "settings"):
        monkeypatch.delitem(sys.modules, f"tocsin_esp32.{name}", raising=False)
    found = ModuleType("board")
    found.boots = importlib.import_module("tocsin_esp32.boots")
    found.settings = importlib.import_module("tocsin_esp32.settings")
    monkeypatch.setattr(found.boots, "COUNTER", str(tmp_path / "boots"))
    monkeypatch.setattr(Nvs, "stored", {})
    yield found
    for name in ("storage", "boots", "settings"):
        sys.modules.pop(f"tocsin_esp32.{name}", None)


def test_a_new_board_begins_at_the_floor_and_goes_on_from_there(board: Any) -> None:
    assert board.boots.next_boot(1812) == (1812, True)
    assert board.boots.next_boot(1812) == (1813, True)
    assert board.boots.next_boot(0) == (1814, True)


def test_a_board_that_is_above_the_floor_goes_on(board: Any) -> None:
    Nvs.stored["boot"] = 5000
    assert board.boots.next_boot(1812) == (5001, True)
    assert board.boots.next_boot() == (5002, True)


@pytest.mark.parametrize(
    ("boot", "floor"), [(1812, 1812), (None, 0), ("1812", 0), (-1, 0), (1 << 30, 0), (1.5, 0), ([], 0)]
)
def test_the_floor_is_read_from_the_credentials_and_nonsense_is_none(
    board: Any, monkeypatch: pytest.MonkeyPatch, boot: object, floor: int
) -> None:
    files = {"/cred.json": {"boot": boot, "profile": "call_post"}, "/profiles/call_post.json": {"inputs": []}}
    monkeypatch.setattr(board.settings.storage, "read_json", lambda path: json.loads(json.dumps(files.get(path))))
    assert board.settings.Settings().boot_floor == floor
