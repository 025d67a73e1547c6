"""Small files, and a word for the next boot."""

import binascii
import json

import machine
from micropython import const

MAGIC = b"TCS1"
_WORD_MAX = const(160)


def read_json(path: str) -> "dict[str, object] | None":
    """The JSON object in a file; None if there is none, or none that can be read."""
    try:
        with open(path) as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: str, content: "dict[str, object]") -> bool:
    """Write a file of below 128 bytes, whole or not at all. Whether the flash did it."""
    try:
        with open(path, "w") as file:
            json.dump(content, file)
    except OSError:
        return False
    return True


def leave_word(text: str) -> None:
    """Leave the reason of a crash in RTC memory, which survives a reset but not the power."""
    body = text.encode()[:_WORD_MAX]
    machine.RTC().memory(MAGIC + binascii.crc32(body).to_bytes(4, "big") + body)
