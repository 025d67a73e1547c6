"""Strict JSON: what Python's parser lets through and a database, a browser or a second parser would not.

Refused: NaN and infinities, duplicate keys, nesting past DEPTH_MAX, U+0000, lone surrogates, integers past 64 bits.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from tocsin_backend.api.errors import ApiError

DEPTH_MAX = 16  # our deepest body has 4 levels
_INTEGER_MAX = 2**63 - 1
_HINT = "send one JSON document in UTF-8, without NaN, duplicate keys or control characters"


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has the same key twice")
    return members


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("a number is out of range")
    value = int(digits)
    if abs(value) > _INTEGER_MAX:
        raise ValueError("a number is out of range")
    return value


_decoder = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_integer)


def _check(value: Any, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise ValueError("it is nested too deep")
    if isinstance(value, str):
        if "\0" in value or (not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value)):
            raise ValueError("a text holds U+0000 or half a surrogate pair")
    elif isinstance(value, dict):
        for key, member in value.items():
            _check(key, depth)
            _check(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            _check(member, depth + 1)


def decode(body: bytes) -> Any:
    """The document of a body. Raises ApiError 400 `bad-json`."""
    try:
        value = _decoder.decode(body.decode())
        _check(value, 1)
    except RecursionError:
        raise ApiError(400, "bad-json", "the body is not JSON we accept: it is nested too deep", _HINT) from None
    except ValueError as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else _reason(error)
        raise ApiError(400, "bad-json", f"the body is not JSON we accept: {reason}", _HINT) from None
    return value


def _reason(error: ValueError) -> str:
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def require_json(request: Request) -> None:
    """Raises ApiError 415 unless the request says that its body is JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(
            415,
            "unsupported-media-type",
            f"a body of type {kind or '(none)'!r} is not accepted",
            "send `Content-Type: application/json`",
        )


class _StrictRequest(Request):
    document: Any = None

    async def json(self) -> Any:
        return self.document


class StrictRoute(APIRoute):
    """A route whose JSON body is read by `decode`, and which takes no other kind of body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        takes_body = self.body_field is not None

        async def strict(request: Request) -> Response:
            strict_request = _StrictRequest(request.scope, request.receive)
            if takes_body:
                require_json(request)
                strict_request.document = decode(await strict_request.body())
            return await handler(strict_request)

        return strict
