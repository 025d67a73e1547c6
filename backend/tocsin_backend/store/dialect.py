"""Everything that differs between SQLite and PostgreSQL, in one place."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
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
    """An engine whose transactions really begin at BEGIN, and whose SQLite connections are WAL, FULL, with keys.

    What a failed statement was given (keys, secrets, addresses of people) stays out of its message, and so of the log.
    """
    where = make_url(url)
    if where.get_backend_name() != "sqlite":
        return create_engine(where, pool_size=readers, hide_parameters=True)
    if not where.database or where.database == ":memory:":
        raise Misconfigured("SQLite needs a file: a database in memory survives nothing")
    Path(where.database).parent.mkdir(parents=True, exist_ok=True)
    made = create_engine(
        where,
        pool_size=readers,
        max_overflow=readers,
        hide_parameters=True,
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
    cursor = connection.connection.cursor()
    cursor.execute("BEGIN IMMEDIATE" if writer else "BEGIN")
    cursor.close()


class Prepared:
    """A Core statement that is compiled once and then run on the driver's own cursor: 10 µs instead of 70.

    For the path of a press. Values and results are the driver's: a boolean may come back as 0 or 1.
    """

    def __init__(self, statement: Any, columns: Iterable[str] = ()) -> None:
        """`columns`: of an INSERT without VALUES, those that are given."""
        self._statement = statement
        self._columns = list(columns) or None
        self._compiled: dict[str, tuple[str, Sequence[str] | None, dict[str, Any]]] = {}

    def _for(self, conn: Connection) -> tuple[str, Sequence[str] | None, dict[str, Any]]:
        found = self._compiled.get(conn.dialect.name)
        if found is None:
            statement = self._statement(conn.dialect.name) if callable(self._statement) else self._statement
            compiled = statement.compile(dialect=conn.dialect, column_keys=self._columns)
            constants = {name: value for name, value in compiled.params.items() if value is not None}
            found = (str(compiled), compiled.positiontup if compiled.positional else None, constants)
            self._compiled[conn.dialect.name] = found
        return found

    def run(self, conn: Connection, values: Mapping[str, Any]) -> int:
        """Run once; the number of rows it touched."""
        text, order, constants = self._for(conn)
        if constants:
            values = {**constants, **values}
        cursor = conn.connection.cursor()
        cursor.execute(text, values if order is None else [values[name] for name in order])
        touched: int = cursor.rowcount
        cursor.close()
        return touched

    def run_many(self, conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run for each of these."""
        text, order, constants = self._for(conn)
        if constants:
            rows = [{**constants, **row} for row in rows]
        cursor = conn.connection.cursor()
        cursor.executemany(text, rows if order is None else [[row[name] for name in order] for row in rows])
        cursor.close()

    def first(self, conn: Connection, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row of a SELECT, or None."""
        text, order, constants = self._for(conn)
        if constants:
            values = {**constants, **values}
        cursor = conn.connection.cursor()
        cursor.execute(text, values if order is None else [values[name] for name in order])
        row: tuple[Any, ...] | None = cursor.fetchone()
        cursor.close()
        return row

    def all(self, conn: Connection, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Every row of a SELECT."""
        text, order, constants = self._for(conn)
        if constants:
            values = {**constants, **values}
        cursor = conn.connection.cursor()
        cursor.execute(text, values if order is None else [values[name] for name in order])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        cursor.close()
        return rows


# What the drivers raise on their own cursors; of these, the second line's are the statement's fault.
DRIVER_ERRORS: tuple[type[Exception], ...] = (sqlite3.DatabaseError,)
_STATEMENT_FAULTS = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError)


def is_driver_outage(error: BaseException) -> bool:
    """Whether a driver says that the database is at fault: locked, full, away, or a file that is damaged."""
    return isinstance(error, DRIVER_ERRORS) and not isinstance(error, _STATEMENT_FAULTS)


def insert_or_nothing(table: Table, dialect: str = "sqlite") -> Any:
    """INSERT that leaves an existing row alone: rowcount 1 if it was new, 0 if a unique constraint knew it."""
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return insert(table).on_conflict_do_nothing()
