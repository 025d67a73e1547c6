"""`tocsin alerts`, `tocsin alert`, `tocsin verify`: what is open, what a person does about it, whether it is whole."""

import argparse
import dataclasses
import datetime
import json

from tocsin_backend.clock import SystemClock
from tocsin_backend.commands import OK, REFUSED, Adder, columns, opened, say
from tocsin_backend.domain.alerts import PROGRESS, REASONS
from tocsin_backend.engine import Engine
from tocsin_backend.errors import NotFound
from tocsin_backend.outbox import Outbox
from tocsin_backend.settings import Settings
from tocsin_backend.store import accounts, board, dispatches, listings
from tocsin_backend.store import enrolment as enrolment_store
from tocsin_backend.store import timeline as timeline_store
from tocsin_backend.store.engines import BEAT_MS


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
        modes = (args.mode,) if args.mode else ("real", "drill")
        statuses = ("raised", "answered", "closed") if args.all else ("raised", "answered")
        found = [
            row
            for org in orgs
            for row in board.alerts_by_id(
                conn, listings.alert_ids(conn, org, statuses, None, None, args.limit, modes, args.category)
            )
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


def show(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        row = _found(board.alerts_by_id(conn, [args.alert]))
        entries = board.timeline(conn, row.id)
        answers = board.answers(conn, row.id)
    document = dataclasses.asdict(row) | {
        "answers": [dataclasses.asdict(each) for each in answers],
        "timeline": [dataclasses.asdict(each) for each in entries],
    }
    asked = f"; {row.close_asked_by} asked to close it: a second person is needed" if row.close_asked_by else ""
    state = f"{row.status}, epoch {row.epoch}, pass {row.pass_}, step {row.step + 1}{asked}"
    where = ", ".join(each for each in (row.site_name or row.org_name, row.device_name or row.device) if each)
    lines = [f"{row.category} {row.mode}: {where}", state]
    lines += [f"{each.person} by {each.channel} {each.progress}".rstrip() for each in answers]
    say(args, document, [*lines, *(f"{_clock(each.at_ms)} {each.what} {_from_one(each.data)}" for each in entries)])
    return OK


def _from_one(data: str) -> str:
    """An entry's data for people, who count steps from 1."""
    found = json.loads(data)
    return json.dumps(found | {"step": found["step"] + 1}, ensure_ascii=False) if "step" in found else data


def act(args: argparse.Namespace, settings: Settings) -> int:
    """As the person would by the API: the same job on the database, the same rights."""
    with opened(settings) as database:
        engine = Engine(database, SystemClock(), Outbox("command-line", frozenset(), settings.public_url), {})
        began_ms = SystemClock().now_ms()
        touched: set[str] = set()
        database.after_commit(lambda heard: touched.update(heard.alerts))
        with database.read() as conn:
            row = _found(board.alerts_by_id(conn, [args.alert]))
            number = accounts.person_id(conn, args.login)
            person = None if number is None else accounts.person(conn, number)
        if number is None or person is None:
            raise NotFound(f"there is no login {args.login[:40]!r}")
        outcome = _act(engine, args, person.org, number, row)
        if not database.shared:  # nothing tells the server's process: what follows is due when its beat has seen it
            by_ms = SystemClock().now_ms() + BEAT_MS + 1_000
            database.write(lambda conn: dispatches.put_off(conn, touched, began_ms, by_ms)).result()
    say(args, {"alert": row.id, "outcome": outcome}, [outcome])
    return OK if outcome in DONE else REFUSED


DONE = ("won", "closed", "second-needed", "recorded", "reopened", "escalated", "all-clear", "made-real")


def _act(engine: Engine, args: argparse.Namespace, org: str, person: int, row: board.AlertRow) -> str:
    epoch = row.epoch if args.epoch is None else args.epoch
    if args.action == "answer":
        return engine.answer(org, row.id, person, "command-line", epoch=epoch)
    if args.action == "progress":
        return engine.progress(org, row.id, person, args.progress, epoch)
    if args.action == "close":
        return engine.close(org, row.id, person, args.reason, args.text, epoch)
    if args.action == "escalate":
        return engine.escalate(org, row.id, person, epoch, row.pass_, row.step)
    if args.action == "all-clear":
        return engine.all_clear(org, row.id, person, args.group)
    engine.drills.make_real(org, row.id, person)
    return "made-real"


def _found(rows: list[board.AlertRow]) -> board.AlertRow:
    if not rows:
        raise NotFound("there is no such alert")
    return rows[0]


def _clock(at_ms: int) -> str:
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


ACTS = {
    "answer": "Take an alert.",
    "progress": "Say how it goes.",
    "close": "Close an alert; a silent alert and a threat are closed by two people.",
    "escalate": "Ask for the next step now.",
    "all-clear": "Switch off the alarm outputs that the alert switched on.",
    "make-real": "This drill's alert is no drill: raise a real one.",
}


def register(add: Adder) -> None:
    add.leaf("verify", verify, "Check every alert's timeline; name the first bad entry of each.")
    shown = add.leaf("alerts", list_alerts, "List open alerts, the newest first.")
    shown.add_argument("--org")
    shown.add_argument("--category", choices=("call", "personal", "threat", "technical"))
    shown.add_argument("--mode", choices=("real", "drill", "probe"), help="probes are listed only when asked for")
    shown.add_argument("--all", action="store_true", help="closed ones too")
    shown.add_argument("--limit", type=int, default=50, help="at most so many an organisation (50)")
    group = add.group("alert", "One alert: look at it, or act on it as a person of the organisation.")
    group.leaf("show", show, "Show an alert with its answers and timeline.").add_argument("alert")
    for name, words in ACTS.items():
        # The running server looks at the database every 5 s at the latest, and sends what follows from it.
        leaf = group.leaf(name, act, f"{words} Stored at once; a running server sends what follows within 6 s.")
        leaf.add_argument("alert")
        leaf.add_argument("--as", dest="login", required=True, metavar="LOGIN", help="who does it: her rights count")
        leaf.add_argument("--epoch", type=int, help="the epoch she saw (the current one)")
        if name == "progress":
            leaf.add_argument("--progress", required=True, choices=PROGRESS)
        if name == "close":
            leaf.add_argument("--reason", required=True, choices=REASONS)
            leaf.add_argument("--text", default="", help="what was found and done")
        if name == "all-clear":
            leaf.add_argument("--group", default="", help="one alarm group (all that the alert switched on)")
