"""Sites, devices, policies, evidence, latency; health and figures; the one shape of errors."""

import pytest
from tocsin_backend.errors import Unavailable

POLICY = """
id = "nuit"
title = "La nuit"
[[step]]
delay_s = 60
targets = [{ channel = "console" }]
"""


def test_sites_and_devices_are_the_organisations_own(house):
    sites = house.ask("GET", "/api/v1/sites", "observer-demo").json()["sites"]
    assert [(site["id"], site["name"]) for site in sites] == [("lycee", "Lycée demo")]
    devices = house.ask("GET", "/api/v1/devices", "observer-demo").json()["devices"]
    assert [(device["id"], device["site_name"]) for device in devices] == [("post-demo", "Lycée demo")]
    assert house.ask("GET", "/api/v1/devices?site=other-site", "observer-demo").json() == {"devices": []}


def test_a_device_enrolled_now_is_known_at_its_first_frame(house):
    house.close_all()
    desk, mine = house.parts.registrar, house.devices["demo"]
    house.devices["demo"] = desk.add_device("demo", "lycee", "call_post", "post-new")
    try:
        answer = house.forward([house.envelope()]).json()["answers"][0]
        assert answer["r"] == "stored"
        post = house.ask("GET", "/api/v1/devices/post-new", "observer-demo").json()
        assert post["presence"] == "alive"
        desk.retire_device("demo", "post-new")
        answer = house.forward([house.envelope()]).json()["answers"][0]
        assert (answer["r"], answer["reason"]) == ("refused", "retired-device")
        assert house.ask("GET", "/api/v1/devices/post-new", "observer-demo").status_code == 404
    finally:
        house.devices["demo"] = mine


def test_a_policy_is_validated_imported_and_read_back(house):
    def post(path, login, toml):
        return house.ask("POST", f"/api/v1/policies/{path}", login, json={"toml": toml})

    verdict = post("validate", "observer-demo", 'id = "x"\npasses = 0').json()
    assert (verdict["ok"], [fault["path"] for fault in verdict["faults"]]) == (False, ["title", "passes", "step"])
    assert post("validate", "observer-demo", POLICY).json() == {"ok": True, "faults": []}
    assert post("import", "supervisor-demo", POLICY).status_code == 403
    refused = post("import", "administrator-demo", "id = [")
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid")
    assert post("import", "administrator-demo", POLICY).json() == {
        "id": "nuit", "title": "La nuit", "version": 1, "steps": 1,
    }  # fmt: skip
    found = house.ask("GET", "/api/v1/policies/nuit", "observer-demo").json()
    assert (found["source"], found["created_by"], found["policy"]["steps"][0]["delay_ms"]) == (
        POLICY, "administrator-demo", 60_000,
    )  # fmt: skip
    listed = house.ask("GET", "/api/v1/policies", "observer-demo").json()["policies"]
    assert "nuit" in [policy["id"] for policy in listed]


def test_latency_says_where_the_time_went(house, alert_id):
    figures = house.ask("GET", "/api/v1/latency?hours=1", "observer-demo").json()
    assert figures["contact_to_stored_ms"]["n"] >= 1
    assert figures["contact_to_stored_ms"]["p50"] >= 40
    assert set(figures) == {
        "contact_to_held_ms", "contact_to_stored_ms", "dispatch_ms", "contact_to_dispatch_ms", "lamp_sent_ms",
        "answer_ms", "lamp_answered_ms",
    }  # fmt: skip


def test_health_names_what_is_unwell(house, monkeypatch):
    well = house.client.get("/healthz")
    assert (well.status_code, well.json()["ok"]) == (200, True)
    monkeypatch.setattr(house.parts.engine, "heartbeat_age_ms", lambda: 60_000)
    ill = house.client.get("/healthz")
    assert (ill.status_code, ill.json()["engine"]["ok"], ill.json()["database"]["ok"]) == (503, False, True)
    monkeypatch.undo()

    def away():
        raise Unavailable("disk full")

    monkeypatch.setattr(house.parts.database, "read", away)
    ill = house.client.get("/healthz")
    assert (ill.status_code, ill.json()["database"]) == (503, {"ok": False, "why": "disk full"})
    assert house.ask("GET", "/api/v1/alerts", "observer-demo").status_code == 503


def test_figures_are_for_named_networks_only(house, alert_id):
    text = house.client.get("/metrics").text
    for line in (
        'tocsin_alerts{category="call",mode="real",org="demo",status="raised"} 1.0',
        'tocsin_envelopes_total{answer="stored"}',
        'tocsin_signals{kind="press",org="demo"}',
        'tocsin_devices{org="demo",presence="alive"}',
        "tocsin_engine_lateness_seconds",
        "tocsin_ingest_seconds_bucket",
        'tocsin_dispatches{channel="console"',
    ):
        assert line in text, line
    with house.browser("127.0.0.5") as stranger:
        assert stranger.get("/metrics").status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "not-found"),
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/api/v1/login", 405, "method-not-allowed"),
        ("DELETE", "/api/v1/alerts", 405, "method-not-allowed"),
        ("GET", "/api/v1/gateway/envelopes", 405, "method-not-allowed"),
        ("POST", "/api/v1/login", 415, "unsupported-media-type"),
    ],
)
def test_every_error_has_the_one_shape(house, method, path, status, code):
    answer = house.client.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "message", "hint"}
    assert answer.json()["error"]["code"] == code


def test_a_password_that_is_refused_does_not_come_back(house):
    secret = "s3cret-" * 40
    answer = house.client.post("/api/v1/login", json={"login": "x", "password": secret, "more": 1})
    assert answer.status_code == 422
    assert "s3cret" not in answer.text


def test_answers_stay_out_of_caches_and_frames(house):
    answer = house.client.get("/api/v1/me")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "server" not in answer.headers
