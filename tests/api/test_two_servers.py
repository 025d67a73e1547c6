"""Two servers on one PostgreSQL: what is done at one is seen at the other at once, in streams, gateways and caches."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from postgres_server import PostgresServer
from tocsin_backend.api import gateway
from tocsin_backend.api.context import COOKIE
from tocsin_backend.console import stream
from tocsin_backend.ingest import judging

from .conftest import House

WITHIN_S = 10.0  # what takes milliseconds; the slow re-looks are put off far beyond


@pytest.fixture
def streams() -> Iterator[list["Lines"]]:
    """The streams that a test opened, read to their end once the servers have stopped."""
    opened: list[Lines] = []
    yield opened
    for each in opened:
        each.join(10)
        assert not each.is_alive()
        each.close()


@pytest.fixture
def pair(
    tmp_path: Path,
    postgres: PostgresServer,
    postgres_template: str,
    monkeypatch: pytest.MonkeyPatch,
    streams: list["Lines"],
) -> Iterator[tuple[House, House]]:
    """Two servers whose slow re-looks are a quarter of an hour away: only a notification can tell one of the other."""
    monkeypatch.setattr(stream, "REREAD_MS", 900_000)
    monkeypatch.setattr(gateway, "ALIVE_S", 900.0)
    monkeypatch.setattr(judging, "REREAD_MS", 900_000)
    monkeypatch.setattr(judging, "CARD_TTL_MS", 900_000)
    url = postgres.create(postgres_template)
    first = House(tmp_path, url)
    second = first.annex()
    first.start()
    second.start()
    yield first, second
    second.stop()
    first.stop()
    postgres.drop(url)


class Lines(threading.Thread):
    """The lines of an open stream, read in a thread."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._client = httpx.Client(timeout=30)
        self._url, self._headers = url, headers
        self.start()

    def run(self) -> None:
        try:
            with self._client.stream("GET", self._url, headers=self._headers) as answer:
                for line in answer.iter_lines():
                    self.lines.append(line)
        except (httpx.HTTPError, OSError):
            self.lines.append("ended")

    def close(self) -> None:
        self._client.close()

    def wait_for(self, condition: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            found = [line for line in list(self.lines) if condition(line)]
            if found:
                return found[0]
            time.sleep(0.005)
        raise AssertionError(f"not within {WITHIN_S} s; heard {self.lines[-5:]}")


def test_a_press_at_one_server_shows_in_the_live_stream_of_the_other(
    pair: tuple[House, House], streams: list[Lines]
) -> None:
    first, second = pair
    console = Lines(f"{second.url}/console/live", {"Cookie": f"{COOKIE}={second.token('supervisor-demo')}"})
    streams.append(console)
    console.wait_for(lambda line: line.startswith("retry:"))
    alert = first.press()
    console.wait_for(lambda line: alert in line)
    answer = first.ask("POST", f"/api/v1/alerts/{alert}/answer", "supervisor-demo", json={"epoch": 1})
    assert answer.json()["outcome"] == "won"
    console.wait_for(lambda line: alert in line and "supervisor demo" in line)


def test_a_lamp_order_decided_at_one_server_goes_down_through_the_gateway_of_the_other(
    pair: tuple[House, House], streams: list[Lines]
) -> None:
    first, second = pair
    headers = {"Authorization": f"Bearer {first.gateways['demo']['token']}"}
    down = Lines(f"{second.url}/api/v1/gateway/downlink?after=0", headers)
    streams.append(down)
    down.wait_for(lambda line: "alive" in line)
    alert = first.press()
    outcome = first.ask("POST", f"/api/v1/alerts/{alert}/answer", "supervisor-demo", json={"epoch": 1}).json()
    assert outcome["outcome"] == "won"
    row: dict[str, Any] = json.loads(down.wait_for(lambda line: "topic" in line))
    assert row["topic"] == first.devices["demo"]["topics"]["ack"]


def test_a_key_given_at_one_server_is_good_at_the_other_at_once(pair: tuple[House, House]) -> None:
    first, second = pair
    assert second.forward([second.envelope()]).json()["answers"][0]["r"] == "stored"
    fresh = first.parts.registrar.rekey_device("demo", "post-demo")
    second.devices["demo"] = fresh
    deadline = time.monotonic() + WITHIN_S
    while second.forward([second.envelope()]).json()["answers"][0]["r"] != "stored":
        assert time.monotonic() < deadline
