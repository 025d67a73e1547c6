"""What is enrolled: sites, devices with their presence; and the evidence of what was refused."""

import base64
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from tocsin_backend.api.context import Parts, Visitor, allowed
from tocsin_backend.api.errors import ApiError
from tocsin_backend.api.strict_json import StrictRoute
from tocsin_backend.domain import latency
from tocsin_backend.store import enrolment as enrolment_store
from tocsin_backend.store import listings

router = APIRouter(route_class=StrictRoute, tags=["estate"])
LEDGERS_MAX = 50_000  # presses looked at for one latency figure
NAME = r"^[a-z0-9-]{1,32}$"
Before = Annotated[int | None, Query(ge=0, le=2**53)]
Limit = Annotated[int, Query(ge=1, le=500)]

Sees = Annotated[Visitor, Depends(allowed("see"))]
SeesEvidence = Annotated[Visitor, Depends(allowed("see-evidence"))]


class SiteShape(BaseModel):
    id: str = Field(examples=["emperi"])
    name: str = Field(examples=["Lycée de l'Emperi"])
    timezone: str = Field(examples=["Europe/Paris"])
    latitude: float | None = Field(examples=[43.6402])
    longitude: float | None = Field(examples=[5.097])
    insee: str = Field(examples=["13103"])
    uai: str = Field(examples=["0130164B"])
    address: str = Field(examples=["Montée du Puech, 13300 Salon-de-Provence"])
    phone: str = Field(examples=["+33490000000"])
    policy: str | None = Field(examples=["jour"])
    reporting_ms: int = Field(examples=[60000])


class SitesShape(BaseModel):
    sites: list[SiteShape]


@router.get("/sites")
def sites(who: Sees, parts: Parts) -> SitesShape:
    """The organisation's sites."""
    with parts.database.read() as conn:
        rows = enrolment_store.sites(conn, who.person.org)
    return SitesShape(sites=[SiteShape(**{name: row[name] for name in SiteShape.model_fields}) for row in rows])


class DeviceShape(BaseModel):
    """`presence` is never (not seen yet), alive, late or lost; `beat` and `info` are what the device last said."""

    id: str = Field(examples=["bau-7"])
    site: str = Field(examples=["emperi"])
    site_name: str = Field(examples=["Lycée de l'Emperi"])
    kind: str = Field(examples=["call_post"])
    name: str = Field(examples=["Grille nord"])
    policy: str | None = Field(examples=[None])
    presence: str = Field(examples=["alive"])
    last_seen_ms: int | None = Field(examples=[1764000000000])
    expected_by_ms: int | None = Field(examples=[1764000150000])
    gateway: str | None = Field(examples=["gw-1"])
    boot: int = Field(examples=[812])
    last_n: int = Field(examples=[7])
    beat: dict[str, Any] = Field(examples=[{"mv": 4970, "rssi": -67, "spool": 0}])
    beat_ms: int | None = Field(examples=[1764000000000])
    info: dict[str, Any] = Field(examples=[{"fw": "0.3.0"}])
    created_ms: int = Field(examples=[1763900000000])


def _device(row: dict[str, Any]) -> DeviceShape:
    return DeviceShape(**(row | {"beat": json.loads(row["beat"]), "info": json.loads(row["info"])}))


class DevicesShape(BaseModel):
    devices: list[DeviceShape]


@router.get("/devices")
def devices(who: Sees, parts: Parts, site: Annotated[str | None, Query(pattern=NAME)] = None) -> DevicesShape:
    """The organisation's devices in service, with their presence."""
    with parts.database.read() as conn:
        rows = listings.devices(conn, who.person.org, site)
    return DevicesShape(devices=[_device(row) for row in rows])


@router.get("/devices/{device}")
def device(device: str, who: Sees, parts: Parts) -> DeviceShape:
    """One device."""
    with parts.database.read() as conn:
        rows = [row for row in listings.devices(conn, who.person.org, None) if row["id"] == device]
    if not rows:
        raise ApiError(404, "not-found", f"there is no device {device[:40]!r}")
    return _device(rows[0])


class EvidenceShape(BaseModel):
    """A frame that was refused, in base64, and the wire's code of the reason."""

    id: int = Field(examples=[9])
    at_ms: int = Field(examples=[1764000000000])
    gateway: str = Field(examples=["gw-1"])
    topic: str = Field(examples=["tocsin/1/demo/bau-7/alert"])
    frame: str = Field(examples=["eyJ2IjoxfQ=="])
    reason: str = Field(examples=["bad-mac"])


class EvidenceListShape(BaseModel):
    evidence: list[EvidenceShape]


@router.get("/evidence")
def evidence(
    who: SeesEvidence, parts: Parts, reason: Annotated[str | None, Query(max_length=40)] = None, before: Before = None,
    limit: Limit = 100,
) -> EvidenceListShape:  # fmt: skip
    """Refused frames, newest first; `before` is the last id of the page before."""
    with parts.database.read() as conn:
        rows = listings.evidence(conn, who.person.org, reason, before, limit)
    shapes = [
        EvidenceShape(
            id=row["id"], at_ms=row["at_ms"], gateway=row["gateway"], topic=row["topic"], reason=row["reason"],
            frame=base64.b64encode(row["frame"]).decode(),
        )
        for row in rows
    ]  # fmt: skip
    return EvidenceListShape(evidence=shapes)


# name of the figure -> the ledger's instants it lies between
SPANS = {
    "contact_to_held_ms": ("contact_ms", "held_ms"),
    "contact_to_stored_ms": ("contact_ms", "stored_ms"),
    "dispatch_ms": ("stored_ms", "handed_ms"),
    "contact_to_dispatch_ms": ("contact_ms", "handed_ms"),
    "lamp_sent_ms": ("contact_ms", "lamp_sent_ms"),
    "answer_ms": ("stored_ms", "answered_ms"),
    "lamp_answered_ms": ("answered_ms", "lamp_answered_ms"),
}


class SummaryShape(BaseModel):
    """Durations in ms; the percentiles are left out where there was none to count."""

    n: int = Field(examples=[1204])
    p50: int | None = Field(default=None, examples=[41])
    p95: int | None = Field(default=None, examples=[88])
    p99: int | None = Field(default=None, examples=[140])
    max: int | None = Field(default=None, examples=[610])


class LatencyShape(BaseModel):
    """Of each part of the way of a press; their instants are those of the ledger."""

    contact_to_held_ms: SummaryShape
    contact_to_stored_ms: SummaryShape
    dispatch_ms: SummaryShape
    contact_to_dispatch_ms: SummaryShape
    lamp_sent_ms: SummaryShape
    answer_ms: SummaryShape
    lamp_answered_ms: SummaryShape


@router.get("/latency", response_model_exclude_none=True)
def latencies(who: Sees, parts: Parts, hours: Annotated[int, Query(ge=1, le=24 * 366)] = 24) -> LatencyShape:
    """Where the time of the presses went: n, p50, p95, p99 and max, in ms, of each part of the way."""
    with parts.database.read() as conn:
        rows = listings.ledgers_since(conn, who.person.org, parts.now_ms() - hours * 3_600_000, LEDGERS_MAX)
    figures: dict[str, Any] = {
        name: latency.summary(row[end] - row[start] for row in rows if row[start] is not None and row[end] is not None)
        for name, (start, end) in SPANS.items()
    }
    return LatencyShape(**figures)
