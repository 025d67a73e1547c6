"""Monitoring centres that receive SIA DC-09. A key goes in, or is made and shown once; none ever comes out again."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from tocsin_backend.api.context import Parts
from tocsin_backend.api.documents import DoneShape, SeesPlans, WritesPlans
from tocsin_backend.api.strict_json import StrictRoute
from tocsin_backend.machines import CentreDetails

router = APIRouter(route_class=StrictRoute, tags=["monitoring centres"])


class PathBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    host: str = Field(examples=["arc.example.org"])
    port: int = Field(examples=[9999])


class CentreBody(BaseModel):
    """`paths`: the main one, then its backup. `key`: AES, hex; absent: one is made; "": frames in clear."""

    model_config = ConfigDict(extra="forbid", strict=True)
    title: str = Field(examples=["Télésurveillance Alpha"])
    account: str = Field(examples=["1234"])
    paths: list[PathBody]
    key: str | None = Field(default=None, examples=[None])
    protocol: str = Field(default="ADM-CID", examples=["ADM-CID"])
    supervision_s: int = Field(default=0, ge=0, le=90_000, examples=[90])


class SavedCentreShape(BaseModel):
    """`key`: the one that was made, shown this once; null when one was given."""

    key: str | None = Field(examples=["00112233445566778899aabbccddeeff"])


class CentreShape(BaseModel):
    """`supervised_ms`: when the centre last acknowledged anything."""

    id: str = Field(examples=["alpha"])
    title: str = Field(examples=["Télésurveillance Alpha"])
    account: str = Field(examples=["1234"])
    paths: list[str] = Field(examples=[["arc.example.org:9999"]])
    protocol: str = Field(examples=["ADM-CID"])
    encrypted: bool = Field(examples=[True])
    supervision_s: int = Field(examples=[90])
    supervised_ms: int | None = Field(examples=[1764000000000])


class PathShape(BaseModel):
    path: str = Field(examples=["arc.example.org:9999"])
    ok: bool = Field(examples=[True])
    error: str = Field(examples=[""])


class ZoneShape(BaseModel):
    """What the centre enters into its receiver; 0: beyond what Contact ID can number."""

    group: int = Field(examples=[1])
    zone: int = Field(examples=[7])
    site: str = Field(examples=["Lycée de l'Emperi"])
    device: str = Field(examples=["bau-7"])
    name: str = Field(examples=["Grille nord"])


class CentresShape(BaseModel):
    centres: list[CentreShape]


@router.get("/centres")
def centres(who: SeesPlans, parts: Parts) -> CentresShape:
    """The organisation's monitoring centres, without their keys."""
    rows = parts.machines.centres(who.person.org)
    return CentresShape(centres=[CentreShape(**{name: row[name] for name in CentreShape.model_fields}) for row in rows])


class ZonesShape(BaseModel):
    zones: list[ZoneShape]


@router.get("/centres/zones")
def zones(who: SeesPlans, parts: Parts) -> ZonesShape:
    """Under which numbers a monitoring centre knows the organisation's sites and posts."""
    return ZonesShape(zones=[ZoneShape(**row) for row in parts.machines.zones(who.person.org)])  # type: ignore[arg-type]


@router.put("/centres/{centre}")
def save_centre(centre: str, body: CentreBody, who: WritesPlans, parts: Parts) -> SavedCentreShape:
    """Makes a monitoring centre, or changes it: its policies name it { channel = "dc09/<id>" }."""
    details = CentreDetails(
        centre, body.title, body.account, [(each.host, each.port) for each in body.paths], body.key, body.protocol,
        body.supervision_s,
    )  # fmt: skip
    return SavedCentreShape(key=parts.machines.save_centre(who.person.org, details))


@router.delete("/centres/{centre}")
def remove_centre(centre: str, who: WritesPlans, parts: Parts) -> DoneShape:
    """Forgets a monitoring centre."""
    parts.machines.remove_centre(who.person.org, centre)
    return DoneShape()


class PathsShape(BaseModel):
    paths: list[PathShape]


@router.post("/centres/{centre}/test")
def line_test(centre: str, who: WritesPlans, parts: Parts, event: Annotated[bool, Query()] = False) -> PathsShape:
    """Tests the line by every path; with `event`, by a manual test (601) that the centre's people see."""
    rows = parts.machines.test_centre(who.person.org, centre, event=event)
    return PathsShape(paths=[PathShape(**row) for row in rows])
