"""C35, its part of today: English is the sources' own language, French is complete, and nothing kept is unused."""

import re

import catalogue
import pytest
from tocsin_backend.console.language import read_languages

SOURCES = catalogue.extract()
NAMED = re.compile(r"%\(\w+\)s|%\(num\)d|\{\w+\}")


def texts(message):
    return message if isinstance(message, tuple) else (message,)


@pytest.mark.parametrize("code", [code for code in read_languages() if code != "en"])
def test_c35_every_text_is_translated_and_every_translation_is_used(code):
    kept = {message.id: message for message in catalogue.catalogues()[code] if message.id}
    wanted = {message.id for message in SOURCES if message.id}
    assert wanted - set(kept) == set(), "run `python tests/console/catalogue.py`, then translate"
    assert set(kept) - wanted == set(), "no source says these any more: run `python tests/console/catalogue.py`"
    untranslated = [text for text, message in kept.items() if not all(texts(message.string)) or message.fuzzy]
    assert untranslated == []


@pytest.mark.parametrize("code", [code for code in read_languages() if code != "en"])
def test_c35_a_translation_has_the_same_places_to_fill(code):
    for message in catalogue.catalogues()[code]:
        if message.id:
            places = [set(NAMED.findall(text)) for text in texts(message.id)]
            for text in texts(message.string):
                assert set(NAMED.findall(text)) in places, message.id


def test_c35_templates_hold_no_untranslated_french():
    for path in sorted((catalogue.CONSOLE / "templates").glob("*.html")):
        bare = re.sub(r"\{[{%#].*?[%#}]\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert re.findall(r"[à-öø-ÿÀ-ÖØ-ß]+", bare) == [], path.name


def test_plurals_follow_the_language():
    french, english = read_languages()["fr"], read_languages()["en"]
    assert [french.plural("%(num)d press", "%(num)d presses", n) for n in (0, 1, 2)] == [
        "0 appui",
        "1 appui",
        "2 appuis",
    ]
    assert [english.plural("%(num)d press", "%(num)d presses", n) for n in (0, 1, 2)] == [
        "0 presses", "1 press", "2 presses",
    ]  # fmt: skip
