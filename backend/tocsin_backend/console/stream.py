"""The live link: what every open console is told, rendered once an event and language, woken by commits.

`Board` is pure: it holds the open alerts as last read and says what changed. `Live` is its shell: it reads the database
when a commit woke it, and every REREAD_MS in any case (another process may have written), and hands each listener
ready bytes. The beat is sent only while the database was read lately: a console that hears it may believe its screen.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tocsin_backend.errors import TocsinError, Unavailable
from tocsin_backend.store import board
from tocsin_backend.store.board import AlertRow
from tocsin_backend.store.database import Database, Notes

log = logging.getLogger(__name__)

BEAT_MS = 2000  # CONSOLE.md C2
REREAD_MS = 10_000  # C4: also how often a page re-reads its snapshot
RETRY_READ_MS = 1000  # after a read that failed
STALE_MS = 25_000  # two and a half re-reads that failed: no beat, no snapshot, and the banner comes up
QUEUE_MAX = 256  # events a listener may lag; past it the stream ends and the page re-reads its snapshot
RETRY_MS = 500  # told to EventSource: how long it waits before it reconnects by itself

PRESENCES = ("never", "alive", "late", "lost")
Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Read:
    """One consistent read. `alerts` holds the open alerts, or those of `ids` in whatever state they are."""

    newest: int
    alerts: list[AlertRow]
    presence: list[tuple[str, str, int]]
    ids: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Change:
    """What one organisation's consoles must hear: rows to show, ids to take away."""

    shown: list[AlertRow]
    gone: list[str]


@dataclass(slots=True)
class Board:
    """The open alerts of every organisation, as last read."""

    alerts: dict[str, AlertRow] = field(default_factory=dict)
    presence: dict[str, Counts] = field(default_factory=dict)
    newest: int = 0

    def take(self, read: Read) -> dict[str, Change]:
        """Takes a read in and returns what changed, by organisation. A read of `ids` says nothing of other alerts."""
        changes: dict[str, Change] = {}

        def change(org: str) -> Change:
            return changes.setdefault(org, Change([], []))

        found = {row.id: row for row in read.alerts if row.status != "closed" and row.mode != "probe"}
        looked_at = set(self.alerts) if read.ids is None else set(read.ids)
        for alert_id in sorted(looked_at - set(found)):
            gone = self.alerts.pop(alert_id, None)
            if gone is not None:
                change(gone.org).gone.append(alert_id)
        for alert_id, row in found.items():
            if self.alerts.get(alert_id) != row:
                self.alerts[alert_id] = row
                change(row.org).shown.append(row)
        presence: dict[str, Counts] = {}
        for org, state, number in read.presence:
            presence.setdefault(org, dict.fromkeys(PRESENCES, 0))[state] = number
        for org in set(presence) | set(self.presence):
            if presence.get(org) != self.presence.get(org):
                change(org)
        self.presence = presence
        self.newest = read.newest
        return changes

    def rows(self, org: str) -> list[AlertRow]:
        return [row for row in self.alerts.values() if row.org == org]

    def counts(self, org: str) -> Counts:
        return counts(self.rows(org), self.presence.get(org, {}))


def counts(rows: Iterable[AlertRow], presence: Mapping[str, int]) -> Counts:
    """The counters of every page. Drills are in the list, with a counter of their own (CONSOLE.md C23)."""
    rows = [row for row in rows if row.status != "closed"]
    return {
        "untaken": sum(row.status == "raised" and row.mode == "real" for row in rows),
        "taken": sum(row.status == "answered" and row.mode == "real" for row in rows),
        "drills": sum(row.mode != "real" for row in rows),
        "alive": presence.get("alive", 0),
        "lost": presence.get("lost", 0),
        "posts": sum(presence.values()),
    }


@dataclass(frozen=True, slots=True)
class RenderedRow:
    """A row as a page takes it: `say` is the sentence a screen reader hears when it is new, None when it is taken."""

    id: str
    html: str
    say: str | None


Renderer = Callable[[AlertRow, str], RenderedRow]


@dataclass(eq=False, slots=True)
class Listener:
    """One open stream. `token_hash` is its session's: the stream ends with it."""

    org: str
    language: str
    token_hash: str
    queue: "asyncio.Queue[bytes | None]" = field(default_factory=lambda: asyncio.Queue(QUEUE_MAX))

    def put(self, event: bytes | None) -> None:
        """Hands over an event; a listener that lags too far, or `None`, ends the stream."""
        if event is None or self.queue.full():
            while not self.queue.empty():
                self.queue.get_nowait()
            event = None
        self.queue.put_nowait(event)


def event(name: str, data: str, event_id: int | None = None) -> bytes:
    """One server-sent event; `data` is one line of JSON."""
    head = "" if event_id is None else f"id: {event_id}\n"
    return f"{head}event: {name}\ndata: {data}\n\n".encode()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Live:
    """See the module. `over(token_hashes)` says which of those sessions have ended."""

    def __init__(
        self,
        database: Database,
        render: Renderer,
        now_ms: Callable[[], int],
        over: Callable[[set[str]], set[str]],
    ) -> None:
        self._database = database
        self._render = render
        self._now_ms = now_ms
        self._over = over
        self._board = Board()
        self._rendered: dict[tuple[str, str], tuple[AlertRow, RenderedRow]] = {}
        self._snapshots: dict[tuple[str, str], tuple[bytes, str]] = {}
        self._listeners: set[Listener] = set()
        self._woken: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard: set[str] = set()
        self._everything = True
        self._read_ms: int | None = None
        self._closing = False
        database.after_commit(self._committed)

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return len(self._listeners)

    async def run(self) -> None:
        """Serve until cancelled: read when woken, re-read slowly, beat."""
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        beats = asyncio.create_task(self._beat(), name="console-beat")
        try:
            while True:
                await self._refresh()
                wait_ms = RETRY_READ_MS if self._everything else REREAD_MS
                try:
                    await asyncio.wait_for(self._woken.wait(), wait_ms / 1000)
                except TimeoutError:
                    self._everything = True
                self._woken.clear()
        finally:
            beats.cancel()
            self.close()

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self._closing = True
        for listener in self._listeners:
            listener.put(None)

    def end(self, token_hash: str) -> None:
        """End the streams of a session that its owner has just closed. From any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end, {token_hash})

    def _end(self, token_hashes: set[str]) -> None:
        for listener in [each for each in self._listeners if each.token_hash in token_hashes]:
            listener.put(None)

    def snapshot(self, org: str, language: str) -> tuple[bytes, str]:
        """(JSON, ETag) of what an organisation's list shows now. Raises Unavailable when it was not read lately."""
        if not self._fresh():
            raise Unavailable("the database was not read lately")
        kept = self._snapshots.get((org, language))
        if kept is None:
            rows = [self._rendered_row(row, language) for row in self._board.rows(org)]
            body = self._message(org, rows, []).encode()
            # The ages inside a row's HTML change with every rendering; what they are made from does not.
            facts = repr((self._board.rows(org), self._board.counts(org), language)).encode()
            kept = (body, f'"{hashlib.sha256(facts).hexdigest()[:24]}"')
            self._snapshots[org, language] = kept
        return kept

    async def listen(self, org: str, language: str, token_hash: str) -> AsyncIterator[bytes]:
        """The bytes of one stream, which subscribes before its first byte: nothing falls between it and a snapshot."""
        listener = Listener(org, language, token_hash)
        self._listeners.add(listener)
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            if self._fresh():
                yield self._beat_event()
            while not self._closing:
                message = await listener.queue.get()
                if message is None:
                    return
                yield message
        finally:
            self._listeners.discard(listener)

    def _committed(self, notes: Notes) -> None:
        """On the database's writer thread: note what changed, wake the loop, return."""
        if self._loop is not None and (notes.alerts or notes.devices or notes.catalogue):
            self._loop.call_soon_threadsafe(self._wake, frozenset(notes.alerts), notes.catalogue)

    def _wake(self, alerts: frozenset[str], everything: bool) -> None:
        self._heard |= alerts
        self._everything = self._everything or everything
        assert self._woken is not None
        self._woken.set()

    async def _refresh(self) -> None:
        ids = None if self._everything else frozenset(self._heard)
        self._everything = False
        self._heard.clear()
        try:
            read, over = await asyncio.to_thread(self._read, ids)
        except TocsinError as error:
            log.warning("the console could not read the database: %s", error)
            self._everything = True
            return
        except Exception:
            log.exception("the console could not read the database")
            self._everything = True
            return
        self._read_ms = self._now_ms()
        self._end(over)
        for org, change in self._board.take(read).items():
            self._tell(org, change)

    def _read(self, ids: frozenset[str] | None) -> tuple[Read, set[str]]:
        with self._database.read() as conn:
            newest = board.newest_entry(conn)
            alerts = board.open_alerts(conn) if ids is None else board.alerts_by_id(conn, sorted(ids))
            presence = [(row.org, row.presence, row.number) for row in board.presence_counts(conn)]
        over = self._over({each.token_hash for each in list(self._listeners)}) if ids is None else set()
        return Read(newest, alerts, presence, ids), over

    def _tell(self, org: str, change: Change) -> None:
        for alert_id in change.gone:
            for key in [key for key in self._rendered if key[0] == alert_id]:
                del self._rendered[key]
        for key in [key for key in self._snapshots if key[0] == org]:
            del self._snapshots[key]
        for language in sorted({each.language for each in self._listeners if each.org == org}):
            rows = [self._rendered_row(row, language) for row in change.shown]
            message = event("rows", self._message(org, rows, change.gone), self._board.newest)
            for listener in self._listeners:
                if (listener.org, listener.language) == (org, language):
                    listener.put(message)

    def _rendered_row(self, row: AlertRow, language: str) -> RenderedRow:
        kept = self._rendered.get((row.id, language))
        if kept is None or kept[0] != row:
            kept = (row, self._render(row, language))
            self._rendered[row.id, language] = kept
        return kept[1]

    def _message(self, org: str, rows: list[RenderedRow], gone: list[str]) -> str:
        return _json(
            {
                "seq": self._board.newest,
                "rows": [{"id": row.id, "html": row.html, "say": row.say} for row in rows],
                "gone": gone,
                "counts": self._board.counts(org),
            }
        )

    def _fresh(self) -> bool:
        return self._read_ms is not None and self._now_ms() - self._read_ms < STALE_MS

    def _beat_event(self) -> bytes:
        return event("beat", _json({"now_ms": self._now_ms()}))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_MS / 1000)
            if self._fresh():
                beat = self._beat_event()
                for listener in self._listeners:
                    listener.put(beat)
