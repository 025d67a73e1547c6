"""`tocsin window`: drills and maintenance, announced, listed, ended, reported."""

import argparse
import datetime
import re
from zoneinfo import ZoneInfo

from tocsin_backend.clock import SystemClock
from tocsin_backend.commands import OK, Adder, columns, opened, say
from tocsin_backend.domain import drill_report, windows
from tocsin_backend.domain.windows import KINDS, Draft, Window
from tocsin_backend.drill_pages import as_csv, as_html, as_text
from tocsin_backend.drills import Drills
from tocsin_backend.errors import Invalid, NotFound
from tocsin_backend.outbox import Outbox
from tocsin_backend.settings import Settings
from tocsin_backend.store import board, enrolment
from tocsin_backend.store import windows as store
from tocsin_backend.store.database import Database, Priority

UNITS_MS = {"s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000}


def add_window(args: argparse.Namespace, settings: Settings) -> int:
    clock = SystemClock()
    with opened(settings) as database:
        zone = _zone(database, args.org, args.site)
        starts_ms = clock.now_ms() if args.at == "now" else _instant(args.at, zone)
        draft = Draft(args.site, args.kind, args.title, starts_ms, starts_ms + _span_ms(args.duration))
        drills = Drills(database, clock, Outbox("command-line", frozenset(), settings.public_url))
        window = drills.add(args.org, draft, None, args.force)
    row = _row(window, clock.now_ms(), zone)
    say(args, row, [f"{row['kind']} {row['id']}: {row['starts']} to {row['ends']}, {row['site'] or 'every site'}"])
    return OK


def list_windows(args: argparse.Namespace, settings: Settings) -> int:
    now_ms = SystemClock().now_ms()
    with opened(settings) as database:
        zone = _zone(database, args.org, args.site)
        with database.read() as conn:
            found = [
                _row(each, now_ms, zone) for each in store.listing(conn, args.org, args.kind, args.site, args.limit)
            ]
    names = ("id", "kind", "state", "site", "starts", "ends", "title", "report")
    say(args, found, columns(found, names, "no window: `tocsin window add`"))
    return OK


def end_window(args: argparse.Namespace, settings: Settings) -> int:
    """No press belongs to it any more; the running server closes its alerts and writes the report within seconds."""
    now_ms = SystemClock().now_ms()
    with opened(settings) as database:
        window = _window(database, args.org, args.id)
        database.write(lambda conn: store.end_soon(conn, window, now_ms), Priority.ACTION).result()
        row = _row(_window(database, args.org, args.id), now_ms, _zone(database, args.org, window.site))
    say(args, row, [f"{row['kind']} {row['id']} is over"])
    return OK


def report(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database:
        window = _window(database, args.org, args.id)
        with database.read() as conn:
            names = board.people_names(conn, args.org)
    if not window.report:
        raise NotFound("there is no report: the drill is not over, or it never began")
    written = drill_report.load(window.report)
    lines = drill_report.lines(written, names, args.language)
    if args.form == "text":
        text = as_text(lines)
    else:
        text = as_html(lines, args.language) if args.form == "html" else as_csv(drill_report.table(written, names))
    say(args, written, text.splitlines())
    return OK


def _window(database: Database, org: str, window_id: int) -> Window:
    with database.read() as conn:
        window = store.get(conn, org, window_id)
    if window is None:
        raise NotFound(f"there is no window {window_id} in {org!r}")
    return window


def _zone(database: Database, org: str, site: str | None) -> ZoneInfo:
    """The zone of the site; without one, the organisation's."""
    with database.read() as conn:
        rows = enrolment.organisations(conn) if site is None else enrolment.sites(conn, org)
    found = next((row["timezone"] for row in rows if row["id"] == (site or org)), None)
    if found is None:
        raise NotFound(f"there is no {'organisation' if site is None else 'site'} {site or org!r}")
    return ZoneInfo(found)


def _instant(text: str, zone: ZoneInfo) -> int:
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"--at: {text!r} is no instant; write 2026-11-30T10:30, or now") from None
    return int((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp() * 1000)


def _span_ms(text: str) -> int:
    match = re.fullmatch(r"(\d{1,6})(s|m|min|h)", text)
    if match is None:
        raise Invalid(f"--for: {text!r} is no duration; write 45m or 2h")
    return int(match[1]) * UNITS_MS[match[2]]


def _row(window: Window, now_ms: int, zone: ZoneInfo) -> dict[str, object]:
    def clock(at_ms: int) -> str:
        return datetime.datetime.fromtimestamp(at_ms / 1000, zone).isoformat(timespec="minutes")

    return {
        "id": window.id, "org": window.org, "kind": window.kind, "state": windows.state_of(window, now_ms),
        "site": window.site, "title": window.title, "starts": clock(window.starts_ms), "ends": clock(window.ends_ms),
        "starts_ms": window.starts_ms, "ends_ms": window.ends_ms, "ended_ms": window.ended_ms,
        "report": bool(window.report),
    }  # fmt: skip


def register(add: Adder) -> None:
    group = add.group("window", "Drills, and maintenance that mutes technical alerts.")
    made = group.leaf("add", add_window, "Announce a drill or a maintenance.")
    made.add_argument("--org", required=True)
    made.add_argument("--site", help="one site; without it, every site")
    made.add_argument("--kind", choices=KINDS, default=windows.DRILL)
    made.add_argument("--title", required=True)
    made.add_argument("--at", required=True, help="local time of the site, 2026-11-30T10:30, or now")
    made.add_argument("--for", dest="duration", required=True, help="45m, 2h; at most 24h")
    made.add_argument("--force", action="store_true", help="a drill in less than 2 minutes")
    shown = group.leaf("list", list_windows, "List drills and maintenance, the newest first.")
    shown.add_argument("--org", required=True)
    shown.add_argument("--site")
    shown.add_argument("--kind", choices=KINDS)
    shown.add_argument("--limit", type=int, default=50)
    ended = group.leaf("end", end_window, "End one now.")
    ended.add_argument("--org", required=True)
    ended.add_argument("id", type=int)
    read = group.leaf("report", report, "Print the report of a drill that is over.")
    read.add_argument("--org", required=True)
    read.add_argument("id", type=int)
    read.add_argument("--form", choices=("text", "html", "csv"), default="text")
    read.add_argument("--language", choices=("fr", "en"), default="fr")
