"""The journal and the look-up of a name on a board whose flash or network fails; both interpreters."""

import sys


class Stand:
    """What stands for a module of the board."""

    NVS = None

    @staticmethod
    def const(value):
        return value


sys.modules["esp32"] = Stand
if sys.implementation.name == "cpython":
    sys.modules["micropython"] = sys.modules["machine"] = Stand
    sys.modules["tocsin_esp32.clock"] = Stand  # time has no ticks there

from tocsin_device.outbox import MAX_PENDING, UNCOUNTED  # noqa: E402
from tocsin_esp32 import journal, recovery, resolver  # noqa: E402


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

    def urandom(self, count):
        return b"\x01" * count


class Written:
    """A file that can be written; what the last one holds."""

    text = ""

    def __init__(self, *arguments):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False

    def write(self, text):
        Written.text = text


def absent(*arguments):
    raise OSError(2)


def load(flash, boot, opens=absent):
    recovery.open = opens
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


def test_presses_of_a_counter_that_stepped_at_random_are_kept_and_stepped_over():
    flash = Flash(["p-40000-2", "p-40000-3", "p-9-1", "o-40100-4-1-1", "p-99999999999-1"])
    kept, found, waiting = load(flash, 10, Written)
    assert sorted(found) == [(9, 1), (40000, 2), (40000, 3), (40100, 4)]
    assert waiting == 0
    assert (kept.boot, Written.text) == (40101, "40101")
    assert flash.names == ["p-40000-2", "p-40000-3", "p-9-1", "o-40100-4-1-1"]
    kept, found, _ = load(flash, 10)
    assert kept.boot == 40101 + 0x0101, "at random again, where nothing can be written"
    kept, _, _ = load(flash, 40101)
    assert kept.boot == 40101


class SlowNames:
    """`socket` and `clock` of a network whose name server answers nothing, for 15 s each time."""

    def __init__(self):
        self.at_ms = 0
        self.asked = 0

    def getaddrinfo(self, host, port):
        self.asked += 1
        self.at_ms += 15000
        raise OSError(-2)

    def now_ms(self):
        return self.at_ms


def test_look_ups_that_block_for_long_never_run_back_to_back():
    world = resolver.socket = resolver.clock = SlowNames()
    asks = resolver.Resolver("broker.example", 1883)
    assert not asks.ready(False, world.now_ms())
    for _ in range(9):
        assert not asks.ready(False, world.now_ms())
        world.at_ms += 1000
    assert world.asked == 1
    world.at_ms += 1000
    assert not asks.ready(False, world.now_ms())
    assert world.asked == 2
