"""One file a channel, one Protocol. A channel sends; it decides nothing and retries nothing: the engine does."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..domain.dispatches import Outcome
from ..domain.notices import Message

# All of a try's waits together: connect, send, answer. Below dispatches.LEASE_MS, so that a lease outlives its sender.
DEADLINE_S = 8.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One leased dispatch with all that its channel needs; nothing is looked up while sending."""

    dispatch_id: str
    alert_id: str
    channel: str
    address: str
    secret: str
    class_: int
    message: Message
    org: str = ""  # whose alert it is
    also: tuple[tuple[str, str], ...] = ()  # (dispatch, alert) that this message settles too: domain/bundles.py


class Channel(Protocol):
    """How one kind of message leaves. Thread-safe: `workers` threads call `send` at the same time.

    `workers` bounds what one slow peer can hold up: only this channel. `confirms`: of handed, delivered, seen and
    answered, those that are known of a message it took. `answers`: how whoever reads it can answer through it: by the
    signed "link" in it, by a reply with its "code", on the "console" itself, or "" not at all.
    """

    name: str
    workers: int
    confirms: tuple[str, ...]
    answers: str

    def send(self, outgoing: Outgoing) -> Outcome:
        """Hand one message over, within DEADLINE_S. Refusals are outcomes; an exception counts as a temporary one."""
        ...

    def close(self) -> None:
        """Give up kept connections."""
        ...


class Attempt(Protocol):
    """One try that is ready to begin."""

    def launch(self) -> None:
        """Begin, as far as that takes no waiting at all: it may run on the writer's thread, right after a commit."""
        ...

    def finish(self) -> Outcome:
        """The rest, or all of it."""
        ...

    def abandon(self) -> None:
        """It must not begin: what it tells of was not committed."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """A channel that can do part of its work before a message may leave: while its alert is being committed."""

    def prepare(self, outgoing: Outgoing) -> Attempt:
        """Everything but the network."""
        ...
