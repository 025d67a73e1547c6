"""Seeded random histories on the real store: ingest, engine, restarts, refusals; the same invariants."""

import random
from pathlib import Path

import pytest
from backend_rig import ACCEPTED, ORG, SCREEN, Rig, steps, who
from engine_invariants import Seen, violations
from tocsin_backend.channels import Outgoing
from tocsin_backend.domain import alerts, dispatches, policies
from tocsin_backend.domain.alerts import Alert, Answer
from tocsin_backend.domain.dispatches import Dispatch, Outcome
from tocsin_backend.store import alerts as alert_rows
from tocsin_backend.store import dispatches as dispatch_rows
from tocsin_backend.store import timeline as timeline_rows

SEEDS = range(30)


class History:
    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.rig = Rig(folder, f"{seed}.db")
        self.refusals: dict[str, tuple[int, bool]] = {}
        self.frozen: dict[str, str] = {}
        self.sent: list[dict[str, object]] = []
        self.people = [
            self.rig.person("p1", webhook="https://1/", email="1@x"),
            self.rig.person("p2", webhook="https://2/"),
            self.rig.person("p3", webhook="!https://3/"),
            self.rig.person("p4"),
        ]
        self.version = 0
        self.edit()
        self.posts = [self.rig.post(f"bau-{number}", policy="plan") for number in (1, 2)]
        self.wire()

    def wire(self) -> None:
        for channel in self.rig.channels.values():
            channel.answer = self.answer

    def edit(self) -> None:
        targets = [SCREEN, *(who(f"p{number}") for number in (1, 2, 3, 4))]
        self.version += 1
        made = [
            (self.random.choice((5, 10, 60)), self.random.sample(targets, self.random.randint(1, 3)))
            for _ in range(self.random.randint(1, 3))
        ]
        timeout = self.random.choice((0, 30_000, 300_000))
        self.rig.policy(steps(*made, answer_timeout_ms=timeout, passes=self.random.randint(1, 2)), self.version)

    def answer(self, outgoing: Outgoing) -> Outcome:
        if self.random.random() < 0.75:
            return ACCEPTED
        outcome = Outcome(False, permanent=self.random.random() < 0.2, error="refused")
        tries, permanent = self.refusals.get(outgoing.dispatch_id, (0, False))
        self.refusals[outgoing.dispatch_id] = (tries + 1, permanent or outcome.permanent)
        return outcome

    def step(self) -> None:
        rig, kind = self.rig, self.random.random()
        open_ids = rig.sql("SELECT id FROM alert ORDER BY raised_ms, id")
        if kind < 0.25 or not open_ids:
            envelope = self.random.choice(self.posts).press_envelope(mode=self.random.choice(("real", "real", "drill")))
            self.sent.append(envelope)
            assert rig.give(envelope)["r"] == "stored"
        elif kind < 0.35:
            assert rig.give(self.random.choice(self.sent))["r"] in ("duplicate", "stored")
        elif kind < 0.55:
            (alert,) = self.random.choice(open_ids)
            person = self.random.choice(self.people)
            match self.random.randrange(4):
                case 0 | 1:
                    rig.engine.answer(ORG, alert, person, "console", self.random.choice((None, 1, 2)))
                case 2:
                    rig.engine.close(ORG, alert, person, self.random.choice(alerts.REASONS))
                case 3:
                    row = rig.alert(alert)
                    rig.engine.escalate(ORG, alert, person, row.epoch, row.pass_, row.step)
        elif kind < 0.6:
            self.edit()
        elif kind < 0.66:
            rig.restart(self.random.choice((0, 1_000, 400_000, -60_000)))
            self.wire()
        else:
            rig.run(self.random.choice((0, 5_000, 30_000, 120_000)))
        rig.run()

    def check(self) -> list[str]:
        rig = self.rig
        rig.settle()
        with rig.database.read() as conn:
            ids = [row[0] for row in conn.exec_driver_sql("SELECT id FROM alert")]
            rows: dict[str, Alert] = {}
            for key in ids:
                row = alert_rows.get(conn, key)
                assert row is not None
                rows[key] = row
            columns = ", ".join(dispatch_rows.COLUMNS)
            outbox = [Dispatch(*row) for row in conn.exec_driver_sql(f"SELECT {columns} FROM dispatch")]
            told = [
                Answer(*row)
                for row in conn.exec_driver_sql("SELECT alert_id, epoch, person_id, channel, at_ms FROM answer")
            ]
            entries = {key: timeline_rows.of(conn, key) for key in ids}
            signals: dict[str, list[str]] = {}
            for device, b, n, of in conn.exec_driver_sql(
                "SELECT device, b, n, alert_id FROM signal WHERE kind='press'"
            ):
                signals.setdefault(f"{device}/{b}-{n}", []).append(of)
            presses = dict(
                conn.exec_driver_sql("SELECT alert_id, count(*) FROM signal WHERE kind='press' GROUP BY alert_id").all()
            )
            external = frozenset(row[0] for row in conn.exec_driver_sql("SELECT id FROM contact_method WHERE external"))
        for key, row in rows.items():
            self.frozen.setdefault(key, row.frozen)
        found = violations(
            Seen(rig.clock.now, rows, outbox, told, entries, signals, self.frozen, self.refusals, external)
        )
        found += [
            f"2: {key} counts {row.presses} presses, {presses.get(key)} are stored"
            for key, row in rows.items()
            if row.category != alerts.TECHNICAL and row.presses != presses.get(key)
        ]
        return found


@pytest.mark.parametrize("first", range(0, len(SEEDS), 10))
def test_invariants_hold_on_the_real_store(tmp_path: Path, first: int) -> None:
    for seed in SEEDS[first : first + 10]:
        history = History(tmp_path, seed)
        try:
            for number in range(20):
                history.step()
                found = history.check()
                assert not found, f"seed {seed}, step {number}: {found}"
            assert history.rig.engine.unexpected == 0
        finally:
            history.rig.close()
    assert policies.MIN_DELAY_S == 5
    assert dispatches.MAX_ATTEMPTS == 4
