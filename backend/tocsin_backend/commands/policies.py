"""`tocsin policy`."""

import argparse
import json
from typing import Any

from tocsin_backend.commands import OK, REFUSED, Adder, columns, opened, say
from tocsin_backend.commands.documents import add_import, add_named, import_file, now_ms, passed
from tocsin_backend.domain.dry_run import Line
from tocsin_backend.errors import NotFound
from tocsin_backend.outlook import CATEGORIES, MODES, Press, lint_policy, try_press
from tocsin_backend.settings import Settings
from tocsin_backend.store import policies as policies_store


def policy_import(args: argparse.Namespace, settings: Settings) -> int:
    return import_file(args, settings, "policy", lambda plans: plans.import_policy)


def policy_export(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        found = policies_store.versions(conn, args.org, args.id)
    if args.version is not None:
        found = [row for row in found if row["version"] == args.version]
    if not found:
        version = "" if args.version is None else f" with a version {args.version}"
        raise NotFound(f"there is no policy {args.id!r} in {args.org!r}{version}")
    say(args, found[0] | {"body": json.loads(found[0]["body"])}, [found[0]["source"].rstrip("\n")])
    return OK


def policy_list(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        found = policies_store.all_current(conn, args.org)
    names = ("org", "id", "title", "version", "created_ms", "created_by")
    rows = [{name: row[name] for name in names} for row in found]
    none = "no policy yet: every supervisor is told (`tocsin policy import`)"
    say(args, rows, columns(rows, names[:4], none))
    return OK


def policy_lint(args: argparse.Namespace, settings: Settings) -> int:
    """Exit status 1 when there is a doubt."""
    with opened(settings) as database, database.read() as conn:
        doubts = lint_policy(conn, args.org, args.id, settings, now_ms())
    rows = [{"code": each.code, "path": each.path, "reason": each.reason} for each in doubts]
    say(
        args, rows, [f"{row['path']}: {row['reason']} [{row['code']}]" for row in rows] or ["nothing to say against it"]
    )
    return REFUSED if rows else OK


def line_row(line: Line) -> dict[str, Any]:
    """A line of a dry run, for --json and for a table."""
    proven_ms = None if line.method is None else line.method.proven_ms
    return {
        "after": passed(line.offset_ms),
        "offset_ms": line.offset_ms,
        "pass": line.pass_,
        "step": line.step,
        "what": line.what,
        "who": line.target if line.person is None else f"{line.person.name} ({line.person.login})",
        "login": None if line.person is None else line.person.login,
        "by": line.channel,
        "external": line.method is not None and line.method.external,
        "proven_ms": proven_ms,
        "why_not": line.why_not,
    }


def from_one(row: dict[str, Any]) -> dict[str, Any]:
    """A row for a table: people count steps from 1, programs from 0."""
    return row | {"step": row["step"] + 1}


SHOWN = ("after", "pass", "step", "what", "who", "by")


def with_why(rows: list[dict[str, Any]], names: tuple[str, ...]) -> tuple[str, ...]:
    """These columns, and why a channel cannot leave the server where there is such a line."""
    return (*names, "why_not") if any(row["why_not"] for row in rows) else names


def policy_dry_run(args: argparse.Namespace, settings: Settings) -> int:
    press = Press(
        site=args.site, device=args.device, policy=args.id, category=args.category, mode=args.mode, silent=args.silent,
        at=args.at, minutes=args.minutes,
    )  # fmt: skip
    with opened(settings) as database, database.read() as conn:
        tried = try_press(conn, args.org, press, settings, now_ms())
    rows = [line_row(line) for line in tried.run.lines]
    document = {
        "policy": tried.policy.id, "version": tried.version, "at_ms": tried.at_ms, "at": tried.at, "zone": tried.zone,
        "lines": rows, "cut": tried.run.cut,
    }  # fmt: skip
    shown = [from_one(row) for row in rows]
    head = f"a press at {args.site} at {tried.at}, policy {tried.policy.id} version {tried.version}, nobody answers:"
    more = ["… and more, left out"] if tried.run.cut else []
    say(args, document, [head, *columns(shown, with_why(rows, SHOWN), "nobody is told"), *more])
    return OK


def register(add: Adder) -> None:
    policy = add.group("policy", "Policies: who is told next, and when, if nobody answered.")
    add_import(policy.leaf("import", policy_import, "Check a policy file and save it as the policy's next version."))
    export = add_named(policy.leaf("export", policy_export, "Print a policy's file."))
    export.add_argument("--version", type=int, help="an older one")
    policy.leaf("list", policy_list, "List policies.").add_argument("--org")
    add_named(policy.leaf("lint", policy_lint, "Say what is unwise in a policy, now and in the next 90 days."))
    dry = policy.leaf("dry-run", policy_dry_run, "Press there then: who is told, by what, when, if nobody answers.")
    dry.add_argument("--org", required=True)
    dry.add_argument("--site", required=True)
    dry.add_argument("--device", default="", help="one post of the site; without: its first")
    dry.add_argument("--id", default="", help="another policy than the one a press there has")
    dry.add_argument("--at", default="", metavar="TIME", help='local time such as "2026-12-24 02:10"; without: now')
    dry.add_argument("--minutes", type=int, default=15)
    dry.add_argument("--category", choices=CATEGORIES, default="call")
    dry.add_argument("--mode", choices=MODES, default="real")
    dry.add_argument("--silent", action="store_true")
