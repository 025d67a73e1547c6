"""How late timers are served: what is counted, and when lateness is a technical alert of its own.

A timer is a stored instant (ENGINE, Timers). Lateness is the span in ms from that instant to the decision's commit.
What was overdue because no engine ran is counted apart, as "restart": a start after a night's outage says so and is no
fault of the engine that serves it now.
"""

from dataclasses import dataclass
from typing import Final

ALERT: Final = "alert"  # alert.due_ms: the next step, an answer that timed out
DISPATCH: Final = "dispatch"  # dispatch.next_ms of a first try or a retry
LEASE: Final = "lease"  # dispatch.next_ms of a lease that ran out
DEVICE: Final = "device"  # device.expected_by_ms
WINDOW: Final = "window"  # site_window.next_ms
PROBE: Final = "probe"  # device.probe_by_ms
TIMERS: Final = (ALERT, DISPATCH, LEASE, DEVICE, WINDOW, PROBE)
AFTER_RESTART: Final = "-restart"  # added to the timer's name where the instant passed while no engine ran

SUBJECT: Final = "lateness"  # of the technical alert, about no device
SILENCE_SUBJECT: Final = "engine-silent"  # a gateway saw the engine hang
SILENCE_SETTLES_MS: Final = 5_000  # a silence that began this soon after our start belongs to the restart
LIMIT_MS: Final = 2_000  # later than this is a technical alert (DESIGN P4: a step leaves within 1 s of its instant)
QUIET_MS: Final = 600_000  # without a late timer before the alert is cleared
SAID_AGAIN_MS: Final = 60_000  # the open alert counts lateness once in this span, however many timers are late
# Upper ends of the histogram's buckets, ms: 1 s is what a step may take, 2 s the alarm.
BOUNDS_MS: Final = (5, 20, 50, 100, 250, 500, 1_000, 2_000, 5_000, 15_000, 60_000, 600_000)


@dataclass(frozen=True, slots=True)
class Tally:
    """Timers served: how many, how many of them over LIMIT_MS, the sum and the largest lateness in ms."""

    served: int = 0
    over: int = 0
    total_ms: int = 0
    max_ms: int = 0

    def plus(self, late_ms: int) -> "Tally":
        """One more, that late."""
        return Tally(
            self.served + 1, self.over + (late_ms > LIMIT_MS), self.total_ms + late_ms, max(self.max_ms, late_ms)
        )

    def with_all(self, other: "Tally") -> "Tally":
        """Both together."""
        return Tally(
            self.served + other.served,
            self.over + other.over,
            self.total_ms + other.total_ms,
            max(self.max_ms, other.max_ms),
        )


def name(timer: str, due_ms: int, started_ms: int) -> str:
    """Under which name a timer is counted that was due at that instant, by an engine that started at the other."""
    return timer if due_ms >= started_ms else timer + AFTER_RESTART


def is_alarming(timer_name: str, late_ms: int) -> bool:
    """Whether a timer served that late is a technical alert."""
    return late_ms > LIMIT_MS and not timer_name.endswith(AFTER_RESTART)


@dataclass(frozen=True, slots=True)
class Alarm:
    """The lateness alert of one organisation, as an engine knows it: when lateness was last seen and last said."""

    seen_ms: int
    said_ms: int | None = None

    def is_to_say(self, now_ms: int) -> bool:
        """Whether the lateness just seen is to be said, or is bundled with what was said a moment ago."""
        return self.said_ms is None or now_ms - self.said_ms >= SAID_AGAIN_MS

    def is_quiet(self, now_ms: int) -> bool:
        """Whether nothing was late for long enough to clear the alert."""
        return now_ms - self.seen_ms >= QUIET_MS
