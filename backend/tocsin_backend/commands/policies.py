"""`tocsin policy`."""

import argparse
import getpass
import json
import sys
from pathlib import Path

from tocsin_backend.commands import OK, REFUSED, Adder, columns, opened, registrar, say
from tocsin_backend.errors import Invalid, NotFound
from tocsin_backend.plans import DocumentFaults
from tocsin_backend.settings import Settings
from tocsin_backend.store import policies as policies_store


def policy_import(args: argparse.Namespace, settings: Settings) -> int:
    try:
        source = args.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Invalid(f"{args.file} cannot be read: {reason}") from None
    try:
        with registrar(settings) as desk:
            found = desk.import_policy(args.org, source, getpass.getuser(), check_only=args.check)
    except DocumentFaults as error:
        count = len(error.faults)
        if args.json:
            faults = [{"path": path, "reason": reason} for path, reason in error.faults]
            print(json.dumps({"ok": False, "faults": faults}, ensure_ascii=False, indent=2))
        else:
            for path, reason in error.faults:
                print(f"{args.file}: {path}: {reason}", file=sys.stderr)
            print(f"tocsin: {args.file} has {count} fault{'s' * (count > 1)}; nothing was changed", file=sys.stderr)
        return REFUSED
    what = "is good, nothing was changed" if args.check else f"is version {found['version']} now"
    say(args, {"ok": True, **found}, [f"policy {found['id']} ({found['steps']} steps) {what}"])
    return OK


def policy_export(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        found = policies_store.current(conn, args.org, args.id)
    if found is None:
        raise NotFound(f"there is no policy {args.id!r} in {args.org!r}")
    say(args, found | {"body": json.loads(found["body"])}, [found["source"].rstrip("\n")])
    return OK


def policy_list(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        found = policies_store.all_current(conn, args.org)
    names = ("org", "id", "title", "version", "created_ms", "created_by")
    rows = [{name: row[name] for name in names} for row in found]
    say(
        args,
        rows,
        columns(rows, names[:4], "no policy yet: every supervisor is told (`tocsin policy import`)"),
    )
    return OK


def register(add: Adder) -> None:
    policy = add.group("policy", "Policies: who is told next, and when, if nobody answered.")
    take = policy.leaf("import", policy_import, "Check a policy file and save it as the policy's next version.")
    take.add_argument("file", type=Path, metavar="FILE.toml")
    take.add_argument("--org", required=True)
    take.add_argument("--check", action="store_true", help="only list what is wrong with it")
    export = policy.leaf("export", policy_export, "Print a policy's file.")
    export.add_argument("--org", required=True)
    export.add_argument("--id", required=True)
    policy.leaf("list", policy_list, "List policies.").add_argument("--org")
