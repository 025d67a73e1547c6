"""Reading a document whole: every fault gathered with its place, and nothing accepted when there is one."""

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Final

from .localtime import YEARS

NAME: Final = re.compile(r"[a-z0-9-]{1,32}\Z")
_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)\Z")
_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\Z")
_LINE: Final = re.compile(r"\(at line (\d+), column (\d+)\)")
SOME_DAY: Final = date(2000, 1, 1)  # stands where a date could not be read; the document is refused anyway
MAX_HOURS: Final = 12  # spans in a day
MAX_BYTES: Final = 262_144


@dataclass(frozen=True, slots=True)
class Fault:
    """Where in the document, and what is wrong there."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class BadDocument(ValueError):
    """The document has faults; all of them are listed."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


def table_of(source: str) -> dict[str, object]:
    """The tables of a TOML text. Raises BadDocument, whose path is the line of the first fault."""
    if len(source.encode(errors="replace")) > MAX_BYTES:
        raise BadDocument([Fault("file", f"is longer than {MAX_BYTES} bytes")])
    try:
        return tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        place = f"line {found[1]}, column {found[2]}" if found else "end of the file"
        raise BadDocument([Fault(place, f"is not TOML: {_LINE.sub('', str(error)).strip()}")]) from None
    except RecursionError:
        raise BadDocument([Fault("file", "is nested too deep")]) from None


class Reader:
    """Reads a document and gathers what is wrong with it instead of stopping at the first."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def fault(self, path: str, reason: str) -> None:
        self.faults.append(Fault(path, reason))

    def refuse(self) -> None:
        """Raises BadDocument if anything was wrong."""
        if self.faults:
            raise BadDocument(self.faults)

    def keys(self, path: str, table: Mapping[str, object], known: tuple[str, ...]) -> bool:
        """Faults for what is not known; True, so that a table is read all the same."""
        for key in table:
            if key not in known:
                self.fault(f"{path}{key}", f"is not known here; known: {', '.join(known)}")
        return True

    def integer(self, path: str, value: object, low: int, high: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            self.fault(path, f"must be a whole number, not {value!r}")
        elif not low <= value <= high:
            self.fault(path, f"is {value}; it must be between {low} and {high}")
        else:
            return value
        return low

    def boolean(self, path: str, value: object) -> bool:
        if not isinstance(value, bool):
            self.fault(path, f"must be true or false, not {value!r}")
        return value is True

    def name(self, path: str, value: object) -> str:
        if not isinstance(value, str) or not NAME.match(value):
            self.fault(path, f"must be 1 to 32 of a-z, 0-9 and -, not {value!r}")
        return str(value)

    def title(self, path: str, value: object) -> str:
        if not isinstance(value, str) or not value.strip() or len(value) > 120 or not value.isprintable():
            self.fault(path, "must be a text of 1 to 120 characters")
        return str(value)

    def word(self, path: str, value: object, known: tuple[str, ...]) -> str:
        if value not in known:
            self.fault(path, f"is {value!r}; known: {', '.join(filter(None, known))}")
        return str(value)

    def words(self, path: str, value: object, known: tuple[str, ...]) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            self.fault(path, f"must be a list of at least one of {', '.join(known)}")
            return ()
        good = []
        for word in value:
            if word not in known:
                self.fault(path, f"{word!r} is not one of {', '.join(known)}")
            elif word not in good:
                good.append(word)
        return tuple(good)

    def day(self, path: str, value: object) -> date:
        """A date: TOML's own, or a text such as "2026-12-24"."""
        found = value if type(value) is date else None
        if isinstance(value, str) and len(value) == 10:
            with suppress(ValueError):
                found = date.fromisoformat(value)
        if found is not None and found.year in YEARS:
            return found
        if found is None:
            self.fault(path, f'must be a date such as "2026-12-24", not {value!r}')
        else:
            self.fault(path, f"is {found}; the year must be between {YEARS[0]} and {YEARS[-1]}")
        return SOME_DAY

    def time(self, path: str, value: object) -> int:
        """A time of day, in minutes."""
        found = _TIME.match(value) if isinstance(value, str) else None
        if found is None:
            self.fault(path, f'must be a time such as "08:00", not {value!r}')
            return 0
        return int(found[1]) * 60 + int(found[2])

    def hours(self, path: str, value: object) -> tuple[tuple[int, int], ...]:
        """Spans of the day in minutes, in order; None: the whole day. An end that is not after its beginning is the
        next day's."""
        if value is None:
            return ((0, 1440),)
        if not isinstance(value, list) or len(value) > MAX_HOURS:
            self.fault(path, f'must be a list of at most {MAX_HOURS} spans such as "08:00-18:00"')
            return ()
        found: list[tuple[int, int]] = []
        for at, text in enumerate(value):
            read = _HOURS.match(text) if isinstance(text, str) else None
            if read is None or (read[3] == "24" and read[4] != "00"):
                self.fault(f"{path}[{at}]", f'must be a span such as "08:00-18:00", not {text!r}')
                continue
            begins, ends = int(read[1]) * 60 + int(read[2]), int(read[3]) * 60 + int(read[4])
            found.append((begins, ends if ends > begins else ends + 1440))
        return tuple(sorted(found))

    def tables(self, path: str, value: object, most: int) -> list[tuple[str, Mapping[str, object]]]:
        """The tables of an array of tables, each with its path."""
        if not isinstance(value, list):
            self.fault(path, f"must be a list of tables: [[{path.rpartition('.')[2]}]]")
            return []
        if len(value) > most:
            self.fault(path, f"there are {len(value)}; at most {most}")
        found: list[tuple[str, Mapping[str, object]]] = []
        for at, table in enumerate(value[:most]):
            if isinstance(table, dict):
                found.append((f"{path}[{at}]", table))
            else:
                self.fault(f"{path}[{at}]", "must be a table")
        return found
