"""The dispatch: one message to one target by one channel, from decided to handed over; or one order to a device.

`pending → leased → handed → delivered → seen`; `failed` after MAX_ATTEMPTS refused tries or one permanent refusal;
`cancelled` when it no longer should leave. A lease that expires belongs to a sender that crashed or hangs: the message
is sent again, under the same id, marked maybe_dup. A crash is not a failure and counts as no attempt.
"""

from dataclasses import dataclass, replace
from typing import Final

from .identity import uuid5

PENDING: Final = "pending"
LEASED: Final = "leased"
HANDED: Final = "handed"
DELIVERED: Final = "delivered"
SEEN: Final = "seen"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
OPEN: Final = (PENDING, LEASED)
TOLD: Final = (LEASED, HANDED, DELIVERED, SEEN)  # who may have read it
REACHED: Final = (DELIVERED, SEEN)  # who has it for certain: what a relay accepted reached nobody yet

NOTIFY: Final = "notify"
TAKEN: Final = "taken"
CLOSED: Final = "closed"
INFO: Final = "info"  # a second person is asked for; a report
ACTUATE: Final = "actuate"  # an alarm output
LAMP: Final = "lamp"
ORDERS: Final = (ACTUATE, LAMP)  # tried until the device itself confirms; no answer and no close stops them

FIRST_CLASS, LATER_CLASS, NEWS_CLASS, TECHNICAL_CLASS, PROBE_CLASS = 0, 1, 2, 3, 4

LEASE_MS: Final = 10_000  # a sender's own deadlines add up to less (channels/)
RETRY_MS: Final = (2_000, 5_000, 15_000)  # after the first, second, third refused try
MAX_ATTEMPTS: Final = 4
LAMP_RETRY_MS: Final = (2_000, 5_000, 15_000, 60_000)  # the last one again and again, and at once when the post is born
LAMP_GIVE_UP_MS: Final = 86_400_000  # a post that was away for a day no longer holds that press; alarm outputs as well


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The row of a dispatch: the fields of the table `dispatch`, by the same names."""

    id: str
    alert_id: str
    epoch: int
    pass_: int
    step: int
    kind: str
    target: str
    channel: str
    person_id: int | None
    method_id: int
    class_: int
    status: str
    attempts: int
    next_ms: int | None
    owner: str | None
    maybe_dup: bool
    provider_id: str | None
    error: str | None
    created_ms: int
    handed_ms: int | None
    delivered_ms: int | None
    seen_ms: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one try: accepted, or refused (`permanent`: trying again is pointless).

    `confirmed`: what the channel knows already of a message it took: "", delivered or seen.
    """

    accepted: bool
    permanent: bool = False
    error: str | None = None
    provider_id: str | None = None
    confirmed: str = ""


def new(
    alert_id: str,
    place: tuple[int, int, int],
    kind: str,
    target: str,
    channel: str,
    class_: int,
    now_ms: int,
    person_id: int | None = None,
    method_id: int = 0,
    offset_ms: int = 0,
) -> Dispatch:
    """A pending dispatch, due now or after `offset_ms`. `place` is (epoch, pass, step).

    The id follows from what it is: never two of one.
    """
    epoch, pass_, step = place
    name = f"{epoch}/{pass_}/{step}/{kind}/{target}/{method_id}"
    return Dispatch(
        uuid5(bytes.fromhex(alert_id.replace("-", "")), name),
        alert_id,
        epoch,
        pass_,
        step,
        kind,
        target,
        channel,
        person_id,
        method_id,
        class_,
        PENDING,
        0,
        now_ms + offset_ms,
        None,
        False,
        None,
        None,
        now_ms,
        None,
        None,
        None,
    )


def lease(dispatch: Dispatch, owner: str, now_ms: int) -> Dispatch:
    """Taken by a sender. From an expired lease: perhaps already sent."""
    return replace(
        dispatch,
        status=LEASED,
        owner=owner,
        next_ms=now_ms + LEASE_MS,
        maybe_dup=dispatch.maybe_dup or dispatch.status == LEASED,
    )


def prolong(dispatch: Dispatch, now_ms: int) -> Dispatch:
    """Still waiting in the queue of the sender that leased it: certainly not sent."""
    return replace(dispatch, next_ms=now_ms + LEASE_MS)


def cancel(dispatch: Dispatch, why: str) -> Dispatch:
    """No longer to be sent. One that is on the wire right now may still arrive; its outcome is then recorded."""
    return replace(dispatch, status=CANCELLED, next_ms=None, owner=None, error=why)


def settle(dispatch: Dispatch, outcome: Outcome, now_ms: int, superseded: bool = False) -> Dispatch:
    """After a try. A message that was cancelled meanwhile, or whose next one waits already, is not tried again."""
    attempts = dispatch.attempts + 1
    if dispatch.status in (HANDED, DELIVERED, SEEN):  # tried twice, and the other try went through
        return dispatch
    if outcome.accepted and dispatch.kind == ACTUATE and not outcome.confirmed:
        return order_sent(dispatch, now_ms) if dispatch.status in OPEN else dispatch
    if outcome.accepted:
        handed = replace(
            dispatch,
            status=HANDED,
            attempts=attempts,
            next_ms=None,
            owner=None,
            handed_ms=now_ms,
            provider_id=outcome.provider_id,
            error=None,
        )
        return report(handed, outcome.confirmed, None, now_ms) if outcome.confirmed else handed
    if dispatch.status not in OPEN:
        return dispatch
    if dispatch.kind == ACTUATE and not outcome.permanent:
        return replace(order_sent(dispatch, now_ms), handed_ms=dispatch.handed_ms, error=outcome.error)
    if outcome.permanent or attempts >= MAX_ATTEMPTS:
        status, next_ms = FAILED, None
    elif superseded:
        status, next_ms = CANCELLED, None
    else:
        status, next_ms = PENDING, now_ms + RETRY_MS[attempts - 1]
    return replace(dispatch, status=status, attempts=attempts, next_ms=next_ms, owner=None, error=outcome.error)


def order_sent(dispatch: Dispatch, now_ms: int) -> Dispatch:
    """An order went down towards its device: looked at again until the device confirms it."""
    if now_ms - dispatch.created_ms >= LAMP_GIVE_UP_MS:
        return replace(dispatch, status=FAILED, next_ms=None, owner=None, error="unconfirmed")
    wait_ms = LAMP_RETRY_MS[min(dispatch.attempts, len(LAMP_RETRY_MS) - 1)]
    handed_ms = dispatch.handed_ms if dispatch.handed_ms is not None else now_ms
    return replace(
        dispatch,
        status=PENDING,
        attempts=dispatch.attempts + 1,
        next_ms=now_ms + wait_ms,
        owner=None,
        handed_ms=handed_ms,
    )


def delivered(dispatch: Dispatch, now_ms: int) -> Dispatch:
    """The target itself confirmed."""
    return replace(dispatch, status=DELIVERED, next_ms=None, owner=None, error=None, delivered_ms=now_ms)


def report(dispatch: Dispatch, what: str, error: str | None, now_ms: int) -> Dispatch:
    """What became of a message that was handed over, said later. What is known already is not said less of."""
    if what == SEEN and dispatch.status != SEEN:
        first_ms = now_ms if dispatch.delivered_ms is None else dispatch.delivered_ms
        return replace(delivered(dispatch, first_ms), status=SEEN, seen_ms=now_ms)
    if what == DELIVERED and dispatch.status not in REACHED:
        return delivered(dispatch, now_ms)
    if what == FAILED and dispatch.status in (*OPEN, HANDED):
        return replace(dispatch, status=FAILED, next_ms=None, owner=None, error=error)
    return dispatch
