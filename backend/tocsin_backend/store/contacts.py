"""How people are reached: their contact methods, and whose they are."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from . import tables

_method = tables.ContactMethod.__table__  # type: ignore[attr-defined]
_person = tables.Person.__table__  # type: ignore[attr-defined]
_organisation = tables.Organisation.__table__  # type: ignore[attr-defined]
_gateway = tables.Gateway.__table__  # type: ignore[attr-defined]

_OF_METHOD = (
    "id", "channel", "address", "secret", "external", "offset_ms", "position", "created_ms", "verified_ms", "proven_ms",
    "disabled_ms", "code_ms", "code_wrong",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MethodRow:
    """A contact method and its person."""

    id: int
    channel: str
    address: str
    secret: str
    external: bool
    offset_ms: int
    position: int
    created_ms: int
    verified_ms: int | None
    proven_ms: int | None
    disabled_ms: int | None
    code_ms: int | None
    code_wrong: int
    person_id: int
    org: str
    login: str
    language: str


_rows = select(
    *(_method.c[name] for name in _OF_METHOD), _person.c.id, _person.c.org, _person.c.login, _person.c.language
).join(_person, _person.c.id == _method.c.person_id)


def of_person(conn: Connection, person_id: int) -> list[MethodRow]:
    """Every method of a person, in the order in which they are tried; those switched off too."""
    query = _rows.where(_method.c.person_id == person_id).order_by(_method.c.position, _method.c.id)
    return [MethodRow(*row) for row in conn.execute(query)]


def get(conn: Connection, method_id: int) -> MethodRow | None:
    row = conn.execute(_rows.where(_method.c.id == method_id)).one_or_none()
    return None if row is None else MethodRow(*row)


def add(conn: Connection, person_id: int, values: dict[str, Any], now_ms: int) -> int:
    """A new method, after the person's others unless `values` says where; its id."""
    last = conn.execute(select(func.max(_method.c.position)).where(_method.c.person_id == person_id)).scalar_one()
    row = {"position": 0 if last is None else last + 1, **values, "person_id": person_id, "created_ms": now_ms}
    made: int = conn.execute(insert(_method).values(**row).returning(_method.c.id)).scalar_one()
    return made


def change(conn: Connection, method_id: int, values: dict[str, Any]) -> None:
    conn.execute(update(_method).where(_method.c.id == method_id).values(**values))


def codes_sent(conn: Connection, method: MethodRow, since_ms: int) -> tuple[int, int]:
    """How many codes were sent since then to this address, whosever it is, and to this person."""
    lately = select(func.count()).select_from(_method).where(_method.c.code_ms > since_ms)
    there = (_method.c.channel == method.channel) & (_method.c.address == method.address)
    hers = _method.c.person_id == method.person_id
    return conn.execute(lately.where(there)).scalar_one(), conn.execute(lately.where(hers)).scalar_one()


def count_wrong(conn: Connection, method_id: int) -> None:
    """A code was given back wrong."""
    conn.execute(update(_method).where(_method.c.id == method_id).values(code_wrong=_method.c.code_wrong + 1))


def person_of(conn: Connection, org: str, login: str) -> int | None:
    """The id of a login of this organisation."""
    query = select(_person.c.id).where(_person.c.org == org, _person.c.login == login)
    return conn.execute(query).scalar_one_or_none()


def sms_routes(conn: Connection) -> dict[str, str]:
    """Organisation -> how its short messages leave."""
    return {row[0]: row[1] for row in conn.execute(select(_organisation.c.id, _organisation.c.sms_route))}


def gateway_serves(conn: Connection, org: str, gateway: str) -> bool:
    """Whether this gateway is known and its token is not revoked."""
    mine = (_gateway.c.org == org) & (_gateway.c.id == gateway) & _gateway.c.revoked_ms.is_(None)
    return conn.execute(select(_gateway.c.id).where(mine)).first() is not None


def set_sms_route(conn: Connection, org: str, route: str) -> None:
    conn.execute(update(_organisation).where(_organisation.c.id == org).values(sms_route=route))
