"""A backend in one process with a clock that is wound by hand: real store, real ingest, real engine, recorded messages.

`Rig.run()` does what the engine's thread and the workers do, in this thread, until nothing is due: no sleeping.
"""

import base64
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlmodel import SQLModel
from tocsin_backend.channels import Outgoing
from tocsin_backend.domain import policies
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.engine import Engine
from tocsin_backend.ingest import Ingest
from tocsin_backend.outbox import Outbox
from tocsin_backend.store import alerts as alert_rows
from tocsin_backend.store import tables
from tocsin_backend.store.database import Database, notes
from tocsin_wire import messages, topics

ORG = "demo"
START_MS = 1_764_000_000_000
ACCEPTED = Outcome(True)


class HandClock:
    """Time as the test says."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now = now_ms

    def now_ms(self) -> int:
        return self.now


class Recorder:
    """A channel that remembers and answers what it was told to."""

    workers = 1

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent: list[Outgoing] = []
        self.answer: Callable[[Outgoing], Outcome] = lambda outgoing: ACCEPTED

    def send(self, outgoing: Outgoing) -> Outcome:
        outcome = self.answer(outgoing)
        if outcome.accepted:
            self.sent.append(outgoing)
        return outcome

    def close(self) -> None:
        pass


class Post:
    """A device: signs what it says with its key."""

    def __init__(self, rig: "Rig", device: str, key: bytes) -> None:
        self.rig, self.device, self.key = rig, device, key
        self.kid = "k1"
        self.b, self.n, self.link, self.beats = 1, 0, 1, 0

    def swap_board(self, kid: str) -> None:
        """A new board with a new key in its place: it counts from the beginning."""
        self.kid, self.key = kid, kid.encode().ljust(32, b"n")
        self.b, self.n, self.link, self.beats = 1, 0, 1, 0
        self.rig.sql("UPDATE device_key SET revoked_ms=1 WHERE device=?", self.device)
        self.rig.save(tables.DeviceKey(org=ORG, device=self.device, kid=kid, key=self.key, created_ms=START_MS))

    def seal(self, channel: str, message: dict[str, Any]) -> dict[str, Any]:
        topic = topics.topic(ORG, self.device, channel)
        frame = messages.seal(topic, {"v": 1, **message}, self.kid, self.key)
        now_ms = self.rig.clock.now_ms()
        return {
            "id": next(self.rig.numbers),
            "topic": topic,
            "frame": base64.b64encode(frame).decode(),
            "at_ms": now_ms,
            "held_ms": now_ms,
            "retained": 0,
            "dup": 0,
        }

    def signal(self, channel: str, **fields: Any) -> dict[str, Any]:
        self.n += 1
        head = {"b": self.b, "n": self.n, "t": 0, "q": "none", "age": 5, "try": 1}
        return self.seal(channel, {**head, **fields})

    def press_envelope(self, **fields: Any) -> dict[str, Any]:
        return self.signal("alert", **{"k": "press", "in": "button", "held": 40, "mode": "real", **fields})

    def press(self, **fields: Any) -> dict[str, Any]:
        return self.rig.give(self.press_envelope(**fields))

    def event(self, kind: str, **fields: Any) -> dict[str, Any]:
        return self.rig.give(self.signal("event", k=kind, **fields))

    def lamp(self, reply: str, lamp: str, epoch: int, lat: int = 60) -> dict[str, Any]:
        return self.event("lamp", re=reply, r=lamp, e=epoch, lat=lat)

    def birth(self) -> dict[str, Any]:
        self.link += 1
        self.beats = 0
        return self.rig.give(self.seal("state", {"s": f"{self.b}.{self.link}", "st": "ready"}))

    def death(self) -> dict[str, Any]:
        return self.rig.give(self.seal("state", {"s": f"{self.b}.{self.link}", "st": "lost"}))

    def beat_frame(self) -> dict[str, Any]:
        self.beats += 1
        body = {
            "s": f"{self.b}.{self.link}", "i": self.beats, "b": self.b, "n": self.n, "up": 1, "spool": 0, "drop": 0,
            "lag": 1, "free": 1, "rej": 0, "lines": {"button": "idle"}, "t": 0, "q": "none",
        }  # fmt: skip
        return {**self.seal("beat", body), "count": 1}

    def beat(self) -> dict[str, Any]:
        return self.rig.ingest.beats(ORG, "gw-1", [self.beat_frame()])

    def acks(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        """What the post reads in the acks of an answer, signatures verified."""
        return [self.read(each["topic"], base64.b64decode(each["frame"])) for each in answer["publish"]]

    def read(self, topic: str, frame: bytes) -> dict[str, Any]:
        return messages.unseal(topic, frame, self.key)


class Rig:
    """See the module. `people`: login -> (role, {channel: address, …}); an address of "!x" is external."""

    def __init__(self, folder: Path, file: str = "rig.db", url: str = "") -> None:
        self.clock = HandClock()
        self.numbers = itertools.count(1)
        self.url = url or f"sqlite:///{folder / file}"
        self.database = Database(self.url)
        self.database.migrate()
        self.persons: dict[str, int] = {}
        self.open()
        self.save(tables.Organisation(id=ORG, name="Région", created_ms=START_MS))
        self.save(tables.Gateway(org=ORG, id="gw-1", token_hash="x", created_ms=START_MS))

    def open(self) -> None:
        """Engine, ingest and channels over the database: what a process builds at its start."""
        self.channels = {name: Recorder(name) for name in ("console", "webhook", "email", "probe")}
        self.outbox = Outbox(f"rig-{next(self.numbers)}", frozenset(self.channels), "https://tocsin.test")
        self.engine = Engine(self.database, self.clock, self.outbox, self.channels)
        self.ingest = Ingest(self.database, self.clock, self.outbox)

    def restart(self, down_ms: int = 0) -> None:
        """The process dies (whatever it held in memory is gone) and another one starts after a while."""
        self.database.close()
        self.clock.now += down_ms
        self.database = Database(self.url)
        self.open()
        self.database.write(self.engine._resume).result()

    def close(self) -> None:
        self.database.close()

    # -- furnishing

    def save(self, row: SQLModel) -> int:
        def job(conn: Any) -> int:
            notes(conn).catalogue = True
            table = type(row).__table__  # type: ignore[attr-defined]
            values = {key: value for key, value in row.model_dump().items() if value is not None}
            return conn.execute(table.insert().values(**values)).inserted_primary_key[0]

        return self.database.write(job).result()

    def person(self, login: str, role: str = "supervisor", language: str = "fr", **addresses: str) -> int:
        key = self.save(
            tables.Person(org=ORG, login=login, name=login.title(), role=role, language=language, created_ms=START_MS)
        )
        self.persons[login] = key
        for position, (channel, address) in enumerate(addresses.items()):
            self.save(
                tables.ContactMethod(
                    person_id=key, channel=channel, address=address.lstrip("!"), external=address.startswith("!"),
                    secret="s3cret", position=position, created_ms=START_MS,
                )
            )  # fmt: skip
        return key

    def policy(self, policy: policies.Policy, version: int = 1) -> None:
        body = policies.dump(policy)
        if version == 1:
            self.save(tables.Policy(org=ORG, id=policy.id, title=policy.title, version=1, changed_ms=START_MS))
        else:
            self.sql(f"UPDATE policy SET version={version} WHERE id='{policy.id}'")
        self.save(tables.PolicyVersion(org=ORG, policy=policy.id, version=version, body=body, created_ms=START_MS))

    def post(self, device: str, site: str = "lycee", policy: str | None = None, reporting_ms: int = 90_000) -> Post:
        if self.sql("SELECT count(*) FROM site WHERE id=?", site) == [(0,)]:
            self.save(
                tables.Site(org=ORG, id=site, name="Lycée de l'Emperi", reporting_ms=reporting_ms, created_ms=START_MS)
            )
        self.save(tables.Device(org=ORG, id=device, site=site, name="Grille", policy=policy, created_ms=START_MS))
        key = device.encode().ljust(32, b"k")
        self.save(tables.DeviceKey(org=ORG, device=device, kid="k1", key=key, created_ms=START_MS))
        return Post(self, device, key)

    def sql(self, text: str, *values: object) -> list[Any]:
        """One statement, as somebody with the database's password would run it. A `?` stands for a value."""

        def job(conn: Any) -> list[Any]:
            notes(conn).catalogue = True
            if conn.dialect.name == "postgresql":
                result = conn.exec_driver_sql(text.replace("%", "%%").replace("?", "%s"), values)
            else:
                result = conn.exec_driver_sql(text, values)
            return list(result) if result.returns_rows else []

        return self.database.write(job).result()

    # -- running

    def give(self, envelope: dict[str, Any], org: str = ORG) -> dict[str, Any]:
        return self.ingest.envelopes(org, "gw-1", [envelope])[0]

    def settle(self) -> None:
        """Wait until everything queued so far is committed: the writer serves a lowest-priority job last."""
        from tocsin_backend.store.database import Priority

        for _ in range(2):
            self.database.write(lambda conn: None, Priority.BEAT).result()

    def pump(self) -> int:
        """Send what waits in the channels, and record it: how many tries."""
        self.settle()
        tries = 0
        for sender in self.engine.senders.values():
            while sender._queue:
                _, order, outgoing, _ = sender._queue.pop(0)
                if sender._waiting.get(outgoing.dispatch_id) != order:
                    continue
                del sender._waiting[outgoing.dispatch_id]
                self.engine._sent(outgoing, sender.send(outgoing))
                tries += 1
        self.settle()
        return tries

    def run(self, for_ms: int = 0) -> None:
        """Let this much time pass, serving every instant at its instant."""
        until_ms = self.clock.now + for_ms
        while True:
            while self.pump():
                pass
            next_ms = self.engine.turn()
            if self.pump():
                continue
            if next_ms is None or next_ms > until_ms:
                break
            self.clock.now = max(self.clock.now, next_ms)
        self.clock.now = max(self.clock.now, until_ms)

    def told(self) -> Counter[tuple[str, str]]:
        """Who was told what since the last call: (address, kind) -> times. Console notices are ("console", kind)."""
        found: Counter[tuple[str, str]] = Counter()
        for channel in self.channels.values():
            for outgoing in channel.sent:
                found[outgoing.address or channel.name, str(outgoing.message.facts["kind"])] += 1
            channel.sent.clear()
        return found

    def alert(self, alert_id: str) -> Any:
        with self.database.read() as conn:
            return alert_rows.get(conn, alert_id)


def steps(*steps_: tuple[int, list[policies.Target]], **more: Any) -> policies.Policy:
    """A policy: (delay in s, targets) a step."""
    made = tuple(policies.Step(delay_s * 1000, tuple(targets)) for delay_s, targets in steps_)
    values = {"id": "plan", "title": "Plan", "answer_timeout_ms": 900_000, "passes": 1, **more}
    return policies.Policy(steps=made, **values)


def who(login: str, *channels: str) -> policies.Target:
    return policies.Target(person=login, channels=channels)


SCREEN = policies.Target(channel="console")
