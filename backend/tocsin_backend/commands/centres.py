"""`tocsin centre`."""

import argparse
from pathlib import Path

from tocsin_backend.commands import OK, REFUSED, Adder, columns, machines, say
from tocsin_backend.commands.documents import refused
from tocsin_backend.domain import dc09
from tocsin_backend.errors import Invalid
from tocsin_backend.machines import CentreDetails
from tocsin_backend.plans import DocumentFaults
from tocsin_backend.settings import Settings


def _path(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        raise Invalid(f"--path {text[:60]!r} is refused: HOST:PORT, such as arc.example.org:9999")
    return host.strip("[]"), int(port)


def _key(args: argparse.Namespace) -> str | None:
    if args.plain:
        return ""
    if args.key_file is None:
        return None
    try:
        return str(args.key_file.read_text(encoding="ascii")).strip()
    except (OSError, UnicodeError) as error:
        raise Invalid(f"the key file cannot be read: {getattr(error, 'strerror', None) or 'not ASCII'}") from None


def centre_add(args: argparse.Namespace, settings: Settings) -> int:
    details = CentreDetails(
        args.id, args.title or args.id, args.account.upper(), [_path(each) for each in args.path], _key(args),
        args.protocol, args.supervision_s,
    )  # fmt: skip
    try:
        with machines(settings) as desk:
            made = desk.save_centre(args.org, details)
    except DocumentFaults as error:
        return refused(argparse.Namespace(json=args.json, file=f"monitoring centre {args.id}"), error)
    lines = [f'monitoring centre {args.id}: policies name it {{ channel = "dc09/{args.id}" }}']
    if made is not None:
        lines += [f"key       {made}", "Give it to the centre now: it is not shown again."]
    say(args, {"org": args.org, "centre": args.id, "key": made}, lines)
    return OK


def centre_list(args: argparse.Namespace, settings: Settings) -> int:
    with machines(settings) as desk:
        rows = desk.centres(args.org)
    shown = [row | {"paths": " ".join(row["paths"])} for row in rows]
    names = ("org", "id", "title", "account", "paths", "protocol", "encrypted", "supervision_s", "supervised_ms")
    say(args, rows, columns(shown, names, "no monitoring centre yet: `tocsin centre add`"))
    return OK


def centre_zones(args: argparse.Namespace, settings: Settings) -> int:
    with machines(settings) as desk:
        rows = desk.zones(args.org)
    say(args, rows, columns(rows, ("group", "zone", "site", "device", "name"), "no post yet: `tocsin device add`"))
    return OK


def centre_test(args: argparse.Namespace, settings: Settings) -> int:
    with machines(settings) as desk:
        rows = desk.test_centre(args.org, args.id, event=args.event)
    say(args, rows, [f"{row['path']}  {'acknowledged' if row['ok'] else row['error']}" for row in rows])
    return OK if all(row["ok"] for row in rows) else REFUSED


def centre_remove(args: argparse.Namespace, settings: Settings) -> int:
    with machines(settings) as desk:
        desk.remove_centre(args.org, args.id)
    say(args, {"org": args.org, "centre": args.id}, [f"monitoring centre {args.id} removed"])
    return OK


def register(add: Adder) -> None:
    centre = add.group("centre", "Monitoring centres: what receives SIA DC-09.")
    action = centre.leaf(
        "add", centre_add, "Make a monitoring centre, or change it; a key that is made is printed once."
    )
    action.add_argument("--org", required=True)
    action.add_argument("--id", required=True)
    action.add_argument("--title")
    action.add_argument("--account", required=True, help="3 to 16 hexadecimal digits, as the centre gave it")
    action.add_argument(
        "--path", action="append", required=True, metavar="HOST:PORT", help="the main one, then a backup"
    )
    action.add_argument("--protocol", default=dc09.CONTACT_ID, choices=dc09.PROTOCOLS)
    action.add_argument("--supervision-s", type=int, default=0, help="test an idle line this often; 0: never")
    secret = action.add_mutually_exclusive_group()
    secret.add_argument("--key-file", type=Path, help="file of the AES key in hexadecimal; without it one is made")
    secret.add_argument("--plain", action="store_true", help="frames in clear, for a centre that knows no encryption")
    centre.leaf("list", centre_list, "List monitoring centres, without their keys.").add_argument("--org")
    for name, run, words in (
        ("zones", centre_zones, "The numbers of the posts: what a centre enters into its receiver."),
        ("test", centre_test, "Test the line by every path."),
        ("remove", centre_remove, "Forget a monitoring centre."),
    ):
        action = centre.leaf(name, run, words)
        action.add_argument("--org", required=True)
        if name != "zones":
            action.add_argument("--id", required=True)
        if name == "test":
            action.add_argument("--event", action="store_true", help="send a manual test that the centre's people see")
