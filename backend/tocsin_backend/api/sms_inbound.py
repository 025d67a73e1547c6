"""Short messages that come in through a provider: it posts them here with a token of its own."""

import hmac
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from tocsin_backend.api.context import Parts
from tocsin_backend.api.errors import ApiError
from tocsin_backend.api.guards import bearer
from tocsin_backend.api.strict_json import StrictRoute

router = APIRouter(route_class=StrictRoute, tags=["sms"])


class InboundBody(BaseModel):
    """`from`: the sender's number in E.164; `text`: at most ten parts of a short message."""

    model_config = ConfigDict(extra="forbid", strict=True)
    from_: Annotated[str, Field(alias="from", max_length=40, examples=["+33612345678"])]
    text: Annotated[str, Field(max_length=1_600, examples=["OUI 482113"])]


class ReplyShape(BaseModel):
    """`reply`: what to write back; "" for nothing."""

    reply: str = Field(examples=["Appel pris. Merci."])


@router.post("/sms/inbound", openapi_extra={"security": [{"providerToken": []}]})
def sms_inbound(body: InboundBody, request: Request, parts: Parts) -> ReplyShape:
    """A message of a person: "OUI 482113" takes the call whose notice carried that code."""
    token = parts.sms_inbound_token
    if not token or not hmac.compare_digest(bearer(request).encode(), token.encode()):
        raise ApiError(
            401, "unknown-provider", "this is not the provider's token", "TOCSIN_SMS_INBOUND_TOKEN_FILE names its file",
            {"WWW-Authenticate": "Bearer"},
        )  # fmt: skip
    return ReplyShape(reply=parts.answering.by_sms(body.from_, body.text))
