"""What is fetched, from where, and what is said when it cannot be."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tocsin_sim import toolchain

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main
Signed-By: /usr/share/keyrings/some.gpg

Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abcd

Types: deb
URIs: http://mirror.example/other
Suites: stable-of-someone-else
Components: main

Enabled: no
Types: deb
URIs: http://mirror.example/off
Suites: bookworm
Components: main
"""
ONE_LINE = """\
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib
deb-src http://mirror.example/debian bookworm main
# deb http://mirror.example/debian bookworm-updates main
deb http://mirror.example/vendor vendor-suite main
deb http://mirror.example/debian stable-updates main
"""


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    tools = (toolchain.micropython, toolchain.umqtt_simple)
    for tool in tools:
        tool.cache_clear()
    yield
    for tool in tools:
        tool.cache_clear()


def test_both_source_formats_change_suite_and_nothing_else(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text(ONE_LINE)
    (parts / "debian.sources").write_text(DEB822)
    (parts / "vendor.list").write_text("deb http://mirror.example/vendor vendor-suite main\n")
    found = toolchain.rewritten_sources(tmp_path, "bookworm", "trixie")
    assert sorted(found) == ["debian.sources", "sources-line.list"]
    assert found["sources-line.list"] == (
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian trixie main contrib\n"
        "deb http://mirror.example/debian trixie-updates main\n"
    )
    first, second = found["debian.sources"].split("\n\n")
    assert "Suites: trixie trixie-updates\n" in first + "\n"
    assert "Signed-By: /usr/share/keyrings/some.gpg" in first
    assert "URIs: http://mirror.example/security" in second
    assert " abcd" in second
    plain = toolchain.without_signed_by(found)
    assert "igned-" not in "".join(plain.values())
    assert " abcd" not in plain["debian.sources"]
    assert "URIs: http://mirror.example/debian" in plain["debian.sources"]


def test_the_interpreter_is_real_and_recent() -> None:
    assert toolchain.interpreter_version(toolchain.micropython()) >= toolchain.OLDEST_MICROPYTHON


def test_a_second_call_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    first = toolchain.micropython(), toolchain.umqtt_simple()
    toolchain.micropython.cache_clear()
    toolchain.umqtt_simple.cache_clear()

    def refuse(*_: object) -> str:
        raise AssertionError("a tool that is there was fetched again")

    monkeypatch.setattr(toolchain, "_run", refuse)
    assert (toolchain.micropython(), toolchain.umqtt_simple()) == first


def test_umqtt_is_the_published_file() -> None:
    source = toolchain.umqtt_simple() / "umqtt" / "simple.py"
    assert hashlib.sha256(source.read_bytes()).hexdigest() == toolchain.UMQTT_SOURCE_SHA256


def test_a_changed_umqtt_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_TOOLCHAIN", str(tmp_path))
    source = tmp_path / f"umqtt.simple-{toolchain.UMQTT_VERSION}" / "umqtt" / "simple.py"
    source.parent.mkdir(parents=True)
    source.write_text("# something else\n")
    with pytest.raises(toolchain.ToolchainError, match=r"is not umqtt.simple 1\.3\.4: delete "):
        toolchain.umqtt_simple()


@pytest.mark.parametrize("said", [sys.executable, "/no/such/program"])
def test_a_wrong_override_says_so(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_MICROPYTHON", said)
    with pytest.raises(
        toolchain.ToolchainError, match=r"TOCSIN_MICROPYTHON=.* is not a MicroPython: MicroPython 1\.24"
    ):
        toolchain.micropython()


def test_without_apt_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_TOOLCHAIN", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("TOCSIN_MICROPYTHON", raising=False)
    with pytest.raises(toolchain.ToolchainError, match="install a micropython yourself and put its path in TOCSIN"):
        toolchain.micropython()
    assert list(tmp_path.iterdir()) == []


def test_without_network_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_TOOLCHAIN", str(tmp_path))
    monkeypatch.setattr(toolchain, "_run", lambda *_: "E: Temporary failure resolving 'mirror'")
    monkeypatch.setattr(toolchain, "rewritten_sources", lambda *_: {"a.list": "deb http://mirror.example x main\n"})
    monkeypatch.setattr(toolchain.shutil, "which", lambda name: None if name == "micropython" else f"/usr/bin/{name}")
    monkeypatch.delenv("TOCSIN_MICROPYTHON", raising=False)
    with pytest.raises(toolchain.ToolchainError, match=r"Temporary failure .*: connect to the network, or install"):
        toolchain.micropython()
    with pytest.raises(toolchain.ToolchainError, match=r"could not be fetched by pip .*Temporary failure"):
        toolchain.umqtt_simple()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TOCSIN_TOOLCHAIN", str(tmp_path / "file" / "below"))
    with pytest.raises(toolchain.ToolchainError, match=r"below cannot be written .* name another in TOCSIN_TOOLCHAIN"):
        toolchain.umqtt_simple()
