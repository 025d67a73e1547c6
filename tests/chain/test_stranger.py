"""A device that a stranger wrote from WIRE.md alone raises an alert; what is forged or broken raises none."""

import base64
import http.client
import json
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from chain_system import SITE, System
from stranger import Stranger, signed

pytestmark = pytest.mark.chain
FOREIGN_KEY = "A" * 43


def until(true, within_s: float = 10.0):
    """What `true` returned, once it is true."""
    deadline = time.monotonic() + within_s
    while not (found := true()):
        assert time.monotonic() < deadline, f"not true within {within_s} s"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def devices(system: System):
    """Two strangers' devices, enrolled while the system runs, by the command that a customer uses."""
    made = []
    for name in ("etranger-1", "etranger-2"):
        said = system.stack.tocsin(
            "device", "add", "--org", system.stack.org, "--site", SITE, "--kind", "call_post", "--id", name, "--json"
        )
        made.append(Stranger(json.loads(said)).ready())
    yield made
    for device in made:
        device.close()


def alerts(system: System, device: str) -> list[dict]:
    return system.stack.query("SELECT * FROM alert WHERE device = ? ORDER BY raised_ms", device)


def evidence(system: System) -> Counter:
    return Counter(row["reason"] for row in system.stack.query("SELECT reason FROM evidence"))


def test_its_press_becomes_an_alert_and_it_hears_what_became_of_it(system: System, devices: list[Stranger]):
    device = devices[0]
    ack = device.send_until_acked(1)
    assert ack["r"] == "stored"
    [alert] = alerts(system, "etranger-1")
    assert ack["al"] == alert["id"]
    system.supervisor.post(f"/api/v1/alerts/{alert['id']}/answer", {"epoch": ack["e"]})
    assert device.wait_ack(1, ("answered",))["al"] == alert["id"]
    system.supervisor.post(f"/api/v1/alerts/{alert['id']}/close", {"epoch": alert["epoch"], "reason": "test"})
    device.wait_ack(1, ("closed",))


@pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="sudo apt-get install mosquitto-clients")
def test_a_shell_script_with_mosquitto_pub_is_a_device(system: System, devices: list[Stranger], tmp_path: Path):
    device = devices[1]
    device.close()  # one connection a client id
    broker = device.credentials["broker"]
    (tmp_path / "frame").write_bytes(device.press(1))
    where = ["-h", broker["host"], "-p", str(broker["port"]), "-u", broker["user"], "-P", broker["password"]]
    what = ["-i", broker["client_id"], "-q", "1", "-t", device.topic("alert"), "-f", str(tmp_path / "frame")]
    subprocess.run(["mosquitto_pub", *where, *what], check=True, timeout=20)
    assert until(lambda: alerts(system, "etranger-2"))[0]["presses"] == 1


def test_forged_and_broken_frames_raise_nothing_and_are_kept(system: System, devices: list[Stranger]):
    """S5, S7: replayed, moved, truncated, signed with another key, oversize, not JSON, not the schema."""
    device = devices[0]
    topic, kid, key = device.topic("alert"), device.credentials["kid"], device.credentials["key"]
    good = device.press(2)
    device.publish(topic, good)
    ack = device.wait_ack(2, ("stored",))
    system.supervisor.post(f"/api/v1/alerts/{ack['al']}/close", {"epoch": ack["e"], "reason": "test"})
    device.wait_ack(2, ("closed",))
    before, made = evidence(system), len(alerts(system, "etranger-1"))
    presses = system.stack.query("SELECT count(*) AS n FROM signal WHERE kind = 'press'")[0]["n"]

    for _ in range(3):
        device.publish(topic, good)  # byte for byte: known already, and answered with what became of it
    device.publish(device.topic("event"), good)  # moved to another topic of its own
    stranger_topic = devices[1].topic("alert")
    other = Stranger(devices[1].credentials, boot=9).ready()
    other.publish(stranger_topic, good)  # moved to another device, by that device
    device.publish(stranger_topic, other.press(1))  # another's topic: the broker acknowledges, and drops it
    device.publish(topic, good[:-5])  # truncated in its signature
    device.publish(topic, good[: len(good) // 2])  # truncated in its message
    device.publish(topic, signed(topic, device.press(3).rpartition(b"\n")[0], kid, FOREIGN_KEY))
    device.publish(topic, signed(topic, device.press(3).rpartition(b"\n")[0], "k9", key))
    device.publish(topic, b"x" * 1_100)
    device.publish(topic, b"x" * 60_000)
    device.publish(topic, signed(topic, b'{"v":1,"v":1}', kid, key))
    device.publish(topic, signed(topic, b"[" * 200 + b"]" * 200, kid, key))
    device.publish(topic, signed(topic, b'{"v":1,"b":1}', kid, key))
    device.publish(topic, b"")
    other.close()

    expected = {"bad-signature": 3, "unknown-key": 1, "oversize": 2, "bad-json": 2, "bad-schema": 1, "bad-frame": 3}
    until(lambda: sum((evidence(system) - before).values()) >= sum(expected.values()))
    began = time.monotonic()
    assert device.send_until_acked(4)["r"] == "stored", "what was poisonous delays nobody"
    assert time.monotonic() - began < 2
    assert dict(evidence(system) - before) == expected
    assert len(alerts(system, "etranger-1")) == made + 1
    now = system.stack.query("SELECT count(*) AS n FROM signal WHERE kind = 'press'")[0]["n"]
    assert now == presses + 1
    frames = [row["frame"] for row in system.stack.query("SELECT frame FROM evidence")]
    assert good[:-5] in frames, "the bytes are kept as they came"
    assert max(map(len, frames)) <= 1_025


def test_a_device_nobody_enrolled_is_not_let_in(system: System, devices: list[Stranger]):
    credentials = json.loads(json.dumps(devices[0].credentials))
    credentials["broker"]["user"] = f"{system.stack.org}/inconnu"
    device = Stranger(credentials)
    with pytest.raises(TimeoutError):
        device.ready(2)
    device.close()
    # Even a gateway that forwards for it is told no.
    token = json.loads((system.folder / "gateway" / "credentials.json").read_text())["token"]
    answer = forward(system, token, f"tocsin/1/{system.stack.org}/inconnu/alert", devices[0].press(9))
    assert (answer["r"], answer["reason"]) == ("refused", "unknown-device")
    until(lambda: evidence(system)["unknown-device"] == 1)


def forward(system: System, token: str, topic: str, frame: bytes) -> dict:
    """The backend's answer to one envelope."""
    now_ms = time.time_ns() // 1_000_000
    envelope = {
        "id": 1, "topic": topic, "frame": base64.b64encode(frame).decode(), "at_ms": now_ms, "held_ms": now_ms,
        "retained": 0, "dup": 0,
    }  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", system.stack.ports.backend, timeout=10)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    connection.request("POST", "/api/v1/gateway/envelopes", json.dumps({"envelopes": [envelope]}).encode(), headers)
    [answer] = json.loads(connection.getresponse().read())["answers"]
    connection.close()
    return dict(answer)
