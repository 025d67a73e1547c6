"""What a device says of a command: the order is done, refused or failed. Only the ordered device is believed."""

from sqlalchemy import Connection
from tocsin_wire import messages

from ..domain import dispatches
from ..domain.alerts import Alert
from ..domain.dispatches import Dispatch
from ..domain.escalation import Remark, Reported
from ..outbox import Outbox
from ..store import alerts as alert_rows
from ..store import dispatches as dispatch_rows
from ..store import downlink
from .judging import Frame

FOREIGN = "foreign-reply"  # of an order that is not this device's, or of none


def concerned(conn: Connection, frame: Frame) -> tuple[Alert, Dispatch] | None:
    """The order of this very device and output that a reply speaks of, and its alert; None when there is none."""
    message = frame.message
    order = dispatch_rows.get(conn, message["re"])
    if order is None or order.kind != dispatches.ACTUATE:
        return None
    alert = alert_rows.get(conn, order.alert_id)
    named = order.target.removeprefix("alarm:").split("/")
    if alert is None or alert.org != frame.card.org or named[1:2] != [frame.card.device]:
        return None
    return None if message.get("out", named[2]) != named[2] else (alert, order)


def apply(conn: Connection, outbox: Outbox, alert: Alert, order: Dispatch, frame: Frame, now_ms: int) -> None:
    """Confirm the order, or record why it was not obeyed. What a try signed anew would cure is tried anew."""
    message = frame.message
    word, why = message["r"], message.get("why", "")
    asked = order.target.rpartition("/")[2]
    if word == "done" and message.get("state", asked) not in (asked, "unknown"):
        word, why = "failed", f"the output is {message['state']}"
    if word == "done":
        downlink.withdraw(conn, order.id)
        outbox.apply(conn, alert, Reported(order.id, dispatches.DELIVERED), now_ms)
    elif word == "refused" and why in messages.FRESHNESS:
        facts = (("target", order.target), ("why", why), ("c", message["c"]))
        outbox.apply(conn, alert, Remark("command-refused", facts), now_ms)
    else:
        downlink.withdraw(conn, order.id)
        outbox.apply(conn, alert, Reported(order.id, dispatches.FAILED, f"{word}: {why}"[:200]), now_ms)
