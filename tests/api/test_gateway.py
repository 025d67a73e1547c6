"""The gateway's endpoints: one answer an envelope, a stream that resumes, clear refusals, 503 when the disk is away."""

import base64
import json
import socket
import threading
import time

import httpx
import pytest
from tocsin_backend.api import gateway
from tocsin_backend.errors import Unavailable
from tocsin_wire import messages, signing


def bearer(house, org="demo"):
    return {"Authorization": f"Bearer {house.gateways[org]['token']}"}


def ack_of(house, published, org="demo"):
    """The message of a published ack, verified as the post would."""
    credentials = house.devices[org]
    assert published["topic"] == credentials["topics"]["ack"]
    return messages.unseal(
        published["topic"], base64.b64decode(published["frame"]), signing.key_from_text(credentials["key"])
    )


def test_a_press_is_stored_once_and_acknowledged_in_the_answer(house):
    house.close_all()
    envelope = house.envelope(number=41)
    first = house.forward([envelope]).json()["answers"]
    assert [(answer["id"], answer["r"]) for answer in first] == [(41, "stored")]
    acks = [ack_of(house, published) for published in first[0]["publish"]]
    assert [(ack["r"], ack["re"], ack["al"]) for ack in acks] == [("stored", f"7-{house._n}", first[0]["alert"])]
    again = house.forward([envelope]).json()["answers"]
    assert [(answer["r"], answer["alert"]) for answer in again] == [("duplicate", first[0]["alert"])]
    assert [ack_of(house, published)["r"] for published in again[0]["publish"]] == ["stored"]
    alerts = house.ask("GET", "/api/v1/alerts", "supervisor-demo").json()["alerts"]
    assert [(alert["id"], alert["presses"]) for alert in alerts] == [(first[0]["alert"], 1)]


def test_a_malformed_envelope_holds_nobody_up(house):
    house.close_all()
    good = house.envelope(number=3)
    bad = [
        {"id": 1},
        house.envelope(number=2) | {"frame": "not base64!"},
        house.envelope(number=4) | {"topic": 5},
        house.envelope(number=5) | {"at_ms": "now"},
        house.envelope(number=6) | {"topic": "tocsin/1/demo/nobody/alert"},
    ]
    answers = house.forward([*bad, good]).json()["answers"]
    assert [(answer["id"], answer["r"], answer["reason"]) for answer in answers] == [
        (1, "refused", "bad-envelope"),
        (2, "refused", "bad-envelope"),
        (4, "refused", "bad-envelope"),
        (5, "refused", "bad-envelope"),
        (6, "refused", "unknown-device"),
        (3, "stored", None),
    ]


def test_a_gateway_is_believed_for_its_own_organisation_only(house):
    answer = house.forward([house.envelope("other")], "demo").json()["answers"][0]
    assert (answer["r"], answer["reason"]) == ("refused", "foreign-org")


def test_forged_moved_and_truncated_frames_are_refused_counted_and_kept(house):
    good = house.envelope()
    frame = base64.b64decode(good["frame"])
    moved = good | {"topic": good["topic"].replace("/alert", "/event")}
    forged = good | {"frame": base64.b64encode(frame[:-1] + (b"A" if frame[-1:] != b"A" else b"B")).decode()}
    truncated = good | {"frame": base64.b64encode(frame[:40]).decode()}
    long = good | {"frame": base64.b64encode(b"x" * 1025).decode()}
    before = house.ask("GET", "/api/v1/alerts?status=all", "supervisor-demo").json()
    answers = house.forward([moved, forged, truncated, long]).json()["answers"]
    reasons = [answer["reason"] for answer in answers]
    assert reasons == ["bad-signature", "bad-signature", "bad-frame", "oversize"]
    assert house.ask("GET", "/api/v1/alerts?status=all", "supervisor-demo").json() == before
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        kept = house.ask("GET", "/api/v1/evidence?limit=4", "technician-demo").json()["evidence"]
        if [each["reason"] for each in reversed(kept)] == reasons:
            break
        time.sleep(0.02)
    assert [each["reason"] for each in reversed(kept)] == reasons
    assert [each["frame"] for each in reversed(kept)][:3] == [each["frame"] for each in (moved, forged, truncated)]
    figures = house.client.get("/metrics").text
    assert 'tocsin_evidence_total{reason="bad-signature"}' in figures


@pytest.mark.parametrize("path", ["envelopes", "beats", "downlink", "downlink/ack"])
def test_strangers_and_people_are_no_gateways(house, path):
    method = "GET" if path == "downlink" else "POST"
    person = {"Authorization": f"Bearer {house.token('administrator-demo')}"}
    for headers in ({}, {"Authorization": "Bearer nonsense"}, person):
        answer = house.client.request(method, f"/api/v1/gateway/{path}", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unknown-gateway")


def test_a_gateway_is_no_person(house):
    assert house.client.get("/api/v1/alerts", headers=bearer(house)).status_code == 401


def test_a_revoked_gateway_is_out(house):
    desk = house.parts.registrar
    token = desk.add_gateway("demo", "gw-short")["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert house.client.post("/api/v1/gateway/beats", json={"beats": []}, headers=headers).status_code == 200
    desk.revoke_gateway("demo", "gw-short")
    assert house.client.post("/api/v1/gateway/beats", json={"beats": []}, headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad-json"),
        (b"{", 400, "bad-json"),
        (b'{"envelopes": NaN}', 400, "bad-json"),
        (b'{"envelopes": [], "envelopes": []}', 400, "bad-json"),
        (b'{"envelopes": ' + b"[" * 500 + b"]" * 500 + b"}", 400, "bad-json"),
        (b"[" * 200_000, 400, "bad-json"),
        (b'{"envelopes": {}}', 422, "invalid"),
        (b'{"envelopes": [1]}', 422, "invalid"),
        (b'{"envelopes": [{"topic": "x"}]}', 422, "invalid"),
        (b'{"envelopes": [{"id": true}]}', 422, "invalid"),
        (b"[]", 422, "invalid"),
        (b"{}", 422, "invalid"),
        (json.dumps({"envelopes": [{"id": n} for n in range(501)]}).encode(), 413, "too-large"),
        (b" " * (1024 * 1024 + 1), 413, "too-large"),
    ],
)
def test_what_is_not_a_batch_is_refused_with_its_reason(house, body, status, code):
    headers = bearer(house) | {"Content-Type": "application/json"}
    answer = house.client.post("/api/v1/gateway/envelopes", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_body_that_hides_its_length_is_cut_off(house):
    headers = bearer(house) | {"Content-Type": "application/json"}
    answer = house.client.post("/api/v1/gateway/envelopes", content=(b" " * 65536 for _ in range(40)), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too-large")


def test_another_kind_of_body_is_415(house):
    headers = bearer(house) | {"Content-Type": "text/plain"}
    answer = house.client.post("/api/v1/gateway/envelopes", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported-media-type")


def test_a_database_out_of_reach_is_503_and_the_press_is_stored_later(house, monkeypatch):
    house.close_all()
    envelope = house.envelope()

    def away(*_):
        raise Unavailable("the database cannot take this now: disk full")

    monkeypatch.setattr(house.parts.database, "write_all", away)
    answer = house.forward([envelope])
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    monkeypatch.undo()
    assert house.forward([envelope]).json()["answers"][0]["r"] == "stored"


def test_a_beat_is_answered_with_a_signed_alive(house):
    beat = {
        "v": 1, "s": "7.1", "i": int(time.time()), "b": 7, "n": 0, "up": 60, "spool": 0, "drop": 0, "lag": 3,
        "free": 60000, "rej": 0, "lines": {"call": "idle"}, "t": 0, "q": "none",
    }  # fmt: skip
    topic, frame = house.frame("demo", "beat", beat)
    rows = [{"topic": topic, "frame": frame, "at_ms": 0, "count": 1}, {"topic": topic, "frame": "!", "at_ms": 0}]
    answer = house.client.post("/api/v1/gateway/beats", json={"beats": rows}, headers=bearer(house)).json()
    assert [ack_of(house, published)["r"] for published in answer["publish"]] == ["alive"]
    assert [ack_of(house, published)["i"] for published in answer["publish"]] == [beat["i"]]
    assert answer["refused"] == [{"topic": topic, "reason": "bad-envelope"}]
    post = house.ask("GET", "/api/v1/devices/post-demo", "observer-demo").json()
    assert (post["presence"], post["beat"]["up"], post["gateway"]) == ("alive", 60, "gw-demo")


class Downlink(threading.Thread):
    """A gateway's open downlink stream, read in a thread."""

    def __init__(self, house, after=0):
        super().__init__()
        self.rows, self.alive, self.ended = [], 0, threading.Event()
        self._url = f"{house.url}/api/v1/gateway/downlink?after={after}"
        self._headers = bearer(house)
        self._client = httpx.Client(timeout=30)

    def run(self):
        try:
            with self._client.stream("GET", self._url, headers=self._headers) as answer:
                self.status = answer.status_code
                for line in answer.iter_lines():
                    row = json.loads(line)
                    if "alive" in row:
                        self.alive += 1
                    else:
                        self.rows.append(row)
        except (httpx.HTTPError, OSError):
            pass
        self.ended.set()

    def wait_for(self, condition, seconds=10):
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.005)
        assert condition()

    def close(self):
        self._client.close()


def test_the_lamp_order_comes_down_at_once_until_it_is_acknowledged(house, alert_id, monkeypatch):
    monkeypatch.setattr(gateway, "ALIVE_S", 600)  # no heartbeat looks for it: only the wake can bring it
    stream = Downlink(house)
    stream.start()
    stream.wait_for(lambda: stream.alive > 0)
    answer = house.ask("POST", f"/api/v1/alerts/{alert_id}/answer", "supervisor-demo", json={"epoch": 1})
    assert answer.json()["outcome"] == "won"
    stream.wait_for(lambda: any(ack_of(house, row)["r"] == "answered" for row in stream.rows), seconds=60)
    # another stream resumes where the last acknowledged row was
    newest = stream.rows[-1]["id"]
    resumed = Downlink(house, after=newest - 1)
    resumed.start()
    resumed.wait_for(lambda: resumed.rows)
    assert resumed.rows[0]["id"] == newest
    acked = house.client.post("/api/v1/gateway/downlink/ack", json={"upto": newest}, headers=bearer(house))
    assert acked.json() == {"upto": newest}
    last = Downlink(house)
    last.start()
    last.wait_for(lambda: last.alive > 0)
    assert [row["id"] for row in last.rows if row["id"] <= newest] == []
    for each in (stream, resumed, last):
        house.close_all()
        each.close()


@pytest.mark.parametrize("after", ["-1", "x", "1e3", "9" * 30, "１"])
def test_a_bad_resume_point_is_refused(house, after):
    answer = house.client.get("/api/v1/gateway/downlink", params={"after": after}, headers=bearer(house))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")


@pytest.mark.parametrize("upto", [-1, "3", None, True, 2**64, 1.5])
def test_a_bad_acknowledgement_is_refused(house, upto):
    answer = house.client.post("/api/v1/gateway/downlink/ack", json={"upto": upto}, headers=bearer(house))
    assert answer.status_code in (400, 422)


def test_connections_have_no_nagle_delay(house):
    """A kept connection answers faster than a delayed acknowledgement, 40 ms on Linux, would let it."""
    host, port = house.url.removeprefix("http://").split(":")
    body = json.dumps({"envelopes": []}).encode()
    head = (
        f"POST /api/v1/gateway/envelopes HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer(house)['Authorization']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        took_s = []
        for _ in range(40):
            began = time.monotonic()
            raw.sendall(head)  # head and body apart, as http.client sends them
            raw.sendall(body)
            assert raw.recv(65536).startswith(b"HTTP/1.1 200")
            took_s.append(time.monotonic() - began)
    # The kernel acknowledges the first packets at once; and a busy machine delays some answers, never most.
    assert sorted(took_s[20:])[5] < 0.03
