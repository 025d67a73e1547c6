from dataclasses import replace

import pytest
from tocsin_backend.domain import timeline
from tocsin_backend.domain.timeline import Entry, Flaw


def chain(length: int = 5) -> list[Entry]:
    made: list[Entry] = []
    previous = timeline.GENESIS
    for seq in range(1, length + 1):
        made.append(timeline.entry("a", seq, 1_000 + seq, "noted", {"n": seq, "é": "ü"}, previous))
        previous = made[-1].hash
    return made


def test_a_whole_chain_has_no_flaw() -> None:
    entries = chain()
    assert timeline.verify(entries, 5, entries[-1].hash) is None
    assert timeline.verify([]) is None


@pytest.mark.parametrize(
    ("spoil", "seq", "reason"),
    [
        (lambda e: [*e[:2], replace(e[2], data='{"n":4}'), *e[3:]], 3, "its content is not what was hashed"),
        (lambda e: [*e[:2], replace(e[2], at_ms=1), *e[3:]], 3, "its content is not what was hashed"),
        (lambda e: [*e[:2], *e[3:]], 3, "missing: entry 4 follows entry 2"),
        (lambda e: [*e[:2], e[3], e[2], e[4]], 3, "missing: entry 4 follows entry 2"),
        (lambda e: e[:-1], 5, "missing: the alert has 5 entries, the timeline 4"),
        (lambda e: [*e, replace(e[4], seq=6)], 6, "does not follow the entry before it"),
        (
            lambda e: [*e[:2], timeline.entry("a", 3, 0, "x", {}, e[1].hash), *e[3:]],
            4,
            "does not follow the entry before",
        ),
    ],
)
def test_the_first_bad_entry_is_named(spoil, seq: int, reason: str) -> None:  # type: ignore[no-untyped-def]
    entries = chain()
    flaw = timeline.verify(spoil(entries), 5, entries[-1].hash)
    assert isinstance(flaw, Flaw)
    assert (flaw.seq, flaw.reason[: len(reason)]) == (seq, reason)


def test_a_chain_rewritten_whole_ends_elsewhere_than_the_alert_says() -> None:
    entries = chain()
    forged = [timeline.entry("a", 1, 0, "x", {}, timeline.GENESIS)]
    for each in entries[1:]:
        forged.append(timeline.entry("a", each.seq, each.at_ms, each.what, {}, forged[-1].hash))
    flaw = timeline.verify(forged, 5, entries[-1].hash)
    assert flaw is not None
    assert flaw.reason == "is not the entry that the alert ended with"
