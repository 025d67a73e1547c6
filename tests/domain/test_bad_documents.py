"""Whatever is given as a document: it is read, or refused with faults that each name a place; nothing else happens."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tocsin_backend.domain import calendars, policies, rosters
from tocsin_backend.domain.documents import BadDocument, table_of
from tocsin_backend.domain.toml_text import toml_text

PEOPLE = {"a": ("supervisor", frozenset(("email",)))}
DAY = calendars.parse({"id": "jour", "title": "Jour", "rule": [{}]})
KNOWN = policies.Known(
    rosters={"r": ("a",)}, hours={"jour": (True, True)}, desks={"h/d": (frozenset(("email",)), True)}
)
KEYS = (
    "id", "title", "answer_timeout_s", "passes", "severity_presses", "severity_within_s", "clear_closes", "drill",
    "step", "delay_s", "answers", "targets", "person", "role", "roster", "desk", "channel", "alarms", "channels",
    "during", "not_during", "subdivision", "school_zone", "rule", "exception", "school_holiday", "days", "hours",
    "only", "except", "date", "first", "last", "timezone", "layer", "people", "every", "turns", "start", "at", "until",
    "also", "surprise",
)  # fmt: skip
GOOD = (
    "x", "jour", "mon", "08:00-18:00", "18:00-08:00", "2026-01-05", "2028-02-29", "9999-12-31", "0001-01-01",
    "08:00", "a", "r", "h/d", "supervisor",
    "console", "cap", "dc09/x", "email", "push", "public-holiday", "school-holiday", "week", "hour", "alsace", "A",
    "Europe/Paris", "", "\u0000", "é" * 200,
)  # fmt: skip
values: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(GOOD)
    | st.integers(-10, 10**6)
    | st.booleans()
    | st.none()
    | st.floats(allow_nan=False)
    | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)
documents = st.dictionaries(st.sampled_from(KEYS), values, max_size=10).map(
    lambda found: {"id": "x", "title": "X"} | found
)
READERS = {
    "policy": lambda document: policies.parse(document, PEOPLE, KNOWN),
    "calendar": calendars.parse,
    "roster": lambda document: rosters.parse(document, PEOPLE, {"jour": DAY}, "Europe/Paris"),
}


@pytest.mark.parametrize("kind", READERS)
@settings(max_examples=300, deadline=None)
@given(document=documents)
def test_a_document_is_read_or_refused(kind: str, document: dict[str, Any]) -> None:
    try:
        read = READERS[kind](document)
        if isinstance(read, calendars.Calendar):
            calendars.spans(read, 0, 3_600_000, "Europe/Paris")
        if isinstance(read, rosters.Roster):
            rosters.shifts(read, 0, 3_600_000)
    except BadDocument as error:
        assert error.faults
        assert all(fault.path and fault.reason for fault in error.faults)
        assert len(set(error.faults)) == len(error.faults), "each fault once"


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200))
def test_a_text_is_a_table_or_refused_with_its_place(text: str) -> None:
    try:
        assert isinstance(table_of(text), dict)
    except BadDocument as error:
        assert len(error.faults) == 1


_plain: st.SearchStrategy[Any] = st.recursive(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | st.integers(-(2**63), 2**63 - 1) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(document=st.dictionaries(st.sampled_from(KEYS), _plain, max_size=6))
def test_what_is_written_as_toml_reads_back_the_same(document: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(document)) == document
