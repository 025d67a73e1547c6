"""Writes the generated parts of firmware/WIRE.md from the code: `python tests/wire/wire_doc.py`.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`. test_wire_doc.py fails when the page and the code differ
or when a field has no description here.
"""

import json
import re
from pathlib import Path

from tocsin_wire import errors, limits, messages, signing, topics

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "firmware" / "WIRE.md"
VECTORS = Path(__file__).with_name("vectors.json")

CHANNEL_MEANINGS = {
    "state": "presence: birth, planned restart, and the Will",
    "info": "self-description, on change",
    "alert": "press, cancel, probe: towards a person",
    "event": "everything else worth keeping",
    "beat": "heartbeat: worthless when late, never queued",
    "reply": "result of a command",
    "log": "log pages, only when asked (no message yet in this minor)",
    "ack": "what became of a signal, or that the backend heard a beat",
    "cmd": "signed, session-bound command: never retained, never obeyed late",
    "config": "desired configuration, signed and versioned (no message yet in this minor: ignore)",
}

_SIGNAL = {
    "v": "minor version of the wire: 1",
    "b": "boot counter: one more at every start, kept across power cuts, never reused",
    "n": "sequence in this boot, shared by alert and event, from 1",
    "t": "epoch seconds when the fact happened, 0 if the clock was never set",
    "q": "quality of that clock: `ntp`, `gw` (set from a signed ack), `rtc` (kept through a reset), `none`",
    "age": "ms between the fact and this publish, so that no clock needs to agree; 0 when unknown after a power cut",
    "try": "1 the first time, one more at every re-send; the only fields that may change then are `age`, `try`, `t`, `q`",
}
FIELD_MEANINGS = {
    "alert": {
        **_SIGNAL,
        "k": "`press`; `cancel` of a press by the person; `probe`: an automatic test press",
        "in": "which input: a name of the device's profile",
        "held": "ms the contact had been closed when the press was recognised",
        "mode": "`real` or `drill`",
        "silent": "1: nothing may show at the site",
        "sc": "scenario of a PPMS trigger",
    },
    "event": {
        **_SIGNAL,
        "k": "kind: `boot`, `lamp`, `stuck`, `released`, `held-at-boot`, `ack-rejected`, `dropped`, `fault`; others are kept",
        "why": "of a boot: `power`, `reset`, `watchdog`, `brownout`, `soft`, `crash`, `unknown`; of `ack-rejected`: the reason",
        "in": "which input",
        "count": "how many since the last such event",
        "re": "of a lamp: the press or the probe it speaks of",
        "r": "of a lamp: what it shows now",
        "e": "of a lamp: the epoch quoted by the ack; 0 if the ack had none",
        "lat": "of a lamp: ms from contact to the lamp's change on the device's own clock, or from a probe's beginning to its ack; -1 when unknown (after a reset)",
        "txt": "free text for a technician",
    },
    "state": {
        "v": "minor version",
        "s": "session: `b.link`, where link counts connections in this boot; the Will carries the same",
        "st": "`ready` at birth, `restarting` before a planned disconnect, `lost` in the Will",
        "nonce": "hex, random, new in every session: what commands must quote",
        "t": "epoch seconds",
        "q": "quality of that clock",
    },
    "info": {
        "v": "minor version",
        "kind": "kind of post: `call_post`",
        "fw": "firmware version",
        "profile": "profile in use",
        "py": "interpreter and version",
        "umqtt": "umqtt.simple's version; another client writes its own name",
        "board": "board name as the interpreter says it",
        "voice_uri": "`sip:` or `tel:` address of the intercom in the same housing",
    },
    "beat": {
        "v": "minor version",
        "s": "session",
        "i": "number of the beat in this session, from 1",
        "b": "boot counter",
        "n": "last sequence used: a gap is seen at once",
        "up": "uptime, s",
        "spool": "signals kept and not yet acknowledged",
        "drop": "signals given up since boot (never a press)",
        "rssi": "link quality, dBm",
        "mv": "supply, mV",
        "lag": "longest delay of the input sampler since the last beat, ms",
        "free": "free heap, bytes",
        "blk": "largest free block, bytes",
        "rej": "glitches rejected by the debouncer since boot",
        "lines": "state of each input line: " + ", ".join(f"`{state}`" for state in messages.LINE_STATES),
        "t": "epoch seconds",
        "q": "quality of that clock",
    },
    "ack": {
        "v": "minor version",
        "re": '`"b-n"` of a signal, or `"beat"`',
        "r": "what became of it; `alive` for a beat",
        "e": "epoch of the alert: one more each time it is raised again",
        "al": "the alert's id (UUID)",
        "s": "of `alive`: the beat's session",
        "i": "of `alive`: the beat's number",
        "t": "epoch seconds at the backend: a device may set its clock from it",
        "why": "of `refused`: the reason",
    },
    "cmd": {
        "v": "minor version",
        "id": "of the order: the same on every try, quoted by the reply (UUID)",
        "c": "counter: above that of every command obeyed before, in any session; kept across restarts",
        "nonce": "of your current session, from your own birth",
        "t": "epoch seconds at the backend when this try was signed",
        "ttl": "seconds after `t` in which it may be obeyed",
        "do": "`alarm-on`, `alarm-off`: an output; `locate`: show yourself to a technician; `self-test`",
        "out": "which output: a name of the device's profile; always there with `alarm-on` and `alarm-off`",
        "sc": "scenario to be sounded, where one output knows several",
        "mode": "`real` or `drill`",
    },
    "reply": {
        **_SIGNAL,
        "n": "sequence in this boot, shared by alert, event and reply, from 1",
        "re": "the `id` of the command",
        "c": "its counter",
        "r": "`done`: it is so, and read back where there is a contact to read; `refused`: not obeyed; `failed`: tried in vain",
        "why": "of `refused`: `nonce`, `counter`, `expired` (a try signed anew would do), `output`, `fire`, `unknown`; of `failed`: what did not move",
        "out": "the output",
        "state": "the output now",
    },
    "gateway": {
        "v": "minor version",
        "st": "`ready`: somebody listens; `lost`: the gateway's Will",
        "t": "epoch seconds",
        "eng": "`silent`: nothing, or an old beat, of the backend's engine for 15 s: presses are kept, and nobody may be told; "
        "absent: `well`",
    },
}
ERROR_MEANINGS = {
    "oversize": f"more than {limits.MAX_RECEIVED} bytes received, or more than {limits.MAX_SENT} to be sent",
    "bad-topic": "not a topic of this page",
    "bad-frame": "not `<json>\\n<kid>:<mac>`",
    "bad-signature": "the MAC is not that of these bytes on this topic with this key",
    "bad-json": "not the JSON of this page",
    "bad-schema": "a field is missing, of the wrong type or out of its range",
}


def _rule(rule) -> str:
    if rule == messages.NAME:
        return "name"
    if rule == messages.LINES:
        return "object: name → state"
    if rule[0] == messages.INT:
        high = {limits.MAX_INT: "2⁵³-1", 2**31: "2³¹", 2**40: "2⁴⁰"}.get(rule[2], rule[2])
        return f"integer {rule[1]}…{high}"
    if rule[0] == messages.TEXT:
        return f"text ≤ {rule[1]}"
    return " \\| ".join(f"`{value}`" for value in rule)


def topics_table() -> str:
    rows = ["| topic | direction | QoS | retained | carries |", "|---|---|---|---|---|"]
    for name, direction, qos, retained in topics.CHANNELS:
        rows.append(
            f"| `{topics.PREFIX}{{org}}/{{device}}/{name}` | {direction} | {qos} | {'yes' if retained else 'no'} "
            f"| {CHANNEL_MEANINGS[name]} |"
        )
    rows.append(
        f"| `{topics.PREFIX}{{org}}/{topics.GATEWAYS}/{{gateway}}/state` | up | 1 | yes "
        "| is anyone listening; also the gateway's Will; unsigned |"
    )
    return "\n".join(rows)


def messages_tables() -> str:
    parts = []
    for channel in messages.SCHEMA:
        fields = messages.fields(channel)
        parts.append(f"### `{channel}`\n\n| field | required | value | meaning |\n|---|---|---|---|")
        meanings = FIELD_MEANINGS[channel]
        assert list(meanings) == [name for name, _, _ in fields], f"{channel}: describe exactly its fields, in order"
        parts += [
            f"| `{name}` | {'yes' if required else ''} | {_rule(rule)} | {meanings[name]} |"
            for name, required, rule in fields
        ]
        parts.append("")
    return "\n".join(parts).rstrip()


def limits_list() -> str:
    return "\n".join(
        [
            f"- a frame that is sent: at most {limits.MAX_SENT} bytes; received: at most {limits.MAX_RECEIVED}",
            f"- a name: `[a-z0-9-]`, 1 to {limits.MAX_NAME} characters; a key name: `[a-z0-9]`, 1 to 8",
            f"- integers within ±(2⁵³-1); containers at most {limits.MAX_DEPTH} deep; free text at most {limits.MAX_TEXT} characters",
            f"- a key: {signing.KEY_LENGTH} bytes, written as 43 characters of base64url; a MAC: {signing.MAC_LENGTH} characters",
        ]
    )


def errors_table() -> str:
    assert list(ERROR_MEANINGS) == list(errors.CODES)
    return "\n".join(
        ["| code | what is wrong |", "|---|---|", *(f"| `{c}` | {m} |" for c, m in ERROR_MEANINGS.items())]
    )


def examples() -> str:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    parts = [f"Key (hex): `{vectors['key_hex']}`, key name `{vectors['kid']}`."]
    for case in vectors["good"]:
        if case["name"].startswith(
            ("a first press", "birth", "will", "stored", "beat", "alive", "boot", "lamp", "alarm on", "done")
        ):
            frame = bytes.fromhex(case["frame_hex"]).decode()
            parts.append(f"{case['name']}, on `{case['topic']}`:\n\n```\n{frame}\n```")
    return "\n\n".join(parts)


PARTS = {
    "topics": topics_table,
    "messages": messages_tables,
    "limits": limits_list,
    "errors": errors_table,
    "examples": examples,
}


def page(text: str) -> str:
    """`text` with every generated part written anew. Raises KeyError for a part that has no writer."""
    return re.sub(
        r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{PARTS[match[2]]()}\n{match[3]}",
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
