"""A world in memory around the pure engine: rows, senders that fail and crash, a clock that jumps. Seeded."""

import random
from dataclasses import replace

from engine_invariants import Seen, violations
from tocsin_backend.domain import alerts, dispatches, escalation, policies
from tocsin_backend.domain.alerts import Alert
from tocsin_backend.domain.dispatches import Dispatch, Outcome
from tocsin_backend.domain.escalation import Close, Due, Escalate, Press, Remark, Rows, Sent, Take
from tocsin_backend.domain.people import Directory, Method, Person
from tocsin_backend.domain.policies import Policy, Step, Target
from tocsin_backend.domain.timeline import Entry

ORG, SITE = "demo", "lycee"
EXTERNAL = frozenset((13,))


def persons() -> dict[int, Person]:
    """p1 by webhook and email, p2 by webhook, p3 by an external webhook only, p4 by nothing, p5 a technician."""
    ways = {
        1: (Method(10, "webhook", "w1"), Method(11, "email", "e1")),
        2: (Method(12, "webhook", "w2"),),
        3: (Method(13, "webhook", "w3", external=True),),
        4: (),
        5: (Method(15, "email", "e5"),),
    }
    role = {5: "technician"}
    return {
        key: Person(key, ORG, f"p{key}", f"Person {key}", role.get(key, "supervisor"), "fr", methods)
        for key, methods in ways.items()
    }


class World:
    """`step()` makes one random thing happen; `check()` gives the violations of the invariants."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now_ms = 1_700_000_000_000
        self.people = persons()
        self.alerts: dict[str, Alert] = {}
        self.dispatches: dict[str, Dispatch] = {}
        self.answers: list[alerts.Answer] = []
        self.entries: dict[str, list[Entry]] = {}
        self.signals: dict[str, list[str]] = {}
        self.frozen: dict[str, str] = {}
        self.refusals: dict[str, tuple[int, bool]] = {}
        self.reached: list[tuple[int, str, int | None]] = []  # (ms, alert id, person id) that a channel accepted
        self.numbers = {"bau-1": 0, "bau-2": 0}
        self.version = 0
        self.edit_policy()

    # -- what is there

    def edit_policy(self) -> None:
        choice = self.random
        targets = [
            Target(channel="console"),
            *(Target(person=f"p{n}") for n in (1, 2, 3, 4)),
            Target(role="technician"),
        ]
        steps = tuple(
            Step(choice.choice((5_000, 10_000, 60_000)), tuple(choice.sample(targets, choice.randint(1, 3))))
            for _ in range(choice.randint(1, 4))
        )
        self.version += 1
        self.policy = Policy("plan", "Plan", choice.choice((0, 30_000, 300_000)), choice.randint(1, 2), steps)

    def rows(self, alert: Alert | None) -> Rows:
        people = Directory(dict(self.people))
        if alert is None:
            return Rows(people=people)
        mine = [each for each in self.dispatches.values() if each.alert_id == alert.id]
        place = (alert.epoch, alert.pass_, alert.step)
        live = [each for each in mine if each.status in dispatches.OPEN or (each.epoch, each.pass_, each.step) == place]
        told = frozenset(
            (each.person_id, each.method_id, each.channel)
            for each in mine
            if each.kind == dispatches.NOTIFY and each.status in dispatches.TOLD and each.person_id is not None
        )
        answers = tuple(each for each in self.answers if each.alert_id == alert.id)
        return Rows(alert, tuple(live), told, answers, people)

    def apply(self, alert: Alert | None, event: escalation.Event) -> escalation.Changes:
        rows = self.rows(alert)
        if isinstance(event, Sent) and all(each.id != event.dispatch_id for each in rows.dispatches):
            rows = replace(rows, dispatches=(*rows.dispatches, self.dispatches[event.dispatch_id]))
        changes = escalation.apply(rows, event, self.now_ms)
        if changes.alert is None:
            return changes
        after = changes.alert
        if after.id not in self.alerts:
            self.frozen[after.id] = after.frozen
        self.alerts[after.id] = after
        for each in changes.dispatches:
            if each.id not in self.dispatches and each.kind == dispatches.LAMP:
                each = dispatches.lamp_sent(each, self.now_ms)
            self.dispatches[each.id] = each
        self.answers += changes.answers
        self.entries.setdefault(after.id, []).extend(changes.entries)
        return changes

    def newest(self, dedup: str) -> Alert | None:
        mine = [each for each in self.alerts.values() if each.dedup == dedup]
        mine.sort(key=lambda each: (each.status == alerts.CLOSED, -each.raised_ms))
        return mine[0] if mine else None

    # -- what happens

    def press(self, device: str, again: bool = False) -> None:
        if not again:
            self.numbers[device] += 1
        number = (
            self.random.randint(1, self.numbers[device]) if again and self.numbers[device] else self.numbers[device]
        )
        if number == 0:
            return
        signal = f"1-{number}"
        key = f"{device}/{signal}"
        if key in self.signals:
            return  # the unique constraint answered: however late, no second alert
        mode = self.random.choice((alerts.REAL, alerts.REAL, alerts.DRILL))
        event = Press(
            alerts.alert_id(ORG, device, signal), ORG, SITE, device, alerts.CALL, mode, False, "", signal, self.version,
            policies.dump(self.policy),
        )  # fmt: skip
        changes = self.apply(self.newest(alerts.dedup_key(ORG, SITE, device, alerts.CALL, mode)), event)
        assert changes.alert is not None, "invariant 15: a press is never refused"
        self.signals[key] = [changes.alert.id]

    def serve(self) -> None:
        """Everything that is due now, as the engine does it."""
        for _ in range(500):
            due = [each for each in self.alerts.values() if each.due_ms is not None and each.due_ms <= self.now_ms]
            for alert in due:
                self.apply(self.alerts[alert.id], Due())
            waiting = [each for each in self.dispatches.values() if (each.next_ms or 2**62) <= self.now_ms]
            for each in waiting:
                if self.dispatches[each.id] != each:
                    continue
                if each.kind == dispatches.LAMP:
                    self.dispatches[each.id] = dispatches.lamp_sent(each, self.now_ms)
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
        outcome = Outcome(True)
        if what > 1 - self.refuse:
            outcome = Outcome(False, permanent=self.random.random() < 0.2, error="refused")
        if outcome.accepted:
            self.reached.append((self.now_ms, leased.alert_id, leased.person_id))
        else:
            tries, permanent = self.refusals.get(leased.id, (0, False))
            self.refusals[leased.id] = (tries + 1, permanent or outcome.permanent)
        self.apply(self.alerts[leased.alert_id], Sent(leased.id, outcome))

    crash = 0.1
    refuse = 0.2

    def pass_time(self) -> None:
        """Time goes on, instant by instant, or jumps over an outage and catches up."""
        choice = self.random
        if choice.random() < 0.1:
            self.now_ms += choice.randint(300_000, 3_000_000)
        else:
            ahead = [each.due_ms for each in self.alerts.values() if each.due_ms is not None]
            ahead += [each.next_ms for each in self.dispatches.values() if each.next_ms is not None]
            soonest = min(ahead, default=self.now_ms + 1_000)
            self.now_ms = max(self.now_ms, min(soonest, self.now_ms + 60_000))
        self.serve()

    def clock_back(self) -> None:
        """A restart on a machine whose clock went back: due instants are clamped to their span."""
        self.now_ms -= self.random.randint(1_000, 3_600_000)
        for alert in list(self.alerts.values()):
            if alert.due_ms is not None and alert.due_ms > self.now_ms + alert.span_ms:
                self.alerts[alert.id] = replace(alert, due_ms=self.now_ms + alert.span_ms)
        for each in list(self.dispatches.values()):
            if each.next_ms is not None and each.next_ms > self.now_ms + 60_000:
                self.dispatches[each.id] = replace(each, next_ms=self.now_ms + 60_000)

    def act(self) -> None:
        alert = self.random.choice(list(self.alerts.values()))
        person = self.random.choice((1, 2, 5))
        kind = self.random.random()
        if kind < 0.5:
            epoch = self.random.choice((None, alert.epoch, max(1, alert.epoch - 1)))
            self.apply(alert, Take(person, "console", epoch))
        elif kind < 0.65:
            epoch = self.random.choice((None, alert.epoch, max(1, alert.epoch - 1)))
            self.apply(alert, Close(person, self.random.choice(alerts.REASONS), epoch=epoch))
        elif kind < 0.85:
            step = self.random.choice((alert.step, alert.step + 1))
            self.apply(alert, Escalate(person, alert.epoch, alert.pass_, step))
        elif kind < 0.93:
            lamp = self.random.choice(("stored", "answered", "closed"))
            self.apply(alert, escalation.LampConfirmed(lamp, self.random.choice((None, alert.epoch))))
        else:
            self.apply(alert, Remark("cancel-at-post"))

    def step(self) -> None:
        kind = self.random.random()
        if kind < 0.2 or not self.alerts:
            self.press(self.random.choice(("bau-1", "bau-2")))
        elif kind < 0.28:
            self.press(self.random.choice(("bau-1", "bau-2")), again=True)
        elif kind < 0.45:
            self.act()
        elif kind < 0.48:
            self.edit_policy()
        elif kind < 0.51:
            gone = self.random.choice((1, 2, 4, 5))
            self.people = {**persons(), gone: replace(persons()[gone], methods=())}
        elif kind < 0.52:
            self.clock_back()
        else:
            self.pass_time()
        self.serve()

    def check(self) -> list[str]:
        seen = Seen(
            self.now_ms, self.alerts, self.dispatches.values(), self.answers, self.entries, self.signals, self.frozen,
            self.refusals, EXTERNAL,
        )  # fmt: skip
        return violations(seen)


def run(seed: int, steps: int = 50) -> list[str]:
    """The first violations of a history, empty if it holds throughout."""
    world = World(seed)
    for _ in range(steps):
        try:
            world.step()
        except AssertionError as error:
            return [str(error)]
        found = world.check()
        if found:
            return found
    return never_silent(world)


def never_silent(world: World) -> list[str]:
    """Invariant 9: with channels that work and nobody who answers, whoever the last step can reach is reached again."""
    world.crash = world.refuse = 0.0
    world.people = persons()
    for alert in list(world.alerts.values()):
        if alert.status != alerts.CLOSED:
            world.apply(world.alerts[alert.id], Close(1, "test"))
    world.policy = Policy(
        "plan", "Plan", 0, 1, (Step(5_000, (Target(person="p4"),)), Step(10_000, (Target(person="p1"),)))
    )
    world.press("bau-1")
    world.serve()
    alert = next(each for each in world.alerts.values() if each.status == alerts.RAISED)
    for _ in range(12):
        world.now_ms += 10_000
        world.serve()
        if not any(ms > world.now_ms - 25_000 and of == alert.id for ms, of, _ in world.reached):
            return [f"9: nobody was reached for 25 s at pass {world.alerts[alert.id].pass_}"]
    return world.check()
