"""When to connect, when to ping, when to give a connection up. Round trips decide; what Wi-Fi says does not."""

BACKOFF_FIRST_MS = 100
BACKOFF_LAST_MS = 60000
BACKOFF_URGENT_MS = 2000  # the ceiling while an alert is unsent: a person waits
STABLE_MS = 60000  # a session this long forgets the failures before it
PING_URGENT_MS = 2000  # silence that calls for a ping while an alert waits for its ack
DEAD_MS = 5000  # a question the broker left unanswered for this long ends the connection

PERMILLE = 1000  # jitter is told as 0..999

# "state, event" -> next state
TRANSITIONS = {
    "waiting attempt": "connecting",
    "connecting opened": "up",
    "connecting closed": "waiting",
    "up closed": "waiting",
}


class Link:
    """The life of the connection to the broker. Times are uptime milliseconds; `jitter` is 0..999, uniform."""

    def __init__(self, keepalive_s: int) -> None:
        self.state = "waiting"
        self.since_ms = 0  # of this state
        self.number = 0  # of the connection in this boot: the second half of a session's name
        self._ping_ms = keepalive_s * 1000 // 3
        self._failures = 0
        self._due_ms = 0
        self._urgent = False
        self._heard_ms = 0
        self._pinged_ms: "int | None" = None
        self._lost_ms = 0

    def wants(self, unsent: bool, jitter: int, now_ms: int) -> bool:
        """Whether to connect now. An alert that has just become unsent does not wait for the backoff."""
        if self.state != "waiting":
            return False
        if unsent and not self._urgent:
            self._due_ms = now_ms
        self._urgent = unsent
        if now_ms < self._due_ms:
            return False
        self._go("attempt", now_ms)
        self.number += 1
        return True

    def opened(self, now_ms: int) -> None:
        """CONNACK came."""
        self._go("opened", now_ms)
        self._heard_ms = now_ms
        self._pinged_ms = None

    def closed(self, jitter: int, now_ms: int) -> None:
        """The attempt failed or the connection ended; the next one is drawn from a doubling window (full jitter)."""
        if self.state == "up":
            self._lost_ms = now_ms
            if now_ms - self.since_ms >= STABLE_MS:
                self._failures = 0
        self._go("closed", now_ms)
        ceiling_ms = BACKOFF_URGENT_MS if self._urgent else BACKOFF_LAST_MS
        window_ms = min(ceiling_ms, BACKOFF_FIRST_MS << min(self._failures, 10))
        self._failures += 1
        self._due_ms = now_ms + window_ms * jitter // PERMILLE

    def heard(self, at_ms: int) -> None:
        """Bytes last came from the broker at that instant; telling the same one again changes nothing."""
        if at_ms > self._heard_ms:
            self._heard_ms = at_ms
            self._pinged_ms = None

    def step(self, unsent: bool, asked_ms: "int | None", now_ms: int) -> str:
        """ "ping", "dead" or "". `asked_ms`: since when the oldest packet waits for its PUBACK, None if none does."""
        self._urgent = unsent
        if self._pinged_ms is not None and now_ms - self._pinged_ms >= DEAD_MS:
            return "dead"
        if asked_ms is not None and now_ms - asked_ms >= DEAD_MS:
            return "dead"
        silence_ms = PING_URGENT_MS if unsent else self._ping_ms
        if self._pinged_ms is None and now_ms - self._heard_ms >= silence_ms:
            self._pinged_ms = now_ms
            return "ping"
        return ""

    def down_for_ms(self, now_ms: int) -> int:
        """How long there has been no session; 0 while there is one."""
        return 0 if self.state == "up" else now_ms - self._lost_ms

    def _go(self, event: str, now_ms: int) -> None:
        self.state = TRANSITIONS[self.state + " " + event]
        self.since_ms = now_ms
