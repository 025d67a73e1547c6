"""What a monitoring centre is told of an alert: SIA event codes, and names in the letters that every receiver reads.

| alert | DC-05 (Contact ID) | DC-03 (SIA) |
|---|---|---|
| call, threat | 120 panic | PA, over: PR |
| personal | 121 duress | HA, over: HR |
| silent, whatever it is | 122 silent panic | HA, over: HR |
| technical: a post is silent | 381 supervision lost | YC, over: YK |
| technical: opened, tampered with | 137 tamper | TA, over: TR |
| technical: a gateway is silent | 350 communication trouble | YC, over: YK |
| technical: anything else | 380 sensor trouble | YX, over: YZ |

A test by hand is 601 and RX. An event begins with qualifier 1 and ends, when the alert is closed, with 3. That somebody
answered has no code: it is told to nobody there.
"""

import unicodedata
from collections.abc import Mapping
from typing import Final

from . import alerts, dispatches
from .alerts import Alert

NEW, RESTORED = "1", "3"  # qualifiers of DC-05
CONTACT_ID, SIA = "ADM-CID", "SIA-DCS"
PROTOCOLS: Final = (CONTACT_ID, SIA)
TEST: Final = "601"
TEXT_MAX: Final = 60  # characters of the text beside an event

# DC-05 code -> (DC-03 code, DC-03 code when it is over)
CODES: Final[Mapping[str, tuple[str, str]]] = {
    "120": ("PA", "PR"),
    "121": ("HA", "HR"),
    "122": ("HA", "HR"),
    "137": ("TA", "TR"),
    "350": ("YC", "YK"),
    "380": ("YX", "YZ"),
    "381": ("YC", "YK"),
    "601": ("RX", "RX"),
}
TECHNICAL: Final[Mapping[str, str]] = {"lost": "381", "tamper": "137", "gateway-lost": "350"}


def code(alert: Alert) -> str:
    """The DC-05 code of an alert."""
    if alert.category == alerts.TECHNICAL:
        return TECHNICAL.get(alert.subject, "380")
    if alert.silent:
        return "122"
    return "121" if alert.category == "personal" else "120"


def event(alert: Alert, kind: str) -> tuple[str, str] | None:
    """(qualifier, DC-05 code) of a dispatch of this kind; None when the centre has no word for it."""
    if kind == dispatches.NOTIFY:
        return NEW, code(alert)
    if kind == dispatches.CLOSED:
        return RESTORED, code(alert)
    return None


def content(protocol: str, account: str, happened: tuple[str, str], group: int, zone: int) -> bytes:
    """The data of a frame, without its brackets. `group` 0 to 99 is the site, `zone` 0 to 999 the post."""
    qualifier, number = happened
    if protocol == CONTACT_ID:
        return f"#{account}|{qualifier}{number} {group:02} {zone:03}".encode("ascii")
    return f"#{account}|Nri{group}/{CODES[number][qualifier == RESTORED]}{zone:03}".encode("ascii")


def plain(text: str) -> str:
    """A name in letters, digits and a few signs of ASCII: brackets end a block, and receivers drop the rest.

    Accents are taken off, so that "Lycée" is still read.
    """
    bare = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    kept = "".join(each if each.isalnum() or each in " .,'-/:" else " " for each in bare)
    return " ".join(kept.split())[:TEXT_MAX].strip()
