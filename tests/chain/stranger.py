"""A device written by a stranger: firmware/WIRE.md, Python's own library and paho, not one line of ours."""

import base64
import hashlib
import hmac
import json
import threading
import time
from typing import Any

import paho.mqtt.client as mqtt

RESEND_S = (0.5, 1, 2, 4, 10)


def signed(topic: str, body: bytes, kid: str, key: str) -> bytes:
    """The frame of these bytes; `key` as the credentials write it."""
    secret = base64.urlsafe_b64decode(key + "=")
    mac = hmac.new(secret, topic.encode() + b"\n" + body, hashlib.sha256).digest()[:16]
    return body + b"\n" + kid.encode() + b":" + base64.urlsafe_b64encode(mac).rstrip(b"=")


class Stranger:
    """One device with its credentials. It connects, presses, and believes only acks signed for it."""

    def __init__(self, credentials: dict[str, Any], boot: int = 1) -> None:
        self.credentials = credentials
        self.boot = boot
        self.acks: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        broker = credentials["broker"]
        self._client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=broker["client_id"],
            protocol=mqtt.MQTTv311,
            clean_session=True,
        )
        self._client.username_pw_set(broker["user"], broker["password"])
        will = self.frame("state", {"v": 1, "s": f"{boot}.1", "st": "lost"})
        self._client.will_set(self.topic("state"), will, qos=1, retain=True)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._received
        self._client.reconnect_delay_set(0.2, 1)
        self._client.connect_async(broker["host"], broker["port"], keepalive=30)
        self._client.loop_start()

    def topic(self, channel: str) -> str:
        return str(self.credentials["topics"][channel])

    def frame(self, channel: str, message: dict[str, Any]) -> bytes:
        body = json.dumps(message, separators=(",", ":")).encode()
        return signed(self.topic(channel), body, self.credentials["kid"], self.credentials["key"])

    def press(self, n: int, attempt: int = 1, age_ms: int = 0) -> bytes:
        """The frame of press `n` of this boot, sent for the `attempt`-th time."""
        message = {"v": 1, "b": self.boot, "n": n, "t": 0, "q": "none", "age": age_ms, "try": attempt, "k": "press"}
        return self.frame("alert", message | {"in": "call", "held": 35, "mode": "real"})

    def ready(self, within_s: float = 10.0) -> "Stranger":
        """Wait until the broker took the subscription. Raises TimeoutError."""
        if not self._subscribed.wait(within_s):
            raise TimeoutError("the broker did not take the subscription")
        return self

    def publish(self, topic: str, payload: bytes, within_s: float = 10.0, qos: int = 1) -> None:
        """Publish and wait for the PUBACK, which proves nothing. Raises TimeoutError when it does not come."""
        sent = self._client.publish(topic, payload, qos=qos)
        sent.wait_for_publish(within_s)
        if not sent.is_published():
            raise TimeoutError("no PUBACK")

    def send_until_acked(self, n: int, within_s: float = 30.0) -> dict[str, Any]:
        """Press, again and again as WIRE.md says, until an ack names it; that ack. Raises TimeoutError."""
        began = time.monotonic()
        attempt = 0
        while time.monotonic() - began < within_s:
            age_ms = int((time.monotonic() - began) * 1000)
            self._client.publish(self.topic("alert"), self.press(n, attempt + 1, age_ms), qos=1)
            wait_s = RESEND_S[min(attempt, len(RESEND_S) - 1)]
            attempt += 1
            try:
                return self.wait_ack(n, ("stored", "fallback", "answered", "closed", "refused"), wait_s)
            except TimeoutError:
                continue
        raise TimeoutError(f"no ack of press {self.boot}-{n} in {within_s} s, {attempt} tries")

    def wait_ack(self, n: int, results: tuple[str, ...], within_s: float = 10.0) -> dict[str, Any]:
        """The first ack of press `n` with one of `results`. Raises TimeoutError."""
        deadline = time.monotonic() + within_s
        with self._changed:
            while True:
                for ack in self.acks:
                    if ack["re"] == f"{self.boot}-{n}" and ack["r"] in results:
                        return ack
                if not self._changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    raise TimeoutError(f"no ack {results} of press {n} in {within_s} s, only {self.acks}")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._client._reset_sockets()  # paho leaves its wake-up pair to the garbage collector

    def _connected(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not reason.is_failure:
            client.subscribe(self.topic("ack"), qos=1)

    def _received(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        body = message.payload.rpartition(b"\n")[0]
        own = signed(message.topic, body, self.credentials["kid"], self.credentials["key"])
        if message.retain or not hmac.compare_digest(own, message.payload):
            return
        with self._changed:
            self.acks.append(json.loads(body))
            self._changed.notify_all()
