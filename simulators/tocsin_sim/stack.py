"""The whole system on loopback in one folder: broker, gateway and backend as the real programs, enrolled for real.

    with Stack(folder) as stack:             # every port and file inside; nothing outside is touched
        credentials = stack.add_device("bau-1", "lycee-1")
        stack.gateway.kill(); stack.gateway.start()

Used again on the same folder, the system comes back as it was: same ports, same data, same credentials.
"""

import http.client
import json
import os
import random
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from time import time_ns
from types import TracebackType
from typing import Any, TypeVar

from tocsin_backend.enrolment import Registrar, write_private
from tocsin_backend.settings import read_secret, read_settings
from tocsin_backend.store.database import Database

from tocsin_sim.broker import NATS, Broker
from tocsin_sim.processes import Process, ProcessError

T = TypeVar("T")
HOST = "127.0.0.1"
ORG = "demo"
GATEWAY = "gw-1"
# Below Linux's ephemeral range (32,768 and up), where an outgoing connection could take a killed server's port.
PORT_LOW, PORT_HIGH = 10_000, 32_000


@dataclass(frozen=True)
class Ports:
    """Where each part listens; 0 takes a free one, and keeps it."""

    broker: int = 0
    broker_client: int = 0  # NATS's own protocol, which no login may use
    backend: int = 0
    gateway_status: int = 0


def now_ms() -> int:
    """The wall clock, epoch ms: every process of a stack shares it."""
    return time_ns() // 1_000_000


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port(taken: Sequence[int] = ()) -> int:
    """A port nobody listens on, and that no outgoing connection will be given."""
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(PORT_LOW, PORT_HIGH)
        if port not in taken and is_free(port):
            return port


class Stack:
    """See the module. The constructor makes the folder and enrols the organisation and its gateway; `start` starts.

    `environment` adds to the backend's. Enrol before the start or after, both work.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ports: Ports | None = None,
        broker_kind: str = NATS,
        org: str = ORG,
        org_name: str = "Démonstration",
        smtp_port: int = 25,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.org = org
        for part in ("broker", "backend", "gateway"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self.ports = self._settle_ports(ports or Ports())
        (self.folder / "broker" / "ports").write_text(f"{self.ports.broker} {self.ports.broker_client}\n")
        self.broker = Broker(self.folder / "broker", kind=broker_kind)
        self.url = f"http://{HOST}:{self.ports.backend}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")},
            "PYTHONUNBUFFERED": "1",
            "TOCSIN_DATA": str(self.folder / "backend"),
            "TOCSIN_HOST": HOST,
            "TOCSIN_PORT": str(self.ports.backend),
            "TOCSIN_PUBLIC_URL": self.url,
            "TOCSIN_BROKER_KIND": broker_kind,
            "TOCSIN_BROKER_PORT": str(self.ports.broker),
            "TOCSIN_BROKER_USERS_FILE": str(self.broker.users_file),
            "TOCSIN_BROKER_ACL_FILE": str(self.broker.acl_file),
            "TOCSIN_BROKER_PID_FILE": str(self.broker.pid_file),
            "TOCSIN_SMTP_HOST": HOST,
            "TOCSIN_SMTP_PORT": str(smtp_port),
            "TOCSIN_WEBHOOK_PRIVATE_NETWORKS": "127.0.0.0/8",
            **(environment or {}),
        }
        self.backend = Process(
            "backend",
            [sys.executable, "-m", "tocsin_backend.cli", "serve"],
            self.folder / "backend",
            self.environment,
            lambda: answers(self.ports.backend, "/healthz"),
        )
        self.database_file = self.folder / "backend" / "tocsin.db"
        self._enrol(org_name)
        plain = {name: text for name, text in self.environment.items() if not name.startswith("TOCSIN_")}
        self.gateway = Process(
            "gateway",
            [sys.executable, "-m", "tocsin_gateway.cli"],
            self.folder / "gateway",
            {
                **plain,
                "TOCSIN_GATEWAY_CREDENTIALS": str(self.folder / "gateway" / "credentials.json"),
                "TOCSIN_GATEWAY_DATA": str(self.folder / "gateway" / "spool"),
                "TOCSIN_GATEWAY_BACKEND_URL": self.url,
                "TOCSIN_GATEWAY_BROKER_PORT": str(self.ports.broker),
                "TOCSIN_GATEWAY_STATUS_PORT": str(self.ports.gateway_status),
            },
            lambda: answers(self.ports.gateway_status, "/healthz"),
        )

    # -- enrolment

    def desk(self, act: Callable[[Registrar], T]) -> T:
        """What `act` returns, given the enrolment desk of the `tocsin` command, on this folder's database."""
        settings = read_settings({name: text for name, text in self.environment.items() if name.startswith("TOCSIN_")})
        database = Database(settings.database)
        try:
            return act(Registrar(settings, read_secret(settings.secret_path), database, now_ms))
        finally:
            database.close()

    def tocsin(self, *words: str) -> str:
        """What the `tocsin` command says. Raises ProcessError with its complaint."""
        done = subprocess.run(
            [sys.executable, "-m", "tocsin_backend.cli", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise ProcessError(f"tocsin {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def _enrol(self, org_name: str) -> None:
        """The database, the organisation and its gateway; nothing when they are there already."""
        kept = self.folder / "gateway" / "credentials.json"
        if kept.exists():
            return
        self.tocsin("init")

        def act(desk: Registrar) -> dict[str, Any]:
            desk.add_organisation(self.org, org_name)
            return desk.add_gateway(self.org, GATEWAY)

        write_private(kept, json.dumps(self.desk(act)))

    def add_device(self, device: str, site: str, name: str = "") -> dict[str, Any]:
        """Enrol a call post at a site that exists; its credentials, kept in the folder for the next start."""
        kept = self.folder / "devices" / f"{device}.json"
        if not kept.exists():
            credentials = self.desk(lambda desk: desk.add_device(self.org, site, "call_post", device, name))
            write_private(kept, json.dumps(credentials))
        return self.credentials(device)

    def credentials(self, device: str) -> dict[str, Any]:
        """A device's credentials as enrolled, with the broker's present port."""
        credentials: dict[str, Any] = json.loads((self.folder / "devices" / f"{device}.json").read_text())
        credentials["broker"]["port"] = self.ports.broker
        return credentials

    # -- running

    def start(self) -> "Stack":
        """Start all three at once and wait until each is ready. Raises ProcessError or BrokerError."""
        self.broker.start()
        self.backend.begin()
        self.gateway.begin()
        self.backend.wait_ready()
        self.gateway.wait_ready()
        return self

    def stop(self) -> None:
        """Stop all three, the gateway first so that nothing is said to be lost."""
        for process in (self.gateway, self.backend):
            process.ask_to_stop()
        self.gateway.stop()
        self.backend.stop()
        self.broker.stop()

    def __enter__(self) -> "Stack":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of the backend's database, read beside it: for checks, also while the backend is dead."""
        with closing(sqlite3.connect(f"file:{self.database_file}?mode=ro", uri=True, timeout=10)) as conn:
            conn.row_factory = sqlite3.Row
            return [dict(row) for row in conn.execute(sql, values)]

    # -- inside

    def _settle_ports(self, wanted: Ports) -> Ports:
        """The ports of last time where they are free, else those wanted, else free ones; written down."""
        kept = self.folder / "ports.json"
        before = json.loads(kept.read_text()) if kept.exists() else {}
        settled: dict[str, int] = {}
        for name, port in asdict(wanted).items():
            candidates = [candidate for candidate in (port, before.get(name, 0)) if candidate]
            usable = [candidate for candidate in candidates if candidate not in settled.values() and is_free(candidate)]
            settled[name] = usable[0] if usable else free_port(list(settled.values()))
        kept.write_text(json.dumps(settled))
        return Ports(**settled)


def answers(port: int, path: str) -> bool:
    """Whether an HTTP server of loopback answers 200 there."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
