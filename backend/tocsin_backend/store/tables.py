"""The tables. One class a table, one word a thing; the only place that says what is stored.

Instants are epoch milliseconds, UTC (`*_ms`). Names of organisations, sites, devices, gateways and policies are the
wire's names (`[a-z0-9-]{1,32}`); a site, device, gateway or policy is named inside its organisation, so its key is
(org, id). JSON that is hashed or replayed is kept as the text that was hashed, never as a database's own JSON type.

Append-only tables (`signal`, `timeline_entry`) are guarded by triggers, see migrations/versions/0001_initial.py.
"""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, Integer, LargeBinary, Text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

BIG = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by INTEGER PRIMARY KEY only


def _id() -> int | None:
    return Field(default=None, primary_key=True, sa_type=BIG)  # type: ignore[call-overload,no-any-return]


def _ms(default: int | None = None, **more: object) -> int:
    """An instant that may be absent (None) or must be given (no default)."""
    return Field(default=default, sa_type=BigInteger, **more)  # type: ignore[call-overload,no-any-return]


def _given_ms() -> int:
    return Field(sa_type=BigInteger)  # type: ignore[call-overload,no-any-return]


def _in(column: str, *words: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in words)})", name=f"{column}_known")


SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Organisation(SQLModel, table=True):
    """A region, a commune, an association: whoever runs posts and answers for them."""

    __tablename__ = "organisation"
    id: str = Field(primary_key=True, max_length=32)
    name: str
    language: str = "fr"
    timezone: str = "Europe/Paris"
    parent: str | None = Field(default=None, foreign_key="organisation.id", max_length=32)  # told of what is unanswered
    technical_policy: str | None = None  # the policy of technical alerts; None: the built-in one
    sms_route: str = "provider"  # how its short messages leave: provider, or gateway:<id>, that gateway's modem
    created_ms: int = _given_ms()


class Policy(SQLModel, table=True):
    """Who is told, when nobody answers: the name under which versions are kept."""

    __tablename__ = "policy"
    org: str = Field(primary_key=True, foreign_key="organisation.id", max_length=32)
    id: str = Field(primary_key=True, max_length=32)
    title: str
    version: int  # the current one
    changed_ms: int = _given_ms()


class PolicyVersion(SQLModel, table=True):
    """One version of a policy, immutable."""

    __tablename__ = "policy_version"
    __table_args__ = (ForeignKeyConstraint(["org", "policy"], ["policy.org", "policy.id"]),)
    org: str = Field(primary_key=True, max_length=32)
    policy: str = Field(primary_key=True, max_length=32)
    version: int = Field(primary_key=True)
    body: str = Field(sa_type=Text)  # canonical JSON, domain/policies.py
    source: str = Field(default="", sa_type=Text)  # the file as it was imported
    created_ms: int = _given_ms()
    created_by: str = ""


class Site(SQLModel, table=True):
    """A place: lycée, station, street."""

    __tablename__ = "site"
    __table_args__ = (ForeignKeyConstraint(["org", "policy"], ["policy.org", "policy.id"]),)
    org: str = Field(primary_key=True, foreign_key="organisation.id", max_length=32)
    id: str = Field(primary_key=True, max_length=32)
    name: str
    kind: str = ""
    address: str = ""
    latitude: float | None = None
    longitude: float | None = None
    insee: str = ""  # code of the commune
    uai: str = ""  # number of the school
    timezone: str = "Europe/Paris"
    phone: str = "17"  # what to dial if the screens go dark
    policy: str | None = None  # the policy of the devices that name none
    reporting_ms: int = 90_000  # EN 50136-1 DP4: a loss is shown within 90 s; 20,000 for SP6
    created_ms: int = _given_ms()


class Device(SQLModel, table=True):
    """A post: the ESP32 itself, its place, and what is known of its presence."""

    __tablename__ = "device"
    __table_args__ = (
        ForeignKeyConstraint(["org", "site"], ["site.org", "site.id"]),
        ForeignKeyConstraint(["org", "policy"], ["policy.org", "policy.id"]),
        _in("presence", "never", "alive", "late", "lost"),
        Index("ix_device_expected", "expected_by_ms"),
        Index("ix_device_probe", "probe_by_ms"),
    )
    org: str = Field(primary_key=True, foreign_key="organisation.id", max_length=32)
    id: str = Field(primary_key=True, max_length=32)
    site: str = Field(max_length=32)
    kind: str = "call_post"
    profile: str = "call_post"
    name: str = ""  # "Grille nord": where on the site
    policy: str | None = None
    broker_user: str = ""
    broker_nonce: str = ""  # the broker password is derived from it and the server's secret, enrolment.py
    created_ms: int = _given_ms()
    retired_ms: int | None = _ms()
    # presence, domain/liveness.py
    presence: str = "never"
    session_b: int = 0
    session_link: int = 0
    beat_i: int = 0  # the newest beat of that session
    ended: bool = False  # the session's will, or its planned end, was received
    last_seen_ms: int | None = _ms()
    expected_by_ms: int | None = _ms()
    # probes, domain/probes.py
    probe_every_ms: int = 86_400_000  # at most 3 days (EN 81-28)
    probe_by_ms: int | None = _ms()  # the next probe must have come by then; None: it has never been heard
    probe_ms: int | None = _ms()  # the last probe that went the whole way
    drill_ms: int | None = _ms()  # the last press in a drill
    # commands, siren and lamp test: what a signed command must quote
    nonce: str = ""  # of the current session, from its birth
    command_c: int = Field(default=0, sa_type=BIG)  # the counter of the last command sent
    # what it last said
    gateway: str | None = None  # the one that last forwarded for it
    boot: int = 0
    last_n: int = 0
    beat: str = Field(default="{}", sa_type=Text)  # the last beat, JSON
    beat_ms: int | None = _ms()
    info: str = Field(default="{}", sa_type=Text)  # the last self-description, JSON


class DeviceKey(SQLModel, table=True):
    """A key that signs for one device, both ways."""

    __tablename__ = "device_key"
    __table_args__ = (ForeignKeyConstraint(["org", "device"], ["device.org", "device.id"]),)
    org: str = Field(primary_key=True, max_length=32)
    device: str = Field(primary_key=True, max_length=32)
    kid: str = Field(primary_key=True, max_length=8)
    key: bytes = Field(sa_type=LargeBinary)  # 32 random bytes
    created_ms: int = _given_ms()
    revoked_ms: int | None = _ms()


class Gateway(SQLModel, table=True):
    """What forwards frames for an organisation."""

    __tablename__ = "gateway"
    org: str = Field(primary_key=True, foreign_key="organisation.id", max_length=32)
    id: str = Field(primary_key=True, max_length=32)
    token_hash: str = Field(unique=True)  # sha256 of the token, hex
    broker_user: str = ""
    broker_nonce: str = ""  # as a device's
    created_ms: int = _given_ms()
    last_seen_ms: int | None = _ms()
    revoked_ms: int | None = _ms()


class Person(SQLModel, table=True):
    """A person of an organisation. The timeline names a person by `id` only: blanking this row erases the person."""

    __tablename__ = "person"
    __table_args__ = (
        _in("role", "administrator", "supervisor", "school_head", "technician", "observer", "association"),
    )
    id: int | None = _id()
    org: str = Field(foreign_key="organisation.id", max_length=32, index=True)
    login: str = Field(unique=True, max_length=32)
    name: str
    role: str = "supervisor"
    language: str = "fr"
    password_hash: str | None = None  # argon2id; None: cannot log in
    active: bool = True
    created_ms: int = _given_ms()


class ContactMethod(SQLModel, table=True):
    """How a person is reached by one channel."""

    __tablename__ = "contact_method"
    __table_args__ = (
        _in("channel", "webhook", "email", "sms", "push"),
        CheckConstraint("offset_ms >= 0 AND offset_ms <= 3600000", name="offset_bounded"),
    )
    id: int | None = _id()
    person_id: int = Field(foreign_key="person.id", index=True, sa_type=BIG)
    channel: str
    address: str  # a URL, an e-mail address, a telephone number (E.164), an Apprise URL (push)
    secret: str = ""  # signs a webhook's bodies
    external: bool = False  # rescuers and other organisations: never told of a drill
    offset_ms: int = 0  # how long after the person's step this method is tried
    position: int = 0
    created_ms: int = _given_ms()  # since when it has this address
    code_ms: int | None = _ms()  # when a code was last sent to prove the address; it follows from this
    code_wrong: int = 0  # codes given back wrong since
    verified_ms: int | None = _ms()  # the person showed that the address is hers
    proven_ms: int | None = _ms()  # the last time a message was delivered, seen or answered through it
    disabled_ms: int | None = _ms()


class Calendar(SQLModel, table=True):
    """Named hours of an organisation, in local time: "jour", "nuit", "vacances"; domain/calendars.py."""

    __tablename__ = "calendar"
    org: str = Field(primary_key=True, foreign_key="organisation.id", max_length=32)
    id: str = Field(primary_key=True, max_length=32)
    title: str
    version: int
    body: str = Field(sa_type=Text)  # canonical JSON
    source: str = Field(default="", sa_type=Text)  # the file as it was imported
    changed_ms: int = _given_ms()
    changed_by: str = ""


class Roster(SQLModel, table=True):
    """Who is on duty when: rotations and rules in local time; domain/rosters.py."""

    __tablename__ = "roster"
    org: str = Field(primary_key=True, foreign_key="organisation.id", max_length=32)
    id: str = Field(primary_key=True, max_length=32)
    title: str
    version: int
    body: str = Field(sa_type=Text)  # canonical JSON
    source: str = Field(default="", sa_type=Text)
    changed_ms: int = _given_ms()
    changed_by: str = ""


class RosterOverride(SQLModel, table=True):
    """Somebody else than the roster says, for a while: a sick leave, an exchange."""

    __tablename__ = "roster_override"
    __table_args__ = (
        ForeignKeyConstraint(["org", "roster"], ["roster.org", "roster.id"]),
        CheckConstraint("starts_ms < ends_ms", name="starts_before_it_ends"),
        Index("ix_roster_override_roster", "org", "roster", "ends_ms"),
    )
    id: int | None = _id()
    org: str = Field(max_length=32)
    roster: str = Field(max_length=32)
    starts_ms: int = _given_ms()
    ends_ms: int = _given_ms()
    replaces: str = ""  # a login; "": whoever is on duty
    person: str = ""  # the login who stands in; "": nobody does, and the gap shows
    note: str = ""
    created_ms: int = _given_ms()
    created_by: str = ""
    cancelled_ms: int | None = _ms()


class Desk(SQLModel, table=True):
    """Where an organisation takes other organisations' alerts: a municipal police post, a gendarmerie."""

    __tablename__ = "desk"
    org: str = Field(primary_key=True, foreign_key="organisation.id", max_length=32)
    id: str = Field(primary_key=True, max_length=32)
    title: str
    role: str = ""  # whoever has this role of `org`, or
    roster: str = ""  # whoever is on duty there
    created_ms: int = _given_ms()


class Invitation(SQLModel, table=True):
    """`org` may tell that desk of another organisation (invariant 11). No row, no notice."""

    __tablename__ = "invitation"
    __table_args__ = (ForeignKeyConstraint(["host", "desk"], ["desk.org", "desk.id"]),)
    org: str = Field(primary_key=True, foreign_key="organisation.id", max_length=32)
    host: str = Field(primary_key=True, max_length=32)
    desk: str = Field(primary_key=True, max_length=32)
    external: bool = True  # rescuers: never told of a drill or a probe
    created_ms: int = _given_ms()
    revoked_ms: int | None = _ms()


class AlarmGroup(SQLModel, table=True):
    """Alarm outputs that move together: a target of a step; domain/alarms.py."""

    __tablename__ = "alarm_group"
    __table_args__ = (ForeignKeyConstraint(["org", "site"], ["site.org", "site.id"]),)
    org: str = Field(primary_key=True, foreign_key="organisation.id", max_length=32)
    id: str = Field(primary_key=True, max_length=32)
    site: str = Field(max_length=32)
    title: str
    outputs: str = Field(sa_type=Text)  # canonical JSON: [[device, output], …]
    created_ms: int = _given_ms()


class Window(SQLModel, table=True):
    """An announced drill, or maintenance that mutes technical alerts; domain/windows.py."""

    __tablename__ = "site_window"
    __table_args__ = (
        _in("kind", "drill", "maintenance"),
        ForeignKeyConstraint(["org", "site"], ["site.org", "site.id"]),
        CheckConstraint("starts_ms < ends_ms", name="starts_before_it_ends"),
        Index("ix_site_window_next", "next_ms"),
        Index("ix_site_window_org", "org", "ends_ms"),
    )
    id: int | None = _id()
    org: str = Field(foreign_key="organisation.id", max_length=32)
    site: str | None = Field(default=None, max_length=32)  # None: every site of the organisation
    kind: str
    title: str
    starts_ms: int = _given_ms()
    ends_ms: int = _given_ms()
    next_ms: int | None = _ms()  # when the engine looks at it next: its beginning, then its end; None: over
    created_ms: int = _given_ms()
    created_by: int | None = Field(default=None, foreign_key="person.id", sa_type=BIG)
    ended_ms: int | None = _ms()  # when it really ended: at its end, or before it, by hand
    report: str = Field(default="", sa_type=Text)  # canonical JSON, written at the end of a drill


class TimerLateness(SQLModel, table=True):
    """How late each kind of timer was served, a row an hour and process: counts by bound, never one row a timer."""

    __tablename__ = "timer_lateness"
    timer: str = Field(primary_key=True, max_length=32)  # alert, dispatch, lease, device, window, probe
    hour_ms: int = Field(primary_key=True, sa_type=BigInteger)
    owner: str = Field(primary_key=True, max_length=128)  # the engine, as in leases
    served: int = 0
    over: int = 0  # later than 2 s
    total_ms: int = Field(default=0, sa_type=BigInteger)
    max_ms: int = Field(default=0, sa_type=BigInteger)


class Engine(SQLModel, table=True):
    """The engines that share this database, and when each was last seen alive."""

    __tablename__ = "engine"
    owner: str = Field(primary_key=True, max_length=128)
    started_ms: int = _given_ms()
    beat_ms: int = _given_ms()
    stopped_ms: int | None = _ms()


class LinkUse(SQLModel, table=True):
    """A signed answer link or reply code that was used: it works once; domain/replies.py."""

    __tablename__ = "link_use"
    dispatch_id: str = Field(primary_key=True, foreign_key="dispatch.id", max_length=36)
    way: str  # link, code
    used_ms: int = _given_ms()
    outcome: str  # won, taken, stale, late


class MonitoringCentre(SQLModel, table=True):
    """A monitoring centre that receives SIA DC-09 by two paths: the target `dc09/<id>`; channels/dc09.py."""

    __tablename__ = "monitoring_centre"
    org: str = Field(primary_key=True, foreign_key="organisation.id", max_length=32)
    id: str = Field(primary_key=True, max_length=32)
    title: str
    account: str
    paths: str = Field(sa_type=Text)  # canonical JSON: [[host, port], …], the main one first
    key: str = ""  # AES, hex; "": not encrypted
    protocol: str = "ADM-CID"  # or SIA-DCS
    external: bool = True
    supervision_ms: int = 0  # how often the line is tested; 0: never
    supervised_ms: int | None = _ms()  # the last test that was acknowledged
    watcher: str = Field(default="", max_length=128)  # of several processes the one that tests the line
    watched_until_ms: int | None = _ms()  # when another one may take that over
    created_ms: int = _given_ms()


class CapMessage(SQLModel, table=True):
    """A CAP 1.2 message that was issued: an Update or a Cancel references it; channels/cap.py."""

    __tablename__ = "cap_message"
    __table_args__ = (Index("ix_cap_message_org", "org", "id"),)
    id: int | None = _id()
    dispatch_id: str = Field(unique=True, max_length=36)
    org: str = Field(max_length=32)
    alert_id: str = Field(foreign_key="alert.id", index=True, max_length=36)
    identifier: str
    sent: str  # ISO 8601 with offset, as in the message
    kind: str  # Alert, Update, Cancel
    state: str  # what it says of the alert, domain/cap.py: two messages never say the same
    body: str = Field(sa_type=Text)  # the XML
    created_ms: int = _given_ms()


class Alert(SQLModel, table=True):
    """A call for help travelling towards helpers; domain/alerts.py says how it lives."""

    __tablename__ = "alert"
    __table_args__ = (
        _in("category", "call", "personal", "threat", "technical"),
        _in("mode", "real", "drill", "probe"),
        _in("status", "raised", "answered", "closed"),
        _in("condition", "active", "cleared"),
        # invariant 3: closed is terminal and has no due; invariant 1: an open alert has one
        CheckConstraint("(status = 'closed') = (due_ms IS NULL)", name="open_is_due"),
        CheckConstraint("(status = 'closed') = (closed_ms IS NOT NULL)", name="closed_has_instant"),
        _in("progress", "", "en-route", "on-site", "needs-help"),
        ForeignKeyConstraint(["device_org", "device"], ["device.org", "device.id"]),
        # invariant 2: at most one open alert per dedup key
        Index(
            "uq_alert_open_dedup",
            "dedup",
            unique=True,
            sqlite_where=sql("status <> 'closed'"),
            postgresql_where=sql("status <> 'closed'"),
        ),
        Index("ix_alert_dedup_raised", "dedup", "raised_ms"),
        Index("ix_alert_due", "due_ms"),
        Index("ix_alert_org_raised", "org", "raised_ms"),
    )
    id: str = Field(primary_key=True, max_length=36)
    org: str = Field(foreign_key="organisation.id", max_length=32)  # whose people are told
    device_org: str = Field(max_length=32)  # whose device it is: `org`, except where another organisation was told
    site: str | None = Field(default=None, max_length=32)  # None: technical, and about no place
    device: str | None = Field(default=None, max_length=32)  # None: technical, and about no device
    category: str
    mode: str
    silent: bool = False
    scenario: str = ""  # PPMS: attack, shelter, evacuate
    dedup: str
    status: str
    condition: str = "active"
    epoch: int
    pass_: int
    step: int
    due_ms: int | None = _ms()
    span_ms: int = _given_ms()  # a year, where nothing else is armed: more than 32 bits
    unanswered: bool = False
    presses: int
    severity: int = 0  # raised by each run of presses that the policy names
    recent: str = ""  # instants of the newest presses, ms, joined by commas: what severity and "stuck" are counted from
    progress: str = ""  # what whoever answered last said of it
    close_asked_by: int | None = Field(default=None, foreign_key="person.id", sa_type=BIG)  # two-person closing
    close_asked_reason: str | None = None
    window_id: int | None = Field(default=None, foreign_key="site_window.id", sa_type=BIG)  # the drill it belongs to
    about_id: str | None = None  # the alert of another organisation that this one speaks of
    raised_ms: int = _given_ms()
    reopened_ms: int | None = _ms()
    answered_ms: int | None = _ms()
    answered_by: int | None = Field(default=None, foreign_key="person.id", sa_type=BIG)
    closed_ms: int | None = _ms()
    closed_by: int | None = Field(default=None, foreign_key="person.id", sa_type=BIG)
    reason: str | None = None
    previous_id: str | None = None  # the alert of the same dedup key before this one
    subject: str = ""  # technical: "lost", "stuck"…
    lamp: str | None = None  # the last lamp the device confirmed: stored, answered, closed
    policy: str
    policy_version: int
    frozen: str = Field(sa_type=Text)  # the policy as it was, canonical JSON
    timeline_seq: int  # of the last backend entry
    timeline_hash: str  # its hash: a truncated timeline is seen


class Signal(SQLModel, table=True):
    """A fact a device reported, as received. Append-only."""

    __tablename__ = "signal"
    __table_args__ = (
        Unique("org", "device", "b", "n"),
        ForeignKeyConstraint(["org", "device"], ["device.org", "device.id"]),
    )
    id: int | None = _id()
    org: str = Field(max_length=32)
    device: str = Field(max_length=32)
    b: int = _given_ms()
    n: int = _given_ms()
    channel: str  # alert, event
    kind: str  # press, cancel, probe, lamp, boot…
    contact_ms: int = _given_ms()  # domain/latency.py
    quality: str  # of the device's clock
    gateway: str
    received_ms: int = _given_ms()
    held_ms: int = _given_ms()
    stored_ms: int = _given_ms()
    tries: int
    frame: bytes = Field(sa_type=LargeBinary)
    alert_id: str | None = Field(default=None, index=True, max_length=36)


class Ledger(SQLModel, table=True):
    """The instants of one press, hop by hop, from contact to lamp; domain/latency.py."""

    __tablename__ = "ledger"
    __table_args__ = (ForeignKeyConstraint(["org", "device"], ["device.org", "device.id"]),)
    org: str = Field(primary_key=True, max_length=32)
    device: str = Field(primary_key=True, max_length=32)
    b: int = Field(primary_key=True, sa_type=BigInteger)
    n: int = Field(primary_key=True, sa_type=BigInteger)
    alert_id: str = Field(foreign_key="alert.id", index=True, max_length=36)
    mode: str = "real"  # real, drill, probe: statistics never mix them
    contact_ms: int = _given_ms()
    published_ms: int = _given_ms()
    received_ms: int = _given_ms()
    held_ms: int = _given_ms()
    stored_ms: int = _given_ms()
    handed_ms: int | None = _ms()  # the first notice accepted by its channel
    lamp_sent_ms: int | None = _ms()
    answered_ms: int | None = _ms()
    lamp_answered_ms: int | None = _ms()


class Answer(SQLModel, table=True):
    """A named person took the alert."""

    __tablename__ = "answer"
    __table_args__ = (Unique("alert_id", "epoch", "person_id"),)
    id: int | None = _id()
    alert_id: str = Field(foreign_key="alert.id", max_length=36)
    epoch: int
    person_id: int = Field(foreign_key="person.id", sa_type=BIG)
    channel: str
    at_ms: int = _given_ms()
    progress: str = ""
    progress_ms: int | None = _ms()


class Dispatch(SQLModel, table=True):
    """The outbox: one message to one target by one channel, or one lamp order; domain/dispatches.py."""

    __tablename__ = "dispatch"
    __table_args__ = (
        Unique("alert_id", "epoch", "pass_", "step", "kind", "target", "method_id"),
        _in("kind", "notify", "taken", "closed", "info", "actuate", "lamp"),
        _in("status", "pending", "leased", "handed", "delivered", "seen", "failed", "cancelled"),
        # invariant 5: what is not terminal will be looked at
        CheckConstraint(
            "(status IN ('pending', 'leased')) = (next_ms IS NOT NULL)",
            name="terminal_or_due",
        ),
        Index("ix_dispatch_next", "next_ms"),
        # what was last told to a contact method, and what waits for it: domain/bundles.py
        Index(
            "ix_dispatch_technical",
            "method_id",
            sqlite_where=sql("class_ >= 3"),
            postgresql_where=sql("class_ >= 3"),
        ),
    )
    id: str = Field(primary_key=True, max_length=36)  # the message id, the same on every try
    alert_id: str = Field(foreign_key="alert.id", index=True, max_length=36)
    epoch: int
    pass_: int
    step: int
    kind: str
    # "person:12/2": asked a second time for a second closer
    target: str  # "person:12", "console", "lamp:answered", "alarm:<group>/<device>/<output>/on"
    channel: str  # webhook, email, sms, push, console, siren, cap, dc09, probe, lamp
    person_id: int | None = Field(default=None, foreign_key="person.id", sa_type=BIG)
    method_id: int = Field(default=0, sa_type=BIG)  # contact_method.id; 0 where the channel needs none
    class_: int
    status: str
    attempts: int = 0  # tries whose outcome is known; a crash is not one
    next_ms: int | None = _ms()  # pending: not before; leased: the lease's end
    owner: str | None = None  # of the lease
    maybe_dup: bool = False
    provider_id: str | None = None
    error: str | None = None
    created_ms: int = _given_ms()
    handed_ms: int | None = _ms()
    delivered_ms: int | None = _ms()
    seen_ms: int | None = _ms()


class TimelineEntry(SQLModel, table=True):
    """One line of an alert's timeline. Append-only, hash-chained; domain/timeline.py.

    `id` grows with every entry of the database: the event id of live streams.
    """

    __tablename__ = "timeline_entry"
    __table_args__ = (Unique("alert_id", "origin", "seq"), {"sqlite_autoincrement": True})
    id: int | None = _id()
    alert_id: str = Field(foreign_key="alert.id", max_length=36)
    origin: str  # backend, or a gateway's id
    seq: int
    at_ms: int = _given_ms()
    what: str
    data: str = Field(sa_type=Text)  # canonical JSON
    previous: str  # hex
    hash: str  # hex


class Downlink(SQLModel, table=True):
    """A signed frame on its way down to a device through a gateway."""

    __tablename__ = "downlink"
    __table_args__ = (Index("ix_downlink_gateway", "org", "gateway", "id"), {"sqlite_autoincrement": True})
    id: int | None = _id()
    org: str = Field(max_length=32)
    gateway: str = Field(max_length=32)
    topic: str
    frame: bytes = Field(sa_type=LargeBinary)
    dispatch_id: str | None = Field(default=None, index=True, max_length=36)
    created_ms: int = _given_ms()


class Evidence(SQLModel, table=True):
    """A frame that was refused, and why. Bounded: past the limit the oldest go."""

    __tablename__ = "evidence"
    id: int | None = _id()
    at_ms: int = _given_ms()
    org: str
    gateway: str
    topic: str
    frame: bytes = Field(sa_type=LargeBinary)  # at most the wire's 1,024 bytes and one more
    reason: str


class Session(SQLModel, table=True):
    """A person's session on the console or the API."""

    __tablename__ = "session"
    token_hash: str = Field(primary_key=True)  # sha256 of the cookie's token, hex
    person_id: int = Field(foreign_key="person.id", index=True, sa_type=BIG)
    csrf: str
    created_ms: int = _given_ms()
    seen_ms: int = _given_ms()
    expires_ms: int = _given_ms()
