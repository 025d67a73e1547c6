"""The backend's engine, watched from the gateway: shown when it is silent, told when it is back."""

import json

from conftest import OTHER_POST, wait_for
from tocsin_gateway import heartbeat
from tocsin_gateway.heartbeat import SILENT, SILENT_MS, WELL, Heartbeat
from tocsin_wire import messages


def test_silence_begins_after_15_s_without_a_beat_and_is_said_once():
    watched = Heartbeat(0)
    assert not watched.look(SILENT_MS)
    assert watched.look(SILENT_MS + 1)
    assert (watched.state, watched.age_ms(20_000)) == (SILENT, 20_000)
    assert not watched.look(60_000)
    watched.heard(4_000, 60_000)
    assert watched.look(60_000)
    assert (watched.state, watched.age_ms(60_000)) == (WELL, 4_000)


def test_an_old_beat_is_a_silent_engine_and_its_length_is_known_afterwards():
    watched = Heartbeat(0)
    for now_ms in (5_000, 10_000, 15_000):
        watched.heard(100, now_ms)
        assert not watched.look(now_ms)
    for now_ms in range(20_000, 60_000, 5_000):
        watched.heard(now_ms - 14_900, now_ms)
        watched.look(now_ms)
    assert watched.state == SILENT
    watched.heard(0, 60_000)
    assert watched.look(60_000)
    assert watched.end(60_000) == 60_000 - 14_900


def test_a_dead_line_is_shown_and_not_blamed_on_the_engine():
    watched = Heartbeat(0)
    assert watched.look(40_000)
    watched.heard(200, 41_000)
    assert watched.look(41_000)
    assert watched.end(41_000) == 0


def test_a_hanging_engine_is_a_fault_a_retained_state_and_an_event(broker, make_app, backend, enter, monkeypatch):
    backend.engine_age_ms = 0
    monkeypatch.setattr(heartbeat, "SILENT_MS", 2_000)
    app = make_app(broker)
    reader = enter(broker, OTHER_POST)
    reader.subscribe("tocsin/1/demo/_gw/gw-1/state")

    def state():
        message = json.loads(reader.take(15).payload)
        messages.check("gateway", message)
        return message

    assert state().get("eng") is None
    backend.engine_age_ms = 60_000
    # what was heard last, 0 ms old, ages meanwhile
    wait_for(lambda: "engine" in app.faults.now(), 15, "the fault")
    assert app.describe()["engine"]["state"] == SILENT
    assert state()["eng"] == "silent"
    backend.engine_age_ms = 0
    wait_for(lambda: "engine" not in app.faults.now(), 15, "its end")
    assert state().get("eng") is None
    backend.wait(lambda: backend.silences)
    assert backend.silences[0] >= 2_000
