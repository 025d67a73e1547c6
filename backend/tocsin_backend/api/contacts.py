"""How people are reached: one's own contact methods, and an administrator everybody's."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from tocsin_backend.api.context import Anyone, Parts, Visitor
from tocsin_backend.api.strict_json import StrictRoute
from tocsin_backend.contacts import Asker

router = APIRouter(route_class=StrictRoute, tags=["contacts"])

Login = Annotated[str, Query(max_length=32)]
Id = Annotated[int, Field(ge=1, le=2**53)]


class MethodShape(BaseModel):
    """`address` is masked where it holds secrets; `offset_s` is how long after the person's step it is tried.

    `verified_ms`: when the person showed that the address is hers; `proven_ms`: when a message last came through.
    `secret`, of a webhook, is given once, with the answer that made it.
    """

    id: int = Field(examples=[31])
    login: str = Field(examples=["a.martin"])
    channel: str = Field(examples=["sms"])
    address: str = Field(examples=["+33612345678"])
    external: bool = Field(examples=[False])
    offset_s: int = Field(examples=[0])
    position: int = Field(examples=[1])
    verified_ms: int | None = Field(examples=[1764000000000])
    proven_ms: int | None = Field(examples=[1764000000000])
    disabled: bool = Field(examples=[False])
    secret: str | None = Field(default=None, examples=[None])


class NewMethod(BaseModel):
    """`login`: whose; without one, the asker's own."""

    model_config = ConfigDict(extra="forbid", strict=True)
    login: Annotated[str, Field(max_length=32)] = Field(default="", examples=["a.martin"])
    channel: Literal["email", "sms", "push", "webhook"] = Field(examples=["sms"])
    address: Annotated[str, Field(min_length=1, max_length=500, examples=["+33612345679"])]
    offset_s: int = Field(default=0, examples=[0])
    external: bool = Field(default=False, examples=[False])
    position: int | None = Field(default=None, examples=[1])


class MethodChange(BaseModel):
    """What is left out stays."""

    model_config = ConfigDict(extra="forbid", strict=True)
    address: Annotated[str | None, Field(max_length=500)] = Field(default=None, examples=["+33612345670"])
    offset_s: int | None = Field(default=None, examples=[30])
    external: bool | None = Field(default=None, examples=[False])
    position: int | None = Field(default=None, examples=[0])
    disabled: bool | None = Field(default=None, examples=[False])


class CodeBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    code: Annotated[str, Field(min_length=4, max_length=12, examples=["482193"])]


class SentShape(BaseModel):
    sent: bool = Field(examples=[True])


def _asker(who: Visitor) -> Asker:
    return Asker(who.person.org, who.person.id, who.person.role)


class ContactsShape(BaseModel):
    contacts: list[MethodShape]


@router.get("/contacts", responses={404: {}})
def list_contacts(who: Anyone, parts: Parts, login: Login = "") -> ContactsShape:
    """The contact methods of a person, in the order in which they are tried."""
    return ContactsShape(contacts=[MethodShape(**each) for each in parts.contacts.of(_asker(who), login)])


@router.post("/contacts", responses={404: {}})
def add_contact(body: NewMethod, who: Anyone, parts: Parts) -> MethodShape:
    """Adds a way to be reached."""
    more: dict[str, Any] = body.model_dump(exclude={"login", "channel", "address"})
    return MethodShape(**parts.contacts.add(_asker(who), body.login, body.channel, body.address, **more))


@router.post("/contacts/{method_id}")
def change_contact(method_id: Id, body: MethodChange, who: Anyone, parts: Parts) -> MethodShape:
    """Changes a method, or switches it off and on; a new address has to be verified again."""
    return MethodShape(**parts.contacts.change(_asker(who), method_id, **body.model_dump()))


@router.post("/contacts/{method_id}/verify")
def verify_contact(method_id: Id, who: Anyone, parts: Parts) -> SentShape:
    """Sends a code of six digits through the method."""
    parts.contacts.verify(_asker(who), method_id)
    return SentShape(sent=True)


@router.post("/contacts/{method_id}/confirm")
def confirm_contact(method_id: Id, body: CodeBody, who: Anyone, parts: Parts) -> MethodShape:
    """Gives the code back: the address is the person's, and messages come through."""
    return MethodShape(**parts.contacts.confirm(_asker(who), method_id, body.code))
