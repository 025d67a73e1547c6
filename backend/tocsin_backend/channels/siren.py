"""Alarm outputs by signed command: what a sounder, a flash or a door lock at a site obeys (P7).

A try puts a command into the downlink of the device's gateway, signed afresh: the nonce of the device's session now,
a counter above the last, TTL_S to be obeyed in. Accepted means that it went down; delivered is said by the device's own
reply (ingest), and until then the order is tried again, and at once when the device is born anew.

Nothing is sent that an alert's own order does not ask for: one of its policy's alarm groups, or a person's all-clear.
"""

from typing import Final

from sqlalchemy import Connection
from tocsin_wire import messages, topics

from ..clock import Clock
from ..domain import alarm_orders, alerts, dispatches
from ..domain.alerts import Alert
from ..domain.dispatches import Dispatch, Outcome
from ..store import alarms, devices, downlink
from ..store import alerts as alert_rows
from ..store import dispatches as dispatch_rows
from ..store.database import Database, Priority, notes
from . import DEADLINE_S, Outgoing

TTL_S: Final = 30  # longer than the way takes, shorter than a session that hangs half open
EPOCH_S: Final = 1_760_000_000  # counters begin at the seconds since then: a database that was restored is ahead again
DO: Final = {alarm_orders.ON: "alarm-on", alarm_orders.OFF: "alarm-off"}
SCENARIOS: Final = ("attack", "shelter", "evacuate")


class Siren:
    """One worker: a command is a row in the database, which takes no waiting for anybody."""

    name = "siren"
    workers = 1
    confirms = ("handed", "delivered")
    answers = ""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def send(self, outgoing: Outgoing) -> Outcome:
        """One try of one order. Refused for good when nothing asks for it any more."""

        def job(conn: Connection) -> Outcome:
            alert = alert_rows.get(conn, outgoing.alert_id)
            order = dispatch_rows.get(conn, outgoing.dispatch_id)
            assert alert is not None, "a dispatch belongs to an alert (foreign key)"
            assert order is not None, "it was leased"
            return command(conn, alert, order, self._clock.now_ms())

        return self._database.write(job, Priority.PRESS).result(DEADLINE_S)

    def close(self) -> None:
        """Nothing is kept."""


def command(conn: Connection, alert: Alert, order: Dispatch, now_ms: int) -> Outcome:
    """Send an order down, or say why not."""
    group, device, output, word = parts(order.target)
    if order.kind != dispatches.ACTUATE or word not in DO:
        return Outcome(False, permanent=True, error="not an order to an alarm output")
    if order.status not in dispatches.OPEN:
        return Outcome(False, permanent=True, error="withdrawn")
    if word == alarm_orders.ON:
        if alert.silent or alert.mode == alerts.PROBE:
            return Outcome(False, permanent=True, error="a silent alert and a probe sound nothing")
        if (device, output) not in (alarms.outputs(conn, alert.org, group) or ()):
            return Outcome(False, permanent=True, error="the alarm group has this output no more")
    session = alarms.session(conn, alert.org, device)
    key = devices.signing_key(conn, alert.org, device)
    if session is None or key is None:
        return Outcome(False, permanent=True, error="there is no such device in service")
    if not session.nonce or session.gateway is None:
        return Outcome(False, error="the device was not born yet")
    counter = max(session.counter + 1, now_ms // 1000 - EPOCH_S)
    message: dict[str, object] = {
        "v": messages.MINOR,
        "id": order.id,
        "c": counter,
        "nonce": session.nonce,
        "t": now_ms // 1000,
        "ttl": TTL_S,
        "do": DO[word],
        "out": output,
        "mode": alert.mode,
    }
    if word == alarm_orders.ON and alert.scenario in SCENARIOS:
        message["sc"] = alert.scenario
    topic = topics.topic(alert.org, device, "cmd")
    alarms.count(conn, alert.org, device, counter)
    downlink.add(conn, alert.org, session.gateway, [(topic, messages.seal(topic, message, *key))], order.id, now_ms)
    notes(conn).downlinks.add((alert.org, session.gateway))
    return Outcome(True)


def parts(target: str) -> tuple[str, str, str, str]:
    """(group, device, output, on or off) of "alarm:<group>/<device>/<output>/<on|off>"; four "" of anything else."""
    found = target.removeprefix("alarm:").split("/")
    return (found[0], found[1], found[2], found[3]) if target.startswith("alarm:") and len(found) == 4 else ("",) * 4
