"""The engine: it sleeps until the earliest due instant or a wake, decides what is due, and keeps the senders busy.

    channels = {each.name: each for each in (Console(), Webhook(...), Email(...))}
    outbox = Outbox(owner=f"{host}-{pid}", channels=frozenset(channels), base_url=settings.public_url)
    engine = Engine(database, clock, outbox, channels)
    engine.start()
    outcome = engine.answer("region-sud", alert_id, person_id, "console", epoch=1)   # won, taken, stale, late
    engine.stop()                                                                    # before database.close()

No polling: the thread waits for an instant that the database holds (`alert.due_ms`, `dispatch.next_ms`,
`device.expected_by_ms`) or for the notes of a commit. Every decision is a job on the writer; every message leaves from
the bounded workers of its channel, so that a channel that hangs delays no other. How late a timer was served is kept.
"""

import heapq
import itertools
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial

from sqlalchemy import Connection

from .channels import Channel, Outgoing, Preparing
from .clock import Clock
from .domain import alerts, dispatches, escalation, liveness, rights
from .domain.alerts import Alert
from .domain.dispatches import Dispatch, Outcome
from .domain.escalation import Changes, Close, Due, Escalate, Sent, Take
from .errors import Forbidden, Invalid, NotFound, Unavailable
from .outbox import Outbox
from .store import alerts as alert_rows
from .store import devices, people
from .store import dispatches as dispatch_rows
from .store.database import Database, Gate, Notes, Priority, notes
from .store.devices import Tracked

log = logging.getLogger(__name__)

TURN_MAX = 200  # rows of each kind a turn: a burst of due steps lets presses through in between
QUEUE_MAX = 500  # messages a channel holds in memory; the rest waits in the database
HEARTBEAT_MS = 5_000  # the longest sleep: proof that the thread lives, with no look at the database
FULL_MS = 200  # what waits for room in a full channel is looked at again after this
SET_ASIDE_MS = 5_000  # a row on which we stumble is tried again after this; the others go on
LATE_MS = 2_000  # a timer served later than this is logged, and /healthz and /metrics show it


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
                if self._waiting.get(outgoing.dispatch_id) != order:
                    continue
                self._under_way[outgoing.dispatch_id] = self._now_ms()
                del self._waiting[outgoing.dispatch_id]
            outcome = self.send(outgoing, gate)
            if outcome is not None:
                self._done(outgoing, outcome)
            with self._ready:
                self._under_way.pop(outgoing.dispatch_id, None)

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


class Engine:
    """See the module. Thread-safe."""

    def __init__(self, database: Database, clock: Clock, outbox: Outbox, channels: Mapping[str, Channel]) -> None:
        self.database = database
        self.clock = clock
        self.outbox = outbox
        self.senders = {name: Sender(channel, self._sent, clock.now_ms) for name, channel in channels.items()}
        self.unexpected = 0  # rows set aside because we stumbled on them: bugs of ours
        self._wake_ms: int | None = 0  # when to look at the database next; None: nothing is due at all
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._aside: dict[object, int] = {}  # row -> not before
        self._beat_ms = clock.now_ms()
        self._lateness_ms = 0
        database.before_commit(self._about_to_commit)
        database.after_commit(self._committed)

    # -- life

    def start(self) -> None:
        """Take up where the last process stopped, and begin. Raises Unavailable."""
        self.database.write(self._resume, Priority.ENGINE).result()
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

    def heartbeat_age_ms(self) -> int:
        """How long ago the engine's thread last came by; above 15 s it hangs."""
        return self.clock.now_ms() - self._beat_ms

    def lateness_ms(self) -> int:
        """How late the last due instant was served."""
        return self._lateness_ms

    def _resume(self, conn: Connection) -> None:
        now_ms = self.clock.now_ms()
        alert_rows.clamp(conn, now_ms)
        dispatch_rows.clamp(conn, now_ms)
        if conn.dialect.name == "sqlite":
            dispatch_rows.expire_leases_of_others(conn, self.outbox.owner, now_ms)
        stopped_ms = devices.last_heard_ms(conn)
        if stopped_ms is not None:
            devices.save_presences(
                conn,
                [
                    (each.org, each.device, liveness.resumed(each.presence, stopped_ms, now_ms, each.reporting_ms))
                    for each in devices.all_expected(conn)
                ],
            )

    def _run(self) -> None:
        while True:
            with self._changed:
                now_ms = self.clock.now_ms()
                self._beat_ms = now_ms
                if self._stopping:
                    return
                if self._wake_ms is None or self._wake_ms > now_ms:
                    ahead_ms = HEARTBEAT_MS if self._wake_ms is None else self._wake_ms - now_ms
                    self._changed.wait(min(ahead_ms, HEARTBEAT_MS) / 1000)
                    continue
                self._wake_ms = None
            try:
                next_ms = self.turn()
            except Unavailable as error:
                log.error("%s", error)
                next_ms = now_ms + 1_000
            except Exception:
                log.exception("a turn failed")
                next_ms = now_ms + 1_000
            if next_ms is not None:
                self._look_at(next_ms)

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
        now_ms = self.clock.now_ms()
        self._aside = {row: until_ms for row, until_ms in self._aside.items() if until_ms > now_ms}
        room = {name: sender.room() for name, sender in self.senders.items()}
        open_ = {dispatches.LAMP, *(name for name, places in room.items() if places > 0)}
        with self.database.read() as conn:
            due_alerts = alert_rows.due(conn, now_ms, TURN_MAX + len(self._aside))
            due_dispatches = dispatch_rows.due(conn, now_ms, TURN_MAX + len(self._aside), open_, self.outbox.owner)
            due_devices = devices.due(conn, now_ms, TURN_MAX + len(self._aside))
        jobs: list[tuple[object, int | None, Callable[[Connection], None]]] = []
        for alert_id, due_ms in due_alerts:
            jobs.append((alert_id, due_ms, partial(self._due_alert, alert_id)))
        for each in due_dispatches:
            waiting = each.status == dispatches.LEASED and self._is_waiting(each)
            if each.kind != dispatches.LAMP and not waiting:
                if room.get(each.channel, 0) <= 0:
                    continue
                room[each.channel] -= 1
            # A retry's or a lease's end is no promise to the second; only steps and first tries count as late.
            jobs.append((each.id, None, partial(self._due_dispatch, each, waiting)))
        for tracked in due_devices:
            key = (tracked.org, tracked.device)
            jobs.append((key, tracked.presence.expected_by_ms, partial(self._due_device, key)))
        jobs = [job for job in jobs if job[0] not in self._aside]
        self._serve(jobs, now_ms)
        with self.database.read() as conn:
            found = (alert_rows.earliest_due_ms(conn), dispatch_rows.earliest_ms(conn), devices.earliest_ms(conn))
        ahead = [each for each in found if each is not None]
        if not ahead:
            return None
        # Rows that were set aside, or that wait for room in a full channel, are due already: not a reason to spin.
        pause_ms = now_ms + SET_ASIDE_MS if self._aside else 0
        if not jobs and min(ahead) <= now_ms:
            pause_ms = max(pause_ms, now_ms + FULL_MS)
        return max(min(ahead), pause_ms)

    def _serve(self, jobs: list[tuple[object, int | None, Callable[[Connection], None]]], now_ms: int) -> None:
        futures: list[Future[None]] = self.database.write_all([job for _, _, job in jobs], Priority.ENGINE)
        late_ms = 0
        for (row, due_ms, _), future in zip(jobs, futures, strict=True):
            try:
                future.result()
            except Unavailable:
                raise
            except Exception:
                # A bug in one alert never stops the next.
                log.exception("%s is set aside for %d ms", row, SET_ASIDE_MS)
                self.unexpected += 1
                self._aside[row] = now_ms + SET_ASIDE_MS
            if due_ms is not None:
                late_ms = max(late_ms, self.clock.now_ms() - due_ms)
        if any(due_ms is not None for _, due_ms, _ in jobs):
            self._lateness_ms = late_ms
            if late_ms > LATE_MS:
                log.warning("timers were served %d ms late", late_ms)

    def _is_waiting(self, dispatch: Dispatch) -> bool:
        sender = self.senders.get(dispatch.channel)
        return dispatch.owner == self.outbox.owner and sender is not None and sender.is_waiting(dispatch.id)

    def _due_alert(self, alert_id: str, conn: Connection) -> None:
        alert = alert_rows.get(conn, alert_id)
        if alert is not None:
            self.outbox.apply(conn, alert, Due(), self.clock.now_ms())

    def _due_dispatch(self, seen: Dispatch, waiting: bool, conn: Connection) -> None:
        now_ms = self.clock.now_ms()
        now = dispatch_rows.get(conn, seen.id)
        if now is not None and now.next_ms is not None and now.next_ms <= now_ms:
            self.outbox.send_due(conn, now, now_ms, waiting)

    def _due_device(self, key: tuple[str, str], conn: Connection) -> None:
        now_ms = self.clock.now_ms()
        tracked: Tracked = devices.presences(conn, [key])[key]
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

    # -- sending

    def _sent(self, outgoing: Outgoing, outcome: Outcome) -> None:
        """A worker's try ended: record it. If that fails, the lease runs out and the message goes again, maybe_dup."""
        try:
            self.database.write(partial(self._record, outgoing, outcome), Priority.ENGINE)
        except Unavailable as error:
            log.warning("the outcome of %s was not recorded: %s", outgoing.dispatch_id, error)

    def _record(self, outgoing: Outgoing, outcome: Outcome, conn: Connection) -> None:
        alert = alert_rows.get(conn, outgoing.alert_id)
        if alert is not None:
            self.outbox.apply(conn, alert, Sent(outgoing.dispatch_id, outcome), self.clock.now_ms())

    # -- what people do

    def answer(self, org: str, alert_id: str, person_id: int, channel: str, epoch: int | None = None) -> str:
        """A person takes the alert: "won", "taken" (by somebody else), "stale" (an older epoch) or "late" (closed).

        Raises NotFound, Forbidden, Unavailable.
        """
        return self._act(org, alert_id, person_id, "answer", Take(person_id, channel, epoch))

    def close(
        self, org: str, alert_id: str, person_id: int, reason: str, note: str = "", epoch: int | None = None
    ) -> str:
        """A person closes the alert: "closed", "stale" (an older epoch), or "ignored" if it was closed already.

        Raises NotFound, Forbidden, Unavailable; Invalid for a reason that is not in alerts.REASONS.
        """
        if reason not in alerts.REASONS:
            raise Invalid(f"the reason must be one of: {', '.join(alerts.REASONS)}")
        return self._act(org, alert_id, person_id, "close", Close(person_id, reason, note, epoch))

    def escalate(self, org: str, alert_id: str, person_id: int, epoch: int, pass_: int, step: int) -> str:
        """A person asks for the next step now, quoting the current one: "escalated", or "ignored" for a stale quote.

        Raises NotFound, Forbidden, Unavailable.
        """
        return self._act(org, alert_id, person_id, "escalate", Escalate(person_id, epoch, pass_, step))

    def _act(self, org: str, alert_id: str, person_id: int, action: str, event: escalation.Event) -> str:
        def job(conn: Connection) -> Changes:
            alert: Alert | None = alert_rows.get(conn, alert_id)
            if alert is None or alert.org != org:
                raise NotFound("there is no such alert")
            person = people.person(conn, person_id)
            if person is None or person.org != org or not rights.may(person.role, action, alert.category):
                raise Forbidden
            return self.outbox.apply(conn, alert, event, self.clock.now_ms())

        return self.database.write(job, Priority.ACTION).result().outcome
