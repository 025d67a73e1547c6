"""How late this engine served its timers: gathered in memory, stored by the hour, alarmed over 2 s.

    lateness.served("alert", due_ms, now_ms, alert_id=alert_id)   # after its commit, from the engine's thread
    lateness.flush(database)                                       # at most one statement, and alerts when needed

What is gathered waits for the next turn, 5 s at most, or for the stop: a kill loses that much of the figures, never
an alert's own lateness, which stands in its timeline. Rules and limits: domain/lateness.py.
"""

import logging
import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection

from .domain import lateness
from .domain.lateness import SUBJECT, Alarm, Tally
from .errors import Unavailable
from .outbox import Outbox
from .store import lateness as rows
from .store.database import Database, Priority

log = logging.getLogger(__name__)

STORE_EVERY_MS = 5_000
OVER_LOOK_BACK_MS = 7_200_000  # two hours' rows: the quiet span may lie across the change of an hour
LATE_ALERTS_MAX = 500  # late alerts whose organisations are asked for in one turn


@dataclass(frozen=True, slots=True)
class Served:
    """What this process served of one timer since it started: a tally, and how many fell into each bucket."""

    tally: Tally
    buckets: tuple[int, ...]  # one more than lateness.BOUNDS_MS: the last has no end


class Lateness:
    """See the module. Thread-safe."""

    def __init__(self, outbox: Outbox, now_ms: Callable[[], int]) -> None:
        self._outbox = outbox
        self._now_ms = now_ms
        self._started_ms = now_ms()
        self._lock = threading.Lock()
        self._served = {name: Served(Tally(), (0,) * (len(lateness.BOUNDS_MS) + 1)) for name in lateness.TIMERS}
        self._waiting: dict[str, Tally] = {}
        self._since_ms: int | None = None  # when the oldest of what waits came
        self._late_orgs: dict[str, tuple[str, int]] = {}  # organisation -> the worst that is to be said: timer, ms
        self._late_alerts: dict[str, tuple[str, int]] = {}  # alert -> the same, until its organisation is known
        self._alarms: dict[str, Alarm] = {}  # by organisation
        self._silence_said: dict[str, int] = {}  # organisation -> when it was told of a silent engine
        self._over = 0  # late timers of all engines when the alarms were last looked at

    def begin(self, conn: Connection) -> None:
        """Take over the open lateness alerts: whoever starts may have to clear them."""
        now_ms = self._now_ms()
        with self._lock:
            self._started_ms = now_ms
            self._alarms = {org: Alarm(now_ms, now_ms) for org in rows.alarmed(conn)}
            self._over = rows.over_since(conn, now_ms - OVER_LOOK_BACK_MS)

    def served(self, timer: str, due_ms: int, now_ms: int, org: str = "", alert_id: str = "") -> int:
        """A timer that was due at an instant was served now; how late, ms. Whose it is: `org`, or that of the alert."""
        late_ms = max(0, now_ms - due_ms)
        with self._lock:
            name = lateness.name(timer, due_ms, self._started_ms)
            self._waiting[name] = self._waiting.get(name, Tally()).plus(late_ms)
            if self._since_ms is None:
                self._since_ms = now_ms
            before = self._served.get(name) or Served(Tally(), (0,) * (len(lateness.BOUNDS_MS) + 1))
            at = bisect_left(lateness.BOUNDS_MS, late_ms)
            buckets = (*before.buckets[:at], before.buckets[at] + 1, *before.buckets[at + 1 :])
            self._served[name] = Served(before.tally.plus(late_ms), buckets)
            if lateness.is_alarming(name, late_ms):
                if org:
                    _keep_worst(self._late_orgs, org, (name, late_ms))
                elif len(self._late_alerts) < LATE_ALERTS_MAX:
                    _keep_worst(self._late_alerts, alert_id, (name, late_ms))
        return late_ms

    def flush(self, database: Database, last: bool = False, patience_s: float | None = None) -> None:
        """Store what is old enough, say what is late, clear what is quiet. Without a database it waits for the next.

        `last`: there is no next one, so everything is stored; `patience_s`: how long the database may take.
        """
        now_ms = self._now_ms()
        with self._lock:
            is_old = self._since_ms is not None and (last or now_ms - self._since_ms >= STORE_EVERY_MS)
            is_late = bool(self._late_orgs or self._late_alerts)
            is_quiet = any(alarm.is_quiet(now_ms) for alarm in self._alarms.values())
            if not (is_old or is_late or is_quiet):
                return
            batch = _Batch(self._waiting, self._late_orgs, self._late_alerts)
            self._waiting, self._since_ms, self._late_orgs, self._late_alerts = {}, None, {}, {}
        try:
            job = partial(self._store, batch, now_ms)
            self._alarms, self._over = database.write(job, Priority.ENGINE).result(patience_s)
        except (Unavailable, TimeoutError) as error:
            log.warning("lateness was not stored: %s", error)
            with self._lock:
                self._give_back(batch, now_ms)

    def _give_back(self, batch: "_Batch", now_ms: int) -> None:
        for name, tally in batch.tallies.items():
            self._waiting[name] = self._waiting.get(name, Tally()).with_all(tally)
        self._since_ms = now_ms
        for org, late in batch.orgs.items():
            _keep_worst(self._late_orgs, org, late)
        for alert_id, late in batch.alerts.items():
            _keep_worst(self._late_alerts, alert_id, late)

    def _store(self, batch: "_Batch", now_ms: int, conn: Connection) -> tuple[dict[str, Alarm], int]:
        """The job; it may run twice, so what it changes here comes back as (alarms, late timers of all engines)."""
        alarms, over = dict(self._alarms), self._over
        rows.add(conn, self._outbox.owner, now_ms, batch.tallies)
        late = dict(batch.orgs)
        if batch.alerts:
            worst = max(batch.alerts.values(), key=lambda each: each[1])
            for org in rows.organisations_of(conn, batch.alerts):
                _keep_worst(late, org, worst)
        if late:
            over = rows.over_since(conn, now_ms - OVER_LOOK_BACK_MS)
        for org, (timer, late_ms) in sorted(late.items()):
            alarm = replace(alarms.get(org, Alarm(now_ms)), seen_ms=now_ms)
            if alarm.is_to_say(now_ms):
                by = self._outbox.owner
                self._outbox.technical(conn, org, "", "", SUBJECT, now_ms, timer=timer, late_ms=late_ms, by=by)
                alarm = replace(alarm, said_ms=now_ms)
            alarms[org] = alarm
        quiet = sorted(org for org, alarm in alarms.items() if alarm.is_quiet(now_ms))
        if quiet:
            counted = rows.over_since(conn, now_ms - OVER_LOOK_BACK_MS)
            others_are_late, over = counted > over, counted
            for org in quiet:
                if others_are_late:
                    alarms[org] = replace(alarms[org], seen_ms=now_ms)
                else:
                    self._outbox.cleared(conn, org, "", "", SUBJECT, now_ms)
                    del alarms[org]
        return alarms, over

    def silence(self, database: Database, org: str, gateway: str, silent_ms: int) -> None:
        """A gateway saw our engine hang for so long, and it is back: said once in ten minutes an organisation.

        A silence that our own start explains is only logged. Raises Unavailable.
        """
        now_ms = self._now_ms()
        log.warning("the gateway %s of %s saw the engine silent for %d ms", gateway, org, silent_ms)
        with self._lock:
            is_restart = now_ms - silent_ms < self._started_ms + lateness.SILENCE_SETTLES_MS
            said_ms = self._silence_said.get(org)
            if is_restart or (said_ms is not None and now_ms - said_ms < lateness.QUIET_MS):
                return
            self._silence_said[org] = now_ms

        def job(conn: Connection) -> None:
            subject = lateness.SILENCE_SUBJECT
            self._outbox.technical(conn, org, "", "", subject, now_ms, gateway=gateway, silent_ms=silent_ms)
            self._outbox.cleared(conn, org, "", "", subject, now_ms)

        database.write(job, Priority.ENGINE).result()

    def figures(self) -> Mapping[str, Served]:
        """What this process served, by timer."""
        with self._lock:
            return dict(self._served)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one job stores."""

    tallies: Mapping[str, Tally]
    orgs: Mapping[str, tuple[str, int]]
    alerts: Mapping[str, tuple[str, int]]


def _keep_worst(found: dict[str, tuple[str, int]], key: str, late: tuple[str, int]) -> None:
    if key not in found or found[key][1] < late[1]:
        found[key] = late
