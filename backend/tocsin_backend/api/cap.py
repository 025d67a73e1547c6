"""The CAP feed: what other command systems poll. An Atom list of the organisation's messages, and each of them."""

from datetime import UTC, datetime
from typing import Annotated
from xml.etree import ElementTree as ET  # writes only: the messages are our own

from fastapi import APIRouter, Depends, Path, Query, Response

from tocsin_backend.api.context import Parts, Visitor, allowed
from tocsin_backend.api.errors import ApiError
from tocsin_backend.store import cap as messages

router = APIRouter(prefix="/cap", tags=["cap"])
ATOM = "http://www.w3.org/2005/Atom"
ATOM_TYPE = "application/atom+xml"
CAP_TYPE = "application/cap+xml"
NO_STORE = {"Cache-Control": "no-store"}

Sees = Annotated[Visitor, Depends(allowed("see"))]


@router.get(
    "/feed.xml",
    response_class=Response,
    responses={200: {"content": {ATOM_TYPE: {}}, "description": "Atom 1.0, an entry a message, the newest first"}},
)
def feed(who: Sees, parts: Parts, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> Response:
    """The organisation's CAP messages, the newest first, each with the address of its XML."""
    org = who.person.org
    with parts.database.read() as conn:
        rows = messages.newest(conn, org, limit)
    address = f"{parts.settings.public_url}/api/v1/cap"
    root = ET.Element("feed", {"xmlns": ATOM})
    _add(root, "id", f"{address}/feed.xml?org={org}")
    _add(root, "title", f"Tocsin: {org}")
    _add(root, "updated", _instant(int(str(rows[0]["created_ms"])) if rows else parts.now_ms()))
    ET.SubElement(root, "link", {"rel": "self", "href": f"{address}/feed.xml"})
    for row in rows:
        entry = ET.SubElement(root, "entry")
        link = f"{address}/{row['identifier']}.xml"
        _add(entry, "id", link)
        _add(entry, "title", f"{row['kind']} {row['identifier']}")
        _add(entry, "updated", _instant(int(str(row["created_ms"]))))
        _add(ET.SubElement(entry, "author"), "name", org)
        ET.SubElement(entry, "link", {"href": link, "type": CAP_TYPE})
    body = '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")
    return Response(body.encode(), media_type=ATOM_TYPE, headers=NO_STORE)


@router.get(
    "/{identifier}.xml",
    response_class=Response,
    responses={200: {"content": {CAP_TYPE: {}}, "description": "CAP 1.2, as it was issued"}},
)
def message(who: Sees, parts: Parts, identifier: Annotated[str, Path(max_length=80)]) -> Response:
    """One CAP message of the organisation."""
    with parts.database.read() as conn:
        body = messages.body(conn, who.person.org, identifier)
    if body is None:
        raise ApiError(404, "not-found", "there is no such message")
    return Response(body.encode(), media_type=CAP_TYPE, headers=NO_STORE)


def _instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _add(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = text
