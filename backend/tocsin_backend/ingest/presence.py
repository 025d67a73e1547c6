"""What a frame says of its post's presence: births, ends, wills, beats, and anything new that was heard."""

import base64
import json

from sqlalchemy import Connection
from tocsin_wire import messages

from .. import acks
from ..clock import Clock
from ..domain import liveness
from ..outbox import Outbox
from ..store import alarms, devices, dispatches
from ..store.database import notes
from .judging import Frame


class Presences:
    """See the module. Every method is part of a job on the writer thread."""

    def __init__(self, clock: Clock, outbox: Outbox) -> None:
        self.clock = clock
        self.outbox = outbox

    def state(self, conn: Connection, frame: Frame, now_ms: int) -> str:
        """Birth, planned end, will. A retained one may be of any age: it proves nothing (P8)."""
        card, message = frame.card, frame.message
        if frame.retained:
            return "stored"
        session = messages.parse_session(message["s"])
        if message["st"] == "ready":
            if self.heard(conn, frame, now_ms, session):
                alarms.born(conn, card.org, card.device, message.get("nonce", ""))
                if dispatches.hasten_orders(conn, card.org, card.device, now_ms):
                    notes(conn).wake(now_ms)
            return "stored"
        tracked = devices.presence(conn, card.org, card.device)
        planned = message["st"] == "restarting"
        after = liveness.ended(tracked.presence, tracked.reporting_ms, session, planned)
        if after != tracked.presence:
            devices.save_presences(conn, [(tracked.org, tracked.device, after)])
            self._seen(conn, tracked, after)
        return "stored"

    def info(self, conn: Connection, frame: Frame) -> str:
        """The post's self-description."""
        card = frame.card
        devices.save_info(conn, card.org, card.device, json.dumps(frame.message, ensure_ascii=False))
        if not _stale(frame, self.clock.now_ms()):
            devices.save_gateway(conn, card.org, card.device, frame.gateway)
        notes(conn).devices.add((card.org, card.device))
        return "stored"

    def heard(self, conn: Connection, frame: Frame, now_ms: int, session: tuple[int, int] | None = None) -> bool:
        """A new signal or a birth: the device is there, downlinks go by this gateway. False if it was an old one.

        What a gateway kept for longer than the reporting time proves a press, and no presence (P8).
        """
        if _stale(frame, now_ms):
            return False
        tracked = devices.presence(conn, frame.card.org, frame.card.device)
        after = liveness.heard(tracked.presence, now_ms, tracked.reporting_ms, session)
        if after == tracked.presence:
            return False
        devices.save_heard(conn, tracked.org, tracked.device, after, frame.gateway)
        self._seen(conn, tracked, after)
        if tracked.presence.state == liveness.LOST:
            self.cleared(conn, tracked.org, tracked.site, tracked.device, "lost", now_ms)
        return True

    def _seen(self, conn: Connection, tracked: devices.Tracked, after: liveness.Presence) -> None:
        """Whoever must hear of a presence that changed: the engine of the deadline, screens of the state."""
        notes(conn).wake(after.expected_by_ms)
        if after.state != tracked.presence.state:
            notes(conn).devices.add((tracked.org, tracked.device))

    def cleared(self, conn: Connection, org: str, site: str, device: str, subject: str, now_ms: int) -> None:
        """What was wrong with this device is over."""
        self.outbox.cleared(conn, org, site, device, subject, now_ms)

    def beats(self, frames: list[Frame], conn: Connection) -> list[dict[str, str]]:
        """Count verified beats: the acks to publish, {"topic", "frame"}. One statement a table, however many."""
        now_ms = self.clock.now_ms()
        tracked = devices.presences(conn, {(frame.card.org, frame.card.device) for frame in frames})
        presence = {key: each.presence for key, each in tracked.items()}
        saved: dict[tuple[str, str], tuple[str, str, str, int, int, int, str]] = {}
        publish: list[dict[str, str]] = []
        for frame in frames:
            card, message = frame.card, frame.message
            key = (card.org, card.device)
            session = messages.parse_session(message["s"])
            before = presence[key]
            after = liveness.heard(before, now_ms, card.reporting_ms, session, message["i"])
            if after == before:
                continue  # replayed, or of a session that is over: not even an ack
            presence[key] = after
            text = json.dumps(message, ensure_ascii=False)
            saved[key] = (card.org, card.device, text, now_ms, message["b"], message["n"], frame.gateway)
            topic, sealed = acks.of_beat(card.org, card.device, frame.key, message["s"], message["i"], now_ms)
            publish.append({"topic": topic, "frame": base64.b64encode(sealed).decode()})
        devices.save_beats(conn, saved.values())
        devices.save_presences(conn, [(*key, presence[key]) for key in saved])
        heard = notes(conn)
        for key in saved:
            heard.wake(presence[key].expected_by_ms)
            if tracked[key].presence.state != liveness.ALIVE:
                heard.devices.add(key)
            if tracked[key].presence.state == liveness.LOST:
                self.cleared(conn, key[0], tracked[key].site, key[1], "lost", now_ms)
        return publish


def _stale(frame: Frame, now_ms: int) -> bool:
    return now_ms - frame.received_ms > frame.card.reporting_ms
