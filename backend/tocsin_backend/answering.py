"""Answers that come back without the console: through the link of a notice, or by SMS with its code.

Whoever opens a link changes nothing: mail scanners open them all. Taking is one transaction: the answer, the use of the
link, and the proof that the contact method works. What a stranger writes is answered with one sentence, logged without
a name or a number, and after five wrong codes not looked at for ten minutes.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from tocsin_backend.domain import alerts, contacts, dispatches, replies, rights
from tocsin_backend.domain.escalation import Reported, Sent, Take
from tocsin_backend.domain.replies import Patience, Replies
from tocsin_backend.engine import Engine
from tocsin_backend.errors import Forbidden, NotFound
from tocsin_backend.ingest.refusing import Refusals
from tocsin_backend.modems import DELIVERED, Modems, outcome_of
from tocsin_backend.store import alerts as alert_rows
from tocsin_backend.store import dispatches as dispatch_rows
from tocsin_backend.store import downlink, links
from tocsin_backend.store.database import Database, Priority, notes
from tocsin_backend.store.links import Told

log = logging.getLogger(__name__)

NUMBERS_MAX = 10_000  # telephones whose patience is remembered; beyond, the oldest is forgotten
FORBIDDEN = "forbidden"
WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Standing:
    """A notice and what its link is worth now; `told` is None when it is nobody's or too old to be shown.

    `state`: unknown, expired, withdrawn (its contact method is used no more), open, taken (by somebody else, or
    too late to be first), won, stale, late, forbidden.
    `may_report`: whether progress can be said through it.
    """

    state: str
    told: Told | None = None
    may_report: bool = False
    said: str = ""  # what was just reported


class Answering:
    """Thread-safe. `keys`: what links and codes are made with. `modems`: who waits for a gateway's word.

    `refusals`: where evidence is kept of what is not believed.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        keys: Replies,
        modems: Modems,
        now_ms: Callable[[], int],
        refusals: Refusals | None = None,
    ) -> None:
        self._refusals = refusals
        self._database = database
        self._engine = engine
        self._modems = modems
        self._replies = keys
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._patience: OrderedDict[str, Patience] = OrderedDict()

    # -- by link

    def look(self, token: str) -> Standing:
        """What a link is worth; nothing changes. Raises Unavailable."""
        dispatch_id = self._replies.dispatch_of(token)
        if dispatch_id is None:
            return Standing("unknown")
        with self._database.read() as conn:
            return self._standing(conn, dispatch_id)

    def take(self, token: str) -> Standing:
        """The person behind the link takes the alert. Raises Unavailable."""
        dispatch_id = self._replies.dispatch_of(token)
        return Standing("unknown") if dispatch_id is None else self._take(dispatch_id, "link")

    def progress(self, token: str, what: str) -> Standing:
        """The person behind a link that was used says how it goes: one of replies.PROGRESS. Raises Unavailable."""
        dispatch_id = self._replies.dispatch_of(token)
        return Standing("unknown") if dispatch_id is None else self._progress(dispatch_id, what)

    # -- by SMS

    def by_sms(self, number: str, text: str, org: str | None = None) -> str:
        """What is written back; "" for nothing. `org`: whose gateway heard it. Raises Unavailable."""
        try:
            number = contacts.number(number)
        except contacts.BadAddress:
            log.warning("an SMS came from what is no telephone number")
            return ""
        now_ms = self._now_ms()
        with self._lock:
            closed = replies.is_closed(self._patience.get(number), now_ms)
        if closed:
            log.warning("an SMS was left unread: its number wrote too often, or too many wrong codes")
            self._refused(org or "", "sms-too-many")
            return ""
        reply = replies.parse(text)
        with self._database.read() as conn:
            known = links.codes_of(conn, number, now_ms - replies.LIFE_MS, org)
            # Whoever a notice of this organisation went to may answer it, at a desk of another one as well.
            owner = links.owner_of(conn, number, None if known else org)
        dispatch_id = self._replies.matching(reply.code, known) if reply.code else None
        wrong = owner is None or (bool(reply.code) and dispatch_id is None)
        closes = self._heard(number, now_ms, wrong)
        if owner is None:
            log.warning("an SMS came from a number that nobody has")
            self._refused(org or "", "sms-unknown-number")
            return replies.phrase("fr", "unknown-number")
        language, whose = owner
        if reply.what in (replies.STOP, replies.UNCLEAR):
            return replies.phrase(language, "too-many" if closes else reply.what)
        if dispatch_id is None:
            log.warning("an SMS was refused: no call with that code went to its number")
            self._refused(org or whose, "sms-wrong-code")
            return replies.phrase(language, "too-many" if closes else "wrong-code")
        return self._reply(dispatch_id, reply)

    def _refused(self, org: str, reason: str) -> None:
        """Evidence of what was not believed: when, whose and why; neither the number nor the words."""
        if self._refusals is not None:
            self._refusals.keep(org, "", "sms", b"", reason, self._now_ms())

    def _reply(self, dispatch_id: str, reply: replies.Reply) -> str:
        if reply.what == replies.NO:
            with self._database.read() as conn:
                found = self._standing(conn, dispatch_id)
            return self._phrase(found, "no", reply.code)
        found = self._take(dispatch_id, "code")
        if reply.what in replies.PROGRESS and found.may_report:
            found = self._progress(dispatch_id, reply.what)
            return self._phrase(found, found.said or found.state, reply.code)
        return self._phrase(found, found.state, reply.code)

    def _phrase(self, found: Standing, key: str, code: str) -> str:
        told = found.told
        if told is None:
            return replies.phrase("fr", "expired")
        mine = key == "taken" and told.taken_by == told.person_id
        who = told.taker or replies.phrase(told.language, "nobody")
        place = ", ".join(part for part in (told.site, told.device) if part)
        return replies.phrase(told.language, "won" if mine else key, place=place, who=who, code=code)

    def _heard(self, number: str, now_ms: int, wrong: bool) -> bool:
        """Whether nothing more is read of this number for a while because it was wrong too often."""
        with self._lock:
            after = self._patience[number] = replies.heard(self._patience.pop(number, None), now_ms, wrong)
            if len(self._patience) > NUMBERS_MAX:
                self._patience.popitem(last=False)
        return wrong and after.wrong >= replies.WRONG_MAX

    def by_modem(self, org: str, gateway: str, reports: list[tuple[str, str, str]]) -> int:
        """(id, word, error) of messages that a gateway's modem had: how many of them changed something.

        The first word goes to the worker that waits for it here. Without one (it waits in another process, or waits no
        longer) the word is recorded, and so is "delivered" whenever it comes. A message of another organisation, or a
        word that comes twice, changes nothing. Raises Unavailable.
        """
        changed = 0
        for message_id, word, error in reports:
            waited = self._modems.heard(org, gateway, message_id, word, error)
            changed += waited or self._said(org, gateway, message_id, word, error)
        return changed

    def _said(self, org: str, gateway: str, dispatch_id: str, word: str, error: str) -> bool:
        def job(conn: Connection) -> bool:
            found = links.reported(conn, dispatch_id)
            if found is None or found[1:] != (org, contacts.SMS, f"gateway:{gateway}"):
                return False
            alert = alert_rows.get(conn, found[0])
            now = dispatch_rows.get(conn, dispatch_id)
            assert alert is not None, "a dispatch belongs to an alert (foreign key)"
            assert now is not None, "it was just read"
            event: Sent | Reported
            if word == DELIVERED and now.status in (dispatches.HANDED, *dispatches.REACHED):
                event = Reported(dispatch_id, dispatches.DELIVERED)
            else:
                outcome = outcome_of(gateway, word, error)
                expected = (dispatches.LEASED, dispatches.PENDING, dispatches.CANCELLED)
                if now.status not in (expected if outcome.accepted else expected[:1]):
                    return False
                if not outcome.accepted:
                    downlink.withdraw(conn, dispatch_id)
                event = Sent(dispatch_id, outcome)
            return self._engine.outbox.apply(conn, alert, event, self._now_ms()).outcome != "ignored"

        return self._database.write(job, Priority.ENGINE).result()

    # -- both

    def _standing(self, conn: Connection, dispatch_id: str, said: str = "") -> Standing:
        told = links.told(conn, dispatch_id)
        if told is None:
            return Standing("unknown")
        state = replies.standing(
            created_ms=told.created_ms, now_ms=self._now_ms(), used=told.used, closed=told.status == alerts.CLOSED,
            current=told.epoch == told.alert_epoch, answered=told.status == alerts.ANSWERED,
        )  # fmt: skip
        if state == "expired" or not told.kept:  # a lost telephone, switched off here: it is shown no place
            return Standing(state if state == "expired" else WITHDRAWN)
        if state in ("open", "taken") and not _may_answer(told):
            return Standing(FORBIDDEN, told)
        return Standing(state, told, self._may_report(conn, told), said)

    @staticmethod
    def _may_report(conn: Connection, told: Told) -> bool:
        current = told.status == alerts.ANSWERED and told.epoch == told.alert_epoch
        return current and links.has_answered(conn, told.alert_id, told.epoch, told.person_id)

    def _take(self, dispatch_id: str, way: str) -> Standing:
        def job(conn: Connection) -> Standing:
            before = self._standing(conn, dispatch_id)
            told = before.told
            if told is None or told.used or before.state == FORBIDDEN:
                return before
            alert = alert_rows.get(conn, told.alert_id)
            assert alert is not None, "a dispatch belongs to an alert (foreign key)"
            now_ms = self._now_ms()
            taken = self._engine.outbox.apply(conn, alert, Take(told.person_id, told.channel, told.epoch), now_ms)
            links.use(conn, dispatch_id, way, taken.outcome, now_ms)
            links.prove(conn, dispatch_id, now_ms)
            notes(conn).catalogue = True
            return self._standing(conn, dispatch_id)

        return self._database.write(job, Priority.ACTION).result()

    def _progress(self, dispatch_id: str, what: str) -> Standing:
        with self._database.read() as conn:
            before = self._standing(conn, dispatch_id)
        told = before.told
        if told is None or not before.may_report:
            return before
        try:
            said = self._engine.progress(told.person_org, told.alert_id, told.person_id, what, told.epoch)
        except (Forbidden, NotFound):
            return Standing(FORBIDDEN, told)
        with self._database.read() as conn:
            return self._standing(conn, dispatch_id, what if said in ("recorded", "reopened") else "")


def _may_answer(told: Told) -> bool:
    return bool(told.active) and rights.may(told.role, "answer", told.category)
