"""One shape for every error: {"error": {"code": str, "message": str, "hint": str}}.

`code` is stable, for programs; `message` says what is wrong; `hint` says what to do about it, and may be empty.
"""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from tocsin_backend.accounts import TooManyAttempts, WrongLogin
from tocsin_backend.errors import Forbidden, Invalid, NotFound, NotInvited, TocsinError, Unavailable

log = logging.getLogger(__name__)

CODES: dict[int, tuple[str, str]] = {
    400: ("bad-request", "the request could not be understood"),
    401: ("not-logged-in", "log in at POST /api/v1/login, or send `Authorization: Bearer <token>`"),
    403: ("forbidden", "this needs another role"),
    404: ("not-found", "see /api/v1/openapi.json for what exists"),
    405: ("method-not-allowed", "see /api/v1/openapi.json for what exists"),
    409: ("conflict", "read the object again, then decide"),
    413: ("too-large", "send less at once"),
    415: ("unsupported-media-type", "send `Content-Type: application/json`"),
    422: ("invalid", "see /api/v1/openapi.json for the expected fields"),
    429: ("too-many-attempts", "wait, then try again"),
    503: ("unavailable", "nothing was lost on this side; try again"),
}


# What the parts below refuse, by kind; the first that fits.
REFUSALS: tuple[tuple[type[TocsinError], tuple[int, str, str]], ...] = (
    (Unavailable, (503, "unavailable", CODES[503][1])),
    (NotFound, (404, "not-found", "")),
    (NotInvited, (403, "forbidden", "an administrator there must first invite this organisation to one of its desks")),
    (Forbidden, (403, "forbidden", CODES[403][1])),
    (WrongLogin, (401, "wrong-login", "check both; capitals count")),
    (TooManyAttempts, (429, "too-many-attempts", CODES[429][1])),
    (Invalid, (422, "invalid", "")),
    (TocsinError, (503, "unavailable", "the administrator finds the reason in the server's log")),
)


class ApiError(HTTPException):
    """An answer other than success; raised anywhere below an endpoint, written by `install`'s handlers."""

    def __init__(
        self, status: int, code: str, message: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code
        self.hint = hint


def error_body(code: str, message: str, hint: str = "") -> dict[str, dict[str, str]]:
    """The one error shape."""
    return {"error": {"code": code, "message": message, "hint": hint}}


def error_response(error: ApiError) -> JSONResponse:
    return JSONResponse(error_body(error.code, error.detail, error.hint), error.status_code, headers=error.headers)


def _where(location: Sequence[Any]) -> str:
    """`body.reason`, from a validation error's location."""
    return ".".join(str(part) for part in location)


async def _on_api_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return error_response(error)


async def _on_http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code, hint = CODES.get(error.status_code, ("error", ""))
    message = str(error.detail) or HTTPStatus(error.status_code).phrase
    return JSONResponse(error_body(code, message, hint), error.status_code, headers=error.headers)


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # The values are left out on purpose: a password that failed its check must not come back in an answer or a log.
    text = "; ".join(f"{_where(fault['loc'])}: {fault['msg']}" for fault in error.errors()[:10])
    return JSONResponse(error_body("invalid", text, CODES[422][1]), 422)


async def _on_refusal(_: Request, error: Exception) -> JSONResponse:
    status, code, hint = next(answer for kind, answer in REFUSALS if isinstance(error, kind))
    headers = {"Retry-After": str(-(-error.wait_ms // 1000))} if isinstance(error, TooManyAttempts) else None
    return JSONResponse(error_body(code, str(error), hint), status, headers=headers)


async def _on_bug(request: Request, error: Exception) -> JSONResponse:
    # A fault of ours is logged with its trace, and told without it.
    log.error("fault in %s %s", request.method, request.scope.get("path"), exc_info=error)
    return JSONResponse(error_body("fault", "the server met a fault of its own", "it has been logged"), 500)


async def answer_to(request: Request, error: HTTPException | TocsinError) -> JSONResponse:
    """What `install`'s handlers answer, for an endpoint that the framework does not call."""
    if isinstance(error, ApiError):
        return error_response(error)
    return await (_on_http(request, error) if isinstance(error, HTTPException) else _on_refusal(request, error))


def install(app: FastAPI) -> None:
    """Makes every error of the application take the one shape."""
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(TocsinError, _on_refusal)
    app.add_exception_handler(Exception, _on_bug)
