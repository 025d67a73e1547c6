"""The organisation itself, its desks, and who may tell which desk."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from tocsin_backend.api.context import Parts
from tocsin_backend.api.documents import NAME, DoneShape, SeesPlans, WritesPlans
from tocsin_backend.api.strict_json import StrictRoute
from tocsin_backend.plans import need_organisation
from tocsin_backend.store import desks

router = APIRouter(route_class=StrictRoute, tags=["organisations"])
Name = Annotated[str, Path(pattern=NAME)]


class OrganisationShape(BaseModel):
    """`parent`: the organisation that is told of what is unanswered here."""

    id: str = Field(examples=["demo"])
    name: str = Field(examples=["Région Démo"])
    language: str = Field(examples=["fr"])
    timezone: str = Field(examples=["Europe/Paris"])
    parent: str | None = Field(examples=["ville"])
    technical_policy: str | None = Field(examples=[None])


@router.get("/organisation")
def organisation(who: SeesPlans, parts: Parts) -> OrganisationShape:
    """The organisation of whoever asks."""
    with parts.database.read() as conn:
        row = need_organisation(conn, who.person.org)
    return OrganisationShape(**{name: row[name] for name in OrganisationShape.model_fields})


class ParentBody(BaseModel):
    """null: nobody above. It must have invited this organisation to one of its desks."""

    model_config = ConfigDict(extra="forbid", strict=True)
    parent: Annotated[str, Field(pattern=NAME)] | None = Field(examples=["ville"])


@router.put("/organisation/parent")
def set_parent(body: ParentBody, who: WritesPlans, parts: Parts) -> DoneShape:
    """Chooses the organisation that is told of what is unanswered here; 403 until it has invited this one to a desk."""
    parts.plans.set_parent(who.person.org, body.parent, invited_only=True)
    return DoneShape()


class TimezoneBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    timezone: str = Field(max_length=64, examples=["Europe/Paris"])


@router.put("/organisation/timezone")
def set_timezone(body: TimezoneBody, who: WritesPlans, parts: Parts) -> DoneShape:
    """The local time of rosters that name none."""
    parts.plans.set_timezone(who.person.org, body.timezone)
    return DoneShape()


class GuestShape(BaseModel):
    org: str = Field(examples=["lycees"])
    external: bool = Field(examples=[True])
    created_ms: int = Field(examples=[1764000000000])


class DeskShape(BaseModel):
    """A desk of this organisation, and who may tell it."""

    id: str = Field(examples=["pm"])
    title: str = Field(examples=["Police municipale"])
    role: str = Field(examples=["supervisor"])
    roster: str = Field(examples=[""])
    invitations: list[GuestShape]


class HostShape(BaseModel):
    """A desk of another organisation that this one may tell; a policy writes it `host/desk`."""

    host: str = Field(examples=["ville"])
    desk: str = Field(examples=["pm"])
    title: str = Field(examples=["Police municipale"])
    external: bool = Field(examples=[True])
    created_ms: int = Field(examples=[1764000000000])
    revoked_ms: int | None = Field(examples=[None])


class DesksShape(BaseModel):
    desks: list[DeskShape]
    invited_to: list[HostShape]


def _desk(row: dict[str, Any]) -> DeskShape:
    return DeskShape(**{name: row[name] for name in DeskShape.model_fields})


@router.get("/desks")
def list_desks(who: SeesPlans, parts: Parts) -> DesksShape:
    """The organisation's desks, and those of others to which it was invited."""
    with parts.database.read() as conn:
        own, others = desks.listing(conn, who.person.org), desks.invitations_to(conn, who.person.org)
    return DesksShape(desks=[_desk(row) for row in own], invited_to=[HostShape(**row) for row in others])


class DeskBody(BaseModel):
    """Exactly one of `role` and `roster`."""

    model_config = ConfigDict(extra="forbid", strict=True)
    title: str = Field(max_length=120, examples=["Police municipale"])
    role: str = Field(default="", max_length=32, examples=["supervisor"])
    roster: str = Field(default="", max_length=32, examples=[""])


@router.put("/desks/{desk}")
def save_desk(desk: Name, body: DeskBody, who: WritesPlans, parts: Parts) -> DoneShape:
    """Makes a desk, or changes it."""
    parts.plans.save_desk(who.person.org, desk, **body.model_dump())
    return DoneShape()


@router.delete("/desks/{desk}")
def remove_desk(desk: Name, who: WritesPlans, parts: Parts) -> DoneShape:
    """Removes a desk to which nobody is invited."""
    parts.plans.remove_desk(who.person.org, desk)
    return DoneShape()


class InvitationBody(BaseModel):
    """`external`: rescuers, never told of a drill or a probe."""

    model_config = ConfigDict(extra="forbid", strict=True)
    external: bool = Field(default=True, examples=[True])


@router.put("/desks/{desk}/invitations/{org}")
def invite(desk: Name, org: Name, body: InvitationBody, who: WritesPlans, parts: Parts) -> DoneShape:
    """Lets another organisation tell this desk."""
    parts.plans.invite(who.person.org, desk, org, external=body.external)
    return DoneShape()


@router.delete("/desks/{desk}/invitations/{org}")
def revoke(desk: Name, org: Name, who: WritesPlans, parts: Parts) -> DoneShape:
    """From now on that organisation tells this desk nothing, running alerts included."""
    parts.plans.revoke(who.person.org, desk, org)
    return DoneShape()
