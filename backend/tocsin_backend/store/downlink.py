"""Signed frames on their way down, by gateway. A gateway acknowledges up to an id, and those rows are gone."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select

from . import tables
from .dialect import locked, locks

_downlink = tables.Downlink.__table__  # type: ignore[attr-defined]
_gateways = tables.Gateway.__table__  # type: ignore[attr-defined]

_insert = insert(_downlink)
_gateway = locked(
    select(_gateways.c.id).where(_gateways.c.org == bindparam("of_org"), _gateways.c.id == bindparam("of_gateway"))
)
_after = (
    select(_downlink.c.id, _downlink.c.topic, _downlink.c.frame)
    .where(
        _downlink.c.org == bindparam("of_org"),
        _downlink.c.gateway == bindparam("of_gateway"),
        _downlink.c.id > bindparam("after"),
    )
    .order_by(_downlink.c.id)
    .limit(bindparam("limit"))
)
_of_dispatch = delete(_downlink).where(_downlink.c.dispatch_id == bindparam("of_dispatch"))


SMS = "sms"  # instead of a topic, which has slashes: the frame is then the JSON of a short message


@dataclass(frozen=True, slots=True)
class Frame:
    id: int
    topic: str
    frame: bytes


def add(
    conn: Connection, org: str, gateway: str, frames: list[tuple[str, bytes]], dispatch_id: str, now_ms: int
) -> None:
    """Queue the frames of one order in place of its earlier tries: the queue of an absent gateway stays short."""
    withdraw(conn, dispatch_id)
    if locks(conn):
        # A gateway reads on from the last id it saw: ids must appear in their order, whichever process adds them.
        conn.execute(_gateway, {"of_org": org, "of_gateway": gateway})
    rows = [
        {
            "org": org,
            "gateway": gateway,
            "topic": topic,
            "frame": frame,
            "dispatch_id": dispatch_id,
            "created_ms": now_ms,
        }
        for topic, frame in frames
    ]
    conn.execute(_insert, rows)


def add_sms(conn: Connection, org: str, gateway: str, message_id: str, message: dict[str, Any], now_ms: int) -> None:
    """Queue a short message for the gateway's modem: {"to", "text", "until_ms"}, in place of its earlier tries."""
    frame = json.dumps({"id": message_id, **message}, ensure_ascii=False).encode()
    add(conn, org, gateway, [(SMS, frame)], message_id, now_ms)


def withdraw(conn: Connection, dispatch_id: str) -> None:
    """The order is past: its frames that no gateway has acknowledged go down no more."""
    conn.execute(_of_dispatch, {"of_dispatch": dispatch_id})


def after(conn: Connection, org: str, gateway: str, after_id: int, limit: int = 500) -> list[Frame]:
    """The frames of a gateway after this id, in order."""
    values = {"of_org": org, "of_gateway": gateway, "after": after_id, "limit": limit}
    return [Frame(row[0], row[1], bytes(row[2])) for row in conn.execute(_after, values)]


def acknowledge(conn: Connection, org: str, gateway: str, upto: int) -> int:
    """The broker took everything up to this id: how many rows that ends."""
    mine = (_downlink.c.org == org) & (_downlink.c.gateway == gateway) & (_downlink.c.id <= upto)
    return conn.execute(delete(_downlink).where(mine)).rowcount
