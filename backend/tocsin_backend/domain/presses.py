"""The newest presses of an alert: from how many, and how fast, its severity and a stuck button are read.

"1764000000000,1764000001200"                  two presses, no run has ended yet
"1764000000000;1764000001200,1764000002000"    the first belongs to a run that raised the severity; two since
"""

from dataclasses import dataclass
from typing import Final

STUCK_PRESSES: Final = 10  # a minute; more than that is no hand (ENGINE.md, classes of dispatch)
STUCK_MS: Final = 60_000
KEPT: Final = STUCK_PRESSES + 2  # enough to see the eleventh once, and to tell it from the twelfth


@dataclass(frozen=True, slots=True)
class Recent:
    """Instants of presses, oldest first: those of runs that raised the severity, and those since."""

    counted: tuple[int, ...] = ()
    run: tuple[int, ...] = ()

    @staticmethod
    def load(text: str) -> "Recent":
        before, _, after = text.rpartition(";")
        return Recent(_instants(before), _instants(after))

    def dump(self) -> str:
        run = ",".join(map(str, self.run))
        return f"{','.join(map(str, self.counted))};{run}" if self.counted else run

    def with_press(self, at_ms: int, kept: int) -> "Recent":
        """One press more; of all of them, the newest `kept` (at least KEPT)."""
        run = tuple(sorted((*self.run, at_ms)))
        excess = len(self.counted) + len(run) - max(kept, KEPT)
        counted = self.counted[max(0, excess) :]
        return Recent(counted, run[max(0, excess - len(self.counted)) :])

    def is_stuck(self, at_ms: int) -> bool:
        """Whether the press of `at_ms` is the eleventh of its minute: true once, however long the button stays so."""
        return self._within(self.counted + self.run, at_ms, STUCK_MS) == STUCK_PRESSES + 1

    def is_severe(self, at_ms: int, presses: int, within_ms: int) -> bool:
        """Whether so many presses since the last run came within this span."""
        return 0 < presses <= self._within(self.run, at_ms, within_ms)

    def run_ended(self) -> "Recent":
        return Recent(self.counted + self.run, ())

    @staticmethod
    def _within(instants: tuple[int, ...], at_ms: int, span_ms: int) -> int:
        return sum(at_ms - span_ms < each <= at_ms for each in instants)


def _instants(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(",") if each)
