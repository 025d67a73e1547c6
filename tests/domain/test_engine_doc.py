"""backend/ENGINE.md says what the code does: every fact, effect, timer and bound of it."""

import re

import engine_doc


def test_the_page_is_what_the_code_says():
    text = engine_doc.PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- generated: (\w+) -->", text)) == set(engine_doc.PARTS)
    assert engine_doc.page(text) == text, "backend/ENGINE.md is stale: run `make docs`"


def test_a_changed_page_is_noticed():
    text = engine_doc.PAGE.read_text(encoding="utf-8")
    assert text.count("| `undeliverable` |") == 1
    assert engine_doc.page(text.replace("| `undeliverable` |", "| `lost` |")) == text
