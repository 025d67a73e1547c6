"""Alerts over the API: take, close, escalate; each role; and never another organisation's (S14)."""

import threading

import pytest


def act(house, alert_id, action, login, **body):
    return house.ask("POST", f"/api/v1/alerts/{alert_id}/{action}", login, json=body)


def test_an_alert_is_listed_and_shown_with_everything(house, alert_id):
    alerts = house.ask("GET", "/api/v1/alerts", "observer-demo").json()["alerts"]
    assert [alert["id"] for alert in alerts] == [alert_id]
    detail = house.ask("GET", f"/api/v1/alerts/{alert_id}", "observer-demo").json()
    assert {name: detail[name] for name in alerts[0] if name != "notices"} == {
        name: value for name, value in alerts[0].items() if name != "notices"
    }
    assert (detail["status"], detail["epoch"], detail["pass"], detail["step"]) == ("raised", 1, 1, 0)
    assert [signal["kind"] for signal in detail["signals"]] == ["press"]
    assert detail["timeline"][0]["what"] == "raised"
    assert [hop["hop"] for hop in detail["ledger"][0]["hops"]][:5] == [
        "contact", "published", "received", "held", "stored",
    ]  # fmt: skip
    assert {dispatch["channel"] for dispatch in detail["dispatches"]} >= {"console"}


def test_a_person_takes_it_and_closes_it(house, alert_id):
    answer = act(house, alert_id, "answer", "supervisor-demo", epoch=1).json()
    assert (answer["outcome"], answer["alert"]["status"], answer["alert"]["answered_by"]) == (
        "won", "answered", "supervisor demo",
    )  # fmt: skip
    again = act(house, alert_id, "answer", "administrator-demo", epoch=1).json()
    assert (again["outcome"], again["alert"]["answered_by"]) == ("taken", "supervisor demo")
    closed = act(house, alert_id, "close", "supervisor-demo", epoch=1, reason="false", text="une blague <b>").json()
    assert (closed["outcome"], closed["alert"]["status"], closed["alert"]["reason"]) == ("closed", "closed", "false")
    late = act(house, alert_id, "answer", "administrator-demo", epoch=1).json()
    assert (late["outcome"], late["alert"]["status"]) == ("late", "closed")
    assert act(house, alert_id, "close", "supervisor-demo", epoch=1, reason="real").json()["outcome"] == "ignored"
    listed = house.ask("GET", "/api/v1/alerts?status=closed&limit=1", "observer-demo").json()["alerts"]
    assert [alert["id"] for alert in listed] == [alert_id]


def test_of_two_at_once_one_wins(house, alert_id):
    outcomes = []

    def take(login):
        outcomes.append(act(house, alert_id, "answer", login, epoch=1).json()["outcome"])

    for login in ("supervisor-demo", "administrator-demo"):
        house.token(login)
    threads = [threading.Thread(target=take, args=(login,)) for login in ("supervisor-demo", "administrator-demo")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["taken", "won"]


def test_a_close_quotes_the_epoch_that_was_seen(house, alert_id):
    act(house, alert_id, "answer", "supervisor-demo", epoch=1)
    assert house.press() == alert_id  # raised again: epoch 2
    stale = act(house, alert_id, "close", "supervisor-demo", epoch=1, reason="false").json()
    assert (stale["outcome"], stale["alert"]["status"], stale["alert"]["epoch"]) == ("stale", "raised", 2)
    done = act(house, alert_id, "close", "supervisor-demo", epoch=2, reason="false").json()
    assert (done["outcome"], done["alert"]["status"]) == ("closed", "closed")


def test_whoever_took_it_says_how_it_goes(house, alert_id):
    act(house, alert_id, "answer", "supervisor-demo", epoch=1)
    said = act(house, alert_id, "progress", "supervisor-demo", epoch=1, progress="on-site").json()
    assert (said["outcome"], said["alert"]["status"]) == ("recorded", "answered")
    help_ = act(house, alert_id, "progress", "supervisor-demo", epoch=1, progress="needs-help").json()
    assert (help_["outcome"], help_["alert"]["status"], help_["alert"]["epoch"]) == ("reopened", "raised", 2)
    late = act(house, alert_id, "progress", "supervisor-demo", epoch=1, progress="on-site").json()
    assert late["outcome"] == "stale"


def test_escalating_quotes_what_was_seen(house, alert_id):
    stale = act(house, alert_id, "escalate", "supervisor-demo", epoch=1, step=5, **{"pass": 1}).json()
    assert stale["outcome"] == "ignored"
    done = act(house, alert_id, "escalate", "supervisor-demo", epoch=1, step=0, **{"pass": 1}).json()
    assert done["outcome"] == "escalated"


@pytest.mark.parametrize("role", ["observer", "technician"])
@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("answer", {"epoch": 1}),
        ("progress", {"epoch": 1, "progress": "on-site"}),
        ("close", {"epoch": 1, "reason": "real"}),
        ("escalate", {"epoch": 1, "pass": 1, "step": 0}),
    ],
)
def test_who_may_only_look_cannot_act(house, alert_id, role, action, body):
    answer = act(house, alert_id, action, f"{role}-demo", **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert house.ask("GET", f"/api/v1/alerts/{alert_id}", "observer-demo").json()["status"] == "raised"


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("answer", {}),
        ("answer", {"epoch": 0}),
        ("answer", {"epoch": "1"}),
        ("answer", {"epoch": 1, "as": "somebody"}),
        ("close", {}),
        ("close", {"reason": "real"}),
        ("progress", {"epoch": 1, "progress": "asleep"}),
        ("progress", {"progress": "on-site"}),
        ("close", {"epoch": 1, "reason": "boredom"}),
        ("close", {"epoch": 1, "reason": "real", "text": "x" * 2001}),
        ("escalate", {"epoch": 1}),
    ],
)
def test_a_wrong_body_is_422_and_names_the_field(house, alert_id, action, body):
    answer = act(house, alert_id, action, "supervisor-demo", **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")
    assert answer.json()["error"]["message"].startswith("body")


# every route of a person: method, path, body, the role that may
ROUTES = [
    ("GET", "/api/v1/me", None, "observer"),
    ("GET", "/api/v1/alerts", None, "observer"),
    ("GET", "/api/v1/alerts/{alert}", None, "observer"),
    ("POST", "/api/v1/alerts/{alert}/answer", {"epoch": 1}, "supervisor"),
    ("POST", "/api/v1/alerts/{alert}/progress", {"epoch": 1, "progress": "on-site"}, "supervisor"),
    ("POST", "/api/v1/alerts/{alert}/escalate", {"epoch": 1, "pass": 1, "step": 0}, "supervisor"),
    ("POST", "/api/v1/alerts/{alert}/close", {"epoch": 1, "reason": "test"}, "supervisor"),
    ("GET", "/api/v1/sites", None, "observer"),
    ("GET", "/api/v1/devices", None, "observer"),
    ("GET", "/api/v1/devices/post-demo", None, "observer"),
    ("GET", "/api/v1/policies", None, "observer"),
    ("GET", "/api/v1/policies/guarded", None, "observer"),
    ("POST", "/api/v1/policies/validate", {"toml": ""}, "observer"),
    ("POST", "/api/v1/policies/import", {"toml": ""}, "administrator"),
    ("GET", "/api/v1/evidence", None, "technician"),
    ("GET", "/api/v1/latency", None, "observer"),
    ("GET", "/api/v1/contacts", None, "observer"),
    ("POST", "/api/v1/contacts", {"channel": "sms", "address": "0612345678"}, "observer"),
    ("POST", "/api/v1/contacts/999999", {}, "observer"),
    ("POST", "/api/v1/contacts/999999/verify", None, "observer"),
    ("POST", "/api/v1/contacts/999999/confirm", {"code": "123456"}, "observer"),
    ("GET", "/api/v1/policies/guarded/versions", None, "supervisor"),
    ("GET", "/api/v1/policies/guarded/lint", None, "supervisor"),
    ("POST", "/api/v1/dry-run", {"site": "lycee"}, "supervisor"),
    ("GET", "/api/v1/readiness", None, "technician"),
    ("GET", "/api/v1/sites/lycee/readiness", None, "technician"),
    ("GET", "/api/v1/calendars", None, "supervisor"),
    ("GET", "/api/v1/calendars/g-calendar", None, "supervisor"),
    ("GET", "/api/v1/calendars/g-calendar/spans", None, "supervisor"),
    ("POST", "/api/v1/calendars/validate", {"toml": ""}, "supervisor"),
    ("POST", "/api/v1/calendars/import", {"toml": ""}, "administrator"),
    ("DELETE", "/api/v1/calendars/g-calendar", None, "administrator"),
    ("GET", "/api/v1/rosters", None, "supervisor"),
    ("GET", "/api/v1/rosters/g-roster", None, "supervisor"),
    ("GET", "/api/v1/rosters/g-roster/duty", None, "supervisor"),
    ("GET", "/api/v1/rosters/g-roster/overrides", None, "supervisor"),
    ("POST", "/api/v1/rosters/g-roster/overrides", {"begins": "2026-01-01", "ends": "2026-01-02"}, "administrator"),
    ("POST", "/api/v1/rosters/g-roster/overrides/1/cancel", None, "administrator"),
    ("POST", "/api/v1/rosters/validate", {"toml": ""}, "supervisor"),
    ("POST", "/api/v1/rosters/import", {"toml": ""}, "administrator"),
    ("DELETE", "/api/v1/rosters/g-roster", None, "administrator"),
    ("GET", "/api/v1/desks", None, "supervisor"),
    ("PUT", "/api/v1/desks/g-desk/invitations/demo", {"external": True}, "administrator"),
    ("DELETE", "/api/v1/desks/g-desk/invitations/demo", None, "administrator"),
    ("PUT", "/api/v1/desks/g-desk", {"title": "x", "role": "king"}, "administrator"),
    ("DELETE", "/api/v1/desks/g-desk", None, "administrator"),
    ("GET", "/api/v1/organisation", None, "supervisor"),
    ("PUT", "/api/v1/organisation/parent", {"parent": None}, "administrator"),
    ("PUT", "/api/v1/organisation/timezone", {"timezone": "Europe/Paris"}, "administrator"),
    ("POST", "/api/v1/alerts/{alert}/make-real", None, "supervisor"),
    ("GET", "/api/v1/windows", None, "observer"),
    ("POST", "/api/v1/windows", {"kind": "drill", "title": "x", "starts_ms": 1, "ends_ms": 2}, "supervisor"),
    ("POST", "/api/v1/windows/999998/end", {}, "technician"),
    ("GET", "/api/v1/windows/999998/report", None, "observer"),
    ("GET", "/api/v1/probes", None, "observer"),
    ("PUT", "/api/v1/probes/post-demo", {"every_ms": 3_600_000}, "technician"),
    ("POST", "/api/v1/logout", None, "observer"),
]
# what stands in a path of ROUTES -> what the schema calls it
NAMES = {
    "/g-calendar": "/{calendar}", "/g-roster": "/{roster}", "/g-desk": "/{desk}", "/sites/lycee/": "/sites/{site}/",
    "/overrides/1/": "/overrides/{number}/", "/invitations/demo": "/invitations/{org}",
    "/windows/999998": "/windows/{window_id}",
}  # fmt: skip
POLICY = 'id = "guarded"\ntitle = "Guarded"\n[[step]]\ndelay_s = 30\ntargets = [{ channel = "console" }]\n'


def test_the_table_of_routes_is_whole(house):
    listed = {(method, path.replace("{alert}", "{alert_id}")) for method, path, _, _ in ROUTES}
    listed = {(m, p.replace("/post-demo", "/{device}").replace("/guarded", "/{policy}")) for m, p in listed}
    listed = {(m, p.replace("/999999", "/{method_id}")) for m, p in listed}
    for name, template in NAMES.items():
        listed = {(m, p.replace(name, template)) for m, p in listed}
    listed |= {("POST", "/api/v1/sms/inbound")}  # a provider's, with a token of its own
    listed |= {("POST", "/api/v1/login"), ("GET", "/healthz"), ("GET", "/metrics")}
    paths = house.client.get("/api/v1/openapi.json").json()["paths"]
    known = {(method.upper(), path) for path, item in paths.items() for method in item if "/gateway/" not in path}
    assert known == listed


@pytest.mark.parametrize(("method", "path", "body", "role"), ROUTES, ids=lambda value: str(value))
def test_without_a_login_nothing_is_said(house, alert_id, method, path, body, role):
    answer = house.ask(method, path.format(alert=alert_id), None, **({"json": body} if body is not None else {}))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "not-logged-in")


@pytest.mark.parametrize(("method", "path", "body", "role"), ROUTES, ids=lambda value: str(value))
def test_from_the_other_organisation_nothing_is_seen_or_changed(house, alert_id, method, path, body, role):
    house.parts.registrar.import_policy("demo", POLICY, "test")
    more = {"json": body} if body is not None else {}
    before = house.ask("GET", f"/api/v1/alerts/{alert_id}", "observer-demo").json()
    answer = house.ask(method, path.format(alert=alert_id), f"{role}-other", **more)
    if path == "/api/v1/logout":
        del house._tokens[f"{role}-other"]
    assert answer.status_code in (200, 204, 404, 422)
    for secret in (alert_id, "post-demo", "Lycée demo", "guarded", "gw-demo", "supervisor demo"):
        assert secret not in answer.text.replace(path, "").replace("there is no policy 'guarded'", "").replace(
            "there is no device 'post-demo'", ""
        )
    if "{alert}" in path or path.endswith(("post-demo", "guarded")):
        assert answer.status_code == 404
    after = house.ask("GET", f"/api/v1/alerts/{alert_id}", "observer-demo").json()
    touched = ("status", "epoch", "pass", "step", "presses", "answered_by", "closed_by")
    assert [after[name] for name in touched] == [before[name] for name in touched]
