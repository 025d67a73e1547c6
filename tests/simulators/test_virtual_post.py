"""The virtual post's page, in a real browser, over a real board."""

import shutil
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from lone_broker import LoneBroker
from tocsin_sim.board import Board
from tocsin_sim.indicator import STATES
from tocsin_sim.virtual_post import PHRASES, VirtualPosts

SIZES = [(1280, 720), (390, 844)]


@pytest.fixture
def address(post: Board) -> Iterator[str]:
    with VirtualPosts({"bau-1": post}, {"bau-1": "Lycée Jean-Moulin, hall"}).serve() as found:
        yield found


@pytest.fixture
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


def test_both_languages_say_everything() -> None:
    assert set(PHRASES["fr"]) == set(PHRASES["en"])
    for language in PHRASES.values():
        assert all(f"state {state}" in language and f"hint {state}" in language for state in STATES)
        assert all(text.strip() for text in language.values())


def test_only_our_page_acts(address: str, post: Board) -> None:
    with httpx.Client(base_url=address) as client:
        assert client.post("/posts/bau-1/hold").status_code == 403
        ours = {"X-Tocsin": "virtual-post"}
        assert client.post("/posts/nobody/hold", headers=ours).status_code == 404
        assert client.post("/posts/bau-1/explode", headers=ours).status_code == 404
        assert client.get("/posts/bau-1/hold").status_code == 405
        assert client.get("/?post=nobody").status_code == 404
        assert client.get("/events?post=nobody").status_code == 404
        page = client.get("/?lang=klingon")
        assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert '<html lang="fr">' in page.text
        assert "style=" not in page.text
        assert client.post("/posts/bau-1/wifi-off", headers=ours).status_code == 204
        assert not post.has_wifi
    assert post.history() == []


@pytest.mark.browser
@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_press_is_seen(
    address: str, browser: Any, post: Board, broker: LoneBroker, language: str, width: int, height: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": height})
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(f"{address}?lang={language}")
    words = PHRASES[language]
    button = page.get_by_role("button", name=words["button"])
    assert page.locator("html").get_attribute("lang") == language
    assert button.bounding_box()["y"] + button.bounding_box()["height"] <= height, "the button is in the first screen"

    button.hover()
    page.mouse.down()
    assert post.wait_for(lambda: post.closed, 5)
    page.wait_for_timeout(200)  # a finger's time on the button: under the debounce of 40 ms it is no press
    page.mouse.up()
    assert post.wait_for(lambda: not post.closed, 5)
    page.wait_for_selector('body[data-state="sent"][data-colour="yellow"]')
    assert page.get_by_role("status").inner_text().startswith(words["state sent"])
    last = broker.presses()[-1]
    broker.ack("bau-1", re=f"{last['b']}-{last['n']}", r="answered", e=1, al="0" * 36)
    page.wait_for_selector('body[data-state="answered"][data-colour="green"]')
    page.wait_for_selector("#journey li.answered")
    assert [item.split("\n")[0] for item in page.locator("#journey li").all_inner_texts()] == [
        words[hop] for hop in ("contact", "sending", "sent", "answered")
    ]
    broker.ack("bau-1", re=f"{last['b']}-{last['n']}", r="closed", e=1, al="0" * 36)

    page.keyboard.press("Tab")
    button.focus()
    page.keyboard.down("Space")
    assert post.wait_for(lambda: post.closed, 5)
    page.wait_for_selector("body.closed")
    page.evaluate("document.activeElement.blur()")  # whatever takes the finger away opens the contact
    assert post.wait_for(lambda: not post.closed, 5)

    page.get_by_role("button", name=words["power_cut"]).click()
    page.wait_for_selector('body[data-state="off"]')
    page.get_by_role("button", name=words["power_back"]).click()
    page.wait_for_selector('body:not([data-state="off"])')
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out"
    assert troubles == []
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("language", ["fr", "en"])
def test_accessible(address: str, browser: Any, post: Board, language: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    post.press(200)
    assert post.wait_for_state("sent", 10)
    post.press(200)
    assert post.wait_for(lambda: len(post.history()) == 2, 5)
    for width, height in SIZES:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(f"{address}?lang={language}")
        page.wait_for_selector("#rows tr")
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]})
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found.response["violations"]] == []
        page.close()
