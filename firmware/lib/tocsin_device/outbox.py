"""What must reach the backend: presses until their alert is closed, events until they are stored.

A press is `pending` until an ack says it is stored, then `open` until it is closed or refused. Presses come first,
oldest first. Everything may be sent twice and is sent again until an ack names it; only an event is let go once the
broker has taken it as many times in one session as EVENT_RETRY_MS is long.
"""

RETRY_MS = (500, 1000, 2000, 4000, 8000, 10000)  # then the last for ever
EVENT_RETRY_MS = (2000, 4000, 10000, 30000, 60000)
ASK_AGAIN_MS = 600000  # an open press asks what became of it: at each new session, and this often
SPREAD_PERMILLE = 200  # a delay varies by this much in all: jitter 0..999 gives 90 % to 110 %

# In memory, at about 400 bytes each:
MAX_PENDING = 4  # presses; newer ones wait in the journal until there is room again
MAX_OPEN = 2  # stored presses whose fate the lamp follows; the oldest is let go, the backend has it
UNCOUNTED = 100000  # how many are said to wait when flash could not be read: the journal says when there is no more
MAX_EVENTS = 6  # the oldest is dropped and counted

RANKS = {"stored": 1, "fallback": 1, "answered": 2, "closed": 3, "refused": 3}

OBEYED = ""  # what `ack` returns when the ack was taken; anything else is why it was not
REPEATED = "repeated"


def delay_ms(table: "tuple[int, ...]", sent: int, jitter: int) -> int:
    """How long to wait after the `sent`-th sending of a session; `jitter` is 0..999, uniform."""
    base_ms = table[min(sent, len(table)) - 1]
    return base_ms * (1000 - SPREAD_PERMILLE // 2 + SPREAD_PERMILLE * jitter // 1000) // 1000


class Signal:
    """What press and event share: the identity minted here, the instant, and when to send next (uptime ms)."""

    def __init__(self, b: int, n: int, made_ms: int, t: int, q: str) -> None:
        self.b = b
        self.n = n
        self.made_ms = made_ms  # 0 when it was made before this boot
        self.t = t
        self.q = q
        self.tries = 0
        self.sent = 0  # in this session
        self.due_ms = made_ms


class Press(Signal):
    """One press of one input. `rank` and `epoch` are those of the last ack obeyed, 0 while pending."""

    def __init__(self, b: int, n: int, made_ms: int, t: int, q: str, name: str, held_ms: int, silent: bool) -> None:
        super().__init__(b, n, made_ms, t, q)
        self.name = name
        self.held_ms = held_ms
        self.silent = silent
        self.restored = False
        self.kept = False  # durable in the journal
        self.late = False  # 20 s without an ack have been told
        self.epoch = 0
        self.rank = 0


class Event(Signal):
    """A fact that is not a press; `fields` are those of the wire's `event` beyond the common ones."""

    def __init__(self, b: int, n: int, made_ms: int, t: int, q: str, fields: "dict[str, object]") -> None:
        super().__init__(b, n, made_ms, t, q)
        self.fields = fields


class Outbox:
    """Presses by (b, n), and events. Bounded; nothing here allocates without one of the bounds above."""

    def __init__(self) -> None:
        self.presses: "list[Press]" = []
        self.events: "list[Event]" = []
        self.waiting = 0  # presses that are in the journal only
        self.read_ms = 0  # when to try again to read it, 0 if it could be read
        self.last = (0, 0)  # (b, n) of the newest pending press that was ever in memory: those that wait are newer
        self.loud = (0, 0)  # (b, n) of the newest of those that the lamp follows; (0, 0) if there is none
        self.dropped = 0  # events, since boot
        self.untold = 0  # of those, not yet reported by an event

    def pending(self) -> int:
        """How many presses wait for an ack."""
        count = 0
        for press in self.presses:
            if not press.rank:
                count += 1
        return count

    def newest(self) -> "Press | None":
        """The press the lamp follows: a silent one shows nothing, and leaves the lamp to the others."""
        for at in range(len(self.presses) - 1, -1, -1):
            if not self.presses[at].silent:
                return self.presses[at]
        return None

    def full(self) -> bool:
        """Whether the next press stays in the journal: there is no room, or older ones wait there already.

        Flash that cannot be read holds nothing back.
        """
        return (self.waiting > 0 and not self.read_ms) or self.pending() >= MAX_PENDING

    def wish(self, now_ms: int) -> bool:
        """Whether to take a press from the journal now."""
        return self.waiting > 0 and now_ms >= self.read_ms and self.pending() < MAX_PENDING

    def behind(self, press: Press) -> bool:
        """Whether a newer press that the lamp follows waits in the journal."""
        return self.loud[0] > 0 and self.loud > (press.b, press.n)

    def put(self, press: Press) -> None:
        """Take a press, in order of (b, n)."""
        if not press.rank and not self.read_ms:
            self.last = max(self.last, (press.b, press.n))
        at = len(self.presses)
        while at and (self.presses[at - 1].b, self.presses[at - 1].n) > (press.b, press.n):
            at -= 1
        self.presses.insert(at, press)

    def overflow(self) -> "Press | None":
        """The oldest open press, a silent one first, taken out, if more than MAX_OPEN are held."""
        found = [press for press in self.presses if press.rank]
        if len(found) <= MAX_OPEN:
            return None
        let_go = ([press for press in found if press.silent] or found)[0]
        self.presses.remove(let_go)
        return let_go

    def report(self, event: Event) -> None:
        """Take an event; the oldest makes room."""
        if len(self.events) >= MAX_EVENTS:
            self.events.pop(0)
            self.dropped += 1
            self.untold += 1
        self.events.append(event)

    def opened(self, now_ms: int) -> None:
        """A new session: everything is due at once, and the schedules start again."""
        for press in self.presses:
            press.sent = 0
            press.due_ms = now_ms
        for event in self.events:
            event.sent = 0
            event.due_ms = now_ms

    def due_press(self, is_open: bool, jitter: int, now_ms: int) -> "Press | None":
        """The oldest pending (or open) press to send now; it is counted as sent."""
        for press in self.presses:
            if bool(press.rank) == is_open and press.due_ms <= now_ms:
                press.tries += 1
                press.sent += 1
                wait_ms = delay_ms((ASK_AGAIN_MS,) if is_open else RETRY_MS, press.sent, jitter)
                press.due_ms = now_ms + wait_ms
                return press
        return None

    def due_event(self, jitter: int, now_ms: int) -> "Event | None":
        """The oldest event to send now; it is counted as sent."""
        while self.events and self.events[0].sent >= len(EVENT_RETRY_MS) and self.events[0].due_ms <= now_ms:
            self.events.pop(0)
        for event in self.events:
            if event.due_ms <= now_ms and event.sent < len(EVENT_RETRY_MS):
                event.tries += 1
                event.sent += 1
                event.due_ms = now_ms + delay_ms(EVENT_RETRY_MS, event.sent, jitter)
                return event
        return None

    def press_named(self, b: int, n: int) -> "Press | None":
        """The press held under this identity."""
        for press in self.presses:
            if press.b == b and press.n == n:
                return press
        return None

    def settle_event(self, b: int, n: int) -> bool:
        """Whether an event of this identity was held; it is let go."""
        for event in self.events:
            if event.b == b and event.n == n:
                self.events.remove(event)
                return True
        return False

    def ack(self, press: Press, result: str, epoch: int, now_ms: int) -> str:
        """Judge an ack of a held press and move it. OBEYED, REPEATED, or why it is refused, which changes nothing.

        Within one press (epoch, rank) never goes down; a higher epoch with `stored` is an alert opened again.
        """
        rank = RANKS.get(result, 0)
        if not rank:
            return "result"
        if (epoch, rank) < (press.epoch, press.rank):
            return "older"
        if (epoch, rank) == (press.epoch, press.rank):
            return REPEATED
        press.epoch = epoch
        press.rank = rank
        press.due_ms = now_ms + ASK_AGAIN_MS
        return OBEYED

    def forget(self, press: Press) -> None:
        """Let a press go: its alert is closed, or it was refused."""
        self.presses.remove(press)
