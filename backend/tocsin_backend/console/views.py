"""What a template shows, made from store rows. Pure: no clock, no database, no request.

Every function takes the language and `now_ms`; times are told in the site's own zone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from json import loads
from typing import Any
from zoneinfo import ZoneInfo

from tocsin_backend.console import phrases
from tocsin_backend.console.language import Language, iso
from tocsin_backend.domain import policies
from tocsin_backend.domain.alerts import CALL, PROBE, REAL, REASONS, TECHNICAL
from tocsin_backend.store.board import AlertRow, EntryRow, LedgerRow, NoticeRow

URGENT, TECHNICAL_RANK, EXERCISE = 1, 2, 3
DEFAULT_ZONE = "Europe/Paris"


def priority(category: str, mode: str) -> int:
    """1 a person calls · 2 something would not work · 3 a drill or a probe, which never hides a real call.

    Exactly three (CONSOLE.md C24); a technical alert never exceeds 2 (C28).
    """
    if mode != REAL:
        return EXERCISE
    return TECHNICAL_RANK if category == TECHNICAL else URGENT


@dataclass(frozen=True, slots=True)
class Row:
    """An alert in a list, and at the head of its own page."""

    id: str
    seq: int
    order: str
    group: str
    priority: int
    priority_word: str
    status: str
    category: str
    mode: str
    silent: bool
    site: str
    town: str
    post: str
    device: str
    what: str
    presses: int
    epoch: int
    unanswered: bool
    progress: str
    second: str
    drill: str
    raised_ms: int
    raised_iso: str
    raised_clock: str
    raised_long: str
    raised_ago: str
    owner: str
    answered_clock: str
    lamp_expected: bool
    lamp_seen: bool
    told: str
    failed: int
    next_ms: int | None
    next_in: str
    taken_after: str
    outcome: str
    closer: str


def order(row: AlertRow) -> str:
    """Sorts as a text: priority, then oldest first (C25); the group is another list."""
    return f"{priority(row.category, row.mode)}-{row.raised_ms:015d}-{row.id}"


def alert_row(row: AlertRow, language: Language, now_ms: int) -> Row:
    zone = ZoneInfo(row.timezone)
    rank = priority(row.category, row.mode)
    return Row(
        id=row.id,
        seq=row.seq,
        order=order(row),
        group="taken" if row.status == "answered" else "untaken",
        priority=rank,
        priority_word=phrases.priority_word(language, row, rank),
        status=row.status,
        category=row.category,
        mode=row.mode,
        silent=row.silent,
        site=phrases.place(row),
        town="" if row.address in row.site_name else row.address,
        post=phrases.post(language, row),
        device=row.device or "",
        what=phrases.what(language, row),
        presses=row.presses,
        epoch=row.epoch,
        unanswered=row.unanswered,
        progress=phrases.word(language, phrases.PROGRESS, row.progress) if row.progress else "",
        second=_second(row, language),
        drill=_drill(row, language, now_ms, zone),
        raised_ms=row.raised_ms,
        raised_iso=iso(row.raised_ms),
        raised_clock=language.dated(row.raised_ms, now_ms, zone),
        raised_long=f"{language.date(row.raised_ms, zone)} {language.clock(row.raised_ms, zone)}",
        raised_ago=language.ago(row.raised_ms, now_ms),
        owner=row.owner or "",
        answered_clock="" if row.answered_ms is None else language.dated(row.answered_ms, now_ms, zone),
        lamp_expected=row.category == CALL and row.mode != PROBE and not row.silent,
        lamp_seen=row.lamp == "answered",
        told=phrases.told(language, row),
        failed=row.failed,
        next_ms=row.due_ms,
        next_in="" if row.due_ms is None else language.until(row.due_ms, now_ms),
        taken_after="" if row.answered_ms is None else language.span(row.answered_ms - row.raised_ms),
        outcome="" if row.reason is None else phrases.word(language, phrases.REASONS, row.reason),
        closer=row.closer or "",
    )


def _second(row: AlertRow, language: Language) -> str:
    """That one of the two people who close a silent alert or a threat has asked for it; "" when nobody did."""
    if row.status == "closed" or row.close_asked_id is None:
        return ""
    name = row.close_asked_by or language.say("(erased person)")
    return language.say("%(name)s asked to close it: a second person is needed", name=name)


def _drill(row: AlertRow, language: Language, now_ms: int, zone: ZoneInfo) -> str:
    """The drill that it belongs to, and until when; "" when it is none."""
    if row.window_id is None:
        return ""
    ends = language.dated(row.window_ends_ms or row.raised_ms, now_ms, zone)
    return language.say("Drill: %(title)s, until %(clock)s", title=row.window_title or "?", clock=ends)


def alert_rows(rows: Iterable[AlertRow], language: Language, now_ms: int) -> list[Row]:
    """The list: by priority, oldest first."""
    return [alert_row(row, language, now_ms) for row in sorted(rows, key=order)]


# --- one alert's page


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the timeline."""

    iso: str
    clock: str
    sentence: str
    weight: str


def timeline(entries: Iterable[EntryRow], people: Mapping[int, str], language: Language, zone: ZoneInfo) -> list[Line]:
    lines = []
    for entry in entries:
        sentence, weight = phrases.sentence(language, entry, people)
        lines.append(Line(iso(entry.at_ms), language.precise(entry.at_ms, zone), sentence, weight))
    return lines


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop. `letter` and `tone` tie the bar to its table; both empty for what is not on the machine's bar."""

    name: str
    took: str
    at: str
    letter: str
    tone: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A hop on the bar: percent of the whole."""

    letter: str
    tone: str
    x: float
    width: float
    middle: float


@dataclass(frozen=True, slots=True)
class LedgerView:
    headline: str
    bar: list[Segment]
    hops: list[Hop]


MACHINE_HOPS = ("published", "received", "held", "stored", "handed")
LAMP_AND_PEOPLE = (("lamp_sent", "stored"), ("answered", "stored"), ("lamp_answered", "answered"))
LETTERS = "ABCDE"


def ledger(row: LedgerRow, language: Language) -> LedgerView:
    """The bar is the machine's way from the contact to the first notice; the lamp and the person are in the table.

    A person takes seconds, the machine milliseconds: on one scale the machine's hops would be invisible.
    """
    at: dict[str, int | None] = {name: getattr(row, name + "_ms") for name in ("contact", *MACHINE_HOPS)}
    if at["published"] == at["received"]:
        del at["published"]  # what the wire took is not known apart: domain/latency.py
    hops: list[Hop] = []
    spans: list[tuple[str, str, int]] = []
    previous = row.contact_ms
    for name in MACHINE_HOPS:
        instant = at.get(name)
        if instant is None:
            continue
        took = max(0, instant - previous)
        letter = LETTERS[len(spans)]
        tone = "ab"[len(spans) % 2]
        spans.append((letter, tone, took))
        hops.append(_hop(language, name, took, instant - row.contact_ms, letter, tone))
        previous = max(previous, instant)
    for name, since in LAMP_AND_PEOPLE:
        instant, start = getattr(row, name + "_ms"), getattr(row, since + "_ms")
        if instant is not None and start is not None:
            hops.append(_hop(language, name, max(0, instant - start), instant - row.contact_ms, "", ""))
    return LedgerView(_headline(row, language), _bar(spans), hops)


def _hop(language: Language, name: str, took_ms: int, at_ms: int, letter: str, tone: str) -> Hop:
    words = phrases.word(language, phrases.HOPS, name)
    return Hop(words, language.duration(took_ms), language.duration(max(0, at_ms)), letter, tone)


def _bar(spans: Sequence[tuple[str, str, int]]) -> list[Segment]:
    total = sum(span for _, _, span in spans) or 1
    bar, x = [], 0.0
    for letter, tone, span in spans:
        width = 100 * span / total
        bar.append(Segment(letter, tone, round(x, 3), round(width, 3), round(x + width / 2, 3)))
        x += width
    return bar


def _headline(row: LedgerRow, language: Language) -> str:
    parts = []
    if row.handed_ms is not None:
        told = language.duration(max(0, row.handed_ms - row.contact_ms))
        parts.append(language.say("First person told after %(span)s", span=told))
    else:
        stored = language.duration(max(0, row.stored_ms - row.contact_ms))
        parts.append(language.say("Alert raised after %(span)s", span=stored))
    if row.lamp_sent_ms is not None:
        sent = language.duration(max(0, row.lamp_sent_ms - row.contact_ms))
        parts.append(language.say("lamp lit after %(span)s", span=sent))
    return language.say(", ").join(parts)


@dataclass(frozen=True, slots=True)
class Notice:
    who: str
    channel: str
    state: str
    error: str


def notices(rows: Iterable[NoticeRow], language: Language, zone: ZoneInfo) -> list[Notice]:
    """Who was told, by which channel, and how far the message got, with the instant it got there."""
    found = []
    for row in rows:
        state = phrases.word(language, phrases.NOTICE_STATES, row.status)
        at_ms = row.seen_ms or row.delivered_ms or row.handed_ms
        if at_ms is not None and row.status in ("handed", "delivered", "seen"):
            state = f"{state} · {language.clock(at_ms, zone)}"
        if row.attempts > 1:
            tries = language.plural("%(num)d try", "%(num)d tries", row.attempts)
            state = f"{state} · {tries}"
        channel = phrases.word(language, phrases.CHANNELS, row.channel)
        if row.kind in phrases.NOTICE_KINDS:
            channel = f"{channel} · {phrases.word(language, phrases.NOTICE_KINDS, row.kind)}"
        found.append(Notice(phrases.notice_who(language, row), channel, state, row.error or ""))
    return found


def now_sentence(row: AlertRow, language: Language, zone: ZoneInfo) -> str:
    """Where the alert stands, in one sentence."""
    if row.status == "closed":
        assert row.closed_ms is not None
        outcome = phrases.word(language, phrases.REASONS, row.reason)
        clock = language.clock(row.closed_ms, zone)
        if row.closer is None:
            return language.say("Closed at %(clock)s: %(outcome)s", clock=clock, outcome=outcome)
        return language.say(
            "Closed by %(name)s at %(clock)s: %(outcome)s", name=row.closer, clock=clock, outcome=outcome
        )
    if row.status == "answered":
        assert row.answered_ms is not None
        return language.say(
            "Taken by %(name)s at %(clock)s", name=row.owner or "?", clock=language.clock(row.answered_ms, zone)
        )
    if row.unanswered:
        return language.say("Nobody answers: everybody was told, and the last ones are told again and again")
    if row.epoch > 1:
        return language.say("Raised again, nobody has it now")
    return language.say("Nobody has taken it yet")


def next_sentence(row: AlertRow, language: Language) -> str:
    """What happens if nobody does anything; "" when nothing will."""
    if row.due_ms is None:
        return ""
    if row.status == "answered":
        return language.say("If it is not closed, it is raised again")
    return language.say("If nobody answers, the next step leaves")


def next_people(row: AlertRow, language: Language, names: Mapping[str, str]) -> list[str]:
    """Whom the step after the current one tells, from the alert's own frozen policy. `names` maps logins to names."""
    if row.status != "raised" or row.due_ms is None:
        return []
    steps = policies.load(row.frozen).steps
    passes = policies.load(row.frozen).passes
    if row.step + 1 < len(steps) and row.pass_ <= passes:  # past them, each repetition begins with the last step
        step = steps[row.step + 1]
    elif row.pass_ < passes:
        step = steps[0]
    else:
        step = steps[-1]
    return [_target(language, target, names) for target in step.targets]


def _target(language: Language, target: policies.Target, names: Mapping[str, str]) -> str:
    if target.channel == "console":
        return language.say("Supervisors' screens")
    if target.channel:
        kind, _, name = target.channel.partition("/")
        return f"{phrases.word(language, phrases.CHANNELS, kind)} {name}".strip()
    if target.alarms:
        return language.say("alarm outputs %(group)s", group=target.alarms)
    if target.role:
        who = language.say("all %(role)s", role=phrases.word(language, phrases.ROLES, target.role))
    elif target.roster:
        who = language.say("on duty: %(roster)s", roster=target.roster)
    elif target.desk:
        who = language.say("desk %(desk)s", desk=target.desk)
    else:
        who = names.get(target.person) or target.person
    ways = [phrases.word(language, phrases.CHANNELS, channel) for channel in target.channels]
    return f"{who} ({language.say(', ').join(ways)})" if ways else who


def reasons(row: AlertRow, language: Language) -> list[tuple[str, str]]:
    """The outcomes a person may choose for this alert: a technical one is no call, a call no technical fault."""
    of_a_call = tuple(reason for reason in REASONS if reason != TECHNICAL)
    wanted = (TECHNICAL, "test", "duplicate") if row.category == TECHNICAL else of_a_call
    return [(code, phrases.word(language, phrases.REASONS, code)) for code in wanted]


# --- posts and sites


@dataclass(frozen=True, slots=True)
class DeviceView:
    id: str
    site: str
    post: str
    presence: str
    presence_word: str
    seen_ms: int | None
    seen_ago: str
    press_iso: str
    press_clock: str
    firmware: str
    link: str
    supply: str


PRESENCE_ORDER = {"lost": 0, "late": 1, "never": 2, "alive": 3}


def devices(
    rows: Iterable[Mapping[str, Any]],
    zones: Mapping[str, str],
    presses: Mapping[str, int],
    language: Language,
    now_ms: int,
) -> list[DeviceView]:
    """The posts, those that would not work first. `zones` maps sites to time zones, `presses` devices to instants."""
    found = []
    for row in sorted(rows, key=lambda row: (PRESENCE_ORDER[row["presence"]], row["site_name"], row["id"])):
        beat, info = loads(row["beat"]), loads(row["info"])
        press_ms = presses.get(row["id"])
        zone = ZoneInfo(zones.get(row["site"], DEFAULT_ZONE))
        found.append(
            DeviceView(
                id=row["id"],
                site=row["site_name"],
                post=row["name"],
                presence=row["presence"],
                presence_word=phrases.word(language, phrases.PRESENCES, row["presence"]),
                seen_ms=row["last_seen_ms"],
                seen_ago="" if row["last_seen_ms"] is None else language.ago(row["last_seen_ms"], now_ms),
                press_iso="" if press_ms is None else iso(press_ms),
                press_clock="" if press_ms is None else language.dated(press_ms, now_ms, zone),
                firmware=str(info.get("fw", "")),
                link=_link(beat, language),
                supply=_supply(beat, language),
            )
        )
    return found


def _link(beat: Mapping[str, Any], language: Language) -> str:
    """ "-67 dBm, 2 waiting" """
    parts = []
    if beat.get("rssi"):
        parts.append(f"{beat['rssi']} dBm".replace("-", "−"))
    if beat.get("spool"):
        parts.append(language.plural("%(num)d waiting", "%(num)d waiting", beat["spool"]))
    return language.say(", ").join(parts)


def _supply(beat: Mapping[str, Any], language: Language) -> str:
    """ "4.97 V" """
    supply_mv = beat.get("mv")
    if not supply_mv:
        return ""
    volts = f"{supply_mv / 1000:.2f} V"
    return volts.replace(".", ",") if language.code == "fr" else volts


@dataclass(frozen=True, slots=True)
class SiteView:
    id: str
    name: str
    address: str
    posts: int
    policy: str
    reporting: str
    phone: str


def sites(
    rows: Iterable[Mapping[str, Any]], devices: Iterable[Mapping[str, Any]], language: Language
) -> list[SiteView]:
    held: dict[str, int] = {}
    for device in devices:
        held[device["site"]] = held.get(device["site"], 0) + 1
    return [
        SiteView(
            row["id"],
            row["name"],
            row["address"],
            held.get(row["id"], 0),
            row["policy"] or "",
            language.span(row["reporting_ms"]),
            row["phone"],
        )
        for row in sorted(rows, key=lambda row: row["name"])
    ]


def phones(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The numbers to dial if the screen goes dark: each site's, once, most used first; 112 where there is no site."""
    used: dict[str, int] = {}
    for row in rows:
        if row["phone"]:
            used[row["phone"]] = used.get(row["phone"], 0) + 1
    return sorted(used, key=lambda phone: (-used[phone], phone))[:3] or ["112"]


def zone_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """The zone of the clock in the bar: that of most sites."""
    zones = [row["timezone"] for row in rows]
    return max(sorted(set(zones)), key=zones.count) if zones else DEFAULT_ZONE


def initials(name: str) -> str:
    """At most two letters."""
    return "".join(part[0] for part in name.split()[:2]).upper() or "?"


def spoken(row: AlertRow, language: Language) -> str | None:
    """What a screen reader hears when the row is new; a taken alert needs no one."""
    if row.status != "raised":
        return None
    return phrases.spoken(language, row, priority(row.category, row.mode))
