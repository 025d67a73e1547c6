"""The messages: which fields each channel carries, and the two calls that everybody uses, `seal` and `unseal`.

A field has a name, whether it is required, and a rule. A rule is a tuple of allowed strings, or (INT, low, high), or
(TEXT, longest), or NAME, or LINES. Unknown fields are carried and ignored, so that a newer minor version can add some.
What each field means is written in WIRE.md, and a test keeps the two in step.
"""

from . import codec, signing, topics
from .errors import WireError
from .limits import MAX_INT, MAX_RECEIVED, MAX_SENT, MAX_TEXT

MINOR = 1  # `v`

INT = "int"
TEXT = "text"
NAME = "name"
LINES = "lines"

_MINOR = (INT, 1, 255)
_COUNT = (INT, 0, MAX_INT)
_ORDINAL = (INT, 1, 2**31)
_SECONDS = (INT, 0, 2**40)
_QUALITY = ("ntp", "gw", "rtc", "none")
_NAMED = (TEXT, 24)  # a session or a signal
_WORDS = (TEXT, 32)
_FLAG = (INT, 0, 1)

_SIGNAL: "tuple[object, ...]" = (
    "v",
    True,
    _MINOR,
    "b",
    True,
    _ORDINAL,
    "n",
    True,
    _ORDINAL,
    "t",
    True,
    _SECONDS,
    "q",
    True,
    _QUALITY,
)
_SIGNAL += ("age", True, _COUNT, "try", True, _ORDINAL)

# Flat, three entries a field: a tuple for each would cost a device 4 kB of heap. `fields` gives them by threes.
FIELDS: "dict[str, tuple[object, ...]]" = {
    "alert": _SIGNAL
    + ("k", True, ("press", "cancel", "probe"), "in", True, NAME, "held", True, _COUNT, "mode", True, ("real", "drill"))
    + ("silent", False, _FLAG, "sc", False, ("attack", "shelter", "evacuate", "all-clear")),
    "event": _SIGNAL
    + ("k", True, NAME, "why", False, _WORDS, "in", False, NAME, "count", False, _COUNT, "re", False, _NAMED)
    + ("r", False, ("stored", "fallback", "answered", "closed", "refused"), "e", False, (INT, 0, 2**31))
    + ("lat", False, (INT, -1, MAX_INT), "txt", False, (TEXT, MAX_TEXT)),
    "state": ("v", True, _MINOR, "s", True, _NAMED, "st", True, ("ready", "restarting", "lost"))
    + ("nonce", False, _WORDS, "t", False, _SECONDS, "q", False, _QUALITY),
    "info": ("v", True, _MINOR, "kind", True, _WORDS, "fw", True, _NAMED, "profile", True, _WORDS)
    + ("py", True, (TEXT, 40), "umqtt", True, (TEXT, 16), "board", True, (TEXT, 80), "voice_uri", False, (TEXT, 120)),
    "beat": ("v", True, _MINOR, "s", True, _NAMED, "i", True, _ORDINAL, "b", True, _ORDINAL, "n", True, (INT, 0, 2**31))
    + ("up", True, _COUNT, "spool", True, _COUNT, "drop", True, _COUNT, "rssi", False, (INT, -200, 0))
    + ("mv", False, (INT, 0, 60000), "lag", True, _COUNT, "free", True, _COUNT, "blk", False, _COUNT)
    + ("rej", True, _COUNT, "lines", True, LINES, "t", True, _SECONDS, "q", True, _QUALITY),
    "ack": ("v", True, _MINOR, "re", True, _NAMED)
    + ("r", True, ("stored", "fallback", "answered", "closed", "refused", "alive"), "e", False, _ORDINAL)
    + ("al", False, (TEXT, 36), "s", False, _NAMED, "i", False, _ORDINAL, "t", False, _SECONDS, "why", False, _WORDS),
    "gateway": ("v", True, _MINOR, "st", True, ("ready", "lost"), "t", False, _SECONDS),
}
LINE_STATES = ("idle", "pressed", "open", "short", "fault")
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


def fields(channel: str) -> "list[tuple[str, bool, tuple[object, ...] | str]]":
    """The (name, required, rule) of each field of a channel, in order."""
    flat = FIELDS[channel]
    return [(str(flat[at]), bool(flat[at + 1]), _rule(flat[at + 2])) for at in range(0, len(flat), 3)]


def _rule(entry: object) -> "tuple[object, ...] | str":
    assert isinstance(entry, (tuple, str))
    return entry


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
    flat = FIELDS.get(channel)
    if flat is None:
        raise WireError("bad-schema", "channel %r carries no message in this version" % (channel,))
    for at in range(0, len(flat), 3):
        name = str(flat[at])
        value = message.get(name)
        if value is None:
            if flat[at + 1]:
                raise WireError("bad-schema", "%s: field %r is missing" % (channel, name))
        elif not _fits(value, _rule(flat[at + 2])):
            raise WireError("bad-schema", "%s: field %r cannot be %r" % (channel, name, value))
    if "s" in message:
        parse_session(str(message["s"]))
    reference = message.get("re")
    if reference is not None and reference != BEAT:
        parse_signal_id(str(reference))
    if channel == "ack" and (reference == BEAT) != (message["r"] == "alive"):
        raise WireError("bad-schema", "ack: `alive` answers a beat and nothing else does")
    if channel == "ack" and reference == BEAT and not ("s" in message and "i" in message):
        raise WireError("bad-schema", "ack: an `alive` quotes the beat's `s` and `i`")
    if channel == "event" and message["k"] == "lamp" and not ("re" in message and "r" in message and "lat" in message):
        raise WireError("bad-schema", "event: a `lamp` has `re`, `r` and `lat`")


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
