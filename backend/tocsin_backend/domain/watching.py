"""Watching a server's health from outside: when a failing one is told of, when again, and when it is well."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

EVERY_MS: Final = 5_000  # between two looks
MISSES: Final = 3  # looks without an answer before it is told: a restart takes less
AGAIN_MS: Final = 600_000  # while it lasts
BEAT_AGE_MS: Final = 15_000  # an engine beats every 5 s; older than this, it hangs: told at the first look

WELL: Final = "well"
DOWN: Final = "down"
BACK: Final = "back"

PHRASES: Final = {
    "fr": {
        DOWN: "Tocsin ne répond plus : {why}. Depuis {minutes} min. Prévenez par un autre moyen.",
        BACK: "Tocsin répond de nouveau, après {minutes} min.",
    },
    "en": {
        DOWN: "Tocsin does not answer: {why}. For {minutes} min. Tell people by other means.",
        BACK: "Tocsin answers again, after {minutes} min.",
    },
}


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found: `why` is "" when all is well; `at_once` when it needs no second look."""

    why: str
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known of the server: looks that failed in a row, since when, when that was last told. Instants in ms."""

    misses: int = 0
    since_ms: int = 0
    told_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """What is to be told: DOWN or BACK, why, and how long it has lasted."""

    what: str
    why: str
    lasted_ms: int


def judge(status: int, document: object) -> Look:
    """What an answer of /healthz says: its HTTP status and its JSON."""
    checks = document if isinstance(document, Mapping) else {}
    engine = checks.get("engine")
    age_ms = engine.get("beat_age_ms") if isinstance(engine, Mapping) else None
    if not isinstance(age_ms, int):
        return Look(f"HTTP {status}, without an engine's heartbeat")
    if age_ms > BEAT_AGE_MS:
        return Look(f"the engine's last beat is {age_ms // 1000} s old", at_once=True)
    if status != 200:
        failing = [name for name in ("database", "engine") if not _is_ok(checks.get(name))]
        return Look(f"HTTP {status}, failing: {', '.join(failing) or 'unknown'}")
    return Look("")


def _is_ok(check: object) -> bool:
    return isinstance(check, Mapping) and check.get("ok") is True


def after(watched: Watched, look: Look, now_ms: int) -> tuple[Watched, Word | None]:
    """What is known after one more look, and what is to be told now."""
    if not look.why:
        lasted_ms = now_ms - watched.since_ms
        return Watched(), Word(BACK, "", lasted_ms) if watched.told_ms is not None else None
    since_ms = watched.since_ms if watched.misses else now_ms
    misses = watched.misses + 1
    is_sure = look.at_once or misses >= MISSES
    is_new = watched.told_ms is None or now_ms - watched.told_ms >= AGAIN_MS
    if is_sure and is_new:
        return Watched(misses, since_ms, now_ms), Word(DOWN, look.why, now_ms - since_ms)
    return Watched(misses, since_ms, watched.told_ms), None


def phrase(word: Word, language: str) -> str:
    """The text that people read."""
    return PHRASES[language][word.what].format(why=word.why, minutes=word.lasted_ms // 60_000)
