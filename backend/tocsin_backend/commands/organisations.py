"""`tocsin org`."""

import argparse

from tocsin_backend.commands import OK, Adder, columns, opened, registrar, say
from tocsin_backend.enrolment import LANGUAGES
from tocsin_backend.settings import Settings
from tocsin_backend.store import enrolment as enrolment_store


def org_add(args: argparse.Namespace, settings: Settings) -> int:
    with registrar(settings) as desk:
        desk.add_organisation(args.id, args.name, args.language)
    say(args, {"org": args.id}, [f"organisation {args.id} added"])
    return OK


def org_list(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        rows = enrolment_store.organisations(conn)
    names = ("id", "name", "language", "timezone", "parent", "sms_route")
    say(args, rows, columns(rows, names, "no organisation yet: `tocsin org add`"))
    return OK


def register(add: Adder) -> None:
    org = add.group("org", "Organisations: whoever runs posts and answers for them.")
    new = org.leaf("add", org_add, "Add an organisation.")
    new.add_argument("--id", required=True, help="its name in topics: a-z, 0-9, -")
    new.add_argument("--name", required=True, help="its name for people")
    new.add_argument("--language", default="fr", choices=LANGUAGES)
    org.leaf("list", org_list, "List organisations.")
