"""Probes: when each post's own test press last went the whole way, when the next is due, how long they take."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from tocsin_backend.api.context import Parts, Visitor, allowed
from tocsin_backend.api.errors import ApiError
from tocsin_backend.api.strict_json import StrictRoute
from tocsin_backend.domain import latency
from tocsin_backend.domain.probes import EVERY_MAX_MS, EVERY_MIN_MS, WINDOW_MS, Probed, is_overdue
from tocsin_backend.store import probes
from tocsin_backend.store.database import Priority

router = APIRouter(route_class=StrictRoute, tags=["probes"])

Sees = Annotated[Visitor, Depends(allowed("see"))]
Maintains = Annotated[Visitor, Depends(allowed("run-maintenance"))]


class ProbeShape(BaseModel):
    """`last_ms`: the last that went the whole way; `due_ms`: the next must have come by then, null: none ever came.

    `n`, `p50_ms`, `p95_ms`: of the last 31 days, from the post to the backend and back.
    """

    device: str = Field(examples=["bau-7"])
    name: str = Field(examples=["Grille nord"])
    site: str = Field(examples=["emperi"])
    site_name: str = Field(examples=["Lycée de l'Emperi"])
    presence: str = Field(examples=["alive"])
    every_ms: int = Field(examples=[86400000])
    last_ms: int | None = Field(examples=[1764000000000])
    due_ms: int | None = Field(examples=[1764093600000])
    overdue: bool = Field(examples=[False])
    n: int = Field(examples=[31])
    p50_ms: int | None = Field(examples=[95])
    p95_ms: int | None = Field(examples=[180])


def listed(parts: Parts, org: str, site: str | None, limit: int) -> list[ProbeShape]:
    """The posts in service of an organisation, the overdue first, then the one whose last good probe is oldest."""
    now_ms = parts.now_ms()
    with parts.database.read() as conn:
        rows = probes.listing(conn, org, site)
        known = {row["id"]: Probed(row["probe_every_ms"], row["probe_ms"], row["probe_by_ms"]) for row in rows}
        rows = sorted(rows, key=lambda row: not is_overdue(known[row["id"]], now_ms))[:limit]
        took = probes.round_trips(conn, org, now_ms - WINDOW_MS, [row["id"] for row in rows])
    return [
        ProbeShape(
            device=row["id"], name=row["name"], site=row["site"], site_name=row["site_name"],
            presence=row["presence"], every_ms=row["probe_every_ms"], last_ms=row["probe_ms"],
            due_ms=row["probe_by_ms"], overdue=is_overdue(known[row["id"]], now_ms), n=figures["n"],
            p50_ms=figures.get("p50"), p95_ms=figures.get("p95"),
        )
        for row in rows
        for figures in (latency.summary(took[row["id"]]),)
    ]  # fmt: skip


class ProbesShape(BaseModel):
    probes: list[ProbeShape]


@router.get("/probes")
def list_probes(
    who: Sees,
    parts: Parts,
    site: Annotated[str | None, Query(max_length=32)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> ProbesShape:
    """Each post's probes, the overdue first."""
    return ProbesShape(probes=listed(parts, who.person.org, site, limit))


class PeriodBody(BaseModel):
    """How often the post makes a probe: what its profile says. At most three days (EN 81-28)."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"every_ms": 86400000}]})
    every_ms: Annotated[int, Field(ge=EVERY_MIN_MS, le=EVERY_MAX_MS)]


class PeriodShape(BaseModel):
    device: str = Field(examples=["bau-7"])
    every_ms: int = Field(examples=[86400000])


@router.put("/probes/{device}")
def set_period(device: str, body: PeriodBody, who: Maintains, parts: Parts) -> PeriodShape:
    """Says how often a post's probe is to come."""
    org = who.person.org
    job = parts.database.write(lambda conn: probes.set_every(conn, org, device[:32], body.every_ms), Priority.ACTION)
    if not job.result():
        raise ApiError(404, "not-found", "there is no such device")
    return PeriodShape(device=device, every_ms=body.every_ms)
