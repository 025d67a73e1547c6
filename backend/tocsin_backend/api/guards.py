"""What stands before every endpoint: body limits and the headers that keep answers out of caches and frames."""

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tocsin_backend.api.errors import ApiError, error_response

BODY_MAX = 64 * 1024  # our largest form is a login; alerts are closed with 2,000 characters at most
# 500 envelopes of 1,024 bytes in base64 with their topics are 0.8 MB; 5,000 beats of 512 bytes are 4 MB.
BODY_MAX_BY_PATH = {
    "/api/v1/gateway/envelopes": 1024 * 1024,
    "/api/v1/gateway/beats": 4 * 1024 * 1024,
    "/api/v1/policies/import": 256 * 1024,
    "/api/v1/policies/validate": 256 * 1024,
    "/api/v1/calendars/import": 256 * 1024,
    "/api/v1/calendars/validate": 256 * 1024,
    "/api/v1/rosters/import": 256 * 1024,
    "/api/v1/rosters/validate": 256 * 1024,
}
_API_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


def _too_large(limit: int) -> ApiError:
    return ApiError(413, "too-large", f"the body is longer than {limit} bytes", "send less at once")


class Guards:
    """Pure ASGI, because a framework middleware would cost a press half a millisecond."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        limit = BODY_MAX_BY_PATH.get(path, BODY_MAX)
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        received = 0

        async def limited_receive() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    raise _too_large(limit)
            return message

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start" and path.startswith("/api/"):
                message["headers"] = [*message.get("headers", ()), *_API_HEADERS]
            await send(message)

        if announced.isdigit() and int(announced) > limit:
            await error_response(_too_large(limit))(scope, receive, guarded_send)
            return
        await self.app(scope, limited_receive, guarded_send)


def bearer(request: Request) -> str:
    """The token of `Authorization: Bearer <token>`, or "" when there is none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
