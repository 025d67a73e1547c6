"""`tocsin gateway`."""

import argparse

from tocsin_backend.commands import OK, Adder, columns, opened, registrar, say
from tocsin_backend.settings import Settings
from tocsin_backend.store import enrolment as enrolment_store


def gateway_add(args: argparse.Namespace, settings: Settings) -> int:
    with registrar(settings) as desk:
        credentials = desk.add_gateway(args.org, args.id)
    broker = credentials["broker"]
    lines = [
        f"gateway   {args.id} of {args.org}",
        f"backend   {credentials['backend_url']}",
        f"token     {credentials['token']}",
        f"broker    {broker['host']}:{broker['port']}{' over TLS' if broker['tls'] else ''}",
        f"user      {broker['user']}",
        f"password  {broker['password']}",
        "Give these to the gateway now: they are not shown again (the same command makes new ones).",
    ]
    say(args, credentials, lines)
    return OK


def gateway_revoke(args: argparse.Namespace, settings: Settings) -> int:
    with registrar(settings) as desk:
        desk.revoke_gateway(args.org, args.id)
    say(args, {"org": args.org, "gateway": args.id}, [f"gateway {args.id} revoked"])
    return OK


def gateway_list(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        found = enrolment_store.gateways(conn, args.org)
    rows = [{name: row[name] for name in ("org", "id", "last_seen_ms", "revoked_ms")} for row in found]
    say(args, rows, columns(rows, ("org", "id", "last_seen_ms", "revoked_ms"), "no gateway yet: `tocsin gateway add`"))
    return OK


def register(add: Adder) -> None:
    gateway = add.group("gateway", "Gateways: what forwards frames.")
    for name, run, words in (
        ("add", gateway_add, "Enrol a gateway, or give it new credentials; print them this once."),
        ("revoke", gateway_revoke, "Shut a gateway out."),
    ):
        action = gateway.leaf(name, run, words)
        action.add_argument("--org", required=True)
        action.add_argument("--id", required=True)
    gateway.leaf("list", gateway_list, "List gateways.").add_argument("--org")
