"""Who is on duty: rotations and weekly rules in local time. Their file format, their faults, and who it is when.

    id = "astreinte"                   # [a-z0-9-], at most 32
    title = "Astreinte du soir"
    timezone = "Europe/Paris"          # left out: the organisation's

    [[rule]]                           # on Mondays, x
    days = ["mon"]                     # left out: every day
    hours = ["18:00-08:00"]            # as in a calendar; left out: the whole day
    people = ["a.martin"]

    [[layer]]                          # a rotation: each in turn
    every = "week"                     # week, day or hour
    turns = 1                          # so many of them a turn. Default 1; e.g. every = "hour", turns = 12
    start = "2026-01-05"               # the first turn begins on this day,
    at = "08:00"                       # at this time; every later one at the same wall-clock time
    until = "2026-12-31"               # the last day; left out: for ever
    people = ["a.martin", ["b.durand", "c.petit"]]     # a list inside: these are on duty together
    during = "nuit"                    # only in the hours of this calendar
    not_during = "ferie"               # and not in those
    also = true                        # besides whoever the others name. Default false

At an instant the first entry that names somebody decides: rules before layers, each in the order of the file. Entries
with `also` add theirs. Then the overrides, oldest first: somebody stands in for a person, or for whoever is on duty; or
nobody does, and the gap shows. Where nobody is on duty the roster has a gap. Hours by holidays: `during` a calendar.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final

from .calendars import DAYS, Calendar, Rule, contains, spans
from .documents import Reader
from .localtime import instant_of, is_zone, local

UNITS: Final[Mapping[str, timedelta]] = {
    "week": timedelta(weeks=1),
    "day": timedelta(days=1),
    "hour": timedelta(hours=1),
}
MAX_ENTRIES: Final = 20  # of each kind; with hand-overs each hour, 92 days of them are computed in 1.5 s
MAX_PEOPLE: Final = 100
MAX_TURNS: Final = 168


@dataclass(frozen=True, slots=True)
class Layer:
    """A rotation when `turn_hours` is over 0, else a weekly rule with the one team. `people`: the teams, in turn."""

    people: tuple[tuple[str, ...], ...]
    turn_hours: int = 0
    start: datetime = datetime(2000, 1, 1)  # local, without a zone
    until: date | None = None
    hours: Calendar | None = None  # a rule's days and hours
    during: str = ""
    not_during: str = ""
    also: bool = False


@dataclass(frozen=True, slots=True)
class Override:
    """From `starts_ms` to `ends_ms`, `person` instead of `replaces`. "" there: whoever is on duty. "" here: nobody."""

    id: int
    starts_ms: int
    ends_ms: int
    replaces: str = ""
    person: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Roster:
    """`calendars`: those that the layers name, by their id. `overrides` by id: the newest has the last word."""

    id: str
    title: str
    layers: tuple[Layer, ...]
    zone: str = "Europe/Paris"
    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True)
class Shift:
    """The same people on duty from one instant to another; no people: a gap."""

    from_ms: int
    to_ms: int
    people: tuple[str, ...]


def turn_at(layer: Layer, at_ms: int, zone: str) -> tuple[int, int, int] | None:
    """(number, begin, end) of the turn that runs at this instant; None before the first and after the last one."""
    period = timedelta(hours=layer.turn_hours)
    turn = (local(at_ms, zone) - layer.start) // period
    while instant_of(layer.start + turn * period, zone) > at_ms:
        turn -= 1
    while instant_of(layer.start + (turn + 1) * period, zone) <= at_ms:
        turn += 1
    begins = instant_of(layer.start + turn * period, zone)
    return None if turn < 0 else (turn, begins, instant_of(layer.start + (turn + 1) * period, zone))


def _ends_ms(layer: Layer, zone: str) -> int | None:
    """When a layer is over: at its hand-over time on the day after `until`; None: never."""
    if layer.until is None:
        return None
    after = layer.until + timedelta(days=1)
    return instant_of(datetime.combine(after, layer.start.time()), zone)


def _named(layer: Layer, roster: Roster, at_ms: int) -> tuple[str, ...]:
    """Who this entry alone names at this instant."""
    during, not_during = roster.calendars.get(layer.during), roster.calendars.get(layer.not_during)
    if during is not None and not contains(during, at_ms, roster.zone):
        return ()
    if not_during is not None and contains(not_during, at_ms, roster.zone):
        return ()
    ends_ms = _ends_ms(layer, roster.zone)
    if ends_ms is not None and at_ms >= ends_ms:
        return ()
    if not layer.turn_hours:
        return layer.people[0] if layer.hours is None or contains(layer.hours, at_ms, roster.zone) else ()
    turn = turn_at(layer, at_ms, roster.zone)
    return () if turn is None else layer.people[turn[0] % len(layer.people)]


def on_duty(roster: Roster, at_ms: int) -> tuple[str, ...]:
    """The logins on duty at this instant, each once; none in a gap."""
    people: list[str] = []
    decided = False
    for layer in roster.layers:
        if decided and not layer.also:
            continue
        named = _named(layer, roster, at_ms)
        people += [login for login in named if login not in people]
        decided = decided or (bool(named) and not layer.also)
    for each in sorted(roster.overrides, key=lambda override: override.id):
        if each.starts_ms <= at_ms < each.ends_ms:
            people = _overridden(people, each)
    return tuple(people)


def _overridden(people: list[str], override: Override) -> list[str]:
    stand_in = [override.person] if override.person else []
    if not override.replaces:
        return stand_in
    if override.replaces not in people:
        return people
    found: list[str] = []
    for login in people:
        found += [each for each in (stand_in if login == override.replaces else [login]) if each not in found]
    return found


def _changes(roster: Roster, from_ms: int, to_ms: int) -> Iterator[int]:
    """Every instant in (from_ms, to_ms) at which somebody else may come on duty."""
    for override in roster.overrides:
        yield override.starts_ms
        yield override.ends_ms
    for layer in roster.layers:
        named = (layer.hours, roster.calendars.get(layer.during), roster.calendars.get(layer.not_during))
        for calendar in filter(None, named):
            for span in spans(calendar, from_ms, to_ms, roster.zone):
                yield from span
        ends_ms = _ends_ms(layer, roster.zone)
        if ends_ms is not None:
            yield ends_ms
        if layer.turn_hours:
            at_ms = max(from_ms, instant_of(layer.start, roster.zone))
            yield at_ms
            while at_ms < to_ms and (ends_ms is None or at_ms < ends_ms):
                turn = turn_at(layer, at_ms, roster.zone)
                assert turn is not None, "at or after the first turn begins there is a turn"
                at_ms = turn[2]
                yield at_ms


def shifts(roster: Roster, from_ms: int, to_ms: int) -> list[Shift]:
    """[from_ms, to_ms) cut into shifts, gaps included: they adjoin, and neighbours differ."""
    inside = {each for each in _changes(roster, from_ms, to_ms) if from_ms < each < to_ms}
    edges = sorted(inside | {from_ms, to_ms})
    found: list[Shift] = []
    for begins, ends in pairwise(edges):
        people = on_duty(roster, begins)
        if found and found[-1].people == people:
            found[-1] = Shift(found[-1].from_ms, ends, people)
        else:
            found.append(Shift(begins, ends, people))
    return found


def gaps(roster: Roster, from_ms: int, to_ms: int) -> list[tuple[int, int]]:
    """When nobody is on duty within [from_ms, to_ms)."""
    return [(shift.from_ms, shift.to_ms) for shift in shifts(roster, from_ms, to_ms) if not shift.people]


def hand_overs(roster: Roster, from_ms: int, to_ms: int) -> list[tuple[int, tuple[str, ...], tuple[str, ...]]]:
    """(instant, who leaves, who comes) of each change of people within [from_ms, to_ms)."""
    all_shifts = shifts(roster, from_ms, to_ms)
    return [(b.from_ms, a.people, b.people) for a, b in pairwise(all_shifts)]


def members(roster: Roster) -> tuple[str, ...]:
    """Everybody the roster may name, overrides included, in alphabetical order."""
    found = {login for layer in roster.layers for team in layer.people for login in team}
    return tuple(sorted(found | {override.person for override in roster.overrides if override.person}))


def calendars_of(roster: Roster) -> frozenset[str]:
    """The calendars that the roster names."""
    return frozenset(filter(None, (name for layer in roster.layers for name in (layer.during, layer.not_during))))


# -- the document


def parse(
    document: Mapping[str, object], people: Mapping[str, object], calendars: Mapping[str, Calendar], zone: str
) -> Roster:
    """The roster in a parsed TOML file; `people` are the logins of the organisation, `zone` its local time.

    Raises documents.BadDocument, which lists every fault with its path.
    """
    reader = Reader()
    reader.keys("", document, ("id", "title", "timezone", "rule", "layer"))
    name, title = reader.name("id", document.get("id")), reader.title("title", document.get("title"))
    given = document.get("timezone", zone)
    if not is_zone(given):
        reader.fault("timezone", f"{given!r} is not a time zone; such as Europe/Paris")
    layers = [
        _read(reader, path, table, kind, people, calendars)
        for kind in ("rule", "layer")
        for path, table in reader.tables(kind, document.get(kind, []), MAX_ENTRIES)
    ]
    if not document.get("rule") and not document.get("layer"):
        reader.fault("layer", "there must be at least one [[layer]] or [[rule]]")
    reader.refuse()
    roster = Roster(name, title, tuple(layers), str(given))
    return Roster(name, title, tuple(layers), str(given), {each: calendars[each] for each in calendars_of(roster)})


_SHARED: Final = ("people", "during", "not_during", "also")


def _read(
    reader: Reader,
    path: str,
    table: Mapping[str, object],
    kind: str,
    people: Mapping[str, object],
    calendars: Mapping[str, Calendar],
) -> Layer:
    own = ("days", "hours") if kind == "rule" else ("every", "turns", "start", "at", "until")
    reader.keys(f"{path}.", table, (*own, *_SHARED))
    during, not_during = (_calendar(reader, path, table, key, calendars) for key in ("during", "not_during"))
    if during and during == not_during:
        reader.fault(f"{path}.not_during", f"is {during!r} like `during`: the entry never holds")
    teams = _people(reader, f"{path}.people", table.get("people"), people)
    also = reader.boolean(f"{path}.also", table.get("also", False))
    if kind == "rule":
        days = reader.words(f"{path}.days", table.get("days", list(DAYS)), DAYS)
        hours = reader.hours(f"{path}.hours", table.get("hours"))
        if table.get("hours") == []:
            reader.fault(f"{path}.hours", "is empty: the rule never holds")
        rule = Rule(tuple(sorted({DAYS.index(day) for day in days})), hours)
        team = tuple(dict.fromkeys(login for each in teams for login in each))
        return Layer((team,), hours=Calendar("", "", rules=(rule,)), during=during, not_during=not_during, also=also)
    every = reader.word(f"{path}.every", table.get("every"), tuple(UNITS))
    turns = reader.integer(f"{path}.turns", table.get("turns", 1), 1, MAX_TURNS)
    start = reader.day(f"{path}.start", table.get("start"))
    minute = reader.time(f"{path}.at", table.get("at", "00:00"))
    until = reader.day(f"{path}.until", table["until"]) if "until" in table else None
    if until is not None and until < start:
        reader.fault(f"{path}.until", f"is {until}, before {start}")
    hours_a_turn = int(UNITS.get(every, timedelta(hours=1)) * turns / timedelta(hours=1))
    begins = datetime.combine(start, datetime.min.time()) + timedelta(minutes=minute)
    return Layer(teams, hours_a_turn, begins, until, None, during, not_during, also)


def _calendar(
    reader: Reader, path: str, table: Mapping[str, object], key: str, calendars: Mapping[str, Calendar]
) -> str:
    name = table.get(key, "")
    if key in table and (not isinstance(name, str) or name not in calendars):
        reader.fault(f"{path}.{key}", f"{name!r} is not a calendar of this organisation")
    return str(name)


def _people(reader: Reader, path: str, value: object, people: Mapping[str, object]) -> tuple[tuple[str, ...], ...]:
    """The teams, in turn."""
    if not isinstance(value, list) or not value or len(value) > MAX_PEOPLE:
        reader.fault(path, f"must be a list of 1 to {MAX_PEOPLE} logins, or lists of logins")
        return ()
    teams: list[tuple[str, ...]] = []
    for at, each in enumerate(value):
        team = each if isinstance(each, list) else [each]
        if not team:
            reader.fault(f"{path}[{at}]", "is an empty list: a turn of nobody")
        for login in team:
            if not isinstance(login, str) or login not in people:
                reader.fault(f"{path}[{at}]", f"{login!r} is not a person of this organisation")
        teams.append(tuple(dict.fromkeys(map(str, team))))
    return tuple(teams)


def dump(roster: Roster) -> str:
    """The canonical JSON of a roster: what a row stores. Overrides and calendars are kept elsewhere."""
    layers = [
        {
            "people": layer.people,
            "turn_hours": layer.turn_hours,
            "start": layer.start.isoformat(),
            "until": None if layer.until is None else str(layer.until),
            "days": [] if layer.hours is None else layer.hours.rules[0].days,
            "hours": [] if layer.hours is None else layer.hours.rules[0].hours,
            "during": layer.during,
            "not_during": layer.not_during,
            "also": layer.also,
        }
        for layer in roster.layers
    ]
    body = {"id": roster.id, "title": roster.title, "timezone": roster.zone, "layers": layers}
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=512)
def load(text: str) -> Roster:
    """The roster in what `dump` wrote, still without its calendars and overrides."""
    body = json.loads(text)
    layers = tuple(
        Layer(
            tuple(tuple(team) for team in each["people"]),
            each["turn_hours"],
            datetime.fromisoformat(each["start"]),
            None if each["until"] is None else date.fromisoformat(each["until"]),
            None
            if each["turn_hours"]
            else Calendar("", "", rules=(Rule(tuple(each["days"]), tuple((a, b) for a, b in each["hours"])),)),
            each["during"],
            each["not_during"],
            each["also"],
        )
        for each in body["layers"]
    )
    return Roster(body["id"], body["title"], layers, body["timezone"])
