"""`tocsin alarm-group`."""

import argparse

from tocsin_backend.commands import OK, Adder, columns, counted, machines, say
from tocsin_backend.commands.documents import refused
from tocsin_backend.errors import Invalid
from tocsin_backend.plans import DocumentFaults
from tocsin_backend.settings import Settings


def group_add(args: argparse.Namespace, settings: Settings) -> int:
    outputs = []
    for text in args.output:
        device, slash, output = text.partition("/")
        if not slash:
            raise Invalid(f"--output {text[:40]!r} is refused: DEVICE/OUTPUT, such as sirene-1/cour")
        outputs.append((device, output))
    try:
        with machines(settings) as desk:
            desk.save_group(args.org, args.id, args.site, args.title or args.id, outputs)
    except DocumentFaults as error:
        return refused(argparse.Namespace(json=args.json, file=f"alarm group {args.id}"), error)
    found = {"org": args.org, "group": args.id, "outputs": [list(each) for each in outputs]}
    say(args, found, [f"alarm group {args.id}: {counted(len(outputs), 'output')}"])
    return OK


def group_list(args: argparse.Namespace, settings: Settings) -> int:
    with machines(settings) as desk:
        rows = desk.groups(args.org)
    shown = [row | {"outputs": " ".join(map("/".join, row["outputs"]))} for row in rows]
    lines = columns(shown, ("org", "id", "site", "title", "outputs"), "no alarm group yet: `tocsin alarm-group add`")
    say(args, rows, lines)
    return OK


def group_remove(args: argparse.Namespace, settings: Settings) -> int:
    with machines(settings) as desk:
        desk.remove_group(args.org, args.id)
    say(args, {"org": args.org, "group": args.id}, [f"alarm group {args.id} removed"])
    return OK


def register(add: Adder) -> None:
    group = add.group("alarm-group", "Alarm groups: outputs that move together.")
    action = group.leaf("add", group_add, "Make an alarm group, or change it.")
    action.add_argument("--org", required=True)
    action.add_argument("--id", required=True)
    action.add_argument("--site", required=True)
    action.add_argument("--title")
    action.add_argument("--output", action="append", required=True, metavar="DEVICE/OUTPUT")
    group.leaf("list", group_list, "List alarm groups.").add_argument("--org")
    action = group.leaf("remove", group_remove, "Forget an alarm group.")
    action.add_argument("--org", required=True)
    action.add_argument("--id", required=True)
