"""Settings: one table, read once from TOCSIN_* environment variables, frozen.

Each field of `Settings` is one row: its name, default, kind and help. `tocsin settings` prints the table, the README
holds it, and a test compares the two. A secret is never a setting: a setting names the file that holds it.
"""

import dataclasses
import difflib
import ipaddress
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tocsin_backend.domain import contacts
from tocsin_backend.errors import Misconfigured

PREFIX = "TOCSIN_"
# Programs of the same house with settings of their own, and switches of the test rig.
FOREIGN_PREFIXES = ("TOCSIN_GATEWAY_", "TOCSIN_SIM_", "TOCSIN_MICROPYTHON", "TOCSIN_TEST_")
SECRET_BYTES_MIN = 32
TOKEN_CHARACTERS_MIN = 24
_PLACEHOLDERS = ("change", "secret", "password", "default", "example", "insecure", "tocsin")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(Misconfigured):
    """A setting is unknown, malformed or missing; the text is the one line to show."""


def _text(raw: str) -> str:
    return raw


def _path(raw: str) -> Path | None:
    return Path(raw) if raw else None


def _url(raw: str) -> str:
    parts = urlsplit(raw)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("an http or https address, such as https://tocsin.example.org")
    return raw.rstrip("/")


def _database_url(raw: str) -> str:
    if not raw or raw.startswith("sqlite:///"):
        return raw
    parts = urlsplit(raw)
    if parts.scheme not in ("postgresql", "postgresql+psycopg") or not parts.path.strip("/"):
        raise ValueError("sqlite:///FILE (empty: tocsin.db in the data folder) or postgresql://USER@HOST:PORT/NAME")
    if parts.password is not None or "password" in parse_qs(parts.query):
        raise ValueError("without a password: put that into a file, ?passfile=FILE or PGPASSFILE, mode 0600")
    return raw


def hidden(name: str, value: str) -> str:
    """A setting's value as it may be shown: a password that somebody wrote into a URL is not."""
    if name != variable("database_url") or not value:
        return value
    parts = urlsplit(value)
    if parts.password is None and "password" not in parse_qs(parts.query):
        return value
    return f"{parts.scheme}://…"


def _flag(raw: str) -> bool:
    if raw not in ("0", "1"):
        raise ValueError("0 or 1")
    return raw == "1"


def _whole(low: int, high: int) -> Callable[[str], int]:
    def convert(raw: str) -> int:
        if not raw.isascii() or not raw.isdigit() or not low <= int(raw) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(raw)

    return convert


def _one_of(*choices: str) -> Callable[[str], str]:
    def convert(raw: str) -> str:
        if raw not in choices:
            raise ValueError("one of: " + ", ".join(choices))
        return raw

    return convert


def _networks(raw: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in raw.split(",") if part.strip())
    except ValueError:
        raise ValueError("networks separated by commas, such as 192.168.0.0/16,127.0.0.0/8") from None


def row(default: str, kind: Callable[[str], Any], words: str) -> dict[str, Any]:
    """One row of the table: `default` as the environment would write it; `kind` reads it or raises ValueError."""
    return {"default": default, "kind": kind, "help": words}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one backend process was told. Build it with `read_settings`."""

    data: Path = field(metadata=row("tocsin-data", Path, "Folder of the database, the secret and the broker's files."))
    database_url: str = field(
        metadata=row(
            "",
            _database_url,
            "Where the state lives: sqlite:///FILE or postgresql://USER@HOST/NAME?passfile=FILE; "
            "empty means sqlite:///{data}/tocsin.db.",
        )
    )
    secret_file: Path | None = field(
        metadata=row(
            "", _path, "File of the server's secret (made by `tocsin init`, mode 0600); empty means {data}/secret."
        )
    )
    host: str = field(metadata=row("127.0.0.1", _text, "Address on which the server listens."))
    port: int = field(metadata=row("8000", _whole(0, 65535), "Port on which the server listens; 0 takes a free one."))
    public_url: str = field(
        metadata=row(
            "http://127.0.0.1:8000", _url, "Address under which people reach the server; written into notices."
        )
    )
    cookie_secure: bool = field(
        metadata=row("0", _flag, "1 sends session cookies over TLS only; required when the public address is https.")
    )
    trusted_proxies: tuple[Network, ...] = field(
        metadata=row("", _networks, "Networks whose X-Forwarded-For is believed; empty believes nobody.")
    )
    session_hours: int = field(metadata=row("12", _whole(1, 24 * 31), "Hours after which a session ends, used or not."))
    broker_host: str = field(metadata=row("127.0.0.1", _text, "Broker's host as devices and gateways must dial it."))
    broker_port: int = field(
        metadata=row("1883", _whole(1, 65535), "Broker's port as devices and gateways must dial it.")
    )
    broker_tls: bool = field(metadata=row("0", _flag, "1 tells devices and gateways to dial the broker over TLS."))
    broker_kind: str = field(
        metadata=row(
            "nats",
            _one_of("nats", "mosquitto", "none"),
            "Which broker's users and rules are written; none writes none.",
        )
    )
    broker_users_file: Path | None = field(
        metadata=row(
            "",
            _path,
            "File of the broker's users (for NATS, with their permissions); empty means {data}/broker/users.conf.",
        )
    )
    broker_acl_file: Path | None = field(
        metadata=row("", _path, "File of the broker's rules (Mosquitto only); empty means {data}/broker/acl.conf.")
    )
    broker_pid_file: Path | None = field(
        metadata=row(
            "", _path, "File holding the broker's process id; when set, the broker gets SIGHUP after its users change."
        )
    )
    smtp_host: str = field(
        metadata=row("", _text, "Mail relay; empty means that e-mail notices fail at once, visibly.")
    )
    smtp_port: int = field(metadata=row("25", _whole(1, 65535), "Port of the mail relay."))
    smtp_security: str = field(
        metadata=row("none", _one_of("none", "starttls", "tls"), "How the mail relay is reached.")
    )
    smtp_user: str = field(metadata=row("", _text, "Login at the mail relay; empty means none."))
    smtp_password_file: Path | None = field(
        metadata=row("", _path, "File of the password at the mail relay, mode 0600.")
    )
    smtp_from: str = field(metadata=row("tocsin@localhost", _text, "Sender of e-mail notices."))
    centre_private_networks: tuple[Network, ...] = field(
        metadata=row("", _networks, "Private networks in which monitoring centres (DC-09) may be; empty refuses them.")
    )
    cap_folder: Path | None = field(
        metadata=row("", _path, "Folder where each CAP message is also written as a file; empty means the feed only.")
    )
    webhook_private_networks: tuple[Network, ...] = field(
        metadata=row(
            "",
            _networks,
            "Private, loopback or link-local networks to which webhooks, pushes and SMS providers may be called; "
            "empty refuses them all.",
        )
    )
    sms_url_file: Path | None = field(
        metadata=row(
            "",
            _path,
            "File of the SMS provider's Apprise URL, with {to} where the number goes, mode 0600; "
            "empty means that only gateways' modems send.",
        )
    )
    sms_inbound_token_file: Path | None = field(
        metadata=row(
            "", _path, "File of the token with which the SMS provider posts replies, mode 0600; empty refuses them."
        )
    )
    metrics_networks: tuple[Network, ...] = field(
        metadata=row("127.0.0.0/8,::1/128", _networks, "Networks that may read /metrics.")
    )
    evidence_max: int = field(
        metadata=row("100000", _whole(100, 10_000_000), "Refused frames kept as evidence; past it the oldest go.")
    )
    log_level: str = field(metadata=row("info", _one_of("debug", "info", "warning", "error"), "How much is logged."))

    @property
    def database(self) -> str:
        """The database's URL, with the default filled in."""
        return self.database_url or f"sqlite:///{self.data / 'tocsin.db'}"

    @property
    def secret_path(self) -> Path:
        return self.secret_file or self.data / "secret"

    @property
    def broker_users_path(self) -> Path:
        return self.broker_users_file or self.data / "broker" / "users.conf"

    @property
    def broker_acl_path(self) -> Path:
        return self.broker_acl_file or self.data / "broker" / "acl.conf"


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def table() -> list[tuple[str, str, str]]:
    """(variable, default, help) of every setting, in the order of the README."""
    entries = dataclasses.fields(Settings)
    return [(variable(entry.name), entry.metadata["default"], entry.metadata["help"]) for entry in entries]


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings that an environment asks for.

    Raises SettingsError, one line, on a name that is not in the table (with the nearest one that is) or a bad value.
    """
    rows = {variable(entry.name): entry for entry in dataclasses.fields(Settings)}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in rows and not name.startswith(FOREIGN_PREFIXES):
            names = [known.removeprefix(PREFIX) for known in rows]
            near = difflib.get_close_matches(name.removeprefix(PREFIX), names, n=1, cutoff=0.6)
            hint = f"did you mean {PREFIX}{near[0]}?" if near else "`tocsin settings` lists them all"
            raise SettingsError(f"unknown setting {name}: {hint}")
    values: dict[str, Any] = {}
    for name, entry in rows.items():
        raw = environment.get(name, entry.metadata["default"])
        try:
            values[entry.name] = entry.metadata["kind"](raw)
        except ValueError as error:
            raise SettingsError(f"{name}={hidden(name, raw)!r} is refused: it must be {error}") from None
    settings = Settings(**values)
    if settings.public_url.startswith("https:") and not settings.cookie_secure:
        raise SettingsError("TOCSIN_COOKIE_SECURE must be 1 when TOCSIN_PUBLIC_URL is https")
    return settings


def read_secret(path: Path) -> bytes:
    """The server's secret, ≥ 32 bytes. Raises SettingsError: missing, open to others, short or a placeholder."""
    secret = read_private(path, "the server's secret", "make one with `tocsin init`")
    if len(secret) < SECRET_BYTES_MIN or len(set(secret)) < 12:
        raise SettingsError(f"the server's secret in {path} is too short or too plain: make one with `tocsin init`")
    if any(word in secret.decode(errors="replace").lower() for word in _PLACEHOLDERS):
        raise SettingsError(f"the server's secret in {path} is a placeholder: make one with `tocsin init`")
    return secret


def read_smtp_password(settings: Settings) -> str:
    """The password at the mail relay, "" when none is set. Raises SettingsError."""
    if settings.smtp_password_file is None:
        return ""
    return read_private(settings.smtp_password_file, "the mail relay's password", "write it there, mode 0600").decode()


def read_sms_url(settings: Settings) -> str:
    """The SMS provider's Apprise URL, "" when none is set. Raises SettingsError, which does not repeat it."""
    if settings.sms_url_file is None:
        return ""
    url = read_private(settings.sms_url_file, "the SMS provider's URL", "write it there, mode 0600").decode()
    try:
        contacts.provider(url)
    except contacts.BadAddress as error:
        raise SettingsError(f"the SMS provider's URL in {settings.sms_url_file} is refused: {error}") from None
    return url


def read_sms_inbound_token(settings: Settings) -> str:
    """The token of the SMS provider, "" when none is set. Raises SettingsError."""
    if settings.sms_inbound_token_file is None:
        return ""
    path = settings.sms_inbound_token_file
    token = read_private(path, "the SMS provider's token", "write one there, mode 0600").decode(errors="replace")
    if len(token) < TOKEN_CHARACTERS_MIN:
        raise SettingsError(f"the SMS provider's token in {path} is shorter than {TOKEN_CHARACTERS_MIN} characters")
    return token


def read_private(path: Path, what: str, cure: str) -> bytes:
    """A file that nobody else may read, without blanks around it. Raises SettingsError."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes().strip()
    except FileNotFoundError:
        raise SettingsError(f"{what} is missing at {path}: {cure}") from None
    except OSError as error:
        raise SettingsError(f"{what} at {path} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"{what} at {path} is open to other users: chmod 600 {path}")
    if not content:
        raise SettingsError(f"{what} at {path} is empty: {cure}")
    return content
