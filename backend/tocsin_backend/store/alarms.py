"""Alarm groups, and what a signed command to a device must quote."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from ..domain import alarm_orders, alerts, dispatches
from . import tables
from .dialect import Prepared, locked, locks

_group = tables.AlarmGroup.__table__  # type: ignore[attr-defined]
_device = tables.Device.__table__  # type: ignore[attr-defined]
_site = tables.Site.__table__  # type: ignore[attr-defined]
_alert = tables.Alert.__table__  # type: ignore[attr-defined]
_dispatch = tables.Dispatch.__table__  # type: ignore[attr-defined]
_this = (_device.c.org == bindparam("of_org"), _device.c.id == bindparam("of_device"))
_session = select(_device.c.nonce, _device.c.command_c, _device.c.gateway, _device.c.retired_ms).where(*_this)
_set_nonce = Prepared(update(_device).where(*_this).values(nonce=bindparam("new_nonce")))

Outputs = tuple[tuple[str, str], ...]  # (device, output)


@dataclass(frozen=True, slots=True)
class Session:
    """A device as a command must know it: the nonce of its last birth, the last counter, its gateway."""

    nonce: str
    counter: int
    gateway: str | None


def session(conn: Connection, org: str, device: str) -> Session | None:
    """What a command to this device must quote; None for a device that is unknown or retired.

    For a job that writes the device is locked: two engines never give one counter twice.
    """
    row = conn.execute(
        locked(_session) if locks(conn) else _session, {"of_org": org, "of_device": device}
    ).one_or_none()
    return None if row is None or row[3] is not None else Session(row[0], row[1], row[2])


def born(conn: Connection, org: str, device: str, nonce: str) -> None:
    """A new session began: commands quote this nonce from now on."""
    _set_nonce.run(conn, {"of_org": org, "of_device": device, "new_nonce": nonce})


def count(conn: Connection, org: str, device: str, counter: int) -> None:
    """The counter of the command that is being sent."""
    conn.execute(update(_device).where(_device.c.org == org, _device.c.id == device).values(command_c=counter))


def outputs(conn: Connection, org: str, group: str) -> Outputs | None:
    """The outputs of a group; None when there is none of this name."""
    text = conn.execute(select(_group.c.outputs).where(_group.c.org == org, _group.c.id == group)).scalar_one_or_none()
    return None if text is None else tuple((device, output) for device, output in json.loads(text))


def on_elsewhere(conn: Connection, org: str, alert_id: str) -> frozenset[tuple[str, str]]:
    """(device, output) that other open alerts of the organisation have on."""
    query = (
        select(_dispatch.c.alert_id, _dispatch.c.target, _dispatch.c.method_id, _dispatch.c.status)
        .join(_alert, _alert.c.id == _dispatch.c.alert_id)
        .where(_alert.c.org == org, _alert.c.id != alert_id, _alert.c.status != alerts.CLOSED)
        .where(_dispatch.c.kind == dispatches.ACTUATE)
    )
    return alarm_orders.on_now([(row[0], row[1], row[2], row[3]) for row in conn.execute(query)])


def groups(conn: Connection, org: str | None = None) -> list[dict[str, Any]]:
    """The groups of an organisation, or of all: org, id, site, title, outputs, created_ms."""
    names = ("org", "id", "site", "title", "outputs", "created_ms")
    query = select(*(_group.c[name] for name in names)).order_by(_group.c.org, _group.c.id)
    rows = conn.execute(query if org is None else query.where(_group.c.org == org))
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [row | {"outputs": json.loads(row["outputs"])} for row in found]


def has_site(conn: Connection, org: str, site: str) -> bool:
    """Whether the organisation has this site."""
    return conn.execute(select(_site.c.id).where(_site.c.org == org, _site.c.id == site)).first() is not None


def devices_of(conn: Connection, org: str, site: str) -> set[str]:
    """The devices in service at a site."""
    mine = (_device.c.org == org) & (_device.c.site == site) & _device.c.retired_ms.is_(None)
    return set(conn.execute(select(_device.c.id).where(mine)).scalars())


def save(conn: Connection, org: str, group: str, site: str, title: str, chosen: Outputs, now_ms: int) -> None:
    """Store a group, or what was changed of it."""
    text = json.dumps([list(each) for each in chosen], separators=(",", ":"))
    mine = (_group.c.org == org) & (_group.c.id == group)
    values = {"site": site, "title": title, "outputs": text}
    if not conn.execute(update(_group).where(mine).values(**values)).rowcount:
        conn.execute(insert(_group).values(org=org, id=group, created_ms=now_ms, **values))


def remove(conn: Connection, org: str, group: str) -> bool:
    """Forget a group; False when there was none."""
    return bool(conn.execute(delete(_group).where(_group.c.org == org, _group.c.id == group)).rowcount)
