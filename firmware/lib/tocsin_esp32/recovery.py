"""The presses that earlier boots left in the journal. Nothing found there can stop a boot."""

import os

from tocsin_device.outbox import MAX_OPEN, MAX_PENDING, UNCOUNTED, Press

from .journal import FOLDER, Journal, names, parse


def load(journal: Journal, boot: int) -> "tuple[list[Press], int]":
    """(presses read, how many more pending ones stay on flash: at least UNCOUNTED if flash cannot say).

    What cannot be ours is removed.

    The oldest MAX_PENDING pending presses are read, and the newest MAX_OPEN open ones; older open ones are let go.
    """
    try:
        os.mkdir(FOLDER[:-1])
    except OSError:
        pass  # it is there, or the first press that cannot be kept will tell
    followed, waiting, leftovers = [], 0, []
    try:
        for name in names():
            found = parse(name)
            if found is None or not 1 <= found[1] < boot:
                leftovers.append(name)
            elif found[0] == "p":
                waiting += 1
            else:
                followed.append(found)
    except OSError:
        waiting = UNCOUNTED
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


def _remove(name: str) -> None:
    try:
        os.remove(FOLDER + name)
    except OSError:
        pass  # a folder, or a worn block: it does no harm here
