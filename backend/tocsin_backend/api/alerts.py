"""Alerts: what was called, who was told, who took it; and the three things a person can do about one."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from tocsin_backend.api.context import Parts, Services, Visitor, allowed
from tocsin_backend.api.errors import ApiError
from tocsin_backend.api.strict_json import StrictRoute
from tocsin_backend.domain import latency
from tocsin_backend.domain.alerts import PROGRESS, REASONS
from tocsin_backend.store import board, listings

router = APIRouter(route_class=StrictRoute, tags=["alerts"])
TEXT_MAX = 2_000

Sees = Annotated[Visitor, Depends(allowed("see"))]
Answers = Annotated[Visitor, Depends(allowed("answer"))]
Closes = Annotated[Visitor, Depends(allowed("close"))]
Escalates = Annotated[Visitor, Depends(allowed("escalate"))]

STATUSES = {
    "open": ("raised", "answered"),
    "raised": ("raised",),
    "answered": ("answered",),
    "closed": ("closed",),
    "all": ("raised", "answered", "closed"),
}


class NoticesShape(BaseModel):
    """How many notices to persons there are, how many reached a relay or a person, how many failed for good."""

    total: int
    reached: int
    failed: int


class AlertShape(BaseModel):
    """Instants are epoch ms, UTC. `epoch`, `pass` and `step` are what an answer or an escalation quotes."""

    id: str
    site: str
    site_name: str
    device: str
    device_name: str
    kind: str
    category: str
    mode: str
    silent: bool
    subject: str
    status: str
    condition: str
    epoch: int
    pass_: Annotated[int, Field(serialization_alias="pass")]
    step: int
    due_ms: int | None
    unanswered: bool
    presses: int
    raised_ms: int
    answered_ms: int | None
    answered_by: str | None
    closed_ms: int | None
    closed_by: str | None
    reason: str | None
    lamp: str | None
    notices: NoticesShape


class DispatchShape(BaseModel):
    kind: str
    target: str
    channel: str
    person: str | None
    status: str
    attempts: int
    error: str | None
    created_ms: int
    handed_ms: int | None
    delivered_ms: int | None
    seen_ms: int | None


class EntryShape(BaseModel):
    id: int
    origin: str
    at_ms: int
    what: str
    data: dict[str, Any]


class HopShape(BaseModel):
    """One instant of a press: `ms` after the contact."""

    hop: str
    ms: int


class LedgerShape(BaseModel):
    b: int
    n: int
    contact_ms: int
    hops: list[HopShape]


class SignalShape(BaseModel):
    device: str
    b: int
    n: int
    kind: str
    contact_ms: int
    quality: str
    stored_ms: int
    tries: int
    gateway: str


class AlertDetail(AlertShape):
    policy: dict[str, Any]
    dispatches: list[DispatchShape]
    timeline: list[EntryShape]
    ledger: list[LedgerShape]
    signals: list[SignalShape]


def _members(row: board.AlertRow) -> dict[str, Any]:
    plain = {name: getattr(row, name) for name in AlertShape.model_fields if hasattr(row, name) and name != "notices"}
    notices = NoticesShape(total=row.notices, reached=row.reached, failed=row.failed)
    return plain | {"answered_by": row.owner, "closed_by": row.closer, "notices": notices}


def _ledger(row: board.LedgerRow) -> LedgerShape:
    ledger = latency.Ledger(**{f"{hop}_ms": getattr(row, f"{hop}_ms") for hop in latency.HOPS})
    hops = [HopShape(hop=hop, ms=ms) for hop, ms in latency.hops(ledger)]
    return LedgerShape(b=row.b, n=row.n, contact_ms=row.contact_ms, hops=hops)


def _one(parts: Services, org: str, alert_id: str) -> AlertShape:
    with parts.database.read() as conn:
        row = board.alert(conn, org, alert_id)
    if row is None:
        raise ApiError(404, "not-found", "there is no such alert")
    return AlertShape(**_members(row))


@router.get("/alerts")
def list_alerts(
    who: Sees,
    parts: Parts,
    status: Literal["open", "raised", "answered", "closed", "all"] = "open",
    mode: Literal["real", "drill", "probe"] | None = None,
    device: Annotated[str | None, Query(max_length=32)] = None,
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, list[AlertShape]]:
    """The organisation's alerts, the newest first; `before` is the last `raised_ms` of the page before.

    Probes are told only where `mode` asks for them.
    """
    modes = ("real", "drill") if mode is None else (mode,)
    with parts.database.read() as conn:
        ids = listings.alert_ids(conn, who.person.org, STATUSES[status], device, before, limit, modes)
        rows = {row.id: row for row in board.alerts_by_id(conn, ids)}
    return {"alerts": [AlertShape(**_members(rows[alert_id])) for alert_id in ids if alert_id in rows]}


@router.get("/alerts/{alert_id}")
def get_alert(alert_id: str, who: Sees, parts: Parts) -> AlertDetail:
    """One alert, with everybody who was told, its timeline and the ledger of each press."""
    with parts.database.read() as conn:
        row = board.alert(conn, who.person.org, alert_id)
        if row is None:
            raise ApiError(404, "not-found", "there is no such alert")
        notices = board.notices(conn, alert_id)
        entries = board.timeline(conn, alert_id)
        ledgers = board.ledgers(conn, alert_id)
        signals = listings.signals(conn, alert_id)
    return AlertDetail(
        **_members(row),
        policy=json.loads(row.frozen),
        dispatches=[
            DispatchShape(**{name: getattr(notice, name) for name in DispatchShape.model_fields}) for notice in notices
        ],
        timeline=[
            EntryShape(id=each.id, origin=each.origin, at_ms=each.at_ms, what=each.what, data=json.loads(each.data))
            for each in entries
        ],
        ledger=[_ledger(each) for each in ledgers],
        signals=[SignalShape(**each) for each in signals],
    )


class AnswerBody(BaseModel):
    """`epoch`: the alert's epoch as the person saw it; an answer to an older one is recorded and changes nothing."""

    model_config = ConfigDict(extra="forbid", strict=True)
    epoch: Annotated[int, Field(ge=1, le=2**31)]


class CloseBody(BaseModel):
    """`epoch`: the alert's epoch as the person saw it; a close of an older one is recorded and changes nothing."""

    model_config = ConfigDict(extra="forbid", strict=True)
    epoch: Annotated[int, Field(ge=1, le=2**31)]
    reason: Literal[REASONS]  # type: ignore[valid-type]
    text: Annotated[str, Field(max_length=TEXT_MAX)] = ""


class ProgressBody(BaseModel):
    """`epoch`: the alert's epoch as the person saw it; what is said of an older one is recorded and changes nothing."""

    model_config = ConfigDict(extra="forbid", strict=True)
    epoch: Annotated[int, Field(ge=1, le=2**31)]
    progress: Literal[PROGRESS]  # type: ignore[valid-type]


class EscalateBody(BaseModel):
    """What the person saw; when the alert has moved on since, nothing changes."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    epoch: Annotated[int, Field(ge=1, le=2**31)]
    pass_: Annotated[int, Field(alias="pass", ge=1, le=2**31)]
    step: Annotated[int, Field(ge=0, le=2**31)]


class OutcomeShape(BaseModel):
    """What came of it, and the alert as it is now.

    `outcome`: won, taken (by somebody else), late; closed, second-needed (a silent alert and a threat take two people);
    recorded, reopened; stale; escalated; ignored.
    """

    outcome: str
    alert: AlertShape


@router.post("/alerts/{alert_id}/answer")
def answer(alert_id: str, body: AnswerBody, who: Answers, parts: Parts) -> OutcomeShape:
    """Takes the alert. Of two people at once one has won; the other is told who."""
    outcome = parts.engine.answer(who.person.org, alert_id, who.person.id, "api", epoch=body.epoch)
    return OutcomeShape(outcome=outcome, alert=_one(parts, who.person.org, alert_id))


@router.post("/alerts/{alert_id}/close")
def close(alert_id: str, body: CloseBody, who: Closes, parts: Parts) -> OutcomeShape:
    """Closes the alert, for good; an alert that was raised again since it was seen stays open."""
    outcome = parts.engine.close(who.person.org, alert_id, who.person.id, body.reason, body.text, body.epoch)
    return OutcomeShape(outcome=outcome, alert=_one(parts, who.person.org, alert_id))


@router.post("/alerts/{alert_id}/progress")
def progress(alert_id: str, body: ProgressBody, who: Answers, parts: Parts) -> OutcomeShape:
    """Says how it goes. On the way or on site puts the answer timeout back; needing help raises the alert again."""
    outcome = parts.engine.progress(who.person.org, alert_id, who.person.id, body.progress, body.epoch)
    return OutcomeShape(outcome=outcome, alert=_one(parts, who.person.org, alert_id))


@router.post("/alerts/{alert_id}/escalate")
def escalate(alert_id: str, body: EscalateBody, who: Escalates, parts: Parts) -> OutcomeShape:
    """Fires the next step now."""
    outcome = parts.engine.escalate(who.person.org, alert_id, who.person.id, body.epoch, body.pass_, body.step)
    return OutcomeShape(outcome=outcome, alert=_one(parts, who.person.org, alert_id))
