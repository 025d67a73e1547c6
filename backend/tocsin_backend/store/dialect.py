"""Everything that differs between SQLite and PostgreSQL, in one place."""

from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite

from ..errors import Misconfigured

BUSY_MS = 5_000  # another process (the command line) may hold SQLite's write lock: a migration, an import
# Set on every connection and read back: WAL with synchronous=NORMAL keeps nothing across a power cut.
PRAGMAS = (("journal_mode", "WAL", "wal"), ("synchronous", "FULL", 2), ("foreign_keys", "ON", 1))


def engine(url: str, readers: int) -> Engine:
    """An engine whose transactions really begin at BEGIN, and whose SQLite connections are WAL, FULL, with keys."""
    where = make_url(url)
    if where.get_backend_name() != "sqlite":
        return create_engine(where, pool_size=readers)
    if not where.database or where.database == ":memory:":
        raise Misconfigured("SQLite needs a file: a database in memory survives nothing")
    Path(where.database).parent.mkdir(parents=True, exist_ok=True)
    made = create_engine(
        where,
        pool_size=readers,
        max_overflow=readers,
        connect_args={"check_same_thread": False, "isolation_level": None, "cached_statements": 512},
    )
    event.listen(made, "connect", _prepare)
    event.listen(made, "begin", _begin)
    return made


def _prepare(connection: SqliteConnection, _record: object) -> None:
    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    for name, value, expected in PRAGMAS:
        connection.execute(f"PRAGMA {name}={value}")
        found = connection.execute(f"PRAGMA {name}").fetchone()[0]
        if found != expected:
            raise Misconfigured(f"SQLite answers {name}={found!r} and {expected!r} is needed")


def _begin(connection: Connection) -> None:
    # A writer takes its lock at once: a deferred transaction that upgrades later may fail half-way.
    writer = connection.get_execution_options().get("writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")


def insert_or_nothing(table: Table, dialect: str = "sqlite") -> Any:
    """INSERT that leaves an existing row alone: rowcount 1 if it was new, 0 if a unique constraint knew it."""
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return insert(table).on_conflict_do_nothing()
