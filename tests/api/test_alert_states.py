"""What an alert tells over the API beyond taken and closed: two people, drills, machines, guests at a desk, probes."""

import pytest

PASSWORD = "correct horse battery staple"
BOSS, ADMIN, OBSERVER, GUEST = "supervisor-demo", "administrator-demo", "observer-demo", "supervisor-other"


def get(house, path, login=OBSERVER):
    answer = house.ask("GET", f"/api/v1/{path}", login)
    assert answer.status_code == 200, answer.text
    return answer.json()


def act(house, alert_id, action, login, **body):
    answer = house.ask("POST", f"/api/v1/alerts/{alert_id}/{action}", login, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def write(house, statement, **values):
    house.parts.database.write(lambda conn: conn.exec_driver_sql(statement.format(**values))).result()


def person_id(house, login):
    with house.parts.database.read() as conn:
        return conn.exec_driver_sql(f"SELECT id FROM person WHERE login = '{login}'").scalar_one()


def test_a_silent_alert_takes_two_people(house, alert_id):
    write(house, "UPDATE alert SET silent = true WHERE id = '{alert}'", alert=alert_id)
    act(house, alert_id, "answer", BOSS, epoch=1)
    first = act(house, alert_id, "close", BOSS, epoch=1, reason="false")
    assert first["outcome"] == "second-needed"
    assert first["alert"]["close_asked"] == {"by": "supervisor demo", "reason": "false"}
    assert first["alert"]["status"] == "answered"
    assert act(house, alert_id, "close", BOSS, epoch=1, reason="false")["outcome"] == "second-needed"
    second = act(house, alert_id, "close", ADMIN, epoch=1, reason="false")
    assert (second["outcome"], second["alert"]["closed_by"]) == ("closed", "administrator demo")


def test_who_answered_and_how_it_goes_is_told_with_names(house, alert_id):
    act(house, alert_id, "answer", BOSS, epoch=1)
    assert act(house, alert_id, "progress", BOSS, epoch=1, progress="en-route")["alert"]["progress"] == "en-route"
    detail = get(house, f"alerts/{alert_id}")
    (answer,) = detail["answers"]
    assert (answer["person"], answer["channel"], answer["progress"]) == ("supervisor demo", "api", "en-route")
    assert answer["progress_ms"] >= answer["at_ms"]
    entry = next(each for each in detail["timeline"] if each["what"] == "progress")
    assert detail["people"][str(entry["data"]["person"])] == "supervisor demo"
    assert {each["class"] for each in detail["dispatches"]} <= {0, 1, 2}
    assert not any(each["maybe_dup"] for each in detail["dispatches"])
    assert (detail["org"], detail["device_org"], detail["window"], detail["about"]) == ("demo", "demo", None, None)


def test_a_technical_alert_about_no_device_is_listed_and_shown_everywhere(house, alert_id):
    outbox, now_ms = house.parts.engine.outbox, house.parts.now_ms()
    house.parts.database.write(lambda conn: outbox.technical(conn, "demo", "", "", "lateness", now_ms)).result()
    (found,) = get(house, "alerts?category=technical")["alerts"]
    assert (found["site"], found["device"], found["subject"]) == (None, None, "lateness")
    assert alert_id in [each["id"] for each in get(house, "alerts?category=call")["alerts"]]
    assert get(house, f"alerts/{found['id']}")["signals"] == []
    with house.browser("127.0.0.1") as browser:
        browser.post("/api/v1/login", json={"login": BOSS, "password": PASSWORD})
        for path in ("/console", "/console/alerts", f"/console/alerts/{found['id']}", "/console/closed"):
            page = browser.get(path)
            assert page.status_code == 200, (path, page.status_code)
            assert "Organisation demo" in page.text or path == "/console/closed"
    assert act(house, found["id"], "close", BOSS, epoch=1, reason="technical")["outcome"] == "closed"


def test_a_press_in_a_drill_names_its_window(house):
    house.close_all()
    now_ms = house.parts.now_ms()
    body = {"kind": "drill", "title": "PPMS", "starts_ms": now_ms - 1_000, "ends_ms": now_ms + 600_000, "forced": True}
    window = house.ask("POST", "/api/v1/windows", BOSS, json=body)
    if window.status_code == 422:  # what begins must lie ahead
        body["starts_ms"] = now_ms + 50
        window = house.ask("POST", "/api/v1/windows", BOSS, json=body)
    assert window.status_code == 201, window.text
    number = window.json()["id"]
    write(house, "UPDATE site_window SET starts_ms = starts_ms - 60000 WHERE id = {id}", id=number)
    try:
        found = get(house, f"alerts/{house.press()}")
        assert (found["mode"], found["window"]["id"], found["window"]["title"]) == ("drill", number, "PPMS")
    finally:
        house.ask("POST", f"/api/v1/windows/{number}/end", BOSS, json={})


def test_probes_are_told_only_where_they_are_asked_for(house, alert_id):
    message = house.press_message() | {"k": "probe"}
    stored = house.forward([house.envelope(message=message)]).json()["answers"][0]
    assert stored["r"] == "stored", stored
    everything = [each["mode"] for each in get(house, "alerts?status=all&limit=500")["alerts"]]
    assert "probe" not in everything
    assert {each["mode"] for each in get(house, "alerts?status=all&mode=probe")["alerts"]} == {"probe"}


def test_a_guest_who_was_told_sees_and_takes_it_and_nobody_else_of_hers(house, alert_id):
    assert house.ask("GET", f"/api/v1/alerts/{alert_id}", GUEST).status_code == 404
    assert get(house, "alerts?whose=told", GUEST)["alerts"] == []
    guest = person_id(house, GUEST)
    columns = (
        "id, alert_id, epoch, pass_, step, kind, target, channel, person_id, method_id, class_, status, attempts,"
        " maybe_dup, created_ms"
    )
    values = f"'told-{alert_id[:8]}', '{alert_id}', 1, 1, 0, 'notify', 'person:{guest}', 'email', {guest}, 0, 0"
    write(house, f"INSERT INTO dispatch ({columns}) VALUES ({values}, 'handed', 1, false, 0)")
    assert [each["id"] for each in get(house, "alerts?whose=told", GUEST)["alerts"]] == [alert_id]
    assert get(house, "alerts", GUEST)["alerts"] == []
    assert get(house, f"alerts/{alert_id}", GUEST)["site_name"] == "Lycée demo"
    assert house.ask("GET", f"/api/v1/alerts/{alert_id}", "administrator-other").status_code == 404
    won = act(house, alert_id, "answer", GUEST, epoch=1)
    assert (won["outcome"], won["alert"]["answered_by"]) == ("won", "supervisor other")
    detail = get(house, f"alerts/{alert_id}")
    assert detail["people"][str(guest)] == "supervisor other", "no erased person: a guest"


@pytest.mark.parametrize("query", ["category=fire", "whose=all", "mode=test"])
def test_a_filter_that_is_none_is_refused(house, query):
    assert house.ask("GET", f"/api/v1/alerts?{query}", OBSERVER).status_code == 422


@pytest.mark.parametrize(
    ("action", "more"),
    [
        ("answer", {}),
        ("progress", {"progress": "en-route"}),
        ("close", {"reason": "false"}),
        ("escalate", {"pass": 1, "step": 0}),
    ],
)
def test_an_epoch_to_come_is_refused(house, alert_id, action, more):
    answer = house.ask("POST", f"/api/v1/alerts/{alert_id}/{action}", BOSS, json={"epoch": 9, **more})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "invalid")
    assert error["message"] == "epoch 9 has not begun: the alert is in epoch 1"
    assert get(house, f"alerts/{alert_id}")["status"] == "raised"
