from tocsin_backend.domain import liveness
from tocsin_backend.domain.liveness import ALIVE, LATE, LOST, NEVER, Presence

T = 1_700_000_000_000
R = 90_000


def test_never_seen_is_not_lost() -> None:
    nobody = Presence()
    assert nobody.state == NEVER
    assert liveness.due(nobody, T, R) == nobody
    assert liveness.ended(nobody, R, (1, 1), planned=False) == nobody


def test_alive_then_late_then_lost_at_the_reporting_time() -> None:
    alive = liveness.heard(Presence(), T, R, (1, 1))
    assert (alive.state, alive.expected_by_ms) == (ALIVE, T + 45_000)
    assert liveness.due(alive, T + 44_999, R) == alive
    late = liveness.due(alive, T + 45_000, R)
    assert (late.state, late.expected_by_ms) == (LATE, T + R)
    lost = liveness.due(late, T + R, R)
    assert (lost.state, lost.expected_by_ms) == (LOST, None)
    assert liveness.due(alive, T + R, R).state == LOST
    assert liveness.heard(lost, T + R + 1, R, (1, 1), 7).state == ALIVE


def test_order_is_by_session_and_beat_never_by_arrival() -> None:
    now = liveness.heard(Presence(), T, R, (2, 3), 5)
    for session, beat in (((2, 3), 5), ((2, 3), 4), ((2, 2), 9), ((1, 9), 9), ((2, 3), 0)):
        assert liveness.heard(now, T + 1_000, R, session, beat) == now, (session, beat)
    assert liveness.heard(now, T + 1_000, R, (2, 3), 6).last_seen_ms == T + 1_000
    assert liveness.heard(now, T + 1_000, R, (2, 4), 0).session == (2, 4)


def test_the_death_of_another_session_says_nothing() -> None:
    now = liveness.heard(Presence(), T, R, (2, 3), 5)
    assert liveness.ended(now, R, (2, 2), planned=False) == now
    late = liveness.ended(now, R, (2, 3), planned=False)
    assert (late.state, late.expected_by_ms) == (LATE, T + R)
    assert liveness.heard(late, T + 9, R, (2, 3), 6) == late, "a beat of a session that ended was on its way"
    assert liveness.heard(late, T + 9, R, (2, 4), 0).state == ALIVE
    assert liveness.due(late, T + R, R).state == LOST


def test_a_planned_restart_is_not_late_before_its_time() -> None:
    gone = liveness.ended(liveness.heard(Presence(), T, R, (1, 1)), R, (1, 1), planned=True)
    assert (gone.state, gone.ended) == (ALIVE, True)
    assert liveness.due(gone, T + 45_000, R).state == LATE


def test_our_own_downtime_makes_nobody_late() -> None:
    alive = liveness.heard(Presence(), T, R, (1, 1))
    back = liveness.resumed(alive, T + 1_000, T + 3_600_000, R)
    assert liveness.due(back, T + 3_600_000 + 60_000, R).state == ALIVE
    for _ in range(5):
        back = liveness.resumed(back, T, T + 3_600_000, R)
    assert back.expected_by_ms == T + 3_600_000 + 2 * R, "restarting again and again hides no loss"
    assert liveness.resumed(Presence(), T, T + 1, R) == Presence()


def test_a_new_signal_counts_for_the_session_that_runs() -> None:
    late = liveness.due(liveness.heard(Presence(), T, R, (1, 1), 3), T + 45_000, R)
    back = liveness.heard(late, T + 50_000, R)
    assert (back.state, back.session, back.beat_i, back.last_seen_ms) == (ALIVE, (1, 1), 3, T + 50_000)
