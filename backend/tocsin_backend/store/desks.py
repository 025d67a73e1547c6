"""Desks, and which organisations were invited to tell them (invariant 11)."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, delete, insert, select, tuple_, update

from ..domain.people import Desk
from . import tables

_desk = tables.Desk.__table__  # type: ignore[attr-defined]
_invitation = tables.Invitation.__table__  # type: ignore[attr-defined]
_joined = _invitation.join(_desk, (_desk.c.org == _invitation.c.host) & (_desk.c.id == _invitation.c.desk))
_DESK = (_desk.c.org, _desk.c.id, _desk.c.title, _desk.c.role, _desk.c.roster)


def invited(conn: Connection, org: str, names: Iterable[str] | None = None) -> dict[str, Desk]:
    """The desks that `org` may tell, by "host/desk": those of these names, or all."""
    query = select(*_DESK, _invitation.c.external).select_from(_joined)
    query = query.where(_invitation.c.org == org, _invitation.c.revoked_ms.is_(None))
    if names is not None:
        keys = [(name.partition("/")[0], name.partition("/")[2]) for name in sorted(names)]
        query = query.where(tuple_(_invitation.c.host, _invitation.c.desk).in_(keys))
    rows = conn.execute(query.order_by(_desk.c.org, _desk.c.id))
    return {f"{row[0]}/{row[1]}": Desk(*row[:5], external=bool(row[5])) for row in rows}


def invitations_to(conn: Connection, org: str) -> list[dict[str, Any]]:
    """What `org` was invited to: host, desk, title, external, created_ms, revoked_ms."""
    i = _invitation.c
    query = select(i.host, i.desk, _desk.c.title, i.external, i.created_ms, i.revoked_ms).select_from(_joined)
    return [dict(row) for row in conn.execute(query.where(i.org == org).order_by(i.host, i.desk)).mappings()]


def listing(conn: Connection, org: str | None) -> list[dict[str, Any]]:
    """The desks of an organisation (None: of all), each with its `invitations` that stand."""
    query = select(_desk).order_by(_desk.c.org, _desk.c.id)
    i = _invitation.c
    guests = select(i.host, i.desk, i.org, i.external, i.created_ms).where(i.revoked_ms.is_(None)).order_by(i.org)
    if org is not None:
        query, guests = query.where(_desk.c.org == org), guests.where(i.host == org)
    found = [dict(row) | {"invitations": []} for row in conn.execute(query).mappings()]
    by_key = {(row["org"], row["id"]): row["invitations"] for row in found}
    for row in conn.execute(guests).mappings():
        guest = {"org": row["org"], "external": bool(row["external"]), "created_ms": row["created_ms"]}
        by_key[row["host"], row["desk"]].append(guest)
    return found


def get(conn: Connection, org: str, name: str) -> dict[str, Any] | None:
    """One desk, or None."""
    return next((row for row in listing(conn, org) if row["id"] == name), None)


def save(conn: Connection, *, org: str, desk: str, title: str, role: str, roster: str, now_ms: int) -> None:
    """Make a desk, or change it."""
    values = {"title": title, "role": role, "roster": roster}
    where = (_desk.c.org == org) & (_desk.c.id == desk)
    if not conn.execute(update(_desk).where(where).values(**values)).rowcount:
        conn.execute(insert(_desk).values(org=org, id=desk, created_ms=now_ms, **values))


def remove(conn: Connection, org: str, desk: str) -> None:
    """Remove a desk and its invitations."""
    conn.execute(delete(_invitation).where(_invitation.c.host == org, _invitation.c.desk == desk))
    conn.execute(delete(_desk).where(_desk.c.org == org, _desk.c.id == desk))


def invite(conn: Connection, *, host: str, desk: str, org: str, external: bool, now_ms: int) -> None:
    """Let `org` tell this desk; an invitation that was revoked stands again."""
    where = (_invitation.c.org == org) & (_invitation.c.host == host) & (_invitation.c.desk == desk)
    values = {"external": external, "revoked_ms": None}
    if not conn.execute(update(_invitation).where(where).values(**values)).rowcount:
        conn.execute(insert(_invitation).values(org=org, host=host, desk=desk, created_ms=now_ms, **values))


def revoke(conn: Connection, *, host: str, desk: str, org: str, now_ms: int) -> bool:
    """Whether there was an invitation that stood."""
    where = (_invitation.c.org == org) & (_invitation.c.host == host) & (_invitation.c.desk == desk)
    change = update(_invitation).where(where & _invitation.c.revoked_ms.is_(None)).values(revoked_ms=now_ms)
    return bool(conn.execute(change).rowcount)
