"""The page behind an answer link, in Chromium: small, without a script, readable by everybody."""

import json
import sqlite3
from urllib.request import Request, urlopen

import pytest
from conftest import Desks
from playwright.sync_api import expect
from system import PASSWORD, PHONE, System
from test_accessibility import violations
from tocsin_backend.domain.replies import Replies

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A backend of its own: Camille has an address, so that notices have links."""
    made = System(tmp_path_factory.mktemp("answer"))
    made.start()
    for login, address in (("camille", "camille@x.fr"), ("alex", "alex@x.fr")):
        session = _post(made, "/api/v1/login", {"login": login, "password": PASSWORD})
        _post(made, "/api/v1/contacts", {"channel": "email", "address": address}, session["token"])
    yield made
    made.stop()


def _post(house, path, body, token=""):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    with urlopen(Request(house.url + path, json.dumps(body).encode(), headers), timeout=10) as answer:
        return json.loads(answer.read())


@pytest.fixture
def stranger(chromium, house):
    """stranger(path, **options) -> a page of a browser that never logged in."""
    house.close_all()
    desks = Desks(chromium, house, {})
    yield lambda path, **options: desks.page(None, path, **options)
    desks.close()
    assert desks.complaints == []


def link(house, alert_id, login="camille"):
    keys = Replies.of((house.folder / "secret").read_bytes().strip())
    with sqlite3.connect(house.folder / "tocsin.db") as database:
        query = (
            "SELECT d.id FROM dispatch d JOIN person p ON p.id = d.person_id WHERE d.alert_id = ? AND p.login = ?"
            " AND d.channel = 'email' AND d.kind = 'notify' ORDER BY d.epoch DESC"
        )
        [dispatch_id, *_] = [row[0] for row in database.execute(query, (alert_id, login))]
    database.close()
    return f"/a/{keys.token(dispatch_id)}"


@pytest.mark.parametrize("look", [{}, {"color_scheme": "dark"}, {"viewport": PHONE}])
def test_taking_a_call_and_saying_how_it_goes(house, stranger, look):
    where = link(house, house.press(1))
    page = stranger(where, **look)
    assert page.locator("html").get_attribute("lang") == "fr"
    expect(page.get_by_role("status")).to_have_text("Personne n'a encore pris cet appel.")
    assert page.locator("script").count() == 0
    assert violations(page) == []
    assert page.locator("button").count() == 1
    assert page.get_by_role("button", name="Je prends l'appel").bounding_box()["height"] >= 48
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("C'est noté : vous avez pris l'appel.")
    assert violations(page) == []
    page.get_by_role("button", name="Sur place").click()
    expect(page.get_by_role("status")).to_have_text("C'est noté : vous êtes sur place.")
    assert violations(page) == []
    page.reload()
    expect(page.get_by_role("status")).to_have_text("C'est noté : vous êtes sur place.")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_without_scripts_it_works_the_same(house, stranger):
    page = stranger(link(house, house.press(1)), java_script_enabled=False)
    page.get_by_role("button", name="Je prends l'appel").click()
    expect(page.get_by_role("status")).to_have_text("C'est noté : vous avez pris l'appel.")


def test_somebody_else_an_english_reader_and_a_link_of_nobody_s(house, stranger):
    alert_id = house.press(1)
    house.answer(alert_id, "camille")
    page = stranger(link(house, alert_id, "alex"))
    assert page.locator("html").get_attribute("lang") == "en"
    expect(page.get_by_role("status")).to_have_text("Camille Roux has taken this call.")
    assert violations(page) == []
    house.close_all()
    page.reload()
    expect(page.get_by_role("status")).to_have_text("This call is over.")
    assert page.locator("button").count() == 0
    page.goto(f"{house.url}/a/{'A' * 43}")
    expect(page.get_by_role("status")).to_contain_text("pas un des nôtres")
    assert violations(page) == []


def test_a_silent_alert_and_a_drill_say_what_they_are(house, stranger):
    page = stranger(link(house, house.press(1, silent=1)))
    expect(page.get_by_text("Alerte silencieuse")).to_be_visible()
    assert page.get_by_text("appelez").count() == 0
    page.goto(house.url + link(house, house.press(2, mode="drill")))
    expect(page.get_by_text("EXERCICE")).to_be_visible()
    assert violations(page) == []
