"""A stranger's probe through broker, gateway and backend, and the order that comes down again by the same way."""

import json
import time

import pytest
from chain_system import SITE, System
from stranger import Stranger

pytestmark = pytest.mark.chain


def test_a_probe_goes_up_to_its_sink_and_an_order_comes_down(system: System):
    said = system.stack.tocsin(
        "device", "add", "--org", system.stack.org, "--site", SITE, "--kind", "call_post", "--id", "sonde-1", "--json"
    )
    device = Stranger(json.loads(said)).ready()
    try:
        common = {"v": 1, "b": 1, "t": 0, "q": "none", "age": 0, "try": 1}
        probe = {**common, "n": 1, "k": "probe", "in": "call", "held": 0, "mode": "real"}
        device.publish(device.topic("alert"), device.frame("alert", probe))
        first = device.wait_ack(1, ("stored",))
        assert device.wait_ack(1, ("closed",))["al"] == first["al"]
        for n, word in ((2, "stored"), (3, "closed")):
            lamp = {**common, "n": n, "k": "lamp", "re": "1-1", "r": word, "e": first["e"], "lat": 25 * n}
            device.publish(device.topic("event"), device.frame("event", lamp))
        deadline = time.monotonic() + 10
        while not system.stack.query("SELECT 1 FROM device WHERE id = 'sonde-1' AND probe_ms IS NOT NULL"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        device.close()
    [alert] = system.stack.query("SELECT * FROM alert WHERE device = 'sonde-1'")
    assert (alert["mode"], alert["status"], alert["reason"]) == ("probe", "closed", "probe")
    told = system.stack.query("SELECT kind, channel, person_id FROM dispatch WHERE alert_id = ?", alert["id"])
    assert sorted((row["kind"], row["channel"], row["person_id"]) for row in told) == [
        ("lamp", "lamp", None), ("notify", "probe", None),
    ]  # fmt: skip
    listed = json.loads(system.stack.tocsin("probe", "list", "--org", system.stack.org, "--json"))
    assert [(row["n"], row["overdue"]) for row in listed if row["device"] == "sonde-1"] == [(1, False)]
