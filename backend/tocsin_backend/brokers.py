"""What the broker must know, written from the enrolment data: configuration text for NATS and for Mosquitto.

Pure: logins in, text out; equal data give equal text. Whoever writes the files gives them mode 0600 and then sends the
broker SIGHUP.

A login's name begins its topics: `{org}/{device}`, `{org}/_gw/{gateway}`, `{org}/_watch/{name}` after `tocsin/1/`. Both
brokers get the same rules, one block a login: NATS knows no patterns, and Mosquitto's cannot take the organisation out
of a user name.

A device may publish its own up-topics (its Will too, checked when it fires) and subscribe its own down-topics and the
retained state of its organisation's gateways. A gateway may subscribe the organisation's up-topics and publish
down-topics and its own state; it cannot speak as a device, and could not sign as one. An observer only reads.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from tocsin_wire import topics

DEVICE = "device"
GATEWAY = "gateway"
WATCH = "watch"
KINDS = (DEVICE, GATEWAY, WATCH)
_INFIX = {DEVICE: "", GATEWAY: topics.GATEWAYS + "/", WATCH: "_watch/"}

# Passwords are ours: random, 128 bits or more. That is why a fast hash, or none, is enough (see `nats_users`), and why
# nothing ever needs quoting.
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{22,128}\Z")

PAYLOAD_MAX = 65_536  # bytes; 128 times the longest frame we send: above, the broker itself drops the sender
SYNC_ACK_WAIT_S = 2  # NATS sends an unacknowledged message again after this; its own default is 30 s
ACK_PENDING_MAX = 4_096  # messages NATS has under way to one subscription: what a gateway with a full disk may be sent
MOSQUITTO_ITERATIONS = 101  # PBKDF2 rounds: Mosquitto's own default; the passwords need no stretching


@dataclass(frozen=True, slots=True)
class Login:
    """One login at the broker. `kind` is DEVICE, GATEWAY or WATCH; names are `[a-z0-9-]{1,32}`.

    Raises ValueError on anything that could not be written into a configuration file as it is.
    """

    kind: str
    org: str
    name: str
    password: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a broker login is one of {', '.join(KINDS)}, not {self.kind!r}")
        if not (topics.is_name(self.org) and topics.is_name(self.name)):
            raise ValueError(f"not a name of the wire: {self.org!r} or {self.name!r}")
        if not _PASSWORD.match(self.password):
            raise ValueError(f"the broker password of {self.org}/{self.name} must be 22 to 128 of A-Z a-z 0-9 - _")

    @property
    def user(self) -> str:
        """The user name this login presents to the broker."""
        return user_name(self.kind, self.org, self.name)


def user_name(kind: str, org: str, name: str) -> str:
    """The broker user of a device, gateway or observer. Raises KeyError on another kind."""
    return f"{org}/{_INFIX[kind]}{name}"


def may_publish(login: Login) -> tuple[str, ...]:
    """Topics (`+` where any device will do) that this login may publish."""
    if login.kind == DEVICE:
        return tuple(topics.topic(login.org, login.name, channel) for channel in topics.UP)
    if login.kind == GATEWAY:
        own = topics.gateway_topic(login.org, login.name)
        return (*(f"{topics.PREFIX}{login.org}/+/{channel}" for channel in topics.DOWN), own)
    return ()


def may_subscribe(login: Login) -> tuple[str, ...]:
    """Topic filters that this login may subscribe."""
    if login.kind == DEVICE:
        down = tuple(topics.topic(login.org, login.name, channel) for channel in topics.DOWN)
        return (*down, f"{topics.PREFIX}{login.org}/{topics.GATEWAYS}/+/state")
    return (f"{topics.PREFIX}{login.org}/#",)


# NATS


def nats_config(
    *, host: str, mqtt_port: int, client_port: int, store: PurePath, users: PurePath, name: str = "tocsin"
) -> str:
    """nats-server's configuration. `store` is JetStream's folder, `users` the file of `nats_users`.

    `sync_interval: always`: by default JetStream acknowledges before fsync. `ack_wait` applies to new subscriptions.
    nats-server cannot close its own client port; every login is restricted to MQTT, so nobody enters there.
    """
    return (
        f"server_name: {json.dumps(name)}\n"
        f"host: {json.dumps(host)}\n"
        f"port: {client_port}\n"
        f"max_payload: {PAYLOAD_MAX}\n"
        f'jetstream {{ store_dir: {json.dumps(str(store))}, sync_interval: "always" }}\n'
        f"mqtt {{ host: {json.dumps(host)}, port: {mqtt_port}, "
        f'ack_wait: "{SYNC_ACK_WAIT_S}s", max_ack_pending: {ACK_PENDING_MAX} }}\n'
        f"authorization {{ include {json.dumps(str(users))} }}\n"
    )


def nats_users(logins: Iterable[Login]) -> str:
    """The file that `nats_config` includes: one user a login, with its subjects.

    Passwords stand there in clear, in a file of mode 0600: NATS knows no hash but bcrypt, whose slowness is worth
    something for a password a person chose and nothing for 128 random bits, while it would cost every post of a region
    a bcrypt at the same instant when the broker restarts. The signing keys lie just as clear in the database beside it.
    """
    rows = []
    for login in sorted(logins, key=lambda login: login.user):
        # $MQTT.sub.>: where NATS delivers QoS 1 to the session; it refuses subscriptions to it from an MQTT client.
        subscribe = json.dumps([*_subjects(may_subscribe(login)), "$MQTT.sub.>"])
        publish = json.dumps(_subjects(may_publish(login)))
        allow = f"allow: {publish}" if may_publish(login) else 'deny: [">"]'
        rows.append(
            f"  {{ user: {json.dumps(login.user)}, password: {json.dumps(login.password)}, "
            f'allowed_connection_types: ["MQTT"], '
            f"permissions: {{ publish: {{ {allow} }}, subscribe: {{ allow: {subscribe} }} }} }}\n"
        )
    return "users: [\n" + "".join(rows) + "]\n"


def _subjects(topic_filters: Iterable[str]) -> list[str]:
    """Topic filters in NATS's spelling. Our names hold no dot, so nothing needs escaping."""
    subjects = []
    for topic_filter in topic_filters:
        subject = topic_filter.replace("/", ".").replace("+", "*").replace("#", ">")
        if subject.endswith(".>"):
            subjects.append(subject[:-2])  # MQTT's `a/#` also matches `a`, and NATS subscribes both or neither
        subjects.append(subject)
    return subjects


# Mosquitto


def mosquitto_config(*, host: str, port: int, store: PurePath, passwords: PurePath, acl: PurePath) -> str:
    """mosquitto.conf for one plain listener on `host`; TLS listeners are added by whoever owns the certificates.

    Out of the box Mosquitto lost every acknowledged message of a kill -9; `autosave_on_changes` with
    `autosave_interval 1` lost none of 3,127. A queue bound would lose the newest message silently, so there is none:
    the disk is watched instead.
    """
    return (
        "per_listener_settings false\n"
        "allow_anonymous false\n"
        f"password_file {passwords}\n"
        f"acl_file {acl}\n"
        "persistence true\n"
        f"persistence_location {store}/\n"
        "autosave_on_changes true\n"
        "autosave_interval 1\n"
        "max_queued_messages 0\n"
        "max_inflight_messages 1000\n"
        f"message_size_limit {PAYLOAD_MAX}\n"
        "sys_interval 0\n"
        f"listener {port} {host}\n"
        # A session belongs to whoever logged in: nobody takes another's over by claiming its client id.
        "use_username_as_clientid true\n"
        "set_tcp_nodelay true\n"
    )


def mosquitto_acl(logins: Iterable[Login]) -> str:
    """acl_file: one block a login. `%u` patterns cannot name the organisation of a user."""
    blocks = []
    for login in sorted(logins, key=lambda login: login.user):
        write = "".join(f"topic write {topic}\n" for topic in may_publish(login))
        read = "".join(f"topic read {topic}\n" for topic in may_subscribe(login))
        blocks.append(f"user {login.user}\n{write}{read}")
    return "\n".join(blocks)


def mosquitto_passwords(logins: Iterable[Login]) -> str:
    """password_file: `user:$7$rounds$salt$hash`, PBKDF2-HMAC-SHA512. Salted by the login: stable text."""
    return "".join(f"{login.user}:{_mosquitto_hash(login)}\n" for login in sorted(logins, key=lambda login: login.user))


def _mosquitto_hash(login: Login) -> str:
    salt = hashlib.sha256(f"{login.user}\n{login.password}".encode()).digest()[:12]
    digest = hashlib.pbkdf2_hmac("sha512", login.password.encode(), salt, MOSQUITTO_ITERATIONS)
    return f"$7${MOSQUITTO_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
