"""Everything that differs between SQLite and PostgreSQL, in one place.

SQLite: one process writes, and BEGIN IMMEDIATE gives it the database; nothing ever has to be locked by row.

PostgreSQL: several processes write. Their transactions are READ COMMITTED, and whoever changes an alert, its
dispatches, answers or timeline holds the alert's row (`lock` on a writer's connection) from its first look on: the
second writer waits, then reads what the first one committed. REPEATABLE READ would not wait but fail, and a batch of
512 presses would be done again for one that collided. Two raises of one alert meet at the unique index: the loser's
job is run again and counts (`is_race`). Readers are REPEATABLE READ, READ ONLY: one snapshot, as in SQLite.
"""

import fcntl
import os
import select as polling
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, Select, Table, case, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as SaTimeout

from ..errors import Misconfigured

BUSY_MS = 5_000  # another process (the command line) may hold SQLite's write lock: a migration, an import
POSTGRESQL = "postgresql"
# Of every connection to PostgreSQL. A server that does not answer is an outage after seconds, not after TCP's minutes;
# a process that stops in the middle of a transaction keeps the rows it locked for 15 s.
POSTGRES_CONNECT = {
    "application_name": "tocsin",
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "options": f"-c lock_timeout={BUSY_MS} -c idle_in_transaction_session_timeout=15000 -c statement_timeout=30000"
    " -c client_min_messages=error",
}
# Set on every connection and read back: WAL with synchronous=NORMAL keeps nothing across a power cut.
PRAGMAS = (("journal_mode", "WAL", "wal"), ("synchronous", "FULL", 2), ("foreign_keys", "ON", 1))


def engine(url: str, readers: int) -> Engine:
    """An engine whose transactions really begin at BEGIN, and whose SQLite connections are WAL, FULL, with keys.

    What a failed statement was given (keys, secrets, addresses of people) stays out of its message, and so of the log.
    """
    where = address(url)
    if where.get_backend_name() == POSTGRESQL:
        made = create_engine(
            where,
            pool_size=readers,
            max_overflow=readers,
            pool_timeout=BUSY_MS / 1000,
            hide_parameters=True,
            isolation_level="REPEATABLE READ",
            connect_args={name: value for name, value in POSTGRES_CONNECT.items() if name not in where.query},
        )
        event.listen(made, "checkout", _refuse_stale)
        return made.execution_options(postgresql_readonly=True)
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


def address(url: str) -> URL:
    """Where the database is. `postgresql://` means psycopg. Raises Misconfigured, which never shows a password."""
    try:
        where = make_url(url)
    except (ArgumentError, ValueError):
        raise Misconfigured(
            "the database's URL cannot be read: sqlite:///FILE or postgresql://USER@HOST/NAME"
        ) from None
    if where.drivername == POSTGRESQL:
        where = where.set(drivername="postgresql+psycopg")
    if where.drivername not in ("sqlite", "postgresql+psycopg"):
        raise Misconfigured(f"the database cannot be {where.drivername!r}: sqlite or postgresql")
    return where


def _refuse_stale(connection: Any, _record: object, _proxy: object) -> None:
    if _is_stale(connection):
        raise DisconnectionError  # the pool makes a new one


def _is_stale(connection: Any) -> bool:
    """Whether the server ended this idle connection: its last words, or the end of its stream, wait to be read."""
    if connection.closed:
        return True
    look = polling.poll()
    look.register(connection.fileno(), polling.POLLIN)
    return bool(look.poll(0))


def is_stale(conn: Connection) -> bool:
    """Whether the server ended this kept, idle connection meanwhile (a restart): take another one. No round trip."""
    return conn.dialect.name == POSTGRESQL and (conn.invalidated or _is_stale(conn.connection.driver_connection))


def is_lost(conn: Connection) -> bool:
    """Whether this connection broke while it was used, and with it probably every other."""
    if conn.dialect.name != POSTGRESQL:
        return False
    return conn.closed or conn.invalidated or bool(conn.connection.driver_connection.closed)


def hold_schema(conn: Connection) -> None:
    """One process at a time migrates; the others wait here and find it done. SQLite's BEGIN IMMEDIATE does it."""
    if conn.dialect.name == POSTGRESQL:
        conn.exec_driver_sql("SELECT pg_advisory_xact_lock(1953456227)")  # "toc" and "c", as good as any


def for_writing(conn: Connection) -> Connection:
    """The same connection, for transactions that change something."""
    if conn.dialect.name == POSTGRESQL:
        return conn.execution_options(writer=True, isolation_level="READ COMMITTED", postgresql_readonly=False)
    return conn.execution_options(writer=True)


def locks(conn: Connection) -> bool:
    """Whether what is read here to be changed must be locked: by writers, where several may write."""
    return conn.dialect.name == POSTGRESQL and bool(conn.get_execution_options().get("writer", False))


def locked(statement: Select[Any], *of: Any, skip: bool = False) -> Select[Any]:
    """The SELECT with its rows (of these tables) locked until the transaction ends; nothing on SQLite.

    NO KEY UPDATE: rows that only point to them (a signal to its device) are still inserted by others. `skip`: rows
    that another process has locked are left out instead of waited for.
    """
    return statement.with_for_update(key_share=True, of=of or None, skip_locked=skip)


class Alone:
    """The promise that one engine runs on an SQLite file: a lock on FILE.engine, which ends with the process.

    Two would take each other's leases for those of a dead process, and send everything twice.
    """

    def __init__(self, where: URL) -> None:
        """Raises Misconfigured when another engine holds it."""
        self._file = Path(f"{where.database}.engine").open("a+")  # noqa: SIM115 (held until `release`)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read(20).strip() or "unknown"
            self._file.close()
            raise Misconfigured(
                f"another Tocsin server (process {holder}) runs on {where.database}: stop it first, or use PostgreSQL, "
                "where several may share the work"
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        self._file.close()


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
DRIVER_ERRORS: tuple[type[Exception], ...] = (sqlite3.DatabaseError, psycopg.Error)
_STATEMENT_FAULTS = (
    sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError,
    psycopg.IntegrityError, psycopg.DataError, psycopg.ProgrammingError, psycopg.NotSupportedError,
)  # fmt: skip
# Somebody else was at the same rows: the transaction did nothing, and doing it again is right. A unique index that
# already knows the row counts as one: two replicas raised the same alert, and the second look finds it.
_RACES = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation)


def _of_driver(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def is_outage(error: BaseException) -> bool:
    """Whether the database, not the job, is at fault: locked, full, away, restarted, read-only, or a damaged file."""
    if isinstance(error, SaTimeout):
        return True
    found = _of_driver(error)
    return isinstance(found, DRIVER_ERRORS) and not isinstance(found, _STATEMENT_FAULTS)


def is_unfit(error: BaseException) -> bool:
    """Whether a value cannot be stored or looked for at all: U+0000 in a text, a number past 64 bits.

    Documents are refused before (wire's codec, the API's strict JSON); a path or a query may still bring one here.
    """
    found = _of_driver(error)
    return isinstance(found, psycopg.DataError) or (isinstance(found, OverflowError) and "SQLite" in str(found))


def is_race(error: BaseException) -> bool:
    """Whether the same job may well succeed when it is simply run again. Never on SQLite, which has one writer."""
    return isinstance(_of_driver(error), _RACES)


def insert_or_nothing(table: Table, dialect: str = "sqlite") -> Any:
    """INSERT that leaves an existing row alone: rowcount 1 if it was new, 0 if a unique constraint knew it."""
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return insert(table).on_conflict_do_nothing()


def insert_or_add(table: Table, dialect: str, keys: Sequence[str], sums: Sequence[str], maxima: Sequence[str]) -> Any:
    """INSERT that adds to an existing row of the same keys: sums grow by what is given, maxima become the larger."""
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = insert(table)
    given = statement.excluded
    larger = {name: case((given[name] > table.c[name], given[name]), else_=table.c[name]) for name in maxima}
    return statement.on_conflict_do_update(
        index_elements=[table.c[name] for name in keys],
        set_={name: table.c[name] + given[name] for name in sums} | larger,
    )
