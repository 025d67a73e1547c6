"""People, how they are reached, and their sessions."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from tocsin_backend.store.tables import ContactMethod, Organisation, Person, Session

_person = Person.__table__  # type: ignore[attr-defined]
_session = Session.__table__  # type: ignore[attr-defined]
_method = ContactMethod.__table__  # type: ignore[attr-defined]
_organisation = Organisation.__table__  # type: ignore[attr-defined]

SEEN_EVERY_MS = 60_000  # how often a session's last use is written down: reading must not write each time


@dataclass(frozen=True)
class PersonRow:
    """A person, with what a request needs to know about them."""

    id: int
    org: str
    org_name: str
    login: str
    name: str
    role: str
    language: str


@dataclass(frozen=True)
class SessionRow:
    """A live session and its person."""

    person: PersonRow
    csrf: str
    seen_ms: int
    expires_ms: int


_person_columns = (
    _person.c.id,
    _person.c.org,
    _organisation.c.name.label("org_name"),
    _person.c.login,
    _person.c.name,
    _person.c.role,
    _person.c.language,
)


def password_hash(conn: Connection, login: str) -> tuple[int, str | None] | None:
    """(person id, kept hash) of an active person's login, None when there is none."""
    row = conn.execute(
        select(_person.c.id, _person.c.password_hash).where(_person.c.login == login, _person.c.active.is_(True))
    ).one_or_none()
    return None if row is None else (row.id, row.password_hash)


def person(conn: Connection, person_id: int) -> PersonRow | None:
    row = conn.execute(
        select(*_person_columns)
        .join(_organisation, _organisation.c.id == _person.c.org)
        .where(_person.c.id == person_id)
    ).one_or_none()
    return None if row is None else PersonRow(*row)


def people(conn: Connection, org: str | None) -> list[dict[str, object]]:
    """Everybody of an organisation (None: of all), without what must stay here."""
    query = select(
        _person.c.id,
        _person.c.org,
        _person.c.login,
        _person.c.name,
        _person.c.role,
        _person.c.language,
        _person.c.active,
    ).order_by(_person.c.org, _person.c.login)
    if org is not None:
        query = query.where(_person.c.org == org)
    return [dict(row) for row in conn.execute(query).mappings()]


def person_id(conn: Connection, login: str) -> int | None:
    """The id of a login, shut out or not; None when nobody has it."""
    return conn.execute(select(_person.c.id).where(_person.c.login == login)).scalar_one_or_none()


def add_person(
    conn: Connection, *, org: str, login: str, name: str, role: str, language: str, kept_hash: str | None, now_ms: int
) -> int:
    """The new person's id."""
    return conn.execute(
        insert(_person)
        .values(
            org=org, login=login, name=name, role=role, language=language, password_hash=kept_hash, active=True,
            created_ms=now_ms,
        )
        .returning(_person.c.id)
    ).scalar_one()  # fmt: skip


def add_contact_method(
    conn: Connection,
    *,
    person_id: int,
    channel: str,
    address: str,
    secret: str,
    external: bool,
    position: int,
    now_ms: int,
) -> int:
    """The new contact method's id; lower positions are tried first."""
    return conn.execute(
        insert(_method)
        .values(
            person_id=person_id, channel=channel, address=address, secret=secret, external=external,
            position=position, created_ms=now_ms,
        )
        .returning(_method.c.id)
    ).scalar_one()  # fmt: skip


def set_password(conn: Connection, person_id: int, kept_hash: str) -> None:
    """Changes the password and ends every session of the person."""
    conn.execute(update(_person).where(_person.c.id == person_id).values(password_hash=kept_hash))
    conn.execute(delete(_session).where(_session.c.person_id == person_id))


def set_language(conn: Connection, person_id: int, language: str) -> None:
    conn.execute(update(_person).where(_person.c.id == person_id).values(language=language))


def set_active(conn: Connection, person_id: int, active: bool) -> None:
    """Lets a person in or shuts them out; shutting out ends every session at once."""
    conn.execute(update(_person).where(_person.c.id == person_id).values(active=active))
    if not active:
        conn.execute(delete(_session).where(_session.c.person_id == person_id))


def open_session(conn: Connection, *, kept_token: str, person_id: int, csrf: str, now_ms: int, expires_ms: int) -> None:
    """Writes a session, and sweeps away those that have ended."""
    conn.execute(delete(_session).where(_session.c.expires_ms <= now_ms))
    conn.execute(
        insert(_session).values(
            token_hash=kept_token, person_id=person_id, csrf=csrf, created_ms=now_ms, seen_ms=now_ms,
            expires_ms=expires_ms,
        )
    )  # fmt: skip


def session(conn: Connection, kept_token: str, now_ms: int) -> SessionRow | None:
    """The live session of a token's hash, None when it is unknown, over, or its person shut out."""
    row = conn.execute(
        select(*_person_columns, _session.c.csrf, _session.c.seen_ms, _session.c.expires_ms)
        .select_from(_session)
        .join(_person, _person.c.id == _session.c.person_id)
        .join(_organisation, _organisation.c.id == _person.c.org)
        .where(_session.c.token_hash == kept_token, _session.c.expires_ms > now_ms, _person.c.active.is_(True))
    ).one_or_none()
    if row is None:
        return None
    return SessionRow(PersonRow(*row[: len(_person_columns)]), row.csrf, row.seen_ms, row.expires_ms)


def touch_session(conn: Connection, kept_token: str, now_ms: int) -> None:
    conn.execute(update(_session).where(_session.c.token_hash == kept_token).values(seen_ms=now_ms))


def close_session(conn: Connection, kept_token: str) -> None:
    conn.execute(delete(_session).where(_session.c.token_hash == kept_token))
