"""An alert as a message of the Common Alerting Protocol, OASIS CAP 1.2: what other command systems read.

    place = Place("Lycée de l'Emperi", "Grille nord", latitude=43.64, longitude=5.09, insee="13103")
    issued = compose(alert, place, earlier, "tocsin-5c1d2f6a", "demo@tocsin.example.org", now_ms, zone)

The first message of an alert is an Alert; what changes later is an Update that references the ones before; closing as
false, malicious, duplicate, test or drill is a Cancel; closing otherwise is an Update that says all clear. The scope is
always Restricted: a call for help names a place where somebody is in danger. It is no public warning, and FR-Alert, the
population's, is the authorities' own: nothing here is meant for it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from xml.etree import ElementTree as ET  # writes only: nothing that came from outside is parsed

from . import alerts
from .alerts import Alert

NAMESPACE: Final = "urn:oasis:names:tc:emergency:cap:1.2"
ALERT, UPDATE, CANCEL = "Alert", "Update", "Cancel"
STATUS: Final[Mapping[str, str]] = {alerts.REAL: "Actual", alerts.DRILL: "Exercise", "probe": "Test"}
CANCELLING: Final = ("false", "malicious", "duplicate", "test", "drill")
EXPIRES_MS: Final = 86_400_000  # an Update that comes in time begins a new span
REFERENCES_MAX: Final = 20  # the first message and the newest: a call that nobody answers for hours stays readable
TEXT_MAX: Final = 500  # characters of a name: what somebody typed by mistake fills no screen
RADIUS_KM: Final = 0.2  # around the site: a post stands at its gate
LANGUAGES: Final = ("fr-FR", "en-GB")
RESTRICTION: Final = "Diffusion restreinte aux centres désignés / For the designated centres only"

_NOT_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2, Char
_NOT_IN_NAMES: Final = re.compile(r"[\s,<&]")  # CAP 1.2 §3.2.1: identifier and sender hold none of these

PHRASES: Final[Mapping[str, Mapping[str, str]]] = {
    "fr-FR": {
        "call": "Appel à l'aide",
        "personal": "Appel à l'aide d'une personne menacée",
        "threat": "Alerte menace",
        "technical": "Défaut technique",
        "attack": "Alerte attentat ou intrusion",
        "shelter": "Alerte : mise à l'abri",
        "evacuate": "Alerte : évacuation",
        "raised": "{event} : {place}",
        "unanswered": "{event}, sans réponse : {place}",
        "answered": "{event}, prise en charge : {place}",
        "over": "Fin d'alerte : {place}",
        "withdrawn": "Alerte annulée ({reason}) : {place}",
        "pressed": "Signalé {presses} fois depuis {device}.",
        "exercise": "EXERCICE {text}",
        "reason-false": "fausse alerte",
        "reason-malicious": "malveillance",
        "reason-duplicate": "doublon",
        "reason-test": "essai",
        "reason-drill": "exercice",
    },
    "en-GB": {
        "call": "Call for help",
        "personal": "Call for help of a person under threat",
        "threat": "Threat alert",
        "technical": "Technical fault",
        "attack": "Attack or intrusion alert",
        "shelter": "Alert: take shelter",
        "evacuate": "Alert: evacuate",
        "raised": "{event}: {place}",
        "unanswered": "{event}, still unanswered: {place}",
        "answered": "{event}, taken in charge: {place}",
        "over": "All clear: {place}",
        "withdrawn": "Alert withdrawn ({reason}): {place}",
        "pressed": "Signalled {presses} times from {device}.",
        "exercise": "EXERCICE {text}",
        "reason-false": "false alarm",
        "reason-malicious": "malicious",
        "reason-duplicate": "duplicate",
        "reason-test": "test",
        "reason-drill": "drill",
    },
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is: names as people wrote them, degrees WGS 84, codes of the commune (INSEE) and the school (UAI)."""

    site: str
    device: str
    address: str = ""
    latitude: float | None = None
    longitude: float | None = None
    insee: str = ""
    uai: str = ""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A message of the same alert that was issued before: what a later one references, and what it said."""

    identifier: str
    sent: str
    kind: str
    state: str


@dataclass(frozen=True, slots=True)
class Issued:
    """A message ready to be issued: `body` is the XML, `state` what it says of the alert."""

    identifier: str
    sent: str
    kind: str
    state: str
    body: str


def state(alert: Alert) -> str:
    """What of an alert is worth a message: two messages of one state would say the same."""
    silence = "/unanswered" if alert.unanswered else ""
    return f"{alert.status}/{alert.epoch}/{alert.severity}{silence}" + (f"/{alert.reason}" if alert.reason else "")


def compose(
    alert: Alert,
    place: Place,
    earlier: Sequence[Earlier],
    identifier: str,
    sender: str,
    now_ms: int,
    zone: tzinfo = UTC,
) -> Issued | None:
    """The message that says how the alert is now; None when the last one says it already, or none was begun.

    `earlier` is in the order of issue. `zone` is the site's: CAP wants local time with its offset.
    """
    said = state(alert)
    if (earlier and earlier[-1].state == said) or (not earlier and alert.status == alerts.CLOSED):
        return None
    withdrawn = alert.status == alerts.CLOSED and alert.reason in CANCELLING
    kind = ALERT if not earlier else CANCEL if withdrawn else UPDATE
    sent = moment(now_ms, zone)
    identifier, sender = _NOT_IN_NAMES.sub("-", _clean(identifier)), _NOT_IN_NAMES.sub("-", _clean(sender))
    root = ET.Element("alert", {"xmlns": NAMESPACE})
    _add(root, "identifier", identifier)
    _add(root, "sender", sender)
    _add(root, "sent", sent)
    _add(root, "status", STATUS[alert.mode])
    _add(root, "msgType", kind)
    _add(root, "source", "Tocsin")
    _add(root, "scope", "Restricted")
    _add(root, "restriction", RESTRICTION)
    if alert.mode == alerts.DRILL:
        _add(root, "note", "EXERCICE")
    elif kind == CANCEL:
        _add(root, "note", PHRASES["fr-FR"][f"reason-{alert.reason}"])
    if earlier:
        named = [earlier[0], *earlier[1:][-(REFERENCES_MAX - 1) :]]
        _add(root, "references", " ".join(f"{sender},{each.identifier},{each.sent}" for each in named))
    _add(root, "incidents", alert.id)
    for language in LANGUAGES:
        _info(root, alert, place, language, kind, moment(now_ms + EXPIRES_MS, zone), moment(alert.raised_ms, zone))
    body = '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")
    return Issued(identifier, sent, kind, said, body)


def moment(at_ms: int, zone: tzinfo) -> str:
    """An instant as CAP writes it: seconds, an offset, and never "Z" (§3.3.2)."""
    local = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone)
    offset = local.utcoffset() or timedelta()
    minutes = int(offset.total_seconds()) // 60
    sign = "+" if minutes > 0 else "-"
    return f"{local:%Y-%m-%dT%H:%M:%S}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _info(root: ET.Element, alert: Alert, place: Place, language: str, kind: str, expires: str, onset: str) -> None:
    words = PHRASES[language]
    over = alert.status == alerts.CLOSED
    technical = alert.category == alerts.TECHNICAL
    event = words.get(alert.scenario) or words[alert.category]
    info = ET.SubElement(root, "info")
    _add(info, "language", language)
    _add(info, "category", "Infra" if technical else "Security")
    _add(info, "event", event)
    _add(info, "responseType", "AllClear" if over else "Monitor" if alert.status == alerts.ANSWERED else "Assess")
    _add(info, "urgency", "Past" if over else "Expected" if technical else "Immediate")
    _add(info, "severity", _severity(alert))
    _add(info, "certainty", _certainty(alert, kind))
    _add(info, "onset", onset)
    _add(info, "expires", expires)
    where = ", ".join(each for each in (_short(place.site), _short(place.device)) if each)
    reason = words.get(f"reason-{alert.reason}", "")
    if kind == CANCEL:
        headline = words["withdrawn"].format(reason=reason, place=where)
    elif over:
        headline = words["over"].format(place=where)
    elif alert.status == alerts.ANSWERED:
        headline = words["answered"].format(event=event, place=where)
    else:
        headline = words["unanswered" if alert.unanswered else "raised"].format(event=event, place=where)
    if alert.mode == alerts.DRILL:
        headline = words["exercise"].format(text=headline)
    detail = words["pressed"].format(presses=alert.presses, device=_short(place.device) or alert.device)
    _add(info, "headline", headline)
    _add(info, "description", f"{headline}\n{detail}")
    for name, value in (
        ("UAI", place.uai),
        ("TocsinSite", alert.site),
        ("TocsinDevice", alert.device),
        ("TocsinCategory", alert.category),
        ("TocsinEpoch", str(alert.epoch)),
        ("TocsinSilent", "1" if alert.silent else ""),
    ):
        if value:
            parameter = ET.SubElement(info, "parameter")
            _add(parameter, "valueName", name)
            _add(parameter, "value", _short(value))
    _area(info, place)


def _area(info: ET.Element, place: Place) -> None:
    area = ET.SubElement(info, "area")
    _add(area, "areaDesc", ", ".join(each for each in (_short(place.site), _short(place.address)) if each))
    latitude, longitude = place.latitude, place.longitude
    if latitude is not None and longitude is not None and abs(latitude) <= 90 and abs(longitude) <= 180:
        _add(area, "circle", f"{latitude:.6f},{longitude:.6f} {RADIUS_KM}")
    if place.insee:
        geocode = ET.SubElement(area, "geocode")
        _add(geocode, "valueName", "INSEE")
        _add(geocode, "value", _short(place.insee))


def _severity(alert: Alert) -> str:
    if alert.category == alerts.TECHNICAL:
        return "Minor"
    gravest = alert.category == "threat" or alert.silent or alert.severity > 0 or alert.scenario == "attack"
    return "Extreme" if gravest else "Severe"


def _certainty(alert: Alert, kind: str) -> str:
    """A press was seen; what it means was not, until a person closes it as real."""
    if kind == CANCEL:
        return "Unlikely"
    return "Observed" if alert.reason == "real" or alert.category == alerts.TECHNICAL else "Likely"


def _short(text: str) -> str:
    return text.strip()[:TEXT_MAX]


def _clean(text: str) -> str:
    """Without what XML 1.0 cannot hold (S18)."""
    return _NOT_XML.sub("", text)


def _add(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = _clean(text)
