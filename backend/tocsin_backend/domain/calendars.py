"""Named hours in local time: "jour", "nuit", "vacances". Their file format, their faults, and when they hold.

    id = "jour"                        # [a-z0-9-], at most 32
    title = "Heures de jour"
    subdivision = "alsace"             # whose public holidays; left out: mainland France
    school_zone = "B"                  # whose school holidays: A, B or C

    [[rule]]                           # the hours hold when any rule does
    days = ["mon", "tue", "wed"]       # left out: every day
    hours = ["08:00-12:00", "14:00-18:30"]  # left out: the whole day. "18:00-08:00" ends the next morning
    only = ["school-holiday"]          # only on days that are one of public-holiday, school-holiday
    except = ["public-holiday"]        # and not on these

    [[exception]]                      # on these days, these hours instead of every rule's
    date = "2026-12-24"
    last = "2026-12-31"                # left out: that day only
    hours = []                         # []: none; left out: the whole day

    [[school_holiday]]                 # instead of school_zone: Corsica and overseas, where the academy decides
    first = "2026-10-17"
    last = "2026-11-01"

Hours belong to the local day on which they begin: Monday's "18:00-08:00" holds on Tuesday at 7, even if Tuesday is a
public holiday. The zone is not the calendar's but the place's that asks. Past the last day of the school holidays
that are known (`known_until`) a day counts as a school day; lint and readiness say so beforehand.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from . import french_days
from .documents import Reader
from .localtime import DAY_MINUTES, at_minute, local

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
PUBLIC: Final = "public-holiday"
SCHOOL: Final = "school-holiday"
KINDS: Final = (PUBLIC, SCHOOL)
WHOLE_DAY: Final = ((0, DAY_MINUTES),)
MAX_RULES: Final = 50
MAX_EXCEPTIONS: Final = 400


@dataclass(frozen=True, slots=True)
class Rule:
    """`days`: 0 is Monday. `hours`: (from, to) in minutes of the day; `to` is over 1440 when it is past midnight."""

    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    hours: tuple[tuple[int, int], ...] = WHOLE_DAY
    only: tuple[str, ...] = ()
    but: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Special:
    """The hours of the days from `first` to `last`, both included, whatever the rules say."""

    first: date
    last: date
    hours: tuple[tuple[int, int], ...] = WHOLE_DAY


@dataclass(frozen=True, slots=True)
class Calendar:
    """`holidays`: school holidays that the calendar lists itself, (first, last), both included."""

    id: str
    title: str
    subdivision: str = ""
    school_zone: str = ""
    rules: tuple[Rule, ...] = ()
    exceptions: tuple[Special, ...] = ()
    holidays: tuple[tuple[date, date], ...] = ()


def needs_school(calendar: Calendar) -> bool:
    """Whether a rule of the calendar asks for school holidays."""
    return any(SCHOOL in rule.only + rule.but for rule in calendar.rules)


def known_until(calendar: Calendar) -> date | None:
    """The last day for which everything the calendar needs is known; None: it needs nothing that ends."""
    if not needs_school(calendar):
        return None
    if calendar.holidays:
        return max(last for _, last in calendar.holidays)
    return french_days.school_until()


def is_kind(calendar: Calendar, day: date, kind: str) -> bool:
    """Whether a local day is a public or a school holiday for this calendar."""
    if kind == PUBLIC:
        return french_days.is_public_holiday(day, calendar.subdivision)
    if calendar.holidays:
        return any(first <= day <= last for first, last in calendar.holidays)
    return bool(calendar.school_zone) and french_days.is_school_holiday(day, calendar.school_zone)


@lru_cache(maxsize=65536)
def hours_of(calendar: Calendar, day: date) -> tuple[tuple[int, int], ...]:
    """The hours that begin on a local day, in minutes of that day."""
    for special in calendar.exceptions:
        if special.first <= day <= special.last:
            return special.hours
    found: set[tuple[int, int]] = set()
    for rule in calendar.rules:
        if day.weekday() not in rule.days:
            continue
        if rule.only and not any(is_kind(calendar, day, kind) for kind in rule.only):
            continue
        if not any(is_kind(calendar, day, kind) for kind in rule.but):
            found.update(rule.hours)
    return tuple(sorted(found))


def _pieces(calendar: Calendar, from_ms: int, to_ms: int, zone: str) -> Iterator[tuple[int, int]]:
    """The instants of all hours that may touch [from_ms, to_ms), unordered and overlapping."""
    day = local(from_ms, zone).date() - timedelta(days=1)
    last = local(to_ms, zone).date() + timedelta(days=1)
    while day <= last:
        for begins, ends in hours_of(calendar, day):
            yield at_minute(day, begins, zone), at_minute(day, ends, zone)
        day += timedelta(days=1)


def contains(calendar: Calendar, at_ms: int, zone: str) -> bool:
    """Whether the calendar holds at this instant, in this local time."""
    return any(begins <= at_ms < ends for begins, ends in _pieces(calendar, at_ms, at_ms, zone))


def spans(calendar: Calendar, from_ms: int, to_ms: int, zone: str) -> list[tuple[int, int]]:
    """When the calendar holds within [from_ms, to_ms): (from, to) instants, ordered, apart from one another."""
    merged: list[tuple[int, int]] = []
    for begins, ends in sorted(_pieces(calendar, from_ms, to_ms, zone)):
        begins, ends = max(begins, from_ms), min(ends, to_ms)
        if begins >= ends:
            continue
        if merged and begins <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(ends, merged[-1][1]))
        else:
            merged.append((begins, ends))
    return merged


# -- the document


def parse(document: Mapping[str, object]) -> Calendar:
    """The calendar in a parsed TOML file. Raises documents.BadDocument, which lists every fault with its path."""
    reader = Reader()
    reader.keys("", document, ("id", "title", "subdivision", "school_zone", "rule", "exception", "school_holiday"))
    name, title = reader.name("id", document.get("id")), reader.title("title", document.get("title"))
    subdivision = reader.word("subdivision", document.get("subdivision", ""), tuple(french_days.SUBDIVISIONS))
    zone = document.get("school_zone", "")
    if zone not in ("", *french_days.SCHOOL_ZONES):
        known = ", ".join(french_days.SCHOOL_ZONES)
        reader.fault(
            "school_zone", f"is {zone!r}; there are tables for {known}; elsewhere list [[school_holiday]] periods"
        )
    rules = tuple(
        _rule(reader, path, table) for path, table in reader.tables("rule", document.get("rule", []), MAX_RULES)
    )
    exceptions = tuple(
        Special(*_period(reader, path, table, "date"), reader.hours(f"{path}.hours", table.get("hours")))
        for path, table in reader.tables("exception", document.get("exception", []), MAX_EXCEPTIONS)
        if reader.keys(f"{path}.", table, ("date", "last", "hours"))
    )
    holidays = tuple(
        _period(reader, path, table, "first")
        for path, table in reader.tables("school_holiday", document.get("school_holiday", []), MAX_EXCEPTIONS)
        if reader.keys(f"{path}.", table, ("first", "last"))
    )
    calendar = Calendar(name, title, subdivision, str(zone), rules, exceptions, holidays)
    if not rules and not exceptions:
        reader.fault("rule", "there must be at least one [[rule]] or [[exception]]")
    if zone and holidays:
        reader.fault("school_holiday", "is given together with school_zone; give one of them")
    if needs_school(calendar) and not zone and not holidays:
        reader.fault("school_zone", f"is missing: a rule asks for {SCHOOL}")
    reader.refuse()
    return calendar


def _rule(reader: Reader, path: str, table: Mapping[str, object]) -> Rule:
    reader.keys(f"{path}.", table, ("days", "hours", "only", "except"))
    days = reader.words(f"{path}.days", table.get("days", list(DAYS)), DAYS)
    only = reader.words(f"{path}.only", table["only"], KINDS) if "only" in table else ()
    but = reader.words(f"{path}.except", table["except"], KINDS) if "except" in table else ()
    for kind in set(only) & set(but):
        reader.fault(f"{path}.except", f"{kind!r} is in `only` as well: the rule never holds")
    return Rule(
        tuple(sorted({DAYS.index(day) for day in days})), reader.hours(f"{path}.hours", table.get("hours")), only, but
    )


def _period(reader: Reader, path: str, table: Mapping[str, object], key: str) -> tuple[date, date]:
    first = reader.day(f"{path}.{key}", table.get(key))
    last = reader.day(f"{path}.last", table["last"]) if "last" in table else first
    if last < first:
        reader.fault(f"{path}.last", f"is {last}, before {first}")
    return first, last


def dump(calendar: Calendar) -> str:
    """The canonical JSON of a calendar: what a row stores."""
    body = {
        "id": calendar.id,
        "title": calendar.title,
        "subdivision": calendar.subdivision,
        "school_zone": calendar.school_zone,
        "rules": [[rule.days, rule.hours, rule.only, rule.but] for rule in calendar.rules],
        "exceptions": [[str(each.first), str(each.last), each.hours] for each in calendar.exceptions],
        "holidays": [[str(first), str(last)] for first, last in calendar.holidays],
    }
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=512)
def load(text: str) -> Calendar:
    """The calendar in what `dump` wrote."""
    body = json.loads(text)
    return Calendar(
        body["id"],
        body["title"],
        body["subdivision"],
        body["school_zone"],
        tuple(
            Rule(tuple(days), tuple((a, b) for a, b in hours), tuple(only), tuple(but))
            for days, hours, only, but in body["rules"]
        ),
        tuple(
            Special(date.fromisoformat(first), date.fromisoformat(last), tuple((a, b) for a, b in hours))
            for first, last, hours in body["exceptions"]
        ),
        tuple((date.fromisoformat(first), date.fromisoformat(last)) for first, last in body["holidays"]),
    )
