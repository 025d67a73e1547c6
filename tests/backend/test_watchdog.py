"""The watchdog's shell: it looks over real HTTP, and tells over a real webhook."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from backend_rig import HandClock
from hook_server import HookServer
from tocsin_backend import watchdog
from tocsin_backend.cli import main
from tocsin_backend.domain import watching
from tocsin_backend.domain.watching import Look
from tocsin_backend.errors import Misconfigured
from tocsin_backend.settings import SettingsError, read_settings


class Health:
    """A server whose /healthz says what the test sets."""

    def __init__(self) -> None:
        outer = self
        self.status, self.body = 200, b'{"engine": {"ok": true, "beat_age_ms": 5}}'

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(outer.status if self.path == "/healthz" else 404)
                if outer.status == 302:
                    self.send_header("Location", "http://127.0.0.1:1/stolen")
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def health() -> Iterator[Health]:
    made = Health()
    yield made
    made.close()


@pytest.fixture
def hook() -> Iterator[HookServer]:
    made = HookServer()
    yield made
    made.close()


def teller(lines: list[str]) -> watchdog.Teller:
    settings = read_settings({"TOCSIN_WEBHOOK_PRIVATE_NETWORKS": "127.0.0.0/8"})
    assert ip_network("127.0.0.0/8") in settings.webhook_private_networks
    return watchdog.Teller(lines, settings, HandClock(), "en")


def test_a_look_at_what_answers_well_badly_or_not_at_all(health: Health) -> None:
    address = watchdog.healthz_of(health.url)
    assert watchdog.look(address) == Look("")
    health.status, health.body = 503, b'{"engine": {"beat_age_ms": 1}, "database": {"ok": false}}'
    assert watchdog.look(address).why == "HTTP 503, failing: database, engine"
    health.status, health.body = 200, b"<html>hello"
    assert watchdog.look(address).why == "HTTP 200, without an engine's heartbeat"
    health.status = 302
    assert watchdog.look(address).why == "HTTP 302, without an engine's heartbeat"
    health.close()
    assert watchdog.look(address).why.startswith("no answer (")
    health.close = lambda: None  # type: ignore[method-assign]


def test_an_outage_is_told_and_its_end_too(hook: HookServer) -> None:
    telling = teller([f"{hook.url}/dog s3cret", "# a remark", ""])
    clock, stop = HandClock(), threading.Event()
    looks = iter([Look(""), Look("away"), Look("away"), Look("away"), Look("away"), Look("")])

    class Wait:
        def wait(self, _s: float) -> bool:
            clock.now += watching.EVERY_MS
            return stop.is_set()

    def see() -> Look:
        found = next(looks, None)
        if found is None:
            stop.set()
        return found or Look("")

    said: list[tuple[str, str]] = []
    watchdog.run(see, telling, clock, Wait(), lambda look, word: said.append((look.why, word.what if word else "")))  # type: ignore[arg-type]
    telling.close()
    assert [body["kind"] for _, _, body in hook.received] == ["watchdog-down", "watchdog-back"]
    assert hook.signed_by("s3cret") == [True, True]
    assert said == [
        ("", ""), ("away", ""), ("away", ""), ("away", "down"), ("away", ""), ("", "back"), ("", ""),
    ]  # fmt: skip


def test_what_nobody_took_is_said_again_with_the_next_look(hook: HookServer) -> None:
    def busy(handler: Any) -> None:
        handler.send_response(503)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    hook.answers["/dog"] = busy
    telling = teller([f"{hook.url}/dog s3cret"])
    clock, count = HandClock(), iter(range(6))

    class Wait:
        def wait(self, _s: float) -> bool:
            clock.now += watching.EVERY_MS
            if next(count) == 2:
                hook.answers.clear()
            return clock.now - START > 5 * watching.EVERY_MS

    START = clock.now
    watchdog.run(lambda: Look("away"), telling, clock, Wait(), lambda *_: None)  # type: ignore[arg-type]
    telling.close()
    kinds = [body["kind"] for _, _, body in hook.received]
    assert kinds == ["watchdog-down"] * (watchdog.TRIES + 1)


def test_a_bad_file_of_addresses_is_refused_whole(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as error:
        teller(["mailto:nobody", "gopher://x", "mailto:anne@example.org"])
    assert str(error.value).startswith("line 1: ")
    assert "; line 2: " in str(error.value)
    assert "gopher" not in str(error.value), "a line may hold a secret"
    with pytest.raises(Misconfigured, match="nobody to tell"):
        teller(["# nobody"])
    with pytest.raises(SettingsError, match="missing"):
        watchdog.read_lines(tmp_path / "none")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    binary.chmod(0o600)
    with pytest.raises(Misconfigured, match="UTF-8"):
        watchdog.read_lines(binary)


def test_the_file_of_addresses_is_nobody_else_s_and_checked_by_a_single_look_too(
    health: Health, hook: HookServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "watchdog.txt"
    words = ["watchdog", "--url", health.url, "--once", "--notify", str(file)]
    file.write_text(f"{hook.url}/dog s3cret\n")
    for mode in (0o640, 0o604):
        file.chmod(mode)
        assert main(words) == 3
        assert f"chmod 600 {file}" in capsys.readouterr().err
    file.chmod(0o600)
    assert main(words) == 0
    assert capsys.readouterr().out == "well\n"
    file.write_text("mailto:nobody\ngopher://x s3cret\n")
    assert main(words) == 3
    said = capsys.readouterr().err
    assert "line 1: " in said
    assert "; line 2: " in said
    assert "s3cret" not in said
    assert hook.received == [], "looking once tells nobody"


def test_the_command_looks_once(health: Health, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watchdog", "--url", health.url, "--once", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"well": True, "why": "", "told": None}
    health.status, health.body = 503, b'{"engine": {"beat_age_ms": 60000}}'
    assert main(["watchdog", "--url", health.url, "--once"]) == 1
    assert capsys.readouterr().out == "the engine's last beat is 60 s old\n"
    assert main(["watchdog", "--url", health.url]) == 3
    assert main(["watchdog", "--url", "tocsin.example", "--once"]) == 3
