"""`tocsin alerts`, `verify`: what is open, and whether every timeline is whole."""

import argparse
import dataclasses
import datetime

from tocsin_backend.commands import OK, REFUSED, Adder, columns, opened, say
from tocsin_backend.settings import Settings
from tocsin_backend.store import board, listings
from tocsin_backend.store import enrolment as enrolment_store
from tocsin_backend.store import timeline as timeline_store


def verify(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        checked, flaws = timeline_store.verify(conn)
    document = {"alerts": checked, "flaws": [dataclasses.asdict(flaw) for flaw in flaws]}
    lines = [f"{flaw.alert_id} {flaw.origin} entry {flaw.seq}: {flaw.reason}" for flaw in flaws]
    verdict = f"{len(flaws)} broken" if flaws else "every chain whole"
    say(args, document, [*lines, f"{checked} timelines checked: {verdict}"])
    return REFUSED if flaws else OK


def list_alerts(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        orgs = [args.org] if args.org else [row["id"] for row in enrolment_store.organisations(conn)]
        statuses = ("raised", "answered", "closed") if args.all else ("raised", "answered")
        found = [
            row
            for org in orgs
            for row in board.alerts_by_id(conn, listings.alert_ids(conn, org, statuses, None, None, args.limit))
        ]
    rows = [
        {
            "id": row.id, "org": row.org, "site": row.site, "device": row.device, "mode": row.mode,
            "category": row.category, "subject": row.subject, "status": row.status, "presses": row.presses,
            "raised_ms": row.raised_ms, "raised": _clock(row.raised_ms), "answered_by": row.owner, "reason": row.reason,
        }
        for row in sorted(found, key=lambda row: (-row.raised_ms, row.id))
    ]  # fmt: skip
    names = (
        "raised", "org", "device", "category", "subject", "mode", "status", "presses", "answered_by", "reason", "id",
    )  # fmt: skip
    say(args, rows, columns(rows, names, "no alert" if args.all else "no open alert"))
    return OK


def _clock(at_ms: int) -> str:
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def register(add: Adder) -> None:
    add.leaf("verify", verify, "Check every alert's timeline; name the first bad entry of each.")
    shown = add.leaf("alerts", list_alerts, "List open alerts, the newest first.")
    shown.add_argument("--org")
    shown.add_argument("--all", action="store_true", help="closed ones too")
    shown.add_argument("--limit", type=int, default=50, help="at most so many an organisation (50)")
