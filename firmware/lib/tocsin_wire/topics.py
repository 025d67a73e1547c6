"""Topics: `tocsin/1/{org}/{device}/{channel}` and the gateway's own `tocsin/1/{org}/_gw/{gateway}/state`.

The major version is a topic level, so that a device of another major is never even delivered.
"""

from .errors import WireError
from .limits import MAX_NAME

PREFIX = "tocsin/1/"
GATEWAYS = "_gw"  # cannot be a device: names hold no underscore

# channel, direction, QoS, retained
CHANNELS = (
    ("state", "up", 1, True),
    ("info", "up", 1, True),
    ("alert", "up", 1, False),
    ("event", "up", 1, False),
    ("beat", "up", 0, False),
    ("reply", "up", 1, False),
    ("log", "up", 0, False),
    ("ack", "down", 1, False),
    ("cmd", "down", 1, False),
    ("config", "down", 1, True),
)
UP = tuple([row[0] for row in CHANNELS if row[1] == "up"])
DOWN = tuple([row[0] for row in CHANNELS if row[1] == "down"])
GATEWAY = "gateway"  # what `parse` calls the channel of a gateway's own state

_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789-"


def is_name(text: object) -> bool:
    """Whether `text` may name an organisation, site, device, gateway or input: `[a-z0-9-]{1,32}`."""
    if not isinstance(text, str) or not 1 <= len(text) <= MAX_NAME:
        return False
    return not text.strip(_NAME_CHARACTERS)


def topic(org: str, device: str, channel: str) -> str:
    """The topic of one channel of one device. Raises WireError `bad-topic` on a bad name or an unknown channel."""
    if not (is_name(org) and is_name(device) and (channel in UP or channel in DOWN)):
        raise WireError("bad-topic", "no such topic: org %r, device %r, channel %r" % (org, device, channel))
    return PREFIX + org + "/" + device + "/" + channel


def gateway_topic(org: str, gateway: str) -> str:
    """The retained topic on which a gateway says whether it listens. Raises WireError `bad-topic` on a bad name."""
    if not (is_name(org) and is_name(gateway)):
        raise WireError("bad-topic", "no such gateway topic: org %r, gateway %r" % (org, gateway))
    return PREFIX + org + "/" + GATEWAYS + "/" + gateway + "/state"


def parse(text: str) -> "tuple[str, str, str]":
    """(org, device, channel) of a topic; for a gateway's state (org, gateway, "gateway").

    Raises WireError `bad-topic` on anything that `topic` and `gateway_topic` would not have written.
    """
    parts = text.split("/")
    if len(parts) == 5 and text.startswith(PREFIX):
        org, device, channel = parts[2], parts[3], parts[4]
        if is_name(org) and is_name(device) and (channel in UP or channel in DOWN):
            return org, device, channel
    elif len(parts) == 6 and text.startswith(PREFIX) and parts[3] == GATEWAYS and parts[5] == "state":
        if is_name(parts[2]) and is_name(parts[4]):
            return parts[2], parts[4], GATEWAY
    raise WireError("bad-topic", "not a topic of this wire: %r" % (text[:80],))
