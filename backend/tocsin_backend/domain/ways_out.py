"""Which channels cannot leave this server now, and why: nobody is rung by those.

blocked = ways_out.blocked(mail=False, provider=False, route="provider", seen_ms=None, now_ms=now_ms)
blocked                                    # {"email": "no-relay", "sms": "no-provider"}
ways_out.words("en", "no-relay")           # why, for people
"""

from typing import Final

GATEWAY_SILENT_MS: Final = 900_000  # a gateway that has said nothing for so long is not counted on

PHRASES: Final = {
    "fr": {
        "no-relay": "aucun courriel ne part de ce serveur (TOCSIN_SMTP_HOST)",
        "no-provider": "aucun SMS ne part de ce serveur (TOCSIN_SMS_URL_FILE, ou le modem d'une passerelle)",
        "gateway-unheard": "les SMS partent par une passerelle qui ne donne pas signe de vie depuis 15 minutes",
    },
    "en": {
        "no-relay": "no e-mail leaves this server (TOCSIN_SMTP_HOST)",
        "no-provider": "no SMS leaves this server (TOCSIN_SMS_URL_FILE, or a gateway's modem)",
        "gateway-unheard": "SMS leave through a gateway that was not heard for 15 minutes",
    },
}


def blocked(*, mail: bool, provider: bool, route: str, seen_ms: int | None, now_ms: int) -> dict[str, str]:
    """Channel -> code of PHRASES. `mail`, `provider`: whether the server has a relay, and an SMS provider.

    `route`: the organisation's for SMS, `provider` or `gateway:<id>`; `seen_ms`: when that gateway was last heard.
    """
    found: dict[str, str] = {}
    if not mail:
        found["email"] = "no-relay"
    if not route.startswith("gateway:"):
        if not provider:
            found["sms"] = "no-provider"
    elif seen_ms is None or now_ms - seen_ms > GATEWAY_SILENT_MS:
        found["sms"] = "gateway-unheard"
    return found


def words(language: str, code: str) -> str:
    """Why, in this language; "" for no code. English where there is no such language."""
    return PHRASES.get(language, PHRASES["en"]).get(code, "")
