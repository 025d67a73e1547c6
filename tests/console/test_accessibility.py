"""C38 and C40 over every page: no violation of the content policy, none of axe's rules, in every look."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from system import PHONE

pytestmark = pytest.mark.browser

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice", "RGAAv4"]
LOOKS = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": PHONE},
}


def violations(page, *, without=()):
    rules = {rule: {"enabled": False} for rule in without}
    options = {"runOnly": {"type": "tag", "values": TAGS}, "rules": rules}
    found = Axe().run(page, options=options).response["violations"]
    return [f"{each['id']}: {node['target']} {node['failureSummary']}" for each in found for node in each["nodes"]]


def busy_screen(system):
    """Alerts in every state that a list can show; the id of one that was taken and whose lamp is green."""
    taken = system.press(0)
    system.press(0)
    system.answer(taken, "alex")
    system.confirm_lamp(0, taken, "answered")
    system.press(1)
    system.press(2, mode="drill")
    system.press(3, silent=1)
    return taken


def paths(alert_id):
    return ["/console", f"/console/alerts/{alert_id}", "/console/devices", "/console/sites", "/console/closed"]


@pytest.mark.parametrize("look", LOOKS)
def test_c40_axe_finds_nothing_on_any_page(desks, system, look):
    page = desks.page(**LOOKS[look])
    alert_id = busy_screen(system)
    expect(page.locator(f'[data-alert="{alert_id}"]')).to_be_visible()  # a DOM that was updated live
    assert violations(page) == []
    page.locator("summary").click()
    assert violations(page) == []
    for path in paths(alert_id)[1:]:
        page.goto(system.url + path)
        assert violations(page) == [], path
    stranger = desks.page(None, "/console/login?language=en", **LOOKS[look])
    assert violations(stranger) == []
    stranger.fill("#login", "nobody")
    stranger.fill("#password", "x")
    stranger.get_by_role("button", name="Log in").click()
    expect(stranger.get_by_role("alert")).to_be_visible()
    assert violations(stranger) == []


def test_c40_axe_finds_nothing_on_a_lost_link(desks, system):
    alert_id = busy_screen(system)
    pages = [desks.page(path=path) for path in paths(alert_id)[:3]]
    pages.append(desks.page(viewport=PHONE, color_scheme="dark"))
    with system.frozen():
        for page in pages:
            expect(page.locator("[data-banner]")).to_be_visible(timeout=7_000)
            assert violations(page) == [], page.url
    for page in pages:
        expect(page.locator("[data-banner]")).to_be_hidden()


def test_c24_a_priority_is_told_four_ways_and_survives_forced_colours(desks, system):
    system.press(0)
    system.press(1, mode="drill")
    page = desks.page(forced_colors="active")
    marks = page.locator(".alert .mark")
    expect(marks).to_have_count(2)
    assert marks.nth(0).locator("path").count() == 1  # an octagon
    assert marks.nth(1).locator("circle").count() == 1
    assert marks.nth(0).locator("svg text").text_content() == "1"
    expect(marks.nth(0)).to_contain_text("Urgent")
    # The browser paints its own colours here, while the computed styles that axe reads are still ours.
    assert violations(page, without=["color-contrast"]) == []


def test_c38_no_violation_of_the_content_policy_on_any_page(desks, system):
    """The fixture asserts it after every test too; here every page is opened and every answer carries the policy."""
    answers = []
    context = desks.context()
    context.on("response", lambda response: answers.append((response.url, response.all_headers())))
    alert_id = busy_screen(system)
    page = context.new_page()
    for path in [*paths(alert_id), "/console/login", "/console/alerts/none"]:
        page.goto(system.url + path, wait_until="networkidle" if path == "/console/login" else "load")
        page.locator("h1").wait_for()
    assert len(answers) > 15
    for url, headers in answers:
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'"), url
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        if "/static/" in url:
            assert "immutable" in headers["cache-control"]
        else:
            assert headers["cache-control"] == "no-store"
    assert desks.complaints == []


def test_the_focus_is_visible_on_every_control(desks, system):
    busy_screen(system)
    page = desks.page()
    page.locator(".skip").focus()
    seen = 0
    for _ in range(40):
        page.keyboard.press("Tab")
        outline = page.evaluate(
            "() => { const e = document.activeElement; const s = getComputedStyle(e);"
            " return e === document.body ? null : [e.tagName, s.outlineStyle, parseFloat(s.outlineWidth)]; }"
        )
        if outline is None:
            break
        seen += 1
        assert outline[1] != "none", outline
        assert outline[2] >= 2, outline
    assert seen > 10
