"""Short messages: through an HTTP provider by Apprise, or through the modem of one of the organisation's gateways.

Which way is the organisation's choice (`organisation.sms_route`): `provider`, whose URL the administrator keeps in a
file, or `gateway:<id>`, see modems.py. A provider that accepts has not delivered; a modem may say more, later.
"""

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote

from ..domain import contacts
from ..domain.dispatches import Outcome
from . import Outgoing
from .bounded_apprise import Services
from .reach import Network, Reach

TEXT_MAX = 459  # three parts of 153 characters: beyond, gateways and providers cut or charge as they like


class Routes(Protocol):
    """The modems of gateways, and which organisation uses one."""

    def gateway_of(self, org: str) -> str | None:
        """The gateway whose modem sends for this organisation; None: a provider does."""
        ...

    def send(self, org: str, gateway: str, message_id: str, to: str, text: str) -> Outcome:
        """Hand it to the gateway and wait for its first word."""
        ...

    def close(self) -> None: ...


class Sms:
    """`provider_url`: Apprise's, with {to}; empty: there is no provider. `modems`: None where no gateway listens."""

    name = "sms"
    workers = 8
    confirms = ("handed", "delivered", "answered")
    answers = "code"
    patience_ms = 35_000  # a modem is given 30 s for its first word

    def __init__(
        self,
        provider_url: str = "",
        modems: Routes | None = None,
        allowed: Sequence[Network] = (),
        cafile: str | None = None,
    ) -> None:
        self._url = provider_url
        self._modems = modems
        if provider_url:
            schema = contacts.provider(provider_url)
            self._services = Services({schema: contacts.SMS_SERVICES[schema]}, Reach(allowed), cafile)

    def send(self, outgoing: Outgoing) -> Outcome:
        """Hand one short message over."""
        try:
            to = contacts.number(outgoing.address)
        except contacts.BadAddress as error:
            return Outcome(False, permanent=True, error=str(error))
        gateway = None if self._modems is None else self._modems.gateway_of(outgoing.org)
        text = shortened(outgoing.message.short or outgoing.message.text)
        if gateway is not None and self._modems is not None:
            return self._modems.send(outgoing.org, gateway, outgoing.dispatch_id, to, text)
        if not self._url:
            return Outcome(False, permanent=True, error="no SMS provider is configured (TOCSIN_SMS_URL_FILE)")
        return self._services.send(self._url.replace(contacts.NUMBER_PLACE, quote(to, safe="")), "", text)

    def close(self) -> None:
        """No connection is kept; whoever waits for a modem waits no longer."""
        if self._modems is not None:
            self._modems.close()


def shortened(text: str) -> str:
    """The text within TEXT_MAX characters: whole lines from its beginning, as many as fit."""
    lines: list[str] = []
    left = TEXT_MAX
    for line in text.splitlines():
        if len(line) + 1 > left and lines:
            break
        lines.append(line[:left])
        left -= len(line) + 1
        if left <= 0:
            break
    return "\n".join(lines)
