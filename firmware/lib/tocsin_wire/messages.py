"""The messages: which fields each channel carries, and the two calls that everybody uses, `seal` and `unseal`.

A field is (name, required, rule). A rule is a tuple of allowed strings, or (INT, low, high), or (TEXT, longest), or
NAME, or LINES. Unknown fields are carried and ignored, so that a newer minor version can add some. What each field
means is written in WIRE.md, and a test keeps the two in step.
"""

from . import codec, signing, topics
from .errors import WireError
from .limits import MAX_INT, MAX_RECEIVED, MAX_SENT, MAX_TEXT

MINOR = 1  # `v`

INT = "int"
TEXT = "text"
NAME = "name"
LINES = "lines"

_COUNT = (INT, 0, MAX_INT)
_V = ("v", True, (INT, 1, 255))
_T = ("t", True, (INT, 0, 2**40))
_Q = ("q", True, ("ntp", "gw", "rtc", "none"))
_SESSION = ("s", True, (TEXT, 24))
_SIGNAL = (
    _V,
    ("b", True, (INT, 1, 2**31)),
    ("n", True, (INT, 1, 2**31)),
    _T,
    _Q,
    ("age", True, _COUNT),
    ("try", True, (INT, 1, 2**31)),
)

FIELDS = {
    "alert": _SIGNAL
    + (
        ("k", True, ("press", "cancel", "probe")),
        ("in", True, NAME),
        ("held", True, _COUNT),
        ("mode", True, ("real", "drill")),
        ("silent", False, (INT, 0, 1)),
        ("sc", False, ("attack", "shelter", "evacuate", "all-clear")),
    ),
    "event": _SIGNAL
    + (
        ("k", True, NAME),
        ("why", False, (TEXT, 32)),
        ("in", False, NAME),
        ("count", False, _COUNT),
        ("re", False, (TEXT, 24)),
        ("r", False, ("stored", "fallback", "answered", "closed", "refused")),
        ("e", False, (INT, 0, 2**31)),
        ("lat", False, (INT, -1, MAX_INT)),
        ("txt", False, (TEXT, MAX_TEXT)),
    ),
    "state": (
        _V,
        _SESSION,
        ("st", True, ("ready", "restarting", "lost")),
        ("nonce", False, (TEXT, 32)),
        ("t", False, (INT, 0, 2**40)),
        ("q", False, ("ntp", "gw", "rtc", "none")),
    ),
    "info": (
        _V,
        ("kind", True, (TEXT, 32)),
        ("fw", True, (TEXT, 24)),
        ("profile", True, (TEXT, 32)),
        ("py", True, (TEXT, 40)),
        ("umqtt", True, (TEXT, 16)),
        ("board", True, (TEXT, 80)),
        ("voice_uri", False, (TEXT, 120)),
    ),
    "beat": (
        _V,
        _SESSION,
        ("i", True, (INT, 1, 2**31)),
        ("b", True, (INT, 1, 2**31)),
        ("n", True, (INT, 0, 2**31)),
        ("up", True, _COUNT),
        ("spool", True, _COUNT),
        ("drop", True, _COUNT),
        ("rssi", False, (INT, -200, 0)),
        ("mv", False, (INT, 0, 60000)),
        ("lag", True, _COUNT),
        ("free", True, _COUNT),
        ("blk", False, _COUNT),
        ("rej", True, _COUNT),
        ("lines", True, LINES),
        _T,
        _Q,
    ),
    "ack": (
        _V,
        ("re", True, (TEXT, 24)),
        ("r", True, ("stored", "fallback", "answered", "closed", "refused", "alive")),
        ("e", False, (INT, 1, 2**31)),
        ("al", False, (TEXT, 36)),
        ("s", False, (TEXT, 24)),
        ("i", False, (INT, 1, 2**31)),
        ("t", False, (INT, 0, 2**40)),
        ("why", False, (TEXT, 32)),
    ),
    "gateway": (_V, ("st", True, ("ready", "lost")), ("t", False, (INT, 0, 2**40))),
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
    fields = FIELDS.get(channel)
    if fields is None:
        raise WireError("bad-schema", "channel %r carries no message in this version" % (channel,))
    for name, required, rule in fields:
        value = message.get(name)
        if value is None:
            if required:
                raise WireError("bad-schema", "%s: field %r is missing" % (channel, name))
        elif not _fits(value, rule):
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
