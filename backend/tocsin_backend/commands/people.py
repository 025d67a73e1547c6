"""`tocsin user`: people, their logins, their roles, how they are reached."""

import argparse
import getpass
import sys

from tocsin_backend import accounts
from tocsin_backend.commands import OK, Adder, columns, opened, registrar, say
from tocsin_backend.domain import rights
from tocsin_backend.enrolment import LANGUAGES, Contact
from tocsin_backend.errors import Invalid
from tocsin_backend.settings import Settings
from tocsin_backend.store import accounts as accounts_store


def _password(args: argparse.Namespace) -> tuple[str, bool]:
    """(password, whether it was made here and must be shown): from stdin, a terminal, or generated."""
    if args.password_stdin:
        return sys.stdin.readline().rstrip("\n"), False
    if args.generate or not sys.stdin.isatty():
        return accounts.generate_password(), True
    password = getpass.getpass(f"Password of {args.login}: ")
    if getpass.getpass("Again: ") != password:
        raise Invalid("the two passwords differ")
    return password, False


def user_add(args: argparse.Namespace, settings: Settings) -> int:
    contacts = [Contact("webhook", address, args.external) for address in args.webhook]
    contacts += [Contact("email", address, args.external) for address in args.email]
    with registrar(settings) as desk:
        password, generated = _password(args)
        signers = desk.add_person(args.org, args.login, args.name, args.role, password, args.language, contacts)
    document = {"org": args.org, "login": args.login, "role": args.role, "webhooks": signers}
    lines = [f"user {args.login} added to {args.org} as {args.role}"]
    if generated:
        document["password"] = password
        lines.append(f"password {password} (shown this once)")
    lines += [f"webhook {signer['address']} is signed with {signer['secret']} (shown this once)" for signer in signers]
    say(args, document, lines)
    return OK


def user_list(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        rows = accounts_store.people(conn, args.org)
    say(args, rows, columns(rows, ("org", "login", "name", "role", "active"), "no user yet: `tocsin user add`"))
    return OK


def user_password(args: argparse.Namespace, settings: Settings) -> int:
    with registrar(settings) as desk:
        password, generated = _password(args)
        desk.set_password(args.login, password)
    document = {"login": args.login} | ({"password": password} if generated else {})
    lines = [f"password of {args.login} changed, open sessions ended"]
    say(args, document, lines + ([f"password {password} (shown this once)"] if generated else []))
    return OK


def user_disable(args: argparse.Namespace, settings: Settings) -> int:
    with registrar(settings) as desk:
        desk.set_active(args.login, False)
    say(args, {"login": args.login, "active": False}, [f"{args.login} cannot log in any more, open sessions ended"])
    return OK


def user_enable(args: argparse.Namespace, settings: Settings) -> int:
    with registrar(settings) as desk:
        desk.set_active(args.login, True)
    say(args, {"login": args.login, "active": True}, [f"{args.login} may log in"])
    return OK


def register(add: Adder) -> None:
    user = add.group("user", "People: logins, roles, how they are reached.")
    new = user.leaf("add", user_add, "Let a person in.")
    new.add_argument("--org", required=True)
    new.add_argument("--login", required=True, help="a-z, 0-9, -")
    new.add_argument("--name", required=True)
    new.add_argument("--role", required=True, choices=rights.ROLES)
    new.add_argument("--language", default="fr", choices=LANGUAGES)
    new.add_argument("--email", action="append", default=[], metavar="ADDRESS", help="may be repeated")
    new.add_argument("--webhook", action="append", default=[], metavar="URL", help="may be repeated")
    new.add_argument("--external", action="store_true", help="another organisation's: never told of a drill")
    password = user.leaf("password", user_password, "Change a password and end the person's sessions.")
    password.add_argument("--login", required=True)
    for takes_password in (new, password):
        how = takes_password.add_mutually_exclusive_group()
        how.add_argument("--password-stdin", action="store_true", help="read it from the first line of stdin")
        how.add_argument("--generate", action="store_true", help="make one and print it (so without a terminal)")
    user.leaf("disable", user_disable, "Shut a person out at once.").add_argument("--login", required=True)
    user.leaf("enable", user_enable, "Let a person in again.").add_argument("--login", required=True)
    user.leaf("list", user_list, "List people.").add_argument("--org")
