"""Whether a frame is believed: what the gateway's envelope says, whose key signed it, what it holds.

    judge = Judge(database, clock)
    judged = judge.envelope("region-sud", "gw-1", envelope, now_ms)     # a Frame, or a Refusal

Nothing in a frame is believed before its signature is verified over the received bytes with the device's key.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tocsin_wire import codec, limits, messages, signing, topics
from tocsin_wire.errors import WireError

from .. import acks
from ..clock import Clock
from ..store import devices
from ..store.database import Database, Notes
from ..store.devices import Card

CARD_TTL_MS = 45_000  # above the 30 s between beats, which keep it warm; the command line may revoke a key (S6: 60 s)
MAX_CARDS = 100_000
REREAD_MS = 1_000  # a card that knows no such key is read anew: the command line may have given one
UP_BY_ENVELOPE = ("alert", "event", "reply", "state", "info")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a frame is not believed: a wire code, or one of ours. `ack`: what its sender is told, if it can be."""

    reason: str
    ack: tuple[str, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose signature was verified, with the card of its device and the key that signed it."""

    card: Card
    kid: str
    channel: str
    message: dict[str, Any]
    raw: bytes
    gateway: str
    received_ms: int
    held_ms: int
    retained: bool

    @property
    def key(self) -> tuple[str, bytes]:
        return self.kid, self.card.keys[self.kid]

    @property
    def is_press(self) -> bool:
        return self.channel == "alert" and self.message["k"] == "press"

    @property
    def is_probe(self) -> bool:
        return self.channel == "alert" and self.message["k"] == "probe"

    @property
    def signal(self) -> str:
        return messages.signal_id(self.message["b"], self.message["n"])


class Judge:
    """See the module. Thread-safe; cards of devices are kept in memory for CARD_TTL_MS."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._cards: dict[tuple[str, str], tuple[int, Card]] = {}
        database.after_commit(self._forget)

    def envelope(self, org: str, gateway: str, envelope: Mapping[str, Any], now_ms: int) -> Frame | Refusal:
        """Verify one envelope; nothing in it is believed before its signature is."""
        if not isinstance(envelope, Mapping) or not isinstance(envelope.get("id"), int):
            return Refusal("bad-envelope")
        topic, text = envelope.get("topic"), envelope.get("frame")
        at_ms, held_ms = envelope.get("at_ms", now_ms), envelope.get("held_ms", now_ms)
        if not isinstance(topic, str) or not isinstance(text, str) or not _is_ms(at_ms) or not _is_ms(held_ms):
            return Refusal("bad-envelope")
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return Refusal("bad-envelope")
        retained = bool(envelope.get("retained"))
        return self._verify(org, gateway, topic, raw, at_ms, held_ms, retained, UP_BY_ENVELOPE)

    def _verify(
        self,
        org: str,
        gateway: str,
        topic: str,
        raw: bytes,
        received_ms: int,
        held_ms: int,
        retained: bool,
        channels: tuple[str, ...],
    ) -> Frame | Refusal:
        """S4: the topic's organisation is the gateway's, and the topic's device is the one whose key signed."""
        try:
            if len(raw) > limits.MAX_RECEIVED:
                return Refusal("oversize")
            topic_org, device, channel = topics.parse(topic)
            if channel not in channels:
                return Refusal("bad-topic")
            if topic_org != org:
                return Refusal("foreign-org")
            _, kid, _ = signing.split(raw)
            card = self._card(org, device)
            if card is not None and (card.retired or kid not in card.keys):
                card = self._card(org, device, REREAD_MS)
            if card is None:
                return Refusal("unknown-device")
            if card.retired:
                return Refusal("retired-device")
            key = card.keys.get(kid)
            if key is None:
                return Refusal("unknown-key")
            message = codec.decode(signing.verify(topic, raw, key))
        except WireError as error:
            return Refusal(error.code)
        try:
            messages.check(channel, message)
        except WireError as error:
            return Refusal(
                error.code, _refusing_ack(card, (kid, key), channel, message, error.code, self.clock.now_ms())
            )
        return Frame(card, kid, channel, message, raw, gateway, received_ms, held_ms, retained)

    def _card(self, org: str, device: str, ttl_ms: int = CARD_TTL_MS) -> Card | None:
        now_ms = self.clock.now_ms()
        known = self._cards.get((org, device))
        if known is not None and now_ms - known[0] < ttl_ms:
            return known[1]
        with self.database.glance() as conn:
            card = devices.card(conn, org, device)
        if card is not None:
            if len(self._cards) >= MAX_CARDS:
                self._cards.clear()
            self._cards[org, device] = (now_ms, card)
        return card

    def beat(self, org: str, gateway: str, beat: Mapping[str, Any], now_ms: int) -> Frame | Refusal:
        """Verify one beat of a digest: {"topic", "frame"}."""
        if not isinstance(beat, Mapping):
            return Refusal("bad-envelope")
        topic, text = beat.get("topic"), beat.get("frame")
        if not isinstance(topic, str) or not isinstance(text, str):
            return Refusal("bad-envelope")
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return Refusal("bad-envelope")
        return self._verify(org, gateway, topic, raw, now_ms, now_ms, False, ("beat",))

    def _forget(self, heard: Notes) -> None:
        """This process edited people, devices or policies: the next press reads them anew."""
        if heard.catalogue:
            self._cards.clear()


def _refusing_ack(
    card: Card, key: tuple[str, bytes], channel: str, message: Mapping[str, Any], why: str, now_ms: int
) -> tuple[str, bytes] | None:
    """Well signed and wrong: its sender is told, if the signal can be named, and stops sending it."""
    b, n = message.get("b"), message.get("n")
    if channel not in ("alert", "event") or not all(isinstance(each, int) and 0 < each <= 2**31 for each in (b, n)):
        return None
    return acks.of_signal(card.org, card.device, key, messages.signal_id(b, n), "refused", now_ms, why=why)  # type: ignore[arg-type]


def _is_ms(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < 2**53
