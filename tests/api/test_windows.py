"""Drills, maintenance and probes over the API: roles, faults, reports in every form, never another organisation's."""

import time

import pytest


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def body(**more):
    start = now_ms() - 2_000
    return {"kind": "drill", "site": "lycee", "title": "PPMS", "starts_ms": start, "ends_ms": start + 600_000} | more


def end_all(house):
    for each in house.ask("GET", "/api/v1/windows", "supervisor-demo").json()["windows"]:
        if each["state"] != "over":
            house.ask("POST", f"/api/v1/windows/{each['id']}/end", "supervisor-demo", json={})


@pytest.fixture
def drill(house):
    """A drill that has begun."""
    house.close_all()
    end_all(house)
    answer = house.ask("POST", "/api/v1/windows", "supervisor-demo", json=body(forced=True))
    assert answer.status_code == 201, answer.text
    yield answer.json()["id"]
    end_all(house)
    house.close_all()


def probe(house):
    message = house.press_message() | {"k": "probe", "held": 0}
    return house.forward([house.envelope(message=message)]).json()["answers"][0]


def test_a_drill_from_its_announcement_to_its_report(house, drill):
    alert = house.press()
    detail = house.ask("GET", f"/api/v1/alerts/{alert}", "observer-demo").json()
    assert detail["mode"] == "drill"
    [listed] = [
        w for w in house.ask("GET", "/api/v1/windows?kind=drill", "observer-demo").json()["windows"] if w["id"] == drill
    ]
    assert (listed["state"], listed["has_report"]) == ("running", False)
    assert house.ask("GET", f"/api/v1/windows/{drill}/report", "observer-demo").status_code == 404
    house.ask("POST", f"/api/v1/alerts/{alert}/answer", "supervisor-demo", json={"epoch": 1})
    ended = house.ask("POST", f"/api/v1/windows/{drill}/end", "supervisor-demo", json={}).json()
    assert (ended["state"], ended["has_report"]) == ("over", True)
    assert house.ask("GET", f"/api/v1/alerts/{alert}", "observer-demo").json()["reason"] == "drill"
    report = house.ask("GET", f"/api/v1/windows/{drill}/report", "observer-demo").json()
    assert (report["presses"], report["answered"]["n"]) == (1, 1)
    text = house.ask("GET", f"/api/v1/windows/{drill}/report?form=text&language=en", "observer-demo")
    assert text.text.startswith("EXERCICE (drill): PPMS\n")
    assert "supervisor demo" in text.text
    page = house.ask("GET", f"/api/v1/windows/{drill}/report?form=html", "observer-demo")
    assert page.headers["content-type"].startswith("text/html")
    assert "<h1>EXERCICE : PPMS</h1>" in page.text
    table = house.ask("GET", f"/api/v1/windows/{drill}/report?form=csv", "observer-demo").text
    assert table.splitlines()[0].startswith("alert,site,device,what,who")


def test_a_hostile_title_stays_text(house):
    end_all(house)
    name = '=cmd|"<script>alert(1)</script>'
    window = house.ask("POST", "/api/v1/windows", "supervisor-demo", json=body(forced=True, title=name)).json()["id"]
    house.press()
    house.ask("POST", f"/api/v1/windows/{window}/end", "supervisor-demo", json={})
    page = house.ask("GET", f"/api/v1/windows/{window}/report?form=html", "observer-demo").text
    assert "<script" not in page
    house.close_all()


def test_faults_are_listed_at_once_and_nothing_is_stored(house, drill):
    bad = body(title=" ", site="nowhere", starts_ms=now_ms(), ends_ms=now_ms() + 90_000_000)
    answer = house.ask("POST", "/api/v1/windows", "supervisor-demo", json=bad)
    assert answer.status_code == 422
    message = answer.json()["error"]["message"]
    assert all(word in message for word in ("title:", "site:", "ends_ms:", "starts_ms:"))
    twice = house.ask("POST", "/api/v1/windows", "supervisor-demo", json=body(forced=True))
    assert "overlaps" in twice.json()["error"]["message"]


def test_this_is_real(house, drill):
    alert = house.press()
    real = house.ask("POST", f"/api/v1/alerts/{alert}/make-real", "supervisor-demo").json()["alert"]
    assert real != alert
    assert house.ask("GET", f"/api/v1/alerts/{real}", "observer-demo").json()["mode"] == "real"
    assert house.ask("POST", f"/api/v1/alerts/{real}/make-real", "supervisor-demo").status_code == 422
    assert house.ask("POST", f"/api/v1/alerts/{alert}/make-real", "observer-demo").status_code == 403
    assert house.ask("POST", f"/api/v1/alerts/{alert}/make-real", "supervisor-other").status_code == 404


def test_who_may(house):
    end_all(house)
    assert house.ask("POST", "/api/v1/windows", "observer-demo", json=body()).status_code == 403
    assert house.ask("POST", "/api/v1/windows", "technician-demo", json=body(forced=True)).status_code == 403
    made = house.ask("POST", "/api/v1/windows", "technician-demo", json=body(kind="maintenance"))
    assert made.status_code == 201
    path = f"/api/v1/windows/{made.json()['id']}/end"
    assert house.ask("POST", path, "observer-demo", json={}).status_code == 403
    assert house.ask("POST", path, "supervisor-other", json={}).status_code == 404
    assert house.ask("POST", path, "technician-demo", json={}).status_code == 200


def test_probes_are_listed_and_their_alerts_only_when_asked_for(house):
    house.close_all()
    answer = probe(house)
    assert (answer["r"], answer["alert"] is not None) == ("stored", True)
    assert house.ask("GET", "/api/v1/alerts?status=all", "observer-demo").json()["alerts"] == [
        each for each in house.ask("GET", "/api/v1/alerts?status=all", "observer-demo").json()["alerts"]
        if each["mode"] != "probe"
    ]  # fmt: skip
    asked = house.ask("GET", "/api/v1/alerts?status=all&mode=probe", "observer-demo").json()["alerts"]
    assert answer["alert"] in [each["id"] for each in asked]
    [row] = house.ask("GET", "/api/v1/probes", "observer-demo").json()["probes"]
    assert (row["device"], row["overdue"], row["last_ms"]) == ("post-demo", False, None)
    assert row["due_ms"] > now_ms()


def test_the_period_of_a_probe(house):
    path = "/api/v1/probes/post-demo"
    assert house.ask("PUT", path, "observer-demo", json={"every_ms": 3_600_000}).status_code == 403
    assert house.ask("PUT", path, "technician-demo", json={"every_ms": 3 * 86_400_000 + 1}).status_code == 422
    assert house.ask("PUT", path, "technician-other", json={"every_ms": 3_600_000}).status_code == 404
    assert house.ask("PUT", path, "technician-demo", json={"every_ms": 3_600_000}).json()["every_ms"] == 3_600_000
