from dataclasses import replace
from string import Formatter

import pytest
from test_alerts import NOW, PEOPLE, in_status
from tocsin_backend.domain import alerts, dispatches, escalation, notices
from tocsin_backend.domain.notices import PHRASES, Place

PLACE = Place("Lycée de l'Emperi", "Grille nord")


def dispatch(kind: str = dispatches.NOTIFY) -> dispatches.Dispatch:
    alert_id = alerts.alert_id("o", "d", "1-1")
    return dispatches.new(alert_id, (1, 1, 0), kind, "person:1", "email", 0, NOW, 1, 1)


def message(
    kind: str = dispatches.NOTIFY, language: str = "fr", place: Place = PLACE, **changes: object
) -> notices.Message:
    alert = in_status(alerts.RAISED)
    assert alert is not None
    return notices.compose(
        dispatch(kind), replace(alert, **changes), place, language, "Anne Martin", "https://t.example"
    )


def test_both_languages_say_everything_with_the_same_words() -> None:
    for key, text in PHRASES["fr"].items():
        names = {name for _, name, _, _ in Formatter().parse(text) if name}
        assert names == {name for _, name, _, _ in Formatter().parse(PHRASES["en"][key]) if name}, key
    assert set(PHRASES["fr"]) == set(PHRASES["en"])


@pytest.mark.parametrize("reason", [*alerts.REASONS, alerts.CLEARED_BY_ITSELF])
def test_every_reason_has_a_phrase(reason: str) -> None:
    assert f"reason-{reason}" in PHRASES["fr"]


def test_what_people_read() -> None:
    assert message().subject == "Appel à l'aide : Lycée de l'Emperi, Grille nord"
    assert message(unanswered=True).subject == "Appel à l'aide sans réponse : Lycée de l'Emperi, Grille nord"
    assert message("taken").subject == "Pris en charge par Anne Martin : Lycée de l'Emperi, Grille nord"
    assert message("closed", "en", reason="false").subject == "Closed (false alarm): Lycée de l'Emperi, Grille nord"
    technical = message(category="technical", subject="lost")
    assert technical.subject == "Défaut technique : Lycée de l'Emperi, Grille nord, poste muet"
    alert_id = alerts.alert_id("o", "d", "1-1")
    assert message(language="de").text.splitlines() == [
        "Appel à l'aide : Lycée de l'Emperi, Grille nord",
        "Bouton pressé à 22:13:20 (temps universel), 1 fois.",
        f"Répondez depuis la console : https://t.example/console/alerts/{alert_id}",
        f"Référence : {alert_id}",
    ]


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("kind", [dispatches.NOTIFY, dispatches.TAKEN, dispatches.CLOSED])
def test_every_text_of_a_drill_begins_with_exercice(kind: str, language: str) -> None:
    drill = message(kind, language, mode=alerts.DRILL, reason="drill")
    assert drill.subject.startswith("EXERCICE ")
    assert drill.text.startswith("EXERCICE ")
    assert drill.facts["alert"]["mode"] == "drill"  # type: ignore[index]


def test_a_hostile_name_makes_no_second_line() -> None:
    hostile = message(place=Place("Lycée\r\nBcc: all@example.org\x00\u2028x", ""))
    assert "\n" not in hostile.subject
    assert hostile.subject.splitlines() == [hostile.subject]


def test_a_silent_alert_orders_no_lamp() -> None:
    """Invariant 12."""
    for silent, lamps in ((False, 1), (True, 0)):
        alert = in_status(alerts.RAISED)
        assert alert is not None
        rows = escalation.Rows(replace(alert, silent=silent), people=PEOPLE)
        for event in (escalation.Take(1, "console"), escalation.Close(1, "real")):
            changes = escalation.apply(rows, event, NOW)
            assert sum(each.kind == dispatches.LAMP for each in changes.dispatches) == lamps
