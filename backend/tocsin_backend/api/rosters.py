"""Rosters: who is on duty when, and who stands in."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from tocsin_backend.api.calendars import DAY_MS, At
from tocsin_backend.api.context import Parts
from tocsin_backend.api.documents import (
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
from tocsin_backend.domain import rosters
from tocsin_backend.domain.localtime import spelled
from tocsin_backend.outlook import ROSTER_DAYS_MAX, instant, roster_of
from tocsin_backend.store import rosters as store

EXAMPLE = example(
    'id = "astreinte"\ntitle = "Astreinte"\n[[layer]]\nevery = "week"\nstart = "2026-01-05"\nat = "08:00"\n'
    'people = ["a.martin", "b.durand"]\n'
)
router = APIRouter(route_class=StrictRoute, tags=["rosters"])
Days = Annotated[int, Query(ge=1, le=ROSTER_DAYS_MAX)]


class RosterShape(BaseModel):
    """`on_duty`: the logins now; none: a gap."""

    id: str = Field(examples=["astreinte"])
    title: str = Field(examples=["Astreinte"])
    version: int = Field(examples=[2])
    changed_ms: int = Field(examples=[1764000000000])
    changed_by: str = Field(examples=["a.martin"])
    source: str = Field(examples=['id = "astreinte"\n…'])
    on_duty: list[str] = Field(examples=[["a.martin"]])


class RostersShape(BaseModel):
    rosters: list[RosterShape]


@router.get("/rosters")
def list_rosters(who: SeesPlans, parts: Parts) -> RostersShape:
    """The organisation's rosters."""
    now_ms = parts.now_ms()
    with parts.database.read() as conn:
        rows = store.listing(conn, who.person.org)
        duty = {row["id"]: rosters.on_duty(roster_of(conn, row["org"], row["id"], now_ms), now_ms) for row in rows}
    return RostersShape(rosters=[_shape(row, list(duty[row["id"]])) for row in rows])


def _shape(row: dict[str, Any], on_duty: list[str]) -> RosterShape:
    return RosterShape(**{name: row[name] for name in RosterShape.model_fields if name != "on_duty"}, on_duty=on_duty)


@router.get("/rosters/{roster}")
def get_roster(roster: str, who: SeesPlans, parts: Parts) -> RosterShape:
    """One roster."""
    now_ms = parts.now_ms()
    with parts.database.read() as conn:
        row = store.get(conn, who.person.org, roster)
        if row is None:
            raise ApiError(404, "not-found", f"there is no roster {roster[:40]!r}")
        return _shape(row, list(rosters.on_duty(roster_of(conn, row["org"], roster, now_ms), now_ms)))


class ShiftShape(BaseModel):
    """The same people from one instant to another; no people: a gap."""

    from_ms: int = Field(examples=[1798070400000])
    to_ms: int = Field(examples=[1798675200000])
    words: str = Field(examples=["2026-12-24 08:00+01:00 to 2026-12-31 08:00+01:00"])
    people: list[str] = Field(examples=[["a.martin"]])


class DutyShape(BaseModel):
    at_ms: int = Field(examples=[1798070400000])
    zone: str = Field(examples=["Europe/Paris"])
    on_duty: list[str] = Field(examples=[["a.martin"]])
    shifts: list[ShiftShape]
    gaps: list[ShiftShape]


@router.get("/rosters/{roster}/duty")
def duty(roster: str, who: SeesPlans, parts: Parts, at: At = "", days: Days = 14) -> DutyShape:
    """Who is on duty at `at` (the roster's local time; empty: now), and the shifts and gaps of the days after."""
    with parts.database.read() as conn:
        found = roster_of(conn, who.person.org, roster)
    at_ms = instant(at, found.zone, parts.now_ms())
    shapes = [
        ShiftShape(
            from_ms=each.from_ms, to_ms=each.to_ms, people=list(each.people),
            words=f"{spelled(each.from_ms, found.zone)} to {spelled(each.to_ms, found.zone)}",
        )
        for each in rosters.shifts(found, at_ms, at_ms + days * DAY_MS)
    ]  # fmt: skip
    return DutyShape(
        at_ms=at_ms, zone=found.zone, on_duty=list(rosters.on_duty(found, at_ms)), shifts=shapes,
        gaps=[each for each in shapes if not each.people],
    )  # fmt: skip


@router.post("/rosters/validate", openapi_extra=EXAMPLE)
def validate_roster(body: DocumentBody, who: SeesPlans, parts: Parts) -> VerdictShape:
    """Lists everything that is wrong with a roster; changes nothing."""
    person = who.person
    return verdict(lambda: parts.plans.import_roster(person.org, body.source, person.login, check_only=True))


@router.post("/rosters/import", openapi_extra=EXAMPLE)
def import_roster(body: DocumentBody, who: WritesPlans, parts: Parts) -> SavedShape:
    """Saves a roster; it counts at once, in open alerts too. Overrides stay."""
    return SavedShape(**parts.plans.import_roster(who.person.org, body.source, who.person.login))


@router.delete("/rosters/{roster}")
def remove_roster(roster: str, who: WritesPlans, parts: Parts) -> DoneShape:
    """Removes a roster that no policy and no desk names."""
    parts.plans.remove_roster(who.person.org, roster)
    return DoneShape()


class OverrideBody(BaseModel):
    """`person` instead of `replaces`, in the roster's local time. `replaces` empty: whoever is on duty; `person`
    empty: nobody, and the gap shows."""

    model_config = ConfigDict(extra="forbid", strict=True)
    begins: str = Field(max_length=40, examples=["2026-12-24 08:00"])
    ends: str = Field(max_length=40, examples=["2026-12-26 08:00"])
    replaces: str = Field(default="", max_length=32, examples=["a.martin"])
    person: str = Field(default="", max_length=32, examples=["b.durand"])
    note: str = Field(default="", max_length=200, examples=["échange"])


class OverrideShape(BaseModel):
    id: int = Field(examples=[7])
    starts_ms: int = Field(examples=[1798096200000])
    ends_ms: int = Field(examples=[1798268400000])
    replaces: str = Field(examples=["a.martin"])
    person: str = Field(examples=["b.durand"])
    note: str = Field(examples=["échange"])
    created_ms: int = Field(examples=[1764000000000])
    created_by: str = Field(examples=["c.petit"])
    cancelled_ms: int | None = Field(examples=[None])


def _override(row: dict[str, Any]) -> OverrideShape:
    return OverrideShape(**{name: row[name] for name in OverrideShape.model_fields})


class OverridesShape(BaseModel):
    overrides: list[OverrideShape]


@router.get("/rosters/{roster}/overrides")
def list_overrides(
    roster: str, who: SeesPlans, parts: Parts, past_days: Annotated[int, Query(ge=0, le=3660)] = 0
) -> OverridesShape:
    """The overrides that are not over, cancelled ones included; and those of so many days past."""
    with parts.database.read() as conn:
        roster_of(conn, who.person.org, roster)
        rows = store.override_rows(conn, who.person.org, roster, parts.now_ms() - past_days * DAY_MS)
    return OverridesShape(overrides=[_override(row) for row in rows])


@router.post("/rosters/{roster}/overrides")
def add_override(roster: str, body: OverrideBody, who: WritesPlans, parts: Parts) -> OverrideShape:
    """Somebody stands in; the newest override has the last word."""
    return _override(parts.plans.add_override(who.person.org, roster, **body.model_dump(), by=who.person.login))


@router.post("/rosters/{roster}/overrides/{number}/cancel")
def cancel_override(roster: str, number: int, who: WritesPlans, parts: Parts) -> DoneShape:
    """The roster counts again."""
    parts.plans.cancel_override(who.person.org, roster, number)
    return DoneShape()
