"""The messages: which fields each channel carries, and the two calls that everybody uses, `seal` and `unseal`.

A field has a name, whether it is required, and a rule. A rule is a tuple of allowed strings, or (INT, low, high), or
(TEXT, longest), or NAME, or LINES. Unknown fields are carried and ignored, so that a newer minor version can add some.
What each field means is written in WIRE.md, and a test keeps the two in step.
"""

import sys

from . import codec, signing, topics
from .errors import WireError
from .limits import MAX_RECEIVED, MAX_SENT

MINOR = 1  # `v`

INT = "int"
TEXT = "text"
NAME = "name"
LINES = "lines"

_SIGNAL = "v:minor b:ordinal n:ordinal t:seconds q:ntp|gw|rtc|none age:count try:ordinal"

# channel -> its fields in order, each `name:rule`, or `name?:rule` if it may be absent. A rule is one of RULES or the
# allowed words; `signal` stands for the fields of _SIGNAL. Text, because a table of tuples costs a device 4 kB of heap;
# one literal each, because MicroPython keeps both sides of a `+` beside the sum; `fields` gives it as one.
SCHEMA = {
    "alert": "signal k:press|cancel|probe in:name held:count mode:real|drill silent?:flag "
    "sc?:attack|shelter|evacuate|all-clear",
    "event": "signal k:name why?:text32 in?:name count?:count re?:text24 r?:stored|fallback|answered|closed|refused "
    "e?:epoch lat?:latency txt?:text200",
    "state": "v:minor s:text24 st:ready|restarting|lost nonce?:text32 t?:seconds q?:ntp|gw|rtc|none",
    "info": "v:minor kind:text32 fw:text24 profile:text32 py:text40 umqtt:text16 board:text80 voice_uri?:text120",
    "beat": "v:minor s:text24 i:ordinal b:ordinal n:last up:count spool:count drop:count rssi?:rssi mv?:supply "
    "lag:count free:count blk?:count rej:count lines:lines t:seconds q:ntp|gw|rtc|none",
    "ack": "v:minor re:text24 r:stored|fallback|answered|closed|refused|alive e?:ordinal al?:text36 s?:text24 "
    "i?:ordinal t?:seconds why?:text32",
    "cmd": "v:minor id:text36 c:ordinal nonce:text32 t:seconds ttl:lifetime do:alarm-on|alarm-off|locate|self-test "
    "out?:name sc?:attack|shelter|evacuate|all-clear mode:real|drill",
    "reply": "signal re:text36 c:ordinal r:done|refused|failed why?:text32 out?:name state?:on|off|unknown",
    "gateway": "v:minor st:ready|lost t?:seconds eng?:well|silent",
}
RULES = {  # the least and the most, or the name of a rule
    "minor": "1 255",
    "count": "0 9007199254740991",  # limits.MAX_INT
    "ordinal": "1 2147483648",
    "last": "0 2147483648",
    "epoch": "0 2147483648",
    "seconds": "0 1099511627776",
    "latency": "-1 9007199254740991",
    "lifetime": "1 3600",
    "rssi": "-200 0",
    "supply": "0 60000",
    "flag": "0 1",
    "name": NAME,
    "lines": LINES,
}
LINE_STATES = ("idle", "pressed", "open", "short", "fault")
# Why a device refuses a command that it would obey if it were signed anew: foreign nonce, counter used before, too old.
FRESHNESS = ("nonce", "counter", "expired")
BEAT = "beat"  # the `re` of an ack that quotes a beat instead of a signal


def signal_id(b: int, n: int) -> str:
    """How an ack names a signal: boot and sequence, "812-7"."""
    return "%d-%d" % (b, n)


def parse_signal_id(text: str) -> "tuple[int, int]":
    """(b, n) of "812-7". Raises WireError `bad-schema`."""
    parts = text.split("-")
    if len(parts) != 2 or not parts[0].isdigit() or not parts[1].isdigit() or len(text) > 24:
        raise WireError("bad-schema", "a signal is named <b>-<n>")
    return int(parts[0]), int(parts[1])


def session(b: int, link: int) -> str:
    """A session: the boot and the connection in that boot, "812.3"."""
    return "%d.%d" % (b, link)


def parse_session(text: str) -> "tuple[int, int]":
    """(b, link) of "812.3"; sessions of one device are ordered by it. Raises WireError `bad-schema`."""
    parts = text.split(".")
    if len(parts) != 2 or not parts[0].isdigit() or not parts[1].isdigit() or len(text) > 24:
        raise WireError("bad-schema", "a session is named <b>.<link>")
    return int(parts[0]), int(parts[1])


_known: "dict[str, list[tuple[str, bool, tuple[object, ...] | str]]]" = {}


def fields(channel: str) -> "list[tuple[str, bool, tuple[object, ...] | str]]":
    """The (name, required, rule) of each field of a channel, in order. Raises KeyError if it carries no message.

    On MicroPython they come one by one: a device rather has the time than the room.
    """
    if sys.implementation.name == "micropython":
        return (_field(entry) for entry in _entries(channel))  # type: ignore[return-value]
    rows = _known.get(channel)
    if rows is None:
        rows = _known[channel] = [_field(entry) for entry in _entries(channel)]
    return rows


def _entries(channel: str) -> "list[str]":
    return SCHEMA[channel].replace("signal", _SIGNAL, 1).split(" ")


def _field(entry: str) -> "tuple[str, bool, tuple[object, ...] | str]":
    name, _, rule = entry.partition(":")
    if rule.startswith("text"):
        meant: "tuple[object, ...] | str" = (TEXT, int(rule[4:]))
    elif "|" in rule:
        meant = tuple(rule.split("|"))
    else:
        low, _, high = RULES[rule].partition(" ")
        meant = (INT, int(low), int(high)) if high else low
    return name.rstrip("?"), not name.endswith("?"), meant


def _fits(value: object, rule: "tuple[object, ...] | str") -> bool:
    if rule == NAME:
        return topics.is_name(value)
    if rule == LINES:
        if not isinstance(value, dict):
            return False
        for name in value:
            if not topics.is_name(name) or value[name] not in LINE_STATES:
                return False
        return True
    if rule[0] == INT:
        low, high = rule[1], rule[2]
        return isinstance(value, int) and isinstance(low, int) and isinstance(high, int) and low <= value <= high
    if rule[0] == TEXT:
        longest = rule[1]
        return isinstance(value, str) and isinstance(longest, int) and len(value) <= longest
    return value in rule


def check(channel: str, message: "dict[str, object]") -> None:
    """Raise WireError `bad-schema` unless `message` is one of `channel`'s; the text names the first wrong field."""
    if channel not in SCHEMA:
        raise WireError("bad-schema", "channel %r carries no message in this version" % (channel,))
    for name, required, rule in fields(channel):
        value = message.get(name)
        if value is None:
            if required:
                raise WireError("bad-schema", "%s: field %r is missing" % (channel, name))
        elif not _fits(value, rule):
            raise WireError("bad-schema", "%s: field %r cannot be %r" % (channel, name, value))
    if "s" in message:
        parse_session(str(message["s"]))
    if channel == "cmd" or channel == "reply":
        _check_command(channel, message)
        return
    reference = message.get("re")
    if reference is not None and reference != BEAT:
        parse_signal_id(str(reference))
    if channel == "ack" and (reference == BEAT) != (message["r"] == "alive"):
        raise WireError("bad-schema", "ack: `alive` answers a beat and nothing else does")
    if channel == "ack" and reference == BEAT and not ("s" in message and "i" in message):
        raise WireError("bad-schema", "ack: an `alive` quotes the beat's `s` and `i`")
    if channel == "event" and message["k"] == "lamp" and not ("re" in message and "r" in message and "lat" in message):
        raise WireError("bad-schema", "event: a `lamp` has `re`, `r` and `lat`")


def _check_command(channel: str, message: "dict[str, object]") -> None:
    """What the rules of single fields do not say of a command and its reply."""
    for name in ("id", "nonce", "re"):
        if message.get(name) == "":
            raise WireError("bad-schema", "%s: field %r is empty" % (channel, name))
    if channel == "cmd" and message["do"] in ("alarm-on", "alarm-off") and "out" not in message:
        raise WireError("bad-schema", "cmd: an alarm command names its output")


def seal(topic: str, message: "dict[str, object]", kid: str, key: bytes) -> bytes:
    """The signed frame of `message` for `topic`, at most MAX_SENT bytes.

    Raises WireError: `bad-topic`, `bad-schema`, `bad-json` or `oversize`; nothing wrong can be sent.
    """
    check(topics.parse(topic)[2], message)
    frame = signing.sign(topic, codec.encode(message), kid, key)
    if len(frame) > MAX_SENT:
        raise WireError("oversize", "%d bytes; a frame has at most %d" % (len(frame), MAX_SENT))
    return frame


def unseal(topic: str, frame: bytes, key: bytes) -> "dict[str, object]":
    """The message of a frame received on `topic`, verified with the device's `key` before a byte of it is parsed.

    Raises WireError: `oversize`, `bad-topic`, `bad-frame`, `bad-signature`, `bad-json` or `bad-schema`, in that order.
    """
    if len(frame) > MAX_RECEIVED:
        raise WireError("oversize", "%d bytes; at most %d are read" % (len(frame), MAX_RECEIVED))
    channel = topics.parse(topic)[2]
    message = codec.decode(signing.verify(topic, frame, key))
    check(channel, message)
    return message
