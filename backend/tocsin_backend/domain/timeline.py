"""The timeline: append-only, one chain of hashes per (alert, origin), and its fold, which gives the alert's row back.

An entry's hash is sha256(previous hash + canonical bytes of the entry), hex. The alert row keeps the number and hash of
its last entry, so that a truncated chain is seen as well as an edited one. Persons are named by id, never by name.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

BACKEND: Final = "backend"
GENESIS: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: `what` happened at `at_ms`, with its `data` as canonical JSON."""

    alert_id: str
    origin: str
    seq: int  # from 1, without a gap
    at_ms: int
    what: str
    data: str
    previous: str
    hash: str


def canonical(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _hash(alert_id: str, origin: str, seq: int, at_ms: int, what: str, data: str, previous: str) -> str:
    line = json.dumps((alert_id, origin, seq, at_ms, what, data), ensure_ascii=False, separators=(",", ":"))
    return sha256(previous.encode() + line.encode()).hexdigest()


def entry(
    alert_id: str, seq: int, at_ms: int, what: str, data: Mapping[str, object], previous: str, origin: str = BACKEND
) -> Entry:
    """The entry that follows the one whose hash is `previous`."""
    text = canonical(data)
    return Entry(
        alert_id, origin, seq, at_ms, what, text, previous, _hash(alert_id, origin, seq, at_ms, what, text, previous)
    )


@dataclass(frozen=True, slots=True)
class Flaw:
    """The first bad entry of a chain, and why it is bad."""

    alert_id: str
    origin: str
    seq: int
    reason: str


def verify(entries: Iterable[Entry], last_seq: int | None = None, last_hash: str | None = None) -> Flaw | None:
    """The first flaw in one chain, in the order of its numbers; None if it is whole.

    `last_seq` and `last_hash` are what the alert's row says of the backend's chain: a truncated one is a flaw.
    """
    previous, seq, alert_id, origin = GENESIS, 0, "", BACKEND
    for each in entries:
        alert_id, origin = each.alert_id, each.origin
        if each.seq != seq + 1:
            return Flaw(alert_id, origin, seq + 1, f"missing: entry {each.seq} follows entry {seq}")
        if each.previous != previous:
            return Flaw(alert_id, origin, each.seq, "does not follow the entry before it")
        if each.hash != _hash(alert_id, origin, each.seq, each.at_ms, each.what, each.data, previous):
            return Flaw(alert_id, origin, each.seq, "its content is not what was hashed")
        previous, seq = each.hash, each.seq
    if last_seq is not None and seq != last_seq:
        return Flaw(alert_id, origin, seq + 1, f"missing: the alert has {last_seq} entries, the timeline {seq}")
    if last_hash is not None and previous != last_hash:
        return Flaw(alert_id, origin, seq, "is not the entry that the alert ended with")
    return None


@dataclass(slots=True)
class Folded:
    """What the timeline says of its alert; equal to the row's fields of the same names (invariant 13)."""

    status: str = "none"
    condition: str = "active"
    epoch: int = 0
    pass_: int = 0
    step: int = 0
    presses: int = 0
    unanswered: bool = False
    severity: int = 0
    progress: str = ""
    close_asked_by: int | None = None
    answered_by: int | None = None
    closed_by: int | None = None
    reason: str | None = None


def fold(entries: Iterable[Entry]) -> Folded:
    """The alert's state, from its timeline alone, in whatever way the chains of several origins are interleaved.

    The backend's chain decides. What a gateway did alone stands on a chain of its own: facts, and no decision.
    """
    found = Folded()
    for each in entries:
        if each.origin != BACKEND:
            continue
        data = json.loads(each.data)
        match each.what:
            case "raised":
                found.status, found.epoch, found.presses = "raised", data["epoch"], 1
            case "pressed" | "returned":
                found.presses, found.condition = data["presses"], "active"
            case "step" | "empty-step":
                found.pass_, found.step = data["pass"], data["step"]
            case "unanswered":
                found.unanswered = True
            case "reopened":
                found.status, found.epoch, found.answered_by, found.unanswered = "raised", data["epoch"], None, False
                found.pass_, found.progress = 1, "needs-help" if data["why"] == "needs-help" else ""
            case "answered":
                found.status, found.answered_by, found.unanswered = "answered", data["person"], False
                found.progress = ""
            case "progress":
                found.progress = data["progress"]
            case "severity":
                found.severity = data["severity"]
            case "close-asked":
                found.close_asked_by = data["person"]
            case "close-void":
                found.close_asked_by = None
            case "cleared":
                found.condition = "cleared"
            case "closed":
                found.status, found.closed_by, found.reason = "closed", data["person"], data["reason"]
    return found
