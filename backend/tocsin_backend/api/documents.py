"""The shapes that policies, calendars and rosters share: a document in, its faults out."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tocsin_backend.api.context import Visitor, allowed
from tocsin_backend.plans import DocumentFaults, Source

NAME = r"^[a-z0-9-]{1,32}$"
LOCAL_TIME = "2026-12-24 02:10"

SeesPlans = Annotated[Visitor, Depends(allowed("see-plans"))]
WritesPlans = Annotated[Visitor, Depends(allowed("write-policies"))]
SeesReadiness = Annotated[Visitor, Depends(allowed("see-readiness"))]


class DocumentBody(BaseModel):
    """A file's text in `toml`, or the same document as JSON in `document`; the formats are in backend/README.md."""

    model_config = ConfigDict(extra="forbid", strict=True)
    toml: Annotated[str, Field(max_length=200_000)] | None = Field(
        default=None,
        examples=['id = "jour"\ntitle = "Le jour"\n[[step]]\ndelay_s = 30\ntargets = [{ channel = "console" }]\n'],
    )
    document: dict[str, Any] | None = Field(default=None, examples=[None])

    @model_validator(mode="after")
    def exactly_one(self) -> "DocumentBody":
        if (self.toml is None) == (self.document is None):
            raise ValueError("give exactly one of toml and document")
        return self

    @property
    def source(self) -> Source:
        return self.toml if self.toml is not None else self.document or {}


def example(toml: str) -> dict[str, Any]:
    """A route's own example of a `DocumentBody`: one of its kind of document."""
    return {"requestBody": {"content": {"application/json": {"example": {"toml": toml}}}}}


class FaultShape(BaseModel):
    path: str = Field(examples=["step[0].delay_s"])
    reason: str = Field(examples=["is 1; it must be between 5 and 86400"])


class VerdictShape(BaseModel):
    """Everything that is wrong at once; `ok` when nothing is."""

    ok: bool = Field(examples=[False])
    faults: list[FaultShape]


class SavedShape(BaseModel):
    """`version` is the same as before when nothing changed."""

    id: str = Field(examples=["jour"])
    title: str = Field(examples=["Le jour"])
    version: int = Field(examples=[3])


class DoneShape(BaseModel):
    done: bool = Field(default=True, examples=[True])


def verdict(check: Callable[[], Any]) -> VerdictShape:
    """What `check` has to say against a document; it must save nothing."""
    try:
        check()
    except DocumentFaults as error:
        return VerdictShape(ok=False, faults=[FaultShape(path=path, reason=reason) for path, reason in error.faults])
    return VerdictShape(ok=True, faults=[])
