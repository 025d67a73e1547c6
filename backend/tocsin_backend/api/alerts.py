"""Alerts: what was called, who was told, who took it; and the three things a person can do about one."""

import dataclasses
import json
import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from tocsin_backend.api.context import Parts, Services, Visitor, allowed
from tocsin_backend.api.errors import ApiError
from tocsin_backend.api.strict_json import StrictRoute
from tocsin_backend.domain import latency
from tocsin_backend.domain.alerts import PROGRESS, REASONS
from tocsin_backend.store import board, listings

router = APIRouter(route_class=StrictRoute, tags=["alerts"])
TEXT_MAX = 2_000
ALERT_ID = "5f0c0e8e-6c2e-5b7f-9d53-2f6f7f2f8d11"

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

    total: int = Field(examples=[3])
    reached: int = Field(examples=[2])
    failed: int = Field(examples=[1])


class AlertWindowShape(BaseModel):
    """The drill that an alert belongs to."""

    id: int = Field(examples=[12])
    title: str = Field(examples=["PPMS attentat"])
    ends_ms: int = Field(examples=[1764001800000])


class CloseAskedShape(BaseModel):
    """One of the two people who close a silent alert or a threat has asked for it."""

    by: str = Field(examples=["Alice Martin"])
    reason: str = Field(examples=["false"])


class AlertShape(BaseModel):
    """Instants are epoch ms, UTC. `epoch`, `pass` and `step` are what an answer or an escalation quotes.

    `step` counts from 0, `pass` and `epoch` from 1; whatever is shown to people counts steps from 1.
    `org`: whose people are told; `device_org`: whose device it is, another's where that one's call stays unanswered.
    `site`, `device`: null for a technical alert about none. `severity` grows with each run of presses that the policy
    names. `progress`: what whoever has it said last ("", en-route, on-site, needs-help). `scenario`, of a threat:
    attack, shelter, evacuate. `about`: the other organisation's alert that this one speaks of. `previous`: the alert
    of the same device and kind before this one. `window`: the drill, null outside one.
    """

    id: str = Field(examples=[ALERT_ID])
    org: str = Field(examples=["demo"])
    device_org: str = Field(examples=["demo"])
    site: str | None = Field(examples=["emperi"])
    site_name: str = Field(examples=["Lycée de l'Emperi"])
    device: str | None = Field(examples=["bau-7"])
    device_name: str = Field(examples=["Grille nord"])
    kind: str = Field(examples=["call_post"])
    category: str = Field(examples=["call"])
    mode: str = Field(examples=["real"])
    silent: bool = Field(examples=[False])
    scenario: str = Field(examples=[""])
    subject: str = Field(examples=[""])
    status: str = Field(examples=["answered"])
    condition: str = Field(examples=["active"])
    epoch: int = Field(examples=[1])
    pass_: Annotated[int, Field(serialization_alias="pass", examples=[1])]
    step: int = Field(examples=[0])
    due_ms: int | None = Field(examples=[1764000913000])
    unanswered: bool = Field(examples=[False])
    presses: int = Field(examples=[2])
    severity: int = Field(examples=[0])
    progress: str = Field(examples=["en-route"])
    raised_ms: int = Field(examples=[1764000000053])
    answered_ms: int | None = Field(examples=[1764000013000])
    answered_by: str | None = Field(examples=["Alice Martin"])
    close_asked: CloseAskedShape | None = Field(examples=[None])
    closed_ms: int | None = Field(examples=[None])
    closed_by: str | None = Field(examples=[None])
    reason: str | None = Field(examples=[None])
    window: AlertWindowShape | None = Field(examples=[None])
    about: str | None = Field(examples=[None])
    previous: str | None = Field(examples=[None])
    lamp: str | None = Field(examples=["answered"])
    notices: NoticesShape


class AlertsShape(BaseModel):
    alerts: list[AlertShape]


class DispatchShape(BaseModel):
    """One message by one channel, or one order. `class`: its urgency, 0 the first.

    `maybe_dup`: perhaps sent twice, under the same id. `error`: what the channel last said.
    """

    kind: str = Field(examples=["notify"])
    target: str = Field(examples=["person:12"])
    channel: str = Field(examples=["sms"])
    person: str | None = Field(examples=["Alice Martin"])
    class_: Annotated[int, Field(serialization_alias="class", examples=[0])]
    status: str = Field(examples=["delivered"])
    attempts: int = Field(examples=[1])
    maybe_dup: bool = Field(examples=[False])
    error: str | None = Field(examples=[None])
    created_ms: int = Field(examples=[1764000000053])
    handed_ms: int | None = Field(examples=[1764000000310])
    delivered_ms: int | None = Field(examples=[1764000004200])
    seen_ms: int | None = Field(examples=[None])


class AlertAnswerShape(BaseModel):
    """A person who took the alert, in which epoch, and what she said of it last."""

    person: str = Field(examples=["Alice Martin"])
    channel: str = Field(examples=["sms"])
    epoch: int = Field(examples=[1])
    at_ms: int = Field(examples=[1764000013000])
    progress: str = Field(examples=["en-route"])
    progress_ms: int | None = Field(examples=[1764000041000])


class EntryShape(BaseModel):
    """One line of the timeline. A person in `data` is a number; `people` of the alert has the name."""

    id: int = Field(examples=[4711])
    origin: str = Field(examples=["backend"])
    at_ms: int = Field(examples=[1764000013000])
    what: str = Field(examples=["answered"])
    data: dict[str, Any] = Field(examples=[{"channel": "sms", "epoch": 1, "person": 12}])


class HopShape(BaseModel):
    """One instant of a press: `ms` after the contact."""

    hop: str = Field(examples=["stored"])
    ms: int = Field(examples=[53])


class LedgerShape(BaseModel):
    b: int = Field(examples=[812])
    n: int = Field(examples=[7])
    contact_ms: int = Field(examples=[1764000000000])
    hops: list[HopShape]


class SignalShape(BaseModel):
    device: str = Field(examples=["bau-7"])
    b: int = Field(examples=[812])
    n: int = Field(examples=[7])
    kind: str = Field(examples=["press"])
    contact_ms: int = Field(examples=[1764000000000])
    quality: str = Field(examples=["ntp"])
    stored_ms: int = Field(examples=[1764000000053])
    tries: int = Field(examples=[1])
    gateway: str = Field(examples=["gw-1"])


class AlertDetail(AlertShape):
    """`policy`: as it was when the alert was raised. `people`: the names behind the numbers in the timeline."""

    policy: dict[str, Any] = Field(
        examples=[{"id": "jour", "steps": [{"delay_ms": 30000, "targets": [{"channel": "console"}]}]}]
    )
    answers: list[AlertAnswerShape]
    dispatches: list[DispatchShape]
    timeline: list[EntryShape]
    people: dict[int, str] = Field(examples=[{"12": "Alice Martin"}])
    ledger: list[LedgerShape]
    signals: list[SignalShape]


# a person in the data of a timeline's entry: "person": 12, "taken_by": 12, "made_real_by": 12, "person:12"
PERSON = re.compile(r'(?:"person":|"taken_by":|"made_real_by":|person:)(\d+)')
# what an answer calls it -> what the row does
RENAMED = {"answered_by": "owner", "closed_by": "closer", "about": "about_id", "previous": "previous_id"}


def _members(row: board.AlertRow) -> dict[str, Any]:
    built: dict[str, Any] = {"close_asked": None, "window": None}
    built["notices"] = NoticesShape(total=row.notices, reached=row.reached, failed=row.failed)
    if row.close_asked_by is not None:
        built["close_asked"] = CloseAskedShape(by=row.close_asked_by, reason=row.close_asked_reason or "")
    if row.window_id is not None:
        built["window"] = AlertWindowShape(id=row.window_id, title=row.window_title, ends_ms=row.window_ends_ms)
    names = [name for name in AlertShape.model_fields if name not in built]
    return built | {name: getattr(row, RENAMED.get(name, name)) for name in names}


def _ledger(row: board.LedgerRow) -> LedgerShape:
    ledger = latency.Ledger(**{f"{hop}_ms": getattr(row, f"{hop}_ms") for hop in latency.HOPS})
    hops = [HopShape(hop=hop, ms=ms) for hop, ms in latency.hops(ledger)]
    return LedgerShape(b=row.b, n=row.n, contact_ms=row.contact_ms, hops=hops)


def _row(conn: Connection, who: Visitor, alert_id: str) -> board.AlertRow:
    """The alert of the visitor's organisation, or one of another's of which she was told. Raises ApiError 404."""
    row = board.alert(conn, who.person.org, alert_id, who.person.id)
    if row is None:
        raise ApiError(404, "not-found", "there is no such alert")
    return row


def _outcome(outcome: str, who: Visitor, parts: Services, alert_id: str) -> "OutcomeShape":
    with parts.database.read() as conn:
        return OutcomeShape(outcome=outcome, alert=AlertShape(**_members(_row(conn, who, alert_id))))


@router.get("/alerts")
def list_alerts(
    who: Sees,
    parts: Parts,
    status: Literal["open", "raised", "answered", "closed", "all"] = "open",
    mode: Literal["real", "drill", "probe"] | None = None,
    category: Literal["call", "personal", "threat", "technical"] | None = None,
    whose: Literal["own", "told"] = "own",
    device: Annotated[str | None, Query(max_length=32)] = None,
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AlertsShape:
    """The organisation's alerts, the newest first; `before` is the last `raised_ms` of the page before.

    Probes are told only where `mode` asks for them. With `whose=told`: those of other organisations of which whoever
    asks was told, at a desk.
    """
    modes = ("real", "drill") if mode is None else (mode,)
    with parts.database.read() as conn:
        ids = listings.alert_ids(
            conn, who.person.org, STATUSES[status], device, before, limit, modes, category,
            told=who.person.id if whose == "told" else None,
        )  # fmt: skip
        rows = {row.id: row for row in board.alerts_by_id(conn, ids)}
    return AlertsShape(alerts=[AlertShape(**_members(rows[alert_id])) for alert_id in ids if alert_id in rows])


@router.get("/alerts/{alert_id}")
def get_alert(alert_id: str, who: Sees, parts: Parts) -> AlertDetail:
    """One alert, with everybody who was told, who answered, its timeline and the ledger of each press.

    An alert of another organisation is shown to whoever was told of it.
    """
    with parts.database.read() as conn:
        row = _row(conn, who, alert_id)
        notices = board.notices(conn, alert_id)
        answers = board.answers(conn, alert_id)
        entries = board.timeline(conn, alert_id)
        names = board.people_names(conn, row.org, alert_id)
        ledgers = board.ledgers(conn, alert_id)
        signals = listings.signals(conn, alert_id)
    timeline = [
        EntryShape(id=each.id, origin=each.origin, at_ms=each.at_ms, what=each.what, data=json.loads(each.data))
        for each in entries
    ]
    spoken_of = {int(number) for each in entries for number in PERSON.findall(each.data)}
    return AlertDetail(
        **_members(row),
        policy=json.loads(row.frozen),
        answers=[AlertAnswerShape(**dataclasses.asdict(each)) for each in answers],
        dispatches=[DispatchShape(**dataclasses.asdict(each)) for each in notices],
        timeline=timeline,
        people={number: name for number, name in names.items() if number in spoken_of},
        ledger=[_ledger(each) for each in ledgers],
        signals=[SignalShape(**each) for each in signals],
    )


class AnswerBody(BaseModel):
    """`epoch`: the alert's epoch as the person saw it; an answer to an older one is recorded and changes
    nothing, one to an epoch that has not begun is refused (422)."""

    model_config = ConfigDict(extra="forbid", strict=True)
    epoch: Annotated[int, Field(ge=1, le=2**31, examples=[1])]


class CloseBody(BaseModel):
    """`epoch`: the alert's epoch as the person saw it; a close of an older one is recorded and changes
    nothing, one of an epoch that has not begun is refused (422)."""

    model_config = ConfigDict(extra="forbid", strict=True)
    epoch: Annotated[int, Field(ge=1, le=2**31, examples=[1])]
    reason: Literal[REASONS] = Field(examples=["false"])  # type: ignore[valid-type]
    text: Annotated[str, Field(max_length=TEXT_MAX)] = Field(default="", examples=["une blague d'élève"])


class ProgressBody(BaseModel):
    """`epoch`: the alert's epoch as the person saw it; what is said of an older one is recorded and
    changes nothing, of an epoch that has not begun it is refused (422)."""

    model_config = ConfigDict(extra="forbid", strict=True)
    epoch: Annotated[int, Field(ge=1, le=2**31, examples=[1])]
    progress: Literal[PROGRESS] = Field(examples=["en-route"])  # type: ignore[valid-type]


class EscalateBody(BaseModel):
    """What the person saw; when the alert has moved on since, nothing changes; an epoch that has not begun is
    refused (422). `step` counts from 0."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    epoch: Annotated[int, Field(ge=1, le=2**31, examples=[1])]
    pass_: Annotated[int, Field(alias="pass", ge=1, le=2**31, examples=[1])]
    step: Annotated[int, Field(ge=0, le=2**31, examples=[0])]


class OutcomeShape(BaseModel):
    """What came of it, and the alert as it is now.

    `outcome`: won, taken (by somebody else), late; closed, second-needed (a silent alert and a threat take two people);
    recorded, reopened; stale; escalated; ignored.
    """

    outcome: str = Field(examples=["won"])
    alert: AlertShape


@router.post("/alerts/{alert_id}/answer")
def answer(alert_id: str, body: AnswerBody, who: Answers, parts: Parts) -> OutcomeShape:
    """Takes the alert. Of two people at once one has won; the other is told who."""
    outcome = parts.engine.answer(who.person.org, alert_id, who.person.id, "api", epoch=body.epoch)
    return _outcome(outcome, who, parts, alert_id)


@router.post("/alerts/{alert_id}/close")
def close(alert_id: str, body: CloseBody, who: Closes, parts: Parts) -> OutcomeShape:
    """Closes the alert, for good; an alert that was raised again since it was seen stays open.

    A silent alert and a threat are closed by two people: the first hears `second-needed`, and `close_asked` says who.
    """
    outcome = parts.engine.close(who.person.org, alert_id, who.person.id, body.reason, body.text, body.epoch)
    return _outcome(outcome, who, parts, alert_id)


@router.post("/alerts/{alert_id}/progress")
def progress(alert_id: str, body: ProgressBody, who: Answers, parts: Parts) -> OutcomeShape:
    """Says how it goes. On the way or on site puts the answer timeout back; needing help raises the alert again."""
    outcome = parts.engine.progress(who.person.org, alert_id, who.person.id, body.progress, body.epoch)
    return _outcome(outcome, who, parts, alert_id)


@router.post("/alerts/{alert_id}/escalate")
def escalate(alert_id: str, body: EscalateBody, who: Escalates, parts: Parts) -> OutcomeShape:
    """Fires the next step now."""
    outcome = parts.engine.escalate(who.person.org, alert_id, who.person.id, body.epoch, body.pass_, body.step)
    return _outcome(outcome, who, parts, alert_id)
