"""`tocsin watch`: the live traffic of the broker, one line a message, decoded with the code that devices run.

`explain` is pure. `watch` subscribes as an organisation's observer, who may read every topic of it and write none.
"""

import json
import os
import queue
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TextIO

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from tocsin_wire import codec, limits, messages, signing, topics
from tocsin_wire.errors import WireError

from tocsin_backend.errors import TocsinError

QUEUE_MAX = 10_000  # messages between the network's thread and the terminal; past it the count of dropped ones is shown
CONNECT_SECONDS = 10
_COLOURS = {
    "alert": "\x1b[1;31m", "ack": "\x1b[32m", "event": "\x1b[36m", "state": "\x1b[33m", "info": "\x1b[34m",
    "beat": "\x1b[2m", "bad": "\x1b[1;37;41m",
}  # fmt: skip
_PLAIN = "\x1b[0m"

# (org, device, kid) -> the key; None: no such device or key is known here
KeyOf = Callable[[str, str, str], bytes | None]


class WatchError(TocsinError):
    """The broker cannot be watched; the text is the one line to show."""


@dataclass(frozen=True, kw_only=True)
class Explained:
    """One message of the broker, decoded as far as it goes. `fault` is "" for a good one."""

    topic: str
    org: str
    device: str
    channel: str
    retained: bool
    kid: str
    signature: str  # "verified", "unchecked" (key not at hand), "none" (a gateway's own state) or "wrong"
    message: dict[str, Any] | None
    fault: str
    reason: str

    def as_json(self, at_ms: int) -> str:
        """One line of NDJSON."""
        return json.dumps({"at_ms": at_ms, **self.__dict__}, ensure_ascii=False)

    def as_text(self, at_ms: int, colour: bool) -> str:
        """One line for a terminal; what a device wrote is shown without its control characters."""
        clock = time.strftime("%H:%M:%S", time.localtime(at_ms // 1000)) + f".{at_ms % 1000:03d}"
        if self.fault:
            what, tint = f"REFUSED {self.fault}: {self.reason}", _COLOURS["bad"]
        else:
            members = (self.message or {}).items()
            what, tint = " ".join(f"{name}={_shown(value)}" for name, value in members), _COLOURS.get(self.channel, "")
        mark = {"verified": "✓", "unchecked": "?", "none": "-", "wrong": "✗"}[self.signature]
        name = f"{self.org}/{self.device}" if self.org else self.topic[:80]
        line = f"{clock} {mark} {name:<28} {self.channel or '?':<7} {what}{' (retained)' if self.retained else ''}"
        line = "".join(character if character.isprintable() else "�" for character in line)
        return f"{tint}{line}{_PLAIN}" if colour and tint else line


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if isinstance(value, dict) else str(value)


def explain(topic: str, payload: bytes, retained: bool, key_of: KeyOf) -> Explained:
    """What a payload on a topic says, or which rule it breaks. Never raises."""
    org = device = channel = kid = ""
    signature = "unchecked"
    message: dict[str, Any] | None = None
    try:
        org, device, channel = topics.parse(topic)
        if len(payload) > limits.MAX_RECEIVED:
            raise WireError("oversize", f"{len(payload)} bytes; at most {limits.MAX_RECEIVED} are read")
        if channel == topics.GATEWAY:
            signature, body = "none", payload
        else:
            body, kid, _ = signing.split(payload)
            key = key_of(org, device, kid)
            if key is not None:
                signature = "wrong"
                signing.verify(topic, payload, key)
                signature = "verified"
        message = codec.decode(body)
        messages.check(channel, message)
    except WireError as error:
        fault, reason = error.code, error.text
    else:
        fault = reason = ""
    return Explained(
        topic=topic, org=org, device=device, channel=channel, retained=retained, kid=kid, signature=signature,
        message=message, fault=fault, reason=reason,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Observer:
    """How to reach the broker as the observer."""

    host: str
    port: int
    tls: bool
    org: str
    user: str
    password: str


def received(observer: Observer, seconds: float | None) -> Iterator[tuple[int, str, bytes, bool]]:
    """(instant in epoch ms, topic, payload, retained) of each message, for `seconds` or until interrupted.

    Raises WatchError when the broker refuses or cannot be reached; a connection lost later is dialled again.
    """
    arrivals: queue.Queue[tuple[int, str, bytes, bool]] = queue.Queue(QUEUE_MAX)
    verdicts: queue.Queue[str] = queue.Queue()
    dropped = 0

    def on_connect(client: mqtt.Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            verdicts.put(str(reason))
        else:
            client.subscribe(f"{topics.PREFIX}{observer.org}/#", qos=0)

    def on_subscribe(_: mqtt.Client, __: Any, ___: int, reasons: list[Any], ____: Any) -> None:
        refused = any(reason.is_failure for reason in reasons)
        verdicts.put("the observer may not subscribe" if refused else "")

    def on_message(_: mqtt.Client, __: Any, message: mqtt.MQTTMessage) -> None:
        nonlocal dropped
        try:
            arrivals.put_nowait((time.time_ns() // 1_000_000, message.topic, bytes(message.payload), message.retain))
        except queue.Full:
            dropped += 1

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"tocsin-watch-{os.getpid()}")
    client.username_pw_set(observer.user, observer.password)
    client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
    if observer.tls:
        client.tls_set()
    where = f"the broker at {observer.host}:{observer.port}"
    try:
        client.connect(observer.host, observer.port, keepalive=20)
    except OSError as error:
        raise WatchError(f"{where} cannot be reached: {error.strerror or error}") from None
    client.loop_start()
    try:
        try:
            refusal = verdicts.get(timeout=CONNECT_SECONDS)
        except queue.Empty:
            raise WatchError(f"{where} did not answer within {CONNECT_SECONDS} s") from None
        if refusal:
            raise WatchError(f"{where} refused: {refusal}")
        end = None if seconds is None else time.monotonic() + seconds
        while end is None or time.monotonic() < end:
            wait = 1.0 if end is None else max(0.0, min(1.0, end - time.monotonic()))
            try:
                yield arrivals.get(timeout=wait)
            except queue.Empty:
                continue
            if dropped:
                print(f"{dropped} messages came faster than they could be shown", file=sys.stderr)
                dropped = 0
    finally:
        client.disconnect()
        client.loop_stop()


def watch(
    observer: Observer,
    key_of: KeyOf,
    out: TextIO,
    *,
    as_json: bool,
    only: str,
    seconds: float | None,
    count: int | None,
) -> int:
    """Prints the traffic to `out` until the time or the count is up; the number of refused messages seen.

    `only` is a device id, or "" for all.
    """
    refused = shown = 0
    colour = out.isatty() and "NO_COLOR" not in os.environ
    for at_ms, topic, payload, retained in received(observer, seconds):
        line = explain(topic, payload, retained, key_of)
        if only and line.device != only:
            continue
        refused += bool(line.fault)
        shown += 1
        print(line.as_json(at_ms) if as_json else line.as_text(at_ms, colour), file=out, flush=True)
        if count is not None and shown >= count:
            break
    return refused
