"""Drills and maintenance: announced, begun, ended, reported; and a drill that turns out to be real.

    drills = Drills(database, clock, outbox)
    window = drills.add("region-sud", Draft("lycee-blum", "drill", "PPMS attentat", starts_ms, ends_ms), person_id)
    drills.end("region-sud", window.id, person_id, real=False)           # at once; `real`: what is open becomes real
    drills.make_real("region-sud", alert_id, person_id)                  # one alert
    drills.look(conn, window.id)                                         # the engine, at its beginning and at its end

A press made real is raised anew by the normal path, by the policy of its post: whoever was told of a drill is told that
it is none, and whoever is never told of drills is told now.
"""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from .clock import Clock
from .domain import alerts, dispatches, drill_report, policies, rights, windows
from .domain.alerts import Alert
from .domain.events import Close, Press
from .domain.windows import Draft, Fault, Window
from .errors import Forbidden, Invalid, NotFound
from .outbox import Outbox
from .store import alerts as alert_rows
from .store import devices, downlink, enrolment, people
from .store import dispatches as dispatch_rows
from .store import windows as rows
from .store.database import Database, Priority, notes

DRILL_REASON = "drill"
Done = TypeVar("Done")


class BadWindow(Invalid):
    """The window has faults; all of them are listed."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


class Drills:
    """See the module. Thread-safe; what is not given a connection blocks until it is committed."""

    def __init__(self, database: Database, clock: Clock, outbox: Outbox) -> None:
        self.database = database
        self.clock = clock
        self.outbox = outbox

    # -- what people do

    def add(self, org: str, draft: Draft, person_id: int | None, forced: bool = False) -> Window:
        """Announce a window. Raises BadWindow with every fault, Unavailable."""

        def job(conn: Connection) -> Window:
            now_ms = self.clock.now_ms()
            sites = [site["id"] for site in enrolment.sites(conn, org)]
            found = windows.faults(draft, sites, rows.not_over(conn, org, now_ms), now_ms, forced)
            if found:
                raise BadWindow(found)
            window = rows.get(conn, org, rows.add(conn, org, draft, now_ms, person_id))
            assert window is not None
            notes(conn).wake(window.next_ms)
            return window

        return self._do(job)

    def end(self, org: str, window_id: int, person_id: int | None, real: bool = False) -> Window:
        """End a window now: its alerts are closed, or with `real` each is raised anew as what it is.

        A window that has not begun is called off; one that is over stays as it is. Raises NotFound, Unavailable.
        """

        def job(conn: Connection) -> Window:
            window = rows.get(conn, org, window_id)
            if window is None:
                raise NotFound("there is no such window")
            if window.ended_ms is None:
                now_ms = self.clock.now_ms()
                if real:
                    for alert_id in rows.open_alerts(conn, window.id):
                        self._make_real(conn, alert_id, person_id, now_ms)
                self._finish(conn, window, now_ms)
            ended = rows.get(conn, org, window_id)
            assert ended is not None
            return ended

        return self._do(job)

    def make_real(self, org: str, alert_id: str, person_id: int) -> str:
        """This drill alert is no drill: a real one is raised at once, and the drill's is closed. The real one's id.

        Asked twice, it answers the same. Raises NotFound, Forbidden, Unavailable; Invalid unless it is a drill's.
        """

        def job(conn: Connection) -> str:
            alert = alert_rows.get(conn, alert_id)
            if alert is None or alert.org != org:
                raise NotFound("there is no such alert")
            if alert.mode != alerts.DRILL:
                raise Invalid("only a drill's alert can be made real")
            person = people.person(conn, person_id)
            if person is None or person.org != org or not rights.may(person.role, "answer", alert.category):
                raise Forbidden
            return self._make_real(conn, alert_id, person_id, self.clock.now_ms())

        return self._do(job)

    def _do(self, job: Callable[[Connection], Done]) -> Done:
        return self.database.write(job, Priority.ACTION).result()

    # -- inside a transaction

    def look(self, conn: Connection, window_id: int) -> bool:
        """The instant of a window has come: it begins, or it ends. False: another engine is at it."""
        window = rows.claim(conn, window_id)
        if window is None:
            return False
        now_ms = self.clock.now_ms()
        if window.next_ms is None or window.next_ms > now_ms:
            return True
        if now_ms < window.ends_ms:
            rows.look_at(conn, window.id, window.ends_ms)
            notes(conn).wake(window.ends_ms)
        else:
            self._finish(conn, window, now_ms)
        return True

    def _finish(self, conn: Connection, window: Window, now_ms: int) -> None:
        """Its end: open alerts of a drill are closed and the report is written; what was muted is told now."""
        ended_ms = min(now_ms, window.ends_ms)
        if window.kind == windows.MAINTENANCE:
            rows.end(conn, window.id, ended_ms, "")
            self._unmute(conn, window, now_ms)
            return
        for alert_id in rows.open_alerts(conn, window.id):
            alert = alert_rows.get(conn, alert_id)
            if alert is not None:
                self.outbox.apply(conn, alert, Close(None, DRILL_REASON), now_ms)
        report = ""
        if window.starts_ms <= now_ms:
            written = drill_report.write(
                window,
                ended_ms,
                rows.posts_of(conn, window.org, window.site),
                rows.alerts_of(conn, window.id),
                rows.dispatches_of(conn, window.id),
                rows.answers_of(conn, window.id),
                rows.ledgers_of(conn, window.id),
            )
            report = drill_report.dump(written)
        rows.end(conn, window.id, ended_ms, report)

    def _unmute(self, conn: Connection, window: Window, now_ms: int) -> None:
        """What went wrong in the maintenance and still is wrong is raised for people, by the normal way."""
        for alert_id in rows.muted_alerts(conn, window.org, window.site, policies.MUTED_ID):
            alert = alert_rows.get(conn, alert_id)
            if alert is None or alert.status == alerts.CLOSED:
                continue
            self.outbox.apply(conn, alert, Close(None, alerts.TECHNICAL), now_ms)
            if alert.condition == alerts.ACTIVE:
                self.outbox.technical(
                    conn, alert.org, alert.site, alert.device, alert.subject, now_ms, alert.device_org,
                    alert.about_id, muted_by=window.id,
                )  # fmt: skip

    def _make_real(self, conn: Connection, alert_id: str, person_id: int | None, now_ms: int) -> str:
        drill = alert_rows.get(conn, alert_id)
        assert drill is not None
        real_id = alerts.real_id(drill.device_org, drill.device, drill.id)
        if alert_rows.get(conn, real_id) is None:
            real_id = self._raise(conn, drill, real_id, person_id, now_ms)
        drill = alert_rows.get(conn, alert_id)
        assert drill is not None
        if drill.status != alerts.CLOSED:
            changes = self.outbox.apply(conn, drill, Close(None, DRILL_REASON, note=f"real:{real_id}"), now_ms)
            for order in changes.dispatches:  # the post's lamp goes on, for the real one
                if order.kind == dispatches.LAMP and order.status in dispatches.OPEN:
                    dispatch_rows.save(conn, [dispatches.cancel(order, "made-real")])
                    downlink.withdraw(conn, order.id)
        return real_id

    def _raise(self, conn: Connection, drill: Alert, real_id: str, person_id: int | None, now_ms: int) -> str:
        card = devices.card(conn, drill.device_org, drill.device)
        assert card is not None, "an alert's device stays in its table"
        press = Press(
            alert_id=real_id,
            org=drill.org,
            site=drill.site,
            device=drill.device,
            category=drill.category,
            mode=alerts.REAL,
            silent=drill.silent,
            subject="",
            signal="",
            policy_version=card.policy_version,
            frozen=card.frozen,
            detail=(("made_real_by", person_id),),
            device_org=drill.device_org,
            scenario=drill.scenario,
            about_id=drill.id,
        )
        dedup = alerts.dedup_key(drill.org, drill.site, drill.device, drill.category, alerts.REAL, drill.silent)
        changes = self.outbox.raise_or_count(conn, alert_rows.newest(conn, dedup), press, now_ms)
        assert changes.alert is not None
        return changes.alert.id  # another press may have raised a real one already: then this counts there
