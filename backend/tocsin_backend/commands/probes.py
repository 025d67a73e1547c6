"""`tocsin probe`: each post's own test presses."""

import argparse
import datetime

from tocsin_backend.clock import SystemClock
from tocsin_backend.commands import OK, Adder, columns, opened, say
from tocsin_backend.domain import latency
from tocsin_backend.domain.probes import WINDOW_MS, Probed, fault_of, is_overdue
from tocsin_backend.errors import Invalid, NotFound
from tocsin_backend.settings import Settings
from tocsin_backend.store import probes
from tocsin_backend.store.database import Priority

HOUR_MS = 3_600_000


def list_probes(args: argparse.Namespace, settings: Settings) -> int:
    now_ms = SystemClock().now_ms()
    with opened(settings) as database, database.read() as conn:
        rows = probes.listing(conn, args.org, args.site)
        took = probes.round_trips(conn, args.org, now_ms - WINDOW_MS, [row["id"] for row in rows])
    found = []
    for row in rows:
        overdue = is_overdue(Probed(row["probe_every_ms"], row["probe_ms"], row["probe_by_ms"]), now_ms)
        figures = latency.summary(took[row["id"]])
        found.append(
            {
                "device": row["id"], "site": row["site"], "presence": row["presence"], "overdue": overdue,
                "last": _clock(row["probe_ms"]), "due": _clock(row["probe_by_ms"]), "last_ms": row["probe_ms"],
                "due_ms": row["probe_by_ms"], "every_ms": row["probe_every_ms"], "n": figures["n"],
                "p50_ms": figures.get("p50"), "p95_ms": figures.get("p95"),
            }
        )  # fmt: skip
    found.sort(key=lambda row: not row["overdue"])
    names = ("device", "site", "presence", "overdue", "last", "due", "n", "p50_ms", "p95_ms")
    say(args, found, columns(found, names, "no post"))
    return OK


def set_period(args: argparse.Namespace, settings: Settings) -> int:
    every_ms = round(args.hours * HOUR_MS)
    if fault := fault_of(every_ms):
        raise Invalid(f"the period {fault}")
    with opened(settings) as database:
        done = database.write(lambda conn: probes.set_every(conn, args.org, args.device, every_ms), Priority.ACTION)
        if not done.result():
            raise NotFound(f"there is no device {args.device!r} in {args.org!r}")
    document = {"device": args.device, "every_ms": every_ms}
    say(args, document, [f"{args.device}: a probe every {args.hours:g} h"])
    return OK


def _clock(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def register(add: Adder) -> None:
    group = add.group("probe", "Each post's own test presses.")
    shown = group.leaf("list", list_probes, "When each post's last probe went the whole way, the overdue first.")
    shown.add_argument("--org", required=True)
    shown.add_argument("--site")
    period = group.leaf("period", set_period, "Say how often a post's probe is to come: what its profile says.")
    period.add_argument("--org", required=True)
    period.add_argument("--device", required=True)
    period.add_argument("--hours", type=float, required=True, help="at most 72 (EN 81-28)")
