"""Leases, retries, restarts, senders: what stands between a decision and a person."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from backend_rig import ACCEPTED, ORG, SCREEN, HandClock, Post, Recorder, Rig, steps, who
from sqlalchemy import Connection
from tocsin_backend.channels import Outgoing
from tocsin_backend.clock import SystemClock
from tocsin_backend.domain import dispatches as domain
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.engine import Engine, Sender
from tocsin_backend.errors import Forbidden, Invalid, NotFound
from tocsin_backend.ingest import Ingest
from tocsin_backend.store import dispatches as dispatch_rows
from tocsin_backend.store import tables

REFUSED = Outcome(False, error="busy")
NEVER = Outcome(False, permanent=True, error="gone")


def furnish(rig: Rig) -> Post:
    rig.person("anne", webhook="https://a/")
    rig.person("bob", webhook="https://b/")
    rig.policy(steps((60, [who("anne")]), (60, [who("bob")])))
    return rig.post("bau-1", policy="plan")


def dispatches(rig: Rig, columns: str = "status, attempts, maybe_dup") -> list[Any]:
    return rig.sql(f"SELECT {columns} FROM dispatch WHERE target LIKE 'person:%' ORDER BY created_ms, pass_, step")


def test_the_first_notice_is_leased_in_the_press_s_own_commit(rig: Rig) -> None:
    furnish(rig).press()
    assert dispatches(rig, "status, owner, next_ms") == [("leased", rig.outbox.owner, rig.clock.now + 10_000)]
    assert rig.engine.senders["webhook"].room() == 499


def test_a_press_on_an_open_alert_does_not_read_whom_it_ever_told(sqlite_rig: Rig) -> None:
    """After a day of repetitions that was a quarter of a second of every press."""
    post = furnish(sqlite_rig)
    alert = post.press()["alert"]
    sqlite_rig.run()
    seen: list[str] = []
    assert sqlite_rig.database._connection is not None
    sqlite_rig.database._connection.connection.driver_connection.set_trace_callback(seen.append)
    post.press()
    assert not [text for text in seen if text.startswith("SELECT DISTINCT")]
    assert sqlite_rig.engine.close(ORG, alert, sqlite_rig.persons["anne"], "test") == "closed"
    assert [text for text in seen if text.startswith("SELECT DISTINCT")], "its end is news to all of them"


def test_a_refused_try_comes_again_after_2_5_and_15_seconds_then_fails_and_the_next_step_fires_at_once(
    rig: Rig,
) -> None:
    tries: list[int] = []

    def busy(outgoing: Outgoing) -> Outcome:
        if outgoing.address != "https://a/":
            return ACCEPTED
        tries.append(rig.clock.now)
        return REFUSED

    rig.channels["webhook"].answer = busy
    began = rig.clock.now
    alert = furnish(rig).press()["alert"]
    rig.run(30_000)
    assert [each - began for each in tries] == [0, 2_000, 7_000, 22_000]
    assert dispatches(rig) == [("failed", 4, 0), ("handed", 1, 0)]
    assert rig.told() == {("https://b/", "notify"): 1, ("console", "notify"): 1}
    whats = [row[0] for row in rig.sql("SELECT what FROM timeline_entry WHERE alert_id=? ORDER BY seq", alert)]
    assert whats == ["raised", "step", "failed", "step-undeliverable", "step", "handed"]
    assert rig.sql("SELECT subject FROM alert WHERE category='technical'") == [("step-undeliverable",)]


def test_a_permanent_refusal_is_not_tried_again(rig: Rig) -> None:
    rig.channels["webhook"].answer = lambda outgoing: NEVER if outgoing.address == "https://a/" else ACCEPTED
    furnish(rig).press()
    rig.run()
    assert dispatches(rig) == [("failed", 1, 0), ("handed", 1, 0)]


def test_when_every_channel_is_dead_the_tail_keeps_its_pace(rig: Rig) -> None:
    rig.channels["webhook"].answer = lambda outgoing: NEVER
    alert = furnish(rig).press()["alert"]
    rig.run(600_000)
    made = rig.sql("SELECT count(*) FROM dispatch WHERE alert_id=?", alert)[0][0]
    assert 20 <= made <= 26, "each of the two steps once a minute after the first round, neither silent nor spinning"
    row = rig.alert(alert)
    assert (row.status, row.unanswered) == ("raised", True)


def test_a_message_whose_sender_died_is_sent_again_under_the_same_id_and_marked(rig: Rig) -> None:
    furnish(rig).press()
    rig.settle()
    [(key,)] = dispatches(rig, "id")
    rig.restart()
    rig.run()
    assert [each.dispatch_id for each in rig.channels["webhook"].sent] == [key]
    assert rig.channels["webhook"].sent[0].message.facts["maybe_dup"] is True
    assert dispatches(rig) == [("handed", 1, 1)]


def test_a_lease_that_runs_out_while_its_message_waits_in_our_own_queue_is_no_duplicate(rig: Rig) -> None:
    furnish(rig).press()
    rig.settle()
    for _ in range(3):
        rig.clock.now += 10_000
        rig.engine.turn()
        rig.settle()
    rig.run()
    assert len(rig.channels["webhook"].sent) == 1
    assert dispatches(rig) == [("handed", 1, 0)]


def test_after_a_long_outage_overdue_steps_fire_at_once_one_message_a_person(rig: Rig) -> None:
    alert = furnish(rig).press()["alert"]
    rig.run()
    rig.told()
    rig.restart(down_ms=3_000_000)
    rig.run()
    assert rig.told() == {("https://b/", "notify"): 1}
    assert rig.alert(alert).due_ms == rig.clock.now + 60_000


def test_a_clock_that_went_back_delays_no_step_beyond_its_span(rig: Rig) -> None:
    alert = furnish(rig).press()["alert"]
    rig.run()
    rig.told()
    rig.restart(down_ms=-3_600_000)
    assert rig.alert(alert).due_ms == rig.clock.now + 60_000
    rig.run(61_000)
    assert rig.told() == {("https://b/", "notify"): 1}


def test_our_own_restart_makes_no_device_late(rig: Rig) -> None:
    post = rig.post("bau-1")
    post.birth()
    post.beat()
    rig.restart(down_ms=7_200_000)
    rig.run(60_000)
    assert rig.sql("SELECT presence FROM device") == [("alive",)]
    rig.run(180_000)
    assert rig.sql("SELECT presence FROM device") == [("lost",)]


def test_an_answer_takes_back_what_has_not_left(rig: Rig) -> None:
    anne = None
    post = furnish(rig)
    anne = rig.persons["anne"]
    alert = post.press()["alert"]
    rig.settle()
    assert rig.engine.answer(ORG, alert, anne, "console") == "won"
    rig.run()
    assert rig.told() == {}
    assert dispatches(rig, "status, error") == [("cancelled", "answered")]


def test_who_may_answer_and_close(rig: Rig) -> None:
    post = furnish(rig)
    anne, bob = rig.persons["anne"], rig.persons["bob"]
    eve = rig.person("eve", role="observer")
    rig.save(tables.Organisation(id="other", name="x", created_ms=1))
    alert = post.press()["alert"]
    with pytest.raises(NotFound):
        rig.engine.answer(ORG, "no-such-alert", anne, "console")
    with pytest.raises(NotFound):
        rig.engine.answer("other", alert, anne, "console")
    for person in (eve, 999):
        with pytest.raises(Forbidden):
            rig.engine.answer(ORG, alert, person, "console")
    with pytest.raises(Invalid):
        rig.engine.close(ORG, alert, anne, "because")
    assert rig.engine.escalate(ORG, alert, anne, 1, 1, 5) == "ignored"
    assert rig.engine.answer(ORG, alert, anne, "console", 1) == "won"
    assert rig.engine.answer(ORG, alert, anne, "console", 1) == "won"
    assert rig.engine.answer(ORG, alert, bob, "console", 1) == "taken"
    assert rig.engine.answer(ORG, alert, bob, "console", 0) == "stale"
    assert rig.engine.close(ORG, alert, bob, "false", "just a cat") == "closed"
    assert rig.engine.close(ORG, alert, anne, "real") == "ignored"
    assert rig.engine.answer(ORG, alert, anne, "console") == "late"
    assert rig.sql("SELECT person_id FROM answer") == [(anne,)]


def test_an_act_that_quotes_an_epoch_to_come_is_refused_and_changes_nothing(rig: Rig) -> None:
    post = furnish(rig)
    anne = rig.persons["anne"]
    alert = post.press()["alert"]
    rig.run()
    acts: list[Callable[[], str]] = [
        lambda: rig.engine.answer(ORG, alert, anne, "console", 2),
        lambda: rig.engine.progress(ORG, alert, anne, "en-route", 2),
        lambda: rig.engine.close(ORG, alert, anne, "false", epoch=9),
        lambda: rig.engine.escalate(ORG, alert, anne, 2, 1, 0),
    ]
    state = "SELECT status, timeline_seq, (SELECT count(*) FROM answer), (SELECT count(*) FROM dispatch) FROM alert"
    before = rig.sql(state)
    for act in acts:
        with pytest.raises(Invalid, match=r"^epoch \d has not begun: the alert is in epoch 1$"):
            act()
    assert rig.sql(state) == before


def test_two_supervisors_at_once_have_one_winner(rig: Rig) -> None:
    post = furnish(rig)
    people = [rig.persons["anne"], rig.persons["bob"]] * 4
    alert = post.press()["alert"]
    outcomes: list[tuple[int, str]] = []
    ready = threading.Barrier(len(people))

    def answer(person: int) -> None:
        ready.wait()
        outcomes.append((person, rig.engine.answer(ORG, alert, person, "console", 1)))

    threads = [threading.Thread(target=answer, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner = rig.alert(alert).answered_by
    assert all((outcome == "won") == (person == winner) for person, outcome in outcomes)
    assert {outcome for _, outcome in outcomes} == {"won", "taken"}


def test_a_lamp_order_is_repeated_until_the_post_confirms_it(rig: Rig) -> None:
    post = furnish(rig)
    post.birth()
    alert = post.press()["alert"]
    rig.run()
    rig.engine.answer(ORG, alert, rig.persons["anne"], "console")

    def tries() -> int:
        return int(rig.sql("SELECT attempts FROM dispatch WHERE kind='lamp'")[0][0])

    assert (tries(), rig.sql("SELECT count(*) FROM downlink")) == (1, [(1,)])
    rig.run(23_000)
    assert (tries(), rig.sql("SELECT count(*) FROM downlink")) == (4, [(1,)]), "an absent gateway's queue stays short"
    post.birth()
    rig.run()
    assert tries() == 5, "at once when the post is born"
    post.lamp("1-1", "answered", 1)
    rig.run(300_000)
    assert tries() == 5


def test_a_lamp_that_nobody_confirms_is_given_up_after_a_day(rig: Rig) -> None:
    post = furnish(rig)
    post.birth()
    alert = post.press()["alert"]
    rig.engine.close(ORG, alert, rig.persons["anne"], "test")
    rig.clock.now += 86_400_000
    rig.run()
    assert rig.sql("SELECT status, error FROM dispatch WHERE kind='lamp'") == [("failed", "unconfirmed")]


def test_a_bug_in_one_alert_never_stops_the_next(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    post = furnish(rig)
    other = rig.post("bau-2", policy="plan")
    bad, good = post.press()["alert"], other.press()["alert"]
    rig.run()
    rig.told()
    right = rig.engine.outbox.apply

    def wrong(conn: Any, alert: Any, event: Any, now_ms: int) -> Any:
        if alert.id == bad:
            raise ZeroDivisionError
        return right(conn, alert, event, now_ms)

    monkeypatch.setattr(rig.engine.outbox, "apply", wrong)
    rig.run(61_000)
    assert rig.told() == {("https://b/", "notify"): 1}
    assert rig.alert(good).step == 1
    assert rig.engine.unexpected > 0
    monkeypatch.undo()
    rig.run(10_000)
    assert rig.told() == {("https://b/", "notify"): 1}


def test_a_person_without_the_method_any_more_is_no_reason_to_wait(rig: Rig) -> None:
    """The number was deleted between two tries."""
    post = furnish(rig)
    rig.channels["webhook"].answer = lambda outgoing: REFUSED if outgoing.address == "https://a/" else ACCEPTED
    post.press()
    rig.run()
    rig.sql("UPDATE contact_method SET disabled_ms=1 WHERE address='https://a/'")
    rig.run(2_000)
    assert dispatches(rig, "status, error") == [("failed", "no-method"), ("handed", None)]


# -- real threads, real time


class Slow:
    """A channel that hangs."""

    name = "webhook"
    workers = 2

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.began = 0

    def send(self, outgoing: Outgoing) -> Outcome:
        self.began += 1
        self.gate.wait(20)
        return ACCEPTED

    def close(self) -> None:
        self.gate.set()


def until(true: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def test_a_channel_that_hangs_delays_no_other(rig: Rig) -> None:
    """Invariant 14, with the engine's own threads."""
    rig.clock = SystemClock()  # type: ignore[assignment]
    slow, mail = Slow(), Recorder("email")
    channels = {"webhook": slow, "email": mail, "console": Recorder("console")}
    engine = Engine(rig.database, rig.clock, rig.outbox, channels)
    rig.ingest = Ingest(rig.database, rig.clock, rig.outbox)
    rig.engine.senders = engine.senders  # the rig's own engine listens too: both put into the same senders
    rig.database._callbacks.remove(rig.engine._committed)
    engine.start()
    try:
        rig.person("anne", webhook="https://a/", email="a@x")
        rig.policy(steps((60, [who("anne")])))
        posts = [rig.post(f"bau-{number}", policy="plan") for number in range(20)]
        began = time.monotonic()
        for post in posts:
            post.press()
        until(lambda: len(mail.sent) == 20)
        assert time.monotonic() - began < 5
        assert slow.began == 2, "its workers are bounded"
        assert engine.heartbeat_age_ms() < 15_000
        slow.gate.set()
        until(lambda: slow.began == 20)
    finally:
        slow.gate.set()
        engine.stop()


def test_the_thread_sleeps_until_an_instant_and_is_woken_by_a_commit(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of 5 s, the shortest, leaves within 1 s of its instant (P4); nothing polls in between."""
    rig.clock = SystemClock()  # type: ignore[assignment]
    hooks = {name: Recorder(name) for name in ("webhook", "email", "console")}
    rig.database._callbacks.remove(rig.engine._committed)
    engine = Engine(rig.database, rig.clock, rig.outbox, hooks)
    rig.ingest = Ingest(rig.database, rig.clock, rig.outbox)
    turns: list[float] = []
    turn = engine.turn

    def counted() -> int | None:
        turns.append(time.monotonic())
        return turn()

    monkeypatch.setattr(engine, "turn", counted)
    engine.start()
    try:
        rig.person("anne", webhook="https://a/")
        rig.person("bob", webhook="https://b/")
        rig.policy(steps((5, [who("anne")]), (60, [who("bob")])))
        post = rig.post("bau-1", policy="plan")
        began = time.monotonic()
        post.press()
        until(lambda: len(hooks["webhook"].sent) == 1)
        assert time.monotonic() - began < 1
        until(lambda: len(hooks["webhook"].sent) == 2)
        late_s = time.monotonic() - began - 5
        assert 0 <= late_s < 1
        assert engine.lateness_ms() < 1_000
        assert len(turns) < 15
    finally:
        engine.stop()


def test_a_sender_takes_the_most_urgent_first_and_drops_what_was_taken_back(rig: Rig) -> None:
    gate, order = threading.Event(), []

    class Gated(Recorder):
        def send(self, outgoing: Outgoing) -> Outcome:
            gate.wait(10)
            order.append(outgoing.dispatch_id)
            return ACCEPTED

    done: list[Outcome] = []
    sender = Sender(Gated("webhook"), lambda outgoing, outcome: done.append(outcome), lambda: 0)
    sender.start()

    def put(key: str, class_: int) -> None:
        sender.put(Outgoing(key, "a", "webhook", "", "", class_, None))  # type: ignore[arg-type]

    put("first", 3)
    until(lambda: sender.room() == 500)
    for key, class_ in (("technical", 3), ("later", 1), ("gone", 0), ("life", 0)):
        put(key, class_)
    sender.drop({"gone"})
    gate.set()
    until(lambda: len(done) == 4)
    assert order == ["first", "life", "later", "technical"]
    sender.stop(5)


def test_a_full_channel_holds_back_no_other(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    alert = furnish(rig).press()["alert"]
    rig.person("carl", email="carl@x.fr")
    rig.run()
    rig.told()
    monkeypatch.setattr(rig.engine.senders["webhook"], "room", lambda: 0)
    late_ms, now_ms = rig.clock.now - 1_000, rig.clock.now

    def fill(conn: Connection) -> None:
        anne = rig.persons["anne"]
        dispatch_rows.add(
            conn,
            [domain.new(alert, (1, 9, n), "notify", f"x{n}", "webhook", 0, late_ms, anne, 1) for n in range(250)]
            + [domain.new(alert, (1, 9, 250), "notify", "y", "email", 0, now_ms, rig.persons["carl"], 3)],
        )

    rig.database.write(fill).result()
    rig.engine.turn()
    rig.pump()
    assert rig.told() == {("carl@x.fr", "notify"): 1}
    again_ms = rig.engine.turn()
    assert again_ms is not None
    assert again_ms > rig.clock.now, "the engine does not spin on what has no room"


def test_a_channel_that_raises_is_a_refusal_not_an_end(rig: Rig) -> None:
    def explode(outgoing: Outgoing) -> Outcome:
        raise RuntimeError("boom")

    rig.channels["webhook"].answer = explode
    furnish(rig).press()
    rig.run()
    assert dispatches(rig, "status, attempts, error") == [("pending", 1, "RuntimeError: boom")]


# -- the clock


def test_the_clock_slews_and_never_jumps() -> None:
    wall, mono = [1_000.0], [50.0]
    clock = SystemClock(lambda: wall[0], lambda: mono[0])

    def advance(seconds: float, jump: float = 0.0) -> int:
        wall[0] += seconds + jump
        mono[0] += seconds
        return clock.now_ms()

    assert advance(1) == 1_001_000
    assert advance(1, jump=3_600) == pytest.approx(1_002_100, abs=2)
    assert advance(10) == pytest.approx(1_013_100, abs=5)
    before = clock.now_ms()
    wall[0] -= 7_200
    for _ in range(50):
        now = advance(0.1)
        assert now >= before
        before = now
    assert HandClock(5).now_ms() == 5
    assert SCREEN.channel == "console"
