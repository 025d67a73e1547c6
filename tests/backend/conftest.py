"""How to run on both databases: ask for `rig` (a whole backend, clock wound by hand) or, without one, `database_url`.

Such a test runs twice, `[sqlite]` and `[postgresql]`; `-k sqlite` chooses. Every test has a fresh, migrated database.
SQL by hand goes through `rig.sql("… WHERE id=?", value)`: the `?` is put into the driver's own style. `new_database()`
gives one more. The server is tests/postgres_server.py, one a process of the run; `postgres` is it, to restart or stop.
A test of SQLite alone (a file, a PRAGMA) takes `sqlite_rig`; one of PostgreSQL alone takes `postgres_rig`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "domain"))

from backend_rig import Rig


@pytest.fixture
def rig(tmp_path: Path, database_url: str) -> Iterator[Rig]:
    made = Rig(tmp_path, url=database_url)
    yield made
    made.close()


@pytest.fixture
def sqlite_rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


@pytest.fixture
def postgres_rig(tmp_path: Path, postgres: PostgresServer, postgres_template: str) -> Iterator[Rig]:
    url = postgres.create(postgres_template)
    made = Rig(tmp_path, url=url)
    yield made
    made.close()
    postgres.drop(url)
