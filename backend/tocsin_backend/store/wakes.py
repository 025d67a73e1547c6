"""LISTEN and NOTIFY: what one process commits on PostgreSQL, the others hear at once.

`send` runs inside the transaction: PostgreSQL delivers at the commit, or never. What is sent is what other processes
can use of the notes: alerts and devices that changed (live streams), edited catalogues (caches), downlinks (gateways
connected elsewhere), messages that should no longer leave, and the instant at which engines must look again.

A notification may be lost: the server restarts, a connection breaks, a process hangs. Nothing rests on it alone. After
each new connection the listener has everything looked at again; besides, an engine looks at every due instant it read
and every 5 s with its beat, live streams re-read slowly, gateways' streams every 5 s, and what caches know of a key is
45 s old at most.
"""

import json
import logging
import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, Engine

from .notes import Notes

log = logging.getLogger(__name__)

CHANNEL = "tocsin"
PAYLOAD_MAX = 7_900  # bytes; PostgreSQL takes 7,999
RETRY_SECONDS = 1.0  # between attempts to reach a server that is away
_LISTS = ("alerts", "devices", "downlinks", "cancelled")


def payloads(token: str, heard: Notes) -> Iterator[str]:
    """The notifications of these notes, none when they concern nobody else: JSON, each short enough to be sent."""
    head: dict[str, Any] = {"from": token}
    if heard.catalogue:
        head["catalogue"] = 1
    if heard.wake_ms is not None:
        head["wake_ms"] = heard.wake_ms
    body: dict[str, list[Any]] = {}
    empty = len(json.dumps(head)) + 64
    size, pending = empty, len(head) > 1
    for name in _LISTS:
        for each in sorted(getattr(heard, name)):
            length = len(json.dumps(each)) + 2
            if size + length > PAYLOAD_MAX:
                yield json.dumps(head | body)
                body, size = {}, empty
            body.setdefault(name, []).append(each)
            size, pending = size + length, True
    if pending:
        yield json.dumps(head | body)


def read(payload: str) -> tuple[str, Notes]:
    """(token of the process that sent it, its notes). Raises ValueError for what no Tocsin sent."""
    try:
        said = json.loads(payload)
        heard = Notes(
            alerts=set(said.get("alerts", ())),
            devices={(org, device) for org, device in said.get("devices", ())},
            catalogue="catalogue" in said,
            downlinks={(org, gateway) for org, gateway in said.get("downlinks", ())},
            cancelled=set(said.get("cancelled", ())),
        )
        heard.wake(said.get("wake_ms"))
        return str(said["from"]), heard
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a notification that cannot be read: {error}") from None


def send(conn: Connection, token: str, heard: Notes) -> None:
    """Tell the other processes, if and when this transaction is committed."""
    for payload in payloads(token, heard):
        conn.exec_driver_sql("SELECT pg_notify(%s, %s)", (CHANNEL, payload))


class Listener:
    """The thread that hears. `hear(notes)` is called on it; after each connection once with everything."""

    def __init__(self, engine: Engine, token: str, hear: Callable[[Notes], None]) -> None:
        self._engine = engine
        self._token = token
        self._hear = hear
        self._asleep, self._waker = socket.socketpair()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tocsin-listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._waker.send(b"x")
        self._thread.join()
        self._asleep.close()
        self._waker.close()

    def _run(self) -> None:
        told = False
        while not self._stopping.is_set():
            try:
                with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
                    conn.exec_driver_sql(f"LISTEN {CHANNEL}")
                    told = False
                    self._hear(Notes(catalogue=True, wake_ms=0))
                    try:
                        self._listen(conn.connection.driver_connection)
                    finally:
                        conn.invalidate()  # never back into the pool: it would go on listening
            except Exception as error:
                if not told:
                    log.warning("other processes are not heard: %s", str(error).strip().partition("\n")[0])
                told = True
                self._stopping.wait(RETRY_SECONDS)

    def _listen(self, connection: Any) -> None:
        look = select.poll()
        look.register(connection.fileno(), select.POLLIN)
        look.register(self._asleep.fileno(), select.POLLIN)
        while not self._stopping.is_set():
            heard = Notes()
            for notification in connection.notifies(timeout=0):
                try:
                    sender, said = read(notification.payload)
                except ValueError as error:
                    log.warning("%s", error)
                    continue
                if sender != self._token:
                    heard.add(said)
            self._hear(heard)
            look.poll()
