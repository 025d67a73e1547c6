"""What every test shares: nothing is skipped in CI, and a leftover thread or process fails the test that left it."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from postgres_server import PostgresMissing, PostgresServer, fresh_databases

# A run in a shell's background inherits an ignored Ctrl-C, and so would every program under test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter is not None and not hasattr(session.config, "workerinput"):
        skipped = reporter.stats.get("skipped", [])
        if skipped and session.exitstatus == 0:
            reporter.write_line(f"{len(skipped)} skipped: in CI nothing may be")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


# Both databases. `database_url` is the URL of a fresh, migrated database for one test; a test that asks for it, or for
# a fixture that does, runs twice: on SQLite and on PostgreSQL (`-k sqlite` and `-k postgresql` choose one).
# `new_database()` makes one more of the same kind; with `both_databases` a module-wide fixture can have its own.
DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for this process of the test run. Where it cannot start the test is skipped; in CI it fails."""
    try:
        server = PostgresServer()
    except PostgresMissing as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no PostgreSQL here: {missing}")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    """The name of a migrated database, to be copied."""
    from tocsin_backend.store.database import Database

    made = Database(postgres.create(name="tocsin_template"))
    made.migrate()
    made.close()
    return "tocsin_template"


@pytest.fixture(scope="module", params=DATABASES)
def both_databases(request: pytest.FixtureRequest) -> str:
    """The kind of database that the tests of a module run on, one after the other."""
    return str(request.param)


@pytest.fixture(params=DATABASES)
def database_kind(request: pytest.FixtureRequest) -> str:
    """The kind of database that a test runs on."""
    return str(request.param)


@pytest.fixture
def new_database(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> Iterator[Callable[[], str]]:
    yield from fresh_databases(request, database_kind, tmp_path)


@pytest.fixture
def database_url(new_database: Callable[[], str]) -> str:
    return new_database()
