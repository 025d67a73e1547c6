"""JSON as the wire accepts it: one object, integers and strings, UTF-8; nothing that two readers take differently.

CPython refuses everything listed in `decode`. MicroPython's parser is lax (it takes truncated documents and NaN), so
there the signature is always verified before `decode` is called and the schema after it: see messages.unseal.
"""

import json

from .errors import WireError
from .limits import MAX_DEPTH, MAX_INT

try:
    from json import JSONDecoder

    def _pairs(pairs: "list[tuple[str, object]]") -> "dict[str, object]":
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key stands twice")
        return found

    def _refuse(text: str) -> object:
        raise ValueError("not an integer: " + text[:20])

    _decoder = JSONDecoder(object_pairs_hook=_pairs, parse_float=_refuse, parse_constant=_refuse)

    def _loads(text: str) -> object:
        return _decoder.decode(text)

    def _dumps(message: "dict[str, object]") -> str:
        return json.dumps(message, ensure_ascii=False, separators=(",", ":"))

except ImportError:  # MicroPython

    def _loads(text: str) -> object:
        return json.loads(text)

    def _dumps(message: "dict[str, object]") -> str:
        return json.dumps(message, separators=(",", ":"))


def _inspect(value: object, depth: int) -> None:
    """Raise ValueError if `value` holds anything that this wire does not carry."""
    if isinstance(value, str):
        value.encode()  # CPython refuses a lone surrogate here
        if value and min(value) < " ":
            raise ValueError("a control character in a string")
    elif value is None or value is True or value is False:
        raise ValueError("neither an integer nor a string")
    elif isinstance(value, int):
        if not -MAX_INT <= value <= MAX_INT:
            raise ValueError("an integer beyond 2**53")
    elif isinstance(value, (dict, list)):
        if depth >= MAX_DEPTH:
            raise ValueError("nested too deep")
        if isinstance(value, dict):
            for key in value:
                _inspect(key, depth)
                _inspect(value[key], depth + 1)
        else:
            for item in value:
                _inspect(item, depth + 1)
    else:
        raise ValueError("neither an integer nor a string")


def decode(body: bytes) -> "dict[str, object]":
    """The message in these bytes.

    Raises WireError `bad-json`: not UTF-8, not one JSON object, a key twice, a float, NaN, true, false or null, an
    integer beyond 2**53, a control character (U+0000 breaks PostgreSQL), a lone surrogate (breaks SQLite), containers
    deeper than MAX_DEPTH.
    """
    try:
        message = _loads(str(body, "utf-8"))
        _inspect(message, 0)
    except (ValueError, RuntimeError) as error:  # RuntimeError: recursion, by both interpreters' reckoning
        raise WireError("bad-json", "not the JSON of this wire: %s" % (error,)) from None
    if not isinstance(message, dict):
        raise WireError("bad-json", "not a JSON object")
    return message


def encode(message: "dict[str, object]") -> bytes:
    """The bytes of a message. Raises WireError `bad-json` for what `decode` would refuse."""
    try:
        _inspect(message, 0)
    except ValueError as error:
        raise WireError("bad-json", "cannot be sent: %s" % (error,)) from None
    return _dumps(message).encode()
