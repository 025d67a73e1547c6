"""A scenario played on the engine itself: who is told, when, by what, if this happens. For testers and trainers.

A scenario is a TOML document: people, one policy, calendars and rosters as in their own files, and events at seconds
after its start: presses, answers, closes, channels that go down and up, a clock that jumps, a drill that begins.
Nothing is stored and nothing leaves. The format is described in simulators/README.md.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from . import alerts, calendars, dispatches, policies, rosters
from .alerts import Alert, Answer
from .dispatches import Dispatch, Outcome
from .documents import BadDocument, Reader
from .escalation import apply
from .events import Close, Due, Event, Press, Sent, Take
from .localtime import is_zone
from .people import Directory, Method, Person
from .policies import Policy
from .turn import Changes, Rows, Told

ORG: Final = "scenario"
MAX_EVENTS: Final = 1_000
MAX_LINES: Final = 20_000
ROLES: Final = ("administrator", "supervisor", "technician", "observer")
DEEDS: Final = ("press", "answer", "close", "down", "up", "clock_s", "drill")
KEYS: Final = ("title", "start", "timezone", "minutes", "person", "policy", "calendar", "roster", "event", "above")
PERSON_KEYS: Final = ("login", "name", "role", "channels", "external")
EVENT_KEYS: Final = ("at_s", *DEEDS, "device", "reason", "silent")
SAID: Final = ("answered", "closed", "reopened", "empty-step", "step-undeliverable", "unanswered", "second-needed")

PHRASES: Final = {
    "fr": {
        "press": "{who} : appel", "drill-press": "{who} : appel d'exercice", "notify": "→ {who}, par {by}",
        "taken": "→ {who}, par {by} : l'alerte est prise", "closed": "→ {who}, par {by} : l'alerte est close",
        "info": "→ {who}, par {by} : une deuxième personne doit clore", "refused": "échec : {who}, par {by}",
        "lamp": "voyant du poste : {by}", "down": "panne : {who}", "up": "rétabli : {who}",
        "clock": "l'horloge saute de {by} s, redémarrage", "drill-begins": "l'exercice commence",
        "drill-ends": "l'exercice finit", "answer": "{who} répond : {by}", "close": "{who} clôt : {by}",
        "fact": "{by}", "trouble": "alerte technique : {by}",
        "above": "→ {who}, organisation au-dessus : {by}",
    },
    "en": {
        "press": "{who}: press", "drill-press": "{who}: drill press", "notify": "→ {who}, by {by}",
        "taken": "→ {who}, by {by}: it is taken", "closed": "→ {who}, by {by}: it is closed",
        "info": "→ {who}, by {by}: a second person has to close it", "refused": "failed: {who}, by {by}",
        "lamp": "the post's lamp: {by}", "down": "outage: {who}", "up": "working again: {who}",
        "clock": "the clock jumps by {by} s, restart", "drill-begins": "the drill begins",
        "drill-ends": "the drill ends", "answer": "{who} answers: {by}", "close": "{who} closes: {by}",
        "fact": "{by}", "trouble": "technical alert: {by}",
        "above": "→ {who}, the organisation above: {by}",
    },
}  # fmt: skip

# What the engine calls it, in people's words; the rest is said as it is.
WORDS: Final = {
    "answered": "prise", "closed": "close", "reopened": "rouverte", "empty-step": "étape sans personne",
    "step-undeliverable": "étape non transmise", "unanswered": "sans réponse", "won": "prise", "taken": "déjà prise",
    "stale": "trop ancien", "late": "trop tard", "second-needed": "une deuxième personne doit clore", "stored": "reçu",
    "ignored": "sans effet",
}  # fmt: skip
_NAMED: Final = ("answer", "close", "fact", "trouble", "above", "lamp")


@dataclass(frozen=True, slots=True)
class Deed:
    """One event of a scenario: `what` of DEEDS, `of` its value."""

    at_ms: int
    what: str
    of: str | int | bool
    device: str = ""
    reason: str = "real"
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """`start_ms`: its first instant; `zone`: in which it is told and meant; `above`: the organisation above, or ""."""

    title: str
    start_ms: int
    span_ms: int
    zone: str
    directory: Directory
    policy: Policy
    deeds: tuple[Deed, ...]
    above: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """`at_ms` after the start: `what` of PHRASES, about `who`, by `by`."""

    at_ms: int
    what: str
    who: str = ""
    by: str = ""


_Made = TypeVar("_Made")


# -- the document


def parse(document: Mapping[str, object]) -> Scenario:
    """The scenario in a parsed TOML file. Raises documents.BadDocument with every fault."""
    reader = Reader()
    reader.keys("", document, KEYS)
    title = reader.title("title", document.get("title"))
    above = reader.title("above", document["above"]) if "above" in document else ""
    zone = document.get("timezone", "Europe/Paris")
    if not is_zone(zone):
        reader.fault("timezone", f"{zone!r} is not a time zone; such as Europe/Paris")
        zone = "UTC"
    start = document.get("start")
    if not isinstance(start, datetime) or start.tzinfo is not None:
        reader.fault("start", "must be a local time without a zone: 2026-03-14T02:10:00")
        start = datetime(2026, 1, 1)
    minutes = document.get("minutes", 60)
    if not isinstance(minutes, int) or isinstance(minutes, bool) or not 1 <= minutes <= 24 * 60:
        reader.fault("minutes", "must be 1 to 1440")
        minutes = 1
    people = dict(enumerate(_people(reader, document), 1))
    logins = {each.login: each for each in people.values()}
    made = {each.id: each for each in _each(reader, document, "calendar", calendars.parse)}
    duty = {
        each.id: each
        for each in _each(reader, document, "roster", lambda table: rosters.parse(table, logins, made, str(zone)))
    }
    known = policies.Known(
        rosters={key: rosters.members(each) for key, each in duty.items()}, hours=dict.fromkeys(made, (True, True))
    )
    policy = policies.fallback("en")
    table = document.get("policy")
    if table is not None and not isinstance(table, Mapping):
        reader.fault("policy", "must be a table [policy]")
    elif table is not None:
        ways = {login: (each.role, frozenset(way.channel for way in each.methods)) for login, each in logins.items()}
        try:
            policy = policies.parse(table, ways, known)
        except BadDocument as error:
            for fault in error.faults:
                reader.fault(f"policy.{fault.path}", fault.reason)
    deeds = tuple(sorted(_deeds(reader, document, logins), key=lambda each: each.at_ms))
    reader.refuse()
    persons = {key: replace(each, id=key) for key, each in people.items()}
    directory = Directory(persons, duty, made, {}, {}, str(zone), ORG)
    start_ms = int(start.replace(tzinfo=ZoneInfo(str(zone))).astimezone(UTC).timestamp() * 1000)
    return Scenario(title, start_ms, minutes * 60_000, str(zone), directory, policy, deeds, above)


def _each(
    reader: Reader, document: Mapping[str, object], kind: str, read: Callable[[Mapping[str, object]], _Made]
) -> list[_Made]:
    made = []
    for path, table in reader.tables(kind, document.get(kind, []), 100):
        try:
            made.append(read(table))
        except BadDocument as error:
            for fault in error.faults:
                reader.fault(f"{path}.{fault.path}", fault.reason)
    return made


def _people(reader: Reader, document: Mapping[str, object]) -> list[Person]:
    found: list[Person] = []
    ways = 0
    for path, table in reader.tables("person", document.get("person", []), 500):
        reader.keys(f"{path}.", table, PERSON_KEYS)
        login = reader.title(f"{path}.login", table.get("login"))
        if login in {each.login for each in found}:
            reader.fault(f"{path}.login", f"{login!r} is there twice")
        role = reader.word(f"{path}.role", table.get("role", "supervisor"), ROLES)
        channels = reader.words(f"{path}.channels", table.get("channels", ["webhook"]), policies.PERSONAL_CHANNELS)
        external = reader.boolean(f"{path}.external", table.get("external", False))
        methods = tuple(Method(ways + at, each, login, external) for at, each in enumerate(channels, 1))
        ways += len(methods)
        name = str(table.get("name", login))
        found.append(Person(len(found) + 1, ORG, login, name, role, "fr", methods))
    return found


def _deeds(reader: Reader, document: Mapping[str, object], people: Mapping[str, Person]) -> Iterator[Deed]:
    for path, table in reader.tables("event", document.get("event", []), MAX_EVENTS):
        reader.keys(f"{path}.", table, EVENT_KEYS)
        at_s = reader.integer(f"{path}.at_s", table.get("at_s"), 0, 86_400)
        given = [what for what in DEEDS if what in table]
        if len(given) != 1:
            reader.fault(path, f"needs exactly one of: {', '.join(DEEDS)}")
            continue
        what, of = given[0], table[given[0]]
        if what in ("answer", "close") and (not isinstance(of, str) or of not in people):
            reader.fault(f"{path}.{what}", f"{of!r} is nobody of this scenario")
        elif what in ("down", "up"):
            reader.word(f"{path}.{what}", of, ("console", *policies.PERSONAL_CHANNELS))
        elif what == "drill":
            reader.boolean(f"{path}.drill", of)
        elif what == "clock_s":
            reader.integer(f"{path}.clock_s", of, -86_400, 86_400)
        elif what == "press":
            reader.name(f"{path}.press", of)
        reason = reader.word(f"{path}.reason", table.get("reason", "real"), alerts.REASONS)
        silent = reader.boolean(f"{path}.silent", table.get("silent", False))
        value = of if isinstance(of, str | int | bool) else ""
        yield Deed(at_s * 1000, what, value, str(table.get("device", "")), reason, silent)


# -- playing it


class _Play:
    """The rows of the scenario's alerts as they become, and what has been told. `now_ms`: since the start."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.now_ms = 0
        self.ahead_ms = 0  # by how much the wall clock has jumped
        self.alerts: dict[str, Alert] = {}
        self.sent: dict[str, Dispatch] = {}
        self.answers: list[Answer] = []
        self.down: set[str] = set()
        self.drill = False
        self.presses = 0
        self.lines: list[Line] = []
        self.by_method = {way.id: each for each in scenario.directory.by_id.values() for way in each.methods}

    @property
    def wall_ms(self) -> int:
        return self.scenario.start_ms + self.now_ms + self.ahead_ms

    def say(self, what: str, who: str = "", by: str = "") -> None:
        self.lines.append(Line(self.now_ms, what, who, by))

    def apply(self, alert: Alert | None, event: Event) -> Changes:
        people = self.scenario.directory
        rows = Rows(people=people)
        if alert is not None:
            mine = tuple(each for each in self.sent.values() if each.alert_id == alert.id)
            told = frozenset(
                Told(each.person_id, each.method_id, each.channel, each.target)
                for each in mine
                if each.kind == dispatches.NOTIFY and each.status in dispatches.TOLD and each.person_id is not None
            )
            answers = tuple(each for each in self.answers if each.alert_id == alert.id)
            rows = Rows(alert, mine, told, answers, people)
        changes = apply(rows, event, self.wall_ms)
        if changes.alert is None:
            return changes
        self.alerts[changes.alert.id] = changes.alert
        self.answers = [each for each in self.answers if each not in changes.answers] + list(changes.answers)
        for entry in changes.entries:
            if entry.what in SAID:
                self.say("fact", by=entry.what)
        for trouble in changes.trouble:
            self.say("trouble", by=trouble.subject)
            if trouble.above and self.scenario.above:
                self.say("above", self.scenario.above, trouble.subject)
        for each in changes.dispatches:
            if each.kind in dispatches.ORDERS and each.status in dispatches.OPEN:
                self.say("lamp", by=each.target.partition(":")[2])
                each = replace(each, status=dispatches.DELIVERED, next_ms=None, delivered_ms=self.wall_ms)
            self.sent[each.id] = each
        return changes

    def newest(self, device: str) -> Alert | None:
        """The open alert of this device, else its last one; without a device, of all."""
        found = [each for each in self.alerts.values() if device in ("", each.device)]
        return max(found, key=lambda each: (each.status != alerts.CLOSED, each.raised_ms), default=None)

    def do(self, deed: Deed) -> None:
        who = next((each for each in self.scenario.directory.by_id.values() if each.login == deed.of), None)
        alert = self.newest(deed.device)
        if deed.what == "press":
            self.press(deed)
        elif deed.what == "answer" and who is not None and alert is not None:
            self.say("answer", who.login, self.apply(alert, Take(who.id, "console")).outcome)
        elif deed.what == "close" and who is not None and alert is not None:
            self.say("close", who.login, self.apply(alert, Close(who.id, deed.reason)).outcome)
        elif deed.what in ("down", "up"):
            self.say(deed.what, str(deed.of))
            (self.down.add if deed.what == "down" else self.down.discard)(str(deed.of))
        elif deed.what == "drill":
            self.drill = bool(deed.of)
            self.say("drill-begins" if self.drill else "drill-ends")
        elif deed.what == "clock_s":
            self.jump(int(deed.of))

    def press(self, deed: Deed) -> None:
        self.presses += 1
        device, mode = str(deed.of), alerts.DRILL if self.drill else alerts.REAL
        self.say("drill-press" if self.drill else "press", device)
        signal = f"1-{self.presses}"
        same = [
            each
            for each in self.alerts.values()
            if (each.device, each.mode, each.silent) == (device, mode, deed.silent)
        ]
        newest = max(same, key=lambda each: (each.status != alerts.CLOSED, each.raised_ms), default=None)
        frozen = policies.dump(self.scenario.policy)
        new_id = alerts.alert_id(ORG, device, signal)
        press = Press(new_id, ORG, "site", device, alerts.CALL, mode, deed.silent, "", signal, 1, frozen)
        self.apply(newest, press)

    def jump(self, seconds: int) -> None:
        """The wall clock jumps and the process starts again: no instant is further ahead than its span."""
        self.say("clock", by=f"{seconds:+d}")
        self.ahead_ms += seconds * 1000
        for key, alert in self.alerts.items():
            if alert.due_ms is not None and alert.due_ms > self.wall_ms + alert.span_ms:
                self.alerts[key] = replace(alert, due_ms=self.wall_ms + alert.span_ms)
        for key, each in self.sent.items():
            if each.next_ms is not None and each.next_ms > self.wall_ms + max(dispatches.RETRY_MS):
                self.sent[key] = replace(each, next_ms=self.wall_ms + max(dispatches.RETRY_MS))

    def serve(self) -> bool:
        """Serve one instant that has come; False when there is none."""
        for each in sorted(self.sent.values(), key=lambda one: (one.class_, one.target, one.method_id)):
            if each.status in dispatches.OPEN and each.next_ms is not None and each.next_ms <= self.wall_ms:
                self.send(dispatches.lease(each, "simulation", self.wall_ms))
                return True
        for alert in self.alerts.values():
            if alert.due_ms is not None and alert.due_ms <= self.wall_ms:
                self.apply(alert, Due())
                return True
        return False

    def send(self, leased: Dispatch) -> None:
        self.sent[leased.id] = leased
        person = self.by_method.get(leased.method_id)
        fails = leased.channel in self.down
        who = person.login if person is not None else leased.target
        self.say("refused" if fails else leased.kind, who, leased.channel)
        outcome = Outcome(False, error="outage") if fails else Outcome(True)
        self.apply(self.alerts[leased.alert_id], Sent(leased.id, outcome))

    def next_ms(self) -> int | None:
        """The next instant of a timer, since the start; None if there is none."""
        instants = [each.due_ms for each in self.alerts.values() if each.due_ms is not None]
        instants += [each.next_ms for each in self.sent.values() if each.next_ms is not None]
        return min(instants) - self.scenario.start_ms - self.ahead_ms if instants else None


def play(scenario: Scenario) -> tuple[Line, ...]:
    """What happens, in order. It ends with the scenario's time, or after MAX_LINES."""
    playing = _Play(scenario)
    coming = list(scenario.deeds)
    while len(playing.lines) < MAX_LINES:
        while playing.serve():
            pass
        if coming and coming[0].at_ms <= playing.now_ms:
            playing.do(coming.pop(0))
            continue
        ahead = [coming[0].at_ms] if coming else []
        timer_ms = playing.next_ms()
        ahead += [] if timer_ms is None else [max(timer_ms, playing.now_ms)]
        if not ahead or min(ahead) > scenario.span_ms:
            break
        playing.now_ms = min(ahead)
    return tuple(playing.lines)


def said(line: Line, scenario: Scenario, language: str) -> str:
    """The line as people read it: local time, what happened."""
    at = datetime.fromtimestamp((scenario.start_ms + line.at_ms) / 1000, ZoneInfo(scenario.zone))
    by = WORDS.get(line.by, line.by) if language == "fr" and line.what in _NAMED else line.by
    return f"{at:%H:%M:%S}  {PHRASES[language][line.what].format(who=line.who, by=by)}"
