"""How an address of each channel must look, how it is shown, and which services a push or an SMS may go through.

A push address is an Apprise URL, `service://secrets@host/where`: the schemas below and no other, over TLS or not as the
schema says. What would turn certificates, redirects or limits off is refused, and so is whatever fetches a file.
"""

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

EMAIL, WEBHOOK, SMS, PUSH = "email", "webhook", "sms", "push"
CHANNELS: Final = (EMAIL, SMS, PUSH, WEBHOOK)
OFFSET_MAX_MS: Final = 3_600_000
ADDRESS_MAX: Final = 500
CODE_DIGITS: Final = 6  # of the code that proves an address

# Apprise's schema -> the module of its plugin. Matrix is also Tchap, workflows is Microsoft Teams.
PUSH_SERVICES: Final = {
    "ntfy": "ntfy", "ntfys": "ntfy", "matrix": "matrix.base", "matrixs": "matrix.base", "workflow": "workflows",
    "workflows": "workflows", "mmost": "mattermost", "mmosts": "mattermost", "gotify": "gotify", "gotifys": "gotify",
}  # fmt: skip
SMS_SERVICES: Final = {
    "46elks": "fortysixelks", "bulksms": "bulksms", "clicksend": "clicksend", "d7sms": "d7networks",
    "infobip": "infobip", "msgbird": "messagebird", "octopush": "octopush", "plivo": "plivo", "seven": "seven",
    "sfr": "sfr", "sinch": "sinch", "smseagle": "smseagle", "smseagles": "smseagle", "twilio": "twilio",
    "vonage": "vonage",
}  # fmt: skip
# Of the options behind "?": those that only say who and where, and nothing about how the connection is made.
PUSH_OPTIONS: Final = frozenset(
    {"auth", "channel", "from", "id", "mode", "msgtype", "priority", "room", "route", "signature", "tags", "to"}
    | {"token", "user", "v", "version", "workflow"}
)
# Of a provider's URL, which the administrator writes: what may not be turned off.
SMS_OPTIONS_REFUSED: Final = frozenset({"attach", "cto", "redirect", "retry", "rto", "store", "test", "verify", "wait"})
NUMBER_PLACE: Final = "{to}"

_E164 = re.compile(r"\+[1-9][0-9]{7,14}")


class BadAddress(Exception):
    """The address is refused; the text says why, without repeating it: it may hold secrets."""


def checked(channel: str, address: str) -> str:
    """The address as it is kept: a telephone number without its blanks. Raises BadAddress."""
    if channel not in CHANNELS:
        raise BadAddress(f"the channel must be one of: {', '.join(CHANNELS)}")
    address = address.strip()
    if channel == SMS:
        return number(address)
    if not address.isprintable() or " " in address or not 1 <= len(address) <= ADDRESS_MAX:
        raise BadAddress(f"an address has 1 to {ADDRESS_MAX} printable characters and no blanks")
    if channel == EMAIL:
        _check_email(address)
    elif channel == WEBHOOK:
        _check_webhook(address)
    else:
        service(address, PUSH_SERVICES)
        options = {name.lstrip("+-:").lower() for name, _ in parse_qsl(urlsplit(address).query, keep_blank_values=True)}
        if options - PUSH_OPTIONS:
            raise BadAddress(f"options that are refused: {', '.join(sorted(options - PUSH_OPTIONS))}")
    return address


def number(text: str) -> str:
    """A telephone number in E.164, +33612345678; blanks, dots and hyphens in it are dropped. Raises BadAddress."""
    plain = re.sub(r"[\s.\-()]", "", text)
    if not _E164.fullmatch(plain):
        raise BadAddress("a telephone number begins with + and its country: +33612345678 for 06 12 34 56 78")
    if plain.startswith("+33") and (len(plain) not in (12, 16) or plain[3] == "0"):  # 13-digit numbers: machines
        raise BadAddress("a French number is +33 and nine digits, without the 0: +33612345678 for 06 12 34 56 78")
    return plain


def service(url: str, services: dict[str, str] | None = None) -> str:
    """The schema of an Apprise URL. Raises BadAddress when it is none of these (None: of the pushes)."""
    known = PUSH_SERVICES if services is None else services
    try:
        where = urlsplit(url)
        good = bool(where.hostname) and where.port != 0
    except ValueError:
        good = False
        where = urlsplit("")
    schema = url.partition("://")[0].lower()
    if schema not in known:
        raise BadAddress(f"the service must be one of: {', '.join(sorted(known))}")
    if not good and where.netloc == "":
        raise BadAddress(f"the address must look like {schema}://host/where")
    return schema


def provider(url: str) -> str:
    """The schema of an SMS provider's Apprise URL, with {to} for the number. Raises BadAddress."""
    if not url.isprintable() or " " in url or len(url) > 2 * ADDRESS_MAX:
        raise BadAddress("the provider's URL must be one line without blanks")
    schema = service(url, SMS_SERVICES)
    if url.count(NUMBER_PLACE) != 1:
        raise BadAddress(f"the provider's URL must hold {NUMBER_PLACE} once, where the number goes")
    options = {name.lower() for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
    if options & SMS_OPTIONS_REFUSED:
        raise BadAddress(f"options that are refused: {', '.join(sorted(options & SMS_OPTIONS_REFUSED))}")
    return schema


def masked(channel: str, address: str) -> str:
    """The address as lists and logs show it: enough to know which one it is, nothing that opens a door."""
    if channel == SMS:
        return f"{address[:4]}…{address[-2:]}"
    if channel == EMAIL:
        name, _, domain = address.rpartition("@")
        return f"{name[:1]}…@{domain}"
    try:
        where = urlsplit(address)
        host = where.hostname or ""
        port = where.port
    except ValueError:
        return "…"
    if channel == PUSH and "@" not in where.netloc and port is None and "." not in host and ":" not in host:
        host = ""  # where a host would stand some services write a token
    return f"{where.scheme}://{host}{f':{port}' if port else ''}/…"


def _check_email(address: str) -> None:
    name, _, domain = address.rpartition("@")
    if not name or not domain or any(each in name + domain for each in '<>",;@'):
        raise BadAddress("an e-mail address looks like anne@example.fr")


def _check_webhook(address: str) -> None:
    try:
        where = urlsplit(address)
        good = where.scheme in ("http", "https") and bool(where.hostname) and where.port != 0
        named = where.username is not None or bool(where.fragment)
    except ValueError:
        good = named = False
    if not good or named:
        raise BadAddress("a webhook's address begins with https:// (or http://) and a host, without user or fragment")
