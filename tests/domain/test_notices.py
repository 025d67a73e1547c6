from dataclasses import replace
from string import Formatter

import pytest
from test_alerts import NOW, in_status
from tocsin_backend.domain import alerts, dispatches, escalation, notices
from tocsin_backend.domain.notices import PHRASES, Place

# The basic alphabet of 3GPP TS 23.038, 6.2.1, without the escape, line feed and carriage return.
GSM7 = set(
    "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
SUBJECTS = (
    "lost", "stuck", "held-at-boot", "counter-went-back", "fault", "dropped", "ack-rejected", "empty-step",
    "step-undeliverable", "unanswered", "probe-overdue", "probe-failed", "alarm-undelivered", "lateness",
    "engine-silent",
)  # fmt: skip
PLACE = Place("Lycée de l'Emperi", "Grille nord")


def dispatch(kind: str = dispatches.NOTIFY) -> dispatches.Dispatch:
    alert_id = alerts.alert_id("o", "d", "1-1")
    return dispatches.new(alert_id, (1, 1, 0), kind, "person:1", "email", 0, NOW, 1, 1)


def message(
    kind: str = dispatches.NOTIFY, language: str = "fr", place: Place = PLACE, **changes: object
) -> notices.Message:
    alert = in_status(alerts.RAISED).alert
    assert alert is not None
    return notices.compose(
        dispatch(kind), replace(alert, **changes), place, language, "Anne Martin", "https://t.example"
    )


def test_both_languages_say_everything_with_the_same_words() -> None:
    for key, text in PHRASES["fr"].items():
        names = {name for _, name, _, _ in Formatter().parse(text) if name}
        assert names == {name for _, name, _, _ in Formatter().parse(PHRASES["en"][key]) if name}, key
    assert set(PHRASES["fr"]) == set(PHRASES["en"])


@pytest.mark.parametrize("reason", [*alerts.REASONS, alerts.CLEARED_BY_ITSELF, alerts.PROBED, alerts.PROBE_FAILED])
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
        "Bouton pressé à 23:13:20, 1 fois.",
        f"Répondez depuis la console : https://t.example/console/alerts/{alert_id}",
        f"Référence : {alert_id}",
    ]


EVERY_KIND = (dispatches.NOTIFY, dispatches.TAKEN, dispatches.CLOSED, dispatches.INFO)


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("category", [alerts.CALL, alerts.PERSONAL, alerts.THREAT, alerts.TECHNICAL])
@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("more", [{}, {"unanswered": True}, {"silent": True, "scenario": "attack"}])
def test_every_text_of_a_drill_begins_with_exercice(
    kind: str, category: str, language: str, more: dict[str, object]
) -> None:
    """Invariant 10."""
    drill = message(kind, language, mode=alerts.DRILL, category=category, reason="drill", **more)
    for text in (drill.subject, drill.text, drill.short):
        assert text.startswith("EXERCICE ")
    assert drill.facts["alert"]["mode"] == "drill"  # type: ignore[index]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_technical_subject_has_a_phrase(subject: str) -> None:
    for language in ("fr", "en"):
        assert f"subject-{subject}" in PHRASES[language]


@pytest.mark.parametrize("word", alerts.PROGRESS)
def test_every_progress_has_a_phrase(word: str) -> None:
    assert f"progress-{word}" in PHRASES["fr"]


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({"category": "personal"}, "Alerte d'une personne isolée : Lycée de l'Emperi, Grille nord"),
        ({"category": "threat", "scenario": "attack"}, "Attentat ou intrusion : Lycée de l'Emperi, Grille nord"),
        ({"category": "threat", "scenario": "shelter"}, "Mise à l'abri : Lycée de l'Emperi, Grille nord"),
        (
            {"category": "threat", "scenario": "hostile key"},
            "Alerte de mise en sûreté : Lycée de l'Emperi, Grille nord",
        ),
        (
            {"category": "threat", "scenario": "evacuate", "unanswered": True},
            "Sans réponse. Évacuation : Lycée de l'Emperi, Grille nord",
        ),
    ],
)
def test_what_kind_of_alert_it_is(changes: dict[str, object], subject: str) -> None:
    assert message(**changes).subject == subject  # type: ignore[arg-type]


def test_the_next_organisation_up_reads_whose_call_it_is() -> None:
    place = replace(PLACE, org="Commune d'Alba")
    told = message(place=place, category="technical", subject="unanswered", device_org="alba")
    assert told.subject == (
        "Défaut technique : Commune d'Alba, Lycée de l'Emperi, Grille nord, "
        "un appel de Commune d'Alba reste sans réponse"
    )


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"silent": True}, "Alerte silencieuse : rien ne se voit ni ne s'entend sur place, n'y appelez pas."),
        ({"severity": 2}, "Appuis répétés : gravité 2."),
        ({"status": "answered"}, "Anne Martin a répondu ; une autre réponse est nécessaire."),
        ({"progress": "needs-help", "reopened_ms": NOW}, "Renfort demandé par qui est sur place."),
        ({"reopened_ms": NOW}, "Rouvert : la prise en charge précédente n'a pas abouti."),
    ],
)
def test_a_notice_says_what_is_particular(changes: dict[str, object], line: str) -> None:
    assert line in message(**changes).text.splitlines()  # type: ignore[arg-type]


def test_a_second_closer_is_asked_for() -> None:
    assert message(dispatches.INFO).subject.startswith("Clôture à confirmer par une seconde personne : ")


@pytest.mark.parametrize(
    ("zone", "time"),
    [
        ("Europe/Paris", "23:13:20"),
        ("Indian/Reunion", "02:13:20"),
        ("Mars/Olympus", "22:13:20 UTC"),
        ("", "22:13:20 UTC"),
    ],
)
def test_the_hour_is_the_site_s(zone: str, time: str) -> None:
    assert f"à {time}," in message(place=replace(PLACE, zone=zone)).text


@pytest.mark.parametrize(("winter", "time"), [(1_774_745_999_000, "01:59:59"), (1_774_746_000_000, "03:00:00")])
def test_the_hour_in_the_night_when_the_clocks_change(winter: int, time: str) -> None:
    """29 March 2026, 01:00 UTC."""
    assert f"à {time}," in message(raised_ms=winter).text


@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("site", ["Lycée de l'Emperi", "Œuvre « Ça coûte € » – Noël", "x" * 400, "漢字\r\n\x00🚨", ""])
def test_the_short_text_is_one_short_message(kind: str, site: str) -> None:
    alert = in_status(alerts.RAISED).alert
    assert alert is not None
    link = "https://tocsin.example/a/" + "k" * 43
    made = notices.compose(
        dispatch(kind), replace(alert, reason="real"), Place(site, "Grille"), "fr", "Zoë", "https://t", link, "4821"
    )
    assert len(made.short) <= 160
    assert made.short.endswith(f" Répondre 4821 {link}")
    assert set(made.short) <= GSM7


def test_a_link_of_its_own_replaces_the_console_s_address() -> None:
    alert = in_status(alerts.RAISED).alert
    assert alert is not None
    made = notices.compose(dispatch(), alert, PLACE, "fr", "", "https://t.example", link="https://t.example/a/k")
    assert "Répondre : https://t.example/a/k" in made.text.splitlines()
    assert "console/alerts" not in made.text


def test_a_hostile_name_makes_no_second_line() -> None:
    hostile = message(place=Place("Lycée\r\nBcc: all@example.org\x00\u2028x", ""))
    assert "\n" not in hostile.subject
    assert hostile.subject.splitlines() == [hostile.subject]


def test_a_silent_alert_orders_no_lamp() -> None:
    """Invariant 12."""
    for silent, lamps in ((False, 1), (True, 0)):
        rows = in_status(alerts.RAISED)
        assert rows.alert is not None
        rows = replace(rows, alert=replace(rows.alert, silent=silent))
        for event in (escalation.Take(1, "console"), escalation.Close(1, "real")):
            changes = escalation.apply(rows, event, NOW)
            assert sum(each.kind == dispatches.LAMP for each in changes.dispatches) == lamps
