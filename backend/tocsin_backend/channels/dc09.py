"""SIA DC-09: an event to a monitoring centre, by its main path or, when that gives no answer, by its backup.

    target { channel = "dc09/alpha" }, and `tocsin centre add --org demo --id alpha --account 1234 --path arc.test:9999`

The frames are siadc09's; which event an alert is, domain/dc09.py says. One try: each path in its order, all of them
within DEADLINE_S. Only an ACK of our own sequence number is an acceptance; of a centre with a key, only one that this
key decrypts. A NAK means that the centre's clock differs from the frame's: the frame goes once more, with the time that
the NAK names. A DUH means that the centre will never understand it.
"""

import contextlib
import re
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from siadc09.account import Account
from siadc09.admcid import DataCid
from siadc09.message import EventMessage, Message, NullMessage
from siadc09.util import crc, decrypt, fromtimestamp
from siadc09.xdata import XData

from ..clock import Clock
from ..domain import alerts, dc09, dispatches
from ..domain.dispatches import Outcome
from ..errors import Unavailable
from ..store import alerts as alert_rows
from ..store import cap as places
from ..store import centres
from ..store import dispatches as dispatch_rows
from ..store.centres import Centre
from ..store.database import Database, Priority
from . import DEADLINE_S, Outgoing
from .deadline import DeadlineSocket, connect, left_s
from .reach import Reach, Refused

ANSWER_MAX: Final = 1_024  # bytes of a reply; the longest known is 200
SEQUENCES: Final = 9_999  # 0001 to 9999, then 0001 again; 0000 is the NAK's own
ACK_AGE_S: Final = 60  # the standard's window is +20/-40 s around the frame's time
_REFUSED: Final = "is not a public address (TOCSIN_CENTRE_PRIVATE_NETWORKS can allow it)"
_REPLY: Final = re.compile(rb'\n([0-9A-Fa-f]{4})([0-9A-Fa-f]{4})("(\*?)(ACK|NAK|DUH)"([0-9]{4})[^\r\n]*)\r')
_TIME: Final = re.compile(rb"_([0-9]{2}:[0-9]{2}:[0-9]{2},[0-9]{2}-[0-9]{2}-[0-9]{4})\Z")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a centre said: ACK, NAK or DUH, to which sequence number, and the time on its clock if it told it."""

    word: str
    sequence: int
    at: datetime | None


class Dc09:
    """`reach`: which addresses may be dialled (S17)."""

    name = "dc09"
    workers = 4
    confirms = ("handed", "delivered")
    answers = ""

    def __init__(self, database: Database, clock: Clock, reach: Reach) -> None:
        self._database = database
        self._clock = clock
        self._reach = reach
        self._lock = threading.Lock()
        self._sequences: dict[tuple[str, str], int] = {}

    def send(self, outgoing: Outgoing) -> Outcome:
        """One event; delivered when the centre acknowledged it. A drill or a probe is refused: centres are outside."""
        deadline_s = time.monotonic() + DEADLINE_S
        with self._database.read() as conn:
            alert = alert_rows.get(conn, outgoing.alert_id)
            dispatch = dispatch_rows.get(conn, outgoing.dispatch_id)
            assert alert is not None, "a dispatch belongs to an alert (foreign key)"
            assert dispatch is not None, "it was leased"
            name = dispatch.target.partition("/")[2]
            centre = centres.get(conn, alert.org, name)
            place, _ = places.place(conn, alert.device_org, alert.site, alert.device)
            group, zone = centres.numbers(conn, alert.device_org, alert.site, alert.device)
        if centre is None:
            return Outcome(False, permanent=True, error=f"there is no monitoring centre {name!r}")
        if alert.mode != alerts.REAL:
            return Outcome(False, permanent=True, error="a drill or a probe never leaves for a monitoring centre")
        happened = dc09.event(alert, dispatch.kind)
        if happened is None:
            return Outcome(True)
        text = dc09.plain(f"{place.site}, {place.device}" if place.device else place.site)
        return self._told(centre, self.event(centre, happened, group, zone, text), deadline_s)

    def close(self) -> None:
        """Nothing is kept."""

    def test(self, centre: Centre, *, event: bool = False) -> list[str]:
        """A line test by each path: "" where it was acknowledged, otherwise what went wrong, in the paths' order.

        `event`: a manual test instead, which the centre's people see.
        """
        by_hand = self.event(centre, (dc09.NEW, dc09.TEST), 0, 0, "Tocsin")
        frame = by_hand if event else NullMessage(_account(centre))
        found = []
        for path in centre.paths:
            refused = self._by_path(centre, path, frame, time.monotonic() + DEADLINE_S / len(centre.paths))
            found.append("" if refused is None else str(refused.error))
        return found

    def event(self, centre: Centre, happened: tuple[str, str], group: int, zone: int, text: str) -> Message:
        """The message of an event, with a text beside it."""
        data = DataCid(dc09.content(centre.protocol, centre.account, happened, group, zone))
        xdata = [XData("I", text)] if text else []
        return EventMessage(_account(centre), config={"idtoken": centre.protocol, "data": data, "xdata": xdata})

    def _told(self, centre: Centre, frame: Message, deadline_s: float) -> Outcome:
        """Each path in its order; the time that is left is shared by the paths that are left."""
        faults: list[str] = []
        for_good = True
        sequence = self._next(centre)
        for at, path in enumerate(centre.paths):
            now_s = time.monotonic()
            share_s = now_s + max(0.0, deadline_s - now_s) / (len(centre.paths) - at)
            refused = self._by_path(centre, path, frame, share_s, sequence)
            if refused is None:
                with contextlib.suppress(Unavailable):  # it has the event, whoever can write that down
                    self._note_answer(centre)
                return Outcome(True, provider_id=f"{sequence:04}", confirmed=dispatches.DELIVERED)
            faults.append(f"{path[0]}:{path[1]}: {refused.error}")
            for_good = for_good and refused.permanent
        return Outcome(False, permanent=for_good, error="; ".join(faults)[:200])

    def _by_path(
        self, centre: Centre, path: tuple[str, int], frame: Message, deadline_s: float, sequence: int = 0
    ) -> Outcome | None:
        """None when it was acknowledged by this path."""
        sequence = sequence or self._next(centre)
        try:
            peer = connect(self._reach.addresses(*path, deadline_s), deadline_s)
        except Refused:
            return Outcome(False, error=f"{path[0]} {_REFUSED}")
        except TimeoutError:
            return Outcome(False, error="no connection in time")
        except (OSError, UnicodeError) as error:
            return Outcome(False, error=f"no connection: {error}"[:120])
        with contextlib.closing(peer):
            try:
                reply = self._asked(peer, centre, frame, sequence, None, deadline_s)
                if reply.word == "NAK":
                    reply = self._asked(peer, centre, frame, sequence, reply.at, deadline_s)
            except TimeoutError:
                return Outcome(False, error="no answer in time")
            except (OSError, ValueError) as error:
                return Outcome(False, error=str(error)[:120])
        if reply.word == "ACK":
            return None
        if reply.word == "DUH":
            return Outcome(False, permanent=True, error="the centre does not understand the event (DUH)")
        return Outcome(False, error="the centre refuses the time or the account (NAK)")

    def _asked(
        self,
        peer: DeadlineSocket,
        centre: Centre,
        frame: Message,
        sequence: int,
        at: datetime | None,
        deadline_s: float,
    ) -> Reply:
        """Send the frame, dated now or `at`, and read until its reply. Raises OSError, ValueError."""
        peer.deadline_s = deadline_s
        dated = at or datetime.fromtimestamp(self._clock.now_ms() // 1000, UTC)
        peer.sendall(frame.encode(seq=sequence, timestamp=dated))
        heard = b""
        while True:
            peer.settimeout(left_s(deadline_s))
            more = peer.recv(ANSWER_MAX)
            if not more:
                raise ValueError("the centre hung up without an answer")
            heard += more
            for reply in replies(heard, centre.key):
                if reply.word == "NAK" or (reply.sequence == sequence and _is_fresh(reply, centre, dated)):
                    return reply
            if len(heard) > ANSWER_MAX:
                raise ValueError("the centre's answer makes no sense")

    def _next(self, centre: Centre) -> int:
        key = (centre.org, centre.id)
        with self._lock:
            last = self._sequences.get(key, self._clock.now_ms() // 1000 % SEQUENCES)
            self._sequences[key] = last % SEQUENCES + 1
            return self._sequences[key]

    def _note_answer(self, centre: Centre) -> None:
        now_ms = self._clock.now_ms()
        self._database.write(lambda conn: centres.answered(conn, centre.org, centre.id, now_ms), Priority.BEAT)


def _is_fresh(reply: Reply, centre: Centre, dated: datetime) -> bool:
    """Not an encrypted ACK of another day, which somebody kept until the same number came again."""
    return not centre.key or reply.at is None or abs((reply.at - dated).total_seconds()) <= ACK_AGE_S


def replies(heard: bytes, key: str) -> list[Reply]:
    """The whole and sound replies in what was read. Where there is a `key`, an ACK that it does not decrypt is none."""
    found = []
    for match in _REPLY.finditer(heard):
        body = match[3]
        if int(match[1], 16) != crc(body) or int(match[2], 16) != len(body):
            continue
        content = body[body.rfind(b"[") + 1 :]
        if match[4]:
            try:
                content = decrypt(bytes.fromhex(key), bytes.fromhex(content.decode("ascii")))
            except ValueError:
                continue
            if b"]" not in content:
                continue
        elif key and match[5] == b"ACK":
            continue
        stamp = _TIME.search(content)
        at = None
        if stamp is not None:
            with contextlib.suppress(ValueError):
                at = fromtimestamp(stamp[1].decode("ascii"))
        found.append(Reply(match[5].decode("ascii"), int(match[6]), at))
    return found


def _account(centre: Centre) -> Account:
    return Account(acct=int(centre.account, 16), key=centre.key or None)
