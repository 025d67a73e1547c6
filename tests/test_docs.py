"""The documents say what is there: links resolve, make targets and commands exist, every part has its README."""

import argparse
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def documents() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in listing.splitlines() if (ROOT / line).exists()]


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    broken = [t for t in targets if not re.match(r"[a-z]+:", t) and not (path.parent / t).exists()]
    assert broken == []


def test_every_part_has_its_readme():
    parts = ["firmware", "gateway", "backend", "hardware", "simulators", "tests"]
    assert [part for part in parts if not (ROOT / part / "README.md").exists()] == []


def test_every_make_target_that_a_document_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in documents():
        named = set(re.findall(r"`make ([a-z]+)", path.read_text(encoding="utf-8")))
        named |= set(re.findall(r"^make ([a-z]+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= targets, f"{path}: {named - targets}"


def commands(parser: argparse.ArgumentParser) -> dict[str, dict]:
    """The tree of a program's subcommands."""
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                found[name] = commands(child)
    return found


def test_every_command_that_a_document_names_exists():
    from tocsin_backend import cli as backend
    from tocsin_sim import cli as simulator

    known = {"tocsin": commands(backend.build_parser()), "tocsin-sim": commands(simulator.build_parser())}
    wrong = []
    for path in documents():
        text = path.read_text(encoding="utf-8")
        spans = re.findall(r"`([^`\n]+)`", text) + [
            line for block in re.findall(r"```(?:sh|console)\n(.*?)```", text, re.DOTALL) for line in block.splitlines()
        ]
        for span in spans:
            words = span.removeprefix("$ ").removeprefix(".venv/bin/").split()
            if words and words[0] in known and len(words) > 1:
                here = known[words[0]]
                for word in words[1:]:
                    if not re.fullmatch(r"[a-z][a-z-]*", word) or not here:
                        break
                    if word not in here:
                        wrong.append(f"{path.relative_to(ROOT)}: {span}")
                        break
                    here = here[word]
    assert wrong == []
