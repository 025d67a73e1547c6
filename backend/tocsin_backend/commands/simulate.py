"""`tocsin simulate`: a scenario played on the engine itself, for testers and trainers; no database, nothing leaves."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from tocsin_backend.commands import OK, REFUSED, Adder, say
from tocsin_backend.domain import simulation
from tocsin_backend.domain.documents import BadDocument, table_of
from tocsin_backend.enrolment import LANGUAGES
from tocsin_backend.errors import Invalid
from tocsin_backend.settings import Settings


def simulate(args: argparse.Namespace, settings: Settings) -> int:
    try:
        source = args.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Invalid(f"{args.file} cannot be read: {reason}") from None
    try:
        scenario = simulation.parse(table_of(source))
    except BadDocument as error:
        if args.json:
            faults = [{"path": fault.path, "reason": fault.reason} for fault in error.faults]
            print(json.dumps({"ok": False, "faults": faults}, ensure_ascii=False, indent=2))
        else:
            for fault in error.faults:
                print(f"{args.file}: {fault.path}: {fault.reason}", file=sys.stderr)
        return REFUSED
    lines = simulation.play(scenario)
    document = {"ok": True, "title": scenario.title, "lines": [dataclasses.asdict(line) for line in lines]}
    say(args, document, [scenario.title, *(simulation.said(line, scenario, args.language) for line in lines)])
    return OK


def register(add: Adder) -> None:
    leaf = add.leaf("simulate", simulate, "Play a scenario on the engine: who is told, when, by what.")
    leaf.add_argument("file", type=Path, metavar="FILE.toml")
    leaf.add_argument("--language", default="fr", choices=LANGUAGES)
