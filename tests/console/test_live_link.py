"""The live link in a real browser: C1 to C4 and C30."""

import signal
import time

import pytest
from conftest import PHONE
from playwright.sync_api import expect
from system import RawStreams, free_port

pytestmark = pytest.mark.browser

BANNER_WITHIN_MS = 6_000
RECOVERY_WITHIN_MS = 3_000
ANY_GAP_WITHIN_MS = 10_000


def row(page, alert_id):
    return page.locator(f'[data-alert="{alert_id}"]')


def banner(page):
    return page.locator("[data-banner]")


def expect_link(page, state, within_ms=BANNER_WITHIN_MS):
    expect(page.locator("html")).to_have_attribute("data-link", state, timeout=within_ms)


def wait_for_stream(page):
    """The stream is open: the page has read its snapshot because of it."""
    with page.expect_response(lambda response: response.url.endswith("/console/alerts")):
        page.reload()
    expect_link(page, "live")


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def test_c01_press_to_row_with_20_consoles_on_a_slow_page(desks, system):
    """Ten presses a second, 20 consoles, the page's processor slowed six times: in the DOM p95 < 250 ms, max < 1 s."""
    page = desks.page()
    wait_for_stream(page)
    page.evaluate(
        """() => {
          window.seen = {}; window.painted = {};
          new MutationObserver((records) => {
            const now = Date.now();
            for (const record of records) for (const node of record.addedNodes) {
              const id = node.dataset?.alert;
              if (!id) continue;
              window.seen[id] ??= now;
              requestAnimationFrame(() => requestAnimationFrame(() => { window.painted[id] ??= Date.now(); }));
            }
          }).observe(document.querySelector('[data-rows="untaken"]'), { childList: true });
        }"""
    )
    cookie = "; ".join(f"{each['name']}={each['value']}" for each in page.context.cookies())
    others = RawStreams(system, cookie, 19)
    devtools = page.context.new_cdp_session(page)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": 6})
    accepted = {}
    try:
        began = time.monotonic()
        for number in range(30):
            time.sleep(max(0.0, began + number * 0.1 - time.monotonic()))  # the pace of the rule: ten a second
            alert_id = system.press(number)
            accepted[alert_id] = time.time() * 1000
        expect(page.locator('[data-rows="untaken"] [data-alert]')).to_have_count(30)
        page.wait_for_timeout(100)  # two frames, for what is painted
        seen, painted = page.evaluate("() => [window.seen, window.painted]")
    finally:
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": 1})
        others.close()
    in_dom = [seen[alert_id] - at for alert_id, at in accepted.items()]
    on_screen = [painted[alert_id] - at for alert_id, at in accepted.items()]
    print(f"press_to_dom_ms p50 {percentile(in_dom, 0.5):.0f} p95 {percentile(in_dom, 0.95):.0f} max {max(in_dom):.0f}")
    print(f"press_to_paint_ms p95 {percentile(on_screen, 0.95):.0f}")
    assert percentile(in_dom, 0.95) < 250
    assert max(in_dom) < 1000
    assert percentile(on_screen, 0.95) < 500
    assert min(others.rows) > 0


def test_c02_a_dead_link_is_said_within_6_s(desks, system):
    page = desks.page()
    alert_id = system.press(0)
    expect(row(page, alert_id)).to_be_visible()
    with system.frozen():
        expect(banner(page)).to_be_visible(timeout=BANNER_WITHIN_MS)
        assert banner(page).bounding_box()["width"] == page.viewport_size["width"]
        expect(banner(page)).to_contain_text("LIAISON PERDUE")
        expect(banner(page).get_by_role("link", name="17")).to_have_attribute("href", "tel:17")
        for counter in page.locator("[data-count]").all():
            assert counter.text_content() == "?"
        assert page.title().startswith("(?)")
        grey = row(page, alert_id).evaluate("e => getComputedStyle(e).backgroundColor")
        red, green, blue = [int(part) for part in grey.removeprefix("rgb(").removesuffix(")").split(",")]
        assert red == green == blue
    # C3: by itself, once the server runs again
    expect_link(page, "live", RECOVERY_WITHIN_MS)
    expect(banner(page)).to_be_hidden()
    expect(page.locator("dd[data-count=untaken]")).to_have_text("1")


def test_c02_an_empty_list_on_a_dead_link_is_unknown_not_empty(desks, system):
    page = desks.page()
    expect(page.get_by_text("Aucune alerte à prendre.")).to_be_visible()
    with system.frozen():
        expect_link(page, "lost")
        expect(page.get_by_text("Aucune alerte à prendre.")).to_be_hidden()
        expect(page.get_by_text("Inconnu : la liaison est perdue.")).to_be_visible()
    expect_link(page, "live", RECOVERY_WITHIN_MS)


def test_c03_recovers_by_itself_after_kill_and_restart(desks, system):
    page = desks.page()
    wait_for_stream(page)
    system.kill()
    try:
        expect_link(page, "lost")
    finally:
        system.start()
    began = time.monotonic()
    expect_link(page, "live", RECOVERY_WITHIN_MS)
    print(f"recovered {time.monotonic() - began:.2f} s after the restart")
    alert_id = system.press(0)
    expect(row(page, alert_id)).to_be_visible()


@pytest.mark.parametrize("status", [401, 502, 503])
def test_c03_recovers_after_answers_that_close_an_event_source(desks, system, status):
    page = desks.page()
    wait_for_stream(page)

    def refuse(route):
        route.fulfill(status=status, body="")

    page.route("**/console/live", refuse)
    page.route("**/console/alerts", refuse)
    system.restart()  # ends the stream; the page tries again, and is refused
    expect_link(page, "lost", 12_000)
    if status == 401:
        expect(page.get_by_role("link", name="Se reconnecter")).to_be_visible()
    page.unroute_all()
    expect_link(page, "live", RECOVERY_WITHIN_MS + 2_000)
    alert_id = system.press(0)
    expect(row(page, alert_id)).to_be_visible()


def test_c04a_raised_between_page_and_stream(desks, system):
    context = desks.context()
    page = context.new_page()
    held = []
    page.route("**/console/live", held.append)
    page.goto(system.url + "/console")
    expect(page.locator("[data-list]")).to_be_visible()
    alert_id = system.press(0)
    for route in held:
        route.continue_()
    page.unroute_all(behavior="ignoreErrors")
    expect(row(page, alert_id)).to_be_visible(timeout=ANY_GAP_WITHIN_MS)


def test_c04b_raised_while_this_server_is_down(desks, system):
    """Another replica over the same database takes the press; this server, once back, shows it."""
    page = desks.page()
    wait_for_stream(page)
    system.kill()
    other = free_port()
    try:
        system.start(other)
        alert_id = system.press(0, port=other)
        system.stop()
    finally:
        if system.process is not None:
            system.stop()
        system.start()
    expect(row(page, alert_id)).to_be_visible(timeout=ANY_GAP_WITHIN_MS)
    expect_link(page, "live")


def test_c04c_raised_just_after_a_restart(desks, system):
    page = desks.page()
    wait_for_stream(page)
    system.kill()
    system.start()
    alert_id = system.press(0)
    expect(row(page, alert_id)).to_be_visible(timeout=ANY_GAP_WITHIN_MS)


def test_c04_a_lost_event_is_made_good_by_the_snapshot(desks, system):
    """Even if the stream never delivers a row, the snapshot does."""
    context = desks.context()
    context.add_init_script(
        "const add = EventSource.prototype.addEventListener;"
        "EventSource.prototype.addEventListener = function (name, ...rest) {"
        "  if (name !== 'rows') add.call(this, name, ...rest); };"
    )
    page = context.new_page()
    page.goto(system.url + "/console")
    alert_id = system.press(0)
    expect(row(page, alert_id)).to_be_visible(timeout=ANY_GAP_WITHIN_MS + 1_000)


def test_c04_a_session_that_ends_is_said_not_shown_as_an_empty_list(desks, system):
    """C9's second half: the banner, and no login form inside the list."""
    context = desks.context(None)
    page = context.new_page()
    page.goto(system.url + "/console/login")
    page.fill("#login", "camille")
    page.fill("#password", "correct horse battery")
    page.click("button")
    alert_id = system.press(0)
    expect(row(page, alert_id)).to_be_visible()
    other = context.new_page()
    other.goto(system.url + "/console")
    other.locator("summary").click()
    other.get_by_role("button", name="Se déconnecter").click()
    expect(other.locator("#password")).to_be_visible()
    expect_link(page, "lost", ANY_GAP_WITHIN_MS + 1_000)
    expect(banner(page)).to_contain_text("SESSION TERMINÉE")
    expect(row(page, alert_id)).to_be_visible()
    assert page.locator("#password").count() == 0


@pytest.mark.parametrize("path", ["/console", "/console/devices", "/console/sites", "/console/closed"])
def test_c30_alive_is_shown_apart_from_quiet(desks, system, path):
    page = desks.page(path=path)
    signal_age = page.locator("[data-signal]")
    expect(signal_age).to_have_text("dernier signal il y a 1 s", timeout=5_000)
    expect(signal_age).to_be_visible()
    # C29: a quiet screen stands still
    assert page.evaluate("() => document.getAnimations().length") == 0
    phone = desks.page(path=path, viewport=PHONE)
    expect(phone.locator("[data-signal]")).to_be_in_viewport()
    with system.frozen():
        expect(signal_age).to_have_text("dernier signal il y a 4 s", timeout=6_000)


def test_the_server_stops_at_once_with_open_streams(desks, system):
    page = desks.page()
    wait_for_stream(page)
    began = time.monotonic()
    system.stop(signal.SIGTERM)
    took = time.monotonic() - began
    system.start()
    assert took < 3.0
    expect_link(page, "live")
