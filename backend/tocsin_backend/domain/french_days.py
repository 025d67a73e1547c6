"""Days off in France: public holidays by subdivision, school holidays by zone. Tables are read once, by `warm` or late.

Public holidays are computed by the `holidays` package for any year. School holidays are the ministry's, as shipped in
`vacances-scolaires-france`: zones A, B and C, up to the last day the ministry has published. Corsica and the overseas
academies set their own, which no package carries: a calendar lists them itself (calendars.py).
"""

from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Final

from .localtime import YEARS

SCHOOL_ZONES: Final = ("A", "B", "C")
SUBDIVISIONS: Final[Mapping[str, str]] = {
    "": "",  # mainland France and Corsica
    "alsace": "6AE",
    "moselle": "57",
    "guadeloupe": "971",
    "martinique": "972",
    "guyane": "973",
    "la-reunion": "974",
    "mayotte": "976",
    "saint-barthelemy": "BL",
    "saint-martin": "MF",
    "saint-pierre-et-miquelon": "PM",
    "wallis-et-futuna": "WF",
    "polynesie-francaise": "PF",
    "nouvelle-caledonie": "NC",
}


def warm() -> None:
    """Read every table now: a server does it at its start, so that no press waits; a command mostly needs none."""
    public_holidays("")
    _school()


@cache
def _school() -> Mapping[str, frozenset[date]]:
    from vacances_scolaires_france import SchoolHolidayDates  # type: ignore[import-untyped]

    table = SchoolHolidayDates()
    return {zone: frozenset(day for day in table.data if table.is_holiday_for_zone(day, zone)) for zone in SCHOOL_ZONES}


@cache
def school_until() -> date:
    """The last day of which the table of school holidays says something."""
    return min(max(days) for days in _school().values())


@cache
def public_holidays(subdivision: str) -> Mapping[date, str]:
    """The public holidays of localtime.YEARS and their French names. `subdivision`: a key of SUBDIVISIONS."""
    from holidays.countries.france import France

    code = SUBDIVISIONS[subdivision]
    table: Mapping[date, str] = France(years=YEARS, subdiv=code or None, expand=False, language="fr")  # type: ignore[no-untyped-call]
    return dict(table)


def is_public_holiday(day: date, subdivision: str) -> bool:
    return day in public_holidays(subdivision)


def is_school_holiday(day: date, zone: str) -> bool:
    """Whether schools of this zone are closed for holidays; past `school_until` nobody knows, and this says no."""
    return day in _school()[zone]
