"""A gateway with a planted bug: it acknowledges a press to the broker before it is on its disk, and keeps it in memory.

A test of the tests runs it in the gateway's place; the checks must find what it loses.
"""

import sys

from tocsin_gateway.cli import main
from tocsin_gateway.forwarding import ALERT, Arrival, lane_of
from tocsin_gateway.intake import Intake

_offer = Intake.offer


def offer(self: Intake, arrival: Arrival) -> None:
    """What is wrong: the PUBACK comes first, and the spool never."""
    if lane_of(arrival.topic) == ALERT:
        self._puback(arrival.session, arrival.mid)
        if not arrival.offered:
            self._held(arrival)
        return
    _offer(self, arrival)


if __name__ == "__main__":
    Intake.offer = offer
    sys.exit(main())
