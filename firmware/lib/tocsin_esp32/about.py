"""What the post says of itself in `info`."""

import os
import sys

from umqtt import simple

FIRMWARE = "0.1.0"

# umqtt.simple has no version of its own: official images freeze one by their own version, and .frozen precedes /lib.
_FROZEN = ((1, 27, "1.7.0"), (1, 25, "1.6.0"), (1, 24, "1.4.0"), (1, 22, "1.3.4"))


def umqtt_version() -> str:
    """Which umqtt.simple was imported: if frozen, that of the interpreter; of the others 1.3.4 alone says ussl."""
    path = getattr(simple, "__file__", "")
    if not path.startswith("/"):
        for major, minor, version in _FROZEN:
            if sys.implementation.version[:2] >= (major, minor):
                return version
        return "unknown"
    try:
        with open(path, "rb") as file:
            if b"ussl" in file.read():
                return "1.3.4"
    except OSError:
        pass
    return "unknown"


def info(kind: str, profile: str) -> "dict[str, object]":
    """The fields of the wire's `info`."""
    version = ".".join([str(number) for number in sys.implementation.version[:3]])
    return {
        "v": 1,
        "kind": kind,
        "fw": FIRMWARE,
        "profile": profile,
        "py": sys.implementation.name + " " + version,
        "umqtt": umqtt_version(),
        "board": os.uname().machine[:80] if hasattr(os, "uname") else sys.platform,
    }
