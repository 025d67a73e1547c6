"""The ledger: the instants of one press, hop by hop, from contact to lamp.

The device tells `age_ms`, from the physical fact to this publish, so that no clock needs to agree with another. The
gateway stamps `at_ms` (received from the broker) and `held_ms` (committed in its spool); the backend stamps the rest.
What the wire takes from publish to gateway cannot be known without a common clock and counts as the gateway's instant.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from math import ceil
from typing import Final

MAX_AGE_MS: Final = 10 * 365 * 86_400_000  # a device whose counter ran wild puts no contact before our time


@dataclass(frozen=True, slots=True)
class Ledger:
    """Epoch ms of each hop; None where it has not happened or is not known."""

    contact_ms: int
    published_ms: int
    received_ms: int
    held_ms: int
    stored_ms: int
    handed_ms: int | None = None
    lamp_sent_ms: int | None = None
    answered_ms: int | None = None
    lamp_answered_ms: int | None = None


HOPS: Final = tuple(field.name.removesuffix("_ms") for field in fields(Ledger))


def opened(age_ms: int, received_ms: int, held_ms: int, stored_ms: int) -> Ledger:
    """The ledger of a press at the moment it is stored. Gateway instants after our own are brought back to it.

    `held_ms` is 0 when the gateway sent the press while it was still committing it: it is safe now, at the latest.
    """
    received_ms = min(received_ms, stored_ms)
    held_ms = min(max(held_ms or stored_ms, received_ms), stored_ms)
    contact_ms = received_ms - min(age_ms, MAX_AGE_MS)
    return Ledger(contact_ms, received_ms, received_ms, held_ms, stored_ms)


def lamp_ms(ledger_contact_ms: int, lat_ms: int, confirmed_ms: int) -> int:
    """When a lamp changed: contact + the device's own measure; without one (it rebooted since), when it said so."""
    return ledger_contact_ms + lat_ms if lat_ms >= 0 else confirmed_ms


def hops(ledger: Ledger) -> list[tuple[str, int]]:
    """(hop, ms since contact) for each hop that is known, in the order of HOPS."""
    found: list[tuple[str, int]] = []
    for hop in HOPS:
        at_ms: int | None = getattr(ledger, hop + "_ms")
        if at_ms is not None:
            found.append((hop, at_ms - ledger.contact_ms))
    return found


def percentile(sorted_values: Sequence[int], share: float) -> int:
    """The nearest-rank percentile of a sorted, non-empty sequence; `share` from 0 to 1."""
    return sorted_values[max(0, ceil(share * len(sorted_values)) - 1)]


def summary(values: Iterable[int]) -> dict[str, int]:
    """{"n", "p50", "p95", "p99", "max"} of durations in ms; only n when there is none."""
    ordered = sorted(values)
    if not ordered:
        return {"n": 0}
    return {
        "n": len(ordered),
        "p50": percentile(ordered, 0.50),
        "p95": percentile(ordered, 0.95),
        "p99": percentile(ordered, 0.99),
        "max": ordered[-1],
    }
