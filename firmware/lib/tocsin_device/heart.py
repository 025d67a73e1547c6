"""Beats, and whether the post is in service: whether the backend has answered one lately."""

IN_SERVICE_MS = 90000


class Heart:
    """Numbers the beats of a session and judges the acks that quote them. Times are uptime milliseconds."""

    def __init__(self, period_ms: int) -> None:
        self.session = ""
        self.number = 0  # of the last beat of this session
        self._period_ms = period_ms
        self._due_ms = 0
        self._alive_ms: "int | None" = None
        self._answered = 0

    def opened(self, session: str, now_ms: int) -> None:
        """A session began: its first beat is due at once."""
        self.session = session
        self.number = 0
        self._answered = 0
        self._due_ms = now_ms

    def is_due(self, now_ms: int) -> bool:
        """Whether the next call of `beat` would count one."""
        return now_ms >= self._due_ms

    def beat(self, jitter: int, now_ms: int) -> bool:
        """Whether a beat is due; if so it is counted. The second one comes early by up to a period: after a restart
        of the broker a fleet must not beat in step. A late beat is skipped, never queued."""
        if not self.is_due(now_ms):
            return False
        self.number += 1
        self._due_ms = now_ms + (self._period_ms if self.number > 1 else self._period_ms * (1000 - jitter) // 1000)
        return True

    def alive(self, session: str, number: int, now_ms: int) -> bool:
        """An ack quotes this beat. False, and nothing changes, unless it is of this session and newer than the last."""
        if session != self.session or not self._answered < number <= self.number:
            return False
        self._answered = number
        self._alive_ms = now_ms
        return True

    def in_service(self, now_ms: int) -> bool:
        """Whether an ack of a beat is less than 90 s old."""
        return self._alive_ms is not None and now_ms - self._alive_ms < IN_SERVICE_MS
