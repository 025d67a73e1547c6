"""Presses on littlefs: one small file each, durable when closed.

`/journal/p-<b>-<n>` is a pending press; it is renamed `o-<b>-<n>-<e>-<rank>` when an ack says so, and removed when its
alert is closed or it is refused. One file below 120 bytes an event costs 0.09 flash erases against 1.0 for appending.
A pending press whose content did not survive is still a press, because its name is: the power went while it was being
written, and a finger was on the button.
"""

import binascii
import json
import os

from micropython import const
from tocsin_device.outbox import Press

FOLDER = "/journal/"
_MAX_BYTES = const(120)


class Journal:
    """Every method that writes returns whether the flash did it; none raises OSError."""

    def __init__(self, boot: int, default_input: str) -> None:
        self.boot = boot  # recovery raises it above any that is found
        self._default_input = default_input

    def keep(self, press: Press) -> bool:
        """Write a pending press; durable when this returns True."""
        body = json.dumps([press.name, press.held_ms, press.t, press.q, int(press.silent), press.made_ms]).encode()
        try:
            with open("%sp-%d-%d" % (FOLDER, press.b, press.n), "wb") as file:
                file.write(b"%08x" % binascii.crc32(body) + body)
        except OSError:
            return False
        return True

    def mark(self, press: Press) -> bool:
        """Note that a press has reached `press.epoch` and `press.rank`."""
        name = "%so-%d-%d-%d-%d" % (FOLDER, press.b, press.n, press.epoch, press.rank)
        return self._each(press, lambda old: None if old == name else os.rename(old, name))

    def forget(self, press: Press) -> bool:
        """Remove a press."""
        return self._each(press, os.remove)

    def next_pending(self, after: "tuple[int, int]") -> "tuple[int, int] | None":
        """(b, n) of the oldest pending press newer than `after`, None if there is none; OSError if flash cannot say."""
        oldest = None
        for name in names():
            found = parse(name)
            if found and found[0] == "p":
                this = found[1], found[2]
                if this > after and (oldest is None or this < oldest):
                    oldest = this
        return oldest

    def read(self, kind: str, *numbers: int) -> Press:
        """The press of a file: "p" and (b, n), or "o" and (b, n, epoch, rank)."""
        name = FOLDER + "-".join([kind] + [str(number) for number in numbers])
        content = (self._default_input, 0, 0, "none", 0, 0)
        try:
            with open(name, "rb") as file:
                data = file.read(_MAX_BYTES + 1)
            if int(data[:8], 16) == binascii.crc32(data[8:]):
                content = json.loads(data[8:])
        except (OSError, ValueError):
            pass  # torn: the defaults stand
        restored = numbers[0] != self.boot
        made_ms = 0 if restored else content[5]
        press = Press(numbers[0], numbers[1], made_ms, content[2], content[3], content[0], content[1], bool(content[4]))
        press.restored = restored
        press.kept = True
        if kind == "o":
            press.epoch, press.rank = numbers[2:]
        return press

    def _each(self, press: Press, act) -> bool:
        """`act(path)` on the files of a press. There is one, whatever its rank."""
        try:
            for name in names():
                found = parse(name)
                if found and found[1] == press.b and found[2] == press.n:
                    act(FOLDER + name)
                    break
        except OSError:
            return False
        return True


def names():
    """What stands in the folder, one after another: with a long outage behind it the folder outgrows the heap.

    OSError if flash cannot say: presses may stand there that were not told.
    """
    for entry in os.ilistdir(FOLDER[:-1]):
        yield entry[0]


def parse(name: str) -> "list | None":
    """["p", b, n] or ["o", b, n, epoch, rank]; None for what is not ours."""
    parts = name.split("-")
    if (parts[0], len(parts)) not in (("p", 3), ("o", 5)) or not all([part.isdigit() for part in parts[1:]]):
        return None
    return parts[:1] + [int(part) for part in parts[1:]]
