"""A first notice is prepared while its alert is being committed, and leaves after the commit or not at all."""

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tocsin_backend.channels import Outgoing
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.domain.notices import Message
from tocsin_backend.engine import Sender
from tocsin_backend.store.database import Database, Gate, Priority, notes

OUTGOING = Outgoing("d-1", "a-1", "webhook", "http://x", "secret", 0, Message("s", "t", {}))


class Watched:
    """A channel that says what is asked of it."""

    name = "webhook"
    workers = 1

    def __init__(self) -> None:
        self.prepared = threading.Event()
        self.launched = threading.Event()
        self.sent = threading.Event()
        self.abandoned = threading.Event()

    def send(self, outgoing: Outgoing) -> Outcome:
        return self.prepare(outgoing).finish()

    def prepare(self, _: Outgoing) -> "Watched":
        self.prepared.set()
        return self

    def launch(self) -> None:
        self.launched.set()

    def finish(self) -> Outcome:
        self.sent.set()
        return Outcome(True)

    def abandon(self) -> None:
        self.abandoned.set()

    def close(self) -> None:
        """Nothing is kept."""


@pytest.mark.parametrize("committed", [True, False])
def test_a_prepared_message_leaves_only_once_its_alert_is_committed(committed: bool) -> None:
    channel, done, gate = Watched(), threading.Event(), Gate()
    sender = Sender(channel, lambda *_: done.set(), lambda: 0)
    sender.start()
    sender.put(OUTGOING, gate)
    assert channel.prepared.wait(5)
    deadline = time.monotonic() + 5
    while not gate._then and time.monotonic() < deadline:
        time.sleep(0.001)
    assert not channel.launched.is_set()
    assert not channel.sent.is_set()
    gate.settle(committed)
    assert channel.launched.is_set() is committed  # by whoever committed, not by a thread that must wake first
    sender.put(Outgoing("d-2", "a-1", "webhook", "", "", 9, OUTGOING.message))  # comes after the first was dealt with
    assert done.wait(5)
    sender.stop(5)
    assert channel.abandoned.is_set() is not committed
    if not committed:
        assert sender.send(OUTGOING, gate) is None


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(f"sqlite:///{tmp_path / 'gate.db'}")
    yield made  # type: ignore[misc]
    made.close()


def noting(conn: Connection) -> None:
    notes(conn).outgoing.append(OUTGOING)


def test_the_gate_passes_after_the_commit_and_not_before(database: Database) -> None:
    seen: list[tuple[str, bool]] = []
    gates: list[Gate] = []
    database.before_commit(lambda _, gate: (gates.append(gate), seen.append(("before", gate._settled.is_set()))))
    database.after_commit(lambda _: seen.append(("after", gates[-1].passed())))
    database.write(noting, Priority.PRESS).result(5)
    assert seen == [("before", False), ("after", True)]


def test_a_commit_that_fails_shuts_the_gate(database: Database) -> None:
    gates: list[Gate] = []

    def job(conn: Connection) -> None:
        conn.exec_driver_sql("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        conn.exec_driver_sql("CREATE TABLE child (of_id REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
        conn.exec_driver_sql("INSERT INTO child VALUES (7)")  # COMMIT itself will refuse this
        noting(conn)

    database.before_commit(lambda _, gate: gates.append(gate))
    with pytest.raises(Exception, match="FOREIGN KEY"):
        database.write(job, Priority.PRESS).result(5)
    assert [gate.passed() for gate in gates] == [False]


def test_a_message_is_announced_again_when_its_job_is_tried_apart(database: Database) -> None:
    gates: list[Gate] = []
    database.before_commit(lambda _, gate: gates.append(gate))

    def failing(_conn: Connection) -> None:
        raise RuntimeError("planted")

    good, bad = database.write_all([noting, failing], Priority.PRESS)
    good.result(5)
    with pytest.raises(RuntimeError):
        bad.result(5)
    assert [gate.passed() for gate in gates] == [True]


def test_what_comes_after_the_commit_is_called_at_once_and_after_a_failed_one_never() -> None:
    for committed in (True, False):
        gate, called = Gate(), []
        gate.settle(committed)
        gate.then(lambda called=called: called.append(1))
        assert bool(called) is committed


def test_one_that_fails_to_begin_takes_no_other_with_it() -> None:
    gate, called = Gate(), []
    gate.then(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    gate.then(lambda: called.append(1))
    gate.settle(True)
    assert called == [1]
    assert gate.passed()


def test_a_message_announced_again_leaves_although_its_first_announcement_still_waited() -> None:
    sent: list[str] = []
    done = threading.Semaphore(0)

    def note(outgoing: Outgoing, _: Outcome) -> None:
        sent.append(outgoing.dispatch_id)
        done.release()

    sender = Sender(Watched(), note, lambda: 0)
    failed, passed = Gate(), Gate()
    both = [Outgoing(f"d-{each}", "a-1", "webhook", "", "", 0, OUTGOING.message) for each in (1, 2)]
    for gate in (failed, passed):  # the batch, whose commit fails; then each job apart
        for each in both:
            sender.put(each, gate)
    failed.settle(False)
    passed.settle(True)
    sender.start()
    assert done.acquire(timeout=5)
    assert done.acquire(timeout=5)
    sender.stop(5)
    assert sorted(sent) == ["d-1", "d-2"]
