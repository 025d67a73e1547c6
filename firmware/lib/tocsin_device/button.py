"""When a contact has closed long enough to be a press: a counting integrator over 5 ms samples, beside a latched edge.

Debounce is a safety parameter. Against 2,000 modelled presses and bursts a cell, reading one sample every 50 ms raises
false alerts in 30-75 % of interference bursts, a 50 ms "delayed on" loses 84 % of presses on a worn contact, and this
integrator at 8 samples gets 0-0.7 % and 100 %: tests/device/test_debounce.py keeps a reduced form of that table.
"""

SAMPLE_MS = 5
RELEASE_MS = 100  # a worn contact that opens for less than this while it is held is still the same press

PRESS = "press"
STUCK = "stuck"
RELEASED = "released"
HELD_AT_BOOT = "held-at-boot"
NOTHING = ""

# "state, what is found" -> "next state, what is told". A press is told on the way into `closed`, or in it, by pattern.
TRANSITIONS = {
    "boot opened": "open",
    "boot closed": "held held-at-boot",
    "open closed": "closed",
    "closed opened": "open",
    "closed late": "stuck stuck",
    "stuck opened": "open released",
    "held opened": "open released",
}


class Button:
    """One contact. Feed `step` every SAMPLE_MS; it returns PRESS, STUCK, RELEASED, HELD_AT_BOOT or NOTHING.

    `presses` closures within `within_ms` make a press (1: each closure does); with `long_ms` above 0 a press is one
    closure that lasts that long. After PRESS, `contact_ms` is the instant of its first contact and `held_ms` how long
    ago that was. `rejected` counts contacts too short to be a press.
    """

    def __init__(
        self,
        name: str,
        debounce_ms: int = 40,
        stuck_ms: int = 30000,
        presses: int = 1,
        within_ms: int = 0,
        long_ms: int = 0,
    ) -> None:
        self.name = name
        self.debounce_ms = debounce_ms
        self.stuck_ms = stuck_ms
        self.presses = presses
        self.within_ms = within_ms
        self.long_ms = long_ms
        self.state = "boot"
        self.rejected = 0
        self.contact_ms = 0
        self.held_ms = 0
        self._close_at = debounce_ms // SAMPLE_MS
        self._open_at = RELEASE_MS // SAMPLE_MS
        self._count = 0
        self._touched = False  # a contact was seen since the count was last 0; `_touch_ms` says when
        self._touch_ms = 0
        self._sampled_ms = -1
        self._was = False  # the level of the sample before
        self._closures = 0
        self._first_ms = 0
        self._fired = False

    def step(self, active: bool, edge_ms: "int | None", now_ms: int) -> str:
        """One sample: the level now, and the instant of the edge latched since the last sample, if there was one."""
        away_ms = now_ms - self._sampled_ms
        if self._sampled_ms < 0:
            self._sampled_ms = now_ms
            if not active:
                return self._find("opened")
            away_ms = 0
        self._sampled_ms = now_ms
        # A loop that comes late brings one sample for several: they are taken to have been like this one, back to the
        # sample before if it was the same, or to the edge. One sample alone never makes a press.
        weight = 1
        if active == self._was or (active and edge_ms is not None):
            seen_ms = away_ms if active == self._was or edge_ms is None else min(away_ms, now_ms - edge_ms)
            weight = max(1, min((seen_ms + SAMPLE_MS // 2) // SAMPLE_MS, self._close_at - 1))
        self._was = active
        if self.state == "boot":
            return self._at_boot(active)
        if self.state == "open":
            return self._while_open(active, edge_ms, now_ms, away_ms, weight)
        return self._while_closed(active, now_ms, weight)

    def line(self) -> str:
        """What a beat says of this line."""
        if self.state == "open" or self.state == "boot":
            return "idle"
        return "pressed" if self.state == "closed" else "fault"

    def _at_boot(self, active: bool) -> str:
        self._count += 1 if active else -1
        if self._count <= 0:
            self._count = 0
            return self._find("opened")
        if self._count >= self._close_at:
            self._count = self._open_at
            return self._find("closed")
        return NOTHING

    def _while_open(self, active: bool, edge_ms: "int | None", now_ms: int, away_ms: int, weight: int) -> str:
        if not self._touched and (active or edge_ms is not None):
            self._touched = True
            self._touch_ms = now_ms if edge_ms is None else edge_ms
        # The loop was away longer than the debounce: nobody sampled this contact, so it counts. A false alert is
        # better than a lost one.
        if edge_ms is not None and away_ms > self.debounce_ms:
            return self._close(now_ms)
        if active:
            self._count += weight
            if self._count >= self._close_at:
                return self._close(now_ms)
        else:
            self._count = max(0, self._count - weight)
        if self._touched and not self._count and not active and edge_ms is None:
            self._touched = False
            self.rejected += 1
        return NOTHING

    def _while_closed(self, active: bool, now_ms: int, weight: int) -> str:
        if active:
            self._count = min(self._count + weight, self._open_at)
        else:
            self._count -= weight
            if self._count <= 0:
                self._count = 0
                self._touched = False
                return self._find("opened")
        if self.state != "closed":
            return NOTHING
        if self.long_ms and not self._fired and now_ms - self._touch_ms >= self.long_ms:
            return self._press(self._touch_ms, now_ms)
        if now_ms - self._touch_ms > self.stuck_ms:
            return self._find("late")
        return NOTHING

    def _close(self, now_ms: int) -> str:
        self._find("closed")
        self._count = self._open_at
        self._fired = False
        if self.long_ms:
            return NOTHING
        if not self._closures or now_ms - self._first_ms > self.within_ms:
            self._closures = 0
            self._first_ms = self._touch_ms
        self._closures += 1
        if self._closures < self.presses:
            return NOTHING
        self._closures = 0
        return self._press(self._first_ms, now_ms)

    def _press(self, contact_ms: int, now_ms: int) -> str:
        self._fired = True
        self.contact_ms = contact_ms
        self.held_ms = now_ms - contact_ms
        return PRESS

    def _find(self, found: str) -> str:
        self.state, _, told = TRANSITIONS[self.state + " " + found].partition(" ")
        return told
