"""Alarm groups: outputs that move together. And the all-clear, by which alone a person switches them off."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from tocsin_backend.api.context import Parts, Visitor, allowed
from tocsin_backend.api.documents import NAME, DoneShape, SeesPlans, WritesPlans
from tocsin_backend.api.strict_json import StrictRoute

router = APIRouter(route_class=StrictRoute, tags=["alarms"])
Closes = Annotated[Visitor, Depends(allowed("close"))]
Name = Annotated[str, Field(pattern=NAME)]


class OutputShape(BaseModel):
    """One output of one device: a sounder, a flash, a door lock."""

    model_config = ConfigDict(extra="forbid", strict=True)
    device: str = Field(examples=["sirene-1"])
    output: str = Field(examples=["cour"])


class GroupBody(BaseModel):
    """Every output is of a device in service at the site."""

    model_config = ConfigDict(extra="forbid", strict=True)
    site: str = Field(examples=["emperi"])
    title: str = Field(examples=["Sirènes de la cour"])
    outputs: list[OutputShape]


class GroupShape(GroupBody):
    id: str = Field(examples=["cour"])


class AllClearBody(BaseModel):
    """`group`: one alarm group; without it, all that the alert switched on."""

    model_config = ConfigDict(extra="forbid", strict=True)
    group: Annotated[str, Field(pattern=NAME)] | None = Field(default=None, examples=["cour"])


class AllClearShape(BaseModel):
    """`outcome`: "all-clear"; "held" when another open alert has all of it on too, and it stays on until that one's
    all-clear; "ignored" when the alert had switched nothing on."""

    outcome: str = Field(examples=["all-clear"])


class GroupsShape(BaseModel):
    groups: list[GroupShape]


@router.get("/alarm-groups")
def groups(who: SeesPlans, parts: Parts) -> GroupsShape:
    """The organisation's alarm groups."""
    found = []
    for row in parts.machines.groups(who.person.org):
        outputs = [OutputShape(device=device, output=output) for device, output in row["outputs"]]
        found.append(GroupShape(id=row["id"], site=row["site"], title=row["title"], outputs=outputs))
    return GroupsShape(groups=found)


@router.put("/alarm-groups/{group}")
def save_group(group: str, body: GroupBody, who: WritesPlans, parts: Parts) -> DoneShape:
    """Makes an alarm group, or changes it; alerts that are open use it as it is now."""
    outputs = [(each.device, each.output) for each in body.outputs]
    parts.machines.save_group(who.person.org, group, body.site, body.title, outputs)
    return DoneShape()


@router.delete("/alarm-groups/{group}")
def remove_group(group: str, who: WritesPlans, parts: Parts) -> DoneShape:
    """Forgets an alarm group."""
    parts.machines.remove_group(who.person.org, group)
    return DoneShape()


@router.post("/alerts/{alert_id}/all-clear")
def all_clear(alert_id: str, body: AllClearBody, who: Closes, parts: Parts) -> AllClearShape:
    """Switches off the alarm outputs that this alert switched on. Neither an answer nor a close does.

    404 for an alarm group that the organisation does not have.
    """
    outcome = parts.engine.all_clear(who.person.org, alert_id, who.person.id, body.group or "")
    return AllClearShape(outcome=outcome)
