"""Writes the generated parts of backend/ENGINE.md from the code: `python tests/domain/engine_doc.py`.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`. test_engine_doc.py fails when the page and the code
differ, or when a fact or an effect has no description here.
"""

import re
from pathlib import Path

from tocsin_backend.domain import alerts, dispatches, escalation, lateness, policies

PAGE = Path(__file__).parents[2] / "backend" / "ENGINE.md"

FACTS = {
    "press": "a new signal of a person",
    "repress": "… the last reopening more than 60 s ago, or none",
    "due": "the alert's instant has come",
    "due-missing": "… and fewer people have answered than the step asks for",
    "undeliverable": "every message of the current step failed for good",
    "answer": "a named person takes it, quoting the current epoch",
    "answer-more": "… one more of the several who must",
    "answer-cleared": "… of a technical alert whose cause is gone",
    "answer-stale": "… quoting an older epoch",
    "progress": "en route or on site, said by one who answered",
    "progress-other": "… by anybody else",
    "progress-stale": "… of an older epoch",
    "help": "whoever is there needs help",
    "escalate": "the next step by hand, quoting what is current",
    "escalate-stale": "… quoting what is past",
    "close": "a person closes, with a reason, quoting the current epoch",
    "close-first": "… as the first of the two whom it takes (silent, threat)",
    "close-same": "… as the first once more",
    "close-stale": "… quoting an older epoch",
    "all-clear": "a person switches the alarm outputs off",
    "clear": "technical: the cause went away",
    "clear-closes": "… and the policy asks for no answer",
    "return": "technical: the cause came back",
    "return-other": "… another cause, the last reopening more than 60 s ago, or none",
    "return-soon": "… another cause, sooner",
    "probed": "a probe reached its sink",
    "probe-failed": "… or did not in time",
}
EFFECTS = {
    "raise": "freeze the policy, fire step 0, alarms; the press is answered `stored`",
    "count": "count it, timeline; many presses raise the severity, or mean a stuck button",
    "count-other": "count it; the alert is due again when the minute is over",
    "advance": "next step; past the end next pass; past the last pass the last step for ever, UNANSWERED once",
    "remind": "tell those who must answer as well again",
    "skip": "next step now, and a technical alert",
    "take": "cancel unsent notices but those of colleagues who must answer too; tell the told; lamp *answered*",
    "join": "with the last of several the others are free",
    "take-and-close": "taken and closed at once",
    "note-taken": "told who has it",
    "note-stale": "written down as stale, and said so",
    "note-late": "written down as late, and said so",
    "note-stale-close": "written down, and said so",
    "progress": "the answer timeout runs from here",
    "note-progress": "written down",
    "reopen-by-press": "new epoch: step 0, and whoever had answered",
    "reopen-by-other": "new epoch: step 0, and whoever had answered",
    "reopen-by-timeout": "new epoch: step 0, and whoever had answered; lamp *sent*",
    "reopen-for-help": "new epoch: step 0, and whoever had answered; lamp *sent*",
    "hasten": "the next step now; once answered, in a new epoch",
    "close": "cancel what waits, tell the told, lamp off; alarms stay on until an all-clear",
    "ask-close": "the told are asked for a second person",
    "ask-again": "nothing more: it takes another person",
    "all-clear": "every output that this alert switched on is ordered off, until the device confirms",
    "note-cleared": "closes with the answer",
    "close-cleared": "closes by itself",
    "close-probe": "closes by itself; the order `closed` goes down and the post confirms it",
    "fail-probe": "closes by itself, and a technical alert",
    "ignore": "nothing",
}
TIMERS = {
    lateness.ALERT: "`alert.due_ms`: the next step, the next pass, the answer timeout",
    lateness.DISPATCH: "`dispatch.next_ms` of a message that waits for its try",
    lateness.LEASE: "`dispatch.next_ms` of a message that a sender holds",
    lateness.DEVICE: "`device.expected_by_ms`: the next sign of life",
    lateness.WINDOW: "`site_window.next_ms`: a drill's or a maintenance's beginning and end",
    lateness.PROBE: "`device.probe_by_ms`: the next probe",
}


def _cell(status: str, fact: str) -> str:
    after, effect = alerts.TRANSITIONS[status, fact]
    if effect == "ignore":
        return "–"
    return f"{effect} → **{after}**" if after != status else effect


def transitions() -> str:
    statuses = (alerts.NONE, alerts.RAISED, alerts.ANSWERED, alerts.CLOSED)
    lines = ["| fact | what it is | " + " | ".join(statuses) + " |", "|---|---|---|---|---|---|"]
    for fact in alerts.FACTS:
        cells = " | ".join(_cell(status, fact) for status in statuses)
        lines.append(f"| `{fact}` | {FACTS[fact]} | {cells} |")
    return "\n".join(lines)


def effects() -> str:
    assert set(EFFECTS) == set(escalation.EFFECTS)
    return "\n".join(["| effect | what happens |", "|---|---|", *(f"| {name} | {EFFECTS[name]} |" for name in EFFECTS)])


def diagram() -> str:
    edges: dict[tuple[str, str], list[str]] = {}
    for (before, fact), (after, _) in alerts.TRANSITIONS.items():
        if after != before and before != alerts.CLOSED:
            edges.setdefault((before, after), []).append(fact)
    lines = ["```mermaid", "stateDiagram-v2"]
    for (before, after), facts in edges.items():
        start = "[*]" if before == alerts.NONE else before
        lines.append(f"    {start} --> {after}: {', '.join(facts)}")
    return "\n".join([*lines, f"    {alerts.CLOSED} --> [*]", "```"])


def timers() -> str:
    assert set(TIMERS) == set(lateness.TIMERS)
    return "\n".join(
        ["| timer | instant |", "|---|---|", *(f"| `{name}` | {words} |" for name, words in TIMERS.items())]
    )


def limits() -> str:
    retries = ", ".join(str(each // 1000) for each in dispatches.RETRY_MS)
    lamps = ", ".join(str(each // 1000) for each in dispatches.LAMP_RETRY_MS)
    rows = {
        "a second press within this of the last reopening is counted only": f"{alerts.REPRESS_MS // 1000} s",
        "a lease": f"{dispatches.LEASE_MS // 1000} s from when a worker begins",
        "a refused message is tried again after": f"{retries} s",
        "tries before a message has failed": str(dispatches.MAX_ATTEMPTS),
        "a lamp or alarm order is repeated after": f"{lamps} s, then every minute, for a day",
        "a step's delay": f"{policies.MIN_DELAY_S} s to {policies.MAX_DELAY_S // 3600} h",
        "steps, targets a step, passes": f"{policies.MAX_STEPS}, {policies.MAX_TARGETS}, {policies.MAX_PASSES}",
        "a timer served later than this is a technical alert": f"{lateness.LIMIT_MS // 1000} s",
    }
    return "\n".join(["| what | bound |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


PARTS = {"diagram": diagram, "transitions": transitions, "effects": effects, "timers": timers, "limits": limits}


def page(text: str) -> str:
    """`text` with every generated part written anew. Raises KeyError for a part that has no writer."""
    return re.sub(
        r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{PARTS[match[2]]()}\n{match[3]}",
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
