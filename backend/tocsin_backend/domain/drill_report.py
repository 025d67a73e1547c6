"""The report of a drill: who was told, who answered in what time, what did not confirm, which post nobody pressed.

It is made once, at the end, and kept as canonical JSON with the ids of people, never their names: whoever reads it puts
the names in, and a person who is erased stays erased. Spans are ms from the first contact of the alert's first press.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median_low
from typing import Any, Final

from .windows import Window

Row = Mapping[str, Any]

VERSION: Final = 1
REACHED: Final = ("handed", "delivered", "seen")
NOTICES: Final = ("notify",)


def write(
    window: Window,
    ended_ms: int,
    posts: Sequence[Row],
    alerts: Sequence[Row],
    dispatches: Sequence[Row],
    answers: Sequence[Row],
    ledgers: Sequence[Row],
) -> dict[str, Any]:
    """The report. Rows have the columns that store/windows.py reads.

    {"version", "window", "presses", "alerts": [{"alert", "device", "raised_ms", "contact_ms", "presses", "told":
    [{"person" or null, "target", "channel", "status", "after_ms", "error"}], "answers": [{"person", "channel",
    "after_ms"}]}], "answered": {"n", "of", "median_ms", "worst_ms"}, "unconfirmed": [{"device", "alert", "output",
    "why"}], "never_pressed": [{"device", "name", "site", "site_name"}]}
    """
    contacts: dict[str, int] = {}
    for each in ledgers:
        contacts[each["alert_id"]] = min(each["contact_ms"], contacts.get(each["alert_id"], each["contact_ms"]))
    sent = _by_alert(dispatches)
    taken = _by_alert(answers)
    told: list[dict[str, Any]] = []
    spans: list[int] = []
    for alert in alerts:
        contact_ms: int = contacts[alert["id"]] if alert["id"] in contacts else alert["raised_ms"]
        answered = [
            {"person": each["person_id"], "channel": each["channel"], "after_ms": each["at_ms"] - contact_ms}
            for each in taken[alert["id"]]
        ]
        if answered:
            spans.append(min(each["after_ms"] for each in answered))
        told.append(
            {
                "alert": alert["id"], "device": alert["device"], "site": alert["site"],
                "raised_ms": alert["raised_ms"], "contact_ms": contact_ms, "presses": alert["presses"],
                "told": [_told(each, contact_ms) for each in sent[alert["id"]] if each["kind"] in NOTICES],
                "answers": answered,
            }
        )  # fmt: skip
    pressed = {alert["device"] for alert in alerts}
    return {
        "version": VERSION,
        "window": {
            "id": window.id, "org": window.org, "site": window.site, "title": window.title,
            "starts_ms": window.starts_ms, "ends_ms": window.ends_ms, "ended_ms": ended_ms,
        },
        "presses": sum(alert["presses"] for alert in alerts),
        "alerts": told,
        "answered": {
            "n": len(spans), "of": len(alerts), "median_ms": median_low(spans) if spans else None,
            "worst_ms": max(spans) if spans else None,
        },
        "unconfirmed": _unconfirmed(alerts, [each for each in dispatches if each["created_ms"] < ended_ms], ledgers),
        "never_pressed": [dict(post) for post in posts if post["device"] not in pressed],
    }  # fmt: skip


def dump(report: Mapping[str, Any]) -> str:
    """As it is stored."""
    return json.dumps(report, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def load(text: str) -> dict[str, Any]:
    """What `dump` wrote."""
    report: dict[str, Any] = json.loads(text)
    return report


def _by_alert(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for each in rows:
        found[each["alert_id"]].append(each)
    return found


def _told(notice: Row, contact_ms: int) -> dict[str, Any]:
    handed_ms = notice["handed_ms"]
    return {
        "person": notice["person_id"], "target": notice["target"], "channel": notice["channel"],
        "status": notice["status"], "after_ms": None if handed_ms is None else handed_ms - contact_ms,
        "error": notice["error"],
    }  # fmt: skip


def _unconfirmed(alerts: Sequence[Row], dispatches: Sequence[Row], ledgers: Sequence[Row]) -> list[dict[str, Any]]:
    """Outputs that were ordered and never said that they moved, and notices that reached nobody."""
    by_id = {alert["id"]: alert for alert in alerts}
    found: list[dict[str, Any]] = []

    def note(alert_id: str, output: str, why: str) -> None:
        row = {"device": by_id[alert_id]["device"], "alert": alert_id, "output": output, "why": why}
        if row not in found:
            found.append(row)

    for each in ledgers:
        if by_id[each["alert_id"]]["silent"]:
            continue  # nothing was to show
        if each["lamp_sent_ms"] is None:
            note(each["alert_id"], "lamp:stored", "not confirmed")
    for each in dispatches:
        is_lamp = each["kind"] == "lamp" and each["status"] in ("pending", "failed")
        is_alarm = each["kind"] == "actuate" and each["status"] not in ("delivered", "seen", "cancelled")
        if is_lamp or is_alarm:
            note(each["alert_id"], each["target"], each["error"] or "not confirmed")
        elif each["kind"] in NOTICES and each["status"] == "failed":
            note(each["alert_id"], f"{each['channel']} {each['target']}", each["error"] or "failed")
    return found


WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "fr": {
        "heading": "EXERCICE : {title}",
        "presses": "Appuis : {n}",
        "answered": "Appels pris : {n} sur {of}",
        "times": "Délai de prise : médiane {median}, le plus long {worst}",
        "told": "Prévenus",
        "answers": "Réponses",
        "unconfirmed": "Sans confirmation",
        "line": "{device} : {output} ({why})",
        "never": "Bornes jamais pressées",
        "nobody": "personne",
        "nothing": "aucune",
        "erased": "personne effacée",
        "screens": "écrans des superviseurs",
        "lamp": "voyant « {word} »",
        "alarm-on": "alarme {group}, mise en marche de {device}/{output}",
        "alarm-off": "alarme {group}, arrêt de {device}/{output}",
        "by": "{who}, par {channel}",
        "after": "après {span}",
        "point": ",",
    },
    "en": {
        "heading": "EXERCICE (drill): {title}",
        "presses": "Presses: {n}",
        "answered": "Calls taken: {n} of {of}",
        "times": "Time to answer: median {median}, longest {worst}",
        "told": "Told",
        "answers": "Answers",
        "unconfirmed": "Not confirmed",
        "line": "{device}: {output} ({why})",
        "never": "Posts nobody pressed",
        "nobody": "nobody",
        "nothing": "none",
        "erased": "erased person",
        "screens": "supervisors' screens",
        "lamp": 'lamp "{word}"',
        "alarm-on": "alarm {group}, {device}/{output} on",
        "alarm-off": "alarm {group}, {device}/{output} off",
        "by": "{who}, by {channel}",
        "after": "after {span}",
        "point": ".",
    },
}

# What the engine wrote, in people's words. An error of a provider has none: it is said as it came.
TERMS: Final[Mapping[str, Mapping[str, str]]] = {
    "fr": {
        "pending": "en attente", "leased": "envoi en cours", "handed": "envoyé", "delivered": "remis", "seen": "vu",
        "failed": "échec", "cancelled": "devenu inutile", "not confirmed": "non confirmé",
        "unconfirmed": "jamais confirmé", "email": "courriel", "sms": "SMS", "push": "notification", "link": "lien",
        "api": "API", "siren": "sortie d'alarme", "stored": "appel envoyé", "answered": "appel pris en charge",
        "closed": "éteint", "fallback": "appel envoyé par le site lui-même",
    },
    "en": {
        "pending": "waiting", "leased": "being sent", "handed": "sent", "cancelled": "not needed any more",
        "unconfirmed": "never confirmed", "email": "e-mail", "sms": "SMS", "api": "API", "siren": "alarm output",
        "stored": "call sent", "answered": "call answered", "closed": "off",
        "fallback": "call sent by the site itself",
    },
}  # fmt: skip


def lines(report: Mapping[str, Any], names: Mapping[int, str], language: str) -> list[tuple[int, str]]:
    """The report to be read: (depth, text). Depth 0 is the title, 1 a heading, 2 and 3 what stands below."""
    language = "fr" if language == "fr" else "en"
    words = WORDS[language]
    answered = report["answered"]
    found = [
        (0, words["heading"].format(title=report["window"]["title"])),
        (1, words["presses"].format(n=report["presses"])),
        (1, words["answered"].format(**answered)),
    ]
    if answered["n"]:
        spans = {"median": _span(answered["median_ms"], words), "worst": _span(answered["worst_ms"], words)}
        found.append((1, words["times"].format(**spans)))
    for alert in report["alerts"]:
        found.append((1, f"{alert['site']} / {alert['device']}"))
        for heading, rows in (("told", alert["told"]), ("answers", alert["answers"])):
            found.append((2, words[heading]))
            found += [(3, _line(each, names, language)) for each in rows] or [(3, words["nobody"])]
    found.append((1, words["unconfirmed"]))
    for each in report["unconfirmed"]:
        said = {"output": _output(each["output"], names, language), "why": _term(each["why"], language)}
        found.append((2, words["line"].format(device=each["device"], **said)))
    if not report["unconfirmed"]:
        found.append((2, words["nothing"]))
    found.append((1, words["never"]))
    found += [(2, f"{each['site_name']} / {each['name'] or each['device']}") for each in report["never_pressed"]] or [
        (2, words["nothing"])
    ]
    return found


def _line(row: Row, names: Mapping[int, str], language: str) -> str:
    words = WORDS[language]
    person = row["person"]
    who = _target(row["target"], names, language) if person is None else names.get(person) or words["erased"]
    facts = [_term(row["channel"], language)]
    if "status" in row:
        facts.append(_term(row["status"], language))
    if row["after_ms"] is not None:
        facts.append(words["after"].format(span=_span(row["after_ms"], words)))
    return f"{who} ({', '.join(facts)})"


def _output(output: str, names: Mapping[int, str], language: str) -> str:
    """A lamp or an alarm by its own name, a notice by whom and what: "Anne, par courriel"."""
    channel, space, target = output.partition(" ")
    if not space:
        return _target(output, names, language)
    words = {"who": _target(target, names, language), "channel": _term(channel, language)}
    return WORDS[language]["by"].format(**words)


def _target(target: str, names: Mapping[int, str], language: str) -> str:
    """Whom or what a dispatch's target stands for."""
    words = WORDS[language]
    kind, _, rest = target.partition(":")
    if kind == "person" and rest.partition("/")[0].isdigit():
        return names.get(int(rest.partition("/")[0])) or words["erased"]
    if kind == "lamp":
        return words["lamp"].format(word=_term(rest, language))
    if kind == "alarm" and rest.count("/") == 3:
        group, device, output, word = rest.split("/")
        return words[f"alarm-{word}"].format(group=group, device=device, output=output)
    return words["screens"] if target == "console" else target


def _term(word: str, language: str) -> str:
    return TERMS[language].get(word, word)


def _span(ms: int, words: Mapping[str, str]) -> str:
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s".replace(".", words["point"])
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


CSV_COLUMNS: Final = ("alert", "site", "device", "what", "who", "channel", "status", "after_ms", "detail")


def table(report: Mapping[str, Any], names: Mapping[int, str]) -> list[tuple[str, ...]]:
    """The report as rows of CSV_COLUMNS: a line per notice, per answer, per output without confirmation, per post."""
    rows: list[tuple[str, ...]] = []
    for alert in report["alerts"]:
        place = (alert["alert"], alert["site"], alert["device"])
        for what, each in [("told", row) for row in alert["told"]] + [("answer", row) for row in alert["answers"]]:
            who = each.get("target", "") if each["person"] is None else names.get(each["person"], "")
            after = "" if each["after_ms"] is None else str(each["after_ms"])
            rows.append((*place, what, who, each["channel"], each.get("status", ""), after, each.get("error") or ""))
    for each in report["unconfirmed"]:
        rows.append((each["alert"], "", each["device"], "unconfirmed", each["output"], "", "", "", each["why"]))
    for each in report["never_pressed"]:
        rows.append(("", each["site"], each["device"], "never-pressed", "", "", "", "", each["name"]))
    return rows
