"""Whether the monitoring centres answer: a line test by every path when a centre has heard nothing for its period.

    watch = CentreWatch(database, clock, outbox, dc09); watch.start(); …; watch.stop()

An event that a centre acknowledged proves its line as well, so that a busy line is not tested. A centre that answers by
no path is a technical alert, `centre-lost`, of its organisation; it is cleared when every centre of the organisation
answers again. One that answers by one of its paths only is told in the same way, as `centre-path`.

Of several processes one tests the lines: it holds them all for HOLD_MS at a time, and another takes over when it ends.
"""

import logging
import threading
from functools import partial

from sqlalchemy import Connection

from .channels.dc09 import Dc09
from .clock import Clock
from .errors import Unavailable
from .outbox import Outbox
from .store import centres
from .store.centres import Centre
from .store.database import Database, Priority

log = logging.getLogger(__name__)

LOST, PATH = "centre-lost", "centre-path"
LOOK_MS = 10_000  # the list of centres is read anew this often: the command line may have added one
HOLD_MS = 60_000  # longer than a look and a line that hangs
AGAIN_MS = 5_000  # a line that gave no answer is tried once more before anybody is told


class CentreWatch:
    """See the module. One thread; each centre is tested on its own schedule, the one that is due first is first."""

    def __init__(self, database: Database, clock: Clock, outbox: Outbox, channel: Dc09) -> None:
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._channel = channel
        self._failing: dict[tuple[str, str], str] = {}  # (org, centre) -> LOST or PATH, as it was told
        self._doubt: dict[tuple[str, str], int] = {}  # failed once: when it is tried again
        self._judged: set[tuple[str, str]] = set()  # since this process began
        self._tidied: set[str] = set()  # organisations whose alerts of an earlier process were looked at
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="tocsin-centres", daemon=True)
        self._thread.start()

    def stop(self, patience_s: float = 10.0) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(patience_s)
        if not self._database.shared:
            return
        try:
            self._database.write(partial(_release, self._outbox.owner), Priority.ENGINE).result(patience_s)
        except (Unavailable, TimeoutError) as error:
            log.warning("the lines of monitoring centres were not given back: %s", error)

    def turn(self) -> int:
        """Test every line that is due, unless another process does; how long until the next look, ms.

        Raises Unavailable.
        """
        with self._database.read() as conn:
            watched = centres.supervised(conn)
        if not (watched or self._failing) or not self._hold():
            return LOOK_MS
        now_ms = self._clock.now_ms()
        wait_ms = LOOK_MS
        for centre in watched:
            due_ms = self._due_ms(centre)
            if due_ms > now_ms:
                wait_ms = min(wait_ms, due_ms - now_ms)
                continue
            if self._stopping.is_set() or not self._hold():
                break
            self._judge(centre, self._channel.test(centre))
        known = {(each.org, each.id) for each in watched}
        for key in [each for each in self._failing if each not in known]:
            self._tell(key, "")  # removed, or no longer supervised: nobody waits for it any more
        for org in {each.org for each in watched} - self._tidied:
            if all((each.org, each.id) in self._judged for each in watched if each.org == org):
                self._tidy(org)
        return max(100, wait_ms)

    def _hold(self) -> bool:
        """Whether the lines are ours to test. What was known of them is void once another process has tested them."""
        if not self._database.shared:
            return True
        now_ms = self._clock.now_ms()
        job = partial(_hold, self._outbox.owner, now_ms, now_ms + HOLD_MS)
        if self._database.write(job, Priority.ENGINE).result():
            return True
        for known in (self._failing, self._doubt, self._judged, self._tidied):
            known.clear()
        return False

    def _due_ms(self, centre: Centre) -> int:
        key = (centre.org, centre.id)
        if key in self._doubt:
            return self._doubt[key]
        return (centre.supervised_ms or centre.created_ms) + centre.supervision_ms

    def _judge(self, centre: Centre, faults: list[str]) -> None:
        """`faults`: one a path, "" where it answered."""
        key, now_ms = (centre.org, centre.id), self._clock.now_ms()
        state = "" if not any(faults) else LOST if all(faults) else PATH
        if state != LOST:
            self._database.write(partial(_answered, centre, now_ms), Priority.ENGINE).result()
        if state and key not in self._doubt and self._failing.get(key) != state:
            self._doubt[key] = now_ms + AGAIN_MS
            return
        if state == LOST:
            self._doubt[key] = now_ms + centre.supervision_ms
        else:
            self._doubt.pop(key, None)
        self._judged.add(key)
        detail = "; ".join(f"{host}:{port}: {fault}" for (host, port), fault in zip(centre.paths, faults, strict=True))
        self._tell(key, state, detail if state else "")

    def _tell(self, key: tuple[str, str], state: str, detail: str = "") -> None:
        """Raise what is new, and clear what is over for every centre of the organisation."""
        before = self._failing.get(key, "")
        if state == before:
            return
        self._failing[key] = state
        if not state:
            del self._failing[key]
        org, centre = key
        log.warning("monitoring centre %s of %s: %s", centre, org, f"{state} ({detail})" if state else "answers again")
        others = [each for (whose, _), each in self._failing.items() if whose == org]
        over = "" if before in others else before
        self._database.write(partial(self._told, org, centre, state, over, detail), Priority.ENGINE).result()

    def _tidy(self, org: str) -> None:
        """What an earlier process told of and nobody sees any more is over, once every line was tested."""
        self._tidied.add(org)
        failing = [each for (whose, _), each in self._failing.items() if whose == org]
        for state in (LOST, PATH):
            if state not in failing:
                self._database.write(partial(self._told, org, "", "", state, ""), Priority.ENGINE).result()

    def _told(self, org: str, centre: str, state: str, over: str, detail: str, conn: Connection) -> None:
        now_ms = self._clock.now_ms()
        if over:
            self._outbox.cleared(conn, org, "", "", over, now_ms)
        if state:
            self._outbox.technical(conn, org, "", "", state, now_ms, centre=centre, faults=detail[:200])

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                wait_ms = self.turn()
            except Unavailable as error:
                log.error("%s", error)
                wait_ms = LOOK_MS
            except Exception:
                log.exception("the monitoring centres could not be looked at")
                wait_ms = LOOK_MS
            self._stopping.wait(wait_ms / 1000)


def _answered(centre: Centre, now_ms: int, conn: Connection) -> None:
    centres.answered(conn, centre.org, centre.id, now_ms)


def _hold(watcher: str, now_ms: int, until_ms: int, conn: Connection) -> bool:
    return centres.hold(conn, watcher, now_ms, until_ms)


def _release(watcher: str, conn: Connection) -> None:
    centres.release(conn, watcher)
