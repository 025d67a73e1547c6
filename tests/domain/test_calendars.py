import tomllib
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tocsin_backend.domain import calendars, french_days, localtime
from tocsin_backend.domain.calendars import Calendar, Rule, Special, contains, spans
from tocsin_backend.domain.documents import BadDocument, table_of

PARIS = "Europe/Paris"
MINUTE = 60_000


def at(text: str, zone: str = PARIS) -> int:
    return localtime.read(text, zone)


def calendar(text: str) -> Calendar:
    return calendars.parse(tomllib.loads(f'id = "x"\ntitle = "X"\n{text}'))


def faults(text: str) -> list[str]:
    with pytest.raises(BadDocument) as caught:
        calendars.parse(table_of(text))
    return [str(each) for each in caught.value.faults]


def holds(text: str, *instants: str) -> list[bool]:
    read = calendar(text)
    return [contains(read, at(instant), PARIS) for instant in instants]


# -- readings of the wall clock


def test_a_reading_that_comes_twice_is_its_first() -> None:
    assert at("2026-10-25 02:30") == at("2026-10-25T02:30:00+02:00")
    assert localtime.spelled(at("2026-10-25 02:30"), PARIS) == "2026-10-25 02:30+02:00"


@pytest.mark.parametrize("minute", [0, 1, 30, 59])
def test_a_reading_that_does_not_come_is_the_end_of_the_gap(minute: int) -> None:
    assert at(f"2026-03-29 02:{minute:02}") == at("2026-03-29T03:00:00+02:00")
    assert at("2026-03-29 03:00") == at("2026-03-29T01:00:00Z")


@given(st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1)), st.sampled_from((PARIS, "America/Sao_Paulo", "UTC")))
def test_a_later_reading_is_never_an_earlier_instant(reading: datetime, zone: str) -> None:
    reading = reading.replace(second=0, microsecond=0)
    first = localtime.instant_of(reading, zone)
    assert first <= localtime.instant_of(reading + timedelta(minutes=1), zone)
    there = localtime.local(first, zone)
    assert there == reading or (there > reading and localtime.local(first - 1, zone) < reading)


@pytest.mark.parametrize("name", ["", "../etc/passwd", "Europe", "Mars/Olympus", 3, None])
def test_what_is_no_zone(name: object) -> None:
    assert not localtime.is_zone(name)


# -- when a calendar holds


def test_weekly_hours_and_hours_past_midnight() -> None:
    night = '[[rule]]\ndays = ["mon"]\nhours = ["18:00-08:00"]'
    monday = ("2026-11-23 17:59", "2026-11-23 18:00", "2026-11-24 07:59", "2026-11-24 08:00", "2026-11-24 18:00")
    assert holds(night, *monday) == [False, True, True, False, False]


def test_without_days_and_hours_a_rule_holds_always() -> None:
    assert holds("[[rule]]", "2026-01-01 00:00", "2026-07-14 12:00") == [True, True]


def test_public_holidays_of_alsace_moselle_and_overseas() -> None:
    off = '[[rule]]\nonly = ["public-holiday"]'
    stephen, abolition = "2026-12-26 10:00", "2026-12-20 10:00"  # Saint-Étienne; end of slavery in La Réunion
    assert holds(off, stephen, "2026-07-14 10:00", abolition) == [False, True, False]
    for place in ("alsace", "moselle"):
        assert holds(f'subdivision = "{place}"\n{off}', stephen, abolition) == [True, False]
    assert holds(f'subdivision = "la-reunion"\n{off}', stephen, abolition) == [False, True]


def test_school_holidays_differ_by_zone() -> None:
    # The winter holidays of 2026: A 7 to 22 February, B 14 February to 1 March, C 21 February to 8 March.
    off = '[[rule]]\nonly = ["school-holiday"]'
    days = ("2026-02-10 10:00", "2026-02-18 10:00", "2026-02-25 10:00", "2026-03-04 10:00")
    assert holds(f'school_zone = "A"\n{off}', *days) == [True, True, False, False]
    assert holds(f'school_zone = "B"\n{off}', *days) == [False, True, True, False]
    assert holds(f'school_zone = "C"\n{off}', *days) == [False, False, True, True]


def test_corsica_lists_its_own_school_holidays() -> None:
    text = """
    [[rule]]
    except = ["school-holiday", "public-holiday"]
    days = ["mon", "tue", "wed", "thu", "fri"]
    hours = ["08:00-18:00"]
    [[school_holiday]]
    first = "2026-10-17"
    last = 2026-11-01
    """
    assert holds(text, "2026-10-16 09:00", "2026-10-19 09:00", "2026-11-02 09:00", "2026-11-11 09:00") == [
        True, False, True, False,
    ]  # fmt: skip
    assert calendars.known_until(calendar(text)) == date(2026, 11, 1)


def test_an_exception_replaces_the_rules_of_its_days() -> None:
    text = """
    [[rule]]
    hours = ["08:00-18:00"]
    [[exception]]
    date = "2026-12-24"
    hours = ["08:00-12:00"]
    [[exception]]
    date = "2026-12-25"
    last = "2026-12-31"
    hours = []
    [[exception]]
    date = "2027-01-02"
    """
    instants = ("2026-12-24 09:00", "2026-12-24 13:00", "2026-12-28 09:00", "2027-01-02 03:00", "2027-01-03 03:00")
    assert holds(text, *instants) == [True, False, False, True, False]


def test_the_leap_day_is_a_day_like_another() -> None:
    text = '[[exception]]\ndate = "2028-02-29"\nhours = ["10:00-11:00"]'
    assert holds(text, "2028-02-29 10:30", "2028-02-28 10:30", "2028-03-01 10:30") == [True, False, False]


def test_the_two_nights_when_clocks_change() -> None:
    hour = calendar('[[rule]]\nhours = ["02:00-03:00"]')
    assert spans(hour, at("2026-03-28 12:00"), at("2026-03-29 12:00"), PARIS) == []
    ((begins, ends),) = spans(hour, at("2026-10-24 12:00"), at("2026-10-25 12:00"), PARIS)
    assert ends - begins == 120 * MINUTE, "the hour comes twice"
    night = calendar('[[rule]]\nhours = ["22:00-06:00"]')
    for day, hours in (("2026-03-28", 7), ("2026-10-24", 9), ("2026-11-20", 8)):
        begins = at(f"{day} 22:00")
        assert spans(night, begins - MINUTE, begins + 12 * 3_600_000, PARIS) == [(begins, begins + hours * 3_600_000)]


def test_hours_are_those_of_the_place_that_asks() -> None:
    noon = calendar('[[rule]]\nhours = ["12:00-13:00"]')
    instant = at("2026-11-23T08:30:00Z")
    assert [contains(noon, instant, zone) for zone in (PARIS, "Indian/Reunion", "UTC")] == [False, True, False]


_hours = st.lists(
    st.tuples(st.integers(0, 1439), st.integers(1, 1440)).map(lambda h: (h[0], h[0] + h[1])), max_size=2
).map(tuple)
_kinds = st.lists(st.sampled_from(calendars.KINDS), max_size=2).map(tuple)
_rules = st.builds(Rule, st.lists(st.integers(0, 6), max_size=7).map(tuple), _hours, _kinds, _kinds)
_dates = st.dates(date(2026, 1, 1), date(2028, 12, 31))
_calendars = st.builds(
    Calendar,
    st.just("x"),
    st.just("X"),
    st.sampled_from(tuple(french_days.SUBDIVISIONS)),
    st.sampled_from(("A", "B", "C")),
    st.lists(_rules, max_size=4).map(tuple),
    st.lists(st.builds(lambda d, n, h: Special(d, d + timedelta(days=n), h), _dates, st.integers(0, 5), _hours)).map(
        tuple
    ),
)
_instants = st.one_of(
    st.integers(at("2026-01-01 00:00"), at("2028-12-31 00:00")),
    st.sampled_from([at("2026-03-28 20:00"), at("2026-10-24 20:00"), at("2028-02-28 20:00"), at("2026-10-18 02:00")]),
).map(lambda ms: ms - ms % MINUTE)


@settings(max_examples=50, deadline=None)
@given(_calendars, _instants, st.sampled_from((PARIS, "Indian/Reunion", "America/Sao_Paulo")))
def test_spans_equal_contains_at_each_minute(made: Calendar, from_ms: int, zone: str) -> None:
    to_ms = from_ms + 26 * 60 * MINUTE
    found = spans(made, from_ms, to_ms, zone)
    assert found == sorted(found)
    assert all(a[1] < b[0] for a, b in pairwise(found)), "they are apart"
    for instant in range(from_ms, to_ms, MINUTE):
        assert contains(made, instant, zone) == any(a <= instant < b for a, b in found)
    for edge in (each for span in found for each in span if from_ms < each < to_ms):
        assert contains(made, edge - 1, zone) != contains(made, edge, zone)


@given(_calendars)
def test_a_calendar_is_stored_and_read_back(made: Calendar) -> None:
    assert calendars.load(calendars.dump(made)) == made


# -- the end of what is known


def test_the_end_of_the_ministry_s_table_is_known() -> None:
    assert french_days.school_until().year >= 2027
    assert calendars.known_until(calendar('school_zone = "A"\n[[rule]]\nonly = ["school-holiday"]')) == (
        french_days.school_until()
    )
    assert calendars.known_until(calendar('school_zone = "A"\n[[rule]]\nonly = ["public-holiday"]')) is None
    assert not french_days.is_school_holiday(french_days.school_until() + timedelta(days=340), "A")


@given(st.sampled_from(localtime.YEARS), st.sampled_from(tuple(french_days.SUBDIVISIONS)))
def test_public_holidays_are_known_for_every_year(year: int, place: str) -> None:
    for month, day in ((1, 1), (5, 1), (7, 14), (12, 25)):
        assert date(year, month, day) in french_days.public_holidays(place)


# -- bad documents


def test_every_fault_is_listed_at_once_with_its_place() -> None:
    text = """
id = "Jour"
colour = "red"
subdivision = "texas"
school_zone = "Corse"
[[rule]]
days = ["mon", "lundi"]
hours = ["8:00-18:00", "08:00-24:30", 3]
only = ["public-holiday"]
except = ["public-holiday"]
[[rule]]
days = []
only = "school-holiday"
every = 2
[[exception]]
date = "2026-02-29"
[[exception]]
date = "2026-12-31"
last = "2026-12-24"
hours = "all"
"""
    assert faults(text) == [
        "colour: is not known here; known: id, title, subdivision, school_zone, rule, exception, school_holiday",
        "id: must be 1 to 32 of a-z, 0-9 and -, not 'Jour'",
        "title: must be a text of 1 to 120 characters",
        f"subdivision: is 'texas'; known: {', '.join(filter(None, french_days.SUBDIVISIONS))}",
        "school_zone: is 'Corse'; there are tables for A, B, C; elsewhere list [[school_holiday]] periods",
        "rule[0].days: 'lundi' is not one of mon, tue, wed, thu, fri, sat, sun",
        "rule[0].except: 'public-holiday' is in `only` as well: the rule never holds",
        "rule[0].hours[0]: must be a span such as \"08:00-18:00\", not '8:00-18:00'",
        "rule[0].hours[1]: must be a span such as \"08:00-18:00\", not '08:00-24:30'",
        'rule[0].hours[2]: must be a span such as "08:00-18:00", not 3',
        "rule[1].every: is not known here; known: days, hours, only, except",
        "rule[1].days: must be a list of at least one of mon, tue, wed, thu, fri, sat, sun",
        "rule[1].only: must be a list of at least one of public-holiday, school-holiday",
        "exception[0].date: must be a date such as \"2026-12-24\", not '2026-02-29'",
        "exception[1].last: is 2026-12-24, before 2026-12-31",
        'exception[1].hours: must be a list of at most 12 spans such as "08:00-18:00"',
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('id = "x"\ntitle = "x"', "rule: there must be at least one [[rule]] or [[exception]]"),
        ('id = "x"\ntitle = "x"\nrule = 3', "rule: must be a list of tables: [[rule]]"),
        ('id = "x"\ntitle = "x"\nrule = [3]', "rule[0]: must be a table"),
        (
            'id = "x"\ntitle = "x"\n[[rule]]\nonly = ["school-holiday"]',
            "school_zone: is missing: a rule asks for school-holiday",
        ),
        (
            'id="x"\ntitle="x"\nschool_zone="A"\n[[rule]]\n[[school_holiday]]\nfirst=2026-01-01',
            "school_holiday: is given together with school_zone; give one of them",
        ),
        ('id = "x"\ntitle = "x"\nrule = [', "end of the file: is not TOML: Invalid value (at end of document)"),
        ('id = "x"\n\ntitle = x', "line 3, column 9: is not TOML: Invalid value"),
        ("x = " + "[" * 5000, "file: is nested too deep"),
        ("#" * 300_000, "file: is longer than 262144 bytes"),
    ],
)
def test_what_is_not_a_calendar_at_all(text: str, fault: str) -> None:
    assert fault in faults(text)
