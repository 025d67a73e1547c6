"""Several engines on one PostgreSQL: every step once, nothing lost, and each hears at once what the others commit."""

import copy
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from backend_rig import ACCEPTED, ORG, SCREEN, Post, Rig, steps, who
from hook_server import HookServer
from postgres_server import PostgresServer
from test_crash import LEASE_MS, Forge
from tocsin_backend.clock import SystemClock
from tocsin_backend.engine import FULL_MS, Engine
from tocsin_backend.errors import Misconfigured, Unavailable
from tocsin_backend.outbox import Outbox
from tocsin_backend.store import engines, wakes
from tocsin_backend.store.database import Database, Notes, notes

WITHIN_S = 10.0  # a deadline for what takes milliseconds


def until(question: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not question():
        assert time.monotonic() < deadline, f"{what}: not within {WITHIN_S} s"
        time.sleep(0.01)


@pytest.fixture
def first(postgres_rig: Rig) -> Rig:
    postgres_rig.person("anne", webhook="https://a/")
    postgres_rig.person("bob", webhook="https://b/")
    postgres_rig.policy(steps((60, [who("anne")]), (60, [who("bob")])))
    return postgres_rig


@pytest.fixture
def second(first: Rig) -> Iterator[Rig]:
    """Another process on the same database, with the same clock."""
    made = copy.copy(first)
    made.database = Database(first.url)
    made.open()
    for each in (first, made):
        each.database.write(each.engine._resume).result()
    yield made
    made.database.close()


def at(rig: Rig, post: Post) -> Post:
    """The same post, heard by this process."""
    moved = copy.copy(post)
    moved.rig = rig
    return moved


def together(*jobs: Callable[[], Any]) -> list[Any]:
    """The results of these, begun at one instant in a thread each."""
    start = threading.Barrier(len(jobs))
    results: list[Any] = [None] * len(jobs)

    def run(place: int, job: Callable[[], Any]) -> None:
        start.wait(10)
        try:
            results[place] = job()
        except Exception as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_two_engines_serve_each_step_once(first: Rig, second: Rig) -> None:
    envelopes = [first.post(f"bau-{number}", policy="plan").press_envelope() for number in range(60)]
    assert {each["r"] for each in first.ingest.envelopes(ORG, "gw-1", envelopes)} == {"stored"}
    first.pump()
    assert first.told() == {("https://a/", "notify"): 60}
    first.clock.now += 60_000
    for _ in range(3):
        assert [each for each in together(first.engine.turn, second.engine.turn) if isinstance(each, Exception)] == []
    for each in (first, second):
        each.pump()
    # Whoever was free at the lease's end sends it; nobody sends it twice.
    assert first.told() + second.told() == {("https://b/", "notify"): 60}
    assert first.sql("SELECT what, count(*) FROM timeline_entry WHERE what='step' GROUP BY what") == [("step", 120)]


def test_two_engines_take_over_each_lease_once(first: Rig, second: Rig) -> None:
    envelopes = [first.post(f"bau-{number}", policy="plan").press_envelope() for number in range(60)]
    first.ingest.envelopes(ORG, "gw-1", envelopes)
    first.open()  # the process that held the leases is gone, another one is in its place
    first.database.write(first.engine._resume).result()
    first.clock.now += LEASE_MS
    for _ in range(3):
        assert [each for each in together(first.engine.turn, second.engine.turn) if isinstance(each, Exception)] == []
    for each in (first, second):
        each.pump()
    assert first.told() + second.told() == {("https://a/", "notify"): 60}


def test_two_raises_of_one_alert_make_one(first: Rig, second: Rig) -> None:
    posts = [first.post(f"bau-{number}", policy="plan") for number in range(30)]
    for post in posts:
        one, other = post.press_envelope(), post.press_envelope()
        answers = together(lambda one=one: first.give(one), lambda other=other: second.give(other))
        assert [each["r"] for each in answers] == ["stored", "stored"]
        assert len({each["alert"] for each in answers}) == 1, "invariant 2"
    assert first.sql("SELECT presses, count(*) FROM alert GROUP BY presses") == [(2, 30)]
    for each in (first, second):
        each.pump()
    assert first.told() + second.told() == {("https://a/", "notify"): 30}


def test_two_batches_of_presses_collide_and_every_one_counts(first: Rig, second: Rig) -> None:
    posts = [first.post(f"bau-{number}", policy="plan") for number in range(40)]
    batches = [[post.press_envelope() for post in posts], [post.press_envelope() for post in reversed(posts)]]
    answers = together(*(
        lambda rig=rig, batch=batch: rig.ingest.envelopes(ORG, "gw-1", batch)
        for rig, batch in zip((first, second), batches, strict=True)
    ))  # fmt: skip
    assert [isinstance(each, list) and {one["r"] for one in each} for each in answers] == [{"stored"}, {"stored"}]
    assert first.sql("SELECT presses, count(*) FROM alert GROUP BY presses") == [(2, 40)]
    assert first.sql("SELECT count(*) FROM signal") == [(80,)]


def test_one_press_heard_by_two_processes_is_one_signal(first: Rig, second: Rig) -> None:
    envelope = first.post("bau-1", policy="plan").press_envelope()
    answers = together(lambda: first.give(envelope), lambda: second.give(envelope))
    assert sorted(each["r"] for each in answers) == ["duplicate", "stored"]
    assert answers[0]["alert"] == answers[1]["alert"]
    assert first.sql("SELECT count(*) FROM signal") == [(1,)]


def test_two_people_answer_at_two_processes_and_one_wins(first: Rig, second: Rig) -> None:
    for number in range(20):
        alert = first.post(f"bau-{number}", policy="plan").press()["alert"]
        outcomes = together(
            lambda alert=alert: first.engine.answer(ORG, alert, first.persons["anne"], "console", 1),
            lambda alert=alert: second.engine.answer(ORG, alert, first.persons["bob"], "console", 1),
        )
        assert sorted(map(str, outcomes)) == ["taken", "won"]


def test_a_lease_of_a_process_that_died_is_taken_over_at_its_end(first: Rig, second: Rig) -> None:
    first.post("bau-1", policy="plan").press()
    first.settle()
    second.run(LEASE_MS - 1)
    assert second.told() == {}, "it may still be on its way"
    second.run(1)
    assert [each.message.facts["maybe_dup"] for each in second.channels["webhook"].sent] == [True]
    assert second.told() == {("https://a/", "notify"): 1}


def test_what_a_stopping_process_did_not_send_goes_out_elsewhere_at_once(first: Rig, second: Rig) -> None:
    first.post("bau-1", policy="plan").press()
    first.settle()
    first.engine._leave(10)
    second.run()
    assert second.told() == {("https://a/", "notify"): 1}
    assert first.sql("SELECT owner, stopped_ms IS NULL FROM engine ORDER BY started_ms, owner") == sorted(
        [(first.outbox.owner, False), (second.outbox.owner, True)]
    )


def test_leases_of_an_engine_without_beats_end_early(first: Rig, second: Rig) -> None:
    first.post("bau-1", policy="plan").press()
    first.settle()
    # A lease that was prolonged just before its holder died.
    first.clock.now += engines.BEATS_MISSED * engines.BEAT_MS - 1
    first.sql("UPDATE dispatch SET next_ms=?", first.clock.now + LEASE_MS)
    second.engine._tell_it_lives()
    second.run()
    assert second.told() == {}, "three beats are not missed yet"
    first.clock.now += 1
    second.engine._tell_it_lives()
    second.run()
    assert second.told() == {("https://a/", "notify"): 1}


def test_what_waits_in_a_process_is_its_own_however_long(first: Rig, second: Rig) -> None:
    first.post("bau-1", policy="plan").press()
    first.settle()  # its one worker is busy: the message waits
    until_ms = first.clock.now + 3 * LEASE_MS
    while first.clock.now < until_ms:
        second.engine.turn()
        second.pump()
        next_ms = first.engine.turn()
        assert next_ms is not None
        first.clock.now = max(first.clock.now + 500, next_ms)
    assert second.told()[("https://a/", "notify")] == 0
    first.pump()
    assert first.told()[("https://a/", "notify")] == 1


def test_a_row_that_another_process_holds_is_passed_by_and_looked_at_again_soon(first: Rig, second: Rig) -> None:
    alert = first.post("bau-1", policy="plan").press()["alert"]
    first.pump()
    first.clock.now += 60_000
    held, go = threading.Event(), threading.Event()

    def hold(conn: Any) -> None:
        conn.exec_driver_sql("SELECT 1 FROM alert FOR UPDATE")
        held.set()
        go.wait(20)

    holding = first.database.write(hold)
    assert held.wait(10)
    second.engine.turn()  # serves the post's own deadline
    assert second.engine.turn() == first.clock.now + FULL_MS
    assert second.alert(alert).step == 0
    go.set()
    holding.result(20)
    second.engine.turn()
    assert second.alert(alert).step == 1


def test_a_commit_wakes_the_other_engine_before_its_due_instant(first: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the notification can tell it: nothing is due there, and its beat is ten minutes away."""
    monkeypatch.setattr(engines, "BEAT_MS", 600_000)
    first.clock.now = time.time_ns() // 1_000_000
    other = Database(first.url)
    outbox = Outbox("other", frozenset(first.channels), "https://tocsin.test")
    engine = Engine(other, SystemClock(), outbox, first.channels)
    engine.start()
    try:
        first.policy(steps((60, [SCREEN]), (60, [who("bob")]), id="soon"))
        until(lambda: engine._wake_ms is None, "it sleeps")
        alert = first.post("bau-1", policy="soon").press()["alert"]
        first.pump()
        span_ms = 200
        first.sql("UPDATE alert SET due_ms=?", time.time_ns() // 1_000_000 + span_ms)

        def tell(conn: Any) -> None:
            notes(conn).wake(time.time_ns() // 1_000_000 + span_ms)

        first.database.write(tell).result()
        until(lambda: bool(first.channels["webhook"].sent), "the other engine served the step")
        assert first.alert(alert).step == 1
    finally:
        engine.stop()
        other.close()


def test_what_one_process_notes_the_others_hear_and_itself_once(first: Rig) -> None:
    mine: list[Notes] = []
    theirs: list[Notes] = []
    first.database.after_commit(mine.append)
    first.database.listen()
    other = Database(first.url)
    other.after_commit(theirs.append)
    other.listen()
    everything = Notes(catalogue=True, wake_ms=0)
    until(lambda: everything in mine and everything in theirs, "both listen")
    mine.clear()
    theirs.clear()
    # More than one notification takes: each has 8,000 bytes.
    said = Notes(
        alerts={f"{number:036}" for number in range(400)},
        devices={(ORG, "bau-1")},
        catalogue=True,
        downlinks={(ORG, "gw-1")},
        cancelled={"x"},
        wake_ms=12,
    )

    def job(conn: Any) -> None:
        notes(conn).add(said)

    def fails(conn: Any) -> None:
        notes(conn).alerts.add("never")
        raise ValueError

    failed = first.database.write(fails)
    first.database.write(job).result()
    assert isinstance(failed.exception(10), ValueError)

    def heard() -> Notes:
        whole = Notes()
        for each in list(theirs):
            whole.add(each)
        return whole

    until(lambda: heard() == said, "the other hears everything")
    assert mine == [said]
    other.close()


def test_notifications_are_short_and_read_back() -> None:
    said = Notes(alerts={"é" * 36 + str(number) for number in range(500)}, wake_ms=5)
    texts = list(wakes.payloads("me", said))
    assert len(texts) > 2
    assert max(len(text.encode()) for text in texts) < 8_000
    whole = Notes()
    for text in texts:
        token, part = wakes.read(text)
        assert token == "me"
        whole.add(part)
    assert whole == said
    assert list(wakes.payloads("me", Notes(outgoing=[object()]))) == []
    for bad in ("", "[]", "{}", '{"from":"x","devices":[1]}', "null"):
        with pytest.raises(ValueError, match="cannot be read"):
            wakes.read(bad)


def test_a_killed_process_loses_nothing_and_a_live_one_takes_over(
    first: Rig, second: Rig, forge: Forge, tmp_path: Path
) -> None:
    server = HookServer()
    try:
        first.person("zoe", webhook=f"{server.url}/zoe")
        first.policy(steps((600, [who("zoe")]), id="zoes"))
        second.clock.now = time.time_ns() // 1_000_000
        second.database.write(second.engine._resume).result()
        envelope = first.post("bau-1", policy="zoes").press_envelope()
        assert forge.run(first, envelope, "before-send")["status"] == -9
        assert server.received == []
        second.clock.now = time.time_ns() // 1_000_000 + LEASE_MS
        second.run()
        assert [(each.address, each.message.facts["maybe_dup"]) for each in second.channels["webhook"].sent] == [
            (f"{server.url}/zoe", True)
        ]
        assert second.give(envelope)["r"] == "duplicate"
    finally:
        server.close()


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge()
    yield made
    made.close()


def test_a_second_engine_on_one_sqlite_file_is_refused(sqlite_rig: Rig) -> None:
    sqlite_rig.engine.start()
    other = Database(sqlite_rig.url)
    engine = Engine(other, SystemClock(), Outbox("other", frozenset(), "https://tocsin.test"), {})
    with pytest.raises(Misconfigured, match=r"another Tocsin server \(process \d+\) runs on .*rig.db"):
        engine.start()
    engine.stop()
    sqlite_rig.engine.stop()
    sqlite_rig.database.close()
    engine = Engine(other, SystemClock(), Outbox("other", frozenset(), "https://tocsin.test"), {})
    engine.start()
    engine.stop()
    other.close()


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_postgresql_restarts_under_load_and_everything_heals(first: Rig, postgres: PostgresServer, how: str) -> None:
    """What was said to be stored is there; what was refused with 503 is taken when it is sent again."""
    posts = [first.post(f"bau-{number}", policy="plan") for number in range(4)]
    stop = threading.Event()
    results: Counter[str] = Counter()
    lock = threading.Lock()
    accepted: list[str] = []

    def press(post: Post) -> None:
        while not stop.is_set():
            envelope = post.press_envelope()
            while not stop.is_set():
                try:
                    answer = first.give(envelope)
                except Unavailable:
                    with lock:
                        results["503"] += 1
                    stop.wait(0.05)
                    continue
                with lock:
                    results[answer["r"]] += 1
                    accepted.append(f"{post.device}-{post.n}")
                break

    first.channels["webhook"].answer = lambda outgoing: ACCEPTED
    threads = [threading.Thread(target=press, args=(post,)) for post in posts]
    for thread in threads:
        thread.start()
    try:
        until(lambda: results["stored"] > 20, "presses are stored")
        postgres.halt(how)
        until(lambda: results["503"] > 3, "an outage is said to be one")
        postgres.start()
        before = results["stored"]
        until(lambda: results["stored"] > before + 20, "it heals by itself")
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert set(results) <= {"stored", "duplicate", "503"}
    kept = {f"{device}-{n}" for device, n in first.sql("SELECT device, n FROM signal")}
    assert set(accepted) <= kept
    with first.database.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM alert WHERE category='call'").scalar_one() == 4


def test_a_listener_comes_back_and_has_everything_looked_at(first: Rig, postgres: PostgresServer) -> None:
    heard: list[Notes] = []
    first.database.after_commit(heard.append)
    first.database.listen()
    everything = Notes(catalogue=True, wake_ms=0)
    until(lambda: everything in heard, "it listens")
    heard.clear()
    postgres.restart("fast")
    until(lambda: everything in heard, "it listens again")


def test_an_idle_process_does_not_notice_a_restart(first: Rig, postgres: PostgresServer) -> None:
    post = first.post("bau-1", policy="plan")
    with first.database.read() as one, first.database.read() as other:
        assert [each.exec_driver_sql("SELECT 1").scalar_one() for each in (one, other)] == [1, 1]
    postgres.restart("fast")
    assert post.press()["r"] == "stored"
    with first.database.read() as one, first.database.read() as other:
        assert [each.exec_driver_sql("SELECT 1").scalar_one() for each in (one, other)] == [1, 1]
