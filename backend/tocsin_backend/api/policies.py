"""Policies: who is told next, and when, if nobody answered. Versions, doubts, and the dry run of a press."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from tocsin_backend.api.context import Parts, Visitor, allowed
from tocsin_backend.api.documents import (
    LOCAL_TIME,
    NAME,
    DocumentBody,
    SavedShape,
    SeesPlans,
    VerdictShape,
    WritesPlans,
    verdict,
)
from tocsin_backend.api.errors import ApiError
from tocsin_backend.api.strict_json import StrictRoute
from tocsin_backend.domain.dry_run import MAX_MINUTES, Line
from tocsin_backend.outlook import Press, Tried, lint_policy, try_press
from tocsin_backend.store import policies

router = APIRouter(route_class=StrictRoute, tags=["policies"])
Sees = Annotated[Visitor, Depends(allowed("see"))]


class PolicyShape(BaseModel):
    """`policy` is the policy as it is frozen into an alert; `source` the file that was imported."""

    id: str = Field(examples=["jour"])
    title: str = Field(examples=["Le jour"])
    version: int = Field(examples=[3])
    created_ms: int = Field(examples=[1764000000000])
    created_by: str = Field(examples=["a.martin"])
    policy: dict[str, Any] = Field(
        examples=[{"id": "jour", "steps": [{"delay_ms": 30000, "targets": [{"channel": "console"}]}]}]
    )
    source: str = Field(examples=['id = "jour"\n…'])


def _policy(row: dict[str, Any]) -> PolicyShape:
    members = {name: row[name] for name in PolicyShape.model_fields if name != "policy"}
    return PolicyShape(**members, policy=json.loads(row["body"]))


def _unknown(policy: str) -> ApiError:
    return ApiError(404, "not-found", f"there is no policy {policy[:40]!r}")


class PoliciesShape(BaseModel):
    policies: list[PolicyShape]


@router.get("/policies")
def list_policies(who: Sees, parts: Parts) -> PoliciesShape:
    """The current version of each policy."""
    with parts.database.read() as conn:
        rows = policies.all_current(conn, who.person.org)
    return PoliciesShape(policies=[_policy(row) for row in rows])


@router.get("/policies/{policy}")
def get_policy(policy: str, who: Sees, parts: Parts) -> PolicyShape:
    """The current version of a policy."""
    with parts.database.read() as conn:
        row = policies.current(conn, who.person.org, policy)
    if row is None:
        raise _unknown(policy)
    return _policy(row)


class VersionsShape(BaseModel):
    versions: list[PolicyShape]


@router.get("/policies/{policy}/versions")
def policy_versions(policy: str, who: SeesPlans, parts: Parts) -> VersionsShape:
    """Every version of a policy, the newest first; none was ever changed."""
    with parts.database.read() as conn:
        rows = policies.versions(conn, who.person.org, policy)
    if not rows:
        raise _unknown(policy)
    return VersionsShape(versions=[_policy(row) for row in rows])


class SavedPolicyShape(SavedShape):
    steps: int = Field(examples=[2])


@router.post("/policies/validate")
def validate_policy(body: DocumentBody, who: Sees, parts: Parts) -> VerdictShape:
    """Lists everything that is wrong with a policy; changes nothing."""
    person = who.person
    return verdict(lambda: parts.plans.import_policy(person.org, body.source, person.login, check_only=True))


@router.post("/policies/import")
def import_policy(body: DocumentBody, who: WritesPlans, parts: Parts) -> SavedPolicyShape:
    """Saves a policy as its next version; alerts that are open keep the version they began with."""
    return SavedPolicyShape(**parts.plans.import_policy(who.person.org, body.source, who.person.login))


class DoubtShape(BaseModel):
    code: str = Field(examples=["roster-gap"])
    path: str = Field(examples=["step[1].targets[0]"])
    reason: str = Field(examples=["nobody is on the roster 'astreinte' from 2026-12-24 08:00+01:00 to …"])


class DoubtsShape(BaseModel):
    doubts: list[DoubtShape]


@router.get("/policies/{policy}/lint")
def lint(policy: str, who: SeesPlans, parts: Parts) -> DoubtsShape:
    """What is unwise in the current version, as things stand and in the next 90 days."""
    with parts.database.read() as conn:
        found = lint_policy(conn, who.person.org, policy, parts.settings, parts.now_ms())
    return DoubtsShape(doubts=[DoubtShape(code=each.code, path=each.path, reason=each.reason) for each in found])


class PressBody(BaseModel):
    """A press to try. `at`: local time of the site; empty: now. `device`, `policy`: empty: what a press there has."""

    model_config = ConfigDict(extra="forbid", strict=True)
    site: str = Field(pattern=NAME, examples=["emperi"])
    device: str = Field(default="", max_length=32, examples=[""])
    policy: str = Field(default="", max_length=32, examples=[""])
    category: str = Field(default="call", max_length=16, examples=["call"])
    mode: str = Field(default="real", max_length=16, examples=["real"])
    silent: bool = Field(default=False, examples=[False])
    at: str = Field(default="", max_length=40, examples=[LOCAL_TIME])
    minutes: int = Field(default=15, ge=1, le=MAX_MINUTES, examples=[15])


class LineShape(BaseModel):
    """Who is told, by what, how long after the press. `what` is told, empty-step, unanswered or above; `step` is from
    0 on.

    above: the organisation above is told, `target` names it. `why_not`: "", or why this channel cannot leave the
    server (no-relay, no-provider, gateway-unheard): nobody is reached by this line.
    """

    offset_ms: int = Field(examples=[30000])
    pass_: int = Field(alias="pass", examples=[1])
    step: int = Field(examples=[0])
    what: str = Field(examples=["told"])
    channel: str = Field(examples=["sms"])
    target: str = Field(examples=["person:12"])
    login: str | None = Field(examples=["a.martin"])
    name: str | None = Field(examples=["Alice Martin"])
    org: str | None = Field(examples=["demo"])
    external: bool = Field(examples=[False])
    verified_ms: int | None = Field(examples=[1764000000000])
    proven_ms: int | None = Field(examples=[1764000000000])
    why_not: str = Field(examples=[""])


class TriedShape(BaseModel):
    policy: str = Field(examples=["jour"])
    version: int = Field(examples=[3])
    at_ms: int = Field(examples=[1798074600000])
    at: str = Field(examples=["2026-12-24 02:10+01:00"])
    zone: str = Field(examples=["Europe/Paris"])
    lines: list[LineShape]
    cut: bool = Field(examples=[False])


def line_shape(line: Line) -> LineShape:
    person, method = line.person, line.method
    return LineShape(
        offset_ms=line.offset_ms, **{"pass": line.pass_}, step=line.step, what=line.what, channel=line.channel,
        target=line.target, login=None if person is None else person.login,
        name=None if person is None else person.name, org=None if person is None else person.org,
        external=method is not None and method.external,
        verified_ms=None if method is None else method.verified_ms,
        proven_ms=None if method is None else method.proven_ms,
        why_not=line.why_not,
    )  # fmt: skip


def tried_shape(tried: Tried) -> TriedShape:
    return TriedShape(
        policy=tried.policy.id, version=tried.version, at_ms=tried.at_ms, at=tried.at, zone=tried.zone,
        lines=[line_shape(line) for line in tried.run.lines], cut=tried.run.cut,
    )  # fmt: skip


@router.post("/dry-run", responses={404: {}})
def dry_run(body: PressBody, who: SeesPlans, parts: Parts) -> TriedShape:
    """Press there then: who, by what, when, if nobody answers. The real engine runs it; nobody is told anything."""
    with parts.database.read() as conn:
        return tried_shape(try_press(conn, who.person.org, Press(**body.model_dump()), parts.settings, parts.now_ms()))
