"""The engine: it sleeps until the earliest due instant or a wake, decides what is due, and keeps the senders busy.

    channels = {each.name: each for each in (Console(), Webhook(...), Email(...))}
    outbox = Outbox(owner=f"{host}-{pid}", channels=frozenset(channels), base_url=settings.public_url)
    engine = Engine(database, clock, outbox, channels)
    engine.start()
    outcome = engine.answer("region-sud", alert_id, person_id, "console", epoch=1)   # won, taken, stale, late
    engine.stop()                                                                    # before database.close()

Several engines may share one PostgreSQL: each step, message and deadline is served once, by whoever locks its row
first; an engine that dies leaves leases that end after 10 s, and every deadline is in the database.

No polling: the thread waits for an instant that the database holds (`alert.due_ms`, `dispatch.next_ms`,
`device.expected_by_ms`) or for the notes of a commit. Every decision is a job on the writer; every message leaves from
the bounded workers of its channel, so that a channel that hangs delays no other. How late a timer was served is kept.
"""

import heapq
import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from . import probe_watch
from .channels import Channel, Outgoing, Preparing
from .clock import Clock
from .domain import alerts, dispatches, escalation, lateness, liveness, rights
from .domain.alerts import Alert
from .domain.dispatches import Dispatch, Outcome
from .domain.escalation import AllClear, Changes, Close, Due, Escalate, Progress, Reported, Sent, Take
from .domain.probes import RESUME_MS
from .drills import Drills
from .errors import Forbidden, Invalid, NotFound, Unavailable
from .lateness import Lateness
from .outbox import Outbox
from .store import alarms, devices, engines, people, probes, windows
from .store import alerts as alert_rows
from .store import dispatches as dispatch_rows
from .store.database import Database, Gate, Notes, Priority, notes
from .store.devices import Tracked

log = logging.getLogger(__name__)

TURN_MAX = 200  # rows of each kind a turn: a burst of due steps lets presses through in between
QUEUE_MAX = 500  # messages a channel holds in memory; the rest waits in the database
KEEP_AHEAD_MS = 3_000  # before its end a lease is prolonged whose message still waits here: no other engine takes it
FULL_MS = 200  # what waits for room in a full channel is looked at again after this
SET_ASIDE_MS = 5_000  # a row on which we stumble is tried again after this; the others go on


class Sender:
    """The workers of one channel and the messages that wait for one, most urgent class first."""

    def __init__(self, channel: Channel, done: Callable[[Outgoing, Outcome], None], now_ms: Callable[[], int]) -> None:
        self.channel = channel
        self._now_ms = now_ms
        # How long a worker may take over one message before its lease counts as lost.
        self._patience_ms: int = getattr(channel, "patience_ms", dispatches.LEASE_MS)
        self.prepares = isinstance(channel, Preparing)
        self._done = done
        self._queue: list[tuple[int, int, Outgoing, Gate | None]] = []
        self._waiting: dict[str, int] = {}  # dispatch id -> order of its entry that counts
        self._under_way: dict[str, int] = {}  # dispatch id -> when a worker began with it
        self._order = itertools.count()
        self._ready = threading.Condition()
        self._stopping = False
        self._workers: list[threading.Thread] = []

    def start(self) -> None:
        for number in range(self.channel.workers):
            worker = threading.Thread(target=self._run, name=f"tocsin-{self.channel.name}-{number}", daemon=True)
            worker.start()
            self._workers.append(worker)

    def stop(self, patience_s: float) -> None:
        """Finish the messages that are on the wire; what waits stays leased and is sent after the next start."""
        with self._ready:
            self._stopping = True
            self._ready.notify_all()
        for worker in self._workers:
            worker.join(patience_s)
        self.channel.close()

    def put(self, outgoing: Outgoing, gate: Gate | None = None) -> None:
        """A message that leaves once `gate` has passed; without one it may leave at once."""
        with self._ready:
            order = next(self._order)
            heapq.heappush(self._queue, (outgoing.class_, order, outgoing, gate))
            self._waiting[outgoing.dispatch_id] = order
            for also, _ in outgoing.also:
                self._waiting[also] = order
            self._ready.notify()

    def drop(self, dispatch_ids: set[str]) -> None:
        """These should no longer leave: the alert was answered, closed or reopened."""
        with self._ready:
            for each in dispatch_ids:
                self._waiting.pop(each, None)

    def is_waiting(self, dispatch_id: str) -> bool:
        """It has not begun, or a worker began with it so shortly ago that its own deadline still holds.

        A lease counts from there and not from the commit: a long queue behind a slow peer makes no duplicates.
        """
        began_ms = self._under_way.get(dispatch_id)
        lately = began_ms is not None and self._now_ms() - began_ms < self._patience_ms
        return dispatch_id in self._waiting or lately

    def room(self) -> int:
        return max(0, QUEUE_MAX - len(self._waiting))

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._queue and not self._stopping:
                    self._ready.wait()
                if self._stopping:
                    return
                _, order, outgoing, gate = heapq.heappop(self._queue)
                # Dropped, or announced again behind another gate after a commit that failed: this entry is the past.
                is_past = self._waiting.get(outgoing.dispatch_id) != order
                together = [outgoing.dispatch_id, *(also for also, _ in outgoing.also)]
                for each in together:
                    if self._waiting.get(each) == order:
                        del self._waiting[each]
                        if not is_past:
                            self._under_way[each] = self._now_ms()
                if is_past:
                    continue
            outcome = self.send(outgoing, gate)
            if outcome is not None:
                self._done(outgoing, outcome)
            with self._ready:
                for each in together:
                    self._under_way.pop(each, None)

    def send(self, outgoing: Outgoing, gate: Gate | None = None) -> Outcome | None:
        """One try; None when what it tells of was not committed. What a channel raises is a temporary refusal."""
        try:
            if not isinstance(self.channel, Preparing):
                return self.channel.send(outgoing) if gate is None or gate.passed() else None
            attempt = self.channel.prepare(outgoing)
            if gate is not None:
                gate.then(attempt.launch)
                if not gate.passed():
                    attempt.abandon()
                    return None
            return attempt.finish()
        except Exception as error:
            log.warning("%s: %s: %s", self.channel.name, outgoing.dispatch_id, error)
            return Outcome(accepted=False, error=f"{type(error).__name__}: {error}"[:200])


@dataclass(frozen=True, slots=True)
class Job:
    """A row whose instant has come: what is to be done, and what its lateness is counted as (domain/lateness.py)."""

    row: object
    timer: str
    due_ms: int
    work: Callable[[Connection], None]
    org: str = ""  # whose it is; "": the organisation of `alert_id`
    alert_id: str = ""


class Engine:
    """See the module. Thread-safe."""

    def __init__(self, database: Database, clock: Clock, outbox: Outbox, channels: Mapping[str, Channel]) -> None:
        self.database = database
        self.clock = clock
        self.outbox = outbox
        self.drills = Drills(database, clock, outbox)
        self.senders = {name: Sender(channel, self._sent, clock.now_ms) for name, channel in channels.items()}
        self.unexpected = 0  # rows set aside because we stumbled on them: bugs of ours
        self._wake_ms: int | None = 0  # when to look at the database next; None: nothing is due at all
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._aside: dict[object, int] = {}  # row -> not before
        self._stumbled: dict[object, int] = {}  # row -> since when it fails
        self._passed_by: set[object] = set()  # rows of this turn that another process had locked: it serves them
        self._ahead_ms = KEEP_AHEAD_MS if database.shared else 0
        self._beat_ms = clock.now_ms()
        self._next_beat_ms = 0
        self._away_ms: int | None = None  # since when the database takes nothing, or we were held up
        self._lateness_ms = 0
        self.lateness = Lateness(outbox, clock.now_ms)
        database.before_commit(self._about_to_commit)
        database.after_commit(self._committed)

    # -- life

    def start(self) -> None:
        """Take up where the last process stopped, and begin.

        Raises Unavailable; Misconfigured when another engine runs on this SQLite file.
        """
        self.database.hold_alone()
        self.database.write(self._resume, Priority.ENGINE).result()
        self.database.listen()
        for sender in self.senders.values():
            sender.start()
        self._thread = threading.Thread(target=self._run, name="tocsin-engine", daemon=True)
        self._thread.start()

    def stop(self, patience_s: float = 10.0) -> None:
        """Stop deciding, let messages on the wire finish."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(patience_s)
        for sender in self.senders.values():
            sender.stop(patience_s)
        if self._thread is not None:
            self.lateness.flush(self.database, last=True, patience_s=patience_s)
            self._leave(patience_s)

    def heartbeat_age_ms(self) -> int:
        """How long ago the engine's thread last came by; above 15 s it hangs."""
        return self.clock.now_ms() - self._beat_ms

    def lateness_ms(self) -> int:
        """How late the last turn served its due instants, at worst."""
        return self._lateness_ms

    def _resume(self, conn: Connection) -> None:
        now_ms = self.clock.now_ms()
        self.lateness.begin(conn)
        engines.register(conn, self.outbox.owner, now_ms)
        alert_rows.clamp(conn, now_ms)
        dispatch_rows.clamp(conn, now_ms)
        others: list[str] = []
        if self.database.shared:
            engines.expire_leases(conn, now_ms)
            others = engines.others(conn, self.outbox.owner, now_ms)
        else:
            dispatch_rows.expire_leases_of_others(conn, self.outbox.owner, now_ms)
        stopped_ms = devices.last_heard_ms(conn)
        if not others:
            probes.resume(conn, now_ms, now_ms + RESUME_MS)
        if stopped_ms is not None and not others:
            self._excuse(conn, devices.all_expected(conn), stopped_ms, now_ms)

    def _excuse(self, conn: Connection, silent: Iterable[Tracked], stopped_ms: int, now_ms: int) -> None:
        """Nobody could be heard since then, by our own fault: whoever was not heard after it has that time more."""
        devices.save_presences(
            conn,
            [
                (each.org, each.device, liveness.resumed(each.presence, stopped_ms, now_ms, each.reporting_ms))
                for each in silent
                if (each.presence.last_seen_ms or 0) <= stopped_ms
            ],
        )

    def _after_outage(self, stopped_ms: int) -> None:
        """The database is back, or we are. It is no fault of posts that their beats could not be stored meanwhile.

        In parts, so that presses go in between; other processes store beats already. Raises Unavailable.
        """
        with self.database.read() as conn:
            silent = [(each.org, each.device) for each in devices.all_expected(conn)]
        for start in range(0, len(silent), TURN_MAX):

            def part(conn: Connection, some: list[tuple[str, str]] = silent[start : start + TURN_MAX]) -> None:
                self._excuse(conn, devices.presences(conn, some).values(), stopped_ms, self.clock.now_ms())

            self.database.write(part, Priority.ENGINE).result()

        def later(conn: Connection) -> None:
            now_ms = self.clock.now_ms()
            probes.resume(conn, now_ms, now_ms + RESUME_MS)

        self.database.write(later, Priority.ENGINE).result()

    def _run(self) -> None:
        while True:
            with self._changed:
                now_ms = self.clock.now_ms()
                if self._away_ms is None and now_ms - self._beat_ms > engines.BEATS_MISSED * engines.BEAT_MS:
                    self._away_ms = self._beat_ms  # this process was held up: a paused machine, a stopped process
                self._beat_ms = now_ms
                if self._stopping:
                    return
                beats = now_ms >= self._next_beat_ms
                if beats:
                    self._next_beat_ms = now_ms + engines.BEAT_MS
                    if self.database.shared:
                        self._wake_ms = now_ms  # another process's notification may have been lost
                looks = self._wake_ms is not None and self._wake_ms <= now_ms
                if not looks and not beats:
                    until_ms = min(self._next_beat_ms, self._next_beat_ms if self._wake_ms is None else self._wake_ms)
                    self._changed.wait((until_ms - now_ms) / 1000)
                    continue
                if looks:
                    self._wake_ms = None
            if beats:
                self._tell_it_lives()
                self.lateness.flush(self.database)
            if not looks:
                continue
            try:
                next_ms = self.turn()
                self.lateness.flush(self.database)
            except Unavailable as error:
                log.error("%s", error)
                next_ms = now_ms + 1_000
            except Exception:
                log.exception("a turn failed")
                next_ms = now_ms + 1_000
            if next_ms is not None:
                self._look_at(next_ms)

    def _tell_it_lives(self) -> None:
        """Other engines read it, and take over the leases of one that says nothing for 15 s. Nobody waits for it."""

        def job(conn: Connection) -> None:
            now_ms = self.clock.now_ms()
            engines.beat(conn, self.outbox.owner, now_ms)
            # The command line, a process of its own, may have announced a window, or acted on an alert.
            for earliest_ms in (
                windows.earliest_ms(conn),
                dispatch_rows.earliest_ms(conn),
                alert_rows.earliest_due_ms(conn),
            ):
                notes(conn).wake(earliest_ms)
            if self.database.shared and engines.expire_leases(conn, now_ms):
                notes(conn).wake(now_ms)

        try:
            self.database.write(job, Priority.ENGINE)
        except Unavailable as error:
            log.warning("the engine's beat was not stored: %s", error)

    def _leave(self, patience_s: float) -> None:
        """Good-bye: what is leased and was not sent goes to the other engines, or to the next start, at once."""

        def job(conn: Connection) -> None:
            now_ms = self.clock.now_ms()
            engines.stop(conn, self.outbox.owner, now_ms)
            notes(conn).wake(now_ms)

        try:
            self.database.write(job, Priority.ENGINE).result(patience_s)
        except (Unavailable, TimeoutError) as error:
            log.warning("the engine's end was not stored: %s", error)

    def _look_at(self, at_ms: int) -> None:
        with self._changed:
            if self._wake_ms is None or at_ms < self._wake_ms:
                self._wake_ms = at_ms
                self._changed.notify()

    def _about_to_commit(self, heard: Notes, gate: Gate) -> None:
        """On the writer thread: senders that can prepare a message do it while the disk is busy, and wait."""
        for outgoing in heard.outgoing:
            if self.senders[outgoing.channel].prepares:
                self.senders[outgoing.channel].put(outgoing, gate)

    def _committed(self, heard: Notes) -> None:
        """On the writer thread, right after a commit."""
        for outgoing in heard.outgoing:
            if not self.senders[outgoing.channel].prepares:
                self.senders[outgoing.channel].put(outgoing)
        if heard.cancelled:
            for sender in self.senders.values():
                sender.drop(heard.cancelled)
        if heard.wake_ms is not None:
            self._look_at(heard.wake_ms)

    # -- deciding

    def turn(self) -> int | None:
        """Serve everything that is due now; the next instant to look at, None if there is none. Raises Unavailable."""
        try:
            if self._away_ms is not None:
                self._after_outage(self._away_ms)
                self._away_ms = None
            return self._turn()
        except Unavailable:
            if self._away_ms is None:
                self._away_ms = self.clock.now_ms()
            raise

    def _turn(self) -> int | None:
        now_ms = self.clock.now_ms()
        self._aside = {row: until_ms for row, until_ms in self._aside.items() if until_ms > now_ms}
        room = {name: sender.room() for name, sender in self.senders.items()}
        open_ = {dispatches.LAMP, *(name for name, places in room.items() if places > 0)}
        with self.database.read() as conn:
            due_alerts = alert_rows.due(conn, now_ms, TURN_MAX + len(self._aside))
            due_dispatches = dispatch_rows.due(
                conn, now_ms, TURN_MAX + len(self._aside), open_, self.outbox.owner, self._ahead_ms
            )
            due_devices = devices.due(conn, now_ms, TURN_MAX + len(self._aside))
            due_probes = probes.due(conn, now_ms, TURN_MAX + len(self._aside))
            due_windows = windows.due(conn, now_ms, TURN_MAX + len(self._aside))
        jobs: list[Job] = []
        for alert_id, due_ms in due_alerts:
            work = partial(self._due_alert, alert_id)
            jobs.append(Job(alert_id, lateness.ALERT, due_ms, work, alert_id=alert_id))
        for each in due_dispatches:
            waiting = each.status == dispatches.LEASED and self._is_waiting(each)
            if not waiting and each.next_ms is not None and each.next_ms > now_ms:
                continue
            if each.kind != dispatches.LAMP and not waiting:
                if room.get(each.channel, 0) <= 0:
                    continue
                room[each.channel] -= 1
            timer = lateness.LEASE if each.status == dispatches.LEASED else lateness.DISPATCH
            due_ms = now_ms if each.next_ms is None else each.next_ms
            dispatch_work = partial(self._due_dispatch, each, waiting)
            jobs.append(Job(each.id, timer, due_ms, dispatch_work, alert_id=each.alert_id))
        for tracked in due_devices:
            key = (tracked.org, tracked.device)
            due_ms = tracked.presence.expected_by_ms or now_ms
            jobs.append(Job(key, lateness.DEVICE, due_ms, partial(self._due_device, key), org=tracked.org))
        for probe in due_probes:
            row: object = ("probe", probe.org, probe.device)
            work = partial(self._due_probe, row, probe.org, probe.device)
            jobs.append(Job(row, lateness.PROBE, probe.by_ms, work, org=probe.org))
        for window in due_windows:
            row = ("window", window.id)
            work = partial(self._due_window, row, window.id)
            jobs.append(Job(row, lateness.WINDOW, window.next_ms or now_ms, work, org=window.org))
        jobs = [job for job in jobs if job.row not in self._aside]
        self._passed_by.clear()
        self._serve(jobs, now_ms)
        with self.database.read() as conn:
            found = (
                alert_rows.earliest_due_ms(conn),
                dispatch_rows.earliest_ms(conn),
                devices.earliest_ms(conn),
                probes.earliest_ms(conn),
                windows.earliest_ms(conn),
            )
        ahead = [each for each in found if each is not None]
        if self._ahead_ms and any(sender.room() < QUEUE_MAX for sender in self.senders.values()):
            ahead.append(now_ms + KEEP_AHEAD_MS)
        if not ahead:
            return None
        # Rows that were set aside, or that wait for room in a full channel, are due already: not a reason to spin.
        pause_ms = now_ms + SET_ASIDE_MS if self._aside else 0
        if (not jobs or len(self._passed_by) == len(jobs)) and min(ahead) <= now_ms:
            pause_ms = max(pause_ms, now_ms + FULL_MS)
        return max(min(ahead), pause_ms)

    def _serve(self, jobs: list[Job], now_ms: int) -> None:
        futures: list[Future[None]] = self.database.write_all([job.work for job in jobs], Priority.ENGINE)
        late_ms = 0
        for job, future in zip(jobs, futures, strict=True):
            try:
                future.result()
            except Unavailable:
                raise
            except Exception:
                # A bug in one alert never stops the next.
                log.exception("%s is set aside for %d ms", job.row, SET_ASIDE_MS)
                self.unexpected += 1
                self._aside[job.row] = now_ms + SET_ASIDE_MS
                # Tried again and again, it is late: that is told, or nobody would ever hear of what waits here.
                since_ms = self._stumbled.setdefault(job.row, now_ms)
                late_ms = max(late_ms, self.lateness.served(job.timer, since_ms, now_ms, job.org, job.alert_id))
                continue
            if job.row in self._passed_by:
                continue
            self._stumbled.pop(job.row, None)
            served_ms = self.clock.now_ms()
            late_ms = max(late_ms, self.lateness.served(job.timer, job.due_ms, served_ms, job.org, job.alert_id))
        if jobs:
            self._lateness_ms = late_ms
            if late_ms > lateness.LIMIT_MS:
                log.warning("timers were served %d ms late", late_ms)

    def _is_waiting(self, dispatch: Dispatch) -> bool:
        sender = self.senders.get(dispatch.channel)
        return dispatch.owner == self.outbox.owner and sender is not None and sender.is_waiting(dispatch.id)

    def _due_alert(self, alert_id: str, conn: Connection) -> None:
        alert = alert_rows.claim(conn, alert_id)
        if alert is None:
            self._passed_by.add(alert_id)
        else:
            self.outbox.apply(conn, alert, Due(), self.clock.now_ms())

    def _due_dispatch(self, seen: Dispatch, waiting: bool, conn: Connection) -> None:
        # Whoever holds the alert's row may change its dispatches: the second of two engines finds it served.
        if alert_rows.claim(conn, seen.alert_id) is None:
            self._passed_by.add(seen.id)
            return
        now_ms = self.clock.now_ms()
        now = dispatch_rows.get(conn, seen.id)
        if now is None or now.next_ms is None:
            return
        if now.next_ms <= now_ms or (waiting and now.next_ms <= now_ms + self._ahead_ms):
            self.outbox.send_due(conn, now, now_ms, waiting)

    def _due_device(self, key: tuple[str, str], conn: Connection) -> None:
        now_ms = self.clock.now_ms()
        tracked: Tracked | None = devices.claim(conn, *key)
        if tracked is None:
            self._passed_by.add(key)
            return
        after = liveness.due(tracked.presence, now_ms, tracked.reporting_ms)
        if after == tracked.presence:
            return
        devices.save_presences(conn, [(tracked.org, tracked.device, after)])
        heard = notes(conn)
        heard.devices.add(key)
        heard.wake(after.expected_by_ms)
        if after.state == liveness.LOST:
            seen_ms = after.last_seen_ms
            self.outbox.technical(conn, tracked.org, tracked.site, tracked.device, "lost", now_ms, last_seen_ms=seen_ms)

    def _due_probe(self, row: object, org: str, device: str, conn: Connection) -> None:
        if not probe_watch.look(conn, self.outbox, org, device, self.clock.now_ms()):
            self._passed_by.add(row)

    def _due_window(self, row: object, window_id: int, conn: Connection) -> None:
        if not self.drills.look(conn, window_id):
            self._passed_by.add(row)

    # -- sending

    def _sent(self, outgoing: Outgoing, outcome: Outcome) -> None:
        """A worker's try ended: record it. If that fails, the lease runs out and the message goes again, maybe_dup."""
        try:
            self.database.write(partial(self._record, outgoing, outcome), Priority.ENGINE)
        except Unavailable as error:
            log.warning("the outcome of %s was not recorded: %s", outgoing.dispatch_id, error)

    def _record(self, outgoing: Outgoing, outcome: Outcome, conn: Connection) -> None:
        for dispatch_id, alert_id in ((outgoing.dispatch_id, outgoing.alert_id), *outgoing.also):
            alert = alert_rows.get(conn, alert_id)
            if alert is not None and (outcome.accepted or self._holds(conn, dispatch_id)):
                self.outbox.apply(conn, alert, Sent(dispatch_id, outcome), self.clock.now_ms())

    def _holds(self, conn: Connection, dispatch_id: str) -> bool:
        """Whether the lease is still ours: a refusal counts once, and another process may have recorded it."""
        now = dispatch_rows.get(conn, dispatch_id)
        return now is not None and now.owner == self.outbox.owner

    # -- what people do

    def answer(self, org: str, alert_id: str, person_id: int, channel: str, epoch: int | None = None) -> str:
        """A person takes the alert: "won", "taken" (by somebody else), "stale" (an older epoch) or "late" (closed).

        Raises NotFound, Forbidden, Unavailable; Invalid for an epoch that has not begun.
        """
        return self._act(org, alert_id, person_id, "answer", Take(person_id, channel, epoch))

    def close(
        self, org: str, alert_id: str, person_id: int, reason: str, note: str = "", epoch: int | None = None
    ) -> str:
        """A person closes the alert: "closed", "stale" (an older epoch), or "ignored" if it was closed already.

        A silent alert and a threat take two people: "second-needed" until another person closes it as well.
        Raises NotFound, Forbidden, Unavailable; Invalid for a reason not in alerts.REASONS, or an epoch to come.
        """
        if reason not in alerts.REASONS:
            raise Invalid(f"the reason must be one of: {', '.join(alerts.REASONS)}")
        return self._act(org, alert_id, person_id, "close", Close(person_id, reason, note, epoch))

    def escalate(self, org: str, alert_id: str, person_id: int, epoch: int, pass_: int, step: int) -> str:
        """A person asks for the next step now, quoting the current one: "escalated", or "ignored" for a stale quote.

        Raises NotFound, Forbidden, Unavailable; Invalid for an epoch that has not begun.
        """
        return self._act(org, alert_id, person_id, "escalate", Escalate(person_id, epoch, pass_, step))

    def progress(self, org: str, alert_id: str, person_id: int, progress: str, epoch: int | None = None) -> str:
        """A person says how it goes: "recorded", "reopened" (needs help), "stale" (an older epoch) or "late" (closed).

        Raises NotFound, Forbidden, Unavailable; Invalid for a word that is not in alerts.PROGRESS, or an epoch to come.
        """
        if progress not in alerts.PROGRESS:
            raise Invalid(f"progress must be one of: {', '.join(alerts.PROGRESS)}")
        return self._act(org, alert_id, person_id, "answer", Progress(person_id, progress, epoch))

    def all_clear(self, org: str, alert_id: str, person_id: int, group: str = "") -> str:
        """A person switches off what the alert switched on, of this alarm group or of all: "all-clear", or "ignored".

        "held": another open alert has all of it on as well, and it stays on until that one's all-clear.

        Raises NotFound (the alert, or the group), Forbidden, Unavailable.
        """
        return self._act(org, alert_id, person_id, "close", AllClear(person_id, group))

    def report(self, dispatch_id: str, what: str, error: str | None = None) -> str:
        """What became of a message, said later: delivered, seen or failed. "recorded", or "ignored" if it was known.

        Raises NotFound, Unavailable; Invalid for another word.
        """
        if what not in (*dispatches.REACHED, dispatches.FAILED):
            raise Invalid(f"a message is reported {', '.join(dispatches.REACHED)} or {dispatches.FAILED}")

        def job(conn: Connection) -> Changes:
            sent = dispatch_rows.get(conn, dispatch_id)
            alert = None if sent is None else alert_rows.get(conn, sent.alert_id)
            if alert is None:
                raise NotFound("there is no such message")
            return self.outbox.apply(conn, alert, Reported(dispatch_id, what, error), self.clock.now_ms())

        return self.database.write(job, Priority.ACTION).result().outcome

    def _act(self, org: str, alert_id: str, person_id: int, action: str, event: escalation.Event) -> str:
        """`org`: the person's. Whoever another organisation told of its alert may act on that alert too."""

        def job(conn: Connection) -> Changes:
            alert: Alert | None = alert_rows.get(conn, alert_id)
            person = people.person(conn, person_id)
            known = person is not None and person.org == org
            if alert is None or (alert.org != org and not (known and alert_rows.was_told(conn, alert_id, person_id))):
                raise NotFound("there is no such alert")
            if person is None or not known or not rights.may(person.role, action, alert.category):
                raise Forbidden
            _refuse_what_is_not(conn, alert, event)
            return self.outbox.apply(conn, alert, event, self.clock.now_ms())

        return self.database.write(job, Priority.ACTION).result().outcome


def _refuse_what_is_not(conn: Connection, alert: Alert, event: escalation.Event) -> None:
    """Nobody can have seen an epoch that has not begun, and no all-clear goes to a group that there is not.

    A group that was taken away since still has its all-clear, for what the alert switched on. Raises Invalid, NotFound.
    """
    if isinstance(event, Take | Close | Progress | Escalate) and (event.epoch or 0) > alert.epoch:
        raise Invalid(f"epoch {event.epoch} has not begun: the alert is in epoch {alert.epoch}")
    if isinstance(event, AllClear) and event.group and alarms.outputs(conn, alert.org, event.group) is None:
        ordered = f"alarm:{event.group}/"
        if all(not each.target.startswith(ordered) for each in alert_rows.rows(conn, alert, 0, told=False).dispatches):
            raise NotFound(f"there is no alarm group {event.group[:40]!r}")
