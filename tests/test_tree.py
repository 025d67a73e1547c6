"""The tree is the map: what stands at the top, and what may stand nowhere."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOP_LEVEL = {
    "firmware", "gateway", "backend", "hardware", "simulators", "tests", "README.md",
    "pyproject.toml", "Makefile", "constraints.txt", "LICENSE", "CHANGELOG.md", "DECISIONS.md", ".ci", ".gitignore",
}  # fmt: skip
DRAWERS = {"utils", "helpers", "common", "manager", "misc"}


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(line) for line in listing.splitlines() if (ROOT / line).exists()]


def test_the_top_level_is_the_customers():
    assert {path.parts[0] for path in tracked()} == TOP_LEVEL


def test_no_file_is_a_drawer():
    assert [path for path in tracked() if path.stem.lower() in DRAWERS] == []


def test_no_registry_host_and_no_private_path_is_written_down():
    host = re.compile(rb"pypi\.org|pythonhosted|deb\.debian\.org|registry\.npmjs|/root/|/work/")
    own = Path(__file__).relative_to(ROOT)
    assert [str(path) for path in tracked() if path != own and host.search((ROOT / path).read_bytes())] == []


def test_only_clocks_read_the_time_in_a_core():
    """STYLE rule 2: a pure core is told `now`; it opens no file and no socket either."""
    cores = ["firmware/lib/tocsin_wire", "firmware/lib/tocsin_device", "backend/tocsin_backend/domain"]
    forbidden = re.compile(
        r"^\s*(?:import|from) (?:time|random|socket|os|io|threading|sqlite3|sqlalchemy|sqlmodel)\b|\bopen\(", re.M
    )
    wrong = {}
    for core in cores:
        for path in (ROOT / core).rglob("*.py"):
            found = forbidden.findall(path.read_text(encoding="utf-8"))
            if found:
                wrong[str(path.relative_to(ROOT))] = found
    assert wrong == {}
