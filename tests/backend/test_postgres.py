"""What is PostgreSQL's own: outages told from faults, TRUNCATE, snapshots, ids in the order of commits, secrets."""

import threading
from typing import Any

import psycopg
import pytest
from backend_rig import ORG, Rig
from sqlalchemy.exc import IntegrityError
from tocsin_backend.errors import Invalid, Misconfigured, Unavailable
from tocsin_backend.store import dialect, downlink
from tocsin_backend.store.database import Database

OUTAGES = (
    "08006", "25006", "53100", "53200", "53300", "55P03", "57014", "57P01", "57P02", "57P03", "58030", "XX001",
)  # fmt: skip
FAULTS = ("22001", "23502", "23503", "23514", "42601", "42P01")
RACES = ("40001", "40P01", "23505")


@pytest.mark.parametrize("state", OUTAGES)
def test_a_server_in_trouble_is_an_outage(state: str) -> None:
    """Disk full, too many connections, shutdown, crash, read-only after a failover, a damaged page, a lock's end."""
    assert dialect.is_outage(psycopg.errors.lookup(state)("x"))
    assert not dialect.is_race(psycopg.errors.lookup(state)("x"))


@pytest.mark.parametrize("state", FAULTS)
def test_a_statement_s_fault_is_none(state: str) -> None:
    assert not dialect.is_outage(psycopg.errors.lookup(state)("x"))


@pytest.mark.parametrize("state", RACES)
def test_a_collision_is_tried_again(state: str) -> None:
    assert dialect.is_race(psycopg.errors.lookup(state)("x"))


def test_append_only_tables_cannot_be_truncated(postgres_rig: Rig) -> None:
    postgres_rig.post("bau-1").press()
    postgres_rig.settle()
    for table in ("signal", "timeline_entry"):
        with pytest.raises(IntegrityError, match="append-only"):
            postgres_rig.sql(f"TRUNCATE {table} CASCADE")


def test_a_reader_cannot_write_and_sees_one_snapshot(postgres_rig: Rig) -> None:
    with postgres_rig.database.read() as conn:
        count = "SELECT count(*) FROM device"
        before = conn.exec_driver_sql(count).scalar_one()
        postgres_rig.post("bau-1")
        assert conn.exec_driver_sql(count).scalar_one() == before
    with pytest.raises(Unavailable, match="read-only"), postgres_rig.database.read() as conn:
        conn.exec_driver_sql("DELETE FROM device")


def test_what_no_text_can_hold_is_refused_and_harms_nobody(rig: Rig) -> None:
    value, column = ("a\0b", "id") if rig.database.shared else (2**70, "due_ms")  # the other bears it
    with pytest.raises(Invalid):
        rig.sql(f"SELECT 1 FROM alert WHERE {column}=?", value)
    assert rig.post("bau-1").press()["r"] == "stored"


def test_downlinks_of_one_gateway_get_their_ids_in_the_order_of_their_commits(postgres_rig: Rig) -> None:
    """A gateway reads on from the last id it saw: a lower one that appeared later would never go down."""
    other = Database(postgres_rig.url)
    added, go = threading.Event(), threading.Event()

    def slow(conn: Any) -> None:
        downlink.add(conn, ORG, "gw-1", [("t", b"first")], "d-1", 1)
        added.set()
        go.wait(10)

    first = postgres_rig.database.write(slow)
    assert added.wait(10)
    second = other.write(lambda conn: downlink.add(conn, ORG, "gw-1", [("t", b"second")], "d-2", 1))
    with pytest.raises(TimeoutError):
        second.result(0.5)  # it waits
    with other.read() as conn:
        assert downlink.after(conn, ORG, "gw-1", 0) == []
    go.set()
    first.result(10)
    second.result(10)
    with other.read() as conn:
        assert [each.frame for each in downlink.after(conn, ORG, "gw-1", 0)] == [b"first", b"second"]
    other.close()


@pytest.mark.parametrize(
    "url", ["mysql://u:hunter2@h/d", "postgresql+asyncpg://u:hunter2@h/d", "postgresql://[:hunter2"]
)
def test_another_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        Database(url)
    assert "hunter2" not in str(caught.value)


def test_a_server_that_is_away_is_an_outage_and_no_password_is_told(tmp_path: object) -> None:
    away = Database(f"postgresql://tocsin:hunter2@/x?host={tmp_path}")
    for ask in (away.migrate, lambda: away.write(lambda conn: None).result()):
        with pytest.raises(Unavailable) as caught:
            ask()
        assert "hunter2" not in str(caught.value)
    away.close()
