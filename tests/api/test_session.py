"""Logging in and out: cookies, tokens, CSRF, the throttle; nothing that helps a guesser (S12, S13)."""

import pytest

PASSWORD = "correct horse battery staple"


@pytest.fixture
def browser(house):
    """A browser of its own address, so that its failures are its own."""
    with house.browser("127.0.0.9") as browser:
        yield browser


def test_a_login_opens_a_session_by_token(house):
    answer = house.client.post("/api/v1/login", json={"login": "supervisor-demo", "password": PASSWORD})
    house.client.cookies.clear()
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"person", "csrf", "expires_ms", "token"}
    assert body["person"] == {
        "login": "supervisor-demo", "name": "supervisor demo", "role": "supervisor", "org": "demo",
        "org_name": "Organisation demo", "language": "fr",
    }  # fmt: skip
    me = house.client.get("/api/v1/me", headers={"Authorization": f"Bearer {body['token']}"})
    assert me.json() == {name: body[name] for name in ("person", "csrf", "expires_ms")}


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(house, browser):
    answer = browser.post("/api/v1/login", json={"login": "supervisor-demo", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert browser.get("/api/v1/me").status_code == 200


def test_a_change_by_cookie_needs_its_csrf_token(house, browser):
    csrf = browser.post("/api/v1/login", json={"login": "supervisor-demo", "password": PASSWORD}).json()["csrf"]
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": csrf[:-1]}, {"X-CSRF-Token": "é".encode()}):
        answer = browser.post("/api/v1/logout", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf")
    assert browser.post("/api/v1/logout", headers={"X-CSRF-Token": csrf}).status_code == 204
    assert browser.get("/api/v1/me").status_code == 401


def test_logging_out_ends_the_session_for_good(house):
    token = house.client.post("/api/v1/login", json={"login": "observer-demo", "password": PASSWORD}).json()["token"]
    house.client.cookies.clear()
    headers = {"Authorization": f"Bearer {token}"}
    assert house.client.post("/api/v1/logout", headers=headers).status_code == 204
    assert house.client.get("/api/v1/me", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("login", "password"),
    [
        ("supervisor-demo", "wrong password"),
        ("nobody", PASSWORD),
        ("supervisor-demo", PASSWORD + " "),
        ("SUPERVISOR-DEMO", PASSWORD),
        ("' or 1=1 --", "' or 1=1 --"),
        ("\u202esupervisor", "é" * 200),
    ],
)
def test_a_wrong_login_says_only_that_it_is_wrong(house, browser, login, password):
    answer = browser.post("/api/v1/login", json={"login": login, "password": password})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "wrong-login"
    assert answer.json()["error"]["message"] == "The login or the password is wrong."
    assert "set-cookie" not in answer.headers


def test_guessing_is_slowed_and_the_owner_elsewhere_is_not(house):
    right = {"login": "technician-demo", "password": PASSWORD}
    with house.browser("127.0.0.66") as guesser, house.browser("127.0.0.77") as owner:
        answers = [guesser.post("/api/v1/login", json=right | {"password": f"guess {n}"}) for n in range(7)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
        assert int(answers[-1].headers["retry-after"]) >= 1
        # even the right password waits there, and passes elsewhere
        assert guesser.post("/api/v1/login", json=right).status_code == 429
        assert owner.post("/api/v1/login", json=right).status_code == 200


def test_a_person_who_is_shut_out_is_out_at_once(house):
    desk = house.parts.registrar
    desk.add_person("demo", "leaver", "Leaver", "supervisor", PASSWORD, "en", [])
    headers = {"Authorization": f"Bearer {house.token('leaver')}"}
    assert house.client.get("/api/v1/me", headers=headers).status_code == 200
    desk.set_active("leaver", False)
    assert house.client.get("/api/v1/me", headers=headers).status_code == 401
    again = house.client.post("/api/v1/login", json={"login": "leaver", "password": PASSWORD})
    assert again.status_code == 401


def test_a_new_password_ends_the_open_sessions(house):
    desk = house.parts.registrar
    desk.add_person("demo", "changer", "Changer", "observer", PASSWORD, "en", [])
    headers = {"Authorization": f"Bearer {house.token('changer')}"}
    desk.set_password("changer", "another horse another battery")
    assert house.client.get("/api/v1/me", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Basic abc", "Bearer x", "Bearer " + "a" * 4000, "bearer é".encode(), "Token x"]
)
def test_other_tokens_are_nobodys(house, header):
    answer = house.client.get("/api/v1/me", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
