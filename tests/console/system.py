"""The real backend in its own process, and presses that reach it as a gateway's would: signed frames in envelopes."""

import json
import os
import selectors
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tocsin_backend.enrolment import Registrar, SiteDetails, write_private
from tocsin_backend.settings import read_settings
from tocsin_backend.store.database import Database
from tocsin_wire import messages, topics

DESK = {"width": 1280, "height": 720}
PHONE = {"width": 390, "height": 844}
ORG = "region-sud"
PASSWORD = "correct horse battery"
PLACES = (
    ("embrun-gare", "Gare d'Embrun", "Embrun", "Parvis"),
    ("salon-emperi", "Lycée de l'Empéri", "Salon-de-Provence", "Portail principal"),
    ("manosque-routiere", "Gare routière", "Manosque", "Quais"),
    ("draguignan-blum", "Lycée Léon Blum", "Draguignan", "Arrêt des cars"),
    ("gap", "Gap", "Gap", "Centre"),
    ("toulon", "Toulon", "Toulon", "Centre"),
)
POSTS = 40  # more than the busiest test has alerts at one time: one post has at most one open alert
READY_WITHIN_S = 30.0
PEOPLE = (
    ("camille", "Camille Roux", "supervisor", "fr"),
    ("alex", "Alex Martin", "supervisor", "en"),
    ("obs", "Olivier Brun", "observer", "fr"),
    ("admin", "Dominique Faure", "administrator", "fr"),
)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def until(question: Callable[[], bool], within_s: float, what: str) -> None:
    """Ask until the answer is True; a deadline, never a fixed delay."""
    deadline = time.monotonic() + within_s
    while not question():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within_s} s")
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class System:
    """One enrolled organisation and one server over it, which can be stopped, frozen, killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._n = 0
        self._tokens: dict[str, str] = {}
        self._enrol()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, port: int) -> dict[str, str]:
        return {
            "TOCSIN_DATA": str(self.folder),
            "TOCSIN_PORT": str(port),
            "TOCSIN_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "TOCSIN_BROKER_KIND": "none",
            "TOCSIN_LOG_LEVEL": "warning",
        }

    def _enrol(self) -> None:
        settings = read_settings(self.environment(self.port))
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(settings.secret_path, os.urandom(32).hex() + "\n")
        database = Database(settings.database)
        try:
            database.migrate()
            registrar = Registrar(settings, settings.secret_path.read_bytes().strip(), database, now_ms)
            registrar.add_organisation(ORG, "Région Sud")
            for site, name, address, _ in PLACES:
                registrar.add_site(ORG, site, SiteDetails(name=name, address=address))
            self.devices = []
            for number in range(POSTS):
                site, _, _, place = PLACES[number % len(PLACES)]
                where = place if number < len(PLACES) else f"{place} {number}"
                self.devices.append(registrar.add_device(ORG, site, "call_post", f"bau-{number}", where))
            self.token = registrar.add_gateway(ORG, "gw-1")["token"]
            for login, name, role, language in PEOPLE:
                registrar.add_person(ORG, login, name, role, PASSWORD, language, [])
        finally:
            database.close()

    # -- the server's life

    def start(self, port: int | None = None) -> None:
        """Start, and return once a request is answered."""
        assert self.process is None
        port = port or self.port
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from tocsin_backend.cli import main; main()", "serve", "--json"],
                env={**{k: v for k, v in os.environ.items() if not k.startswith("TOCSIN_")}, **self.environment(port)},
                cwd=self.folder,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        until(lambda: self._answers(port), READY_WITHIN_S, "the server answers")

    def _answers(self, port: int) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError((self.folder / "server.log").read_text()[-3000:])
        try:
            with urlopen(f"http://127.0.0.1:{port}/console/login", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the server did not stop on signal {how}") from None
            finally:
                self.process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The server stands still, its connections open: a link that is dead and does not say so."""
        assert self.process is not None
        self._let_nothing_be_due()
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def _let_nothing_be_due(self) -> None:
        """An engine that is frozen beyond an instant is late, which is a technical alert of its own: not this test."""
        with closing(sqlite3.connect(self.folder / "tocsin.db", timeout=10)) as conn, conn:
            conn.execute("UPDATE dispatch SET status='delivered', next_ms=NULL WHERE kind='lamp' AND next_ms NOT NULL")
            conn.execute("UPDATE device SET expected_by_ms=expected_by_ms+3600000 WHERE expected_by_ms NOT NULL")
            conn.execute("UPDATE alert SET due_ms=due_ms+3600000, span_ms=span_ms+3600000 WHERE due_ms NOT NULL")

    # -- what a gateway does

    def post(self, path: str, document: Any, token: str, port: int | None = None) -> Any:
        request = Request(
            f"http://127.0.0.1:{port or self.port}{path}",
            json.dumps(document).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
        )
        with urlopen(request, timeout=10) as answer:
            body = answer.read()
            return json.loads(body) if body else None

    def send(self, device: int, channel: str, fields: dict[str, Any], port: int | None = None) -> dict[str, Any]:
        """One signed message of a device; the backend's answer to its envelope."""
        credentials = self.devices[device]
        topic = topics.topic(ORG, credentials["device"], channel)
        key = urlsafe_b64decode(credentials["key"] + "=")
        frame = messages.seal(topic, {"v": 1, **fields}, credentials["kid"], key)
        at_ms = now_ms()
        envelope = {
            "id": 1, "topic": topic, "frame": b64encode(frame).decode(), "at_ms": at_ms, "held_ms": at_ms + 1,
            "retained": 0, "dup": 0,
        }  # fmt: skip
        (answer,) = self.post("/api/v1/gateway/envelopes", {"envelopes": [envelope]}, self.token, port)["answers"]
        assert answer["r"] == "stored", answer
        return dict(answer)

    def signal(self) -> dict[str, Any]:
        self._n += 1
        return {"b": 1, "n": self._n, "t": now_ms() // 1000, "q": "ntp", "age": 20, "try": 1}

    def press(self, device: int = 0, port: int | None = None, **changes: Any) -> str:
        """A press; the id of the alert it raised or joined."""
        fields = self.signal() | {"k": "press", "in": "call", "held": 120, "mode": "real"} | changes
        return str(self.send(device, "alert", fields, port)["alert"])

    def confirm_lamp(self, device: int, alert_id: str, lamp: str) -> None:
        """The post says that its lamp changed, as it does after an ack."""
        (press,) = [each for each in self.alert(alert_id)["signals"] if each["kind"] == "press"][-1:]
        re = messages.signal_id(press["b"], press["n"])
        self.send(device, "event", self.signal() | {"k": "lamp", "re": re, "r": lamp, "e": 1, "lat": 70})

    # -- what the API knows, and the scripted colleague

    def bearer(self, login: str) -> str:
        if login not in self._tokens:
            answer = self.post("/api/v1/login", {"login": login, "password": PASSWORD}, "")
            self._tokens[login] = answer["token"]
        return self._tokens[login]

    def get(self, path: str) -> Any:
        request = Request(f"{self.url}{path}", headers={"Authorization": f"Bearer {self.bearer('camille')}"})
        with urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def alert(self, alert_id: str) -> Any:
        return self.get(f"/api/v1/alerts/{alert_id}")

    def answer(self, alert_id: str, login: str = "alex") -> None:
        epoch = self.alert(alert_id)["epoch"]
        self.post(f"/api/v1/alerts/{alert_id}/answer", {"epoch": epoch}, self.bearer(login))

    def close_all(self) -> None:
        """Every alert is closed: the next test begins with a quiet screen."""
        for each in self.get("/api/v1/alerts?status=open&limit=500")["alerts"]:
            reason = "technical" if each["category"] == "technical" else "test"
            document = {"epoch": each["epoch"], "reason": reason}
            for who in ("alex", "camille", "admin"):  # a silent one takes two; one of them may have asked already
                said = self.post(f"/api/v1/alerts/{each['id']}/close", document, self.bearer(who))
                if said["outcome"] == "closed":
                    break


class RawStreams:
    """Consoles that only listen: sockets on the live stream, drained by one thread. Counts the events they got."""

    def __init__(self, system: System, cookie: str, number: int) -> None:
        self.rows = [0] * number
        self._selector = selectors.DefaultSelector()
        self._sockets = []
        self._stopping = False
        for index in range(number):
            stream = socket.create_connection(("127.0.0.1", system.port), timeout=10)
            stream.sendall(f"GET /console/live HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode())
            assert stream.recv(12) == b"HTTP/1.1 200"
            stream.setblocking(False)
            self._selector.register(stream, selectors.EVENT_READ, index)
            self._sockets.append(stream)
        self._thread = threading.Thread(target=self._drain, name="raw-streams")
        self._thread.start()

    def _drain(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(0.1):
                data = key.fileobj.recv(65536)
                self.rows[key.data] += data.count(b"event: rows")
                if not data:
                    self._selector.unregister(key.fileobj)

    def close(self) -> None:
        self._stopping = True
        self._thread.join(5)
        self._selector.close()
        for stream in self._sockets:
            stream.close()
