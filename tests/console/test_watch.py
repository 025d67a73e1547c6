"""A supervisor's watch in a real browser: order, taking, closing, refusals, focus, layout, language."""

import re

import pytest
from playwright.sync_api import expect
from system import DESK, PASSWORD, PHONE, until

pytestmark = pytest.mark.browser

SMALLEST = {"width": 320, "height": 640}
PAGES = ["/console", "/console/devices", "/console/sites", "/console/closed"]


def row(page, alert_id):
    return page.locator(f'[data-alert="{alert_id}"]')


def take_button(page, alert_id):
    return row(page, alert_id).locator('[data-control="take"]')


def focused_alert(page):
    return page.evaluate("() => document.activeElement?.closest('[data-alert]')?.dataset.alert ?? null")


def shown(page, group="untaken"):
    return page.eval_on_selector_all(f'[data-rows="{group}"] [data-alert]', "rows => rows.map(r => r.dataset.alert)")


# -- C15 to C22: taking and closing


def test_c15_one_keystroke_takes_the_first_untaken_alert(desks, system):
    first, second = system.press(0), system.press(1)
    page = desks.page()
    assert focused_alert(page) == first
    page.keyboard.press("Enter")
    expect(row(page, first)).to_contain_text("Prise par Camille Roux")
    assert system.alert(first)["status"] == "answered"
    assert system.alert(second)["status"] == "raised"


def test_c15_also_when_the_alert_came_to_a_quiet_screen(desks, system):
    page = desks.page()
    expect(page.get_by_text("Aucune alerte à prendre.")).to_be_visible()
    alert_id = system.press(0)
    expect(row(page, alert_id)).to_be_visible()
    assert focused_alert(page) is None
    page.keyboard.press("Enter")
    expect(row(page, alert_id)).to_contain_text("Prise par Camille Roux")


def test_c15_arrows_walk_and_letters_do_nothing(desks, system):
    first, second = system.press(0), system.press(1)
    page = desks.page()
    page.keyboard.press("ArrowDown")
    assert focused_alert(page) == second
    page.keyboard.press("ArrowUp")
    assert focused_alert(page) == first
    page.keyboard.press("Escape")
    assert focused_alert(page) is None
    page.keyboard.type("abcdefghijklmnopqrstuvwxyz0123456789")
    assert [system.alert(each)["status"] for each in (first, second)] == ["raised", "raised"]


def test_c16_two_supervisors_at_once_make_one_owner(desks, system):
    alert_id = system.press(0)
    pages = {"Camille Roux": desks.page("camille"), "Alex Martin": desks.page("alex")}
    for page in pages.values():
        expect(take_button(page, alert_id)).to_be_visible()
    held = []
    for page in pages.values():
        page.route(re.compile(r"/take$"), lambda route: held.append(route))
        take_button(page, alert_id).click()
    until(lambda: [page.wait_for_timeout(20) for page in pages.values()] and len(held) == 2, 10, "both have asked")
    for request in held:
        request.continue_()
    for page in pages.values():
        expect(row(page, alert_id)).to_have_attribute("data-group", "taken")
    owner = system.alert(alert_id)["answered_by"]
    assert owner in pages
    for name, page in pages.items():
        expect(row(page, alert_id)).to_contain_text(owner, timeout=1_000)
        assert page.url.endswith("/console")
        note = row(page, alert_id).locator("[data-note]")
        if name == owner:
            expect(note).to_be_hidden()
        else:
            expect(note).to_contain_text(owner)
    answered = [each for each in system.alert(alert_id)["timeline"] if each["what"] == "answered"]
    assert len(answered) == 1


def test_c16_taken_by_a_colleague_shows_within_a_second(desks, system):
    alert_id = system.press(0)
    page = desks.page()
    expect(take_button(page, alert_id)).to_be_visible()
    system.answer(alert_id, "alex")
    expect(row(page, alert_id)).to_contain_text("Prise par Alex Martin", timeout=1_000)
    assert take_button(page, alert_id).count() == 0


def test_c18_arrival_moves_neither_focus_nor_scroll(desks, system):
    alerts = [system.press(number) for number in range(12)]
    page = desks.page()
    take_button(page, alerts[8]).focus()
    page.evaluate("() => scrollTo(0, 300)")
    before = page.evaluate("() => scrollY")
    more = [system.press(number) for number in range(12, 15)]
    system.press(8)  # a repeat of the very row that has the focus
    expect(row(page, more[-1])).to_be_visible()
    expect(row(page, alerts[8])).to_contain_text("×2")
    assert focused_alert(page) == alerts[8]
    assert page.evaluate("() => scrollY") == before
    system.answer(alerts[8], "alex")
    expect(row(page, alerts[8])).to_have_attribute("data-group", "taken")
    assert focused_alert(page) == alerts[8]


def test_c18_after_taking_the_focus_stays_on_that_row(desks, system):
    first, _ = system.press(0), system.press(1)
    page = desks.page()
    page.keyboard.press("Enter")
    expect(row(page, first)).to_have_attribute("data-group", "taken")
    assert focused_alert(page) == first


def test_c19_taking_is_not_closing_and_closing_asks_for_the_outcome(desks, system):
    alert_id = system.press(0)
    page = desks.page()
    page.keyboard.press("Enter")
    expect(row(page, alert_id)).to_have_attribute("data-group", "taken")
    assert system.alert(alert_id)["status"] == "answered"
    row(page, alert_id).get_by_role("link", name="Clore").click()
    page.get_by_role("button", name="Clore cette alerte").click()
    assert page.locator("#reason").evaluate("e => e.validity.valueMissing")
    assert system.alert(alert_id)["status"] == "answered"
    page.select_option("#reason", "false")
    page.fill("#note", "Deux lycéens, rien vu <b>d'autre</b>.")
    page.get_by_role("button", name="Clore cette alerte").click()
    page.wait_for_url("**/console")
    assert row(page, alert_id).count() == 0
    alert = system.alert(alert_id)
    assert (alert["status"], alert["reason"], alert["closed_by"]) == ("closed", "false", "Camille Roux")
    page.goto(f"{system.url}/console/closed")
    expect(page.locator("tbody tr").first).to_contain_text("Faux appel")
    page.locator("tbody a").first.click()
    expect(page.get_by_text("Deux lycéens, rien vu <b>d'autre</b>.")).to_be_visible()
    assert page.get_by_role("button", name="Clore cette alerte").count() == 0


def test_c19_a_close_without_a_reason_is_refused_by_the_server_too(desks, system):
    alert_id = system.press(0)
    page = desks.page(path=f"/console/alerts/{alert_id}")
    page.fill("#note", "texte gardé")  # from here on the page leaves the form alone
    page.locator("#reason").evaluate("e => e.removeAttribute('required')")
    page.get_by_role("button", name="Clore cette alerte").click()
    expect(page.locator("#close [data-note]")).to_have_text("Choisissez ce que c’était avant de clore.")
    assert page.locator("#note").input_value() == "texte gardé"
    assert system.alert(alert_id)["status"] == "raised"


def test_a_close_that_crosses_a_new_press_is_refused_once_and_keeps_what_was_typed(desks, system):
    alert_id = system.press(0)
    system.answer(alert_id)
    page = desks.page(path=f"/console/alerts/{alert_id}")
    page.select_option("#reason", "false")
    page.fill("#note", "texte gardé")
    assert system.press(0) == alert_id
    page.get_by_role("button", name="Clore cette alerte").click()
    expect(page.locator("#close [data-note]")).to_have_text(
        "L’alerte a été relancée entre-temps. Regardez-la, puis recommencez."
    )
    assert system.alert(alert_id)["status"] == "raised"
    assert page.locator("#note").input_value() == "texte gardé"
    page.get_by_role("button", name="Clore cette alerte").click()
    page.wait_for_url("**/console")
    assert system.alert(alert_id)["status"] == "closed"


@pytest.mark.parametrize("failure", ["no answer", "refused"])
def test_c22_an_action_that_failed_says_so_on_its_row_and_restores_it(desks, system, failure):
    alert_id = system.press(0)
    page = desks.page()

    def fail(route):
        if failure == "no answer":
            route.abort()
        else:
            route.fulfill(status=503, content_type="application/json", body='{"say": "Pas fait.", "row": null}')

    page.route("**/take", fail)
    take_button(page, alert_id).click()
    note = row(page, alert_id).locator("[data-note]")
    expect(note).to_contain_text("Non transmis" if failure == "no answer" else "Pas fait.")
    expect(row(page, alert_id)).to_have_attribute("data-group", "untaken")
    expect(take_button(page, alert_id)).to_be_enabled()
    assert take_button(page, alert_id).get_attribute("aria-disabled") is None
    system.press(0)
    expect(row(page, alert_id)).to_contain_text("×2")
    expect(note).to_be_visible()  # redrawing the row does not take the words away
    assert system.alert(alert_id)["status"] == "raised"
    page.unroute_all()
    take_button(page, alert_id).click()
    expect(row(page, alert_id)).to_contain_text("Prise par Camille Roux")
    expect(note).to_be_hidden()


def test_c22_nothing_is_shown_as_done_before_the_server_said_so(desks, system):
    alert_id = system.press(0)
    page = desks.page()
    expect(page.locator("html")).to_have_attribute("data-link", "live")
    with system.frozen():
        take_button(page, alert_id).click()
        expect(row(page, alert_id).locator("[data-note]")).to_have_text("Envoi…")
        expect(row(page, alert_id)).to_have_attribute("data-group", "untaken")
        expect(row(page, alert_id).locator("[data-note]")).to_contain_text("Non transmis", timeout=8_000)
        expect(row(page, alert_id)).to_have_attribute("data-group", "untaken")
    expect(page.locator("html")).to_have_attribute("data-link", "live", timeout=3_000)


def test_c22_a_role_that_may_only_look_is_told_so(desks, system):
    alert_id = system.press(0)
    page = desks.page("obs")
    take_button(page, alert_id).click()
    expect(row(page, alert_id).locator("[data-note]")).to_have_text("Votre rôle ne le permet pas.")
    page.goto(f"{system.url}/console/alerts/{alert_id}")
    expect(page.get_by_role("heading", name="Gare d'Embrun")).to_be_visible()
    assert page.get_by_role("button", name="Prendre cette alerte").count() == 0
    assert system.alert(alert_id)["status"] == "raised"


# -- C25: order and folding


def test_c25_order_and_folding(desks, system):
    drill = system.press(0, mode="drill")
    old, young = system.press(1), system.press(2)
    page = desks.page()
    assert shown(page) == [old, young, drill]
    for _ in range(3):
        assert system.press(1) == old
    expect(row(page, old)).to_contain_text("×4")
    newest = system.press(3)
    expect(row(page, newest)).to_be_visible()
    assert shown(page) == [old, young, newest, drill]
    system.answer(young, "alex")
    expect(row(page, young)).to_have_attribute("data-group", "taken")
    assert (shown(page), shown(page, "taken")) == ([old, newest, drill], [young])
    expect(row(page, drill)).to_contain_text("EXERCICE")
    expect(page.locator("dd[data-count=untaken]")).to_have_text("2")
    expect(page).to_have_title("(2) Alertes – Tocsin")


def test_a_new_alert_is_spoken_once_in_one_short_sentence(desks, system):
    page = desks.page()
    speech = page.locator("[data-say]")
    expect(page.get_by_text("Aucune alerte à prendre.")).to_be_visible()
    assert speech.text_content() == ""
    system.press(0)
    expect(speech).to_have_text("Nouvelle alerte, priorité 1, Gare d'Embrun, Parvis")
    system.press(1)
    system.press(2)
    system.press(3)
    expect(speech).to_have_text("3 nouvelles alertes", timeout=3_000)
    assert page.locator("[data-list] [aria-live]").count() == 0


# -- one alert's page


def test_the_alert_page_follows_its_alert(desks, system):
    alert_id = system.press(0)
    page = desks.page("alex", f"/console/alerts/{alert_id}")
    expect(page.get_by_text("Nobody has taken it yet")).to_be_visible()
    expect(page.locator(".hops rect").first).to_be_visible()
    page.fill("#note", "being typed")
    system.press(0)
    expect(page.get_by_text("Pressed again: ×2")).to_be_visible()
    page.get_by_role("button", name="Take this alert").click()
    expect(page.get_by_text("Taken by Alex Martin (console)")).to_be_visible()
    expect(page.get_by_role("button", name="Take this alert")).to_have_count(0)
    system.confirm_lamp(0, alert_id, "answered")
    expect(page.get_by_text("The lamp at the post is green: confirmed by the post.")).to_be_visible(timeout=3_000)
    assert page.locator("#note").input_value() == "being typed"


def test_an_alert_that_is_not_ours_does_not_exist(desks, system):
    page = desks.page(path="/console/alerts/7c9e6679-7425-50de-944b-e07fc1f90ae7")
    expect(page.get_by_text("Cette alerte n’existe pas ici.")).to_be_visible()


# -- without a script


def test_the_watch_works_without_javascript(desks, system):
    alert_id = system.press(0)
    page = desks.page(java_script_enabled=False)
    expect(page.locator("noscript p")).to_contain_text("Sans JavaScript")
    expect(page.locator("[data-signal]")).to_be_hidden()
    take_button(page, alert_id).click()
    expect(row(page, alert_id)).to_contain_text("Prise par Camille Roux")
    page.goto(f"{system.url}/console/alerts/{alert_id}")
    page.select_option("#reason", "real")
    page.get_by_role("button", name="Clore cette alerte").click()
    page.wait_for_url("**/console")
    assert system.alert(alert_id)["reason"] == "real"


# -- coming and going


def test_a_wrong_login_says_so_and_keeps_the_name(desks, system):
    page = desks.page(None, "/console/devices")
    assert "/console/login?next=%2Fconsole%2Fdevices" in page.url
    page.fill("#login", "camille")
    page.fill("#password", "wrong password")
    page.get_by_role("button", name="Se connecter").click()
    expect(page.get_by_role("alert")).to_have_text("Identifiant ou mot de passe incorrect.")
    assert page.locator("#login").input_value() == "camille"
    page.fill("#password", PASSWORD)
    page.get_by_role("button", name="Se connecter").click()
    page.wait_for_url("**/console/devices")


def test_a_form_without_its_token_changes_nothing(desks, system):
    alert_id = system.press(0)
    page = desks.page()
    page.locator("#act [name=csrf]").evaluate("e => { e.value = 'forged'; }")
    take_button(page, alert_id).click()
    expect(row(page, alert_id).locator("[data-note]")).to_contain_text("La page était trop ancienne")
    assert system.alert(alert_id)["status"] == "raised"


def test_c35_the_language_is_the_persons_own_and_lang_is_right(desks, system):
    page = desks.page("admin")
    assert page.locator("html").get_attribute("lang") == "fr"
    page.locator("summary").click()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Alerts")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "en"
    alert_id = system.press(0)
    expect(row(page, alert_id)).to_contain_text("Call for help")
    again = desks.page("admin")
    assert again.locator("html").get_attribute("lang") == "en"
    again.locator("summary").click()
    again.get_by_role("button", name="Français").click()
    expect(again.get_by_role("heading", name="Alertes")).to_be_visible()
    stranger = desks.page(None, "/console/login")
    stranger.get_by_role("link", name="English").click()
    expect(stranger.get_by_role("button", name="Log in")).to_be_visible()


def test_c21_escape_closes_the_open_panel(desks, system):
    page = desks.page()
    page.locator("summary").click()
    expect(page.get_by_role("button", name="Se déconnecter")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Se déconnecter")).to_be_hidden()


# -- C33: what fits where


@pytest.mark.parametrize("size", [DESK, PHONE, SMALLEST], ids=["1280x720", "390x844", "320"])
def test_c33_no_horizontal_scroll_anywhere(desks, system, size):
    alert_id = system.press(1)
    system.press(0, mode="drill")
    page = desks.page(viewport=size)
    for path in [*PAGES, f"/console/alerts/{alert_id}"]:
        page.goto(system.url + path)
        wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
        if size is not DESK:
            small = page.eval_on_selector_all(
                "button, .button, summary, .pages a, select, textarea",
                "all => all.filter(e => e.offsetParent && e.getBoundingClientRect().height < 44).map(e => e.outerHTML)",
            )
            assert small == [], path
            assert page.locator(".bar").bounding_box()["height"] <= 120


def test_c33_the_first_six_alerts_and_the_counters_fit_1280x720(desks, system):
    alerts = [system.press(number) for number in range(6)]
    page = desks.page()
    for each in alerts:
        box = row(page, each).bounding_box()
        assert box["y"] + box["height"] <= 720
    expect(page.locator(".counters")).to_be_in_viewport()
