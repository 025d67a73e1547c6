"""/healthz for whoever restarts the server, /metrics for Prometheus."""

import asyncio
import ipaddress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from tocsin_backend.api.context import Parts, Services, Visitor, allowed
from tocsin_backend.api.errors import ApiError
from tocsin_backend.errors import TocsinError
from tocsin_backend.store import enrolment as enrolment_store
from tocsin_backend.store import lateness as lateness_rows

router = APIRouter(tags=["health"])
DATABASE_S = 3.0  # SQLite waits 5 s for a lock; whoever asks for our health should hear before
ENGINE_MS = 15_000  # the engine wakes every 5 s at the latest

SeesEvidence = Annotated[Visitor, Depends(allowed("see-evidence"))]


class TimerHour(BaseModel):
    """One timer, served by one engine within one hour."""

    timer: str = Field(examples=["alert"])
    hour_ms: int = Field(examples=[1764000000000])
    owner: str = Field(examples=["tocsin-1-4242-9f3c"])
    served: int = Field(examples=[1204])
    over: int = Field(examples=[0])
    mean_ms: int = Field(examples=[3])
    max_ms: int = Field(examples=[41])


class Lateness(BaseModel):
    timers: list[TimerHour]


def _database(parts: Services) -> None:
    with parts.database.read() as conn:
        enrolment_store.organisations(conn)


class Health(BaseModel):
    """`ok`: the server can take a press. `lateness_ms`: how late the last turn of the engine was."""

    ok: bool = Field(examples=[True])
    database: dict[str, Any] = Field(examples=[{"ok": True}])
    engine: dict[str, Any] = Field(examples=[{"ok": True, "beat_age_ms": 1200}])
    lateness_ms: int = Field(examples=[3])
    timers: dict[str, dict[str, int]] = Field(examples=[{"alert": {"served": 1204, "over": 0, "max_ms": 41}}])


@router.get(
    "/healthz",
    response_class=JSONResponse,
    responses={200: {"model": Health}, 503: {"model": Health, "description": "a part is not well"}},
)
async def health(parts: Parts) -> Response:
    """200 when the database answers and the engine's heart beats, 503 otherwise; which of them is in the body.

    `timers`: since this process started, how many instants it served, how many over 2 s late, and the latest, ms.
    """
    checks: dict[str, Any] = {}
    try:
        await asyncio.wait_for(asyncio.to_thread(_database, parts), DATABASE_S)
        checks["database"] = {"ok": True}
    except (TocsinError, TimeoutError) as error:
        checks["database"] = {"ok": False, "why": str(error) or "no answer in time"}
    beat_age_ms = parts.engine.heartbeat_age_ms()
    checks["engine"] = {"ok": beat_age_ms < ENGINE_MS, "beat_age_ms": beat_age_ms}
    checks["lateness_ms"] = parts.engine.lateness_ms()
    checks["timers"] = {
        timer: {"served": found.tally.served, "over": found.tally.over, "max_ms": found.tally.max_ms}
        for timer, found in parts.engine.lateness.figures().items()
    }
    well = all(checks[name]["ok"] for name in ("database", "engine"))
    return JSONResponse({"ok": well, **checks}, 200 if well else 503)


@router.get("/api/v1/lateness", tags=["health"])
def lateness(who: SeesEvidence, parts: Parts, hours: Annotated[int, Query(ge=1, le=8_760)] = 24) -> Lateness:
    """How late timers were served, a row an hour, timer and engine, newest first; `over` counts those over 2 s late.

    A timer named `…-restart` was due while no engine ran. Lateness is the machine's, not an organisation's.
    """
    with parts.database.read() as conn:
        rows = lateness_rows.since(conn, parts.now_ms() - hours * 3_600_000)
    return Lateness(timers=[TimerHour(**row) for row in rows])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus's text format"}, 403: {}},
    openapi_extra={"x-database": False},
)
def metrics(request: Request, parts: Parts) -> Response:
    """Prometheus's text format, for the networks that TOCSIN_METRICS_NETWORKS names."""
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
        known = any(address in network for network in parts.settings.metrics_networks)
    except ValueError:
        known = False
    if not known:
        raise ApiError(403, "forbidden", "figures are not for this address", "see TOCSIN_METRICS_NETWORKS")
    parts.metrics.lateness_seconds.set(parts.engine.lateness_ms() / 1000)
    return Response(parts.metrics.text(), media_type=CONTENT_TYPE_LATEST)
