"""What an endpoint works with, and who is asking."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from tocsin_backend.accounts import Accounts, csrf_matches
from tocsin_backend.answering import Answering
from tocsin_backend.api.errors import ApiError
from tocsin_backend.api.guards import bearer
from tocsin_backend.contacts import Contacts
from tocsin_backend.domain import rights
from tocsin_backend.engine import Engine
from tocsin_backend.enrolment import Registrar
from tocsin_backend.ingest import Ingest
from tocsin_backend.machines import Machines
from tocsin_backend.metrics import Metrics
from tocsin_backend.plans import Plans
from tocsin_backend.settings import Settings
from tocsin_backend.store.accounts import PersonRow, SessionRow
from tocsin_backend.store.database import Database

COOKIE = "tocsin_session"
CSRF_HEADER = "x-csrf-token"
_SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(kw_only=True)
class Services:
    """The parts that the composition root put together; app.state.services."""

    settings: Settings
    database: Database
    ingest: Ingest
    engine: Engine
    accounts: Accounts
    registrar: Registrar
    metrics: Metrics
    plans: Plans
    answering: Answering
    contacts: Contacts
    machines: Machines
    sms_inbound_token: str  # "": no provider posts replies
    now_ms: Callable[[], int]
    stopping: asyncio.Event


def services_of(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


@dataclass(frozen=True)
class Visitor:
    """A person with a live session."""

    person: PersonRow
    session: SessionRow
    token: str


def visitor(request: Request) -> Visitor:
    """Who is asking. Raises ApiError 401 without a session, 403 when a change came by cookie without its CSRF token."""
    token = bearer(request)
    by_cookie = not token
    if by_cookie:
        token = request.cookies.get(COOKIE, "")
    session = services_of(request).accounts.session(token)
    if session is None:
        raise ApiError(
            401,
            "not-logged-in",
            "there is no live session",
            "log in at POST /api/v1/login",
            {"WWW-Authenticate": "Bearer"},
        )
    if by_cookie and request.method not in _SAFE and not csrf_matches(session, request.headers.get(CSRF_HEADER, "")):
        raise ApiError(403, "csrf", "this change did not come from our own page", f"send the header {CSRF_HEADER}")
    return Visitor(session.person, session, token)


ACTIONS: dict[Callable[[Visitor], Visitor], str] = {}  # what each dependency that `allowed` made asks for


def allowed(action: str) -> Callable[[Visitor], Visitor]:
    """A dependency: the visitor, who must have the right to `action`."""

    def check(who: Annotated[Visitor, Depends(visitor)]) -> Visitor:
        if not rights.may(who.person.role, action):
            raise ApiError(403, "forbidden", f"the role {who.person.role} may not {action}", "ask an administrator")
        return who

    ACTIONS[check] = action
    return check


Parts = Annotated[Services, Depends(services_of)]
Anyone = Annotated[Visitor, Depends(visitor)]
