import tomllib
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tocsin_backend.domain import calendars, localtime, rosters
from tocsin_backend.domain.calendars import Calendar, Rule
from tocsin_backend.domain.documents import BadDocument, table_of
from tocsin_backend.domain.rosters import Layer, Override, Roster, Shift, gaps, hand_overs, on_duty, shifts

PARIS = "Europe/Paris"
HOUR = 3_600_000
PEOPLE = dict.fromkeys(("a", "b", "c", "d"), None)
NIGHT = calendars.parse({"id": "nuit", "title": "Nuit", "rule": [{"hours": ["20:00-08:00"]}]})


def at(text: str) -> int:
    return localtime.read(text, PARIS)


def roster(text: str) -> Roster:
    document = tomllib.loads(f'id = "x"\ntitle = "X"\n{text}')
    return rosters.parse(document, PEOPLE, {"nuit": NIGHT}, PARIS)


def duty(text: str, *instants: str) -> list[tuple[str, ...]]:
    read = roster(text)
    return [on_duty(read, at(instant)) for instant in instants]


WEEKS = '[[layer]]\nevery = "week"\nstart = "2026-01-05"\nat = "08:00"\npeople = ["a", "b", "c"]\n'


def test_a_week_each_in_turn() -> None:
    assert duty(WEEKS, "2026-01-05 07:59", "2026-01-05 08:00", "2026-01-12 07:59", "2026-01-12 08:00") == [
        (), ("a",), ("a",), ("b",),
    ]  # fmt: skip
    assert duty(WEEKS, "2026-01-26 09:00", "2027-01-04 09:00") == [("a",), ("b",)]


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25", "2028-02-29"])
def test_hand_over_stays_at_the_same_wall_clock_time(day: str) -> None:
    daily = roster('[[layer]]\nevery = "day"\nstart = "2026-01-01"\nat = "08:00"\npeople = ["a", "b"]')
    found = hand_overs(daily, at(f"{day} 00:00"), at(f"{day} 23:59"))
    assert [localtime.local(each[0], PARIS).isoformat() for each in found] == [f"{day}T08:00:00"]


def test_hand_overs_inside_the_gap_and_the_fold() -> None:
    hourly = roster('[[layer]]\nevery = "hour"\nstart = "2026-03-01"\npeople = ["a", "b", "c"]')
    spring = shifts(hourly, at("2026-03-29 01:00"), at("2026-03-29 05:00"))
    assert [(each.to_ms - each.from_ms) // HOUR for each in spring] == [1, 1, 1], "nobody is on duty from 2 to 3"
    autumn = shifts(hourly, at("2026-10-25 01:00"), at("2026-10-25 04:00"))
    assert [(each.to_ms - each.from_ms) // HOUR for each in autumn] == [1, 2, 1], "from 2 to 3 comes twice"


def test_twelve_hours_each() -> None:
    text = '[[layer]]\nevery = "hour"\nturns = 12\nstart = "2026-11-23"\nat = "07:00"\npeople = [["a", "b"], "c"]'
    assert duty(text, "2026-11-23 07:00", "2026-11-23 19:00", "2026-11-24 06:59", "2026-11-24 07:00") == [
        ("a", "b"), ("c",), ("c",), ("a", "b"),
    ]  # fmt: skip


def test_rules_come_before_layers_and_also_adds() -> None:
    text = (
        '[[rule]]\ndays = ["mon"]\nhours = ["08:00-18:00"]\npeople = ["d"]\n'
        + WEEKS
        + '[[layer]]\nevery = "day"\nstart = "2026-01-05"\nuntil = "2026-01-06"\npeople = ["c"]\nalso = true\n'
    )
    assert duty(text, "2026-01-05 09:00", "2026-01-06 09:00", "2026-01-07 09:00", "2026-01-12 19:00") == [
        ("d", "c"), ("a", "c"), ("a",), ("b",),
    ]  # fmt: skip


def test_a_layer_of_the_night_leaves_the_day_empty() -> None:
    night = roster(WEEKS.replace("[[layer]]", '[[layer]]\nduring = "nuit"'))
    assert gaps(night, at("2026-11-23 00:00"), at("2026-11-24 00:00")) == [
        (at("2026-11-23 08:00"), at("2026-11-23 20:00"))
    ]
    day = roster(WEEKS.replace("[[layer]]", '[[layer]]\nnot_during = "nuit"'))
    assert on_duty(day, at("2026-11-23 12:00")) == ("b",)
    assert on_duty(day, at("2026-11-23 21:00")) == ()


def test_overrides_stand_in_leave_a_gap_and_the_newest_has_the_last_word() -> None:
    base = roster(WEEKS)
    noon, six = at("2026-01-05 12:00"), at("2026-01-05 18:00")
    made = replace(
        base,
        overrides=(
            Override(1, noon, six, "a", "b"),
            Override(2, noon + HOUR, noon + 2 * HOUR, "", "c"),
            Override(3, noon + 2 * HOUR, noon + 3 * HOUR),
            Override(4, noon, six, "d", "c"),
        ),
    )
    assert shifts(made, noon - HOUR, six + HOUR) == [
        Shift(noon - HOUR, noon, ("a",)),
        Shift(noon, noon + HOUR, ("b",)),
        Shift(noon + HOUR, noon + 2 * HOUR, ("c",)),
        Shift(noon + 2 * HOUR, noon + 3 * HOUR, ()),
        Shift(noon + 3 * HOUR, six, ("b",)),
        Shift(six, six + HOUR, ("a",)),
    ]
    assert gaps(made, noon, six) == [(noon + 2 * HOUR, noon + 3 * HOUR)]
    assert rosters.members(made) == ("a", "b", "c")


_teams = st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=2, unique=True).map(tuple), min_size=1)
_starts = st.datetimes(datetime(2025, 12, 1), datetime(2026, 4, 1)).map(lambda d: d.replace(second=0, microsecond=0))
_rotations = st.builds(
    Layer,
    _teams.map(tuple),
    st.sampled_from((1, 7, 12, 24, 168)),
    _starts,
    st.none() | st.dates(date(2026, 3, 20), date(2026, 4, 10)),
    st.none(),
    st.sampled_from(("", "nuit")),
    st.sampled_from(("", "nuit")),
    st.booleans(),
)
_hours = st.builds(
    lambda days, a, n: Calendar("", "", rules=(Rule(tuple(days), ((a, a + n),)),)),
    st.lists(st.integers(0, 6), min_size=1), st.integers(0, 1439), st.integers(1, 1440),
)  # fmt: skip
_weekly = st.builds(Layer, _teams.map(lambda t: (t[0],)), hours=_hours, also=st.booleans())
BEGIN = at("2026-03-27 00:00")
_overrides = st.builds(
    lambda at_h, n, a, b: (BEGIN + at_h * HOUR, BEGIN + (at_h + n) * HOUR, a, b),
    st.integers(-5, 80), st.integers(1, 40), st.sampled_from(("", "a", "b")), st.sampled_from(("", "c", "d")),
)  # fmt: skip
_rosters = st.builds(
    lambda layers, zone, overrides: Roster(
        "x", "X", tuple(layers), zone, {"nuit": NIGHT}, tuple(Override(n, *each) for n, each in enumerate(overrides))
    ),
    st.lists(_rotations | _weekly, min_size=1, max_size=4),
    st.sampled_from((PARIS, "Indian/Reunion")),
    st.lists(_overrides, max_size=3),
)


@settings(max_examples=80, deadline=None)
@given(_rosters)
def test_shifts_are_a_partition_and_equal_on_duty_at_each_minute(made: Roster) -> None:
    end = BEGIN + 72 * HOUR  # over the night of 29 March
    found = shifts(made, BEGIN, end)
    assert found[0].from_ms == BEGIN
    assert found[-1].to_ms == end
    for one, other in pairwise(found):
        assert one.to_ms == other.from_ms
        assert one.people != other.people
    for shift in found:
        for instant in (shift.from_ms, shift.to_ms - 1):
            assert on_duty(made, instant) == shift.people
        assert len(set(shift.people)) == len(shift.people)
    step = 11 * 60_000
    sampled = {instant: on_duty(made, instant) for instant in range(BEGIN, end, step)}
    assert all(each.people == sampled[i] for each in found for i in sampled if each.from_ms <= i < each.to_ms)


@settings(max_examples=80, deadline=None)
@given(_rotations, st.integers(0, 200))
def test_exactly_one_turn_runs_at_an_instant(layer: Layer, hours: int) -> None:
    instant = BEGIN + hours * HOUR + 1
    turn = rosters.turn_at(layer, instant, PARIS)
    if turn is None:
        assert instant < localtime.instant_of(layer.start, PARIS)
        return
    assert turn[1] <= instant < turn[2]
    after = rosters.turn_at(layer, turn[2], PARIS)
    assert after is not None
    assert after[0] > turn[0]
    assert after[1] == turn[2]


@given(_rosters)
def test_a_roster_is_stored_and_read_back(made: Roster) -> None:
    bare = replace(made, calendars={}, overrides=())
    assert rosters.load(rosters.dump(made)) == bare


def test_every_fault_is_listed_at_once_with_its_place() -> None:
    text = """
id = "Astreinte"
title = "x"
timezone = "Mars/Olympus"
members = []
[[rule]]
days = ["monday"]
hours = []
people = ["nobody"]
[[layer]]
every = "month"
turns = 0
at = "8h"
people = ["a", [], 3]
during = "jour"
until = "2026-13-01"
[[layer]]
every = "day"
start = "2026-01-05"
until = "2026-01-04"
people = []
during = "nuit"
not_during = "nuit"
also = 1
"""
    with pytest.raises(BadDocument) as caught:
        rosters.parse(table_of(text), PEOPLE, {"nuit": NIGHT}, PARIS)
    assert [str(each) for each in caught.value.faults] == [
        "members: is not known here; known: id, title, timezone, rule, layer",
        "id: must be 1 to 32 of a-z, 0-9 and -, not 'Astreinte'",
        "timezone: 'Mars/Olympus' is not a time zone; such as Europe/Paris",
        "rule[0].people[0]: 'nobody' is not a person of this organisation",
        "rule[0].days: 'monday' is not one of mon, tue, wed, thu, fri, sat, sun",
        "rule[0].hours: is empty: the rule never holds",
        "layer[0].during: 'jour' is not a calendar of this organisation",
        "layer[0].people[1]: is an empty list: a turn of nobody",
        "layer[0].people[2]: 3 is not a person of this organisation",
        "layer[0].every: is 'month'; known: week, day, hour",
        "layer[0].turns: is 0; it must be between 1 and 168",
        'layer[0].start: must be a date such as "2026-12-24", not None',
        "layer[0].at: must be a time such as \"08:00\", not '8h'",
        "layer[0].until: must be a date such as \"2026-12-24\", not '2026-13-01'",
        "layer[1].not_during: is 'nuit' like `during`: the entry never holds",
        "layer[1].people: must be a list of 1 to 100 logins, or lists of logins",
        "layer[1].also: must be true or false, not 1",
        "layer[1].until: is 2026-01-04, before 2026-01-05",
    ]


@pytest.mark.parametrize(("key", "text"), [("start", "9999-12-31"), ("until", "9999-12-31"), ("start", "0001-01-01")])
def test_a_date_that_no_calculation_can_hold_is_refused(key: str, text: str) -> None:
    layer = {"every": "week", "start": "2026-01-05", "people": ["a"]} | {key: text}
    with pytest.raises(BadDocument, match="the year must be between 2000 and 2100"):
        rosters.parse({"id": "x", "title": "x", "layer": [layer]}, PEOPLE, {}, PARIS)
    with pytest.raises(ValueError, match="between"):
        localtime.read(text, PARIS)


def test_a_roster_needs_an_entry() -> None:
    with pytest.raises(BadDocument, match="at least one"):
        rosters.parse({"id": "x", "title": "x"}, PEOPLE, {}, PARIS)


def test_a_year_of_an_hourly_roster_is_computed_quickly() -> None:
    weekly = roster(WEEKS)
    year = shifts(weekly, at("2026-02-01 00:00"), at("2026-02-01 00:00") + 365 * 24 * HOUR)
    assert len(year) == 53
    assert all(one.to_ms - one.from_ms <= timedelta(days=7, hours=1) / timedelta(milliseconds=1) for one in year)


def test_hours_that_cannot_be_read_are_not_also_said_to_be_empty() -> None:
    document = {"id": "r", "title": "R", "rule": [{"hours": ["8:00-18:00"], "people": ["a"]}]}
    with pytest.raises(BadDocument) as caught:
        rosters.parse(document, {"a": 1}, {}, PARIS)
    assert [str(each) for each in caught.value.faults] == [
        "rule[0].hours[0]: must be a span such as \"08:00-18:00\", not '8:00-18:00'"
    ]
