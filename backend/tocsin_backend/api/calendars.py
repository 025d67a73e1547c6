"""Calendars: named hours in local time."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from tocsin_backend.api.context import Parts
from tocsin_backend.api.documents import (
    LOCAL_TIME,
    DocumentBody,
    DoneShape,
    SavedShape,
    SeesPlans,
    VerdictShape,
    WritesPlans,
    example,
    verdict,
)
from tocsin_backend.api.errors import ApiError
from tocsin_backend.api.strict_json import StrictRoute
from tocsin_backend.domain import calendars
from tocsin_backend.domain.localtime import spelled
from tocsin_backend.outlook import instant
from tocsin_backend.store import calendars as store
from tocsin_backend.store import people

EXAMPLE = example('id = "jour"\ntitle = "Jour"\n[[rule]]\ndays = ["mon", "tue"]\nhours = ["08:00-18:00"]\n')
router = APIRouter(route_class=StrictRoute, tags=["calendars"])
DAY_MS = 86_400_000
Days = Annotated[int, Query(ge=1, le=366)]
At = Annotated[str, Query(max_length=40, examples=[LOCAL_TIME])]


class CalendarShape(BaseModel):
    """`known_until`: the last day whose school holidays are known; null: it needs nothing that ends."""

    id: str = Field(examples=["jour"])
    title: str = Field(examples=["Heures de jour"])
    version: int = Field(examples=[1])
    changed_ms: int = Field(examples=[1764000000000])
    changed_by: str = Field(examples=["a.martin"])
    known_until: str | None = Field(examples=["2028-08-31"])
    source: str = Field(examples=['id = "jour"\n…'])


def _shape(row: dict[str, Any]) -> CalendarShape:
    until = calendars.known_until(calendars.load(row["body"]))
    members = {name: row[name] for name in CalendarShape.model_fields if name != "known_until"}
    return CalendarShape(**members, known_until=None if until is None else str(until))


class CalendarsShape(BaseModel):
    calendars: list[CalendarShape]


@router.get("/calendars")
def list_calendars(who: SeesPlans, parts: Parts) -> CalendarsShape:
    """The organisation's calendars."""
    with parts.database.read() as conn:
        return CalendarsShape(calendars=[_shape(row) for row in store.listing(conn, who.person.org)])


@router.get("/calendars/{calendar}")
def get_calendar(calendar: str, who: SeesPlans, parts: Parts) -> CalendarShape:
    """One calendar."""
    with parts.database.read() as conn:
        row = store.get(conn, who.person.org, calendar)
    if row is None:
        raise ApiError(404, "not-found", f"there is no calendar {calendar[:40]!r}")
    return _shape(row)


class SpanShape(BaseModel):
    from_ms: int = Field(examples=[1798070400000])
    to_ms: int = Field(examples=[1798113600000])
    words: str = Field(examples=["2026-12-24 08:00+01:00 to 2026-12-24 20:00+01:00"])


class SpansShape(BaseModel):
    holds: bool = Field(examples=[True])
    zone: str = Field(examples=["Europe/Paris"])
    spans: list[SpanShape]


@router.get("/calendars/{calendar}/spans")
def spans(calendar: str, who: SeesPlans, parts: Parts, at: At = "", site: str = "", days: Days = 14) -> SpansShape:
    """Whether it holds at `at`, and when in the days after; `at` is local time of the site, or the organisation's."""
    with parts.database.read() as conn:
        row = store.get(conn, who.person.org, calendar)
        zone = people.zone(conn, who.person.org, site)
    if row is None:
        raise ApiError(404, "not-found", f"there is no calendar {calendar[:40]!r}")
    read, at_ms = calendars.load(row["body"]), instant(at, zone, parts.now_ms())
    found = calendars.spans(read, at_ms, at_ms + days * DAY_MS, zone)
    shapes = [SpanShape(from_ms=a, to_ms=b, words=f"{spelled(a, zone)} to {spelled(b, zone)}") for a, b in found]
    return SpansShape(holds=calendars.contains(read, at_ms, zone), zone=zone, spans=shapes)


@router.post("/calendars/validate", openapi_extra=EXAMPLE)
def validate_calendar(body: DocumentBody, who: SeesPlans, parts: Parts) -> VerdictShape:
    """Lists everything that is wrong with a calendar; changes nothing."""
    person = who.person
    return verdict(lambda: parts.plans.import_calendar(person.org, body.source, person.login, check_only=True))


@router.post("/calendars/import", openapi_extra=EXAMPLE)
def import_calendar(body: DocumentBody, who: WritesPlans, parts: Parts) -> SavedShape:
    """Saves a calendar; it counts at once, in open alerts too."""
    return SavedShape(**parts.plans.import_calendar(who.person.org, body.source, who.person.login))


@router.delete("/calendars/{calendar}")
def remove_calendar(calendar: str, who: WritesPlans, parts: Parts) -> DoneShape:
    """Removes a calendar that no policy and no roster names."""
    parts.plans.remove_calendar(who.person.org, calendar)
    return DoneShape()
