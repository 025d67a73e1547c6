"""A seeded random history of the real store: ingest, engine, restarts, refusals, edits; the same invariants.

run_history("sqlite:////tmp/one.db", 7) -> {"seed": 7, "events": 25, "alerts": 12, …, "violations": []}
"""

import random
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "domain"))

from backend_rig import ACCEPTED, ORG, SCREEN, Rig, steps, who
from engine_invariants import Seen, violations
from rig_estate import alarm_group, channels, desk, organisation, override, person_of, roster
from tocsin_backend.channels import Outgoing
from tocsin_backend.domain import alerts, dispatches
from tocsin_backend.domain.alerts import Alert, Answer
from tocsin_backend.domain.dispatches import Dispatch, Outcome
from tocsin_backend.domain.policies import Step, Target
from tocsin_backend.domain.rosters import Layer, Roster
from tocsin_backend.store import alerts as alert_rows
from tocsin_backend.store import dispatches as dispatch_rows
from tocsin_backend.store import timeline as timeline_rows

MORE_CHANNELS = ("sms", "cap", "siren", "probe")
KINDS = {"bau-1": "call_post", "bau-2": "call_post", "wrist": "personal_button", "ppms": "ppms_trigger"}


class History:
    """`step()` makes one random thing happen, `check()` gives the violations of the invariants."""

    def __init__(self, url: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.rig = rig = Rig(Path(), url=url)
        self.refusals: dict[str, tuple[int, bool]] = {}
        self.frozen: dict[str, str] = {}
        self.sent: list[dict[str, object]] = []
        self.mode = alerts.REAL
        organisation(rig, "region", above_of=ORG)
        organisation(rig, "police")
        self.people = [
            rig.person("p1", webhook="https://1/", email="1@x"),
            rig.person("p2", webhook="https://2/"),
            rig.person("p3", webhook="!https://3/"),
            rig.person("p4"),
            rig.person("p5", role="technician", email="5@x"),
        ]
        self.guest = person_of(rig, "police", "p6", sms="6")
        person_of(rig, "police", "p7", role="technician", sms="7")
        person_of(rig, "region", "p8", role="technician", email="8@x")
        rig.sql("UPDATE contact_method SET offset_ms=8000 WHERE address='1@x'")
        desk(rig, "police", "post", role="supervisor")
        roster(rig, Roster("duty", "Duty", (Layer((("p1",), ("p2",)), 1, datetime(2025, 11, 24)),)))
        self.version = 0
        self.edit()
        self.posts = [rig.post(name, policy="plan") for name in KINDS]
        alarm_group(rig, "horns", ("horn", "out-1"), ("horn", "out-2"))
        for name, kind in KINDS.items():
            rig.sql("UPDATE device SET kind=? WHERE id=?", kind, name)
        self.wire()

    def wire(self) -> None:
        channels(self.rig, *MORE_CHANNELS)
        for channel in self.rig.channels.values():
            channel.answer = self.answer

    def edit(self) -> None:
        targets = [
            SCREEN,
            *(who(f"p{number}") for number in (1, 2, 3, 4)),
            Target(channel="cap"),
            Target(roster="duty"),
            Target(desk="police/post"),
            Target(alarms="horns"),
            Target(role="technician"),
        ]
        self.version += 1
        made = [
            (self.random.choice((5, 10, 60)), self.random.sample(targets, self.random.randint(1, 3)))
            for _ in range(self.random.randint(1, 3))
        ]
        timeout = self.random.choice((0, 30_000, 300_000))
        plan = steps(*made, answer_timeout_ms=timeout, passes=self.random.randint(1, 2), severity_presses=3,
                     severity_within_ms=60_000)  # fmt: skip
        if self.random.random() < 0.4:
            first = plan.steps[0]
            plan = replace(plan, steps=(Step(first.delay_ms, first.targets, 2), *plan.steps[1:]))
        self.rig.policy(plan, self.version)

    def answer(self, outgoing: Outgoing) -> Outcome:
        if self.random.random() < 0.75:
            return ACCEPTED
        outcome = Outcome(False, permanent=self.random.random() < 0.2, error="refused")
        for dispatch_id in (outgoing.dispatch_id, *(each for each, _ in outgoing.also)):  # a bundle is one try of all
            tries, permanent = self.refusals.get(dispatch_id, (0, False))
            self.refusals[dispatch_id] = (tries + 1, permanent or outcome.permanent)
        return outcome

    def press(self) -> None:
        post = self.random.choice(self.posts)
        kind = self.random.random()
        more: dict[str, object] = {"mode": self.mode}
        if kind < 0.1:
            more = {"k": "probe"}
        elif kind < 0.25:
            more["silent"] = 1
        envelope = post.press_envelope(**more)
        self.sent.append(envelope)
        assert self.rig.give(envelope)["r"] == "stored"

    def act(self, alert_id: str) -> None:
        rig = self.rig
        row = rig.alert(alert_id)
        org, person = (ORG, self.random.choice(self.people[:2])) if row.org == ORG else (row.org, rig.persons["p8"])
        match self.random.randrange(8) if row.org == ORG else 9:
            case 0 | 1 | 2:
                quoted = self.random.choice((None, max(1, row.epoch - 1), row.epoch))
                rig.engine.answer(org, alert_id, person, "console", quoted)
            case 3 | 4:
                rig.engine.close(org, alert_id, person, self.random.choice(alerts.REASONS))
            case 5:
                rig.engine.escalate(org, alert_id, person, row.epoch, row.pass_, row.step)
            case 6:
                rig.engine.progress(org, alert_id, person, self.random.choice(alerts.PROGRESS), row.epoch)
            case 7:
                rig.engine.all_clear(org, alert_id, person)
            case _:
                rig.engine.answer(org, alert_id, person, "console")

    def report(self) -> None:
        out = self.rig.sql(
            "SELECT id, status, kind FROM dispatch WHERE handed_ms IS NOT NULL AND kind<>'lamp' ORDER BY id"
        )
        if not out:
            return
        key, status, kind = self.random.choice(out)
        what = self.random.choice((dispatches.DELIVERED, dispatches.SEEN, dispatches.FAILED))
        what = dispatches.DELIVERED if kind == dispatches.ACTUATE else what
        if what == dispatches.FAILED and status == dispatches.HANDED:
            self.refusals[key] = (1, True)
        self.rig.engine.report(key, what)

    def step(self) -> None:
        rig, kind = self.rig, self.random.random()
        open_ids = rig.sql("SELECT id FROM alert ORDER BY raised_ms, id")
        if kind < 0.25 or not open_ids:
            self.press()
        elif kind < 0.32:
            assert rig.give(self.random.choice(self.sent))["r"] in ("duplicate", "stored")
        elif kind < 0.52:
            self.act(self.random.choice(open_ids)[0])
        elif kind < 0.58:
            self.report()
        elif kind < 0.62:
            self.edit()
        elif kind < 0.65:
            starts_ms = rig.clock.now + self.random.randrange(0, 600_000)
            override(rig, "duty", starts_ms, starts_ms + 600_000, self.random.choice(("p2", "p4")))
        elif kind < 0.67:
            self.mode = alerts.DRILL if self.mode == alerts.REAL else alerts.REAL
        elif kind < 0.72:
            rig.restart(self.random.choice((0, 1_000, 400_000, 3_000_000, -60_000)))
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
                for row in conn.exec_driver_sql(
                    "SELECT alert_id, epoch, person_id, channel, at_ms, progress, progress_ms FROM answer"
                )
            ]
            entries = {key: timeline_rows.of(conn, key) for key in ids}
            signals: dict[str, list[str]] = {}
            for device, b, n, of in conn.exec_driver_sql(
                "SELECT device, b, n, alert_id FROM signal WHERE kind IN ('press', 'probe')"
            ):
                signals.setdefault(f"{device}/{b}-{n}", []).append(of)
            external = frozenset(row[0] for row in conn.exec_driver_sql("SELECT id FROM contact_method WHERE external"))
            orgs = {row[0]: row[1] for row in conn.exec_driver_sql("SELECT id, org FROM person")}
        for key, row in rows.items():
            self.frozen.setdefault(key, row.frozen)
        return violations(
            Seen(
                rig.clock.now, rows, outbox, told, entries, signals, self.frozen, self.refusals, external, orgs,
                frozenset((self.guest,)),
            )
        )  # fmt: skip


def run_history(url: str, seed: int, steps_: int = 20) -> dict[str, object]:
    """A history's figures: how much happened in it, and what did not hold. `url`: an empty database."""
    history = History(url, seed)
    found: list[str] = []
    done = 0
    try:
        while done < steps_ and not found:
            history.step()
            found = [f"step {done}: {each}" for each in history.check()]
            done += 1
        if history.rig.engine.unexpected:
            found.append(f"the engine stumbled {history.rig.engine.unexpected} times")
        [(raised,)] = history.rig.sql("SELECT count(*) FROM alert")
        [(made,)] = history.rig.sql("SELECT count(*) FROM dispatch")
    finally:
        history.rig.close()
    return {"seed": seed, "events": done, "alerts": raised, "dispatches": made, "violations": found}
