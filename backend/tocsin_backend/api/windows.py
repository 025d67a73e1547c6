"""Drills and maintenance: announce, list, end, report; and a drill's alert that is real."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from tocsin_backend.api.context import Parts, Visitor, allowed
from tocsin_backend.api.errors import ApiError
from tocsin_backend.api.strict_json import StrictRoute
from tocsin_backend.domain import drill_report, rights, windows
from tocsin_backend.domain.windows import DRILL, Draft, Window
from tocsin_backend.drill_pages import as_csv, as_html, as_text
from tocsin_backend.drills import BadWindow
from tocsin_backend.store import board
from tocsin_backend.store import windows as store

router = APIRouter(route_class=StrictRoute, tags=["windows"])

Sees = Annotated[Visitor, Depends(allowed("see"))]
Answers = Annotated[Visitor, Depends(allowed("answer"))]
Maintains = Annotated[Visitor, Depends(allowed("run-maintenance"))]


# a report as the schema shows it; domain/drill_report.py says what each member is
REPORT = {
    "version": 1,
    "window": {
        "id": 12, "org": "demo", "site": "emperi", "title": "PPMS attentat", "starts_ms": 1764000000000,
        "ends_ms": 1764001800000, "ended_ms": 1764001800000,
    },
    "presses": 1,
    "alerts": [
        {
            "alert": "5f0c0e8e-6c2e-5b7f-9d53-2f6f7f2f8d11", "device": "bau-7", "site": "emperi",
            "raised_ms": 1764000600053, "contact_ms": 1764000600000, "presses": 1,
            "told": [
                {
                    "person": 12, "target": "person:12", "channel": "email", "status": "handed", "after_ms": 240,
                    "error": None,
                }
            ],
            "answers": [{"person": 12, "channel": "console", "after_ms": 21000}],
        }
    ],
    "answered": {"n": 1, "of": 1, "median_ms": 21000, "worst_ms": 21000},
    "unconfirmed": [],
    "never_pressed": [{"device": "bau-8", "name": "Grille sud", "site": "emperi", "site_name": "Lycée de l'Emperi"}],
}  # fmt: skip


class WindowShape(BaseModel):
    """`site` null: every site. `state`: announced, running or over; `ended_ms`: when it really ended."""

    id: int = Field(examples=[12])
    kind: str = Field(examples=["drill"])
    site: str | None = Field(examples=["emperi"])
    title: str = Field(examples=["PPMS attentat"])
    starts_ms: int = Field(examples=[1764000000000])
    ends_ms: int = Field(examples=[1764001800000])
    state: str = Field(examples=["announced"])
    ended_ms: int | None = Field(examples=[None])
    created_ms: int = Field(examples=[1763900000000])
    has_report: bool = Field(examples=[False])


def _shape(window: Window, now_ms: int) -> WindowShape:
    plain = {name: getattr(window, name) for name in WindowShape.model_fields if hasattr(window, name)}
    return WindowShape(**plain, state=windows.state_of(window, now_ms), has_report=bool(window.report))


class WindowBody(BaseModel):
    """`forced`: a drill that begins less than 2 min from now. At most 24 h; two of a kind may not overlap at a site."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "kind": "drill", "site": "emperi", "title": "PPMS attentat",
                    "starts_ms": 1764000000000, "ends_ms": 1764001800000,
                }
            ]
        },
    )  # fmt: skip
    kind: Literal["drill", "maintenance"]
    title: Annotated[str, Field(max_length=1000)]
    starts_ms: Annotated[int, Field(ge=0, le=2**53)]
    ends_ms: Annotated[int, Field(ge=0, le=2**53)]
    site: Annotated[str | None, Field(max_length=32)] = None
    forced: bool = False


@router.post("/windows", status_code=201)
def add_window(body: WindowBody, who: Maintains, parts: Parts) -> WindowShape:
    """Announces a drill or a maintenance. A drill marks the presses made inside it; maintenance mutes technical alerts.

    Wrong, it is refused whole, with every fault.
    """
    if body.kind == DRILL and not rights.may(who.person.role, "run-drills"):
        raise ApiError(403, "forbidden", f"the role {who.person.role} may not run-drills", "ask a supervisor")
    draft = Draft(body.site, body.kind, body.title, body.starts_ms, body.ends_ms)
    try:
        window = parts.engine.drills.add(who.person.org, draft, who.person.id, body.forced)
    except BadWindow as error:
        raise ApiError(422, "bad-window", str(error)) from None
    return _shape(window, parts.now_ms())


class WindowsShape(BaseModel):
    windows: list[WindowShape]


@router.get("/windows")
def list_windows(
    who: Sees,
    parts: Parts,
    kind: Literal["drill", "maintenance"] | None = None,
    site: Annotated[str | None, Query(max_length=32)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> WindowsShape:
    """The organisation's drills and maintenance, the newest beginning first."""
    with parts.database.read() as conn:
        found = store.listing(conn, who.person.org, kind, site, limit)
    return WindowsShape(windows=[_shape(window, parts.now_ms()) for window in found])


class EndBody(BaseModel):
    """`real`: this is no drill: each of its open alerts is raised at once as a real one."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"real": True}]})
    real: bool = False


@router.post("/windows/{window_id}/end")
def end_window(
    window_id: Annotated[int, Field(ge=1, le=2**53)], body: EndBody, who: Maintains, parts: Parts
) -> WindowShape:
    """Ends a window now. A drill may be ended by whoever may answer, a maintenance by whoever may announce one."""
    window = _one(parts, who.person.org, window_id)
    action = "answer" if window.kind == DRILL else "run-maintenance"
    if not rights.may(who.person.role, action, "call"):
        raise ApiError(403, "forbidden", f"the role {who.person.role} may not {action}", "ask a supervisor")
    ended = parts.engine.drills.end(who.person.org, window_id, who.person.id, body.real)
    return _shape(ended, parts.now_ms())


@router.get(
    "/windows/{window_id}/report",
    response_class=Response,
    responses={
        200: {
            "description": "the report; it keeps ids, never names",
            "content": {
                "application/json": {"schema": {"type": "object"}, "example": REPORT},
                "text/html": {},
                "text/csv": {},
                "text/plain": {},
            },
        }
    },
)
def report(
    window_id: Annotated[int, Field(ge=1, le=2**53)],
    who: Sees,
    parts: Parts,
    form: Literal["json", "html", "text", "csv"] = "json",
    language: Literal["fr", "en"] = "fr",
) -> Response:
    """The report of a drill that is over: who was told, answered in what time, what did not confirm."""
    window = _one(parts, who.person.org, window_id)
    if not window.report:
        raise ApiError(404, "no-report", "there is no report: the drill is not over, or it never began")
    with parts.database.read() as conn:
        names = board.people_names(conn, who.person.org)
    if form == "json":
        return Response(window.report, media_type="application/json")
    written = drill_report.load(window.report)
    lines = drill_report.lines(written, names, language)
    if form == "text":
        return Response(as_text(lines), media_type="text/plain; charset=utf-8")
    if form == "html":
        return Response(as_html(lines, language), media_type="text/html; charset=utf-8")
    return Response(as_csv(drill_report.table(written, names)), media_type="text/csv; charset=utf-8")


class RealShape(BaseModel):
    """`alert`: the real alert that was raised."""

    alert: str = Field(examples=["5f0c0e8e-6c2e-5b7f-9d53-2f6f7f2f8d11"])


@router.post("/alerts/{alert_id}/make-real")
def make_real(alert_id: str, who: Answers, parts: Parts) -> RealShape:
    """This drill's alert is no drill: a real alert is raised at once, by the normal path, and the drill's is closed."""
    return RealShape(alert=parts.engine.drills.make_real(who.person.org, alert_id, who.person.id))


def _one(parts: Parts, org: str, window_id: int) -> Window:
    with parts.database.read() as conn:
        window = store.get(conn, org, window_id)
    if window is None:
        raise ApiError(404, "not-found", "there is no such window")
    return window
