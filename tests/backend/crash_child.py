"""One backend process: stores the press it is given, tells people, and dies at the fault point it is given.

python crash_child.py DATABASE_URL ENVELOPE.json FAULT       FAULT "none": stops once nothing is left to do
"""

import ipaddress
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from tocsin_backend.channels import Attempt, Outgoing
from tocsin_backend.channels.console import Console
from tocsin_backend.channels.webhook import Webhook
from tocsin_backend.clock import SystemClock
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.engine import Engine
from tocsin_backend.ingest import Ingest
from tocsin_backend.outbox import Outbox
from tocsin_backend.store.database import Database, Notes


def die(fault: str, point: str) -> None:
    if fault == point:
        os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, envelope: Path, fault: str) -> None:
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

    clock = SystemClock()
    database = Database(url)
    loopback = ipaddress.ip_network("127.0.0.0/8")
    channels: dict[str, Any] = {"webhook": MortalWebhook(clock, [loopback]), "console": Console()}
    outbox = Outbox(f"child-{os.getpid()}", frozenset(channels), "https://tocsin.test")
    engine = MortalEngine(database, clock, outbox, channels)
    ingest = Ingest(database, clock, outbox)
    engine.start()
    print(json.dumps(ingest.envelopes("demo", "gw-1", [json.loads(envelope.read_text())])), flush=True)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with database.read() as conn:
            left = conn.exec_driver_sql("SELECT count(*) FROM dispatch WHERE status IN ('pending', 'leased')").scalar()
        if not left:
            break
        time.sleep(0.02)
    engine.stop()
    database.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
