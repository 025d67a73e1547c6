"""A world in memory around the pure engine: rows, senders that fail and crash, a clock that jumps. Seeded.

run_history(7) -> {"seed": 7, "events": 63, "alerts": 12, "dispatches": 240, "violations": []}
"""

import random
from collections.abc import Iterable
from dataclasses import replace

import history_people as cast
from engine_invariants import Seen, violations
from history_people import DEVICES, EXTERNAL, GUESTS, ORG, ORGS, PARENT, SITE
from tocsin_backend.domain import alerts, dispatches, escalation, policies
from tocsin_backend.domain.alerts import Alert
from tocsin_backend.domain.dispatches import Dispatch, Outcome
from tocsin_backend.domain.escalation import (
    AllClear,
    Changes,
    Cleared,
    Close,
    Due,
    Escalate,
    Press,
    Progress,
    Remark,
    Reported,
    Rows,
    Sent,
    Take,
    Told,
)
from tocsin_backend.domain.policies import Policy, Step, Target
from tocsin_backend.domain.telling import FEEDS
from tocsin_backend.domain.timeline import Entry

FOREVER = 2**62


class World:
    """`step()` makes one random thing happen; `check()` gives the violations of the invariants."""

    crash = 0.1
    refuse = 0.2

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now_ms = 1_700_000_000_000
        self.people = cast.persons()
        self.duty = cast.roster(self.random, self.now_ms)
        self.alerts: dict[str, Alert] = {}
        self.dispatches: dict[str, Dispatch] = {}
        self.answers: dict[tuple[str, int, int], alerts.Answer] = {}
        self.entries: dict[str, list[Entry]] = {}
        self.signals: dict[str, list[str]] = {}
        self.frozen: dict[str, str] = {}
        self.refusals: dict[str, tuple[int, bool]] = {}
        self.reached: list[tuple[int, str, int | None]] = []  # (ms, alert id, person id) that a channel accepted
        self.above: set[tuple[str, int]] = set()  # (alert id, epoch) of which the next organisation up was told
        self.numbers = dict.fromkeys(DEVICES, 0)
        self.drill = False
        self.version = 0
        self.events = 0
        self.changed: set[str] = set()
        self.flying: list[tuple[str, Outcome]] = []  # tries whose outcome is not known yet
        self.faults: list[str] = []
        self.edit_policy()

    # -- what is there

    def edit_policy(self) -> None:
        self.version += 1
        self.policy = cast.policy(self.random)

    def of_alert(self, alert_id: str) -> list[Dispatch]:
        return [each for each in self.dispatches.values() if each.alert_id == alert_id]

    def rows(self, alert: Alert | None, org: str = ORG) -> Rows:
        people = cast.directory(org if alert is None else alert.org, self.people, self.duty)
        if alert is None:
            return Rows(people=people)
        mine = self.of_alert(alert.id)
        place = (alert.epoch, alert.pass_, alert.step)
        live = [
            each
            for each in mine
            if each.status in dispatches.OPEN
            or each.kind == dispatches.ACTUATE
            or (each.epoch, each.pass_, each.step) == place
        ]
        told = frozenset(
            Told(each.person_id, each.method_id, each.channel, each.target)
            for each in mine
            if each.kind == dispatches.NOTIFY
            and each.status in dispatches.TOLD
            and (each.person_id is not None or each.channel in FEEDS)
        )
        answers = tuple(each for each in self.answers.values() if each.alert_id == alert.id)
        return Rows(alert, tuple(live), told, answers, people)

    def apply(self, alert: Alert | None, event: escalation.Event, org: str = ORG) -> Changes:
        self.events += 1
        rows = self.rows(alert, org)
        if isinstance(event, Sent | Reported) and all(each.id != event.dispatch_id for each in rows.dispatches):
            rows = replace(rows, dispatches=(*rows.dispatches, self.dispatches[event.dispatch_id]))
        changes = escalation.apply(rows, event, self.now_ms)
        if changes.alert is None:
            return changes
        after = changes.alert
        self.frozen.setdefault(after.id, after.frozen)
        self.alerts[after.id] = after
        self.changed.add(after.id)
        for each in changes.dispatches:
            if each.id not in self.dispatches and each.kind == dispatches.LAMP:
                each = dispatches.order_sent(each, self.now_ms)
            if each.id in self.dispatches and each.created_ms != self.dispatches[each.id].created_ms:
                self.faults.append(f"5: dispatch {each.id[:8]} was made twice")
            self.dispatches[each.id] = each
        for answer in changes.answers:
            self.answers[answer.alert_id, answer.epoch, answer.person_id] = answer
        self.entries.setdefault(after.id, []).extend(changes.entries)
        self.witness(rows, changes)
        for trouble in changes.trouble:
            self.technical(ORG, after.device, trouble.subject)
            if trouble.above:
                self.above.add((after.id, after.epoch))
                self.technical(PARENT, after.device, trouble.subject, after)
        return changes

    def witness(self, rows: Rows, changes: Changes) -> None:
        """What only the instant itself shows: who was told when it was raised again; that the one above was told."""
        after = changes.alert
        assert after is not None
        why = [
            each.data for each in changes.entries if each.what == "reopened" and '"why":"escalated"' not in each.data
        ]
        if why:
            told = {each.person_id for each in changes.dispatches if each.kind == dispatches.NOTIFY}
            for person_id in {each.person_id for each in rows.answers} - told:
                person = self.people[person_id]
                inside = [way for way in person.methods if not way.external and person.org == ORG]
                if after.mode != alerts.PROBE and (inside or (person.methods and after.mode == alerts.REAL)):
                    self.faults.append(f"9: raised again, and p{person_id}, who had answered, is not told")
        unanswered = any(each.what == "unanswered" for each in changes.entries)
        above = any(each.above for each in changes.trouble)
        if unanswered and after.mode == alerts.REAL and after.category != alerts.TECHNICAL and not above:
            self.faults.append("9: unanswered, and the organisation above is not told")
        if above and (after.id, after.epoch) in self.above:
            self.faults.append("9: the organisation above is told of one epoch twice")

    def newest(self, dedup: str) -> Alert | None:
        mine = [each for each in self.alerts.values() if each.dedup == dedup]
        mine.sort(key=lambda each: (each.status == alerts.CLOSED, -each.raised_ms))
        return mine[0] if mine else None

    # -- what happens at the posts

    def press(self, device: str, again: bool = False, kind: str = "press") -> None:
        if not again:
            self.numbers[device] += 1
        number = (
            self.random.randint(1, self.numbers[device]) if again and self.numbers[device] else self.numbers[device]
        )
        key = f"{device}/1-{number}"
        if number == 0 or key in self.signals:
            return  # the unique constraint answered: however late, no second alert
        mode = alerts.PROBE if kind == "probe" else alerts.DRILL if self.drill else alerts.REAL
        silent = mode != alerts.PROBE and self.random.random() < 0.15
        plan = policies.probe() if mode == alerts.PROBE else self.policy
        event = Press(
            alerts.alert_id(ORG, device, f"1-{number}"), ORG, SITE, device, DEVICES[device], mode, silent, "",
            f"1-{number}", self.version, policies.dump(plan), window_id=1 if mode == alerts.DRILL else None,
            contact_ms=self.now_ms - self.random.choice((0, 0, 500, 86_400_000)),
        )  # fmt: skip
        dedup = alerts.dedup_key(ORG, SITE, device, DEVICES[device], mode, silent)
        changes = self.apply(self.newest(dedup), event)
        if changes.alert is None:
            self.faults.append(f"15: press {key} was refused")
            return
        self.signals[key] = [changes.alert.id]

    def technical(self, org: str, device: str, subject: str, about: Alert | None = None) -> None:
        of = ORG if about is not None else org
        event = Press(
            alerts.alert_id(org, f"{of}/{device}", f"{subject}-{self.now_ms}-{self.events}"), org, SITE, device,
            alerts.TECHNICAL, alerts.REAL, False, subject, "", 0, policies.dump(cast.technical_policy()),
            device_org=of, about_id=None if about is None else about.id,
        )  # fmt: skip
        dedup = alerts.dedup_key(org, SITE, device, alerts.TECHNICAL, alerts.REAL, False, subject, of)
        self.apply(self.newest(dedup), event, org)

    # -- time and senders

    def serve(self) -> None:
        """Everything that is due now, as the engine does it."""
        for _ in range(500):
            due = [each.id for each in self.alerts.values() if (each.due_ms or FOREVER) <= self.now_ms]
            for alert_id in due:
                self.apply(self.alerts[alert_id], Due())
            waiting = [each for each in self.dispatches.values() if (each.next_ms or FOREVER) <= self.now_ms]
            for each in waiting:
                if self.dispatches[each.id] != each:
                    continue
                if each.kind == dispatches.LAMP:
                    self.dispatches[each.id] = dispatches.order_sent(each, self.now_ms)
                else:
                    self.send(dispatches.lease(each, "me", self.now_ms))
            if not due and not waiting:
                return
        raise AssertionError("9: the engine spins")

    def send(self, leased: Dispatch) -> None:
        """A sender that may be refused, or crash before or after it sent; then the lease is all that is left."""
        self.dispatches[leased.id] = leased
        what = self.random.random()
        if what < self.crash:
            return
        outcome = Outcome(True, confirmed=self.random.choice(("", "", "", "delivered")))
        if leased.kind == dispatches.ACTUATE:
            outcome = Outcome(True)  # the gateway has it; the device confirms later, or not
        if what > 1 - self.refuse:
            outcome = Outcome(False, permanent=self.random.random() < 0.2, error="refused")
        if self.crash and self.random.random() < 0.15:
            self.flying.append((leased.id, outcome))  # slow: the alert goes on meanwhile, the lease may run out
        else:
            self.land(leased.id, outcome)

    def land(self, dispatch_id: str, outcome: Outcome) -> None:
        """What came of a try gets known."""
        tried = self.dispatches[dispatch_id]
        if outcome.accepted:
            self.reached.append((self.now_ms, tried.alert_id, tried.person_id))
            self.refusals.pop(dispatch_id, None)
        elif tried.status in dispatches.OPEN:
            self.refused(dispatch_id, outcome.permanent)
        self.apply(self.alerts[tried.alert_id], Sent(dispatch_id, outcome))

    def refused(self, dispatch_id: str, permanent: bool) -> None:
        tries, before = self.refusals.get(dispatch_id, (0, False))
        self.refusals[dispatch_id] = (tries + 1, before or permanent)

    def report(self) -> None:
        """A provider or a device says later what became of a message."""
        out = [each for each in self.dispatches.values() if each.handed_ms is not None and each.kind != dispatches.LAMP]
        if not out:
            return
        each = self.random.choice(out)
        what = self.random.choice((dispatches.DELIVERED, dispatches.SEEN, dispatches.FAILED))
        if each.kind == dispatches.ACTUATE:
            what = dispatches.DELIVERED
        if what == dispatches.FAILED and each.status == dispatches.HANDED:
            self.refused(each.id, True)
        self.apply(self.alerts[each.alert_id], Reported(each.id, what))

    def pass_time(self) -> None:
        """Time goes on, instant by instant, or jumps over an outage of 5 to 50 minutes and catches up."""
        if self.random.random() < 0.1:
            self.now_ms += self.random.randint(300_000, 3_000_000)
        else:
            ahead = [each.due_ms for each in self.alerts.values() if each.due_ms is not None]
            ahead += [each.next_ms for each in self.dispatches.values() if each.next_ms is not None]
            soonest = min(ahead, default=self.now_ms + 1_000)
            self.now_ms = max(self.now_ms, min(soonest, self.now_ms + 60_000))
        self.serve()

    def restart(self) -> None:
        """A restart, also on a machine whose clock went back: due instants are clamped to their span."""
        self.now_ms -= self.random.choice((0, self.random.randint(1_000, 3_600_000)))
        for alert in list(self.alerts.values()):
            if alert.due_ms is not None and alert.due_ms > self.now_ms + alert.span_ms:
                self.alerts[alert.id] = replace(alert, due_ms=self.now_ms + alert.span_ms)
        for each in list(self.dispatches.values()):
            if each.next_ms is None:
                continue
            first = each.status == dispatches.PENDING and each.attempts == 0
            span_ms = max(0, each.next_ms - each.created_ms) if first else max(dispatches.LAMP_RETRY_MS)
            if each.next_ms > self.now_ms + span_ms:
                self.dispatches[each.id] = replace(each, next_ms=self.now_ms + span_ms)

    # -- what people do

    def act(self) -> None:
        alert = self.random.choice(list(self.alerts.values()))
        person = self.random.choice((1, 2, 5, 6)) if alert.org == ORG else 8
        epoch = self.random.choice((None, alert.epoch, max(1, alert.epoch - 1)))
        match self.random.choice(
            ("take",) * 5 + ("progress",) * 2 + ("close",) * 3 + ("next", "clear", "lamp", "note")
        ):
            case "take":
                self.stale(alert, epoch, self.apply(alert, Take(person, "console", epoch)))
            case "progress":
                self.apply(alert, Progress(person, self.random.choice(alerts.PROGRESS), epoch))
            case "close":
                self.stale(
                    alert, epoch, self.apply(alert, Close(person, self.random.choice(alerts.REASONS), "", epoch))
                )
            case "next":
                step = self.random.choice((alert.step, alert.step, alert.step + 1))
                self.apply(alert, Escalate(person, alert.epoch, alert.pass_, step))
            case "clear":
                self.apply(alert, AllClear(person, self.random.choice(("", "horns", "others"))))
            case "lamp":
                lamp = self.random.choice(("stored", "answered", "closed"))
                self.apply(alert, escalation.LampConfirmed(lamp, self.random.choice((None, alert.epoch))))
            case _:
                self.apply(alert, Remark("cancel-at-post"))

    def stale(self, alert: Alert, epoch: int | None, changes: Changes) -> None:
        if epoch is not None and epoch < alert.epoch and changes.alert and changes.alert.status != alert.status:
            self.faults.append(f"4: an act on epoch {epoch} of {alert.epoch} changed the status")

    def edit(self) -> None:
        match self.random.randrange(3):
            case 0:
                self.edit_policy()
            case 1:
                gone = self.random.choice((1, 2, 4, 5, 6))
                self.people = {**cast.persons(), gone: replace(cast.persons()[gone], methods=())}
            case 2:
                self.duty = cast.roster(self.random, self.now_ms)

    def step(self) -> None:
        device = self.random.choice(list(DEVICES))
        kind = self.random.random()
        if kind < 0.17 or not self.alerts:
            self.press(device)
        elif kind < 0.20:
            for _ in range(self.random.randint(2, 14)):
                self.press(device)
        elif kind < 0.25:
            self.press(device, again=True)
        elif kind < 0.28:
            self.press(device, kind="probe")
        elif kind < 0.32:
            self.technical(ORG, device, self.random.choice(("lost", "fault")))
        elif kind < 0.34:
            for alert in list(self.alerts.values()):
                if alert.category == alerts.TECHNICAL:
                    self.apply(alert, Cleared(self.random.choice(("lost", alert.subject))))
        elif kind < 0.52:
            self.act()
        elif kind < 0.56:
            self.report()
        elif kind < 0.59 and self.flying:
            self.land(*self.flying.pop(self.random.randrange(len(self.flying))))
        elif kind < 0.62:
            self.edit()
        elif kind < 0.64:
            self.drill = not self.drill
        elif kind < 0.66:
            self.restart()
        else:
            self.pass_time()
        self.serve()

    def check(self, everything: bool = False) -> list[str]:
        changed = None if everything else frozenset(self.changed)
        self.changed.clear()
        seen = Seen(
            self.now_ms, self.alerts, self.dispatches.values(), self.answers.values(), self.entries, self.signals,
            self.frozen, self.refusals, EXTERNAL, ORGS, GUESTS, changed,
        )  # fmt: skip
        return self.faults + violations(seen)


def run(seed: int, steps: int = 50) -> list[str]:
    """The first violations of a history, empty if it holds throughout."""
    return _first_of(World(seed), steps)


def run_history(seed: int, steps: int = 50) -> dict[str, object]:
    """A history's figures: how much happened in it, and what did not hold."""
    world = World(seed)
    found = _first_of(world, steps)
    return {
        "seed": seed,
        "events": world.events,
        "alerts": len(world.alerts),
        "dispatches": len(world.dispatches),
        "violations": found,
    }


def _first_of(world: World, steps: int) -> list[str]:
    for _ in range(steps):
        try:
            world.step()
        except AssertionError as error:
            return [str(error) or "an assertion failed"]
        found = world.check()
        if found:
            return found
    return world.check(everything=True) or never_silent(world)


def never_silent(world: World) -> list[str]:
    """Invariant 9: with channels that work and nobody who answers, whoever the last step can reach is reached again."""
    world.crash = world.refuse = 0.0
    world.people = cast.persons()
    for alert in list(world.alerts.values()):
        for person in (1, 2):
            world.apply(world.alerts[alert.id], Close(person, "test"))
    world.policy = Policy(
        "plan", "Plan", 0, 1, (Step(5_000, (Target(person="p4"),)), Step(5_000, (Target(person="p1"),)))
    )
    world.press("bau-1")
    world.serve()
    alert = next(each for each in world.alerts.values() if each.status == alerts.RAISED and each.presses)
    for _ in range(24):
        world.now_ms += 5_000
        world.serve()
        for person, methods in _lately(world, alert.id):
            if methods == 0:
                return [f"9: p{person} was not reached for 25 s at pass {world.alerts[alert.id].pass_}"]
    return world.check(everything=True)


def _lately(world: World, alert_id: str) -> Iterable[tuple[int, int]]:
    """(person of the last step, how often she was reached in the last 25 s, by the way that is reached least)."""
    since_ms = world.now_ms - 25_000
    if world.alerts[alert_id].raised_ms > since_ms:
        return
    for method in world.people[1].methods:
        yield (
            1,
            sum(
                each.handed_ms is not None and each.handed_ms > since_ms
                for each in world.of_alert(alert_id)
                if each.method_id == method.id
            ),
        )
