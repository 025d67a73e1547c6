"""From what the domain decided to rows, leased messages, lamp orders and notes: one event, inside one transaction.

Everything that happens to an alert comes through `Outbox.apply`: a press (ingest/), a person's act and a due instant
(engine.py), the outcome of a try (engine.py), a lamp that the post confirmed (ingest/).

A notice that is due at once is leased by this process in the very transaction that decides it, and goes to its sender
with the notes of the commit: no second commit and no timer stands before the first message (P4). No network here.
"""

from dataclasses import replace

from sqlalchemy import Connection

from . import acks
from .channels import Outgoing
from .domain import alerts, bundles, contacts, dispatches, escalation, notices, policies
from .domain.alerts import Alert
from .domain.dispatches import Dispatch
from .domain.escalation import AllClear, Changes, Cleared, Press, Remark, Reported, Rows, Sent, Take, Trouble
from .domain.people import Directory
from .domain.replies import Replies
from .store import alarms, devices, downlink, links, people, signals, timeline, windows
from .store import alerts as alert_rows
from .store import dispatches as dispatch_rows
from .store.database import notes

LAMP_PRESSES = 4  # of one alert, the newest: a post that is pressed again and again holds several


NEWS = (Take, escalation.Close, Cleared)  # events that are news to whoever was told


class Outbox:
    """`owner` names this process in leases. `channels` are the names that have a sender. `base_url`: the console's.

    `replies`: what answer links and reply codes are made with; None: notices carry none.
    """

    def __init__(self, owner: str, channels: frozenset[str], base_url: str, replies: Replies | None = None) -> None:
        self._replies = replies
        self.owner = owner
        self.channels = channels
        self.base_url = base_url.rstrip("/")

    def apply(self, conn: Connection, alert: Alert, event: escalation.Event, now_ms: int) -> Changes:
        """Apply an event to a stored alert, with every row it may need."""
        if isinstance(event, AllClear):
            event = replace(event, held=alarms.on_elsewhere(conn, alert.org, alert.id))
        return self.decide(conn, self._rows(conn, alert, event, now_ms), event, now_ms)

    def raise_or_count(
        self, conn: Connection, newest: Alert | None, press: Press, now_ms: int, place: notices.Place | None = None
    ) -> Changes:
        """A press, or a technical fact: raise its alert, or count it. `newest` is the newest alert of its dedup key."""
        if newest is not None and newest.status != alerts.CLOSED:
            return self.apply(conn, newest, press, now_ms)
        who = people.directory(conn, press.org, escalation.load(press.frozen), site=press.site, from_ms=now_ms)
        return self.decide(conn, Rows(newest, people=who), press, now_ms, place)

    def technical(
        self,
        conn: Connection,
        org: str,
        site: str,
        device: str,
        subject: str,
        now_ms: int,
        device_org: str = "",
        about_id: str | None = None,
        mutable: bool = True,
        **detail: object,
    ) -> Changes:
        """Something would not work: one open technical alert a device bundles everything that is wrong with it.

        Without a device (""), one a subject. `device_org` and `about_id`: the device and the alert are another
        organisation's, whose next one up `org` is. `mutable`: maintenance of the site keeps it from people.
        """
        version, frozen = devices.technical_policy(conn, org)
        whose = f"{device_org}/{device}" if device_org not in ("", org) else device
        press = Press(
            alert_id=alerts.alert_id(org, whose, f"{subject}-{now_ms}"),
            org=org,
            site=site,
            device=device,
            category=alerts.TECHNICAL,
            mode=alerts.REAL,
            silent=False,
            subject=subject,
            signal="",
            policy_version=version,
            frozen=frozen,
            detail=tuple(detail.items()),
            device_org=device_org or org,
            about_id=about_id,
        )
        newest = alert_rows.newest(conn, _technical_key(press))
        maintenance = windows.muted(conn, org, site, now_ms) if mutable else None
        if maintenance is None:
            return self.raise_or_count(conn, newest, press, now_ms)
        return self._mute(conn, newest, press, maintenance, now_ms)

    def _mute(self, conn: Connection, newest: Alert | None, press: Press, maintenance: int, now_ms: int) -> Changes:
        """During maintenance: written down, and told to nobody. Its end tells what is still wrong (drills.py)."""
        detail = (*press.detail, ("muted", maintenance))
        is_known = newest is not None and newest.status != alerts.CLOSED and newest.condition == alerts.ACTIVE
        if newest is not None and is_known and newest.subject == press.subject:
            return self.apply(conn, newest, Remark("muted", (("subject", press.subject), *detail)), now_ms)
        quiet = replace(
            press,
            alert_id=alerts.alert_id(press.org, press.alert_id, "muted"),
            policy_version=0,
            frozen=policies.dump(policies.muted()),
            detail=detail,
            muted=True,
        )
        return self.raise_or_count(conn, alert_rows.newest(conn, _technical_key(quiet)), quiet, now_ms)

    def cleared(self, conn: Connection, org: str, site: str, device: str, subject: str, now_ms: int) -> None:
        """The cause of a technical alert went away; also of one that maintenance muted."""
        for muted in (False, True):
            dedup = alerts.dedup_key(org, site, device, alerts.TECHNICAL, alerts.REAL, False, subject, muted=muted)
            self._cleared(conn, dedup, subject, now_ms)

    def decide(
        self, conn: Connection, rows: Rows, event: escalation.Event, now_ms: int, place: notices.Place | None = None
    ) -> Changes:
        """Apply an event to rows that were read in this transaction, and store what changes."""
        changes = escalation.apply(rows, event, now_ms)
        if changes.alert is None:
            return changes
        self._store(conn, rows, changes, now_ms, place)
        for trouble in changes.trouble:
            self._tell(conn, changes.alert, trouble, now_ms)
        if rows.alert is not None and rows.alert.id == changes.alert.id and rows.alert.unanswered:
            self._relieve(conn, changes.alert, now_ms)
        return changes

    def _tell(self, conn: Connection, alert: Alert, trouble: Trouble, now_ms: int) -> None:
        """What is owed for an alert that went wrong: here, and to the next organisation up (invariant 11: as such).

        Maintenance mutes what is wrong with a post, never that a person's call is heard by nobody (invariant 15).
        """
        mutable = alert.mode != alerts.REAL or trouble.subject == escalation.STUCK
        self.technical(
            conn, alert.org, alert.site, alert.device, trouble.subject, now_ms, mutable=mutable, alert=alert.id
        )
        parent = devices.organisation(conn, alert.org)[2] if trouble.above else None
        if parent is not None and parent != alert.org:
            self.technical(
                conn, parent, alert.site, alert.device, trouble.subject, now_ms, alert.org, alert.id, mutable,
                alert=alert.id,
            )  # fmt: skip

    def _relieve(self, conn: Connection, alert: Alert, now_ms: int) -> None:
        """Somebody answered what was said to be unanswered, or closed it: who was told so hears of it."""
        if alert.unanswered and alert.status != alerts.CLOSED:
            return
        self.cleared(conn, alert.org, alert.site, alert.device, "unanswered", now_ms)
        parent = devices.organisation(conn, alert.org)[2]
        if parent is not None:
            above = alerts.dedup_key(
                parent, alert.site, alert.device, alerts.TECHNICAL, alerts.REAL, device_org=alert.org
            )
            self._cleared(conn, above, "unanswered", now_ms)

    def _cleared(self, conn: Connection, dedup: str, subject: str, now_ms: int) -> None:
        alert = alert_rows.newest(conn, dedup)
        if alert is not None and alert.status != alerts.CLOSED:
            self.apply(conn, alert, Cleared(subject), now_ms)

    def send_due(self, conn: Connection, due: Dispatch, now_ms: int, waiting: bool) -> None:
        """A dispatch's instant has come: a try that waited, or a lease that ran out.

        `waiting`: this process leased it and its sender has not begun: it is only kept.
        """
        alert = alert_rows.get(conn, due.alert_id)
        assert alert is not None, "a dispatch belongs to an alert (foreign key)"
        heard = notes(conn)
        if waiting:
            kept = dispatches.prolong(due, now_ms)
            dispatch_rows.save(conn, [kept])
            heard.wake(kept.next_ms)
        elif due.kind == dispatches.LAMP:
            dispatch_rows.save(conn, [self._lamp(conn, alert, due, now_ms)])
        else:
            who = people.directory(conn, alert.org, None, (due.person_id, alert.answered_by), alert.site, now_ms)
            leased, outgoing = self._leased(due, alert, who, self._place(conn, alert), now_ms)
            if outgoing is None:
                refused = dispatches.Outcome(False, permanent=True, error="no-method")
                self.apply(conn, alert, Sent(due.id, refused), now_ms)
            else:
                together = [(leased, outgoing), *(self._others(conn, due, now_ms) if bundles.is_bundled(due) else ())]
                dispatch_rows.save(conn, [each for each, _ in together])
                heard.outgoing.append(self._bundled([each for _, each in together], due, who))
                heard.wake(leased.next_ms)

    # -- inside

    def _others(self, conn: Connection, due: Dispatch, now_ms: int) -> list[tuple[Dispatch, Outgoing]]:
        """What else waits for the contact method of a technical notice that leaves now: leased, to leave with it."""
        found = []
        for each in dispatch_rows.waiting_technical(conn, due.method_id, bundles.MOST):
            alert = alert_rows.claim(conn, each.alert_id) if each.id != due.id else None
            now = None if alert is None else dispatch_rows.get(conn, each.id)
            if alert is None or now is None or now.status != dispatches.PENDING:
                continue  # another process has it, or had it just now
            who = people.directory(conn, alert.org, None, (each.person_id, alert.answered_by), alert.site, now_ms)
            leased, outgoing = self._leased(each, alert, who, self._place(conn, alert), now_ms)
            if outgoing is not None:
                found.append((leased, outgoing))
        return found

    def _bundled(self, together: list[Outgoing], due: Dispatch, who: Directory) -> Outgoing:
        """One message for all of them, under the id of the first."""
        first = together[0]
        if len(together) == 1:
            return first
        person = who.by_id.get(due.person_id or 0)
        language = notices.DEFAULT_LANGUAGE if person is None else person.language
        message = bundles.compose([each.message for each in together], language, self.base_url)
        also = tuple((each.dispatch_id, each.alert_id) for each in together[1:])
        return replace(first, message=message, also=also)

    def _rows(self, conn: Connection, alert: Alert, event: escalation.Event, now_ms: int) -> Rows:
        """A message that went through changes its own row only; everything else may need to know everybody."""
        if isinstance(event, Sent) and event.outcome.accepted:
            sent = dispatch_rows.get(conn, event.dispatch_id)
            return Rows(alert, () if sent is None else (sent,))
        rows = alert_rows.rows(conn, alert, now_ms, told=isinstance(event, NEWS))
        if isinstance(event, Sent | Reported) and all(each.id != event.dispatch_id for each in rows.dispatches):
            sent = dispatch_rows.get(conn, event.dispatch_id)
            return rows if sent is None else replace(rows, dispatches=(*rows.dispatches, sent))
        if isinstance(event, Take) and event.person_id not in rows.people.by_id:
            more = people.directory(conn, alert.org, None, (event.person_id,))
            return replace(rows, people=replace(rows.people, by_id={**rows.people.by_id, **more.by_id}))
        return rows

    def _store(self, conn: Connection, rows: Rows, changes: Changes, now_ms: int, place: notices.Place | None) -> None:
        alert = changes.alert
        assert alert is not None
        heard = notes(conn)
        if rows.alert is None or rows.alert.id != alert.id:
            alert_rows.add(conn, alert)
        else:
            alert_rows.save(conn, alert)
        if changes.answers:
            answered = {(each.epoch, each.person_id) for each in rows.answers}
            new = [each for each in changes.answers if (each.epoch, each.person_id) not in answered]
            old = [each for each in changes.answers if (each.epoch, each.person_id) in answered]
            if new:
                alert_rows.add_answers(conn, new)
                signals.answered(conn, alert.id, now_ms)
            if old:
                alert_rows.save_progress(conn, old)
        known = {each.id for each in rows.dispatches}
        added: list[Dispatch] = []
        changed: list[Dispatch] = []
        for each in changes.dispatches:
            if each.id in known:
                changed.append(each)
                if each.kind in dispatches.ORDERS and each.status not in dispatches.OPEN:
                    downlink.withdraw(conn, each.id)
                if each.status in dispatches.REACHED and each.person_id is not None:
                    links.prove(conn, each.id, now_ms)
                if each.status == dispatches.CANCELLED:
                    heard.cancelled.add(each.id)
                elif each.status == dispatches.HANDED and each.kind == dispatches.NOTIFY:
                    signals.handed(conn, alert.id, now_ms)
                heard.wake(each.next_ms)
                continue
            if bundles.is_bundled(each):
                last_ms = dispatch_rows.last_technical_ms(conn, each.method_id)
                each = replace(each, next_ms=max(each.next_ms or now_ms, bundles.leaves_ms(last_ms, now_ms)))
            now = each.next_ms is not None and each.next_ms <= now_ms
            if now and each.kind != dispatches.LAMP and each.channel in self.channels:
                place = place or self._place(conn, alert)
                leased, outgoing = self._leased(each, alert, rows.people, place, now_ms)
                if outgoing is not None:
                    heard.outgoing.append(outgoing)
                    each = leased
            added.append(each)
            heard.wake(each.next_ms)
        if added:
            dispatch_rows.add(conn, added)
            lamps = [self._lamp(conn, alert, each, now_ms) for each in added if each.kind == dispatches.LAMP]
            if lamps:
                dispatch_rows.save(conn, lamps)
        if changed:
            dispatch_rows.save(conn, changed)
        if changes.entries:
            timeline.add(conn, changes.entries)
        heard.alerts.add(alert.id)
        heard.wake(alert.due_ms)

    def _place(self, conn: Connection, alert: Alert) -> notices.Place:
        if alert.device:
            site, device, _, zone = devices.names(conn, alert.device_org, alert.device)
            whose = "" if alert.device_org == alert.org else devices.organisation(conn, alert.device_org)[0]
            return notices.Place(site, device, zone, whose)
        known = devices.site(conn, alert.org, alert.site) if alert.site else None
        name, zone = known or devices.organisation(conn, alert.org)[:2]
        return notices.Place(name, "", zone)

    def _leased(
        self, dispatch: Dispatch, alert: Alert, who: Directory, place: notices.Place, now_ms: int
    ) -> tuple[Dispatch, Outgoing | None]:
        """The dispatch leased by this process, and what to send; None if its person cannot be reached that way now."""
        leased = dispatches.lease(dispatch, self.owner, now_ms)
        address, secret, language = "", "", notices.DEFAULT_LANGUAGE
        if dispatch.person_id is not None:
            person = who.by_id.get(dispatch.person_id)
            method = None
            if person is not None:
                method = next((each for each in person.methods if each.id == dispatch.method_id), None)
            outside = method is not None and method.external and alert.mode != alerts.REAL
            if person is None or method is None or outside:  # gone, or external since it was decided (invariant 10)
                return dispatch, None
            address, secret, language = method.address, method.secret, person.language
        taker = who.by_id.get(alert.answered_by) if alert.answered_by is not None else None
        link, code = self._answer_by(leased)
        named = taker.name if taker else ""
        message = notices.compose(leased, alert, place, language, named, self.base_url, link, code)
        outgoing = Outgoing(leased.id, alert.id, leased.channel, address, secret, leased.class_, message, alert.org)
        return leased, outgoing

    def _answer_by(self, dispatch: Dispatch) -> tuple[str, str]:
        """(address that answers once, reply code) of a notice to a person; nothing is stored for them."""
        if self._replies is None or dispatch.person_id is None or dispatch.kind != dispatches.NOTIFY:
            return "", ""
        code = self._replies.code(dispatch.id) if dispatch.channel == contacts.SMS else ""
        return f"{self.base_url}/a/{self._replies.token(dispatch.id)}", code

    def _lamp(self, conn: Connection, alert: Alert, order: Dispatch, now_ms: int) -> Dispatch:
        """Send a lamp order down, signed afresh, and say when to look at it again."""
        sent = dispatches.order_sent(order, now_ms)
        heard = notes(conn)
        heard.wake(sent.next_ms)
        _, _, gateway, _ = devices.names(conn, alert.org, alert.device)
        key = devices.signing_key(conn, alert.org, alert.device)
        if sent.status == dispatches.FAILED:
            downlink.withdraw(conn, order.id)
            return sent
        if gateway is None or key is None:
            return sent
        word = order.target.removeprefix("lamp:")
        presses = signals.newest_presses(conn, alert.id, LAMP_PRESSES)
        if not presses and alert.about_id is not None:  # a drill that was made real: the post holds the drill's press
            presses = signals.newest_presses(conn, alert.about_id, LAMP_PRESSES)
        frames = [
            acks.of_signal(alert.org, alert.device, key, f"{b}-{n}", word, now_ms, alert.id, order.epoch)
            for b, n in presses
        ]
        if frames:
            downlink.add(conn, alert.org, gateway, frames, order.id, now_ms)
            heard.downlinks.add((alert.org, gateway))
        return sent


def _technical_key(press: Press) -> str:
    return alerts.dedup_key(
        press.org, press.site, press.device, press.category, press.mode, False, press.subject, press.device_org,
        press.muted,
    )  # fmt: skip
