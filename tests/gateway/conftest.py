"""Shared scene: a fake backend, a real broker, gateways in processes of their own, raw clients; all gone afterwards."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tocsin_backend import brokers
from tocsin_backend.brokers import Login
from tocsin_gateway.app import App
from tocsin_gateway.settings import read_credentials, read_settings
from tocsin_sim.broker import MOSQUITTO, NATS, Broker
from tocsin_sim.raw_mqtt import RawClient

sys.path.insert(0, str(Path(__file__).parent))

from fake_backend import TOKEN, FakeBackend

HERE = Path(__file__).parent
ORG = "demo"
POST = Login(brokers.DEVICE, ORG, "bau-1", "bau-1-passw0rd-0123456789")
OTHER_POST = Login(brokers.DEVICE, ORG, "bau-2", "bau-2-passw0rd-0123456789")
GATEWAY = Login(brokers.GATEWAY, ORG, "gw-1", "gateway-passw0rd-0123456789")
WATCH = Login(brokers.WATCH, ORG, "ops", "watch-passw0rd-0123456789")
ALERT = "tocsin/1/demo/bau-1/alert"
EVENT = "tocsin/1/demo/bau-1/event"
ACK = "tocsin/1/demo/bau-1/ack"
BEAT = "tocsin/1/demo/bau-1/beat"
STATE = "tocsin/1/demo/_gw/gw-1/state"


def has_mosquitto():
    return bool(shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin"))


def wait_for(predicate, within_s=30.0, what="it"):
    """Poll until predicate() is true; fails otherwise."""
    deadline = time.monotonic() + within_s
    while not predicate():
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def no_stray_threads():
    """A thread that outlives its test fails it."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        stray = [each for each in threading.enumerate() if each not in before and "starts-processes" not in each.name]
        if not stray:
            return
        time.sleep(0.02)
    raise AssertionError(f"threads left behind: {stray}")


@pytest.fixture
def backend():
    fake = FakeBackend()
    yield fake
    fake.close()
    assert fake.faults == []


@pytest.fixture(params=[NATS, MOSQUITTO])
def any_broker(request, tmp_path):
    with started_broker(tmp_path, request.param) as running:
        yield running


@pytest.fixture
def broker(tmp_path):
    """Mosquitto where it is installed, for it starts faster; NATS otherwise."""
    with started_broker(tmp_path, MOSQUITTO if has_mosquitto() else NATS) as running:
        yield running


@pytest.fixture
def nats(tmp_path):
    """NATS, where it matters: many messages (Mosquitto saves all of them at each), or its redelivery."""
    with started_broker(tmp_path, NATS) as running:
        yield running


@pytest.fixture
def make_app(tmp_path, backend):
    """make_app(broker, **settings) -> a running App in this process, stopped at the end."""
    made = []

    def make(broker, **settings):
        path = write_credentials(tmp_path / "gateway.json", backend.url, broker.port)
        environment = {
            "TOCSIN_GATEWAY_CREDENTIALS": str(path),
            "TOCSIN_GATEWAY_DATA": str(tmp_path / "spool"),
            "TOCSIN_GATEWAY_STATUS_PORT": "0",
            "TOCSIN_GATEWAY_BEAT_PERIOD_MS": "50",
            **{f"TOCSIN_GATEWAY_{name.upper()}": str(value) for name, value in settings.items()},
        }
        read = read_settings(environment)
        app = App(read, read_credentials(read))
        watcher = threading.Thread(target=app.wait)
        made.append((app, watcher))
        app.start()
        watcher.start()
        wait_for(lambda: app.link.ready, 30, "listening")
        return app

    yield make
    for app, watcher in made:
        app.request_stop()
        watcher.join(5)
        app.stop()


@contextlib.contextmanager
def started_broker(folder, kind):
    if kind == MOSQUITTO and not has_mosquitto():
        pytest.skip("needs Mosquitto: apt-get install mosquitto")
    with Broker(folder / "broker", [POST, OTHER_POST, GATEWAY, WATCH], kind=kind) as running:
        try:
            yield running
        finally:
            running.kill()  # nobody needs its goodbye


def write_credentials(path, url, port, **changes):
    login = {"host": "127.0.0.1", "port": port, "tls": 0, "user": GATEWAY.user, "password": GATEWAY.password}
    document = {"org": ORG, "gateway": "gw-1", "token": TOKEN, "backend_url": url, "broker": login, **changes}
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path


class GatewayProcess:
    """A gateway as it runs in the field: a process with an environment."""

    def __init__(self, folder, backend_url, broker_port, **settings):
        self.log_file = folder / "gateway.log"
        self.data = folder / "spool"
        credentials = write_credentials(folder / "gateway.json", backend_url, broker_port)
        self.environment = {name: text for name, text in os.environ.items() if not name.startswith("TOCSIN_")} | {
            "TOCSIN_GATEWAY_CREDENTIALS": str(credentials),
            "TOCSIN_GATEWAY_DATA": str(self.data),
            "TOCSIN_GATEWAY_STATUS_PORT": "0",
            "TOCSIN_GATEWAY_BEAT_PERIOD_MS": "100",
            **{f"TOCSIN_GATEWAY_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.process = None
        self._status_port = 0

    def start(self, *words, wait=True):
        """Start it, or `dying_gateway.py` with these words, and wait until it listens."""
        argv = [str(HERE / "dying_gateway.py"), *words] if words else ["-m", "tocsin_gateway.cli"]
        with self.log_file.open("ab") as log:
            said = log.tell()
            self.process = subprocess.Popen([sys.executable, *argv], env=self.environment, stdout=log, stderr=log)
        if wait:
            wait_for(lambda: b"listening to" in self.log(said) or self.process.poll() is not None, 20, "listening")
            assert words or self.process.poll() is None, self.log(said).decode()
        return self

    def log(self, start=0):
        return self.log_file.read_bytes()[start:]

    def status(self):
        """(HTTP status, document) of /healthz."""
        words = self.log().decode().rsplit("status on port ", 1)[1]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{int(words.split()[0])}/healthz", timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        return self.process.returncode if self.process else None


@pytest.fixture
def make_gateway(tmp_path, backend):
    """make_gateway(broker, **settings) -> a GatewayProcess, not started."""
    made = []

    def make(broker, url=None, **settings):
        folder = tmp_path / f"gateway-{len(made)}"
        folder.mkdir()
        made.append(GatewayProcess(folder, url or backend.url, broker.port, **settings))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def enter():
    """enter(broker, login, ...) -> a client that is closed when the test ends."""
    clients = []

    def connect(broker, login, client_id="", **options):
        clients.append(RawClient(broker.port, client_id or login.user, login.user, login.password, **options))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()
