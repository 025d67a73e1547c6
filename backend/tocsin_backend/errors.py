"""The few errors of the backend. The docstring is the message, unless one is given."""


class TocsinError(Exception):
    """Something Tocsin refuses to do."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class Unavailable(TocsinError):
    """The database cannot take this now: keep it and try again."""


class NotFound(TocsinError):
    """There is no such thing here."""


class Forbidden(TocsinError):
    """This person may not do that."""


class NotInvited(Forbidden):
    """The other organisation has not invited this one."""


class Invalid(TocsinError):
    """What was given is not acceptable; the message says why."""


class Misconfigured(TocsinError):
    """The database or the settings do not keep Tocsin's promises: refusing to start."""
