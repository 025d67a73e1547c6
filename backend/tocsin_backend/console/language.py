"""Languages: gettext catalogues read from their .po at start, and times in a place's own zone.

Sources are written in English; locale/*.po hold the other languages. Nothing compiled is kept: Babel reads the .po.
"""

import gettext
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FOLDER = Path(__file__).parent / "locale"
DEFAULT = "fr"
NAMES = {"fr": "Français", "en": "English"}


def N_(message: str) -> str:  # noqa: N802  gettext's own name
    """Marks a text for the catalogues; it is translated where it is used."""
    return message


def iso(at_ms: int) -> str:
    """2026-11-22T20:15:03.120Z"""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Language:
    """One language: texts, plurals, clocks."""

    def __init__(self, code: str, translations: gettext.NullTranslations) -> None:
        self.code = code
        self.name = NAMES[code]
        self.translations = translations

    def say(self, message: str, **values: object) -> str:
        """The translated text, with `%(name)s` filled in."""
        text = self.translations.gettext(message)
        return text % values if values else text

    def plural(self, one: str, many: str, number: int, **values: object) -> str:
        """The translated form for a number, with `%(num)d` and the rest filled in."""
        return self.translations.ngettext(one, many, number) % {"num": number, **values}

    def clock(self, at_ms: int, zone: ZoneInfo) -> str:
        """20:15:03"""
        return datetime.fromtimestamp(at_ms / 1000, zone).strftime("%H:%M:%S")

    def precise(self, at_ms: int, zone: ZoneInfo) -> str:
        """20:15:03.120, or 20:15:03,120 in French: events of one second are told apart."""
        mark = "," if self.code == "fr" else "."
        return f"{self.clock(at_ms, zone)}{mark}{at_ms % 1000:03d}"

    def date(self, at_ms: int, zone: ZoneInfo) -> str:
        """22/11/2026 in both languages of a French control room: day first, four digits."""
        return datetime.fromtimestamp(at_ms / 1000, zone).strftime("%d/%m/%Y")

    def dated(self, at_ms: int, now_ms: int, zone: ZoneInfo) -> str:
        """The time alone when it is today's, the date before it otherwise."""
        day, today = self.date(at_ms, zone), self.date(now_ms, zone)
        clock = self.clock(at_ms, zone)
        return clock if day == today else f"{day} {clock}"

    def span(self, span_ms: int) -> str:
        """12 s, 3 min 05 s, 2 h 07, 4 d: the same as ages.js writes."""
        seconds = max(0, span_ms // 1000)
        if seconds < 60:
            return f"{seconds} s"
        if seconds < 3600:
            return f"{seconds // 60} min {seconds % 60:02d} s"
        if seconds < 86400:
            return f"{seconds // 3600} h {seconds % 3600 // 60:02d}"
        return f"{seconds // 86400} {self.say('d')}"

    def ago(self, at_ms: int, now_ms: int) -> str:
        return self.say("{span} ago").replace("{span}", self.span(now_ms - at_ms))

    def until(self, at_ms: int, now_ms: int) -> str:
        if at_ms < now_ms:
            return self.say("now")
        return self.say("in {span}").replace("{span}", self.span(at_ms - now_ms))

    def duration(self, span_ms: int) -> str:
        """A measured hop: 12 ms, 1.24 s (1,24 s in French), 49.9 s, then as `span`."""
        if span_ms < 1000:
            return f"{span_ms} ms"
        if span_ms < 60_000:
            seconds = f"{span_ms / 1000:.{2 if span_ms < 10_000 else 1}f} s"
            return seconds.replace(".", ",") if self.code == "fr" else seconds
        return self.span(span_ms)


def read_languages() -> Mapping[str, Language]:
    """Every language of NAMES. English is the sources' own; the others come from locale/{code}.po."""
    languages = {"en": Language("en", gettext.NullTranslations())}
    for code in NAMES:
        if code not in languages:
            with (FOLDER / f"{code}.po").open("rb") as file:
                catalogue = read_po(file, locale=code)
            compiled = BytesIO()
            write_mo(compiled, catalogue)
            compiled.seek(0)
            languages[code] = Language(code, gettext.GNUTranslations(compiled))
    return languages
