"""The presses that earlier boots left in the journal. Nothing found there can stop a boot."""

import os

from micropython import const
from tocsin_device.outbox import MAX_OPEN, MAX_PENDING, UNCOUNTED, Press

from .boots import COUNTER
from .journal import FOLDER, Journal, names, parse

_NEVER = const(1 << 30)  # no counter comes as far


def load(journal: Journal, boot: int) -> "tuple[list[Press], int]":
    """(presses read, how many more pending ones stay on flash: at least UNCOUNTED if flash cannot say).

    What cannot be ours is removed. A press of a boot that is not before this one is ours: neither store of the counter
    could be written then, and it stepped at random. `journal.boot` steps over it.

    The oldest MAX_PENDING pending presses are read, and the newest MAX_OPEN open ones; older open ones are let go.
    """
    try:
        os.mkdir(FOLDER[:-1])
    except OSError:
        pass  # it is there, or the first press that cannot be kept will tell
    followed, waiting, leftovers, highest = [], 0, [], 0
    try:
        for name in names():
            found = parse(name)
            if found is None or not 1 <= found[1] < _NEVER:
                leftovers.append(name)
                continue
            highest = max(highest, found[1])
            if found[0] == "p":
                waiting += 1
            else:
                followed.append(found)
    except OSError:
        waiting = UNCOUNTED
    if highest >= boot:
        _step_over(journal, highest)
    followed.sort(key=lambda found: found[1:])
    for name in leftovers + ["-".join([str(part) for part in found]) for found in followed[:-MAX_OPEN]]:
        _remove(name)
    presses = [journal.read(*found) for found in followed[-MAX_OPEN:]]
    last = (0, 0)
    room = len(presses) + MAX_PENDING
    try:
        while waiting and waiting < UNCOUNTED and len(presses) < room:
            last = journal.next_pending(last)
            presses.append(journal.read("p", *last))
            waiting -= 1
    except OSError:
        waiting = UNCOUNTED
    return presses, waiting


def _step_over(journal: Journal, highest: int) -> None:
    """No (b, n) comes twice: this boot and those after it count from above `highest`."""
    journal.boot = highest + 1
    try:
        with open(COUNTER, "w") as file:
            file.write(str(journal.boot))
    except OSError:
        journal.boot += int.from_bytes(os.urandom(2), "big")


def _remove(name: str) -> None:
    try:
        os.remove(FOLDER + name)
    except OSError:
        pass  # a folder, or a worn block: it does no harm here
