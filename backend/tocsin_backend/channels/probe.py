"""The sink of probes: the end of the way that a press takes to a person. It tells nobody."""

from ..domain.dispatches import Outcome
from . import Outgoing


class ProbeSink:
    """Takes every probe at once. A worker of its own: a probe crosses the same queue and thread as a message does."""

    name = "probe"
    workers = 1
    confirms = ("handed",)
    answers = ""

    def send(self, outgoing: Outgoing) -> Outcome:
        return Outcome(accepted=True)

    def close(self) -> None:
        """Nothing is kept."""
