"""/healthz for whoever restarts the server, /metrics for Prometheus."""

import asyncio
import ipaddress
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse

from tocsin_backend.api.context import Parts, Services
from tocsin_backend.api.errors import ApiError
from tocsin_backend.errors import TocsinError
from tocsin_backend.store import enrolment as enrolment_store

router = APIRouter(tags=["health"])
DATABASE_S = 3.0  # SQLite waits 5 s for a lock; whoever asks for our health should hear before
ENGINE_MS = 15_000  # the engine wakes every 5 s at the latest


def _database(parts: Services) -> None:
    with parts.database.read() as conn:
        enrolment_store.organisations(conn)


@router.get("/healthz")
async def health(parts: Parts) -> Response:
    """200 when the database answers and the engine's heart beats, 503 otherwise; which of them is in the body."""
    checks: dict[str, Any] = {}
    try:
        await asyncio.wait_for(asyncio.to_thread(_database, parts), DATABASE_S)
        checks["database"] = {"ok": True}
    except (TocsinError, TimeoutError) as error:
        checks["database"] = {"ok": False, "why": str(error) or "no answer in time"}
    beat_age_ms = parts.engine.heartbeat_age_ms()
    checks["engine"] = {"ok": beat_age_ms < ENGINE_MS, "beat_age_ms": beat_age_ms}
    checks["lateness_ms"] = parts.engine.lateness_ms()
    well = all(checks[name]["ok"] for name in ("database", "engine"))
    return JSONResponse({"ok": well, **checks}, 200 if well else 503)


@router.get("/metrics", response_class=Response)
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
