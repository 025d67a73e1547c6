"""Push messages by Apprise: ntfy, Matrix (Tchap), Teams, Mattermost, Gotify. The address is an Apprise URL.

A push server that accepts has not shown anything: `handed` is all it confirms. A telephone that is off, or an app whose
notifications are silenced, makes no sound: push alone is never a step (domain/policies.py).
"""

from collections.abc import Sequence

from ..domain import contacts
from ..domain.dispatches import Outcome
from . import Outgoing
from .bounded_apprise import Services
from .reach import Network, Reach


class Push:
    """`allowed`: networks that are not global and yet may be called, as for webhooks."""

    name = "push"
    workers = 4
    confirms = ("handed", "answered")
    answers = "link"

    def __init__(self, allowed: Sequence[Network] = (), cafile: str | None = None) -> None:
        self._services = Services(contacts.PUSH_SERVICES, Reach(allowed), cafile)

    def send(self, outgoing: Outgoing) -> Outcome:
        """Hand one message to its service: a 4xx answer is permanent, a 5xx temporary."""
        try:
            url = contacts.checked(contacts.PUSH, outgoing.address)
        except contacts.BadAddress as error:
            return Outcome(False, permanent=True, error=str(error))
        return self._services.send(url, outgoing.message.subject, outgoing.message.text)

    def close(self) -> None:
        """No connection is kept."""
