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
