"""The supervisors' screen. The alert is on it from the commit on (the snapshot is the guarantee); this records it."""

from ..domain.dispatches import Outcome
from . import Outgoing


class Console:
    """Confirms `handed` as soon as the live stream has been told; what a console shows is its own receipt, later."""

    name = "console"
    workers = 1
    confirms = ("handed", "answered")
    answers = "console"

    def send(self, outgoing: Outgoing) -> Outcome:
        return Outcome(accepted=True)

    def close(self) -> None:
        """Nothing is kept."""
