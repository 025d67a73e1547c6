"""The spool: what the broker gave us and the backend has not answered yet, in one SQLite file that outlives power cuts.

WAL with `synchronous=FULL`, asserted on every connection: WAL with NORMAL kept nothing under simulated power cuts.
One thread writes (intake.py); each uplink reads through a connection of its own.
"""

import logging
import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tocsin_gateway.forwarding import Arrival, lane_of

log = logging.getLogger(__name__)

SCHEMA = 1
QUARANTINE_MAX = 10_000  # refused envelopes kept, the newest; the backend has its own evidence
BUSY_TIMEOUT_S = 5.0
_TABLES = """
CREATE TABLE envelope (
    id INTEGER PRIMARY KEY, lane INTEGER NOT NULL, topic TEXT NOT NULL, frame BLOB NOT NULL,
    at_ms INTEGER NOT NULL, held_ms INTEGER NOT NULL, retained INTEGER NOT NULL, dup INTEGER NOT NULL
) STRICT;
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, frame BLOB NOT NULL, at_ms INTEGER NOT NULL, reason TEXT NOT NULL
) STRICT;
CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
"""
_COLUMNS = "id, topic, frame, at_ms, held_ms, retained, dup"

SpoolError = sqlite3.Error
"""Anything SQLite says about the file or the disk. What was to be written is not there."""


@dataclass(frozen=True, slots=True)
class Change:
    """One transaction: what came, what the backend has, what it refused (id -> reason)."""

    arrived: Sequence[Arrival] = ()
    settled: Sequence[int] = ()
    refused: Sequence[tuple[int, str]] = ()
    refused_unstored: Sequence[tuple[Arrival, str]] = ()


def connect(path: Path) -> sqlite3.Connection:
    """A connection with the pragmas that P1 rests on. Raises SpoolError when the file refuses one of them."""
    conn = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute("PRAGMA synchronous=FULL")
        check_pragmas(conn)
    except BaseException:
        conn.close()
        raise
    return conn


def check_pragmas(conn: sqlite3.Connection) -> None:
    """Raises SpoolError unless this connection is WAL and FULL (2): anything less loses acknowledged presses."""
    mode = conn.execute("PRAGMA journal_mode").fetchone()[0]
    level = conn.execute("PRAGMA synchronous").fetchone()[0]
    if (mode, level) != ("wal", 2):
        raise sqlite3.DatabaseError(f"the spool must be WAL and synchronous FULL, not {mode} and {level}")


def prepare(path: Path, now_ms: int) -> str:
    """Make the file and its tables. A file that is damaged is set aside, for a gateway that waits for a person to look
    loses more than it keeps; the text says so, and is "" when all is well.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    said = ""
    if path.exists() and not _is_sound(path):
        aside = path.with_name(f"{path.name}.damaged-{now_ms}")
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        said = f"the spool was damaged and set aside as {aside.name}: what it held may be missing"
    conn = connect(path)
    try:
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            conn.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version={SCHEMA}; COMMIT;")
        elif version != SCHEMA:
            raise sqlite3.DatabaseError(f"the spool {path} is of version {version}; this gateway knows {SCHEMA}")
    finally:
        conn.close()
    return said


def _is_sound(path: Path) -> bool:
    try:
        conn = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)
        try:
            return bool(conn.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
        finally:
            conn.close()
    except sqlite3.OperationalError:
        raise  # locked, no permission, no room: not damage
    except sqlite3.DatabaseError:
        return False


class Writer:
    """The one that writes. After an error the file is opened anew, so that a healed disk is used again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._conn: sqlite3.Connection | None = None

    def apply(self, change: Change, now_ms: int) -> None:
        """Commit one change, all of it or nothing; on return it survives a power cut. Raises SpoolError."""
        if self._conn is None:
            self._conn = connect(self._path)
        conn = self._conn
        try:
            conn.execute("BEGIN IMMEDIATE")
            if change.arrived:
                conn.executemany(
                    "INSERT INTO envelope VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (
                            arrival.id, lane_of(arrival.topic), arrival.topic, arrival.frame, arrival.at_ms, now_ms,
                            int(arrival.retained), int(arrival.dup),
                        )
                        for arrival in change.arrived
                    ],
                )  # fmt: skip
            if change.settled:
                conn.executemany("DELETE FROM envelope WHERE id = ?", [(identity,) for identity in change.settled])
            for identity, reason in change.refused:
                conn.execute(
                    "INSERT INTO quarantine (topic, frame, at_ms, reason) "
                    "SELECT topic, frame, at_ms, ? FROM envelope WHERE id = ?",
                    (reason, identity),
                )
                conn.execute("DELETE FROM envelope WHERE id = ?", (identity,))
            for arrival, reason in change.refused_unstored:
                conn.execute(
                    "INSERT INTO quarantine (topic, frame, at_ms, reason) VALUES (?, ?, ?, ?)",
                    (arrival.topic, arrival.frame, arrival.at_ms, reason),
                )
            if change.refused or change.refused_unstored:
                conn.execute(
                    "DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - ?", (QUARANTINE_MAX,)
                )
            conn.execute("COMMIT")
        except BaseException:
            self.close()
            raise

    def probe(self, now_ms: int) -> None:
        """A commit of its own, to learn whether the disk takes one again. Raises SpoolError."""
        if self._conn is None:
            self._conn = connect(self._path)
        try:
            self._conn.execute("INSERT OR REPLACE INTO mark VALUES ('probe', ?)", (now_ms,))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file; an open transaction is undone."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None


class Reader:
    """What one uplink reads; opened by the thread that uses it."""

    def __init__(self, path: Path) -> None:
        self._conn = connect(path)

    def pending(self, lane: int) -> list[tuple[int, int]]:
        """(id, bytes) of everything in a lane, oldest first."""
        return self._conn.execute(
            "SELECT id, length(frame) FROM envelope WHERE lane = ? ORDER BY id", (lane,)
        ).fetchall()

    def read(self, identities: Iterable[int]) -> list[Arrival]:
        """The stored messages with these ids; those that are gone are left out."""
        found = []
        for identity in identities:
            row = self._conn.execute(f"SELECT {_COLUMNS} FROM envelope WHERE id = ?", (identity,)).fetchone()  # noqa: S608
            if row is not None:
                found.append(
                    Arrival(
                        id=row[0],
                        session=0,
                        mid=0,
                        topic=row[1],
                        frame=row[2],
                        at_ms=row[3],
                        held_ms=row[4],
                        retained=bool(row[5]),
                        dup=bool(row[6]),
                    )
                )
        return found

    def last_id(self) -> int:
        """The greatest id in the spool, 0 when it is empty."""
        return int(self._conn.execute("SELECT coalesce(max(id), 0) FROM envelope").fetchone()[0])

    def totals(self) -> dict[str, int]:
        """How many envelopes wait and how many are in quarantine."""
        count = "SELECT count(*) FROM "
        return {
            "spooled": int(self._conn.execute(count + "envelope").fetchone()[0]),
            "quarantined": int(self._conn.execute(count + "quarantine").fetchone()[0]),
        }

    def close(self) -> None:
        """Let go of the file."""
        self._conn.close()


def free_bytes(folder: Path) -> int:
    """Bytes that an ordinary user may still write on the disk of `folder`. Raises OSError."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
