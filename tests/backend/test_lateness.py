"""How late timers were served: stored by the hour, said as one technical alert an organisation, cleared when quiet."""

import json
from typing import Any

import pytest
from backend_rig import ORG, START_MS, Rig, steps, who
from tocsin_backend.domain import alerts
from tocsin_backend.errors import Unavailable
from tocsin_backend.lateness import Lateness
from tocsin_backend.store import lateness as rows

HOUR_MS = 3_600_000


@pytest.fixture
def late_rig(rig: Rig) -> Rig:
    rig.person("anne", webhook="https://a/")
    rig.policy(steps((30, [who("anne")]), (30, [who("anne")])))
    return rig


def lateness_alerts(rig: Rig) -> list[Any]:
    return rig.sql("SELECT id, org, site, device, presses, status, condition FROM alert WHERE subject='lateness'")


def stored(rig: Rig) -> dict[str, tuple[int, int, int]]:
    found = rig.sql("SELECT timer, sum(served), sum(over), max(max_ms) FROM timer_lateness GROUP BY timer")
    return {timer: (int(served), int(over), int(worst)) for timer, served, over, worst in found}


def let_be_late(rig: Rig, late_ms: int) -> None:
    """The next instant comes, and the engine with it that much later."""
    with rig.database.read() as conn:
        from tocsin_backend.store import alerts as alert_rows

        due_ms = alert_rows.earliest_due_ms(conn)
    assert due_ms is not None
    rig.clock.now = due_ms + late_ms
    rig.engine.turn()
    rig.pump()
    rig.engine.lateness.flush(rig.database)
    rig.settle()


def test_timers_served_at_their_instant_are_counted_and_alarm_nobody(late_rig: Rig) -> None:
    rig = late_rig
    rig.database.write(rig.engine._resume).result()
    rig.post("bau-1", policy="plan").press()
    rig.run(120_000)
    rig.clock.now += 5_000
    rig.engine.lateness.flush(rig.database)
    found = stored(rig)
    assert found["alert"][0] >= 2
    assert all((over, worst) == (0, 0) for _, over, worst in found.values())
    assert lateness_alerts(rig) == []
    assert rig.engine.lateness.figures()["alert"].tally.served == found["alert"][0]


def test_a_late_step_is_one_technical_alert_about_no_device(late_rig: Rig) -> None:
    rig = late_rig
    rig.database.write(rig.engine._resume).result()
    rig.post("bau-1", policy="plan").press()
    rig.run()
    rig.told()
    let_be_late(rig, 2_500)
    [(alert_id, org, site, device, presses, status, condition)] = lateness_alerts(rig)
    assert (org, site, device, presses, status, condition) == (ORG, None, None, 1, "raised", "active")
    assert stored(rig)["alert"][1:] == (1, 2_500)
    steps_said = rig.sql("SELECT data FROM timeline_entry WHERE what='step' AND alert_id<>? ORDER BY seq", alert_id)
    assert [json.loads(data).get("late_ms") for (data,) in steps_said] == [None, 2_500]
    # late again within a minute: bundled; later: counted on the same alert
    let_be_late(rig, 30_000)
    assert [row[0] for row in lateness_alerts(rig)] == [alert_id]
    for _ in range(3):
        let_be_late(rig, 61_000)
    [row] = lateness_alerts(rig)
    assert (row[0], row[4] > 1) == (alert_id, True)
    assert rig.alert(alert_id).category == alerts.TECHNICAL


def test_ten_quiet_minutes_clear_it_and_another_engine_that_is_late_prevents_that(late_rig: Rig) -> None:
    rig = late_rig
    rig.database.write(rig.engine._resume).result()
    post = rig.post("bau-1", policy="plan")
    alert_id = post.press()["alert"]
    rig.run()
    let_be_late(rig, 3_000)
    rig.engine.close(ORG, alert_id, rig.persons["anne"], "test")
    seen_ms = rig.clock.now
    rig.clock.now = seen_ms + 599_999
    rig.engine.lateness.flush(rig.database)
    assert lateness_alerts(rig)[0][6] == "active"
    other = rows.Tally().plus(4_000)
    rig.database.write(lambda conn: rows.add(conn, "other-engine", rig.clock.now, {"alert": other})).result()
    rig.clock.now = seen_ms + 600_000
    rig.engine.lateness.flush(rig.database)
    assert lateness_alerts(rig)[0][6] == "active", "the other engine is late"
    rig.clock.now += 600_000
    rig.engine.lateness.flush(rig.database)
    assert lateness_alerts(rig)[0][6] == "cleared"


def test_overdue_after_our_own_downtime_is_recorded_as_restart_and_raises_no_storm(late_rig: Rig) -> None:
    rig = late_rig
    rig.database.write(rig.engine._resume).result()
    for number in range(5):
        rig.post(f"bau-{number}", policy="plan").press()
    rig.run()
    rig.restart(down_ms=600_000)
    rig.run()
    rig.clock.now += 5_000
    rig.engine.lateness.flush(rig.database)
    found = stored(rig)
    assert found["alert-restart"][0] == 5
    assert found["alert-restart"][1] == 5, "recorded as late"
    assert lateness_alerts(rig) == []


def test_an_engine_that_starts_takes_over_the_open_alert_and_clears_it(late_rig: Rig) -> None:
    rig = late_rig
    rig.database.write(rig.engine._resume).result()
    alert_id = rig.post("bau-1", policy="plan").press()["alert"]
    rig.run()
    let_be_late(rig, 3_000)
    rig.engine.close(ORG, alert_id, rig.persons["anne"], "test")
    rig.restart(down_ms=1_000)
    rig.clock.now += 600_000
    rig.engine.lateness.flush(rig.database)
    assert lateness_alerts(rig)[0][6] == "cleared"


def test_what_waits_for_its_storing_is_stored_by_an_orderly_stop(rig: Rig) -> None:
    rig.engine.start()
    rig.clock.now += 1_000
    rig.engine.lateness.served("alert", rig.clock.now - 40, rig.clock.now, ORG)
    rig.engine.stop()
    assert stored(rig)["alert"] == (1, 0, 40)


def test_figures_add_up_within_an_hour_and_a_new_hour_begins_a_row(rig: Rig) -> None:
    def add(at_ms: int, *late: int) -> None:
        tally = rows.Tally()
        for late_ms in late:
            tally = tally.plus(late_ms)
        rig.database.write(lambda conn: rows.add(conn, "e", at_ms, {"alert": tally})).result()

    hour_ms = START_MS - START_MS % HOUR_MS
    add(hour_ms, 10, 2_100)
    add(hour_ms + 1, 50)
    add(hour_ms + HOUR_MS, 7)
    with rig.database.read() as conn:
        found = rows.since(conn, hour_ms)
        assert rows.over_since(conn, hour_ms) == 1
        assert rows.over_since(conn, hour_ms + HOUR_MS) == 0
    keys = ("hour_ms", "served", "over", "mean_ms", "max_ms")
    assert [tuple(row[key] for key in keys) for row in found] == [
        (hour_ms + HOUR_MS, 1, 0, 7, 7),
        (hour_ms, 3, 1, 720, 2_100),
    ]


def test_without_a_database_nothing_is_lost_and_the_lateness_is_said_afterwards(rig: Rig) -> None:
    lateness = Lateness(rig.outbox, rig.clock.now_ms)

    class Away:
        def write(self, job: Any, priority: Any) -> Any:
            raise Unavailable("the database is away")

    lateness.served("device", rig.clock.now, rig.clock.now + 4_000, org=ORG)
    lateness.flush(Away())  # type: ignore[arg-type]
    lateness.served("device", rig.clock.now, rig.clock.now + 10, org=ORG)
    rig.clock.now += 5_000
    lateness.flush(rig.database)
    assert stored(rig) == {"device": (2, 1, 4_000)}
    assert len(lateness_alerts(rig)) == 1


def test_a_gateway_that_saw_the_engine_hang_is_heard_once_in_ten_minutes(rig: Rig) -> None:
    def told() -> list[Any]:
        return rig.sql("SELECT presses, condition FROM alert WHERE subject='engine-silent'")

    rig.database.write(rig.engine._resume).result()
    rig.clock.now += 20_000
    rig.engine.lateness.silence(rig.database, ORG, "gw-1", 18_000)
    assert told() == [], "the silence began with our own start"
    rig.clock.now += 3_600_000
    for gateway in ("gw-1", "gw-2"):
        rig.engine.lateness.silence(rig.database, ORG, gateway, 18_000)
    assert told() == [(1, "cleared")]
    rig.clock.now += 600_000
    rig.engine.lateness.silence(rig.database, ORG, "gw-1", 30_000)
    assert told() == [(2, "cleared")]
