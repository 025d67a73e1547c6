"""What people read: every phrase, in one file. French is the default; English is complete (a test compares the keys).

`compose` gives the message of one dispatch, the same for every channel: a subject of one line, a text, and the facts
as a dict for machines. Every text of a drill begins with EXERCICE (invariant 10), also the English one: it is the word
on the French post.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from unicodedata import combining, normalize

from . import alerts, dispatches
from .alerts import Alert
from .dispatches import Dispatch
from .localtime import is_zone, local

DEFAULT_LANGUAGE: Final = "fr"
DRILL_WORD: Final = "EXERCICE"
SHORT_MAX: Final = 160  # characters of one short message in the GSM 7-bit alphabet
_GSM7: Final = frozenset(
    "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_SPELT: Final = {
    "œ": "oe",
    "Œ": "OE",
    "’": "'",
    "‘": "'",
    "«": '"',
    "»": '"',
    "–": "-",
    "—": "-",
    "…": "...",
    "€": "EUR",
}

PHRASES: Final[Mapping[str, Mapping[str, str]]] = {
    "fr": {
        "notify": "Appel à l'aide : {place}",
        "notify-again": "Appel à l'aide sans réponse : {place}",
        "notify-personal": "Alerte d'une personne isolée : {place}",
        "notify-threat": "Alerte de mise en sûreté : {place}",
        "notify-attack": "Attentat ou intrusion : {place}",
        "notify-shelter": "Mise à l'abri : {place}",
        "notify-evacuate": "Évacuation : {place}",
        "notify-probe": "Essai automatique : {place}",
        "unanswered": "Sans réponse. {notice}",
        "info": "Clôture à confirmer par une seconde personne : {place}",
        "silent": "Alerte silencieuse : rien ne se voit ni ne s'entend sur place, n'y appelez pas.",
        "severity": "Appuis répétés : gravité {severity}.",
        "help": "Renfort demandé par qui est sur place.",
        "also-needed": "{who} a répondu ; une autre réponse est nécessaire.",
        "answer-link": "Répondre : {link}",
        "answer-code": "Répondre {code}",
        "progress-en-route": "en route",
        "progress-on-site": "sur place",
        "progress-needs-help": "demande du renfort",
        "notify-technical": "Défaut technique : {place}, {subject}",
        "taken": "Pris en charge par {who} : {place}",
        "closed": "Terminé ({reason}) : {place}",
        "pressed": "Bouton pressé à {time}, {presses} fois.",
        "noticed": "Constaté à {time}, {presses} fois.",
        "reopened": "Rouvert : la prise en charge précédente n'a pas abouti.",
        "act": "Répondez depuis la console : {link}",
        "reference": "Référence : {id}",
        "reason-real": "réel",
        "reason-false": "fausse alerte",
        "reason-malicious": "malveillance",
        "reason-test": "essai",
        "reason-drill": "exercice",
        "reason-duplicate": "doublon",
        "reason-technical": "technique",
        "reason-cleared": "rétabli",
        "reason-probe": "essai automatique réussi",
        "reason-probe-failed": "essai automatique échoué",
        "subject-lost": "poste muet",
        "subject-stuck": "bouton coincé",
        "subject-held-at-boot": "bouton enfoncé au démarrage",
        "subject-counter-went-back": "carte effacée ou remplacée sans nouvelle clé",
        "subject-fault": "défaut signalé par le poste",
        "subject-dropped": "le poste a perdu des faits",
        "subject-ack-rejected": "le poste a refusé des accusés",
        "subject-empty-step": "une étape n'a personne à prévenir",
        "subject-step-undeliverable": "une étape n'a pu être transmise à personne",
        "subject-unanswered": "un appel reste sans réponse",
        "subject-centre-lost": "un centre de télésurveillance ne répond plus",
        "subject-centre-path": "un centre de télésurveillance ne répond que par une voie",
        "subject-unanswered-of": "un appel de {org} reste sans réponse",
        "subject-probe-overdue": "l'essai automatique n'est pas venu",
        "subject-probe-failed": "l'essai automatique n'a pas abouti",
        "subject-alarm-undelivered": "une sortie d'alarme n'a pas confirmé",
        "subject-lateness": "des échéances sont servies en retard",
        "subject-engine-silent": "le moteur d'alerte est resté muet",
        "nobody": "personne",
    },
    "en": {
        "notify": "Call for help: {place}",
        "notify-again": "Call for help, still unanswered: {place}",
        "notify-personal": "Alarm of a lone worker: {place}",
        "notify-threat": "Alert to take shelter: {place}",
        "notify-attack": "Attack or intrusion: {place}",
        "notify-shelter": "Take shelter: {place}",
        "notify-evacuate": "Evacuation: {place}",
        "notify-probe": "Automatic test: {place}",
        "unanswered": "Still unanswered. {notice}",
        "info": "Closing to be confirmed by a second person: {place}",
        "silent": "Silent alert: nothing shows or sounds on site; do not call there.",
        "severity": "Repeated presses: severity {severity}.",
        "help": "Whoever is on site asks for help.",
        "also-needed": "{who} has answered; one more answer is needed.",
        "answer-link": "Answer: {link}",
        "answer-code": "Reply {code}",
        "progress-en-route": "on the way",
        "progress-on-site": "on site",
        "progress-needs-help": "asks for help",
        "notify-technical": "Technical fault: {place}, {subject}",
        "taken": "Taken by {who}: {place}",
        "closed": "Closed ({reason}): {place}",
        "pressed": "Button pressed at {time}, {presses} times.",
        "noticed": "Noticed at {time}, {presses} times.",
        "reopened": "Reopened: whoever had taken it did not see it through.",
        "act": "Answer from the console: {link}",
        "reference": "Reference: {id}",
        "reason-real": "real",
        "reason-false": "false alarm",
        "reason-malicious": "malicious",
        "reason-test": "test",
        "reason-drill": "drill",
        "reason-duplicate": "duplicate",
        "reason-technical": "technical",
        "reason-cleared": "recovered",
        "reason-probe": "automatic test passed",
        "reason-probe-failed": "automatic test failed",
        "subject-lost": "the post is silent",
        "subject-stuck": "the button is stuck",
        "subject-held-at-boot": "the button was held at start-up",
        "subject-counter-went-back": "the board was erased or replaced without new credentials",
        "subject-fault": "the post reports a fault",
        "subject-dropped": "the post lost facts",
        "subject-ack-rejected": "the post refused acknowledgements",
        "subject-empty-step": "a step has nobody to tell",
        "subject-step-undeliverable": "a step could be delivered to nobody",
        "subject-unanswered": "a call remains unanswered",
        "subject-centre-lost": "a monitoring centre does not answer",
        "subject-centre-path": "a monitoring centre answers by one path only",
        "subject-unanswered-of": "a call of {org} remains unanswered",
        "subject-probe-overdue": "the automatic test did not come",
        "subject-probe-failed": "the automatic test did not go through",
        "subject-alarm-undelivered": "an alarm output did not confirm",
        "subject-lateness": "timers are served late",
        "subject-engine-silent": "the alert engine was silent",
        "nobody": "nobody",
    },
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the post is, in people's words, and in whose local time; `org` is whose it is, for another organisation."""

    site: str
    device: str
    zone: str = "Europe/Paris"
    org: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: `subject` is one line without control characters; `facts` is JSON for machines.

    `short` fits one short message: at most SHORT_MAX characters of the GSM 7-bit alphabet.
    """

    subject: str
    text: str
    facts: dict[str, object]
    short: str = ""


def phrase(language: str, key: str, **words: object) -> str:
    """The phrase in this language, or in French; a subject or reason without a phrase is said as it is."""
    table = PHRASES.get(language, PHRASES[DEFAULT_LANGUAGE])
    found = table.get(key)
    return key.partition("-")[2] if found is None else found.format(**words)


def one_line(text: str) -> str:
    """Without control characters: a hostile name makes no second header, line or message."""
    if text.isprintable():
        return text.strip()
    return "".join(character if character.isprintable() else " " for character in text).strip()


def compose(
    dispatch: Dispatch,
    alert: Alert,
    place: Place,
    language: str,
    taken_by: str,
    base_url: str,
    link: str = "",
    code: str = "",
) -> Message:
    """The message of this dispatch. `taken_by` is a person's name or empty; `base_url` the console's address.

    `link` and `code` are how whoever reads it answers: a signed one-time address, and what to reply to a short message.
    """
    where = one_line(", ".join(each for each in (place.org, place.site, place.device) if each))
    who = one_line(taken_by) or phrase(language, "nobody")
    subject = _subject(dispatch, alert, where, who, place.org, language)
    if alert.mode == alerts.DRILL:
        subject = f"{DRILL_WORD} {subject}"
    page = f"{base_url}/console/alerts/{alert.id}"
    time = local_time(alert.raised_ms, place.zone)
    what = "noticed" if alert.category == alerts.TECHNICAL else "pressed"
    lines = [subject, phrase(language, what, time=time, presses=alert.presses)]
    if dispatch.kind == dispatches.NOTIFY:
        lines += _circumstances(alert, who, language)
        lines.append(phrase(language, "answer-link", link=link) if link else phrase(language, "act", link=page))
    lines.append(phrase(language, "reference", id=alert.id))
    ways = [phrase(language, "answer-code", code=code)] if code else []
    short = shortened(f"{subject}, {time}", [*ways, *([link] if link else [])])
    text = "\n".join(lines)
    facts: dict[str, object] = {
        "id": dispatch.id,
        "kind": dispatch.kind,
        "maybe_dup": dispatch.maybe_dup,
        "epoch": dispatch.epoch,
        "pass": dispatch.pass_,
        "step": dispatch.step,
        "alert": {
            "id": alert.id,
            "org": alert.org,
            "device_org": alert.device_org,
            "site": alert.site,
            "device": alert.device,
            "category": alert.category,
            "mode": alert.mode,
            "silent": alert.silent,
            "scenario": alert.scenario,
            "status": alert.status,
            "subject": alert.subject,
            "reason": alert.reason,
            "progress": alert.progress,
            "severity": alert.severity,
            "presses": alert.presses,
            "unanswered": alert.unanswered,
            "raised_ms": alert.raised_ms,
            "about": alert.about_id,
        },
        "subject": subject,
        "text": text,
        "link": page,
        "answer": link,  # "" where there is nothing to answer
    }
    return Message(subject, text, facts, short)


def _subject(dispatch: Dispatch, alert: Alert, where: str, who: str, org: str, language: str) -> str:
    if dispatch.kind == dispatches.TAKEN:
        return phrase(language, "taken", who=who, place=where)
    if dispatch.kind == dispatches.CLOSED:
        return phrase(language, "closed", reason=phrase(language, f"reason-{alert.reason}"), place=where)
    if dispatch.kind == dispatches.INFO:
        return phrase(language, "info", place=where)
    if alert.category == alerts.TECHNICAL:
        of = "-of" if alert.subject == "unanswered" and org else ""
        about = phrase(language, f"subject-{alert.subject}{of}", org=one_line(org))
        return phrase(language, "notify-technical", subject=about, place=where)
    if alert.mode == alerts.PROBE:
        return phrase(language, "notify-probe", place=where)
    if alert.category == alerts.CALL:
        return phrase(language, "notify-again" if alert.unanswered else "notify", place=where)
    notice = phrase(language, f"notify-{_kind(alert)}", place=where)
    return phrase(language, "unanswered", notice=notice) if alert.unanswered else notice


def _kind(alert: Alert) -> str:
    """What a threat or a personal alert is called: by its scenario where it has one."""
    known = alert.scenario and f"notify-{alert.scenario}" in PHRASES[DEFAULT_LANGUAGE]
    return alert.scenario if known else alert.category


def _circumstances(alert: Alert, who: str, language: str) -> list[str]:
    """What a notice adds: whether it is silent, severe, reopened, or short of one more answer."""
    lines = []
    if alert.silent:
        lines.append(phrase(language, "silent"))
    if alert.severity:
        lines.append(phrase(language, "severity", severity=alert.severity))
    if alert.status == alerts.ANSWERED:
        lines.append(phrase(language, "also-needed", who=who))
    elif alert.progress == alerts.NEEDS_HELP:
        lines.append(phrase(language, "help"))
    elif alert.reopened_ms is not None:
        lines.append(phrase(language, "reopened"))
    return lines


def shortened(text: str, endings: list[str]) -> str:
    """`text` in the GSM 7-bit alphabet, cut so that it and the whole `endings` make one short message."""
    tail = "".join(f" {gsm7(each)}" for each in endings)
    room = SHORT_MAX - len(tail)
    plain = gsm7(text)
    return (plain if len(plain) <= room else plain[: max(0, room - 1)].rstrip() + ".") + tail


def gsm7(text: str) -> str:
    """The text in the basic GSM 7-bit alphabet (3GPP TS 23.038, table 6.2.1.1): one character each, others without
    their accent, or "?"."""
    line = one_line(text)
    if _GSM7.issuperset(line):
        return line
    made = []
    for character in line:
        if character in _GSM7:
            made.append(character)
            continue
        spelt = _SPELT.get(character) or normalize("NFKD", character)
        made.append("".join(each if each in _GSM7 else "?" for each in spelt if not combining(each)))
    return "".join(made)


def local_time(at_ms: int, zone: str) -> str:
    """HH:MM:SS on the clocks of this zone; in UTC, and said so, where there is no such zone."""
    return f"{local(at_ms, zone):%H:%M:%S}" if is_zone(zone) else f"{local(at_ms, 'UTC'):%H:%M:%S} UTC"
