"""Seeded random histories of the pure engine, and wrong engines that they must catch."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from history_world import World, run
from tocsin_backend.domain import alerts, dispatches, escalation, policies, timeline

SEEDS = range(200)
MUTANT_SEEDS = range(60)  # a wrong engine has this many histories to betray itself


@pytest.mark.parametrize("first", range(0, len(SEEDS), 25))
def test_invariants_hold_after_every_event_of_a_history(first: int) -> None:
    for seed in SEEDS[first : first + 25]:
        found = run(seed)
        assert not found, f"seed {seed}: {found}"


Turn = escalation._Turn
Mutant = Callable[[pytest.MonkeyPatch], None]


def five_repeats(patch: pytest.MonkeyPatch) -> None:
    """OnCall: silent after five repeats."""
    right = Turn.climb

    def climb(self: escalation._Turn) -> None:
        if self.now.pass_ > 5:
            self.arm(10**9)
            return
        right(self)

    patch.setattr(Turn, "climb", climb)


def live_policy(patch: pytest.MonkeyPatch) -> None:
    """A running alert follows the policy as it is edited."""
    newest: list[policies.Policy] = []
    edit = World.edit_policy

    def edited(self: World) -> None:
        edit(self)
        newest[:] = [self.policy]

    patch.setattr(World, "edit_policy", edited)

    def policy(self: escalation._Turn) -> policies.Policy:
        missing = self.now.step + 1 - len(newest[0].steps)
        return replace(newest[0], steps=newest[0].steps + newest[0].steps[-1:] * max(0, missing))

    patch.setattr(Turn, "policy", property(policy))


def black_hole(patch: pytest.MonkeyPatch) -> None:
    """An answer ends everything: no answer timeout, no next instant."""
    right = Turn.take

    def take(self: escalation._Turn, event: escalation.Take) -> None:
        right(self, event)
        self.alert = replace(self.now, due_ms=None)

    patch.setitem(escalation.EFFECTS, "take", take)


def empty_step_waits(patch: pytest.MonkeyPatch) -> None:
    def start(self: escalation._Turn, also: object = ()) -> None:
        self.alert = replace(self.now, pass_=1, step=0)
        self.fire(also)  # type: ignore[arg-type]
        self.arm(self.policy.steps[0].delay_ms)

    patch.setattr(Turn, "start", start)


def lost_lease(patch: pytest.MonkeyPatch) -> None:
    """GoAlert: a message whose sender crashed is never sent again."""
    right = dispatches.lease

    def lease(dispatch: dispatches.Dispatch, owner: str, now_ms: int) -> dispatches.Dispatch:
        if dispatch.status == dispatches.LEASED:
            return replace(dispatch, next_ms=None)
        return right(dispatch, owner, now_ms)

    patch.setattr(dispatches, "lease", lease)


def crash_is_a_failure(patch: pytest.MonkeyPatch) -> None:
    right = dispatches.lease

    def lease(dispatch: dispatches.Dispatch, owner: str, now_ms: int) -> dispatches.Dispatch:
        leased = right(dispatch, owner, now_ms)
        return replace(leased, attempts=leased.attempts + 1)

    patch.setattr(dispatches, "lease", lease)


def three_attempts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dispatches, "MAX_ATTEMPTS", 3)


def drill_leaks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Turn, "allowed", lambda self, person, channels: list(person.methods))


def answer_cancels_nothing(patch: pytest.MonkeyPatch) -> None:
    right = Turn.cancel

    def cancel(self: escalation._Turn, why: str, *kinds: str) -> None:
        if why != "answered":
            right(self, why, *kinds)

    patch.setattr(Turn, "cancel", cancel)


def closing_cancels_nothing(patch: pytest.MonkeyPatch) -> None:
    right = Turn.cancel

    def cancel(self: escalation._Turn, why: str, *kinds: str) -> None:
        if why != "closed":
            right(self, why, *kinds)

    patch.setattr(Turn, "cancel", cancel)


def steps_pile_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Turn, "supersede", lambda self, new: None)


def two_open_alerts(patch: pytest.MonkeyPatch) -> None:
    """Every press is its own alert, although one is open."""
    patch.setattr(World, "newest", lambda self, dedup: None)


def answer_reopens_nothing(patch: pytest.MonkeyPatch) -> None:
    """The answer timeout passes, and passes again, and nobody is told."""

    def reopen(self: escalation._Turn, event: object) -> None:
        self.arm(self.policy.answer_timeout_ms or 1_000)
        self.alert = replace(self.now, status=alerts.RAISED)

    patch.setitem(escalation.EFFECTS, "reopen-by-timeout", reopen)


def timeline_skips(patch: pytest.MonkeyPatch) -> None:
    right = timeline.entry

    def entry(alert_id: str, seq: int, *rest: object) -> timeline.Entry:
        return right(alert_id, seq + (seq > 4), *rest)  # type: ignore[arg-type]

    patch.setattr(timeline, "entry", entry)


MUTANTS = [
    five_repeats, live_policy, black_hole, empty_step_waits, lost_lease, crash_is_a_failure, three_attempts,
    drill_leaks, answer_cancels_nothing, closing_cancels_nothing, steps_pile_up, two_open_alerts,
    answer_reopens_nothing, timeline_skips,
]  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_wrong_engine_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    for seed in MUTANT_SEEDS:
        if run(seed):
            return
    pytest.fail(f"{mutant.__name__} survived {len(MUTANT_SEEDS)} histories")
