"""The schema and the writer, on both databases, and what SQLite must be. PostgreSQL's own: test_postgres.py."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from backend_rig import ORG, SCREEN, Rig, steps, who
from sqlalchemy import CheckConstraint, Connection
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel
from tocsin_backend.errors import Misconfigured, Unavailable
from tocsin_backend.store import dialect, signals, tables
from tocsin_backend.store.database import Database, Notes, Priority, notes


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.close()


def hold_writer(database: Database) -> threading.Event:
    """The writer is busy with a job of its own until the event is set: what is queued meanwhile shares a batch."""
    held, begun = threading.Event(), threading.Event()

    def job(conn: Connection) -> None:
        begun.set()
        held.wait(10)

    database.write(job)
    assert begun.wait(10)
    return held


def one(conn: Connection, text: str) -> object:
    return conn.exec_driver_sql(text).scalar_one()


def add_org(name: str):  # type: ignore[no-untyped-def]
    def job(conn: Connection) -> str:
        conn.exec_driver_sql(
            "INSERT INTO organisation (id, name, language, timezone, sms_route, created_ms) "
            f"VALUES ('{name}', 'x', 'fr', 'Europe/Paris', 'provider', 1)"
        )
        notes(conn).alerts.add(name)
        return name

    return job


def test_the_migration_gives_exactly_the_tables(database: Database) -> None:
    database.migrate()  # again: nothing to do
    with database.read() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_every_connection_is_wal_full_with_foreign_keys(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'folder' / 'test.db'}")

    def look(conn: Connection) -> tuple[object, object, object]:
        return one(conn, "PRAGMA journal_mode"), one(conn, "PRAGMA synchronous"), one(conn, "PRAGMA foreign_keys")

    assert database.write(look).result() == ("wal", 2, 1)
    with database.read() as first, database.read() as second:
        assert look(first) == look(second) == ("wal", 2, 1)
    database.close()


def test_a_database_that_would_not_keep_its_word_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misconfigured):
        Database("sqlite://")
    monkeypatch.setattr(dialect, "PRAGMAS", (("synchronous", "NORMAL", 2),))
    refused = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(Misconfigured, match="synchronous=1"):
        refused.migrate()
    refused.close()


def test_a_job_that_fails_takes_nothing_else_with_it(database: Database) -> None:
    heard: list[Notes] = []
    database.after_commit(heard.append)
    hold = hold_writer(database)
    good, clash, bug, other = (
        database.write(job) for job in (add_org("a"), add_org("a"), lambda conn: 1 // 0, add_org("b"))
    )
    hold.set()
    assert (good.result(), other.result()) == ("a", "b")
    with pytest.raises(IntegrityError):
        clash.result()
    with pytest.raises(ZeroDivisionError):
        bug.result()
    assert [each.alerts for each in heard] == [{"a", "b"}], "a job that failed tells nobody anything"
    assert database.figures.failed == 2


def test_a_failed_statement_puts_no_secret_into_the_log(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    def bad(conn: Connection) -> None:
        row = {"person_id": 999, "channel": "webhook", "address": "http://x", "external": False, "secret": "TOPSECRET"}
        conn.execute(tables.ContactMethod.__table__.insert().values(**row, position=0, created_ms=1))  # type: ignore[attr-defined]

    first, second = rig.database.write_all([bad, lambda conn: None], Priority.ADMIN)
    failure = first.exception(5)
    assert isinstance(failure, IntegrityError)
    assert second.exception(5) is None
    assert "a job of a batch of 2 failed" in caplog.text
    assert "TOPSECRET" not in caplog.text + str(failure)


def test_presses_go_first_and_share_no_transaction_with_beats(database: Database) -> None:
    order: list[str] = []
    hold = hold_writer(database)
    commits = database.figures.commits

    def job(name: str):  # type: ignore[no-untyped-def]
        return lambda conn: order.append(name)

    for _ in range(3):
        database.write(job("beat"), Priority.BEAT)
    database.write(job("due"), Priority.ENGINE)
    database.write(job("answer"), Priority.ACTION)
    presses = [database.write(job("press"), Priority.PRESS) for _ in range(3)]
    hold.set()
    for press in presses:
        press.result()
    database.write(job("last"), Priority.BEAT).result()
    assert order == ["press", "press", "press", "answer", "due", "beat", "beat", "beat", "last"]
    assert database.figures.commits - commits >= 5  # the one that held, presses, answer, due, beats


def test_notes_reach_listeners_only_after_the_commit_and_before_the_future(database: Database) -> None:
    seen: list[object] = []

    def listen(heard: Notes) -> None:
        with database.read() as conn:
            seen.append(one(conn, "SELECT count(*) FROM organisation"))
        raise RuntimeError("a listener's bug is its own")

    database.after_commit(listen)
    assert database.write(add_org("a")).result() == "a"
    assert seen == [1]


def test_timeline_and_signals_refuse_to_be_rewritten(rig: Rig) -> None:
    rig.post("bau-1").press()
    rig.settle()
    for statement in (
        "UPDATE timeline_entry SET what='x'", "DELETE FROM timeline_entry", "UPDATE signal SET kind='x'",
        "DELETE FROM signal",
    ):  # fmt: skip
        with pytest.raises(IntegrityError, match="append-only"):
            rig.sql(statement)


# check constraint -> statements that it refuses
ILLEGAL = {
    "ck_device_presence_known": ["UPDATE device SET presence='gone'"],
    "ck_person_role_known": ["UPDATE person SET role='king'"],
    "ck_contact_method_channel_known": ["UPDATE contact_method SET channel='pigeon'"],
    "ck_contact_method_offset_bounded": [
        "UPDATE contact_method SET offset_ms=-1", "UPDATE contact_method SET offset_ms=3600001",
    ],
    "ck_roster_override_starts_before_it_ends": ["UPDATE roster_override SET ends_ms=starts_ms"],
    "ck_site_window_kind_known": ["UPDATE site_window SET kind='party'"],
    "ck_site_window_starts_before_it_ends": ["UPDATE site_window SET ends_ms=starts_ms"],
    "ck_alert_category_known": ["UPDATE alert SET category='fire'"],
    "ck_alert_mode_known": ["UPDATE alert SET mode='test'"],
    "ck_alert_status_known": ["UPDATE alert SET status='lost'"],
    "ck_alert_condition_known": ["UPDATE alert SET condition='maybe'"],
    "ck_alert_open_is_due": ["UPDATE alert SET due_ms=NULL", "UPDATE alert SET status='closed', closed_ms=1"],
    "ck_alert_closed_has_instant": ["UPDATE alert SET closed_ms=1", "UPDATE alert SET status='closed', due_ms=NULL"],
    "ck_alert_progress_known": ["UPDATE alert SET progress='soon'"],
    "ck_dispatch_kind_known": ["UPDATE dispatch SET kind='song'"],
    "ck_dispatch_status_known": ["UPDATE dispatch SET status='sent', next_ms=NULL"],
    "ck_dispatch_terminal_or_due": [
        "UPDATE dispatch SET next_ms=NULL WHERE status='leased'",
        "UPDATE dispatch SET status='handed' WHERE status='leased'",
    ],
}  # fmt: skip


def test_every_check_constraint_has_a_case() -> None:
    tables_ = SQLModel.metadata.tables.values()
    checks = {str(each.name) for table in tables_ for each in table.constraints if isinstance(each, CheckConstraint)}
    assert checks == set(ILLEGAL)


def test_an_illegal_state_cannot_be_stored(rig: Rig) -> None:
    rig.person("anne", webhook="https://a/")
    rig.policy(steps((60, [who("anne")]), (60, [SCREEN])))
    rig.save(tables.Roster(org=ORG, id="nuit", title="Nuit", version=1, body="{}", changed_ms=1))
    rig.save(tables.RosterOverride(org=ORG, roster="nuit", starts_ms=1, ends_ms=2, created_ms=1))
    rig.save(tables.Window(org=ORG, kind="drill", title="x", starts_ms=1, ends_ms=2, created_ms=1))
    rig.post("bau-1", policy="plan").press()
    rig.settle()
    for constraint, statements in ILLEGAL.items():
        for statement in statements:
            with pytest.raises(IntegrityError, match=constraint):
                rig.sql(statement)
            assert rig.sql("SELECT count(*) FROM alert WHERE status='raised'") == [(1,)]


def test_two_open_alerts_of_one_key_cannot_be_stored(rig: Rig) -> None:
    rig.post("bau-1").press()
    rig.settle()
    columns = ", ".join(each.name for each in tables.Alert.__table__.columns if each.name != "id")  # type: ignore[attr-defined]
    with pytest.raises(IntegrityError):
        rig.sql(f"INSERT INTO alert (id, {columns}) SELECT 'other', {columns} FROM alert")


def test_a_locked_or_full_database_is_an_outage_and_heals_without_a_restart(sqlite_rig: Rig) -> None:
    rig = sqlite_rig
    post = rig.post("bau-1")
    rig.settle()
    pages = rig.sql("PRAGMA page_count")[0][0]
    rig.sql(f"PRAGMA max_page_count={pages}")
    envelopes = [post.press_envelope() for _ in range(40)]
    with pytest.raises(Unavailable):
        [rig.give(envelope) for envelope in envelopes]
    rig.sql("PRAGMA max_page_count=1000000")
    assert {rig.give(envelope)["r"] for envelope in envelopes} <= {"stored", "duplicate"}
    assert rig.sql("SELECT count(*) FROM signal") == [(40,)]


def test_a_damaged_file_is_an_outage_and_refuses_nobody(sqlite_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = sqlite_rig

    class Damaged:
        def run(self, *_: object) -> None:
            raise sqlite3.DatabaseError("database disk image is malformed")

    rig.person("anne", webhook="https://a/")
    rig.policy(steps((60, [who("anne")])))
    post = rig.post("bau-1", policy="plan")
    with monkeypatch.context() as patched:
        patched.setattr(signals, "_insert", Damaged())
        with pytest.raises(Unavailable):
            post.press()
    with rig.database.read() as conn, pytest.raises(sqlite3.IntegrityError):
        conn.connection.cursor().execute("INSERT INTO signal DEFAULT VALUES")
    assert post.press()["r"] == "stored"


def test_another_writer_is_waited_for(sqlite_rig: Rig) -> None:
    """The command line imports a policy while a press comes."""
    rig = sqlite_rig
    post = rig.post("bau-1")
    other = sqlite3.connect(rig.url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    timer.start()
    assert post.press()["r"] == "stored"
    timer.join()
    other.close()


def test_500_presses_at_once_share_their_commits(rig: Rig) -> None:
    rig.person("anne", webhook="https://a/")
    rig.policy(steps((30, [SCREEN, who("anne")])))
    posts = [rig.post(f"bau-{number}", policy="plan") for number in range(500)]
    envelopes = [post.press_envelope() for post in posts]
    rig.settle()
    commits = rig.database.figures.commits
    answers = rig.ingest.envelopes(ORG, "gw-1", envelopes)
    assert {answer["r"] for answer in answers} == {"stored"}
    assert len({answer["alert"] for answer in answers}) == 500
    assert rig.database.figures.commits - commits <= 3


def test_closing_commits_what_is_queued(database_url: str) -> None:
    database = Database(database_url)
    futures = [database.write(add_org(f"o-{number}")) for number in range(50)]
    database.close()
    assert [future.result(0) for future in futures] == [f"o-{number}" for number in range(50)]
    with pytest.raises(Unavailable):
        database.write(add_org("late"))
