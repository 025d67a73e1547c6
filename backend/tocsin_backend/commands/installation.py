"""`tocsin init`, `settings`, `serve`, `broker`: a server and what it stands on."""

import argparse
import os
import secrets
from pathlib import Path

from tocsin_backend import brokers
from tocsin_backend.clock import SystemClock
from tocsin_backend.commands import OK, Adder, say
from tocsin_backend.enrolment import Registrar, write_private
from tocsin_backend.errors import Invalid
from tocsin_backend.settings import Settings, SettingsError, hidden, read_secret, table
from tocsin_backend.store.database import Database


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
        {"name": name, "value": hidden(name, os.environ.get(name, default)), "default": default, "help": words}
        for name, default, words in table()
    ]
    width = max(len(row["name"]) for row in rows)
    lines = (f"{row['name']:<{width}}  {row['value'] or '(empty)'}\n{'':<{width}}    {row['help']}" for row in rows)
    say(args, rows, lines)
    return OK


def serve(args: argparse.Namespace, settings: Settings) -> int:
    from tocsin_backend.app import serve as run  # the web framework takes half a second to import

    return run(settings, as_json=args.json)


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


def register(add: Adder) -> None:
    add.leaf("init", init, "Make the data folder, the secret and the database; safe to repeat.")
    add.leaf("settings", show_settings, "Show every setting, its value and what it does.")
    add.leaf("serve", serve, "Run the server until it is interrupted.")

    broker = add.group("broker", "The broker's configuration.")
    config = broker.leaf("config", broker_config, "Print a configuration for the broker that the settings name.")
    config.add_argument("--client-port", type=int, default=4222, help="NATS's own port, which no login may use (4222)")
