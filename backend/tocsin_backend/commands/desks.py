"""`tocsin desk`, and `tocsin org set-parent`, `tocsin org set-timezone`."""

import argparse

from tocsin_backend.commands import OK, Adder, columns, opened, say
from tocsin_backend.commands.documents import add_named, plans
from tocsin_backend.settings import Settings
from tocsin_backend.store import desks as store


def desk_save(args: argparse.Namespace, settings: Settings) -> int:
    with plans(settings) as (found, _):
        found.save_desk(args.org, args.id, title=args.title, role=args.role, roster=args.roster)
    say(args, {"desk": f"{args.org}/{args.id}"}, [f"desk {args.org}/{args.id} saved"])
    return OK


def desk_list(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        found = store.listing(conn, args.org)
    rows = [row | {"invited": ", ".join(each["org"] for each in row["invitations"])} for row in found]
    say(
        args,
        rows,
        columns(rows, ("org", "id", "title", "role", "roster", "invited"), "no desk yet: `tocsin desk save`"),
    )
    return OK


def desk_remove(args: argparse.Namespace, settings: Settings) -> int:
    with plans(settings) as (found, _):
        found.remove_desk(args.org, args.id)
    say(args, {"removed": args.id}, [f"desk {args.id} removed"])
    return OK


def desk_invite(args: argparse.Namespace, settings: Settings) -> int:
    with plans(settings) as (found, _):
        found.invite(args.org, args.id, args.guest, external=not args.internal)
    say(args, {"invited": args.guest}, [f"{args.guest} may tell the desk {args.org}/{args.id}"])
    return OK


def desk_revoke(args: argparse.Namespace, settings: Settings) -> int:
    with plans(settings) as (found, _):
        found.revoke(args.org, args.id, args.guest)
    say(args, {"revoked": args.guest}, [f"{args.guest} tells the desk {args.org}/{args.id} nothing any more"])
    return OK


def set_parent(args: argparse.Namespace, settings: Settings) -> int:
    with plans(settings) as (found, _):
        found.set_parent(args.org, args.parent or None)
    say(args, {"org": args.org, "parent": args.parent or None}, [f"above {args.org}: {args.parent or 'nobody'}"])
    return OK


def set_timezone(args: argparse.Namespace, settings: Settings) -> int:
    with plans(settings) as (found, _):
        found.set_timezone(args.org, args.timezone)
    say(args, {"org": args.org, "timezone": args.timezone}, [f"{args.org} lives in {args.timezone}"])
    return OK


def register(add: Adder) -> None:
    desk = add.group("desk", "Desks: where an organisation takes other organisations' alerts.")
    new = add_named(desk.leaf("save", desk_save, "Make a desk, or change it."))
    new.add_argument("--title", required=True)
    new.add_argument("--role", default="", help="whoever has this role, or")
    new.add_argument("--roster", default="", help="whoever is on this roster")
    desk.leaf("list", desk_list, "List desks and who may tell them.").add_argument("--org")
    add_named(desk.leaf("remove", desk_remove, "Remove a desk to which nobody is invited."))
    invite = add_named(desk.leaf("invite", desk_invite, "Let another organisation tell a desk."))
    invite.add_argument("--internal", action="store_true", help="not rescuers: told of drills as well")
    revoke = add_named(desk.leaf("revoke", desk_revoke, "From now on that organisation tells the desk nothing."))
    for each in (invite, revoke):
        each.add_argument("--guest", required=True, metavar="ORG")

    org = add.group("org", "Organisations: whoever runs posts and answers for them.")
    parent = org.leaf("set-parent", set_parent, "Choose who is told of what is unanswered in an organisation.")
    parent.add_argument("--org", required=True)
    parent.add_argument("--parent", default="", help="without: nobody")
    zone = org.leaf("set-timezone", set_timezone, "Choose an organisation's local time.")
    zone.add_argument("--org", required=True)
    zone.add_argument("--timezone", required=True, help="such as Europe/Paris")
