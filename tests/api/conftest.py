"""A whole backend in this process: two organisations, people of every role, a post and a gateway each."""

import base64
import copy
import threading
import time
from pathlib import Path

import httpx
import pytest
from postgres_server import fresh_databases
from tocsin_backend.app import create_app, listen, server
from tocsin_backend.domain.rights import ROLES
from tocsin_backend.enrolment import SiteDetails, write_private
from tocsin_backend.settings import read_settings
from tocsin_wire import messages, signing

PASSWORD = "correct horse battery staple"
ORGS = ("demo", "other")


class House:
    """The backend, its credentials, and the few things a test does with them."""

    def __init__(self, folder: Path, database_url: str = "") -> None:
        self.folder = folder
        write_private(folder / "secret", "0123456789abcdef" * 4)
        environment = {
            "TOCSIN_DATA": str(folder),
            "TOCSIN_DATABASE_URL": database_url,
            "TOCSIN_METRICS_NETWORKS": "127.0.0.1/32",
            "TOCSIN_BROKER_KIND": "none",
            "TOCSIN_PORT": "0",
        }
        self.settings = read_settings(environment)
        self.app = create_app(self.settings)
        self.parts = self.app.state.services
        desk = self.parts.registrar
        self.devices: dict[str, dict] = {}
        self.gateways: dict[str, dict] = {}
        for org in ORGS:
            desk.add_organisation(org, f"Organisation {org}")
            desk.add_site(org, "lycee", SiteDetails(name=f"Lycée {org}"))
            for role in ROLES:
                desk.add_person(org, f"{role}-{org}", f"{role} {org}", role, PASSWORD, "fr", [])
            self.devices[org] = desk.add_device(org, "lycee", "call_post", f"post-{org}")
            self.gateways[org] = desk.add_gateway(org, f"gw-{org}")
        self._n = 0
        self._tokens: dict[str, str] = {}

    def annex(self) -> "House":
        """A second server on the same database, to be started and stopped by itself."""
        other = copy.copy(self)
        other.app = create_app(self.settings)
        other.parts = other.app.state.services
        return other

    def start(self) -> None:
        listener = listen(self.settings)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.server = server(self.app, self.settings)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]})
        self.thread.start()
        deadline = time.monotonic() + 20
        while not self.server.started and self.thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self.server.started
        self.client = self.browser("127.0.0.1")

    def browser(self, address: str) -> httpx.Client:
        """A client with cookies of its own, which comes from an address of the loopback network."""
        return httpx.Client(base_url=self.url, transport=httpx.HTTPTransport(local_address=address), timeout=20)

    def stop(self) -> None:
        self.client.close()
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()

    def token(self, login: str) -> str:
        """A session token of a person, opened once."""
        if login not in self._tokens:
            answer = self.client.post("/api/v1/login", json={"login": login, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
            self.client.cookies.clear()
            self._tokens[login] = answer.json()["token"]
        return self._tokens[login]

    def ask(self, method: str, path: str, login: str | None = None, **more):
        """A request with a person's token, or with nobody's."""
        headers = {"Authorization": f"Bearer {self.token(login)}"} if login else {}
        return self.client.request(method, path, headers=headers, **more)

    def frame(self, org: str, channel: str, message: dict) -> tuple[str, str]:
        """(topic, frame in base64) of a message of the organisation's post."""
        credentials = self.devices[org]
        topic = credentials["topics"][channel]
        key = signing.key_from_text(credentials["key"])
        return topic, base64.b64encode(messages.seal(topic, message, credentials["kid"], key)).decode()

    def press_message(self, n: int | None = None) -> dict:
        if n is None:
            self._n += 1
            n = self._n
        signal = {"v": 1, "b": 7, "n": n, "t": 0, "q": "none", "age": 40, "try": 1}
        return signal | {"k": "press", "in": "call", "held": 35, "mode": "real"}

    def envelope(self, org: str = "demo", message: dict | None = None, channel: str = "alert", number: int = 1) -> dict:
        topic, frame = self.frame(org, channel, message or self.press_message())
        now_ms = time.time_ns() // 1_000_000
        return {
            "id": number,
            "topic": topic,
            "frame": frame,
            "at_ms": now_ms,
            "held_ms": now_ms,
            "retained": 0,
            "dup": 0,
        }

    def forward(self, envelopes: list, org: str = "demo"):
        """What the organisation's gateway hears when it forwards these."""
        headers = {"Authorization": f"Bearer {self.gateways[org]['token']}"}
        return self.client.post("/api/v1/gateway/envelopes", json={"envelopes": envelopes}, headers=headers)

    def press(self, org: str = "demo") -> str:
        """Presses the post's button; the alert's id."""
        answer = self.forward([self.envelope(org)], org).json()["answers"][0]
        assert answer["r"] == "stored", answer
        return answer["alert"]

    def close_all(self, org: str = "demo") -> None:
        for alert in self.ask("GET", "/api/v1/alerts", f"supervisor-{org}").json()["alerts"]:
            body = {"epoch": alert["epoch"], "reason": "test"}
            self.ask("POST", f"/api/v1/alerts/{alert['id']}/close", f"supervisor-{org}", json=body)


@pytest.fixture(scope="module")
def house(request, tmp_path_factory, both_databases):
    """Every test that asks for it runs on SQLite, then on PostgreSQL."""
    folder = tmp_path_factory.mktemp("house")
    for new_database in fresh_databases(request, both_databases, folder):
        house = House(folder, new_database())
        house.start()
        yield house
        house.stop()


@pytest.fixture
def alert_id(house):
    """A fresh alert of `demo`."""
    house.close_all()
    return house.press()
