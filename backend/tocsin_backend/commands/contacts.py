"""`tocsin contact`: the ways people are reached, and the proof of each; `tocsin org sms-route`."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from tocsin_backend.channels import Channel
from tocsin_backend.clock import SystemClock
from tocsin_backend.commands import OK, Adder, columns, opened, say
from tocsin_backend.contacts import Asker, Contacts
from tocsin_backend.domain import contacts as rules
from tocsin_backend.errors import Invalid, NotFound
from tocsin_backend.settings import Settings, read_secret, read_sms_url, read_smtp_password
from tocsin_backend.store import contacts as store
from tocsin_backend.store import enrolment
from tocsin_backend.store.database import notes

COLUMNS = ("id", "channel", "address", "offset_s", "external", "verified_ms", "proven_ms", "disabled")


@contextmanager
def _book(settings: Settings) -> Iterator[Contacts]:
    """The contact methods, and channels of this process's own: a gateway's modem is the server's to use."""
    # Apprise takes 0.4 s to load: no other command waits for it.
    from tocsin_backend.channels.email import Email
    from tocsin_backend.channels.push import Push
    from tocsin_backend.channels.sms import Sms
    from tocsin_backend.channels.webhook import Webhook

    secret = read_secret(settings.secret_path)
    clock = SystemClock()
    channels: list[Channel] = [
        Webhook(clock, settings.webhook_private_networks),
        Sms(read_sms_url(settings), None, settings.webhook_private_networks),
        Push(settings.webhook_private_networks),
        Email(
            clock, host=settings.smtp_host, port=settings.smtp_port, security=settings.smtp_security,
            user=settings.smtp_user, password=read_smtp_password(settings), sender=settings.smtp_from,
        ),
    ]  # fmt: skip
    with opened(settings) as database:
        yield Contacts(database, secret, {each.name: each for each in channels}, clock.now_ms)
    for each in channels:
        each.close()


def _flag(text: str | None) -> bool | None:
    return None if text is None else text == "yes"


def contact_list(args: argparse.Namespace, settings: Settings) -> int:
    with _book(settings) as book:
        rows = book.of(Asker(args.org, None), args.login)
    say(args, rows, columns(rows, COLUMNS, "no contact method yet: `tocsin contact add`"))
    return OK


def contact_add(args: argparse.Namespace, settings: Settings) -> int:
    with _book(settings) as book:
        made = book.add(
            Asker(args.org, None), args.login, args.channel, args.address, offset_s=args.offset_s,
            external=args.external, position=args.position,
        )  # fmt: skip
    lines = [f"contact {made['id']} of {args.login}: {made['channel']} {made['address']}"]
    if "secret" in made:
        lines.append(f"its bodies are signed with {made['secret']} (shown this once)")
    say(args, made, lines)
    return OK


def contact_change(args: argparse.Namespace, settings: Settings) -> int:
    with _book(settings) as book:
        made = book.change(
            Asker(args.org, None), args.id, address=args.address, offset_s=args.offset_s,
            external=_flag(args.external), position=args.position,
        )  # fmt: skip
    say(args, made, [f"contact {made['id']} of {made['login']}: {made['channel']} {made['address']}"])
    return OK


def contact_disable(args: argparse.Namespace, settings: Settings) -> int:
    with _book(settings) as book:
        made = book.change(Asker(args.org, None), args.id, disabled=True)
    say(args, made, [f"contact {made['id']} is not used any more"])
    return OK


def contact_enable(args: argparse.Namespace, settings: Settings) -> int:
    with _book(settings) as book:
        made = book.change(Asker(args.org, None), args.id, disabled=False)
    say(args, made, [f"contact {made['id']} is used again"])
    return OK


def _refuse_by_modem(args: argparse.Namespace, settings: Settings) -> None:
    """A gateway's modem is spoken to by the server that its gateway is connected to, and by nobody else."""
    with opened(settings) as database, database.read() as conn:
        row = store.get(conn, args.id)
        route = store.sms_routes(conn).get(args.org, "")
    if row is not None and (row.org, row.channel) == (args.org, rules.SMS) and route.startswith("gateway:"):
        raise Invalid(
            f"short messages of {args.org} leave by the modem of {route.partition(':')[2]}, which only the running "
            f"server can use: ask it for the code, POST /api/v1/contacts/{args.id}/verify"
        )


def contact_verify(args: argparse.Namespace, settings: Settings) -> int:
    _refuse_by_modem(args, settings)
    with _book(settings) as book:
        book.verify(Asker(args.org, None), args.id)
    say(
        args, {"id": args.id, "sent": True}, ["a code was sent: give it to `tocsin contact confirm` within ten minutes"]
    )
    return OK


def contact_confirm(args: argparse.Namespace, settings: Settings) -> int:
    with _book(settings) as book:
        made = book.confirm(Asker(args.org, None), args.id, args.code)
    say(args, made, [f"contact {made['id']} of {made['login']} is verified"])
    return OK


def org_sms_route(args: argparse.Namespace, settings: Settings) -> int:
    way, _, gateway = args.route.partition(":")

    def job(conn: Connection) -> None:
        if enrolment.organisation(conn, args.org) is None:
            raise NotFound(f"there is no organisation {args.org!r}")
        if way == "gateway":
            known = [row["id"] for row in enrolment.gateways(conn, args.org)]
            if gateway not in known:
                raise NotFound(f"there is no gateway {gateway!r} (known: {', '.join(known) or 'none yet'})")
        elif args.route != "provider":
            raise Invalid(f"route {args.route!r} is refused: provider, or gateway:ID")
        store.set_sms_route(conn, args.org, args.route)
        notes(conn).catalogue = True

    with opened(settings) as database:
        database.write(job).result()
    words = f"by the modem of {gateway}" if way == "gateway" else "through the SMS provider"
    say(args, {"org": args.org, "sms_route": args.route}, [f"short messages of {args.org} leave {words}"])
    return OK


def register(add: Adder) -> None:
    contact = add.group("contact", "How people are reached: e-mail, SMS, push, webhooks.")
    listed = contact.leaf("list", contact_list, "List a person's contact methods.")
    new = contact.leaf("add", contact_add, "Add a way to reach a person.")
    for child in (listed, new):
        child.add_argument("--org", required=True)
        child.add_argument("--login", required=True)
    new.add_argument("--channel", required=True, choices=rules.CHANNELS)
    new.add_argument("--address", required=True, help="anne@x.fr, +33612345678, https://…, or an Apprise URL for push")
    new.add_argument("--offset-s", type=int, default=0, help="seconds after the person's step, 0 to 3600")
    new.add_argument("--position", type=int, help="lower ones first; without it, the last")
    new.add_argument("--external", action="store_true", help="another organisation's: never told of a drill")
    changed = contact.leaf("change", contact_change, "Change a contact method; a new address is unproven.")
    changed.add_argument("--address")
    changed.add_argument("--offset-s", type=int)
    changed.add_argument("--position", type=int)
    changed.add_argument("--external", choices=("yes", "no"))
    off = contact.leaf("disable", contact_disable, "Use a contact method no more.")
    on = contact.leaf("enable", contact_enable, "Use a contact method again.")
    sent = contact.leaf("verify", contact_verify, "Send a code through a contact method.")
    given = contact.leaf("confirm", contact_confirm, "Give the code back that was sent.")
    given.add_argument("--code", required=True)
    for child in (changed, off, on, sent, given):
        child.add_argument("--org", required=True)
        child.add_argument("--id", type=int, required=True, help="the contact method's, from `tocsin contact list`")
    route = add.group("org", "Organisations.").leaf("sms-route", org_sms_route, "How its short messages leave.")
    route.add_argument("--org", required=True)
    route.add_argument("--route", required=True, help="provider, or gateway:ID for that gateway's modem")
