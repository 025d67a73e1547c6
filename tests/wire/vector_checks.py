"""The checks of vectors.json, in the dialect of both interpreters: pytest calls `run`, and so does MicroPython.

Under MicroPython: `micropython vector_checks.py VECTORS.json` with firmware/lib on MICROPYPATH; prints a line a failure
and a last line `checked N, failed N`.
"""

import json
import sys

from tocsin_wire import codec, messages, signing
from tocsin_wire.errors import WireError


def from_hex(text: str) -> bytes:
    return bytes([int(text[i : i + 2], 16) for i in range(0, len(text), 2)])


def run(vectors: dict, strict: bool) -> "tuple[int, list[str]]":
    """(how many were checked, what failed); `strict`: also the JSON that only a strict parser refuses."""
    failures = []
    checked = 0
    key = from_hex(vectors["key_hex"])
    for case in vectors["hmac_rfc4231"]:
        checked += 1
        if signing.hmac_sha256(from_hex(case["key_hex"]), from_hex(case["message_hex"])) != from_hex(case["mac_hex"]):
            failures.append("RFC 4231 with a key of %d bytes" % (len(case["key_hex"]) // 2))
    for case in vectors["good"]:
        checked += 1
        frame = from_hex(case["frame_hex"])
        try:
            if messages.unseal(case["topic"], frame, key) != case["message"]:
                failures.append(case["name"] + ": another message")
            body = signing.split(frame)[0]
            if signing.sign(case["topic"], body, vectors["kid"], key) != frame:
                failures.append(case["name"] + ": another signature")
            sealed = messages.seal(case["topic"], case["message"], vectors["kid"], key)
            if messages.unseal(case["topic"], sealed, key) != case["message"]:
                failures.append(case["name"] + ": does not survive seal and unseal")
        except WireError as error:
            failures.append(case["name"] + ": refused, " + error.code)
    for case in vectors["bad"]:
        if case["strict"] and not strict:
            continue
        checked += 1
        try:
            messages.unseal(case["topic"], from_hex(case["frame_hex"]), key)
            failures.append(case["name"] + ": accepted")
        except WireError as error:
            if error.code != case["code"]:
                failures.append("%s: refused as %s, not as %s" % (case["name"], error.code, case["code"]))
    text = signing.key_to_text(key)
    checked += 1
    if signing.key_from_text(text) != key or len(text) != 43:
        failures.append("a key does not survive its text")
    checked += 1
    if codec.decode(codec.encode({"txt": "é€😀", "n": -5})) != {"txt": "é€😀", "n": -5}:
        failures.append("text does not survive the codec")
    return checked, failures


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        count, wrong = run(json.load(file), False)
    for line in wrong:
        print(line)
    print("checked %d, failed %d" % (count, len(wrong)))
