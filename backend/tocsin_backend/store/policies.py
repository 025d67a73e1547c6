"""Policies and their versions. A version is never changed: an import that differs adds one."""

from typing import Any

from sqlalchemy import Connection, insert, select, update

from tocsin_backend.store.tables import Policy, PolicyVersion

_policy = Policy.__table__  # type: ignore[attr-defined]
_version = PolicyVersion.__table__  # type: ignore[attr-defined]


def current(conn: Connection, org: str, policy: str) -> dict[str, Any] | None:
    """id, title, version, body, source, created_ms and created_by of a policy's current version."""
    row = conn.execute(_current().where(_policy.c.org == org, _policy.c.id == policy)).mappings().one_or_none()
    return None if row is None else dict(row)


def all_current(conn: Connection, org: str | None) -> list[dict[str, Any]]:
    """The current version of each policy of an organisation (None: of all)."""
    query = _current().order_by(_policy.c.org, _policy.c.id)
    if org is not None:
        query = query.where(_policy.c.org == org)
    return [dict(row) for row in conn.execute(query).mappings()]


def _current() -> Any:
    return select(
        _policy.c.org, _policy.c.id, _policy.c.title, _policy.c.version, _version.c.body, _version.c.source,
        _version.c.created_ms, _version.c.created_by,
    ).join(
        _version,
        (_version.c.org == _policy.c.org)
        & (_version.c.policy == _policy.c.id)
        & (_version.c.version == _policy.c.version),
    )  # fmt: skip


def save(conn: Connection, *, org: str, policy: str, title: str, body: str, source: str, by: str, now_ms: int) -> int:
    """The version under which the policy now stands: the current one when nothing changed, else the next."""
    known = current(conn, org, policy)
    if known is not None and known["body"] == body and known["source"] == source:
        return int(known["version"])
    version = 1 if known is None else int(known["version"]) + 1
    if known is None:
        conn.execute(insert(_policy).values(org=org, id=policy, title=title, version=version, changed_ms=now_ms))
    else:
        conn.execute(
            update(_policy)
            .where(_policy.c.org == org, _policy.c.id == policy)
            .values(title=title, version=version, changed_ms=now_ms)
        )
    conn.execute(
        insert(_version).values(
            org=org, policy=policy, version=version, body=body, source=source, created_ms=now_ms, created_by=by
        )
    )
    return version


def versions(conn: Connection, org: str, policy: str) -> list[dict[str, Any]]:
    """Every version of a policy, the newest first, as in `current`; the title is the newest."""
    query = (
        select(
            _policy.c.org, _policy.c.id, _policy.c.title, _version.c.version, _version.c.body, _version.c.source,
            _version.c.created_ms, _version.c.created_by,
        )
        .join(_version, (_version.c.org == _policy.c.org) & (_version.c.policy == _policy.c.id))
        .where(_policy.c.org == org, _policy.c.id == policy)
        .order_by(_version.c.version.desc())
    )  # fmt: skip
    return [dict(row) for row in conn.execute(query).mappings()]
