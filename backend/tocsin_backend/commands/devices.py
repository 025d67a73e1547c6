"""`tocsin device`."""

import argparse
from typing import Any

from tocsin_backend.commands import OK, Adder, columns, registrar, say
from tocsin_backend.enrolment import KINDS
from tocsin_backend.settings import Settings


def _device_lines(credentials: dict[str, Any]) -> list[str]:
    broker = credentials["broker"]
    return [
        f"device    {credentials['device']} at {credentials['site']} ({credentials['org']})",
        f"key       {credentials['kid']} {credentials['key']}",
        f"broker    {broker['host']}:{broker['port']}{' over TLS' if broker['tls'] else ''}",
        f"user      {broker['user']}",
        f"password  {broker['password']}",
        "Write these onto the device now: they are not shown again (`tocsin device rekey` makes new ones).",
    ]


def device_add(args: argparse.Namespace, settings: Settings) -> int:
    with registrar(settings) as desk:
        credentials = desk.add_device(args.org, args.site, args.kind, args.id, args.name, args.policy)
    say(args, credentials, _device_lines(credentials))
    return OK


def device_rekey(args: argparse.Namespace, settings: Settings) -> int:
    with registrar(settings) as desk:
        credentials = desk.rekey_device(args.org, args.id)
    say(args, credentials, _device_lines(credentials))
    return OK


def device_retire(args: argparse.Namespace, settings: Settings) -> int:
    with registrar(settings) as desk:
        desk.retire_device(args.org, args.id)
    say(args, {"org": args.org, "device": args.id}, [f"device {args.id} retired: its keys and broker user are revoked"])
    return OK


def device_list(args: argparse.Namespace, settings: Settings) -> int:
    with registrar(settings) as desk:
        rows = desk.devices(args.org)
    names = ("org", "id", "site", "kind", "name", "presence")
    shown = [row | {"presence": "retired"} if row["retired_ms"] else row for row in rows]
    say(args, rows, columns(shown, names, "no device yet: `tocsin device add`"))
    return OK


def register(add: Adder) -> None:
    device = add.group("device", "Devices: posts and their keys.")
    new = device.leaf("add", device_add, "Enrol a device and print its credentials, this once.")
    new.add_argument("--org", required=True)
    new.add_argument("--site", required=True)
    new.add_argument("--kind", required=True, choices=tuple(KINDS))
    new.add_argument("--id", help="a-z, 0-9, -; given by Tocsin when left out")
    new.add_argument("--name", default="", help='where on the site: "Grille nord"')
    new.add_argument("--policy", help="a policy of its own; otherwise the site's")
    for name, run, words in (
        ("rekey", device_rekey, "Give a device new credentials and revoke the old, print them this once."),
        ("retire", device_retire, "Take a device out of service: its keys and broker user are revoked."),
    ):
        action = device.leaf(name, run, words)
        action.add_argument("--org", required=True)
        action.add_argument("--id", required=True)
    device.leaf("list", device_list, "List devices, retired ones too.").add_argument("--org")
