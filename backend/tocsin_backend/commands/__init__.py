"""What every command works with: the database, the registrar, words and tables on stdout, and how a command is added.

Each module here holds the commands of one noun and a `register(add)` that puts them on the command line.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tocsin_backend.clock import SystemClock
from tocsin_backend.enrolment import Registrar
from tocsin_backend.machines import Machines
from tocsin_backend.settings import Settings, SettingsError, read_secret
from tocsin_backend.store.database import Database

OK, REFUSED, STOPPED, INTERRUPTED = 0, 1, 3, 130

Run = Callable[[argparse.Namespace, Settings], int]  # a command: what was typed, the settings -> its exit status


class Adder:
    """The command line, or one group of it, to which a module adds its commands."""

    def __init__(self, parser: argparse.ArgumentParser, dest: str, metavar: str) -> None:
        self._children = parser.add_subparsers(dest=dest, metavar=metavar, required=True)
        self._groups: dict[str, Adder] = {}

    def group(self, name: str, words: str) -> "Adder":
        """The group of that name, made when it is new: two modules may add to one group."""
        if name not in self._groups:
            child = self._children.add_parser(name, help=words, description=words)
            self._groups[name] = Adder(child, "action", "ACTION")
        return self._groups[name]

    def leaf(self, name: str, run: Run, words: str) -> argparse.ArgumentParser:
        """A command that `run` does; its parser, for its arguments. --json is there already."""
        child: argparse.ArgumentParser = self._children.add_parser(name, help=words, description=words)
        child.add_argument("--json", action="store_true", help="print one JSON document")
        child.set_defaults(run=run)
        return child


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database of the settings, which must have been made. Raises SettingsError."""
    prefix = "sqlite:///"
    if settings.database.startswith(prefix) and not Path(settings.database.removeprefix(prefix)).exists():
        raise SettingsError(f"there is no database at {settings.database}: make one with `tocsin init`")
    database = Database(settings.database)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def registrar(settings: Settings) -> Iterator[Registrar]:
    secret = read_secret(settings.secret_path)
    with opened(settings) as database:
        yield Registrar(settings, secret, database, SystemClock().now_ms)


@contextmanager
def machines(settings: Settings) -> Iterator[Machines]:
    # Only these commands speak to monitoring centres: the others start sooner without the libraries for it.
    from tocsin_backend.channels.dc09 import Dc09
    from tocsin_backend.channels.reach import Reach

    clock = SystemClock()
    with opened(settings) as database:
        yield Machines(database, clock.now_ms, Dc09(database, clock, Reach(settings.centre_private_networks)))


def say(args: argparse.Namespace, document: Any, lines: Iterable[str]) -> None:
    """Prints the document with --json, the lines without."""
    if args.json:
        print(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        for line in lines:
            print(line)


def counted(number: int, noun: str) -> str:
    """ "1 output", "2 outputs" """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def columns(rows: Sequence[dict[str, Any]], names: Sequence[str], none: str) -> list[str]:
    """The rows as aligned text under a heading; `none` when there is none."""
    if not rows:
        return [none]
    cells = [list(names)] + [["" if row[name] is None else str(row[name]) for name in names] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
