"""The presses that earlier boots left in the journal. Nothing found there can stop a boot."""

import os

from tocsin_device.outbox import MAX_OPEN, MAX_PENDING, Press

from .journal import FOLDER, Journal, names, parse


def load(journal: Journal, boot: int) -> "tuple[list[Press], int]":
    """(presses read, how many more pending ones stay on flash). What cannot be ours is removed.

    The oldest MAX_PENDING pending presses are read, and the newest MAX_OPEN open ones; older open ones are let go.
    """
    try:
        os.mkdir(FOLDER[:-1])
    except OSError:
        pass  # it is there, or the first press that cannot be kept will tell
    followed = []
    for name in names():
        found = parse(name)
        if found is None or not 1 <= found[1] < boot:
            _remove(name)
        elif found[0] == "o":
            followed.append(found)
    followed.sort(key=lambda found: found[1:])
    for found in followed[:-MAX_OPEN]:
        _remove("-".join([str(part) for part in found]))
    pending = journal.pending()
    presses = [journal.read(*found) for found in followed[-MAX_OPEN:]]
    presses += [journal.read("p", *found) for found in pending[:MAX_PENDING]]
    return presses, max(0, len(pending) - MAX_PENDING)


def _remove(name: str) -> None:
    try:
        os.remove(FOLDER + name)
    except OSError:
        pass  # a folder, or a worn block: it does no harm here
