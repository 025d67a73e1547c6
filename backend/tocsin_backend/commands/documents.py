"""What the commands of policies, calendars and rosters share: a file in, its faults out."""

import argparse
import getpass
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tocsin_backend.clock import SystemClock
from tocsin_backend.commands import OK, REFUSED, counted, opened, say
from tocsin_backend.errors import Invalid
from tocsin_backend.plans import DocumentFaults, Plans, Source
from tocsin_backend.settings import Settings
from tocsin_backend.store.database import Database

MAX_BYTES = 262_144


@contextmanager
def plans(settings: Settings) -> Iterator[tuple[Plans, Database]]:
    """The plans of the database of the settings."""
    with opened(settings) as database:
        yield Plans(database, SystemClock().now_ms), database


def now_ms() -> int:
    return SystemClock().now_ms()


def source_of(path: Path) -> Source:
    """The document of a .toml or .json file. Raises Invalid."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Invalid(f"{path} cannot be read: it is longer than {MAX_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else text
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Invalid(f"{path} cannot be read: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{path} is not JSON: {error}") from None
    if not isinstance(document, str | dict):
        raise Invalid(f"{path} is not a JSON object")
    return document


Import = Callable[..., dict[str, Any]]  # Plans.import_policy and its like


def import_file(args: argparse.Namespace, settings: Settings, what: str, chosen: Callable[[Plans], Import]) -> int:
    """Check a file and, without --check, save it; every fault is a line of stderr."""
    source = source_of(args.file)
    try:
        with plans(settings) as (found, _):
            saved = chosen(found)(args.org, source, getpass.getuser(), check_only=args.check)
    except DocumentFaults as error:
        return refused(args, error)
    done = "is good, nothing was changed" if args.check else f"is version {saved['version']} now"
    steps = f" ({counted(saved['steps'], 'step')})" if "steps" in saved else ""
    say(args, {"ok": True, **saved}, [f"{what} {saved['id']}{steps} {done}"])
    return OK


def refused(args: argparse.Namespace, error: DocumentFaults) -> int:
    """Say every fault of the file `args.file`; the exit status."""
    if args.json:
        faults = [{"path": path, "reason": reason} for path, reason in error.faults]
        print(json.dumps({"ok": False, "faults": faults}, ensure_ascii=False, indent=2))
        return REFUSED
    for path, reason in error.faults:
        print(f"{args.file}: {path}: {reason}", file=sys.stderr)
    count = len(error.faults)
    print(f"tocsin: {args.file} has {count} fault{'s' * (count > 1)}; nothing was changed", file=sys.stderr)
    return REFUSED


def add_import(leaf: argparse.ArgumentParser) -> None:
    """The arguments of `import`."""
    leaf.add_argument("file", type=Path, metavar="FILE")
    leaf.add_argument("--org", required=True)
    leaf.add_argument("--check", action="store_true", help="only list what is wrong with it")


def add_named(leaf: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The arguments that name one thing of an organisation."""
    leaf.add_argument("--org", required=True)
    leaf.add_argument("--id", required=True)
    return leaf


def passed(offset_ms: int) -> str:
    """A time after a press as people read it: +1:05, +2:00:00."""
    minutes, seconds = divmod(offset_ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"+{hours}:{minutes:02}:{seconds:02}" if hours else f"+{minutes}:{seconds:02}"
