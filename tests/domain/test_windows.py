"""What makes a window sound, which press it covers, and that every fault is listed at once."""

from dataclasses import replace

import pytest
from tocsin_backend.domain import windows
from tocsin_backend.domain.windows import Draft, Window

NOW = 1_764_000_000_000
MIN = 60_000
GOOD = Draft("lycee", "drill", "PPMS attentat", NOW + 10 * MIN, NOW + 40 * MIN)
STORED = Window(7, "demo", "lycee", "drill", "PPMS", NOW, NOW + 30 * MIN, NOW, NOW - 1, None, None, "")


def paths(draft: Draft, others: tuple[Window, ...] = (), forced: bool = False) -> list[str]:
    return [fault.path for fault in windows.faults(draft, ["lycee", "gare"], others, NOW, forced)]


def test_a_sound_one_has_no_fault() -> None:
    assert paths(GOOD) == []
    assert paths(replace(GOOD, site=None)) == []
    assert paths(replace(GOOD, ends_ms=GOOD.starts_ms + windows.LONGEST_MS)) == []
    assert paths(replace(GOOD, kind="maintenance", starts_ms=NOW - MIN)) == [], "maintenance may have begun"


def test_every_fault_is_listed_at_once() -> None:
    bad = Draft("nowhere", "party", "  ", NOW - 2 * windows.LONGEST_MS, NOW - 1)
    assert paths(bad) == ["kind", "title", "site", "ends_ms", "ends_ms"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"title": "x" * 121}, "title"),
        ({"title": "a\nb"}, "title"),
        ({"ends_ms": GOOD.starts_ms}, "ends_ms"),
        ({"ends_ms": GOOD.starts_ms + windows.LONGEST_MS + 1}, "ends_ms"),
        ({"starts_ms": NOW + windows.NOTICE_MS - 1}, "starts_ms"),
        ({"starts_ms": NOW + windows.AHEAD_MS + 1, "ends_ms": NOW + windows.AHEAD_MS + MIN}, "starts_ms"),
    ],
)
def test_each_fault(change: dict[str, object], path: str) -> None:
    assert paths(replace(GOOD, **change)) == [path]  # type: ignore[arg-type]


def test_a_drill_is_announced_unless_it_is_forced() -> None:
    sudden = replace(GOOD, starts_ms=NOW)
    assert paths(sudden) == ["starts_ms"]
    assert paths(sudden, forced=True) == []
    assert paths(replace(GOOD, starts_ms=NOW + windows.NOTICE_MS)) == []


@pytest.mark.parametrize(
    ("site", "starts", "ends", "overlaps"),
    [
        ("lycee", 0, 10, True),
        ("lycee", 29, 40, True),
        ("lycee", 30, 40, False),
        ("gare", 5, 10, False),
        (None, 5, 10, True),
    ],
)
def test_two_of_a_kind_do_not_overlap(site: str | None, starts: int, ends: int, overlaps: bool) -> None:
    draft = replace(GOOD, site=site, starts_ms=NOW + starts * MIN, ends_ms=NOW + ends * MIN)
    assert paths(draft, (STORED,), forced=True) == (["starts_ms"] if overlaps else [])
    assert paths(replace(draft, kind="maintenance"), (STORED,)) == [], "maintenance beside a drill is possible"


@pytest.mark.parametrize(
    ("site", "contact", "now", "covered"),
    [
        ("lycee", 0, 0, True),
        ("lycee", -1, 5, False),
        ("lycee", 5, 30 * MIN, False),
        ("lycee", 5, 30 * MIN - 1, True),
        ("gare", 5, 5, False),
    ],
)
def test_which_press_it_covers(site: str, contact: int, now: int, covered: bool) -> None:
    assert windows.covers(STORED, site, NOW + contact, NOW + now) is covered
    assert windows.covers(replace(STORED, site=None), site, NOW + contact, NOW + now) is (covered or site == "gare")
    assert not windows.covers(replace(STORED, ended_ms=NOW), site, NOW + contact, NOW + now)
    assert not windows.covers(replace(STORED, kind="maintenance"), site, NOW + contact, NOW + now)


def test_its_state_and_its_first_look() -> None:
    assert windows.state_of(STORED, NOW - 1) == "announced"
    assert windows.state_of(STORED, NOW) == "running"
    assert windows.state_of(STORED, NOW + 30 * MIN) == "over"
    assert windows.state_of(replace(STORED, ended_ms=NOW + 1), NOW + 2) == "over"
    assert windows.first_look_ms(GOOD, NOW) == GOOD.starts_ms
    assert windows.first_look_ms(GOOD, GOOD.starts_ms + 5) == GOOD.ends_ms
