"""The engine's own figures, on SQLite and on PostgreSQL: real store, real ingest, real engine threads, no broker.

step_lateness         10,000 alerts are open, each due once in 300 s: how late their steps are served
raise_with_10000_open a press while 10,000 alerts are open; the floor is the same press into an empty database
burst500              500 presses in one batch -> the webhook of each was handed over; all five bursts' presses
hanging_channel       press -> webhook handed over while the e-mail channel hangs; the floor is the same without

Every name has the database's as its suffix. The two sides of a ratio alternate, press by press.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "backend"), str(TESTS / "domain")]

from backend_rig import ORG, START_MS, Post, Recorder, Rig, steps, who  # noqa: E402
from figures import figures  # noqa: E402
from postgres_server import PostgresServer  # noqa: E402
from tocsin_backend.channels import Outgoing  # noqa: E402
from tocsin_backend.channels.webhook import Webhook  # noqa: E402
from tocsin_backend.clock import SystemClock  # noqa: E402
from tocsin_backend.domain import lateness  # noqa: E402
from tocsin_backend.domain.dispatches import Outcome  # noqa: E402
from tocsin_backend.domain.policies import Policy, Target  # noqa: E402
from tocsin_backend.store import tables  # noqa: E402

DATABASES = ("sqlite", "postgresql")
OPEN = 10_000
BATCH = 500  # envelopes at once, the most a gateway may send
STEP_S = 300  # with 10,000 open, 33 steps a second
OBSERVE_S = 20.0
BURSTS = 5
HANG_S = 30.0
EVERY_S = 0.02
FAR_MS = 10**13  # while the table is being filled nothing is due
DRAIN_S = 120.0
LEAD_MS = 3_000  # between the last statement of the filling and the first instant
WITHIN_S = 60.0
SCREEN = Target(channel="console")


class World(Rig):
    """A backend on the machine's own clock, its engine running."""

    def __init__(self, folder: Path, url: str, more: dict[str, Any]) -> None:
        self._more = more
        super().__init__(folder, url=url)

    def open(self) -> None:
        from tocsin_backend.engine import Engine
        from tocsin_backend.ingest import Ingest
        from tocsin_backend.outbox import Outbox

        self.clock = SystemClock()  # type: ignore[assignment]
        self.channels = {name: Recorder(name) for name in ("console", "webhook", "email")} | self._more
        self.outbox = Outbox("bench", frozenset(self.channels), "https://tocsin.test")
        self.engine = Engine(self.database, self.clock, self.outbox, self.channels)
        self.ingest = Ingest(self.database, self.clock, self.outbox)

    def close(self) -> None:
        self.engine.stop()
        super().close()

    def posts(self, name: str, count: int) -> list[Post]:
        """Devices in service, written in one transaction."""
        if not self.sql("SELECT id FROM site WHERE id='lycee'"):
            self.save(tables.Site(org=ORG, id="lycee", name="Lycée", reporting_ms=86_400_000, created_ms=START_MS))
        made = [Post(self, f"{name}-{number}", f"{name}-{number}".encode().ljust(32, b"k")) for number in range(count)]
        devices = [
            tables.Device(org=ORG, id=each.device, site="lycee", name=each.device, policy="plan", created_ms=START_MS)
            for each in made
        ]
        keys = [
            tables.DeviceKey(org=ORG, device=each.device, kid="k1", key=each.key, created_ms=START_MS) for each in made
        ]

        def job(conn: Any) -> None:
            from tocsin_backend.store.database import notes

            notes(conn).catalogue = True
            for rows in (devices, keys):
                table = type(rows[0]).__table__  # type: ignore[attr-defined]
                values = [{key: value for key, value in row.model_dump().items() if value is not None} for row in rows]
                conn.execute(table.insert(), values)

        self.database.write(job).result()
        return made

    def press(self, posts: list[Post]) -> None:
        """Each of them presses, in one batch."""
        answers = self.ingest.envelopes(ORG, "gw-1", [each.press_envelope() for each in posts])
        wrong = [answer for answer in answers if answer["r"] != "stored"]
        if wrong:
            raise AssertionError(f"not stored: {wrong[0]}")


@contextmanager
def database_url(kind: str) -> Iterator[Callable[[], tuple[Path, str]]]:
    """Gives (a folder, a fresh database's URL) at each call; all of them go away afterwards."""
    with ExitStack() as scene:
        folder = Path(scene.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        server = None
        if kind == "postgresql":
            server = PostgresServer()
            scene.callback(server.stop)
        count = iter(range(1_000_000))

        def make() -> tuple[Path, str]:
            number = next(count)
            return folder, server.create() if server else f"sqlite:///{folder / f'{number}.db'}"

        yield make


@contextmanager
def world(make: Callable[[], tuple[Path, str]], policy: Policy, **channels: Any) -> Iterator[World]:
    made = World(*make(), channels)
    made.person("camille", webhook="https://a/", email="a@x")
    made.policy(policy)
    made.engine.start()
    try:
        yield made
    finally:
        made.close()


def _fill(filled: World, seconds: float) -> None:
    """10,000 open alerts, their instants spread over the time that they take to come round."""
    posts = filled.posts("open", OPEN)
    for start in range(0, OPEN, BATCH):
        filled.press(posts[start : start + BATCH])
    span_ms = int(seconds * 1000)
    ids = [row[0] for row in filled.sql("SELECT id FROM alert ORDER BY id")]

    def job(conn: Any) -> None:
        from sqlalchemy import bindparam, update

        alert = tables.Alert.__table__  # type: ignore[attr-defined]
        rows = [{"key": each, "due": FAR_MS + span_ms * at // OPEN} for at, each in enumerate(ids)]
        conn.execute(update(alert).where(alert.c.id == bindparam("key")).values(due_ms=bindparam("due")), rows)

    def begin(conn: Any) -> None:
        from sqlalchemy import update
        from tocsin_backend.store.database import notes

        now_ms = filled.clock.now_ms()
        alert = tables.Alert.__table__  # type: ignore[attr-defined]
        conn.execute(update(alert).values(due_ms=alert.c.due_ms - FAR_MS + now_ms + LEAD_MS))
        notes(conn).wake(now_ms + LEAD_MS)

    filled.database.write(job).result()
    open_ = "SELECT count(*) FROM dispatch WHERE status IN ('pending', 'leased') AND kind <> 'lamp'"
    deadline = time.monotonic() + DRAIN_S
    while filled.sql(open_)[0][0] and time.monotonic() < deadline:
        time.sleep(0.2)  # the messages of the filling are no part of what is measured
    filled.database.write(begin).result()


def step_lateness(kind: str, samples: int) -> dict[str, Any]:
    with database_url(kind) as make, world(make, steps((STEP_S, [SCREEN]), passes=9)) as filled:
        _fill(filled, STEP_S)
        late: list[float] = []
        served = filled.engine.lateness.served

        def kept(timer: str, due_ms: int, now_ms: int, *more: Any) -> int:
            late_ms: int = served(timer, due_ms, now_ms, *more)
            if timer == lateness.ALERT:
                late.append(float(late_ms))
            return late_ms

        filled.engine.lateness.served = kept  # type: ignore[method-assign]
        time.sleep(OBSERVE_S)
        return figures(late) | {"open": OPEN}


def raise_with_10000_open(kind: str, samples: int) -> dict[str, Any]:
    plan = steps((86_400, [SCREEN, who("camille", "webhook")]))
    with database_url(kind) as make, world(make, plan) as empty, world(make, plan) as filled:
        _fill(filled, 86_400)
        sides = [(each, each.posts("one", samples + 20)) for each in (empty, filled)]
        took: list[list[float]] = [[], []]
        for number in range(samples + 20):
            for side, (where, posts) in enumerate(sides):
                envelope = posts[number].press_envelope()
                began = time.perf_counter()
                [answer] = where.ingest.envelopes(ORG, "gw-1", [envelope])
                if number >= 20:
                    took[side].append((time.perf_counter() - began) * 1000)
                assert answer["r"] == "stored"
            time.sleep(EVERY_S)
        return figures(took[1], took[0]) | {"open": OPEN}


@contextmanager
def sink() -> Iterator[Callable[[int], dict[str, int]]]:
    """A webhook sink in a process of its own: its port in `.port`; a call waits for so many devices."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("webhook_sink.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    port = int(process.stdout.readline())

    def arrived(count: int) -> dict[str, int]:
        process.stdin.write(f"{count}\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        found: dict[str, int] = json.loads(process.stdout.readline())  # type: ignore[union-attr]
        return found

    arrived.port = port  # type: ignore[attr-defined]
    try:
        yield arrived
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def burst500(kind: str, samples: int) -> dict[str, Any]:
    from ipaddress import ip_network

    with database_url(kind) as make, sink() as arrived:
        hook = Webhook(SystemClock(), [ip_network("127.0.0.0/8")])
        plan = steps((86_400, [SCREEN, who("camille", "webhook")]))
        with world(make, plan, webhook=hook) as busy:
            busy.sql(
                "UPDATE contact_method SET address=? WHERE channel='webhook'", f"http://127.0.0.1:{arrived.port}/b"
            )  # type: ignore[attr-defined]
            seen, took, last = 0, [], []
            for number in range(BURSTS + 1):
                posts = busy.posts(f"bench-{number}", BATCH)
                envelopes = [each.press_envelope() for each in posts]
                began_ns = time.monotonic_ns()
                busy.ingest.envelopes(ORG, "gw-1", envelopes)
                seen += BATCH
                first_ns = arrived(seen)
                busy.settle()
                if number:  # the first warms up
                    spans = [(first_ns[each.device] - began_ns) / 1e6 for each in posts]
                    took += spans
                    last.append(max(spans))
            return figures(took) | {"last_of_each_burst": [round(each, 1) for each in last]}


class Hanging(Recorder):
    """A channel that takes 30 s for each message, as the others go on."""

    workers = 4

    def __init__(self) -> None:
        super().__init__("email")
        self.over = threading.Event()

    def send(self, outgoing: Outgoing) -> Outcome:
        self.over.wait(HANG_S)
        return Outcome(False, error="no answer")

    def close(self) -> None:
        self.over.set()


class Timed(Recorder):
    """A channel that notes when each alert's message came to it."""

    workers = 4

    def __init__(self) -> None:
        super().__init__("webhook")
        self.at: dict[str, float] = {}
        self.came = threading.Condition()

    def send(self, outgoing: Outgoing) -> Outcome:
        with self.came:
            self.at.setdefault(outgoing.alert_id, time.perf_counter())
            self.came.notify_all()
        return Outcome(True)


def hanging_channel(kind: str, samples: int) -> dict[str, Any]:
    plan = steps((86_400, [SCREEN, who("camille")]))
    with ExitStack() as scene:
        make = scene.enter_context(database_url(kind))
        hooks = (Timed(), Timed())
        hanging = Hanging()
        scene.callback(hanging.over.set)
        worlds = (
            scene.enter_context(world(make, plan, webhook=hooks[0])),
            scene.enter_context(world(make, plan, webhook=hooks[1], email=hanging)),
        )
        sides = [(each, hook, each.posts("one", samples + 20)) for each, hook in zip(worlds, hooks, strict=True)]
        took: list[list[float]] = [[], []]
        for number in range(samples + 20):
            for side, (where, hook, posts) in enumerate(sides):
                envelope = posts[number].press_envelope()
                began = time.perf_counter()
                [answer] = where.ingest.envelopes(ORG, "gw-1", [envelope])
                with hook.came:
                    assert hook.came.wait_for(lambda hook=hook, answer=answer: answer["alert"] in hook.at, WITHIN_S)
                if number >= 20:
                    took[side].append((hook.at[answer["alert"]] - began) * 1000)
            time.sleep(EVERY_S)
        hanging.over.set()
        return figures(took[1], took[0])


MEASURES = {
    f"{measure.__name__}_{kind}": (lambda samples, _, measure=measure, kind=kind: measure(kind, samples))
    for measure in (step_lateness, raise_with_10000_open, burst500, hanging_channel)
    for kind in DATABASES
}
