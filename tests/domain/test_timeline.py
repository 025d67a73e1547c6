import random
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


def test_any_interleaving_of_two_origins_folds_to_the_same_row() -> None:
    def chained(origin: str, *facts: tuple[str, dict[str, object]]) -> list[Entry]:
        made: list[Entry] = []
        for seq, (what, data) in enumerate(facts, 1):
            previous = made[-1].hash if made else timeline.GENESIS
            made.append(timeline.entry("a", seq, 1_000 + seq, what, data, previous, origin))
        return made

    backend = chained(
        timeline.BACKEND,
        ("raised", {"epoch": 1}),
        ("step", {"pass": 1, "step": 0, "told": []}),
        ("answered", {"person": 7, "epoch": 1}),
        ("reopened", {"epoch": 2, "why": "press", "answered_by": 7}),
        ("step", {"pass": 1, "step": 1, "told": []}),
    )
    # Alone, with the backend out of reach, the gateway told somebody who said that she takes it.
    gateway = chained("gw-1", ("fallback", {}), ("raised", {"epoch": 9}), ("answered", {"person": 8, "epoch": 9}))
    alone = timeline.fold(backend)
    assert (alone.status, alone.epoch, alone.step, alone.answered_by) == ("raised", 2, 1, None)
    chance = random.Random(15)
    for _ in range(200):
        left, right, mixed = list(backend), list(gateway), []
        while left or right:
            mixed.append(chance.choice([each for each in (left, right) if each]).pop(0))
        assert timeline.fold(mixed) == alone
        for origin, chain_ in ((timeline.BACKEND, backend), ("gw-1", gateway)):
            assert timeline.verify([each for each in mixed if each.origin == origin]) is None, origin
            assert [each for each in mixed if each.origin == origin] == chain_
