"""`tocsin`: the backend's commands. They act on the database that the settings name, also while the server runs.

Exit status: 0 done, 1 refused or something bad was found, 2 not a command, 3 the settings or the database stand in the
way, 130 interrupted. An error is one line on stderr. With --json, what a command says on stdout is one JSON document.
"""

import argparse
import dataclasses
import datetime
import getpass
import json
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tocsin_backend import accounts, brokers
from tocsin_backend.clock import SystemClock
from tocsin_backend.domain import rights
from tocsin_backend.enrolment import KINDS, LANGUAGES, Contact, PolicyFaults, Registrar, SiteDetails, write_private
from tocsin_backend.errors import Invalid, Misconfigured, NotFound, TocsinError, Unavailable
from tocsin_backend.settings import Settings, SettingsError, read_secret, read_settings, table
from tocsin_backend.store import accounts as accounts_store
from tocsin_backend.store import board, listings
from tocsin_backend.store import enrolment as enrolment_store
from tocsin_backend.store import policies as policies_store
from tocsin_backend.store import timeline as timeline_store
from tocsin_backend.store.database import Database

OK, REFUSED, STOPPED, INTERRUPTED = 0, 1, 3, 130


# -- what a command works with


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database of the settings, which must have been made. Raises SettingsError."""
    prefix = "sqlite:///"
    if settings.database.startswith(prefix) and not Path(settings.database.removeprefix(prefix)).exists():
        raise SettingsError(f"there is no database at {settings.database}: make one with `tocsin init`")
    database = Database(settings.database)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def registrar(settings: Settings) -> Iterator[Registrar]:
    secret = read_secret(settings.secret_path)
    with opened(settings) as database:
        yield Registrar(settings, secret, database, SystemClock().now_ms)


def say(args: argparse.Namespace, document: Any, lines: Iterable[str]) -> None:
    """Prints the document with --json, the lines without."""
    if args.json:
        print(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        for line in lines:
            print(line)


def columns(rows: Sequence[dict[str, Any]], names: Sequence[str], none: str) -> list[str]:
    """The rows as aligned text under a heading; `none` when there is none."""
    if not rows:
        return [none]
    cells = [list(names)] + [["" if row[name] is None else str(row[name]) for name in names] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


# -- the first hour


def init(args: argparse.Namespace, settings: Settings) -> int:
    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not settings.secret_path.exists():
            write_private(settings.secret_path, secrets.token_hex(32) + "\n")
    except OSError as error:
        raise SettingsError(f"{settings.data} cannot be made: {error.strerror}") from None
    secret = read_secret(settings.secret_path)
    database = Database(settings.database)
    try:
        database.migrate()
        Registrar(settings, secret, database, SystemClock().now_ms).write_broker_files()
    finally:
        database.close()
    document = {
        "data": str(settings.data),
        "database": settings.database,
        "secret_file": str(settings.secret_path),
        "broker_users_file": None if settings.broker_kind == "none" else str(settings.broker_users_path),
    }
    say(args, document, [f"ready: {name.replace('_', ' ')} {value}" for name, value in document.items() if value])
    return OK


def show_settings(args: argparse.Namespace, settings: Settings) -> int:
    rows = [
        {"name": name, "value": os.environ.get(name, default), "default": default, "help": words}
        for name, default, words in table()
    ]
    width = max(len(row["name"]) for row in rows)
    lines = (f"{row['name']:<{width}}  {row['value'] or '(empty)'}\n{'':<{width}}    {row['help']}" for row in rows)
    say(args, rows, lines)
    return OK


def serve(args: argparse.Namespace, settings: Settings) -> int:
    from tocsin_backend.app import serve as run  # the web framework takes half a second to import

    return run(settings, as_json=args.json)


# -- organisations, sites


def org_add(args: argparse.Namespace, settings: Settings) -> int:
    with registrar(settings) as desk:
        desk.add_organisation(args.id, args.name, args.language)
    say(args, {"org": args.id}, [f"organisation {args.id} added"])
    return OK


def org_list(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        rows = enrolment_store.organisations(conn)
    say(args, rows, columns(rows, ("id", "name", "language"), "no organisation yet: `tocsin org add`"))
    return OK


def site_add(args: argparse.Namespace, settings: Settings) -> int:
    details = SiteDetails(
        name=args.name, timezone=args.tz, latitude=args.lat, longitude=args.lon, insee=args.insee, uai=args.uai,
        address=args.address, phone=args.phone, policy=args.policy, reporting_s=args.reporting,
    )  # fmt: skip
    with registrar(settings) as desk:
        desk.add_site(args.org, args.id, details)
    say(args, {"org": args.org, "site": args.id}, [f"site {args.id} added to {args.org}"])
    return OK


def site_list(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        rows = enrolment_store.sites(conn, args.org)
    say(args, rows, columns(rows, ("org", "id", "name", "timezone", "policy"), "no site yet: `tocsin site add`"))
    return OK


def site_set_policy(args: argparse.Namespace, settings: Settings) -> int:
    with registrar(settings) as desk:
        desk.set_site_policy(args.org, args.id, args.policy)
    say(args, {"org": args.org, "site": args.id, "policy": args.policy}, [f"site {args.id} follows {args.policy} now"])
    return OK


# -- devices, gateways


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


# -- people


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


# -- policies


def policy_import(args: argparse.Namespace, settings: Settings) -> int:
    try:
        source = args.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Invalid(f"{args.file} cannot be read: {reason}") from None
    try:
        with registrar(settings) as desk:
            found = desk.import_policy(args.org, source, getpass.getuser(), check_only=args.check)
    except PolicyFaults as error:
        count = len(error.faults)
        if args.json:
            faults = [{"path": path, "reason": reason} for path, reason in error.faults]
            print(json.dumps({"ok": False, "faults": faults}, ensure_ascii=False, indent=2))
        else:
            for path, reason in error.faults:
                print(f"{args.file}: {path}: {reason}", file=sys.stderr)
            print(f"tocsin: {args.file} has {count} fault{'s' * (count > 1)}; nothing was changed", file=sys.stderr)
        return REFUSED
    what = "is good, nothing was changed" if args.check else f"is version {found['version']} now"
    say(args, {"ok": True, **found}, [f"policy {found['id']} ({found['steps']} steps) {what}"])
    return OK


def policy_export(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        found = policies_store.current(conn, args.org, args.id)
    if found is None:
        raise NotFound(f"there is no policy {args.id!r} in {args.org!r}")
    say(args, found | {"body": json.loads(found["body"])}, [found["source"].rstrip("\n")])
    return OK


def policy_list(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        found = policies_store.all_current(conn, args.org)
    names = ("org", "id", "title", "version", "created_ms", "created_by")
    rows = [{name: row[name] for name in names} for row in found]
    say(
        args,
        rows,
        columns(rows, names[:4], "no policy yet: every supervisor is told (`tocsin policy import`)"),
    )
    return OK


# -- looking


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
        statuses = ("raised", "answered", "closed") if args.all else ("raised", "answered")
        found = [
            row
            for org in orgs
            for row in board.alerts_by_id(conn, listings.alert_ids(conn, org, statuses, None, None, args.limit))
        ]
    rows = [
        {
            "id": row.id, "org": row.org, "site": row.site, "device": row.device, "mode": row.mode,
            "category": row.category, "status": row.status, "presses": row.presses, "raised_ms": row.raised_ms,
            "raised": _clock(row.raised_ms), "answered_by": row.owner, "reason": row.reason,
        }
        for row in sorted(found, key=lambda row: (-row.raised_ms, row.id))
    ]  # fmt: skip
    names = ("raised", "org", "device", "category", "mode", "status", "presses", "answered_by", "reason", "id")
    say(args, rows, columns(rows, names, "no alert" if args.all else "no open alert"))
    return OK


def _clock(at_ms: int) -> str:
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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


def broker_config(args: argparse.Namespace, settings: Settings) -> int:
    users, store = settings.broker_users_path.resolve(), settings.data.resolve() / "broker" / "store"
    if settings.broker_kind == "none":
        raise Invalid("TOCSIN_BROKER_KIND is none: there is no broker to configure")
    if settings.broker_kind == "nats":
        # NATS looks for an included file beside the one that includes it.
        beside = Path(users.name)
        text = brokers.nats_config(
            host=settings.broker_host, mqtt_port=settings.broker_port, client_port=args.client_port, store=store,
            users=beside,
        )  # fmt: skip
        text = f"# Save this file in {users.parent}, beside {users.name}; run: nats-server -c FILE\n{text}"
    else:
        acl = settings.broker_acl_path.resolve()
        text = brokers.mosquitto_config(
            host=settings.broker_host, port=settings.broker_port, store=store, passwords=users, acl=acl
        )
    say(args, {"kind": settings.broker_kind, "config": text}, [text.rstrip("\n")])
    return OK


# -- the command line


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; each leaf's `run` is the function that does it."""
    parser = argparse.ArgumentParser(
        prog="tocsin", description="Tocsin's backend: enrolment, policies, the server, and a look at what happens."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def group(name: str, words: str) -> Any:
        child = commands.add_parser(name, help=words, description=words)
        return child.add_subparsers(dest="action", metavar="ACTION", required=True)

    def leaf(parent: Any, name: str, run: Any, words: str) -> argparse.ArgumentParser:
        child: argparse.ArgumentParser = parent.add_parser(name, help=words, description=words)
        child.add_argument("--json", action="store_true", help="print one JSON document")
        child.set_defaults(run=run)
        return child

    leaf(commands, "init", init, "Make the data folder, the secret and the database; safe to repeat.")
    leaf(commands, "settings", show_settings, "Show every setting, its value and what it does.")
    leaf(commands, "serve", serve, "Run the server until it is interrupted.")

    org = group("org", "Organisations: whoever runs posts and answers for them.")
    add = leaf(org, "add", org_add, "Add an organisation.")
    add.add_argument("--id", required=True, help="its name in topics: a-z, 0-9, -")
    add.add_argument("--name", required=True, help="its name for people")
    add.add_argument("--language", default="fr", choices=LANGUAGES)
    leaf(org, "list", org_list, "List organisations.")

    site = group("site", "Sites: lycées, stations, streets.")
    add = leaf(site, "add", site_add, "Add a site.")
    add.add_argument("--org", required=True)
    add.add_argument("--id", required=True, help="a-z, 0-9, -")
    add.add_argument("--name", required=True)
    add.add_argument("--tz", default="Europe/Paris", help="time zone (Europe/Paris)")
    add.add_argument("--lat", type=float, help="latitude in degrees, WGS 84")
    add.add_argument("--lon", type=float, help="longitude in degrees, WGS 84")
    add.add_argument("--insee", default="", help="INSEE code of the commune")
    add.add_argument("--uai", default="", help="UAI number of the school")
    add.add_argument("--address", default="")
    add.add_argument("--phone", default="17", help="what to dial if the screens go dark (17)")
    add.add_argument("--policy", help="the policy of its devices")
    add.add_argument("--reporting", type=int, default=90, metavar="S", help="seconds to show a silent post: 90 or 20")
    set_policy = leaf(site, "set-policy", site_set_policy, "Have a site's devices follow a policy.")
    set_policy.add_argument("--org", required=True)
    set_policy.add_argument("--id", required=True)
    set_policy.add_argument("--policy", required=True)
    leaf(site, "list", site_list, "List sites.").add_argument("--org")

    device = group("device", "Devices: posts and their keys.")
    add = leaf(device, "add", device_add, "Enrol a device and print its credentials, this once.")
    add.add_argument("--org", required=True)
    add.add_argument("--site", required=True)
    add.add_argument("--kind", required=True, choices=tuple(KINDS))
    add.add_argument("--id", help="a-z, 0-9, -; given by Tocsin when left out")
    add.add_argument("--name", default="", help='where on the site: "Grille nord"')
    add.add_argument("--policy", help="a policy of its own; otherwise the site's")
    for name, run, words in (
        ("rekey", device_rekey, "Give a device new credentials and revoke the old, print them this once."),
        ("retire", device_retire, "Take a device out of service: its keys and broker user are revoked."),
    ):
        action = leaf(device, name, run, words)
        action.add_argument("--org", required=True)
        action.add_argument("--id", required=True)
    leaf(device, "list", device_list, "List devices, retired ones too.").add_argument("--org")

    gateway = group("gateway", "Gateways: what forwards frames.")
    for name, run, words in (
        ("add", gateway_add, "Enrol a gateway, or give it new credentials; print them this once."),
        ("revoke", gateway_revoke, "Shut a gateway out."),
    ):
        action = leaf(gateway, name, run, words)
        action.add_argument("--org", required=True)
        action.add_argument("--id", required=True)
    leaf(gateway, "list", gateway_list, "List gateways.").add_argument("--org")

    user = group("user", "People: logins, roles, how they are reached.")
    add = leaf(user, "add", user_add, "Let a person in.")
    add.add_argument("--org", required=True)
    add.add_argument("--login", required=True, help="a-z, 0-9, -")
    add.add_argument("--name", required=True)
    add.add_argument("--role", required=True, choices=rights.ROLES)
    add.add_argument("--language", default="fr", choices=LANGUAGES)
    add.add_argument("--email", action="append", default=[], metavar="ADDRESS", help="may be repeated")
    add.add_argument("--webhook", action="append", default=[], metavar="URL", help="may be repeated")
    add.add_argument("--external", action="store_true", help="another organisation's: never told of a drill")
    password = leaf(user, "password", user_password, "Change a password and end the person's sessions.")
    password.add_argument("--login", required=True)
    for takes_password in (add, password):
        how = takes_password.add_mutually_exclusive_group()
        how.add_argument("--password-stdin", action="store_true", help="read it from the first line of stdin")
        how.add_argument("--generate", action="store_true", help="make one and print it (so without a terminal)")
    leaf(user, "disable", user_disable, "Shut a person out at once.").add_argument("--login", required=True)
    leaf(user, "enable", user_enable, "Let a person in again.").add_argument("--login", required=True)
    leaf(user, "list", user_list, "List people.").add_argument("--org")

    policy = group("policy", "Policies: who is told next, and when, if nobody answered.")
    take = leaf(policy, "import", policy_import, "Check a policy file and save it as the policy's next version.")
    take.add_argument("file", type=Path, metavar="FILE.toml")
    take.add_argument("--org", required=True)
    take.add_argument("--check", action="store_true", help="only list what is wrong with it")
    export = leaf(policy, "export", policy_export, "Print a policy's file.")
    export.add_argument("--org", required=True)
    export.add_argument("--id", required=True)
    leaf(policy, "list", policy_list, "List policies.").add_argument("--org")

    leaf(commands, "verify", verify, "Check every alert's timeline; name the first bad entry of each.")
    shown = leaf(commands, "alerts", list_alerts, "List open alerts, the newest first.")
    shown.add_argument("--org")
    shown.add_argument("--all", action="store_true", help="closed ones too")
    shown.add_argument("--limit", type=int, default=50, help="at most so many an organisation (50)")

    look = leaf(commands, "watch", watch, "Show the broker's live traffic, decoded; bad frames with their reason.")
    look.add_argument("--org", help="needed when there are several")
    look.add_argument("--device", help="only this device")
    look.add_argument("--host", help="the broker's host, when it differs from the devices'")
    look.add_argument("--port", type=int, help="the broker's port, when it differs from the devices'")
    look.add_argument("--seconds", type=float, help="stop after so many seconds")
    look.add_argument("--count", type=int, help="stop after so many messages")

    broker = group("broker", "The broker's configuration.")
    config = leaf(broker, "config", broker_config, "Print a configuration for the broker that the settings name.")
    config.add_argument("--client-port", type=int, default=4222, help="NATS's own port, which no login may use (4222)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its exit status."""
    args = build_parser().parse_args(argv)
    before = os.umask(0o077)  # the database, its journal and the broker's files are their owner's alone
    try:
        status: int = args.run(args, read_settings(os.environ))
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, grep -m1) has had enough; Python would complain once more while closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except TocsinError as error:
        print(f"tocsin: {error}", file=sys.stderr)
        return STOPPED if isinstance(error, Misconfigured | Unavailable) else REFUSED
    finally:
        os.umask(before)


if __name__ == "__main__":
    sys.exit(main())
