"""Logging in and out."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tocsin_backend.accounts import PASSWORD_CHARACTERS_MAX, Opened
from tocsin_backend.api.context import COOKIE, Anyone, Parts, Services
from tocsin_backend.api.strict_json import StrictRoute
from tocsin_backend.store.accounts import PersonRow

router = APIRouter(route_class=StrictRoute, tags=["session"])


class LoginBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    login: Annotated[str, Field(min_length=1, max_length=32, examples=["a.martin"])]
    password: Annotated[
        str, Field(min_length=1, max_length=PASSWORD_CHARACTERS_MAX, examples=["correct horse battery staple"])
    ]


class PersonShape(BaseModel):
    login: str = Field(examples=["a.martin"])
    name: str = Field(examples=["Alice Martin"])
    role: str = Field(examples=["supervisor"])
    org: str = Field(examples=["demo"])
    org_name: str = Field(examples=["Région Démo"])
    language: str = Field(examples=["fr"])


class MeShape(BaseModel):
    person: PersonShape
    csrf: str = Field(examples=["kq1oB7f0-2hXlC0vG6y9nQ"])
    expires_ms: int = Field(examples=[1764043200000])


class LoginShape(MeShape):
    token: str = Field(examples=["x3Jr0v5cY2tPq8s1WmZb7d"])


def person_shape(person: PersonRow) -> PersonShape:
    return PersonShape(
        login=person.login, name=person.name, role=person.role, org=person.org, org_name=person.org_name,
        language=person.language,
    )  # fmt: skip


def remember(response: Response, parts: Services, opened: Opened) -> None:
    """Gives the session to a browser."""
    response.set_cookie(
        COOKIE, opened.token, max_age=parts.settings.session_hours * 3600, path="/", httponly=True, samesite="lax",
        secure=parts.settings.cookie_secure,
    )  # fmt: skip


def forget(response: Response, parts: Services) -> None:
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=parts.settings.cookie_secure)


def address_of(request: Request) -> str:
    """The client's address, for the throttle; behind a trusted proxy the server has put the right one here."""
    return request.client.host if request.client else ""


@router.post("/login", responses={401: {}, 429: {}})
def log_in(body: LoginBody, request: Request, response: Response, parts: Parts) -> LoginShape:
    """Opens a session: a cookie for browsers, a token for scripts. Changes by cookie carry `csrf` as X-CSRF-Token."""
    opened = parts.accounts.log_in(body.login, body.password, address_of(request))
    remember(response, parts, opened)
    return LoginShape(
        person=person_shape(opened.person), csrf=opened.csrf, expires_ms=opened.expires_ms, token=opened.token
    )


@router.post("/logout", status_code=204)
def log_out(who: Anyone, response: Response, parts: Parts) -> None:
    """Ends the session."""
    parts.accounts.log_out(who.token)
    forget(response, parts)


@router.get("/me")
def me(who: Anyone) -> MeShape:
    """Who is logged in."""
    return MeShape(person=person_shape(who.person), csrf=who.session.csrf, expires_ms=who.session.expires_ms)
