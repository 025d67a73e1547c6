"""What was seen at the posts against what the backend's database holds: lost, duplicates, lies, violations. Pure.

Every instant is of one wall clock: epoch ns for what the boards' pins said, epoch ms in the database. A press is named
by the identity its firmware wrote on its own flash, (device, boot, n), so that nothing has to be guessed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid5

from tocsin_backend.domain.alerts import NAMESPACE

MS = 1_000_000  # ns
# A blink of 125 ms was seen frozen for 1.1 s when ten programs shared two cores; this long, it is steady to any eye.
STEADY_MS = 3_000
HOPS = ("contact_ms", "published_ms", "received_ms", "held_ms", "stored_ms")

Row = dict[str, Any]


@dataclass
class Pressed:
    """One press that the firmware kept: on flash since `known_ns` at the latest; chirped at `shown_ns`, None if not."""

    device: str
    b: int
    n: int
    contact_ns: int
    known_ns: int
    shown_ns: int | None


@dataclass(frozen=True)
class Tone:
    """The buzzer began the tones of `what`: "sent" or "answered"."""

    device: str
    at_ns: int
    what: str


@dataclass(frozen=True)
class Lit:
    """The lamp showed one colour without a break: yellow is "sent", green "answered"."""

    device: str
    from_ns: int
    to_ns: int
    what: str


@dataclass(frozen=True)
class _Said:
    """The post said `what` by `how`, at the latest at `at_ns`, of the newest press it knew at `of_ns`."""

    device: str
    of_ns: int
    at_ns: int
    what: str
    how: str


@dataclass
class Verdict:
    """Each list holds one sentence a case; all empty is what the system promises."""

    lost: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    lies: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicates or self.lies or self.violations)


@dataclass
class Tables:
    """Rows of the backend's tables, by the names of their columns."""

    signals: list[Row]
    alerts: list[Row]
    answers: list[Row]
    ledgers: list[Row]
    dispatches: list[Row]


def judge(
    presses: Iterable[Pressed], shown: Iterable[Tone | Lit], tables: Tables, notices: Iterable[str] = ()
) -> Verdict:
    """The verdict on a run that has come to rest. `notices` are the message ids that arrived, once per arrival."""
    presses = list(presses)
    verdict = Verdict()
    signals = [row for row in tables.signals if row["kind"] == "press"]
    stored = {(row["device"], row["b"], row["n"]): row for row in signals}
    alerts = {row["id"]: row for row in tables.alerts}
    _judge_lost(verdict, presses, stored, alerts)
    _judge_duplicates(verdict, presses, signals, alerts)
    _judge_notices(verdict, tables.dispatches, notices)
    _judge_lies(verdict, presses, shown, stored, tables.answers)
    _judge_ledgers(verdict, tables.ledgers, stored)
    return verdict


def _judge_lost(verdict: Verdict, presses: list[Pressed], stored: dict[Any, Row], alerts: dict[str, Row]) -> None:
    for press in presses:
        row = stored.get((press.device, press.b, press.n))
        if row is None:
            verdict.lost.append(f"{_name(press)} is on the post's flash and in no signal")
        elif row["alert_id"] not in alerts:
            verdict.lost.append(f"{_name(press)} is stored without its alert")


def _judge_duplicates(verdict: Verdict, presses: list[Pressed], signals: list[Row], alerts: dict[str, Row]) -> None:
    pressed = {(press.device, press.b, press.n) for press in presses}
    for key, count in Counter((row["device"], row["b"], row["n"]) for row in signals).items():
        if count > 1:
            verdict.duplicates.append(f"{key} is stored {count} times")
        if key not in pressed:
            verdict.duplicates.append(f"{key} is stored and nobody pressed it")
    members: dict[str, list[Row]] = defaultdict(list)
    for row in signals:
        members[row["alert_id"]].append(row)
    for alert in alerts.values():
        if alert["category"] != "call" or alert.get("mode") == "probe":
            continue
        own = members[alert["id"]]
        keys = {f"{row['org']}/{row['device']}/{row['b']}-{row['n']}" for row in own}
        if alert["id"] not in {str(uuid5(NAMESPACE, key)) for key in keys}:
            verdict.duplicates.append(f"alert {alert['id']} was not made by a press of its own")
        if alert["presses"] != len(own):
            verdict.violations.append(f"alert {alert['id']} counts {alert['presses']} presses and has {len(own)}")
    for dedup, count in Counter(row["dedup"] for row in alerts.values() if row["status"] != "closed").items():
        if count > 1:
            verdict.duplicates.append(f"{count} open alerts for {dedup}")


def _judge_notices(verdict: Verdict, dispatches: list[Row], notices: Iterable[str]) -> None:
    marked = {row["id"]: row["maybe_dup"] for row in dispatches}
    for message, count in Counter(notices).items():
        if message not in marked:
            verdict.violations.append(f"notice {message} was received and is no dispatch")
        elif count > 1 and not marked[message]:
            verdict.violations.append(f"notice {message} was received {count} times and is not marked maybe_dup")


def _judge_lies(
    verdict: Verdict, presses: list[Pressed], shown: Iterable[Tone | Lit], stored: dict[Any, Row], answers: list[Row]
) -> None:
    answered: dict[str, int] = {}
    for row in answers:
        answered[row["alert_id"]] = min(row["at_ms"], answered.get(row["alert_id"], row["at_ms"]))
    by_device: dict[str, list[Pressed]] = defaultdict(list)
    for press in presses:
        by_device[press.device].append(press)
    for light in (said for one in shown for said in _sayings(one, by_device)):
        known = [press for press in by_device[light.device] if press.known_ns <= light.of_ns]
        # The lamp follows the newest press that is on the flash; one being written just then may be it, or not.
        candidates = [max(known, key=lambda press: (press.b, press.n))] if known else []
        candidates += [press for press in by_device[light.device] if press.contact_ns <= light.of_ns < press.known_ns]
        lies = [_lie(light, press, stored, answered) for press in candidates]
        if not candidates:
            verdict.lies.append(f"{light.device} said {light.what} by {light.how} before anybody pressed")
        elif all(lies):
            verdict.lies.append(lies[0])


def _lie(light: _Said, press: Pressed, stored: dict[Any, Row], answered: dict[str, int]) -> str:
    """What is untrue in what was said, if it was said of this press; empty when it is true."""
    row = stored.get((press.device, press.b, press.n))
    if row is None:
        return f"{_name(press)} was shown {light.what} and is not stored"
    truth_ms = row["stored_ms"] if light.what == "sent" else answered.get(row["alert_id"])
    if truth_ms is None:
        return f"{_name(press)} was shown answered by {light.how} and nobody answered"
    if light.at_ns < truth_ms * MS:
        early_ms = (truth_ms * MS - light.at_ns) / MS
        return f"{_name(press)} was shown {light.what} by {light.how} {early_ms:.1f} ms early"
    return ""


def _sayings(shown: Tone | Lit, by_device: dict[str, list[Pressed]]) -> list[_Said]:
    """What a tone says at once; what a light says of each press it outlasted by STEADY_MS."""
    if isinstance(shown, Tone):
        return [_Said(shown.device, shown.at_ns, shown.at_ns, shown.what, "tone")]
    told = [press.known_ns for press in by_device[shown.device] if shown.from_ns < press.known_ns < shown.to_ns]
    return [
        _Said(shown.device, of_ns, of_ns + STEADY_MS * MS, shown.what, "light")
        for of_ns in (shown.from_ns, *told)
        if shown.to_ns - of_ns >= STEADY_MS * MS
    ]


def _judge_ledgers(verdict: Verdict, ledgers: list[Row], stored: dict[Any, Row]) -> None:
    kept = {(row["device"], row["b"], row["n"]) for row in ledgers}
    for key in stored.keys() - kept:
        verdict.violations.append(f"{key} has no ledger")
    for row in ledgers:
        instants = [row[hop] for hop in HOPS]
        if instants != sorted(instants):
            verdict.violations.append(f"the ledger of {row['device']} {row['b']}-{row['n']} goes back: {instants}")
        later = {name: row[name] for name in ("handed_ms", "answered_ms") if row[name] is not None}
        for name, at_ms in later.items():
            if at_ms < row["stored_ms"]:
                verdict.violations.append(f"{row['device']} {row['b']}-{row['n']}: {name} is before stored_ms")


def _name(press: Pressed) -> str:
    return f"{press.device} {press.b}-{press.n}"
