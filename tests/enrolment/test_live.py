"""The server and the broker as processes: enrolment beside them, the end in order, the traffic watched."""

import base64
import contextlib
import json
import signal
import subprocess
import sys
import threading
import time

import httpx
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from tocsin_sim.broker import Broker
from tocsin_wire import messages, signing

PROGRAM = "import sys; from tocsin_backend.cli import main; sys.exit(main())"


def until(condition, seconds=20.0):
    """What `condition` gives once it is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found or time.monotonic() > deadline:
            assert found
            return found
        time.sleep(0.02)


@contextlib.contextmanager
def running(user, *words, **settings):
    """`tocsin WORDS` as a process; its stdout is read by the line, its stderr goes to a file."""
    with (user.folder / f"{words[0]}.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words],
            cwd=user.folder, env=user.environment | settings, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait(20)
            process.stdout.close()


def press(credentials, n=1):
    signal_ = {"v": 1, "b": 3, "n": n, "t": 0, "q": "none", "age": 40, "try": 1}
    message = signal_ | {"k": "press", "in": "call", "held": 35, "mode": "real"}
    topic = credentials["topics"]["alert"]
    return topic, messages.seal(topic, message, credentials["kid"], signing.key_from_text(credentials["key"]))


def envelope(topic, frame, number=1):
    now_ms = time.time_ns() // 1_000_000
    return {"id": number, "topic": topic, "frame": base64.b64encode(frame).decode(), "at_ms": now_ms, "held_ms": now_ms}


DEVICE = ("device", "add", "--org", "demo", "--site", "emperi", "--kind", "call_post", "--id")


def test_enrolment_beside_a_running_server(user):
    gateway = user.json("gateway", "add", "--org", "demo", "--id", "gw-1")
    with running(user, "serve", "--json", TOCSIN_PORT="0") as server:
        ready = json.loads(server.stdout.readline())
        assert ready["pid"] == server.pid
        credentials = user.json(*DEVICE, "bau-1")
        alice = ("--login", "alice", "--name", "Alice", "--role", "supervisor")
        password = user.json("user", "add", "--org", "demo", *alice, "--generate")["password"]
        with httpx.Client(base_url=ready["ready"], timeout=20) as client:
            headers = {"Authorization": f"Bearer {gateway['token']}"}

            def forward(*envelopes):
                answer = client.post("/api/v1/gateway/envelopes", json={"envelopes": envelopes}, headers=headers)
                assert answer.status_code == 200
                return answer.json()["answers"][0]

            assert forward(envelope(*press(credentials)))["r"] == "stored"
            login = client.post("/api/v1/login", json={"login": "alice", "password": password})
            client.post("/api/v1/login", json={"login": "alice", "password": "not-the-passw0rd"})
            assert [row["device"] for row in user.json("alerts")] == ["bau-1"]
            # an act of the command line beside the server: stored at once, and what follows is sent
            (alert,) = (row["id"] for row in user.json("alerts"))
            acts = ("answer", ()), ("progress", ("--progress", "on-site")), ("escalate", ())
            outcomes = [user.json("alert", act, alert, "--as", "alice", *more)["outcome"] for act, more in acts]
            assert outcomes == ["won", "recorded", "escalated"]
            assert user.json("alert", "answer", alert, "--as", "alice", "--epoch", "1", status=1)["outcome"] == "stale"
            to_come = user.refusal("alert", "close", alert, "--as", "alice", "--reason", "test", "--epoch", "9")
            assert to_come == "epoch 9 has not begun: the alert is in epoch 2"
            seen = client.get(f"/api/v1/alerts/{alert}").json()
            assert (seen["status"], seen["epoch"], seen["answers"][0]["channel"]) == ("raised", 2, "command-line")
            assert user.json("alert", "close", alert, "--as", "alice", "--reason", "test")["outcome"] == "closed"
            shown = user.json("alert", "show", alert)
            assert (shown["status"], shown["reason"], shown["answers"][0]["progress"]) == ("closed", "test", "on-site")
            with client.stream("GET", "/api/v1/gateway/downlink?after=0", headers=headers) as downlink:
                next(line for line in downlink.iter_lines() if '"sms"' not in line and "/ack" in line)

            # a key that was revoked beside the server is refused within S6's 60 s
            user.json("device", "rekey", "--org", "demo", "--id", "bau-1")
            until(lambda: forward(envelope(*press(credentials, 2)))["reason"] == "unknown-key", 60)

            # a second server on the same address says so in one line
            port = ready["ready"].rsplit(":", 1)[1]
            said = user.process("serve", status=3, TOCSIN_PORT=port).stderr.splitlines()[-1]
            assert said.startswith(f"tocsin: 127.0.0.1:{port} cannot be listened on")

            # open streams do not hold up the end
            with (
                client.stream("GET", "/api/v1/gateway/downlink?after=0", headers=headers) as downlink,
                client.stream("GET", "/console/live", cookies={"tocsin_session": login.json()["token"]}) as live,
            ):
                assert (downlink.status_code, live.status_code) == (200, 200)
                next(downlink.iter_raw())
                next(live.iter_raw())
                began = time.monotonic()
                server.send_signal(signal.SIGTERM)
                assert server.wait(20) == 0
                assert time.monotonic() - began < 4
    log = (user.folder / "serve.log").read_text()
    assert "Traceback" not in log
    assert "a login failed from 127.0.0.1" in log
    for secret in (
        gateway["token"], credentials["key"], credentials["broker"]["password"], password, "not-the-passw0rd",
        login.json()["token"], login.json()["csrf"], (user.folder / "tocsin-data" / "secret").read_text().strip(),
    ):  # fmt: skip
        assert secret not in log
    assert user.json("verify")["flaws"] == []
    told = {row["subject"] for row in user.json("alerts", "--all")}
    assert "lateness" not in told, "an act of the command line is no lateness of the server's"


def device_client(credentials):
    """A connected MQTT client that is the device."""
    broker = credentials["broker"]
    connected = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=credentials["device"])
    client.username_pw_set(broker["user"], broker["password"])
    client.on_connect = lambda *event: connected.append(event[3])
    client.connect(broker["host"], broker["port"])
    client.loop_start()
    until(lambda: connected)
    return client, connected[0]


@pytest.mark.chain
def test_the_live_traffic_is_watched_and_the_broker_learns_of_a_new_device(user):
    with Broker(user.folder / "nats") as broker:
        user.environment |= {
            "TOCSIN_BROKER_PORT": str(broker.port),
            "TOCSIN_BROKER_USERS_FILE": str(broker.users_file),
            "TOCSIN_BROKER_PID_FILE": str(broker.pid_file),
        }
        credentials = user.json(*DEVICE, "bau-1")
        with running(user, "watch", "--json") as watching:
            lines = []
            client, reason = device_client(credentials)
            try:
                assert not reason.is_failure
                topic, good = press(credentials)
                # published until it is seen, because nothing says when the watcher has subscribed
                reader = threading.Thread(target=lambda: lines.extend(map(json.loads, watching.stdout)))
                reader.start()

                def seen():
                    client.publish(topic, good, qos=1)
                    time.sleep(0.1)
                    return lines

                first = until(seen)[0]
                assert (first["device"], first["channel"], first["signature"], first["fault"]) == (
                    "bau-1", "alert", "verified", "",
                )  # fmt: skip
                assert first["message"]["k"] == "press"
                client.publish(topic, good[:-1] + (b"A" if good[-1:] != b"A" else b"B"), qos=1)
                client.publish(topic, b"\xff" * 1500, qos=1)
                until(lambda: {line["fault"] for line in lines} >= {"bad-signature", "oversize"})
            finally:
                client.disconnect()
                client.loop_stop()
                client._reset_sockets()  # paho leaves its wake-up pair to the garbage collector
            watching.send_signal(signal.SIGINT)
            assert watching.wait(20) == 130
            reader.join(20)

    with pytest.raises(OSError):
        device_client(credentials)
    assert "cannot be reached" in user.refusal("watch")
