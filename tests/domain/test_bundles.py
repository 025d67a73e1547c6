"""What is bundled, when a bundle leaves, and what it says."""

import dataclasses

import pytest
from tocsin_backend.domain import bundles, dispatches
from tocsin_backend.domain.notices import Message

ALERT = "5f0c7a62-0000-4000-8000-000000000001"


def one(class_, person_id=7):
    return dispatches.new(ALERT, (1, 1, 0), dispatches.NOTIFY, "person:7", "email", class_, 0, person_id, 3)


def message(number, subject, place):
    facts = {"id": f"d{number}", "maybe_dup": number == 2, "alert": {"subject": subject, "category": "technical"}}
    return Message(f"Défaut technique : {place}, {subject}", "text", facts)


@pytest.mark.parametrize(("class_", "bundled"), [(0, False), (1, False), (2, False), (3, True), (4, True)])
def test_only_technical_notices_and_reports_to_people_wait(class_, bundled):
    assert bundles.is_bundled(one(class_)) is bundled
    assert not bundles.is_bundled(dataclasses.replace(one(class_), person_id=None))


def test_the_first_leaves_at_once_and_the_others_a_minute_after_it():
    assert bundles.leaves_ms(None, 500_000) == 500_000
    assert bundles.leaves_ms(500_000, 500_000) == 560_000
    assert bundles.leaves_ms(500_000, 559_999) == 560_000
    assert bundles.leaves_ms(500_000, 560_000) == 560_000
    assert bundles.leaves_ms(900_000, 500_000) == 500_000, "a clock that went back holds nothing up"


def test_a_bundle_counts_by_subject_and_names_every_place():
    found = bundles.compose(
        [message(1, "lost", "Emperi, Grille"), message(2, "lost", "Zola, Hall"), message(3, "stuck", "Zola, Cour")],
        "fr",
        "https://tocsin.test",
    )
    assert found.subject == "3 messages techniques : 2 × poste muet, 1 × bouton coincé"
    assert found.text.splitlines()[1:] == [
        "- Défaut technique : Emperi, Grille, lost",
        "- Défaut technique : Zola, Hall, lost",
        "- Défaut technique : Zola, Cour, stuck",
        "Voir la console : https://tocsin.test/console",
    ]
    assert (found.facts["id"], found.facts["kind"], found.facts["maybe_dup"]) == ("d1", "bundle", True)
    assert found.facts["counts"] == [{"subject": "lost", "count": 2}, {"subject": "stuck", "count": 1}]
    assert [each["id"] for each in found.facts["messages"]] == ["d1", "d2", "d3"]
    english = bundles.compose([message(1, "lost", "x"), message(2, "lost", "y")], "en", "u")
    assert english.subject == "2 technical messages: 2 × the post is silent"


def test_a_long_bundle_says_how_many_it_leaves_out_and_a_hostile_name_makes_no_line():
    many = [message(number, "lost", "x") for number in range(bundles.LISTED_MAX + 5)]
    text = bundles.compose(many, "fr", "u").text.splitlines()
    assert text[-2] == "et 5 autres"
    assert len(text) == 1 + bundles.LISTED_MAX + 2
    assert len(bundles.compose(many, "fr", "u").facts["messages"]) == len(many)
    assert set(bundles.PHRASES["fr"]) == set(bundles.PHRASES["en"])
