"""Days off in France: public holidays by subdivision, school holidays by zone. Tables read once, when imported.

Public holidays are computed by the `holidays` package for any year. School holidays are the ministry's, as shipped in
`vacances-scolaires-france`: zones A, B and C, up to the last day the ministry has published. Corsica and the overseas
academies set their own, which no package carries: a calendar lists them itself (calendars.py).
"""

from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Final

from holidays.countries.france import France
from vacances_scolaires_france import SchoolHolidayDates  # type: ignore[import-untyped]

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


def _school_table() -> dict[str, frozenset[date]]:
    table = SchoolHolidayDates()
    return {zone: frozenset(day for day in table.data if table.is_holiday_for_zone(day, zone)) for zone in SCHOOL_ZONES}


_SCHOOL: Final = _school_table()
SCHOOL_FROM: Final = min(min(days) for days in _SCHOOL.values())
SCHOOL_UNTIL: Final = min(max(days) for days in _SCHOOL.values())  # the last day of which the table says something


@cache
def public_holidays(subdivision: str) -> Mapping[date, str]:
    """The public holidays of localtime.YEARS and their French names. `subdivision`: a key of SUBDIVISIONS."""
    code = SUBDIVISIONS[subdivision]
    table: Mapping[date, str] = France(years=YEARS, subdiv=code or None, expand=False, language="fr")  # type: ignore[no-untyped-call]
    return dict(table)


public_holidays("")  # the package looks for its French names in a file the first time: now, not when somebody presses


def is_public_holiday(day: date, subdivision: str) -> bool:
    return day in public_holidays(subdivision)


def is_school_holiday(day: date, zone: str) -> bool:
    """Whether schools of this zone are closed for holidays; past SCHOOL_UNTIL nobody knows, and this says no."""
    return day in _SCHOOL[zone]
