"""Readiness: if someone presses here now, who rings, on what, and when was each contact last proven?"""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from tocsin_backend.api.calendars import At
from tocsin_backend.api.context import Parts
from tocsin_backend.api.documents import SeesReadiness
from tocsin_backend.api.policies import LineShape, line_shape
from tocsin_backend.api.strict_json import StrictRoute
from tocsin_backend.domain.readiness import VERDICTS, Readiness
from tocsin_backend.outlook import all_readiness, site_readiness

router = APIRouter(route_class=StrictRoute, tags=["readiness"])


class PostShape(BaseModel):
    id: str = Field(examples=["post-1"])
    name: str = Field(examples=["Grille nord"])
    presence: str = Field(examples=["alive"])
    probe_ms: int | None = Field(examples=[1764000000000])


class ReasonShape(BaseModel):
    """`code` is stable; `verdict` is what this reason alone makes of the site."""

    code: str = Field(examples=["contact-unproven"])
    verdict: str = Field(examples=["weak"])
    words: str = Field(examples=["a.martin: no contact proven in 90 days"])


class AnswerShape(BaseModel):
    """For the posts that share a policy: who rings, in order. `verdict` is ready, weak or not-ready."""

    policy: str = Field(examples=["jour"])
    version: int = Field(examples=[3])
    at_ms: int = Field(examples=[1764000000000])
    verdict: str = Field(examples=["weak"])
    reasons: list[ReasonShape]
    posts: list[PostShape]
    rings: list[LineShape]


class SiteReadinessShape(BaseModel):
    site: str = Field(examples=["emperi"])
    verdict: str = Field(examples=["weak"])
    answers: list[AnswerShape]


def _site(site: str, answers: list[Readiness]) -> SiteReadinessShape:
    shapes = [
        AnswerShape(
            policy=each.policy, version=each.version, at_ms=each.at_ms, verdict=each.verdict,
            reasons=[ReasonShape(code=r.code, verdict=r.verdict, words=r.words) for r in each.reasons],
            posts=[PostShape(id=p.id, name=p.name, presence=p.presence, probe_ms=p.probe_ms) for p in each.posts],
            rings=[line_shape(line) for line in each.rings.lines],
        )
        for each in answers
    ]  # fmt: skip
    return SiteReadinessShape(
        site=site, verdict=max((each.verdict for each in answers), key=VERDICTS.index), answers=shapes
    )


@router.get("/sites/{site}/readiness")
def readiness(site: str, who: SeesReadiness, parts: Parts, at: At = "") -> SiteReadinessShape:
    """The answer for a site, at a local time; empty: now."""
    with parts.database.read() as conn:
        return _site(site, site_readiness(conn, who.person.org, site, at, parts.settings, parts.now_ms()))


class ReadinessShape(BaseModel):
    sites: list[SiteReadinessShape]


@router.get("/readiness")
def organisation_readiness(who: SeesReadiness, parts: Parts) -> ReadinessShape:
    """The answer for every site of the organisation, now."""
    with parts.database.read() as conn:
        found = all_readiness(conn, who.person.org, parts.settings, parts.now_ms())
    return ReadinessShape(sites=[_site(name, answers) for name, answers in found.items()])
