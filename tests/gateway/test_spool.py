"""The spool: what is committed is there after anything, and nothing less than FULL is accepted."""

import sqlite3

import pytest
from tocsin_gateway import spool
from tocsin_gateway.forwarding import ALERT, REST, Arrival
from tocsin_gateway.spool import Change, Reader, Writer


def arrival(identity, channel="alert", frame=b"frame"):
    return Arrival(identity, 1, identity, f"tocsin/1/demo/bau-1/{channel}", frame, at_ms=1_000 + identity)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "spool.db"
    assert spool.prepare(path, 0) == ""
    return path


@pytest.fixture
def writer(file):
    made = Writer(file)
    yield made
    made.close()


@pytest.fixture
def reader(file):
    made = Reader(file)
    yield made
    made.close()


def test_what_was_committed_is_read_back_as_it_came(writer, reader):
    frame = bytes(range(256))
    writer.apply(Change([arrival(1, frame=frame), arrival(2, "event")]), 5_000)
    assert reader.pending(ALERT) == [(1, 256)]
    assert reader.pending(REST) == [(2, 5)]
    (read,) = reader.read([1, 99])
    assert (read.topic, read.frame, read.at_ms, read.held_ms) == ("tocsin/1/demo/bau-1/alert", frame, 1_001, 5_000)
    assert reader.last_id() == 2


def test_what_the_backend_has_is_forgotten_and_what_it_refused_is_kept_apart(writer, reader, file):
    writer.apply(Change([arrival(1), arrival(2), arrival(3)]), 5_000)
    writer.apply(
        Change(settled=[1], refused=[(2, "bad-signature")], refused_unstored=[(arrival(9), "bad-json")]), 6_000
    )
    assert reader.pending(ALERT) == [(3, 5)]
    assert reader.totals() == {"spooled": 1, "quarantined": 2}
    with sqlite3.connect(file) as conn:
        assert conn.execute("SELECT reason FROM quarantine ORDER BY id").fetchall() == [
            ("bad-signature",),
            ("bad-json",),
        ]
    conn.close()


def test_the_quarantine_is_bounded_and_keeps_the_newest(writer, reader, file, monkeypatch):
    monkeypatch.setattr(spool, "QUARANTINE_MAX", 3)
    for number in range(6):
        writer.apply(Change(refused_unstored=[(arrival(number), f"reason {number}")]), 0)
    with sqlite3.connect(file) as conn:
        kept = [row[0] for row in conn.execute("SELECT reason FROM quarantine ORDER BY id")]
    conn.close()
    assert kept == ["reason 3", "reason 4", "reason 5"]


def test_a_change_is_whole_or_nothing_and_the_next_one_works(writer, reader):
    writer.apply(Change([arrival(1)]), 0)
    with pytest.raises(sqlite3.IntegrityError):
        writer.apply(Change([arrival(2), arrival(1)]), 0)
    assert reader.pending(ALERT) == [(1, 5)]
    writer.apply(Change([arrival(3)]), 0)
    assert reader.pending(ALERT) == [(1, 5), (3, 5)]


@pytest.mark.parametrize("pragma", ["synchronous=NORMAL", "synchronous=OFF"])
def test_anything_less_than_full_is_refused(file, pragma):
    conn = spool.connect(file)
    spool.check_pragmas(conn)
    conn.execute(f"PRAGMA {pragma}")
    with pytest.raises(sqlite3.DatabaseError, match="FULL"):
        spool.check_pragmas(conn)
    conn.close()


def test_a_damaged_file_is_set_aside_and_said(tmp_path):
    path = tmp_path / "spool.db"
    path.write_bytes(b"this was never a database" * 400)
    said = spool.prepare(path, 77)
    assert "spool.db.damaged-77" in said
    assert (tmp_path / "spool.db.damaged-77").exists()
    assert spool.prepare(path, 78) == ""


def test_a_spool_of_another_version_is_not_touched(file):
    conn = sqlite3.connect(file)
    conn.execute("PRAGMA user_version=99")
    conn.close()
    with pytest.raises(sqlite3.DatabaseError, match="version 99"):
        spool.prepare(file, 0)
