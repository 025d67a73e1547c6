"""How people answer without the console: a signed link that works once, and a code that is sent back by SMS.

Nothing is stored before it is used. A link is the dispatch's id with a MAC of it; a code is six digits of another MAC.
Both belong to one person, through the dispatch, and end with the alert's epoch or after a day. A code alone is no
secret: it counts only from the telephone that received it, and five wrong ones close that telephone for a while.

    replies = Replies.of(secret)                       # the server's secret
    replies.token(dispatch_id)                         # 'Xwx6YgAAQACAAAAAAAAAAX…', for /a/<token>
    replies.dispatch_of(token)                         # the id, or None
    parse("Oui 482113")                                # Reply(TAKE, '482113')
"""

import hmac
import re
import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

LIFE_MS: Final = 86_400_000  # of a link and a code
MAC_BYTES: Final = 16
CODE_DIGITS: Final = 6
WRONG_MAX: Final = 5  # wrong codes from one number
HEARD_MAX: Final = 30  # messages from one number: beyond, no reply: two machines must not write to each other for ever
WRONG_WITHIN_MS: Final = 600_000

TAKE, EN_ROUTE, ON_SITE, NEEDS_HELP = "take", "en-route", "on-site", "needs-help"
NO, STOP, UNCLEAR = "no", "stop", "unclear"
PROGRESS: Final = (EN_ROUTE, ON_SITE, NEEDS_HELP)

# What a message may say beside its code; the first that fits. Refusals come before what they contain.
WORDS: Final = (
    (STOP, ("STOP", "ARRET", "DESABONNER", "UNSUBSCRIBE")),
    (NO, ("NON", "NO", "NE", "PAS", "NOT", "CANNOT", "CANT", "IMPOSSIBLE", "INDISPONIBLE", "UNAVAILABLE")),
    (NEEDS_HELP, ("RENFORT", "RENFORTS", "AIDE", "BACKUP", "HELP")),
    (ON_SITE, ("SUR PLACE", "SURPLACE", "ON SITE", "ONSITE", "ARRIVE SUR", "ARRIVED")),
    (EN_ROUTE, ("EN ROUTE", "ENROUTE", "ON MY WAY", "J ARRIVE", "JARRIVE", "EN CHEMIN")),
    (TAKE, ("OUI", "O", "OK", "YES", "Y", "1", "JE PRENDS", "PRIS", "D ACCORD")),
)

PHRASES: Final[Mapping[str, Mapping[str, str]]] = {
    "fr": {
        "won": "Noté : vous prenez l'appel de {place}. Puis : EN ROUTE {code}, SUR PLACE {code} ou RENFORT {code}.",
        "taken": "Noté. {who} a déjà pris l'appel de {place}.",
        "stale": "L'appel de {place} a été rouvert depuis ce message : répondez avec le code du dernier message reçu.",
        "late": "L'appel de {place} est déjà terminé. Merci.",
        "expired": "Ce code a plus de 24 heures : il ne vaut plus rien.",
        "forbidden": "Votre rôle ne permet pas de prendre cet appel. Appelez votre centre.",
        "en-route": "Noté : en route vers {place}.",
        "on-site": "Noté : sur place, {place}.",
        "needs-help": "Noté : renfort demandé, {place}. Les autres sont rappelés.",
        "not-yours": "Vous n'avez pas pris l'appel de {place} : répondez d'abord OUI {code}.",
        "no": "Noté : vous ne le prenez pas. L'appel continue auprès des autres.",
        "stop": "Ce numéro envoie des appels à l'aide : un SMS ne le coupe pas. Demandez à votre administrateur.",
        "unclear": "Pas compris. Répondez OUI suivi du code à 6 chiffres reçu, par exemple OUI 482113.",
        "wrong-code": "Ce code ne correspond à aucun appel envoyé à ce numéro. Relisez le dernier message reçu.",
        "too-many": "Trop de codes faux : ce numéro n'est plus lu pendant 10 minutes. Utilisez le lien ou la console.",
        "unknown-number": "Ce numéro n'est pas connu ici : rien n'a été enregistré.",
        "nobody": "Quelqu'un",
    },
    "en": {
        "won": "Noted: you take the call of {place}. Then: EN ROUTE {code}, ON SITE {code} or BACKUP {code}.",
        "taken": "Noted. {who} has already taken the call of {place}.",
        "stale": "The call of {place} was raised again since that message: answer with the code of the newest message.",
        "late": "The call of {place} is over already. Thank you.",
        "expired": "That code is more than 24 hours old: it is worth nothing any more.",
        "forbidden": "Your role cannot take this call. Telephone your centre.",
        "en-route": "Noted: on your way to {place}.",
        "on-site": "Noted: on site, {place}.",
        "needs-help": "Noted: backup asked for, {place}. The others are called again.",
        "not-yours": "You have not taken the call of {place}: answer YES {code} first.",
        "no": "Noted: you do not take it. The call goes on with the others.",
        "stop": "This number sends calls for help: it cannot be silenced by SMS. Ask your administrator.",
        "unclear": "Not understood. Answer YES and the 6 digits you were sent, such as YES 482113.",
        "wrong-code": "That code belongs to no call that was sent to this number. Look at the newest message.",
        "too-many": "Too many wrong codes: this number is not read for 10 minutes. Use the link or the console.",
        "unknown-number": "This number is not known here: nothing was recorded.",
        "nobody": "Somebody",
    },
}

_SPACES = re.compile(r"[^A-Z0-9]+")
_CODE = re.compile(rf"(?<![0-9])[0-9]{{{CODE_DIGITS}}}(?![0-9])")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a message says: one of TAKE, PROGRESS, NO, STOP, UNCLEAR, and its code ("" where there is none)."""

    what: str
    code: str


@dataclass(frozen=True, slots=True)
class Replies:
    """Links and codes under two keys of their own."""

    link_key: bytes
    code_key: bytes

    @staticmethod
    def of(secret: bytes) -> "Replies":
        """The keys that follow from the server's secret."""
        made = (hmac.digest(secret, b"tocsin/1 " + use, "sha256") for use in (b"answer-link", b"answer-code"))
        return Replies(*made)

    def token(self, dispatch_id: str) -> str:
        """What stands in the link of this dispatch: 43 characters."""
        raw = UUID(dispatch_id).bytes
        return urlsafe_b64encode(raw + self._mac(raw)).decode().rstrip("=")

    def dispatch_of(self, token: str) -> str | None:
        """The dispatch that this token was made for; None when we did not make it."""
        try:
            raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (NotBase64, ValueError):
            return None
        if len(raw) != 16 + MAC_BYTES or not hmac.compare_digest(raw[16:], self._mac(raw[:16])):
            return None
        found = str(UUID(bytes=raw[:16]))
        return found if self.token(found) == token else None  # one spelling a link

    def code(self, dispatch_id: str) -> str:
        """The reply code of this dispatch: 100000 to 999999, for a telephone may eat a leading zero."""
        made = hmac.digest(self.code_key, UUID(dispatch_id).bytes, "sha256")
        least = 10 ** (CODE_DIGITS - 1)
        return str(least + int.from_bytes(made[:8], "big") % (9 * least))

    def matching(self, code: str, dispatch_ids: Iterable[str]) -> str | None:
        """The first of these dispatches whose code this is."""
        return next((each for each in dispatch_ids if hmac.compare_digest(self.code(each), code)), None)

    def _mac(self, raw: bytes) -> bytes:
        return hmac.digest(self.link_key, raw, "sha256")[:MAC_BYTES]


def parse(text: str) -> Reply:
    """What a person wrote back: "OUI 482113", "482113", "sur place 482113"; accents, case and blanks do not count.

    A message that says more than we know is UNCLEAR: it takes nothing, for it may be a refusal.
    """
    bare = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    plain = _SPACES.sub(" ", bare.upper()).strip()
    codes = set(_CODE.findall(plain))
    said = _SPACES.sub(" ", _CODE.sub(" ", plain)).strip()
    code = codes.pop() if len(codes) == 1 else ""
    words = f" {said} "
    what = next((kind for kind, phrases in WORDS if any(f" {each} " in words for each in phrases)), UNCLEAR)
    if not said:
        what = TAKE
    if what == STOP:
        return Reply(STOP, code)
    return Reply(what if code else UNCLEAR, code)


def phrase(language: str, key: str, **words: object) -> str:
    """What is written back, in this language or in French."""
    return PHRASES.get(language, PHRASES["fr"])[key].format(**words)


def standing(*, created_ms: int, now_ms: int, used: str, closed: bool, current: bool, answered: bool) -> str:
    """What a link or code is worth now: "expired", what became of its use, "late", "stale", "taken" or "open".

    `used`: its outcome, "" before. `current`: the alert is still in the epoch that it was sent in.
    """
    if now_ms - created_ms > LIFE_MS:
        return "expired"
    if used:
        return used
    if closed:
        return "late"
    if not current:
        return "stale"
    return "taken" if answered else "open"


@dataclass(frozen=True, slots=True)
class Patience:
    """How often one number was heard, and wrong, since `since_ms`."""

    since_ms: int
    heard: int = 0
    wrong: int = 0


def heard(before: Patience | None, now_ms: int, wrong: bool) -> Patience:
    """After one more message of that number."""
    if before is None or now_ms - before.since_ms > WRONG_WITHIN_MS:
        before = Patience(now_ms)
    return Patience(before.since_ms, before.heard + 1, before.wrong + (1 if wrong else 0))


def is_closed(patience: Patience | None, now_ms: int) -> bool:
    """Whether a number has to wait: what it writes is neither looked at nor answered."""
    if patience is None or now_ms - patience.since_ms > WRONG_WITHIN_MS:
        return False
    return patience.wrong >= WRONG_MAX or patience.heard >= HEARD_MAX
