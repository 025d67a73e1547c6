"""Wrong engines, those of the issue's peers first, that the histories must catch: the tests of the tests."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

import history_people
import pytest
from history_world import World, run
from tocsin_backend.domain import (
    acts,
    alarm_orders,
    alerts,
    climbing,
    dispatches,
    escalation,
    policies,
    settling,
    telling,
    timeline,
    turn,
)
from tocsin_backend.domain.alerts import Alert
from tocsin_backend.domain.dispatches import Dispatch, Outcome
from tocsin_backend.domain.turn import Turn

SEEDS = range(80)  # a wrong engine has this many histories to betray itself
Mutant = Callable[[pytest.MonkeyPatch], None]


def five_repeats(patch: pytest.MonkeyPatch) -> None:
    """OnCall: silent after five repeats."""
    right = climbing.climb

    def climb(of: Turn) -> None:
        if of.now.pass_ > 5:
            of.arm(10**9)
            return
        right(of)

    patch.setattr(climbing, "climb", climb)


def live_policy(patch: pytest.MonkeyPatch) -> None:
    """A running alert follows the policy as it is edited."""
    newest: list[policies.Policy] = []
    edit = World.edit_policy

    def edited(self: World) -> None:
        edit(self)
        newest[:] = [self.policy]

    def policy(self: Turn) -> policies.Policy:
        missing = self.now.step + 1 - len(newest[0].steps)
        return replace(newest[0], steps=newest[0].steps + newest[0].steps[-1:] * max(0, missing))

    patch.setattr(World, "edit_policy", edited)
    patch.setattr(Turn, "policy", property(policy))


def black_hole(patch: pytest.MonkeyPatch) -> None:
    """An answer ends everything: no answer timeout, no next instant."""
    right = escalation.EFFECTS["take"]

    def take(of: Turn, event: escalation.Take) -> None:
        right(of, event)
        of.change(due_ms=None)

    patch.setitem(escalation.EFFECTS, "take", take)


def empty_step_waits(patch: pytest.MonkeyPatch) -> None:
    def start(of: Turn, also: Iterable[object] = ()) -> None:
        of.change(pass_=1, step=0)
        telling.fire(of, also)  # type: ignore[arg-type]
        of.arm(of.policy.steps[0].delay_ms)

    patch.setattr(climbing, "start", start)


def lost_lease(patch: pytest.MonkeyPatch) -> None:
    """GoAlert: a message whose sender crashed is never sent again."""
    right = dispatches.lease

    def lease(dispatch: Dispatch, owner: str, now_ms: int) -> Dispatch:
        if dispatch.status == dispatches.LEASED:
            return replace(dispatch, next_ms=None)
        return right(dispatch, owner, now_ms)

    patch.setattr(dispatches, "lease", lease)


def restart_that_forgets(patch: pytest.MonkeyPatch) -> None:
    """OnCall once: after a restart, running alerts were never looked at again."""
    right = World.restart

    def restart(self: World) -> None:
        right(self)
        for key, alert in self.alerts.items():
            if alert.due_ms is not None:
                self.alerts[key] = replace(alert, due_ms=alert.due_ms + 10**10)

    patch.setattr(World, "restart", restart)


def clock_that_went_back_is_believed(patch: pytest.MonkeyPatch) -> None:
    """After a restart due instants stay where the clock of before put them."""

    def restart(self: World) -> None:
        self.now_ms -= 3_600_000

    patch.setattr(World, "restart", restart)


def crash_is_a_failure(patch: pytest.MonkeyPatch) -> None:
    right = dispatches.lease

    def lease(dispatch: Dispatch, owner: str, now_ms: int) -> Dispatch:
        leased = right(dispatch, owner, now_ms)
        return replace(leased, attempts=leased.attempts + 1)

    patch.setattr(dispatches, "lease", lease)


def three_attempts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dispatches, "MAX_ATTEMPTS", 3)


def drill_leaks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(telling, "allowed", lambda of, person, channels=(): list(person.methods))


def drill_in_the_feeds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(telling, "_is_allowed_feed", lambda of, channel: True)


def answer_cancels_nothing(patch: pytest.MonkeyPatch) -> None:
    _never_cancels(patch, "answered")


def closing_cancels_nothing(patch: pytest.MonkeyPatch) -> None:
    _never_cancels(patch, "closed")


def _never_cancels(patch: pytest.MonkeyPatch, reason: str) -> None:
    right = Turn.cancel

    def cancel(self: Turn, why: str, *kinds: str, keep: Iterable[int] = ()) -> None:
        if why != reason:
            right(self, why, *kinds, keep=keep)

    patch.setattr(Turn, "cancel", cancel)


def answer_stops_the_alarms(patch: pytest.MonkeyPatch) -> None:
    right = escalation.EFFECTS["take"]

    def take(of: Turn, event: escalation.Take) -> None:
        right(of, event)
        of.cancel("answered", dispatches.ACTUATE)

    patch.setitem(escalation.EFFECTS, "take", take)


def steps_pile_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(telling, "supersede", lambda of, new: list(new))


def two_open_alerts(patch: pytest.MonkeyPatch) -> None:
    """Every press is its own alert, although one is open."""
    patch.setattr(World, "newest", lambda self, dedup: None)


def answer_reopens_nothing(patch: pytest.MonkeyPatch) -> None:
    """The answer timeout passes, and passes again, and nobody is told."""

    def reopen(of: Turn, event: object) -> None:
        of.arm(of.policy.answer_timeout_ms or 1_000)
        of.change(status=alerts.RAISED)

    patch.setitem(escalation.EFFECTS, "reopen-by-timeout", reopen)


def timeline_skips(patch: pytest.MonkeyPatch) -> None:
    right = timeline.entry

    def entry(alert_id: str, seq: int, *rest: object) -> timeline.Entry:
        return right(alert_id, seq + (seq > 4), *rest)  # type: ignore[arg-type]

    patch.setattr(timeline, "entry", entry)


def severity_is_not_written_down(patch: pytest.MonkeyPatch) -> None:
    right = Turn.note

    def note(self: Turn, what: str, **data: object) -> None:
        if what != "severity":
            right(self, what, **data)

    patch.setattr(Turn, "note", note)


def silent_alert_sounds(patch: pytest.MonkeyPatch) -> None:
    right = alarm_orders.switch_on

    def switch_on(of: Turn, group: str) -> list[list[object]]:
        alert = of.now
        of.alert = replace(alert, silent=False)
        told = right(of, group)
        of.alert = replace(of.now, silent=alert.silent)
        return told

    patch.setattr(alarm_orders, "switch_on", switch_on)


def silent_alert_lights(patch: pytest.MonkeyPatch) -> None:
    right = telling.lamp

    def lamp(of: Turn, word: str) -> None:
        alert = of.now
        of.alert = replace(alert, silent=False)
        right(of, word)
        of.alert = replace(of.now, silent=alert.silent)

    patch.setattr(telling, "lamp", lamp)


def one_person_closes_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(alerts, "takes_two_to_close", lambda alert: False)


def the_same_person_is_the_second(patch: pytest.MonkeyPatch) -> None:
    right = escalation._close_fact

    def close_fact(alert: Alert | None, event: escalation.Close) -> str:
        found = right(alert, event)
        return "close" if found == "close-same" else found

    patch.setattr(escalation, "_close_fact", close_fact)


def one_answer_is_enough(patch: pytest.MonkeyPatch) -> None:
    """Two must answer, and after the first nobody waits for the second."""
    for module in (turn, climbing, escalation):
        patch.setattr(module, "is_missing", lambda alert, answers: False)


def everybody_is_reminded(patch: pytest.MonkeyPatch) -> None:
    """The second answer is missing, and the whole step is told again, the first answerer as well."""
    right = telling.fire

    def fire(of: Turn, also: Iterable[object] = (), only: Collection[int] | None = None, **more: bool) -> bool:
        return right(of, also, **more)  # type: ignore[arg-type]

    patch.setattr(telling, "fire", fire)


def unanswered_is_kept_to_ourselves(patch: pytest.MonkeyPatch) -> None:
    right = Turn.owe
    patch.setattr(Turn, "owe", lambda self, subject, above=False: right(self, subject))


def unanswered_is_said_each_time(patch: pytest.MonkeyPatch) -> None:
    right = climbing._unanswered

    def unanswered(of: Turn) -> None:
        right(of)
        of.change(unanswered=False)

    patch.setattr(climbing, "_unanswered", unanswered)


def desk_that_was_not_invited(patch: pytest.MonkeyPatch) -> None:
    """Everybody of another organisation is told, not only the desk that was invited."""
    right = telling.owed

    def owed(target: policies.Target, directory: object, now_ms: int) -> list[object]:
        people = right(target, directory, now_ms)  # type: ignore[arg-type]
        guest = directory.by_id.get(7)  # type: ignore[attr-defined]
        return [*people, guest] if target.desk and guest else list(people)

    patch.setattr(telling, "owed", owed)


def roles_reach_across_organisations(patch: pytest.MonkeyPatch) -> None:
    right = history_people.directory

    def directory(org: str, people: object, duty: object) -> object:
        return replace(right(org, people, duty), org="")  # type: ignore[arg-type]

    patch.setattr(history_people, "directory", directory)


def probe_lights_the_lamp(patch: pytest.MonkeyPatch) -> None:
    right = telling.lamp

    def lamp(of: Turn, word: str) -> None:
        right(of, "answered" if of.now.mode == alerts.PROBE else word)

    patch.setattr(telling, "lamp", lamp)


def late_failure_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """A provider says later that a message did not arrive, and its step waits on."""
    right = dispatches.report

    def report(dispatch: Dispatch, what: str, error: str | None, now_ms: int) -> Dispatch:
        return dispatch if what == dispatches.FAILED else right(dispatch, what, error, now_ms)

    patch.setattr(dispatches, "report", report)


def undeliverable_step_waits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settling, "_was_last_hope", lambda of, failed: False)


def offset_that_never_comes(patch: pytest.MonkeyPatch) -> None:
    """A step that repeats faster than a method's offset puts that method off for ever."""
    right = telling.supersede

    def supersede(of: Turn, new: Iterable[Dispatch]) -> list[Dispatch]:
        given = list(new)
        right(of, given)
        return given

    patch.setattr(telling, "supersede", supersede)


def answerers_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Raised again, step 0 is told, and whoever had answered is not."""
    right = climbing.start
    patch.setattr(climbing, "start", lambda of, also=(): right(of))


def stale_answer_wins(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(escalation, "_is_past", lambda epoch, alert: False)


def press_upon_an_open_alert_is_dropped(patch: pytest.MonkeyPatch) -> None:
    """PagerDuty's and GoAlert's deduplication: the press is accepted and leaves no trace."""
    patch.setitem(escalation.EFFECTS, "count", lambda of, event: None)


def press_is_refused_past_a_limit(patch: pytest.MonkeyPatch) -> None:
    """GoAlert refuses alerts past a number of open ones."""
    right = World.apply

    def apply(self: World, alert: Alert | None, event: escalation.Event, org: str = "demo") -> escalation.Changes:
        many = sum(each.status != alerts.CLOSED for each in self.alerts.values()) > 4
        if many and isinstance(event, escalation.Press) and event.category != alerts.TECHNICAL:
            return escalation.Changes()
        return right(self, alert, event, org)

    patch.setattr(World, "apply", apply)


def outcome_of_a_cancelled_try_revives_it(patch: pytest.MonkeyPatch) -> None:
    """A refusal that comes after the alert was answered puts the message back into the queue."""
    right = dispatches.settle

    def settle(dispatch: Dispatch, outcome: Outcome, now_ms: int, superseded: bool = False) -> Dispatch:
        after = right(dispatch, outcome, now_ms, superseded)
        if not outcome.accepted and dispatch.status == dispatches.CANCELLED:
            return replace(dispatch, status=dispatches.PENDING, next_ms=now_ms + 2_000)
        return after

    patch.setattr(dispatches, "settle", settle)


def closing_is_not_the_end(patch: pytest.MonkeyPatch) -> None:
    """A closed alert still climbs when a forgotten instant comes."""
    right = acts.finish

    def finish(of: Turn, person_id: int | None, reason: str, note: str = "") -> None:
        right(of, person_id, reason, note)
        of.arm(60_000)

    patch.setattr(acts, "finish", finish)


MUTANTS = [
    five_repeats, live_policy, black_hole, empty_step_waits, lost_lease, restart_that_forgets,
    clock_that_went_back_is_believed, crash_is_a_failure, three_attempts, drill_leaks, drill_in_the_feeds,
    answer_cancels_nothing, closing_cancels_nothing, answer_stops_the_alarms, steps_pile_up, two_open_alerts,
    answer_reopens_nothing, timeline_skips, severity_is_not_written_down, silent_alert_sounds, silent_alert_lights,
    one_person_closes_everything, the_same_person_is_the_second, one_answer_is_enough, everybody_is_reminded,
    unanswered_is_kept_to_ourselves, unanswered_is_said_each_time, desk_that_was_not_invited,
    roles_reach_across_organisations, probe_lights_the_lamp, late_failure_is_ignored, undeliverable_step_waits,
    offset_that_never_comes, answerers_are_forgotten, stale_answer_wins, press_upon_an_open_alert_is_dropped,
    press_is_refused_past_a_limit, outcome_of_a_cancelled_try_revives_it, closing_is_not_the_end,
]  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_wrong_engine_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    for seed in SEEDS:
        if run(seed):
            return
    pytest.fail(f"{mutant.__name__} survived {len(SEEDS)} histories")
