"""Backend processes that store the press they are given, tell people, and die at the fault point they are given.

python crash_child.py        reads jobs from stdin, one JSON line each, and answers each with one:
    {"url": …, "envelope": {…}, "fault": "after-send", "ahead_ms": 0}    →    {"status": -9, "said": [], "lines": 0}

Each job runs in a process of its own, forked from this one, which has imported everything and started no thread.
"fault": a named point, "none" (stops once nothing is left to do), or "line 123": before the 123rd line that the
sender's own functions (TRACED) run in all threads. "lines" is how many there were. `ahead_ms`: how far its clock is.
"""

import ipaddress
import itertools
import json
import os
import signal
import sys
import threading
import time
from types import CodeType, FrameType
from typing import Any

from sqlalchemy import Connection
from tocsin_backend.channels import Attempt, Outgoing, webhook
from tocsin_backend.channels.console import Console
from tocsin_backend.channels.webhook import Webhook
from tocsin_backend.clock import SystemClock
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.engine import Engine, Sender
from tocsin_backend.ingest import Ingest
from tocsin_backend.outbox import Outbox
from tocsin_backend.store.database import Database, Notes
from tocsin_backend.store.dialect import Prepared

# What stands between a press that is being stored and the record that its notice went out.
TRACED = (
    Sender._run, Sender.put, Sender.send, Engine._about_to_commit, Engine._committed, Engine._sent, Engine._record,
    Database._commit, Database._together, Database._herald, Outbox.apply, Outbox.decide, Outbox.raise_or_count,
    Prepared.run, Prepared.run_many, Prepared.all, Webhook.prepare, Webhook.post, webhook._Post.launch,
    webhook._Post.finish,
)  # fmt: skip


class Tracer:
    """Counts lines of TRACED, and dies before the one it is told."""

    def __init__(self, fatal: int) -> None:
        self.codes: set[CodeType] = {each.__code__ for each in TRACED}
        self.fatal = fatal
        self.numbers = itertools.count(1)
        self.lines = 0

    def start(self) -> None:
        threading.settrace(self.call)
        sys.settrace(self.call)

    def call(self, frame: FrameType, event: str, argument: object) -> Any:
        return self.line if frame.f_code in self.codes else None

    def line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            self.lines = next(self.numbers)
            if self.lines == self.fatal:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.line


def die(fault: str, point: str) -> None:
    if fault == point:
        os.kill(os.getpid(), signal.SIGKILL)


def serve(url: str, envelope: dict[str, Any], fault: str, ahead_ms: int) -> dict[str, Any]:
    class MortalAttempt:
        def __init__(self, attempt: Attempt) -> None:
            self.attempt = attempt
            self.abandon = attempt.abandon

        def launch(self) -> None:
            die(fault, "before-send")
            self.attempt.launch()

        def finish(self) -> Outcome:
            outcome = self.attempt.finish()
            die(fault, "after-send")
            return outcome

    class MortalWebhook(Webhook):
        def prepare(self, outgoing: Outgoing) -> Attempt:
            return MortalAttempt(super().prepare(outgoing))

    class MortalEngine(Engine):
        def _committed(self, heard: Notes) -> None:
            if heard.outgoing:
                die(fault, "after-commit")
            super()._committed(heard)

        def _record(self, outgoing: Outgoing, outcome: Outcome, conn: Connection) -> None:
            die(fault, "before-record")
            super()._record(outgoing, outcome, conn)
            die(fault, "in-record")

        def _sent(self, outgoing: Outgoing, outcome: Outcome) -> None:
            super()._sent(outgoing, outcome)
            if outgoing.channel == "webhook":
                self.database.write(lambda conn: None).result()
                die(fault, "after-record")

    tracer = Tracer(int(fault.removeprefix("line ")) if fault.startswith("line ") else 0)
    clock = SystemClock(wall=lambda: time.time() + ahead_ms / 1000)
    database = Database(url)
    loopback = ipaddress.ip_network("127.0.0.0/8")
    channels: dict[str, Any] = {"webhook": MortalWebhook(clock, [loopback]), "console": Console()}
    outbox = Outbox(f"child-{os.getpid()}", frozenset(channels), "https://tocsin.test")
    engine = MortalEngine(database, clock, outbox, channels)
    ingest = Ingest(database, clock, outbox)
    tracer.start()
    engine.start()
    answers = ingest.envelopes("demo", "gw-1", [envelope])
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with database.read() as conn:
            left = conn.exec_driver_sql("SELECT count(*) FROM dispatch WHERE status IN ('pending', 'leased')").scalar()
        if not left:
            break
        time.sleep(0.01)
    engine.stop()
    database.close()
    return {"said": answers, "lines": tracer.lines}


def main() -> None:
    for line in sys.stdin:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            status = 1
            try:
                os.write(writer, json.dumps(serve(**json.loads(line))).encode())
                status = 0
            except BaseException as error:
                os.write(writer, json.dumps({"failed": repr(error)}).encode())
            finally:
                os._exit(status)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(child, 0)
        answer = {"status": os.waitstatus_to_exitcode(status), "said": [], "lines": 0}
        print(json.dumps(answer | (json.loads(said) if said else {})), flush=True)


if __name__ == "__main__":
    main()
