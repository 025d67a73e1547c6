"""The live link in a real browser: C1 to C4 and C30."""

import re
import signal
import time
from functools import partial

import pytest
from playwright.sync_api import expect
from system import PHONE, RawStreams, free_port, until

pytestmark = pytest.mark.browser

BANNER_WITHIN_MS = 6_000
RECOVERY_WITHIN_MS = 3_000
SNAPSHOT_MS = 10_000
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


WATCH = """() => {
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


def test_c01_press_to_row_with_20_consoles_on_a_slow_page(desks, system):
    """Ten presses a second, 20 consoles, the page's processor slowed six times: every row is pushed, none waits for the
    snapshot, which comes each 10 s. The rule's own limits (p95 250 ms in the DOM, 500 ms painted) are printed beside
    what was seen: asserting them would measure whatever else this machine does.
    """
    page = desks.page()
    wait_for_stream(page)
    page.evaluate(WATCH)
    cookie = "; ".join(f"{each['name']}={each['value']}" for each in page.context.cookies())
    others = RawStreams(system, cookie, 19)
    devtools = page.context.new_cdp_session(page)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": 6})
    try:
        accepted = press_ten_a_second(system, 30)
        until(lambda: len(page.evaluate("() => Object.keys(window.painted)")) >= 30, 10, "all are painted")
        seen, painted = page.evaluate("() => [window.seen, window.painted]")
    finally:
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": 1})
        others.close()
    in_dom = sorted(seen[each] - at for each, at in accepted.items())
    on_screen = sorted(painted[each] - at for each, at in accepted.items())
    print(
        f"in the DOM: p50 {in_dom[15]:.0f} ms, p95 {in_dom[28]:.0f} (rule 250), max {in_dom[29]:.0f} (rule 1,000); ",
        end="",
    )
    print(f"painted p95 {on_screen[28]:.0f} (rule 500)")
    assert in_dom[29] < SNAPSHOT_MS / 2
    assert min(others.rows) > 0


def press_ten_a_second(system, number):
    """{alert id: when the backend had accepted the press, epoch ms}."""
    accepted = {}
    began = time.monotonic()
    for device in range(number):
        time.sleep(max(0.0, began + device * 0.1 - time.monotonic()))  # the pace of the rule
        accepted[system.press(device)] = time.time() * 1000
    return accepted


def test_c02_a_dead_link_is_said_within_6_s(desks, system):
    """Counters unknown, everything grey, and an empty list is unknown, not empty: "0 to take" would be a lie."""
    empty = desks.page()
    expect(empty.get_by_text("Aucune alerte à prendre.")).to_be_visible()
    empty.route("**/console/alerts", lambda route: route.abort())
    page = desks.page()
    with system.frozen():
        began = time.monotonic()
        expect(banner(page)).to_be_visible(timeout=BANNER_WITHIN_MS)
        print(f"banner after {time.monotonic() - began:.2f} s")
        expect_link(empty, "lost", 1_000)
        assert banner(page).bounding_box()["width"] == page.viewport_size["width"]
        expect(banner(page)).to_contain_text("LIAISON PERDUE")
        expect(banner(page).get_by_role("link", name="17")).to_have_attribute("href", "tel:17")
        for counter in page.locator("[data-count]").all():
            assert counter.text_content() == "?"
        assert page.title().startswith("(?)")
        expect(page.locator("[data-signal]")).to_have_text(re.compile("dernier signal il y a [5-9] s"))
        expect(empty.get_by_text("Aucune alerte à prendre.")).to_be_hidden()
        expect(empty.get_by_text("Inconnu : la liaison est perdue.")).to_be_visible()
        for part in ("body", "h1", "dd"):
            for name in ("backgroundColor", "color"):
                colour = page.locator(part).first.evaluate("(e, name) => getComputedStyle(e)[name]", name)
                assert len(set(re.findall(r"\d+", colour)[:3])) == 1, (part, name, colour)
    # C3: by itself, once the server runs again
    expect_link(page, "live", RECOVERY_WITHIN_MS)
    expect(banner(page)).to_be_hidden()
    expect(page.locator("dd[data-count=untaken]")).to_have_text("0")
    # … but not where the snapshot cannot be read: a stream alone is no guarantee
    expect_link(empty, "lost", 1_000)
    empty.unroute_all()
    expect_link(empty, "live", RECOVERY_WITHIN_MS)


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


def refuse(status, route):
    route.fulfill(status=status, body="")


def test_c03_recovers_after_answers_that_close_an_event_source(desks, system):
    pages = {}
    for status in (401, 502, 503):
        page = pages[status] = desks.page()
        wait_for_stream(page)
        for path in ("**/console/live", "**/console/alerts"):
            page.route(path, partial(refuse, status))
    system.restart()  # ends the streams; the pages try again, and are refused
    for page in pages.values():
        expect_link(page, "lost", 10_000)
    expect(pages[401].get_by_role("link", name="Se reconnecter")).to_be_visible()
    for page in pages.values():
        page.unroute_all()
    for page in pages.values():
        expect_link(page, "live", RECOVERY_WITHIN_MS)
    alert_id = system.press(0)
    for page in pages.values():
        expect(row(page, alert_id)).to_be_visible()


def test_c04a_raised_between_page_and_stream(desks, system):
    context = desks.context()
    page = context.new_page()
    held = []
    page.route("**/console/live", lambda route: held.append(route))
    page.goto(system.url + "/console")
    expect(page.locator("[data-list]")).to_be_visible()
    alert_id = system.press(0)
    # Nothing more will happen to it by itself: no later event may carry the row in this one's place.
    until(lambda: {each["status"] for each in system.alert(alert_id)["dispatches"]} == {"handed"}, 5, "all is sent")
    assert held
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
    expect_link(page, "lost", 2_000)
    expect(banner(page)).to_contain_text("SESSION TERMINÉE")
    expect(row(page, alert_id)).to_be_visible()
    assert page.locator("#password").count() == 0


def test_c30_alive_is_shown_apart_from_quiet(desks, system):
    paths = ["/console", "/console/devices", "/console/sites", "/console/closed"]
    pages = [desks.page(path=path) for path in paths]
    phone = desks.page(viewport=PHONE)
    for page in [*pages, phone]:
        expect(page.locator("[data-signal]")).to_have_text("dernier signal il y a 1 s", timeout=5_000)
        expect(page.locator("[data-signal]")).to_be_in_viewport()
        # C29: a quiet screen stands still
        assert page.evaluate("() => document.getAnimations().length") == 0


def test_the_server_stops_at_once_with_open_streams(desks, system):
    page = desks.page()
    wait_for_stream(page)
    began = time.monotonic()
    system.stop(signal.SIGTERM)
    took = time.monotonic() - began
    system.start()
    assert took < 3.0
    expect_link(page, "live")
