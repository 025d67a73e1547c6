"""What gateways call: envelopes, beats, and the stream that leads down to the devices.

These handlers stand on the way of every press: bare ASGI routes, no validation framework, no thread but the writer's.
A gateway's token is looked up once and believed for TOKEN_MS, so long may a revoked one still pass (S6: 60 s).
"""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable
from concurrent.futures import Future
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tocsin_backend.accounts import token_hash
from tocsin_backend.api import strict_json
from tocsin_backend.api.context import Services, services_of
from tocsin_backend.api.errors import ApiError, answer_to
from tocsin_backend.api.guards import bearer
from tocsin_backend.errors import TocsinError
from tocsin_backend.store import downlink as store
from tocsin_backend.store import enrolment as enrolment_store
from tocsin_backend.store.database import Notes, Priority

T = TypeVar("T")
ENVELOPES_MAX = 500
BEATS_MAX = 5_000
TOKEN_MS = 45_000
TOKENS_MAX = 10_000  # remembered; past it all are looked up again
ALIVE_S = 5.0
DOWNLINK_BATCH = 200
REPORTS_MAX = 500
INBOUND_MAX = 1_600  # ten parts of a long short message
MODEM_WORDS = ("accepted", "delivered", "refused", "no-modem", "expired")
_INT_MAX = 2**63 - 1
Row = dict[str, Any]


def settled(future: "Future[T]") -> Awaitable[T]:
    """Waits for the writer. A client that goes away does not cancel what is already on its way to the disk."""
    return asyncio.shield(asyncio.wrap_future(future))


class Gateways:
    """Who is a gateway, and who waits for downlink."""

    def __init__(self, parts: Services) -> None:
        self._parts = parts
        self._known: dict[str, tuple[str, str, int]] = {}  # token hash -> org, gateway, believed until (ms)
        self._waiting: dict[tuple[str, str], set[asyncio.Event]] = {}
        self._loop = asyncio.get_running_loop()
        parts.database.after_commit(self._committed)

    async def who(self, request: Request) -> tuple[str, str]:
        """(org, gateway) of the request's token. Raises ApiError 401, Unavailable."""
        token = bearer(request)
        kept = token_hash(token)
        now_ms = self._parts.now_ms()
        known = self._known.get(kept)
        if known is not None and now_ms < known[2]:
            return known[0], known[1]
        found = await asyncio.to_thread(self._look_up, kept) if token else None
        if found is None:
            self._known.pop(kept, None)
            raise ApiError(
                401, "unknown-gateway", "this token is no gateway's", "`tocsin gateway add` makes one",
                {"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        if len(self._known) >= TOKENS_MAX:
            self._known.clear()
        self._known[kept] = (*found, now_ms + TOKEN_MS)
        return found

    def _look_up(self, kept: str) -> tuple[str, str] | None:
        with self._parts.database.read() as conn:
            return enrolment_store.gateway_by_token(conn, kept)

    def _committed(self, notes: Notes) -> None:
        """On the writer's thread."""
        if notes.catalogue:
            self._loop.call_soon_threadsafe(self._known.clear)
        if notes.downlinks:
            self._loop.call_soon_threadsafe(self._wake, frozenset(notes.downlinks))

    def _wake(self, gateways: frozenset[tuple[str, str]]) -> None:
        for gateway in gateways:
            for event in self._waiting.get(gateway, ()):
                event.set()

    async def lines(self, request: Request, org: str, gateway: str, after: int) -> AsyncIterator[bytes]:
        """The NDJSON of one downlink stream, until the server stops or the gateway's token is revoked."""
        parts, woken = self._parts, asyncio.Event()
        self._waiting.setdefault((org, gateway), set()).add(woken)
        try:
            yield _alive(parts)
            while not parts.stopping.is_set():
                woken.clear()
                rows = await asyncio.to_thread(self._read, org, gateway, after)
                if rows:
                    after = rows[-1].id
                    yield b"".join(_line(row, parts.now_ms()) for row in rows)
                    yield _alive(parts)  # however many rows keep the stream from falling quiet
                if len(rows) == DOWNLINK_BATCH:
                    continue
                try:
                    await asyncio.wait_for(woken.wait(), ALIVE_S)
                except TimeoutError:
                    await self.who(request)
                    yield _alive(parts)
        except ApiError:
            return  # revoked: the next request is told why
        finally:
            listeners = self._waiting[org, gateway]
            listeners.discard(woken)
            if not listeners:
                del self._waiting[org, gateway]

    def _read(self, org: str, gateway: str, after: int) -> list[store.Frame]:
        with self._parts.database.read() as conn:
            return store.after(conn, org, gateway, after, DOWNLINK_BATCH)

    def wake_all(self) -> None:
        """Has every stream look at `stopping`."""
        for listeners in self._waiting.values():
            for event in listeners:
                event.set()


def _line(row: store.Frame, now_ms: int) -> bytes:
    if row.topic == store.SMS:
        message = json.loads(row.frame)
        message["ttl_s"] = max(0, message.pop("until_ms") - now_ms) // 1000
        return json.dumps({"id": row.id, "sms": message}).encode() + b"\n"
    line: dict[str, Any] = {"id": row.id, "topic": row.topic, "frame": b64encode(row.frame).decode()}
    if row.topic.endswith("/cmd"):  # worth nothing once its time is over: it is left out, and a gateway drops it too
        command = json.loads(row.frame[: row.frame.rindex(b"\n")])
        line["ttl_ms"] = (command["t"] + command["ttl"]) * 1000 - now_ms
        if line["ttl_ms"] <= 0:
            return b""
    return json.dumps(line).encode() + b"\n"


def _alive(parts: Services) -> bytes:
    """That we live, and how long ago the engine came by: the gateway watches it from outside."""
    return b'{"alive":%d,"engine_age_ms":%d}\n' % (parts.now_ms(), max(0, parts.engine.heartbeat_age_ms()))


def _gateways(request: Request) -> Gateways:
    found: Gateways = request.app.state.gateways
    return found


async def _rows(request: Request, name: str, most: int) -> list[Row]:
    """The list under `name` in the body. Raises ApiError."""
    strict_json.require_json(request)
    document = strict_json.decode(await request.body())
    rows = document.get(name) if isinstance(document, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ApiError(422, "invalid", f'the body must be {{"{name}": [{{…}}, …]}}')
    if len(rows) > most:
        raise ApiError(413, "too-large", f"{len(rows)} {name}; at most {most} at once")
    return rows


def _count(value: object, high: int = _INT_MAX) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= high


def _json(document: object) -> Response:
    return Response(json.dumps(document, separators=(",", ":")), media_type="application/json")


async def envelopes(request: Request) -> Response:
    """One answer an envelope; a malformed one is refused by itself, so that it cannot hold up the presses around it."""
    began = time.perf_counter()
    parts = services_of(request)
    org, gateway = await _gateways(request).who(request)
    rows = await _rows(request, "envelopes", ENVELOPES_MAX)
    if not all(_count(row.get("id")) for row in rows):
        raise ApiError(422, "invalid", "an envelope has no id: it could not be answered")
    answers = await settled(parts.ingest.envelopes_later(org, gateway, rows))
    for answer in answers:
        parts.metrics.envelopes.labels(answer["r"]).inc()
    parts.metrics.ingest_seconds.observe(time.perf_counter() - began)
    return _json({"answers": answers})


async def beats(request: Request) -> Response:
    """The digest of a period: what to publish (signed `alive`), and which beats were refused."""
    parts = services_of(request)
    org, gateway = await _gateways(request).who(request)
    rows = await _rows(request, "beats", BEATS_MAX)
    parts.metrics.beats.inc(len(rows))
    return _json(await asyncio.to_thread(parts.ingest.beats, org, gateway, rows))


async def downlink(request: Request) -> Response:
    """Frames for the gateway's devices, one JSON line each, and a line every 5 s that says the stream lives."""
    gateways = _gateways(request)
    org, gateway = await gateways.who(request)
    after = request.query_params.get("after", "0")
    if not after.isascii() or not after.isdigit() or int(after) > _INT_MAX:
        raise ApiError(422, "invalid", "`after` is the id of the last line that was published, or 0")
    return StreamingResponse(gateways.lines(request, org, gateway, int(after)), media_type="application/x-ndjson")


async def downlink_ack(request: Request) -> Response:
    """The broker took every frame up to this id; they are not sent again."""
    parts = services_of(request)
    org, gateway = await _gateways(request).who(request)
    strict_json.require_json(request)
    document = strict_json.decode(await request.body())
    upto = document.get("upto") if isinstance(document, dict) else None
    if not isinstance(upto, int) or not _count(upto):
        raise ApiError(422, "invalid", 'the body must be {"upto": ID}')
    await settled(parts.database.write(lambda conn: store.acknowledge(conn, org, gateway, upto), Priority.ENGINE))
    silent_ms = document.get("engine_silent_ms")
    if isinstance(silent_ms, int) and _count(silent_ms):
        await asyncio.to_thread(parts.engine.lateness.silence, parts.database, org, gateway, silent_ms)
    return _json({"upto": upto})


async def sms_reports(request: Request) -> Response:
    """What became of short messages: the first word of a modem, or later that one was delivered. Safe to repeat."""
    parts = services_of(request)
    org, gateway = await _gateways(request).who(request)
    rows = await _rows(request, "reports", REPORTS_MAX)
    known = [row for row in rows if _is_report(row)]
    if len(known) < len(rows):
        raise ApiError(422, "invalid", f'a report is {{"id", "r": one of {", ".join(MODEM_WORDS)}, "error"}}')
    heard = await asyncio.to_thread(
        parts.answering.by_modem, org, gateway, [(row["id"], row["r"], row.get("error", "")) for row in known]
    )
    return _json({"heard": heard})


async def sms_inbound(request: Request) -> Response:
    """A short message that the gateway's modem received; `reply` is what to write back, "" for nothing."""
    parts = services_of(request)
    org, _ = await _gateways(request).who(request)
    strict_json.require_json(request)
    number, text = inbound(strict_json.decode(await request.body()))
    return _json({"reply": await asyncio.to_thread(parts.answering.by_sms, number, text, org)})


def inbound(document: Any) -> tuple[str, str]:
    """(number, text) of a short message that came in. Raises ApiError."""
    if not isinstance(document, dict) or set(document) != {"from", "text"}:
        raise ApiError(422, "invalid", 'the body must be {"from": "+33…", "text": "…"}')
    number, text = document["from"], document["text"]
    if not isinstance(number, str) or not isinstance(text, str) or len(number) > 40 or len(text) > INBOUND_MAX:
        raise ApiError(422, "invalid", f"`from` is a telephone number, `text` at most {INBOUND_MAX} characters")
    return number, text


def _is_report(row: Row) -> bool:
    error = row.get("error", "")
    good = set(row) <= {"id", "r", "error"} and row.get("r") in MODEM_WORDS
    return good and isinstance(row.get("id"), str) and isinstance(error, str) and len(error) <= 200


ROUTES = [
    Route("/api/v1/gateway/envelopes", envelopes, methods=["POST"]),
    Route("/api/v1/gateway/beats", beats, methods=["POST"]),
    Route("/api/v1/gateway/downlink", downlink, methods=["GET"]),
    Route("/api/v1/gateway/downlink/ack", downlink_ack, methods=["POST"]),
    Route("/api/v1/gateway/sms/reports", sms_reports, methods=["POST"]),
    Route("/api/v1/gateway/sms/inbound", sms_inbound, methods=["POST"]),
]


class FrontDoor:
    """Calls the endpoints on the way of a press past the framework's routing, which would cost 0.1 ms each way.

    Inside `Guards`, so that limits and headers hold; a fault of ours goes on to the framework's handler.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._endpoints = {route.path: route.endpoint for route in ROUTES if route.methods == {"POST"}}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await endpoint(request)
        except (HTTPException, TocsinError) as error:
            response = await answer_to(request, error)
        await response(scope, receive, send)
