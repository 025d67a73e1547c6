"""`tocsin roster`, `tocsin calendar`."""

import argparse
import getpass

from tocsin_backend.commands import OK, REFUSED, Adder, columns, opened, say
from tocsin_backend.commands.documents import add_import, add_named, import_file, now_ms, plans
from tocsin_backend.domain import calendars, rosters
from tocsin_backend.domain.localtime import spelled
from tocsin_backend.errors import NotFound
from tocsin_backend.outlook import ROSTER_DAYS_MAX, instant, roster_of
from tocsin_backend.settings import Settings
from tocsin_backend.store import calendars as calendar_store
from tocsin_backend.store import people as people_store
from tocsin_backend.store import rosters as roster_store

DAY_MS = 86_400_000


def roster_import(args: argparse.Namespace, settings: Settings) -> int:
    return import_file(args, settings, "roster", lambda plans: plans.import_roster)


def calendar_import(args: argparse.Namespace, settings: Settings) -> int:
    return import_file(args, settings, "calendar", lambda plans: plans.import_calendar)


def roster_export(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        found = roster_store.get(conn, args.org, args.id)
    if found is None:
        raise NotFound(f"there is no roster {args.id!r} in {args.org!r}")
    say(args, found, [found["source"].rstrip("\n")])
    return OK


def calendar_export(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        found = calendar_store.get(conn, args.org, args.id)
    if found is None:
        raise NotFound(f"there is no calendar {args.id!r} in {args.org!r}")
    say(args, found, [found["source"].rstrip("\n")])
    return OK


NAMES = ("org", "id", "title", "version", "changed_ms", "changed_by")


def roster_list(args: argparse.Namespace, settings: Settings) -> int:
    now = now_ms()
    with opened(settings) as database, database.read() as conn:
        rows = [
            {name: row[name] for name in NAMES}
            | {"on_duty": ", ".join(rosters.on_duty(roster_of(conn, row["org"], row["id"], now), now)) or "nobody"}
            for row in roster_store.listing(conn, args.org)
        ]
    say(args, rows, columns(rows, (*NAMES[:4], "on_duty"), "no roster yet: `tocsin roster import`"))
    return OK


def calendar_list(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        found = calendar_store.listing(conn, args.org)
    rows = []
    for row in found:
        until = calendars.known_until(calendars.load(row["body"]))
        rows.append({name: row[name] for name in NAMES} | {"known_until": None if until is None else str(until)})
    say(args, rows, columns(rows, (*NAMES[:4], "known_until"), "no calendar yet: `tocsin calendar import`"))
    return OK


def roster_show(args: argparse.Namespace, settings: Settings) -> int:
    """Exit status 1 when there is a gap in the days that were asked for."""
    with opened(settings) as database, database.read() as conn:
        roster = roster_of(conn, args.org, args.id)
        overrides = roster_store.override_rows(conn, args.org, args.id, now_ms())
    at_ms = instant(args.at, roster.zone, now_ms())
    shifts = rosters.shifts(roster, at_ms, at_ms + max(1, min(args.days, ROSTER_DAYS_MAX)) * DAY_MS)
    rows = [
        {
            "from": spelled(each.from_ms, roster.zone), "to": spelled(each.to_ms, roster.zone),
            "people": ", ".join(each.people) or "NOBODY", "from_ms": each.from_ms, "to_ms": each.to_ms,
        }
        for each in shifts
    ]  # fmt: skip
    document = {"id": roster.id, "zone": roster.zone, "shifts": rows, "overrides": overrides}
    more = [
        f"override {row['id']}: {row['person'] or 'nobody'} for {row['replaces'] or 'whoever is on duty'},"
        f" {spelled(row['starts_ms'], roster.zone)} to {spelled(row['ends_ms'], roster.zone)}"
        f"{' (cancelled)' * (row['cancelled_ms'] is not None)}"
        for row in overrides
    ]
    say(args, document, [*columns(rows, ("from", "to", "people"), ""), *more])
    return OK if all(each.people for each in shifts) else REFUSED


def calendar_show(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        row = calendar_store.get(conn, args.org, args.id)
        zone = people_store.zone(conn, args.org, args.site)
    if row is None:
        raise NotFound(f"there is no calendar {args.id!r} in {args.org!r}")
    calendar, at_ms = calendars.load(row["body"]), instant(args.at, zone, now_ms())
    found = calendars.spans(calendar, at_ms, at_ms + max(1, min(args.days, 366)) * DAY_MS, zone)
    rows = [{"from": spelled(a, zone), "to": spelled(b, zone), "from_ms": a, "to_ms": b} for a, b in found]
    say(args, {"id": calendar.id, "zone": zone, "spans": rows}, columns(rows, ("from", "to"), "it holds at no time"))
    return OK


def roster_remove(args: argparse.Namespace, settings: Settings) -> int:
    with plans(settings) as (found, _):
        found.remove_roster(args.org, args.id)
    say(args, {"removed": args.id}, [f"roster {args.id} removed"])
    return OK


def calendar_remove(args: argparse.Namespace, settings: Settings) -> int:
    with plans(settings) as (found, _):
        found.remove_calendar(args.org, args.id)
    say(args, {"removed": args.id}, [f"calendar {args.id} removed"])
    return OK


def override_add(args: argparse.Namespace, settings: Settings) -> int:
    with plans(settings) as (found, _):
        made = found.add_override(
            args.org, args.id, begins=args.begins, ends=args.ends, replaces=args.replaces, person=args.person,
            note=args.note, by=getpass.getuser(),
        )  # fmt: skip
    say(args, made, [f"override {made['id']}: {args.person or 'nobody'} for {args.replaces or 'whoever is on duty'}"])
    return OK


def override_cancel(args: argparse.Namespace, settings: Settings) -> int:
    with plans(settings) as (found, _):
        found.cancel_override(args.org, args.id, args.number)
    say(args, {"cancelled": args.number}, [f"override {args.number} cancelled"])
    return OK


def register(add: Adder) -> None:
    roster = add.group("roster", "Rosters: who is on duty when.")
    add_import(roster.leaf("import", roster_import, "Check a roster file and save it."))
    add_named(roster.leaf("export", roster_export, "Print a roster's file."))
    roster.leaf("list", roster_list, "List rosters, and who is on duty now.").add_argument("--org")
    show = add_named(roster.leaf("show", roster_show, "Show the shifts of the next days; status 1 if there is a gap."))
    add_named(roster.leaf("remove", roster_remove, "Remove a roster that nothing names."))
    override = roster.group("override", "Overrides: somebody stands in, or nobody does.")
    new = add_named(override.leaf("add", override_add, "Let somebody stand in for a while."))
    new.add_argument("--from", required=True, dest="begins", metavar="TIME", help="local time of the roster")
    new.add_argument("--to", required=True, dest="ends", metavar="TIME")
    new.add_argument("--replaces", default="", metavar="LOGIN", help="without: whoever is on duty")
    new.add_argument("--person", default="", metavar="LOGIN", help="without: nobody stands in, and the gap shows")
    new.add_argument("--note", default="")
    cancel = add_named(override.leaf("cancel", override_cancel, "The roster counts again."))
    cancel.add_argument("number", type=int, metavar="NUMBER")

    calendar = add.group("calendar", "Calendars: named hours in local time.")
    add_import(calendar.leaf("import", calendar_import, "Check a calendar file and save it."))
    add_named(calendar.leaf("export", calendar_export, "Print a calendar's file."))
    calendar.leaf("list", calendar_list, "List calendars.").add_argument("--org")
    when = add_named(calendar.leaf("show", calendar_show, "Show when a calendar holds in the next days."))
    when.add_argument("--site", default="", help="whose local time; without: the organisation's")
    add_named(calendar.leaf("remove", calendar_remove, "Remove a calendar that nothing names."))
    for each in (show, when):
        each.add_argument("--at", default="", metavar="TIME", help='local time such as "2026-12-24"; without: now')
        each.add_argument("--days", type=int, default=14)
