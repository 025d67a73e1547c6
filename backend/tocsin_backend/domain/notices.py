"""What people read: every phrase, in one file. French is the default; English is complete (a test compares the keys).

`compose` gives the message of one dispatch, the same for every channel: a subject of one line, a text, and the facts
as a dict for machines. Every text of a drill begins with EXERCICE (invariant 10), also the English one: it is the word
on the French post.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from . import alerts, dispatches
from .alerts import Alert
from .dispatches import Dispatch

DEFAULT_LANGUAGE: Final = "fr"
DRILL_WORD: Final = "EXERCICE"

PHRASES: Final[Mapping[str, Mapping[str, str]]] = {
    "fr": {
        "notify": "Appel à l'aide : {place}",
        "notify-again": "Appel à l'aide sans réponse : {place}",
        "notify-technical": "Défaut technique : {place}, {subject}",
        "taken": "Pris en charge par {who} : {place}",
        "closed": "Terminé ({reason}) : {place}",
        "pressed": "Bouton pressé à {time} (temps universel), {presses} fois.",
        "noticed": "Constaté à {time} (temps universel), {presses} fois.",
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
        "nobody": "personne",
    },
    "en": {
        "notify": "Call for help: {place}",
        "notify-again": "Call for help, still unanswered: {place}",
        "notify-technical": "Technical fault: {place}, {subject}",
        "taken": "Taken by {who}: {place}",
        "closed": "Closed ({reason}): {place}",
        "pressed": "Button pressed at {time} (UTC), {presses} times.",
        "noticed": "Noticed at {time} (UTC), {presses} times.",
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
        "nobody": "nobody",
    },
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the post is, in people's words."""

    site: str
    device: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message: `subject` is one line without control characters; `facts` is JSON for machines."""

    subject: str
    text: str
    facts: dict[str, object]


def phrase(language: str, key: str, **words: object) -> str:
    """The phrase in this language, or in French; a subject or reason without a phrase is said as it is."""
    table = PHRASES.get(language, PHRASES[DEFAULT_LANGUAGE])
    found = table.get(key)
    return key.partition("-")[2] if found is None else found.format(**words)


def one_line(text: str) -> str:
    """Without control characters: a hostile name makes no second header, line or message."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def compose(dispatch: Dispatch, alert: Alert, place: Place, language: str, taken_by: str, base_url: str) -> Message:
    """The message of this dispatch. `taken_by` is a person's name or empty; `base_url` the console's address."""
    where = one_line(f"{place.site}, {place.device}" if place.device else place.site)
    who = one_line(taken_by) or phrase(language, "nobody")
    technical = alert.category == alerts.TECHNICAL
    if dispatch.kind == dispatches.TAKEN:
        subject = phrase(language, "taken", who=who, place=where)
    elif dispatch.kind == dispatches.CLOSED:
        subject = phrase(language, "closed", reason=phrase(language, f"reason-{alert.reason}"), place=where)
    elif technical:
        about = phrase(language, f"subject-{alert.subject}")
        subject = phrase(language, "notify-technical", subject=about, place=where)
    else:
        subject = phrase(language, "notify-again" if alert.unanswered else "notify", place=where)
    if alert.mode == alerts.DRILL:
        subject = f"{DRILL_WORD} {subject}"
    link = f"{base_url}/console/alerts/{alert.id}"
    lines = [subject]
    time = _hour(alert.raised_ms)
    lines.append(phrase(language, "noticed" if technical else "pressed", time=time, presses=alert.presses))
    if dispatch.kind == dispatches.NOTIFY:
        if alert.reopened_ms is not None:
            lines.append(phrase(language, "reopened"))
        lines.append(phrase(language, "act", link=link))
    lines.append(phrase(language, "reference", id=alert.id))
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
            "site": alert.site,
            "device": alert.device,
            "category": alert.category,
            "mode": alert.mode,
            "status": alert.status,
            "subject": alert.subject,
            "reason": alert.reason,
            "presses": alert.presses,
            "unanswered": alert.unanswered,
            "raised_ms": alert.raised_ms,
        },
        "subject": subject,
        "text": "\n".join(lines),
        "link": link,
    }
    return Message(subject, "\n".join(lines), facts)


def _hour(at_ms: int) -> str:
    """HH:MM:SS, UTC: the wall clock of a place is the console's business."""
    seconds = at_ms // 1000 % 86_400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
