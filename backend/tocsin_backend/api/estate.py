"""What is enrolled: sites, devices with their presence; and the evidence of what was refused."""

import base64
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

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
    id: str
    name: str
    timezone: str
    latitude: float | None
    longitude: float | None
    insee: str
    uai: str
    address: str
    phone: str
    policy: str | None
    reporting_ms: int


@router.get("/sites")
def sites(who: Sees, parts: Parts) -> dict[str, list[SiteShape]]:
    """The organisation's sites."""
    with parts.database.read() as conn:
        rows = enrolment_store.sites(conn, who.person.org)
    return {"sites": [SiteShape(**{name: row[name] for name in SiteShape.model_fields}) for row in rows]}


class DeviceShape(BaseModel):
    """`presence` is never (not seen yet), alive, late or lost; `beat` and `info` are what the device last said."""

    id: str
    site: str
    site_name: str
    kind: str
    name: str
    policy: str | None
    presence: str
    last_seen_ms: int | None
    expected_by_ms: int | None
    gateway: str | None
    boot: int
    last_n: int
    beat: dict[str, Any]
    beat_ms: int | None
    info: dict[str, Any]
    created_ms: int


def _device(row: dict[str, Any]) -> DeviceShape:
    return DeviceShape(**(row | {"beat": json.loads(row["beat"]), "info": json.loads(row["info"])}))


@router.get("/devices")
def devices(
    who: Sees, parts: Parts, site: Annotated[str | None, Query(pattern=NAME)] = None
) -> dict[str, list[DeviceShape]]:
    """The organisation's devices in service, with their presence."""
    with parts.database.read() as conn:
        rows = listings.devices(conn, who.person.org, site)
    return {"devices": [_device(row) for row in rows]}


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

    id: int
    at_ms: int
    gateway: str
    topic: str
    frame: str
    reason: str


@router.get("/evidence")
def evidence(
    who: SeesEvidence, parts: Parts, reason: Annotated[str | None, Query(max_length=40)] = None, before: Before = None,
    limit: Limit = 100,
) -> dict[str, list[EvidenceShape]]:  # fmt: skip
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
    return {"evidence": shapes}


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


@router.get("/latency")
def latencies(
    who: Sees, parts: Parts, hours: Annotated[int, Query(ge=1, le=24 * 366)] = 24
) -> dict[str, dict[str, int]]:
    """Where the time of the presses went: n, p50, p95, p99 and max, in ms, of each part of the way."""
    with parts.database.read() as conn:
        rows = listings.ledgers_since(conn, who.person.org, parts.now_ms() - hours * 3_600_000, LEDGERS_MAX)
    return {
        name: latency.summary(row[end] - row[start] for row in rows if row[start] is not None and row[end] is not None)
        for name, (start, end) in SPANS.items()
    }
