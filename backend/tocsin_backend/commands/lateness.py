"""`tocsin lateness`: how late the engine served its timers, by the hour."""

import argparse
import datetime

from tocsin_backend.clock import SystemClock
from tocsin_backend.commands import OK, Adder, columns, opened, say
from tocsin_backend.settings import Settings
from tocsin_backend.store import lateness

HOUR_MS = 3_600_000


def show(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        rows = lateness.since(conn, SystemClock().now_ms() - args.hours * HOUR_MS)
    shown = [row | {"hour": _hour(row["hour_ms"])} for row in rows]
    names = ("hour", "timer", "served", "over", "mean_ms", "max_ms", "owner")
    say(args, rows, columns(shown, names, "no timer was served in that time"))
    return OK


def _hour(at_ms: int) -> str:
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).strftime("%Y-%m-%dT%H:00Z")


def register(add: Adder) -> None:
    leaf = add.leaf("lateness", show, "Show how late timers were served, by the hour; over: more than 2 s late.")
    leaf.add_argument("--hours", type=int, default=24, help="how far back (24)")
