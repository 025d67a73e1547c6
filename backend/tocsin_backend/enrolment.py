"""Enrolment: what an administrator does at a terminal. Each action is one job of the database's writer; after it the
broker's users and rules are written anew from the same data.

Secrets: a device's signing key is random and kept in the database (whose file only its owner can read: a MAC cannot be
checked against a hash). A broker password is not kept at all: it is derived from the server's secret and a random
nonce, so that the broker's files can be written again, for either broker, without any table holding a password. A
gateway's token is kept as a hash.
"""

import fcntl
import hmac
import os
import re
import secrets
import signal
import tempfile
import zoneinfo
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from tocsin_wire import signing, topics

from tocsin_backend import accounts, brokers
from tocsin_backend.domain import rights
from tocsin_backend.errors import Invalid, NotFound
from tocsin_backend.plans import Plans
from tocsin_backend.settings import Settings
from tocsin_backend.store import accounts as accounts_store
from tocsin_backend.store import enrolment as store
from tocsin_backend.store.database import Database, notes

KINDS = {"call_post": "post"}  # kind -> how a generated id begins
LANGUAGES = ("fr", "en")
BOOTS_LEFT_OUT = 1000  # boots the old board may still have had, unheard, before it was replaced
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_OBSERVER = "tocsin"  # the name of `tocsin watch` at the broker
_UAI_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"  # of the number modulo 23; holds for all 10,206 lycées and collèges tried


def check_name(what: str, name: str) -> None:
    """Raises Invalid unless `name` may stand in a topic."""
    if not topics.is_name(name):
        raise Invalid(f"{what} {name!r} is refused: 1 to 32 of the characters a-z, 0-9 and - (no capitals, no accents)")


def check_text(what: str, text: str, longest: int = 100) -> str:
    """The text without surrounding blanks. Raises Invalid when it is empty, too long or not printable."""
    text = text.strip()
    if not 1 <= len(text) <= longest or not text.isprintable():
        raise Invalid(f"{what} must be 1 to {longest} printable characters")
    return text


def check_uai(uai: str) -> str:
    """A school's UAI number: seven digits and their check letter. Raises Invalid."""
    uai = uai.upper()
    if len(uai) != 8 or not uai[:7].isdigit() or not uai.isascii():
        raise Invalid(f"UAI {uai!r} is refused: seven digits and a letter, such as 0130050D")
    letter = _UAI_LETTERS[int(uai[:7]) % 23]
    if uai[7] != letter:
        raise Invalid(f"UAI {uai!r} is refused: its check letter should be {letter}; is a digit wrong?")
    return uai


def check_insee(insee: str) -> str:
    """A commune's INSEE code: five characters, 2A and 2B for Corsica. Raises Invalid."""
    insee = insee.upper()
    digits = insee.replace("A", "0", 1).replace("B", "0", 1) if insee[:2] in ("2A", "2B") else insee
    if len(insee) != 5 or not (digits.isascii() and digits.isdigit()):
        raise Invalid(
            f"INSEE code {insee!r} is refused: five characters, such as 04112 (with its leading zero) or 2A004"
        )
    return insee


@dataclass(frozen=True, kw_only=True)
class SiteDetails:
    """What is known of a place; see `Registrar.add_site`."""

    name: str
    timezone: str = "Europe/Paris"
    latitude: float | None = None
    longitude: float | None = None
    insee: str = ""
    uai: str = ""
    address: str = ""
    phone: str = "17"
    policy: str | None = None
    reporting_s: int = 90


@dataclass(frozen=True)
class Contact:
    """One way to reach a person: channel `email` or `webhook`."""

    channel: str
    address: str
    external: bool = False


class Registrar:
    """Changes to what is enrolled. Every method raises Invalid or NotFound with the one line to show."""

    def __init__(self, settings: Settings, secret: bytes, database: Database, now_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._secret = secret
        self._database = database
        self._now_ms = now_ms

    # -- organisations and sites

    def add_organisation(self, org: str, name: str, language: str = "fr") -> None:
        check_name("organisation", org)
        name = check_text("the organisation's name", name)
        if language not in LANGUAGES:
            raise Invalid(f"language {language!r} is refused: one of {', '.join(LANGUAGES)}")

        def job(conn: Connection) -> None:
            if store.organisation(conn, org) is not None:
                raise Invalid(f"organisation {org!r} exists already")
            store.add_organisation(conn, org=org, name=name, language=language, now_ms=self._now_ms())

        self._write_with_broker(job)

    def add_site(self, org: str, site: str, details: SiteDetails) -> None:
        check_name("site", site)
        values = _site_values(details)

        def job(conn: Connection) -> None:
            _need_organisation(conn, org)
            if store.site(conn, org, site) is not None:
                raise Invalid(f"site {site!r} exists already in {org!r}")
            _need_policy(conn, org, details.policy)
            store.add_site(conn, {"org": org, "id": site, "created_ms": self._now_ms(), **values})

        self._write(job)

    def set_site_policy(self, org: str, site: str, policy: str) -> None:
        def job(conn: Connection) -> None:
            _need_site(conn, org, site)
            _need_policy(conn, org, policy)
            store.set_site_policy(conn, org, site, policy)

        self._write(job)

    # -- devices

    def add_device(
        self, org: str, site: str, kind: str, device: str | None = None, name: str = "", policy: str | None = None
    ) -> dict[str, Any]:
        """Enrols a device; its credentials, which are shown this once and never again."""
        if kind not in KINDS:
            raise Invalid(f"kind {kind!r} is refused: one of {', '.join(KINDS)}")
        if device is not None:
            check_name("device", device)
        if name:
            name = check_text("the device's name", name)
        key, nonce = secrets.token_bytes(signing.KEY_LENGTH), secrets.token_urlsafe(16)

        def job(conn: Connection) -> dict[str, Any]:
            now_ms = self._now_ms()
            _need_site(conn, org, site)
            _need_policy(conn, org, policy)
            taken = store.device_ids(conn, org)
            if device in taken:
                raise Invalid(f"device {device!r} exists already in {org!r}; an id is never given twice")
            chosen = device or next(
                candidate
                for number in range(1, len(taken) + 2)
                if (candidate := f"{KINDS[kind]}-{number}") not in taken
            )
            row = {
                "org": org, "id": chosen, "site": site, "kind": kind, "profile": kind, "name": name, "policy": policy,
                "broker_user": brokers.user_name(brokers.DEVICE, org, chosen), "broker_nonce": nonce,
                "created_ms": now_ms,
            }  # fmt: skip
            store.add_device(conn, row)
            store.add_key(conn, org=org, device_id=chosen, kid="k1", key=key, now_ms=now_ms)
            return row

        return self._device_credentials(self._write_with_broker(job), "k1", key)

    def rekey_device(self, org: str, device: str) -> dict[str, Any]:
        """Gives a device a new key and broker password, and revokes the old ones; the new credentials, shown once.

        They say above which boot counter the device must begin: a board that replaces another knows nothing of it.
        """
        key, nonce = secrets.token_bytes(signing.KEY_LENGTH), secrets.token_urlsafe(16)

        def job(conn: Connection) -> tuple[dict[str, Any], str, int]:
            row = _need_device(conn, org, device)
            kid = f"k{len(store.kids(conn, org, device)) + 1}"
            store.revoke_keys(conn, org, device, self._now_ms())
            store.add_key(conn, org=org, device_id=device, kid=kid, key=key, now_ms=self._now_ms())
            store.set_device(conn, org, device, broker_nonce=nonce)
            return row | {"broker_nonce": nonce}, kid, store.newest_boot(conn, org, device) + BOOTS_LEFT_OUT

        row, kid, boot = self._write_with_broker(job)
        return self._device_credentials(row, kid, key) | {"boot": boot}

    def retire_device(self, org: str, device: str) -> None:
        """Takes a device out of service: its keys and broker user are revoked, what it did stays."""

        def job(conn: Connection) -> None:
            _need_device(conn, org, device)
            store.revoke_keys(conn, org, device, self._now_ms())
            store.set_device(conn, org, device, retired_ms=self._now_ms(), expected_by_ms=None)

        self._write_with_broker(job)

    def devices(self, org: str | None) -> list[dict[str, Any]]:
        with self._database.read() as conn:
            return [
                {
                    "org": row["org"], "id": row["id"], "site": row["site"], "kind": row["kind"], "name": row["name"],
                    "presence": row["presence"], "last_seen_ms": row["last_seen_ms"], "retired_ms": row["retired_ms"],
                    "kids": store.kids(conn, row["org"], row["id"]),
                }
                for row in store.devices(conn, org, retired=True)
            ]  # fmt: skip

    def _device_credentials(self, row: dict[str, Any], kid: str, key: bytes) -> dict[str, Any]:
        org, device = row["org"], row["id"]
        return {
            "org": org,
            "device": device,
            "site": row["site"],
            "kind": row["kind"],
            "profile": row["profile"],
            "kid": kid,
            "key": signing.key_to_text(key),
            "broker": self._broker(row["broker_user"], row["broker_nonce"]),
            "topics": {channel: topics.topic(org, device, channel) for channel in (*topics.UP, *topics.DOWN)},
        }

    # -- gateways

    def add_gateway(self, org: str, gateway: str) -> dict[str, Any]:
        """Enrols a gateway, or gives one that exists new credentials and revokes the old; shown once."""
        check_name("gateway", gateway)
        token, nonce = accounts.new_token(), secrets.token_urlsafe(16)
        user = brokers.user_name(brokers.GATEWAY, org, gateway)
        values = {
            "token_hash": accounts.token_hash(token), "broker_user": user, "broker_nonce": nonce, "revoked_ms": None,
        }  # fmt: skip

        def job(conn: Connection) -> None:
            _need_organisation(conn, org)
            if store.gateway(conn, org, gateway) is None:
                store.add_gateway(conn, {"org": org, "id": gateway, "created_ms": self._now_ms(), **values})
            else:
                store.set_gateway(conn, org, gateway, **values)

        self._write_with_broker(job)
        return {
            "org": org,
            "gateway": gateway,
            "token": token,
            "backend_url": self._settings.public_url,
            "broker": self._broker(user, nonce),
        }

    def revoke_gateway(self, org: str, gateway: str) -> None:
        def job(conn: Connection) -> None:
            row = store.gateway(conn, org, gateway)
            if row is None or row["revoked_ms"] is not None:
                raise NotFound(f"there is no gateway {gateway!r} in {org!r}")
            store.set_gateway(conn, org, gateway, revoked_ms=self._now_ms())

        self._write_with_broker(job)

    # -- people

    def add_person(
        self, org: str, login: str, name: str, role: str, password: str, language: str, contacts: list[Contact]
    ) -> list[dict[str, str]]:
        """Lets a person in; the secrets that sign their webhooks, shown once."""
        if not _LOGIN.fullmatch(login):
            raise Invalid(f"login {login!r} is refused: 1 to 32 of a-z, 0-9, dot, - and _, such as a.martin")
        name = check_text("the person's name", name)
        if role not in rights.ROLES:
            raise Invalid(f"role {role!r} is refused: one of {', '.join(rights.ROLES)}")
        if language not in LANGUAGES:
            raise Invalid(f"language {language!r} is refused: one of {', '.join(LANGUAGES)}")
        accounts.check_password_strength(password)
        for contact in contacts:
            _check_contact(contact)
        kept_hash = accounts.hash_password(password)
        signers = [secrets.token_urlsafe(32) if contact.channel == "webhook" else "" for contact in contacts]

        def job(conn: Connection) -> None:
            now_ms = self._now_ms()
            _need_organisation(conn, org)
            if accounts_store.person_id(conn, login) is not None:
                raise Invalid(f"login {login!r} exists already")
            person_id = accounts_store.add_person(
                conn, org=org, login=login, name=name, role=role, language=language, kept_hash=kept_hash, now_ms=now_ms
            )
            for position, (contact, signer) in enumerate(zip(contacts, signers, strict=True)):
                accounts_store.add_contact_method(
                    conn, person_id=person_id, channel=contact.channel, address=contact.address, secret=signer,
                    external=contact.external, position=position, now_ms=now_ms,
                )  # fmt: skip

        self._write(job)
        pairs = zip(contacts, signers, strict=True)
        return [{"address": contact.address, "secret": signer} for contact, signer in pairs if signer]

    def set_password(self, login: str, password: str) -> None:
        accounts.check_password_strength(password)
        kept_hash = accounts.hash_password(password)
        self._write(lambda conn: accounts_store.set_password(conn, _need_person(conn, login), kept_hash))

    def set_active(self, login: str, active: bool) -> None:
        self._write(lambda conn: accounts_store.set_active(conn, _need_person(conn, login), active))

    # -- policies

    def import_policy(self, org: str, source: str, by: str, *, check_only: bool = False) -> dict[str, Any]:
        """Saves the policy of a TOML text; {"id", "title", "version", "steps"}, version 0 when only checked.

        Raises DocumentFaults with everything that is wrong.
        """

        return Plans(self._database, self._now_ms).import_policy(org, source, by, check_only=check_only)

    # -- the broker

    def observer(self, org: str) -> dict[str, Any]:
        """How `tocsin watch` reaches the broker: a login that reads an organisation's topics and writes none."""
        return self._broker(brokers.user_name(brokers.WATCH, org, _OBSERVER), "")

    def _broker(self, user: str, nonce: str) -> dict[str, Any]:
        settings = self._settings
        return {
            "host": settings.broker_host,
            "port": settings.broker_port,
            "tls": int(settings.broker_tls),
            "user": user,
            "password": self._password(user, nonce),
            "client_id": self._client_id(user, nonce),
        }

    def _password(self, user: str, nonce: str) -> str:
        digest = hmac.digest(self._secret, f"tocsin broker password\n{user}\n{nonce}".encode(), "sha256")
        return urlsafe_b64encode(digest).decode().rstrip("=")

    def _client_id(self, user: str, nonce: str) -> str:
        """Fixed: a reconnect takes the place of its own half-open link. Unguessable: nobody else's login does."""
        digest = hmac.digest(self._secret, f"tocsin broker client id\n{user}\n{nonce}".encode(), "sha256")
        return f"{user.rpartition('/')[2]}-{digest.hex()[:16]}"

    def write_broker_files(self) -> None:
        """Writes the broker's users and rules, and has it read them again when its process id is known.

        Raises Invalid when they cannot be written: a device that the broker does not know cannot raise an alert.
        """
        settings = self._settings
        if settings.broker_kind == "none":
            return
        try:
            with _locked(settings.broker_users_path.with_name(".lock")):
                self._write_broker_files()
        except OSError as error:
            raise Invalid(f"the broker's files cannot be written: {error.strerror}: {error.filename}") from None
        self._reload_broker()

    def _write_broker_files(self) -> None:
        settings = self._settings
        with self._database.read() as conn:
            devices = store.devices(conn, None)
            gateways = [row for row in store.gateways(conn, None) if row["revoked_ms"] is None]
            organisations = store.organisations(conn)
        logins = [self._login(brokers.DEVICE, row) for row in devices]
        logins += [self._login(brokers.GATEWAY, row) for row in gateways]
        logins += [
            brokers.Login(brokers.WATCH, row["id"], _OBSERVER, str(self.observer(row["id"])["password"]))
            for row in organisations
        ]
        if settings.broker_kind == "nats":
            write_private(settings.broker_users_path, brokers.nats_users(logins))
        else:
            write_private(settings.broker_users_path, brokers.mosquitto_passwords(logins))
            write_private(settings.broker_acl_path, brokers.mosquitto_acl(logins))

    def _login(self, kind: str, row: dict[str, Any]) -> brokers.Login:
        return brokers.Login(kind, row["org"], row["id"], self._password(row["broker_user"], row["broker_nonce"]))

    def _reload_broker(self) -> None:
        path = self._settings.broker_pid_file
        if path is None:
            return
        try:
            os.kill(int(path.read_text()), signal.SIGHUP)
        except (FileNotFoundError, ProcessLookupError):
            return  # it is not running: it will read the files when it starts
        except (ValueError, OSError) as error:
            raise Invalid(f"the broker was not told to read its users again ({path}): {error}") from None

    def _write(self, job: Callable[[Connection], Any]) -> Any:
        def noted(conn: Connection) -> Any:
            result = job(conn)
            notes(conn).catalogue = True
            return result

        return self._database.write(noted).result()

    def _write_with_broker(self, job: Callable[[Connection], Any]) -> Any:
        """As `_write`, for what changes who may log in at the broker."""
        result = self._write(job)
        try:
            self.write_broker_files()
        except Invalid as error:
            cure = "run the same command again, or `tocsin device rekey` for a device"
            raise Invalid(
                f"{error}; it is enrolled, but the broker does not know it yet: mend this, then {cure}"
            ) from None
        return result


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time: two commands at once must not write an older list over a newer one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_private(path: Path, text: str) -> None:
    """Replaces a file in one step, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp gives mode 0600
    try:
        with os.fdopen(handle, "w") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _site_values(details: SiteDetails) -> dict[str, Any]:
    try:
        zoneinfo.ZoneInfo(details.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(f"time zone {details.timezone!r} is refused: a name such as Europe/Paris") from None
    if (details.latitude is None) != (details.longitude is None):
        raise Invalid("latitude and longitude come together")
    if not -90 <= (details.latitude or 0) <= 90 or not -180 <= (details.longitude or 0) <= 180:
        raise Invalid("latitude is -90 to 90 and longitude -180 to 180, in degrees (WGS 84)")
    if not 5 <= details.reporting_s <= 86_400:
        raise Invalid("the reporting time is 5 to 86400 s; 20 and 90 are EN 50136-1's SP6 and DP4")
    return {
        "name": check_text("the site's name", details.name),
        "timezone": details.timezone,
        "latitude": details.latitude,
        "longitude": details.longitude,
        "insee": check_insee(details.insee) if details.insee else "",
        "uai": check_uai(details.uai) if details.uai else "",
        "address": check_text("the address", details.address, 200) if details.address else "",
        "phone": check_text("the telephone number", details.phone, 30),
        "policy": details.policy,
        "reporting_ms": details.reporting_s * 1000,
    }


def _check_contact(contact: Contact) -> None:
    address = contact.address
    if not address.isprintable() or any(character.isspace() for character in address) or len(address) > 500:
        raise Invalid(f"{contact.channel} address {address[:80]!r} is refused: it holds blanks or is too long")
    if contact.channel == "email":
        local, _, domain = address.rpartition("@")
        if not local or not domain or "@" in local:
            raise Invalid(f"e-mail address {address!r} is refused: something like name@example.org")
    elif not address.startswith(("http://", "https://")):
        raise Invalid(f"webhook {address!r} is refused: an http:// or https:// address")


def _need_organisation(conn: Connection, org: str) -> None:
    if store.organisation(conn, org) is None:
        known = ", ".join(row["id"] for row in store.organisations(conn)[:20]) or "none yet: `tocsin org add`"
        raise NotFound(f"there is no organisation {org!r} (known: {known})")


def _need_site(conn: Connection, org: str, site: str) -> None:
    _need_organisation(conn, org)
    if store.site(conn, org, site) is None:
        known = ", ".join(row["id"] for row in store.sites(conn, org)[:20]) or "none yet: `tocsin site add`"
        raise NotFound(f"there is no site {site!r} in {org!r} (known: {known})")


def _need_device(conn: Connection, org: str, device: str) -> dict[str, Any]:
    row = store.device(conn, org, device)
    if row is None:
        raise NotFound(f"there is no device {device!r} in {org!r}")
    if row["retired_ms"] is not None:
        raise Invalid(f"device {device!r} was retired; enrol a new one")
    return row


def _need_person(conn: Connection, login: str) -> int:
    person_id = accounts_store.person_id(conn, login)
    if person_id is None:
        raise NotFound(f"there is no login {login!r}")
    return person_id


def _need_policy(conn: Connection, org: str, policy: str | None) -> None:
    if policy is not None and not store.policy_exists(conn, org, policy):
        raise NotFound(f"there is no policy {policy!r} in {org!r}: `tocsin policy import` first")
