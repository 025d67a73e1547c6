"""A drill's report as people read it: one language at a time, and everything by its name."""

import re

import pytest
from tocsin_backend.domain import dispatches, drill_report
from tocsin_backend.drill_pages import as_html

NAMES = {1: "Anne Roux"}
STATUSES = (
    dispatches.PENDING, dispatches.LEASED, dispatches.HANDED, dispatches.DELIVERED, dispatches.SEEN, dispatches.FAILED,
    dispatches.CANCELLED,
)  # fmt: skip
OURS = re.compile(r"\w+:\w|\b(pending|leased|handed|email|person|lamp:|alarm:)\b")  # what no reader should meet


def told(channel="email", status="handed", person=1, target="person:1", after_ms=240):
    return {
        "person": person, "target": target, "channel": channel, "status": status, "after_ms": after_ms, "error": None
    }  # fmt: skip


def report(**changes):
    alert = {
        "alert": "a", "device": "bau-7", "site": "emperi", "raised_ms": 0, "contact_ms": 0, "presses": 1,
        "told": [told()], "answers": [{"person": 1, "channel": "link", "after_ms": 21_000}],
    }  # fmt: skip
    whole = {
        "version": 1, "window": {"title": "PPMS"}, "presses": 1, "alerts": [alert | changes.pop("alert", {})],
        "answered": {"n": 1, "of": 1, "median_ms": 21_000, "worst_ms": 75_000},
        "unconfirmed": [], "never_pressed": [],
    }  # fmt: skip
    return whole | changes


def unconfirmed(output, why="not confirmed"):
    return report(unconfirmed=[{"device": "bau-7", "alert": "a", "output": output, "why": why}])


def read(written, language):
    return [text for _, text in drill_report.lines(written, NAMES, language)]


def test_a_whole_report_in_french_and_in_english():
    assert read(report(), "fr") == [
        "EXERCICE : PPMS", "Appuis : 1", "Appels pris : 1 sur 1",
        "Délai de prise : médiane 21,0 s, le plus long 1 min 15 s", "emperi / bau-7", "Prévenus",
        "Anne Roux (courriel, envoyé, après 0,2 s)", "Réponses", "Anne Roux (lien, après 21,0 s)", "Sans confirmation",
        "aucune", "Bornes jamais pressées", "aucune",
    ]  # fmt: skip
    assert read(report(), "en")[6:9] == [
        "Anne Roux (e-mail, sent, after 0.2 s)", "Answers", "Anne Roux (link, after 21.0 s)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("output", "why", "french", "english"),
    [
        ("lamp:closed", "unconfirmed", "voyant « éteint » (jamais confirmé)", 'lamp "off" (never confirmed)'),
        ("lamp:stored", "not confirmed", "voyant « appel envoyé » (non confirmé)", 'lamp "call sent" (not confirmed)'),
        ("email person:1", "failed", "Anne Roux, par courriel (échec)", "Anne Roux, by e-mail (failed)"),
        ("push person:2", "HTTP 500", "personne effacée, par notification (HTTP 500)",
         "erased person, by push (HTTP 500)"),
        ("alarm:cour/sirene-1/flash/on", "not confirmed",
         "alarme cour, mise en marche de sirene-1/flash (non confirmé)",
         "alarm cour, sirene-1/flash on (not confirmed)"),
        ("alarm:cour/sirene-1/flash/off", "not confirmed", "alarme cour, arrêt de sirene-1/flash (non confirmé)",
         "alarm cour, sirene-1/flash off (not confirmed)"),
    ],
)  # fmt: skip
def test_what_did_not_confirm_is_named(output, why, french, english):
    assert f"bau-7 : {french}" in read(unconfirmed(output, why), "fr")
    assert f"bau-7: {english}" in read(unconfirmed(output, why), "en")


def test_no_status_and_no_lamp_is_shown_by_its_code():
    for language in ("fr", "en"):
        rows = [told(status=each) for each in STATUSES] + [told("console", person=None, target="console")]
        shown = read(report(alert={"told": rows}), language)
        for lamp in ("stored", "fallback", "answered", "closed"):
            shown += read(unconfirmed(f"lamp:{lamp}"), language)
        assert [text for text in shown if OURS.search(text)] == []
    french = " ".join(read(report(alert={"told": [told(status=each) for each in STATUSES]}), "fr"))
    assert not set(STATUSES) & set(re.findall(r"\w+", french))


def test_the_page_is_of_one_language_and_escapes_what_it_shows():
    page = as_html(drill_report.lines(unconfirmed("<b>"), NAMES, "fr"), "fr")
    assert '<html lang="fr">' in page
    assert "&lt;b&gt;" in page
