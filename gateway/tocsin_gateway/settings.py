"""Settings: one table, read once from TOCSIN_GATEWAY_* environment variables, frozen.

Each field of `Settings` is one row: its name, default, kind and help. `tocsin-gateway --settings` prints the table, the
README holds it, and a test compares the two. Secrets are no settings: they stand in the credentials file that
`tocsin gateway add --json` printed, mode 0600.
"""

import dataclasses
import difflib
import ipaddress
import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tocsin_wire import topics

from tocsin_gateway.mqtt_link import Broker

PREFIX = "TOCSIN_GATEWAY_"
SECRET_MIN = 22  # characters: 128 bits in base64url
_PLACEHOLDERS = ("change", "secret", "password", "default", "example", "insecure")


class SettingsError(ValueError):
    """A setting or the credentials file is refused; the text is the one line to show."""


def _text(raw: str) -> str:
    return raw


def _path(raw: str) -> Path:
    return Path(raw)


def _whole(low: int, high: int) -> Callable[[str], int]:
    def convert(raw: str) -> int:
        if not raw.isascii() or not raw.isdigit() or not low <= int(raw) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(raw)

    return convert


def _flag(raw: str) -> bool:
    if raw not in ("0", "1"):
        raise ValueError("0 or 1")
    return raw == "1"


def _one_of(*choices: str) -> Callable[[str], str]:
    def convert(raw: str) -> str:
        if raw not in choices:
            raise ValueError("one of: " + ", ".join(choices))
        return raw

    return convert


def _url(raw: str) -> str:
    parts = urlsplit(raw)
    plain = parts.scheme in ("http", "https") and parts.hostname and parts.path in ("", "/")
    if raw and (not plain or parts.query or parts.fragment or parts.username):
        raise ValueError("an address without a path, such as https://tocsin.example.org")
    return raw.rstrip("/")


def row(default: str, kind: Callable[[str], Any], words: str) -> dict[str, Any]:
    """One row of the table: `default` as the environment would write it; `kind` reads it or raises ValueError."""
    return {"default": default, "kind": kind, "help": words}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one gateway process was told. Build it with `read_settings`."""

    credentials: Path = field(
        metadata=row("gateway.json", _path, "File that `tocsin gateway add --json` printed; mode 0600.")
    )
    data: Path = field(metadata=row("gateway-data", _path, "Folder of the spool; on a disk that survives a power cut."))
    backend_url: str = field(
        metadata=row("", _url, "Where the backend is; empty means the address in the credentials.")
    )
    backend_ca: str = field(
        metadata=row("", _text, "File of the CA that signs the backend's certificate; empty means the system's.")
    )
    broker_host: str = field(metadata=row("", _text, "Where the broker is; empty means the host in the credentials."))
    broker_port: int = field(
        metadata=row("0", _whole(0, 65535), "The broker's port; 0 means the port in the credentials.")
    )
    broker_ca: str = field(
        metadata=row("", _text, "File of the CA that signs the broker's certificate; empty means the system's.")
    )
    allow_plain: bool = field(
        metadata=row("0", _flag, "1 allows connections without TLS to other machines; on loopback they always are.")
    )
    beat_period_ms: int = field(metadata=row("1000", _whole(50, 60_000), "How often the newest beats are forwarded."))
    spool_free_mb: int = field(
        metadata=row("64", _whole(1, 1_000_000), "Below so many free MB on the spool's disk, beats stop.")
    )
    status_host: str = field(metadata=row("127.0.0.1", _text, "Address of the status page, GET /healthz."))
    status_port: int = field(
        metadata=row("8010", _whole(0, 65535), "Port of the status page; 0 takes a free one and logs it.")
    )
    log_level: str = field(metadata=row("info", _one_of("debug", "info", "warning", "error"), "How much is logged."))


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who this gateway is."""

    org: str
    gateway: str
    token: str
    backend_url: str
    broker: Broker


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def table() -> list[tuple[str, str, str]]:
    """(variable, default, help) of every setting, in the order of the README."""
    return [
        (variable(each.name), each.metadata["default"], each.metadata["help"]) for each in dataclasses.fields(Settings)
    ]


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings that an environment asks for. Raises SettingsError on an unknown name or a bad value."""
    rows = {variable(each.name): each for each in dataclasses.fields(Settings)}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in rows:
            words = {each.removeprefix(PREFIX): each for each in rows}
            near = difflib.get_close_matches(name.removeprefix(PREFIX), words, n=1, cutoff=0.6)
            hint = f"did you mean {words[near[0]]}?" if near else "`tocsin-gateway --settings` lists them all"
            raise SettingsError(f"unknown setting {name}: {hint}")
    values: dict[str, Any] = {}
    for name, each in rows.items():
        raw = environment.get(name, each.metadata["default"])
        try:
            values[each.name] = each.metadata["kind"](raw)
        except ValueError as error:
            raise SettingsError(f"{name}={raw!r} is refused: it must be {error}") from None
    return Settings(**values)


def read_credentials(settings: Settings) -> Credentials:
    """Who we are, from the credentials file and what overrides it. Raises SettingsError, never repeating a secret."""
    path = settings.credentials
    cure = "write there what `tocsin gateway add --json` prints, mode 0600"
    try:
        mode = path.stat().st_mode
        document = json.loads(path.read_text())
    except FileNotFoundError:
        raise SettingsError(f"the credentials are missing at {path}: {cure}") from None
    except OSError as error:
        raise SettingsError(f"the credentials at {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise SettingsError(f"the credentials at {path} are not JSON: {cure}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"the credentials at {path} are open to other users: chmod 600 {path}")
    try:
        org, gateway, token = document["org"], document["gateway"], document["token"]
        given = document["broker"]
        broker = Broker(
            host=settings.broker_host or given["host"],
            port=settings.broker_port or int(given["port"]),
            user=given["user"],
            password=given["password"],
            tls=bool(given.get("tls", 0)),
            ca_file=settings.broker_ca,
        )
        url = settings.backend_url or document["backend_url"]
        _url(url)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise SettingsError(f"the credentials at {path} lack a field: {cure}") from None
    if not (topics.is_name(org) and topics.is_name(gateway)):
        raise SettingsError(f"the credentials at {path} name no organisation and gateway: {cure}")
    for what, secret in (("token", token), ("broker password", broker.password)):
        if not isinstance(secret, str) or len(secret) < SECRET_MIN or not secret.isascii() or not secret.isprintable():
            raise SettingsError(f"the {what} in {path} is not one that Tocsin made: {cure}")
        if any(word in secret.lower() for word in _PLACEHOLDERS):
            raise SettingsError(f"the {what} in {path} is a placeholder: {cure}")
    parts = urlsplit(url)
    for what, host, tls in (
        ("backend", parts.hostname or "", parts.scheme == "https"),
        ("broker", broker.host, broker.tls),
    ):
        if not tls and not settings.allow_plain and not _is_loopback(host):
            raise SettingsError(
                f"the {what} at {host} would be reached without TLS: use TLS, or {variable('allow_plain')}=1 on a "
                "network that is yours alone"
            )
    return Credentials(org, gateway, token, url.rstrip("/"), broker)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
