"""The database: one writer thread, group commit, read connections.

    database = Database("sqlite:////var/lib/tocsin/tocsin.db")
    database.migrate()
    future = database.write(lambda conn: ..., Priority.ACTION)     # any thread; future.result() is the job's result
    with database.read() as conn: ...                              # any thread
    database.before_commit(lambda notes, gate: ...)                # runs on the writer thread: enqueue and return
    database.after_commit(lambda notes: ...)                       # the same
    database.close()

A job is `job(conn) -> result`. It runs on the writer thread and may run twice (its batch was rolled back because of a
neighbour), so it changes nothing but the database; what others must hear of, it puts into `notes(conn)`, which reach
the after-commit callbacks if and only if the job is committed.

Group commit: a transaction takes every job of one priority that waits, and a lone job never waits for company.

On PostgreSQL several processes share the database. What a commit notes is sent to the others in the same transaction
(NOTIFY, wakes.py), and their after-commit callbacks hear it after `listen()`, on a thread of its own.
"""

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from ..errors import Invalid, Unavailable
from . import dialect, wakes
from .notes import Gate as Gate
from .notes import Notes as Notes

log = logging.getLogger(__name__)
T = TypeVar("T")
Job = Callable[[Connection], T]

READERS = 8
BATCH_MAX = 512  # jobs a transaction: what a gateway sends at once, so that a press never waits for more than that


class Priority(IntEnum):
    """Who goes first. Jobs of different priorities never share a transaction: a press waits for no beat's rows."""

    PRESS = 0  # signals of people
    ACTION = 1  # answers, closings, events of devices
    ENGINE = 2  # due steps, leases, outcomes
    ADMIN = 3  # enrolment, policies, sessions
    BEAT = 4  # beats, evidence: small batches


# A press that arrives meanwhile waits for one such transaction: a few milliseconds (ingest puts 64 beats into a job).
BATCH = {Priority.ACTION: 64, Priority.ENGINE: 32, Priority.BEAT: 4}
# After a press's commit the writer leaves the interpreter to whoever sends the first notice and the ack: the outcomes
# that wait meanwhile share a commit. Measured: the first notice left 1.1 ms after the commit, now 0.1.
BREATH_S = 0.003
RACE_TRIES = 5  # of one job that collides with another process again and again; PostgreSQL only


def notes(conn: Connection) -> Notes:
    """The notes of the job that is running on the writer's connection."""
    found: Notes = conn.info["notes"]
    return found


@dataclass(slots=True)
class Figures:
    """Counters for /metrics, since the start."""

    commits: int = 0
    jobs: int = 0
    failed: int = 0
    races: int = 0  # jobs run again because another process was at the same rows (PostgreSQL)


class Database:
    """See the module. `url` is SQLAlchemy's; a write raises errors.Unavailable when the database cannot take it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = dialect.engine(url, READERS)
        self.shared = self.engine.dialect.name == dialect.POSTGRESQL  # by several processes that write
        self.figures = Figures()
        self._callbacks: list[Callable[[Notes], None]] = []
        self._heralds: list[Callable[[Notes, Gate], None]] = []
        self._queues: dict[Priority, deque[tuple[Job[Any], Future[Any]]]] = {each: deque() for each in Priority}
        self._waiting = threading.Condition()
        self._urgent = threading.Event()  # ends a breath: a press or a person's act is queued
        self._breathing = False  # a press was just committed
        self._closing = False
        self._writer: threading.Thread | None = None
        self._connection: Connection | None = None
        self._glancing = threading.Lock()
        self._glance: Connection | None = None
        self._listener: wakes.Listener | None = None
        self._hold: dialect.Alone | None = None
        self.token = secrets.token_hex(8)  # tells our own notifications from others'

    # -- schema

    def migrate(self) -> None:
        """Bring the schema to the newest version; safe to call at every start. Raises Unavailable."""
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        try:
            with dialect.for_writing(self.engine.connect()) as conn, conn.begin():
                dialect.hold_schema(conn)
                config.attributes["connection"] = conn
                command.upgrade(config, "head")
        except SQLAlchemyError as error:
            raise _translated(error) from error

    # -- reading

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one consistent snapshot. Raises Unavailable."""
        try:
            with self.engine.connect() as conn:
                try:
                    yield conn
                except Exception:
                    if dialect.is_lost(conn) and not conn.invalidated:
                        conn.invalidate()
                    raise
        except (SQLAlchemyError, OverflowError, *dialect.DRIVER_ERRORS) as error:
            raise _translated(error) from error

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """A kept connection for one short look through `dialect.Prepared`: no transaction, nobody else meanwhile.

        It spares a press the 0.3 ms of taking a connection from the pool, BEGIN and ROLLBACK. Raises Unavailable.
        """
        with self._glancing:
            try:
                if self._glance is not None and dialect.is_stale(self._glance):
                    _discard(self._glance)
                    self._glance = None
                if self._glance is None:
                    self._glance = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                yield self._glance
            except (SQLAlchemyError, OverflowError, *dialect.DRIVER_ERRORS) as error:
                broken, self._glance = self._glance, None
                if broken is not None:
                    _discard(broken)
                raise _translated(error) from error

    # -- writing

    def write(self, job: Job[T], priority: Priority = Priority.ADMIN) -> "Future[T]":
        """Queue a job; its result, or what it raised, is in the future once it is committed."""
        return self.write_all([job], priority)[0]

    def write_all(self, jobs: Sequence[Job[T]], priority: Priority) -> "list[Future[T]]":
        """Queue jobs that share a commit where they can; each succeeds or fails alone."""
        queued: list[tuple[Job[T], Future[T]]] = [(job, Future()) for job in jobs]
        with self._waiting:
            if self._closing:
                raise Unavailable("the database is closing")
            if self._writer is None:
                self._writer = threading.Thread(target=self._run, name="tocsin-writer", daemon=True)
                self._writer.start()
            self._queues[priority].extend(queued)
            self._waiting.notify()
        if priority <= Priority.ACTION:
            self._urgent.set()
        return [future for _, future in queued]

    def before_commit(self, callback: Callable[[Notes, Gate], None]) -> None:
        """Call `callback(notes, gate)` on the writer thread when messages are about to be committed.

        Whoever sends them prepares during the fsync and lets them leave once `gate.passed()`.
        """
        self._heralds.append(callback)

    def after_commit(self, callback: Callable[[Notes], None]) -> None:
        """Call `callback(notes)` after a commit that noted something: ours on the writer thread, before its futures
        resolve; another process's on the listener's thread. It enqueues and returns.
        """
        self._callbacks.append(callback)

    # -- several processes

    def listen(self) -> None:
        """Hear what other processes commit, until `close`. On SQLite there are none."""
        if self.shared and self._listener is None:
            self._listener = wakes.Listener(self.engine, self.token, self._call_back)
            self._listener.start()

    def hold_alone(self) -> None:
        """On SQLite: no other engine may run on this file until `close`. Raises Misconfigured when one does."""
        if not self.shared and self._hold is None:
            self._hold = dialect.Alone(self.engine.url)

    def close(self) -> None:
        """Commit what is queued, stop the writer, close every connection."""
        with self._waiting:
            self._closing = True
            self._waiting.notify()
        self._urgent.set()
        if self._writer is not None:
            self._writer.join()
        if self._listener is not None:
            self._listener.stop()
        if self._hold is not None:
            self._hold.release()
        with self._glancing:
            if self._glance is not None:
                self._glance.close()
                self._glance = None
        self.engine.dispose()

    # -- the writer thread

    def _run(self) -> None:
        while True:
            with self._waiting:
                while not any(self._queues.values()):
                    if self._closing:
                        if self._connection is not None:
                            self._connection.close()
                        return
                    self._waiting.wait()
                priority = next(each for each in Priority if self._queues[each])
                batch = self._taken(priority)
            if not batch:
                self._urgent.wait(BREATH_S)
                self._breathing = False
                continue
            if priority <= Priority.ACTION:
                self._urgent.clear()
            self._commit(batch)
            self._breathing = priority == Priority.PRESS

    def _taken(self, priority: Priority) -> list[tuple[Job[Any], Future[Any]]]:
        """The next batch; none when the writer should let others go first."""
        if self._breathing and priority > Priority.ACTION and not self._closing:
            return []
        queue = self._queues[priority]
        return [queue.popleft() for _ in range(min(len(queue), BATCH.get(priority, BATCH_MAX)))]

    def _commit(self, batch: list[tuple[Job[Any], Future[Any]]]) -> None:
        outcomes: list[tuple[Any, BaseException | None]]
        heard, gate = Notes(), Gate()
        try:
            try:
                outcomes = self._together(batch, heard, gate)
            except Exception as error:
                gate.settle(False)
                if len(batch) == 1 or dialect.is_race(error):
                    raise
                log.warning("a job of a batch of %d failed, each is now tried apart: %s", len(batch), _reason(error))
                heard, gate = Notes(), Gate()
                outcomes = self._apart(batch, heard, gate)
            gate.settle(True)
            self.figures.commits += 1
        except Exception as error:
            gate.settle(False)
            heard = Notes()
            if dialect.is_race(error):
                outcomes = [self._alone(job, heard) for job, _ in batch]
            else:
                self._drop_broken(error)
                outcomes = [(None, error)] * len(batch)
        self.figures.jobs += len(batch)
        self._call_back(heard)
        for (_, future), (result, failure) in zip(batch, outcomes, strict=True):
            if failure is None:
                future.set_result(result)
            else:
                self.figures.failed += 1
                future.set_exception(_translated(failure))

    def _call_back(self, heard: Notes) -> None:
        if heard != Notes():
            for callback in self._callbacks:
                try:
                    callback(heard)
                except Exception:
                    log.exception("an after-commit callback failed")

    def _connected(self) -> Connection:
        if self._connection is not None and dialect.is_stale(self._connection):
            _discard(self._connection)
            self._connection = None
        if self._connection is None:
            self._connection = dialect.for_writing(self.engine.connect())
        return self._connection

    def _herald(self, conn: Connection, heard: Notes, gate: Gate) -> None:
        if self.shared:
            wakes.send(conn, self.token, heard)
        if heard.outgoing:
            for callback in self._heralds:
                callback(heard, gate)

    def _together(self, batch: list[tuple[Job[Any], Future[Any]]], heard: Notes, gate: Gate) -> list[tuple[Any, None]]:
        conn = self._connected()
        conn.info["notes"] = heard
        with conn.begin():
            outcomes = [(job(conn), None) for job, _ in batch]
            self._herald(conn, heard, gate)
            return outcomes

    def _apart(
        self, batch: list[tuple[Job[Any], Future[Any]]], heard: Notes, gate: Gate
    ) -> list[tuple[Any, BaseException | None]]:
        """Each job under its own savepoint: one that fails takes nothing else with it."""
        conn = self._connected()
        outcomes: list[tuple[Any, BaseException | None]] = []
        with conn.begin():
            for job, _ in batch:
                mine = conn.info["notes"] = Notes()
                try:
                    with conn.begin_nested():
                        outcomes.append((job(conn), None))
                    heard.add(mine)
                except Exception as error:
                    if dialect.is_outage(error) or dialect.is_race(error):
                        raise
                    outcomes.append((None, error))
            self._herald(conn, heard, gate)
        return outcomes

    def _alone(self, job: Job[Any], heard: Notes) -> tuple[Any, BaseException | None]:
        """One job in a transaction of its own, again where another process was at the same rows."""
        for left in reversed(range(RACE_TRIES)):
            mine, gate = Notes(), Gate()
            try:
                [(result, _)] = self._together([(job, Future())], mine, gate)
            except Exception as error:
                gate.settle(False)
                if dialect.is_race(error) and left:
                    self.figures.races += 1
                    continue
                self._drop_broken(error)
                return None, error
            gate.settle(True)
            self.figures.commits += 1
            heard.add(mine)
            return result, None
        raise AssertionError("the last try returns")

    def _drop_broken(self, error: Exception) -> None:
        """After an outage the next batch starts on a new connection: it heals without a restart."""
        if dialect.is_outage(error) and self._connection is not None:
            broken, self._connection = self._connection, None
            _discard(broken)


def _discard(conn: Connection) -> None:
    try:
        conn.invalidate()
        conn.close()
    except Exception as error:
        log.warning("a broken connection did not close cleanly: %s", _reason(error))


def _reason(error: BaseException) -> str:
    """The first line only: below it PostgreSQL prints the row, with its keys and addresses."""
    return str(error.args[0] if error.args else error).strip().partition("\n")[0]


def _translated(error: BaseException) -> BaseException:
    translated: BaseException
    if dialect.is_unfit(error):
        translated = Invalid("the database cannot hold such a text or number")
    elif dialect.is_outage(error):
        translated = Unavailable(f"the database cannot take this now: {_reason(error)}")
    else:
        return error
    translated.__cause__ = error
    return translated
