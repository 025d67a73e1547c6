"""`tocsin watch`: the broker's live traffic."""

import argparse
import sys

from tocsin_backend.commands import OK, Adder, opened, registrar
from tocsin_backend.errors import Invalid
from tocsin_backend.settings import Settings
from tocsin_backend.store import enrolment as enrolment_store


def watch(args: argparse.Namespace, settings: Settings) -> int:
    from tocsin_backend.watch import Observer
    from tocsin_backend.watch import watch as run

    with registrar(settings) as desk, opened(settings) as database:
        with database.read() as conn:
            known = [row["id"] for row in enrolment_store.organisations(conn)]
        org = str(args.org or (known[0] if len(known) == 1 else ""))
        if org not in known:
            raise Invalid(f"--org is one of: {', '.join(known) or 'none yet (`tocsin org add`)'}")
        broker = desk.observer(org)
        observer = Observer(
            host=args.host or broker["host"], port=args.port or broker["port"], tls=bool(broker["tls"]), org=org,
            user=broker["user"], password=broker["password"],
        )  # fmt: skip

        def key_of(its_org: str, device: str, kid: str) -> bytes | None:
            with database.read() as conn:
                return enrolment_store.live_key(conn, its_org, device, kid)

        run(
            observer, key_of, sys.stdout, as_json=args.json, only=args.device or "", seconds=args.seconds,
            count=args.count,
        )  # fmt: skip
    return OK


def register(add: Adder) -> None:
    look = add.leaf("watch", watch, "Show the broker's live traffic, decoded; bad frames with their reason.")
    look.add_argument("--org", help="needed when there are several")
    look.add_argument("--device", help="only this device")
    look.add_argument("--host", help="the broker's host, when it differs from the devices'")
    look.add_argument("--port", type=int, help="the broker's port, when it differs from the devices'")
    look.add_argument("--seconds", type=float, help="stop after so many seconds")
    look.add_argument("--count", type=int, help="stop after so many messages")
