"""The journal and the look-up of a name on a board whose flash or network fails; both interpreters."""

import sys


class Stand:
    """What stands for a module of the board."""

    @staticmethod
    def const(value):
        return value


if sys.implementation.name == "cpython":
    sys.modules["micropython"] = Stand

from tocsin_device.outbox import MAX_PENDING, UNCOUNTED  # noqa: E402
from tocsin_esp32 import journal, recovery  # noqa: E402


class Flash:
    """`/journal` as `os`: names without content, and how many of them can be read before it fails."""

    def __init__(self, names, readable=1000):
        self.names = list(names)
        self.readable = readable

    def mkdir(self, path):
        raise OSError(17)

    def ilistdir(self, path):
        for at, name in enumerate(list(self.names)):
            if at >= self.readable:
                raise OSError(5)
            yield (name, 0x8000, 0, 40)
        if self.readable <= len(self.names):
            raise OSError(5)

    def remove(self, path):
        self.names.remove(path[len(journal.FOLDER) :])


def absent(*arguments):
    raise OSError(2)


def load(flash, boot):
    journal.os = recovery.os = flash
    journal.open = absent  # a press whose content did not survive is still one
    kept = journal.Journal(boot, "call")
    presses, waiting = recovery.load(kept, boot)
    return kept, [(press.b, press.n) for press in presses], waiting


def test_a_boot_reads_the_oldest_and_counts_the_others():
    flash = Flash(["p-2-%d" % n for n in range(1, 8)] + ["rubbish"])
    _, found, waiting = load(flash, 3)
    assert found == [(2, n) for n in range(1, MAX_PENDING + 1)]
    assert waiting == 7 - MAX_PENDING
    assert "rubbish" not in flash.names


def test_a_boot_that_cannot_read_flash_expects_presses_there():
    flash = Flash(["p-2-1", "p-2-2"], 1)
    kept, found, waiting = load(flash, 3)
    assert (found, waiting) == ([], UNCOUNTED)
    try:
        kept.next_pending((0, 0))
        raise AssertionError("no more, said a flash that could not be read")
    except OSError:
        pass
    flash.readable = 1000
    assert kept.next_pending((0, 0)) == (2, 1)
