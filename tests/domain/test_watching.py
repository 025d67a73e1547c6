"""When a server that fails is told of, when again, and when it is well."""

import pytest
from tocsin_backend.domain import watching
from tocsin_backend.domain.watching import BACK, DOWN, Look, Watched, Word

WELL = Look("")
MISSED = Look("no answer (timeout)")


def played(*looks: tuple[int, Look]) -> list[tuple[int, str, int]]:
    """(second, what was told, for how many seconds) of looks at these seconds."""
    watched, told = Watched(), []
    for at_s, look in looks:
        watched, word = watching.after(watched, look, at_s * 1000)
        if word is not None:
            told.append((at_s, word.what, word.lasted_ms // 1000))
    return told


def test_three_misses_are_told_again_every_ten_minutes_and_the_return_once():
    looks = [(at_s, MISSED) for at_s in range(5, 1_300, 5)] + [(1_300, WELL), (1_305, WELL)]
    assert played(*looks) == [(15, DOWN, 10), (615, DOWN, 610), (1_215, DOWN, 1_210), (1_300, BACK, 1_295)]


def test_a_restart_of_ten_seconds_is_not_worth_a_word():
    assert played((5, WELL), (10, MISSED), (15, MISSED), (20, WELL), (25, MISSED), (30, MISSED), (35, WELL)) == []


def test_an_old_engine_beat_is_told_at_the_first_look():
    old = Look("the engine's last beat is 40 s old", at_once=True)
    assert played((5, WELL), (10, old), (15, old), (20, WELL)) == [(10, DOWN, 0), (20, BACK, 10)]


@pytest.mark.parametrize(
    ("status", "document", "why", "at_once"),
    [
        (200, {"engine": {"ok": True, "beat_age_ms": 900}}, "", False),
        (200, {"engine": {"ok": True, "beat_age_ms": 15_001}}, "the engine's last beat is 15 s old", True),
        (
            503,
            {"engine": {"ok": True, "beat_age_ms": 1}, "database": {"ok": False}},
            "HTTP 503, failing: database",
            False,
        ),
        (
            503,
            {"engine": {"ok": True, "beat_age_ms": 1}, "database": {"ok": True}},
            "HTTP 503, failing: unknown",
            False,
        ),
        (502, None, "HTTP 502, without an engine's heartbeat", False),
        (200, ["x"], "HTTP 200, without an engine's heartbeat", False),
        (200, {"engine": {"beat_age_ms": "0"}}, "HTTP 200, without an engine's heartbeat", False),
    ],
)
def test_what_an_answer_says(status, document, why, at_once):
    assert watching.judge(status, document) == Look(why, at_once)


def test_what_people_read():
    word = Word(DOWN, "HTTP 503", 610_000)
    assert watching.phrase(word, "fr").startswith("Tocsin ne répond plus : HTTP 503. Depuis 10 min.")
    assert watching.phrase(Word(BACK, "", 60_000), "en") == "Tocsin answers again, after 1 min."
    assert set(watching.PHRASES["fr"]) == set(watching.PHRASES["en"]) == {DOWN, BACK}
