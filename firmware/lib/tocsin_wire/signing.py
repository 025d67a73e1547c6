"""Signed frames: `<json>\\n<kid>:<mac>`, mac = base64url(HMAC-SHA256(key, topic + "\\n" + json)[:16]), no padding.

The MAC covers the bytes as received, never a re-serialisation, and the topic is inside it: a frame cannot be moved to
another topic or device. Truncating HMAC to 128 bits is RFC 2104 §5.
"""

import binascii
import hashlib

from .errors import WireError

MAC_LENGTH = 22  # characters: 16 bytes in base64url without padding
KEY_LENGTH = 32  # bytes
_KID_CHARACTERS = b"abcdefghijklmnopqrstuvwxyz0123456789"
_BLOCK = 64  # SHA-256's block, RFC 2104's B

try:
    from hmac import digest as _digest  # CPython: in C, 1 µs

    def hmac_sha256(key: bytes, message: bytes) -> bytes:
        """HMAC-SHA256 (RFC 2104), 32 bytes."""
        return _digest(key, message, "sha256")

except ImportError:  # MicroPython has hashlib.sha256 and nothing above it
    _INNER = int.from_bytes(b"\x36" * _BLOCK, "big")
    _OUTER = int.from_bytes(b"\x5c" * _BLOCK, "big")

    def hmac_sha256(key: bytes, message: bytes) -> bytes:
        """HMAC-SHA256 (RFC 2104), 32 bytes."""
        if len(key) > _BLOCK:
            key = hashlib.sha256(key).digest()
        number = int.from_bytes(key + bytes(_BLOCK - len(key)), "big")  # one integer: a tenth of a list's heap and time
        inner = hashlib.sha256((number ^ _INNER).to_bytes(_BLOCK, "big"))
        inner.update(message)
        outer = hashlib.sha256((number ^ _OUTER).to_bytes(_BLOCK, "big"))
        outer.update(inner.digest())
        return outer.digest()


def _base64url(data: bytes) -> bytes:
    return binascii.b2a_base64(data).rstrip(b"=\n").replace(b"+", b"-").replace(b"/", b"_")


def key_to_text(key: bytes) -> str:
    """A key as credentials write it: base64url, 43 characters for 32 bytes."""
    return _base64url(key).decode()


def key_from_text(text: str) -> bytes:
    """The 32 bytes of a key written by `key_to_text`. Raises ValueError; the text is never repeated in the message."""
    try:
        key = binascii.a2b_base64(text.encode().replace(b"-", b"+").replace(b"_", b"/") + b"=")
    except ValueError:
        raise ValueError("a key is 43 characters of base64url") from None
    if len(key) != KEY_LENGTH or key_to_text(key) != text:
        raise ValueError("a key is 43 characters of base64url")
    return key


def _mac(topic: str, body: bytes, key: bytes) -> bytes:
    return _base64url(hmac_sha256(key, topic.encode() + b"\n" + body)[:16])


def _same(one: bytes, other: bytes) -> bool:
    """Equality in a time that depends on the lengths only."""
    if len(one) != len(other):
        return False
    difference = 0
    for a, b in zip(one, other):  # noqa: B905 (MicroPython's zip has no strict)
        difference |= a ^ b
    return difference == 0


def is_kid(kid: bytes) -> bool:
    """Whether these bytes may name a key: `[a-z0-9]{1,8}`."""
    if not 1 <= len(kid) <= 8:
        return False
    for byte in kid:
        if byte not in _KID_CHARACTERS:
            return False
    return True


def sign(topic: str, body: bytes, kid: str, key: bytes) -> bytes:
    """The frame that carries `body` on `topic`, signed with `key`, whose name is `kid`."""
    return body + b"\n" + kid.encode() + b":" + _mac(topic, body, key)


def split(frame: bytes) -> "tuple[bytes, str, bytes]":
    """(body, kid, mac as its 22 characters) of a frame, unverified. Raises WireError `bad-frame`."""
    at = frame.rfind(b"\n")
    tail = frame[at + 1 :]
    colon = tail.find(b":")
    if at < 2 or colon < 1 or len(tail) - colon - 1 != MAC_LENGTH or not is_kid(tail[:colon]):
        raise WireError("bad-frame", "a frame ends in a line `<kid>:<22 characters of base64url>`")
    return frame[:at], tail[:colon].decode(), tail[colon + 1 :]


def verify(topic: str, frame: bytes, key: bytes) -> bytes:
    """The body of a frame that was received on `topic`. Raises WireError `bad-frame` or `bad-signature`."""
    body, _, mac = split(frame)
    if not _same(mac, _mac(topic, body, key)):
        raise WireError("bad-signature", "the signature is not that of these bytes on this topic with this key")
    return body
