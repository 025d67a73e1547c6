"""Runs on MicroPython: the journal and the boot counter under a power cut at every flash operation.

Arguments: "none" or the name of a planted bug; "kept" or "lost": whether NVS survives; how many days a life lasts.
Prints one JSON object on its last line.

One case: a life of presses on a littlefs in RAM under NOR rules, its power cut at flash operation k, torn one of three
ways; then a boot with the real code, which is itself cut at operation j (or not); then a boot that is not cut, whose
findings are compared with what the life had acknowledged. Then it goes on living: keep, boot, find.
"""

# ruff: noqa: PTH104, PTH107, PTH116, PTH208, SIM105, SIM115, RUF012

import gc
import json
import os
import sys

import _flash
import vfs

BLOCKS = 24
TEMPLATE = bytearray(b"\xff" * (BLOCKS * _flash.BLOCK))
MEMORY = bytearray(len(TEMPLATE))
UNIT = _flash.PROGRAM_UNIT

BUG, NVS_FATE, DAYS = sys.argv[1], sys.argv[2], int(sys.argv[3])


class _Nvs:
    """Non-volatile storage that survives every cut, or that is lost at each."""

    stored = {}

    def __init__(self, _space):
        self._pending = {}

    def get_i32(self, key):
        if key not in _Nvs.stored:
            raise OSError(-0x1102)
        return _Nvs.stored[key]

    def set_i32(self, key, value):
        if NVS_FATE == "lost":
            raise OSError(-0x1105)
        self._pending[key] = value

    def commit(self):
        _Nvs.stored.update(self._pending)


class _Modules:
    NVS = _Nvs


sys.modules["esp32"] = _Modules
sys.modules["machine"] = _Modules

from tocsin_device.outbox import Press  # noqa: E402
from tocsin_esp32 import boots, recovery  # noqa: E402
from tocsin_esp32.journal import Journal  # noqa: E402

next_boot = boots.next_boot
load = recovery.load
# What a boot takes into memory is bounded; here it must find all that is on flash.
recovery.MAX_OPEN = recovery.MAX_PENDING = 1000


def path_of(press):
    return "/journal/p-%d-%d" % (press.b, press.n)


class AcknowledgesBeforeFlush(Journal):
    """Planted: the press is said to be kept while its file is still open."""

    unflushed = None

    def keep(self, press):
        path = path_of(press)
        if not super().keep(press):
            return False
        with open(path, "rb") as file:
            body = file.read()
        os.remove(path)
        AcknowledgesBeforeFlush.unflushed = open(path, "wb")
        AcknowledgesBeforeFlush.unflushed.write(body)
        return True


class LeftoverStopsBoot(Journal):
    """Planted: a temporary file, and a start that does not expect to find one."""

    def keep(self, press):
        path = path_of(press)
        with open("/journal/new", "wb") as file:
            file.write(b"x")
        if not super().keep(press):
            return False
        os.rename("/journal/new", "/journal/old")
        os.remove("/journal/old")
        return os.stat(path) is not None


def leftover_unexpected(journal, boot):
    """Planted too: the start that goes with it."""
    if "journal" in os.listdir("/"):
        for name in os.listdir("/journal"):
            int(name.split("-")[1])
    return recovery.load(journal, boot)


def counter_removed_first():
    """Planted: the counter's file is removed, then written anew."""
    boot = boots._read_file() + 1
    try:
        os.remove("/boots")
    except OSError:
        pass
    with open("/boots", "w") as file:
        file.write(str(boot))
    return boot, True


if BUG == "acknowledges-before-flush":
    Journal = AcknowledgesBeforeFlush
elif BUG == "leftover-stops-boot":
    Journal = LeftoverStopsBoot
    load = leftover_unexpected
elif BUG == "counter-removed-first":
    next_boot = counter_removed_first


class World:
    """What must be true of the flash, as the people at the post know it."""

    def __init__(self):
        self.kept = {}  # (b, n) -> (name, held_ms, t, q, silent): acknowledged with light and sound
        self.maybe = {}  # begun, not acknowledged, or being removed: there or not
        self.marks = {}  # (b, n) -> (epoch, rank) that is written
        self.marking = {}  # (b, n) -> (epoch, rank) that may be
        self.boots = []  # every counter a boot worked with


def facts(press):
    return (press.name, press.held_ms, press.t, press.q, bool(press.silent))


def keep(journal, world, boot, n):
    press = Press(boot, n, 1000, 1767225600 + n, "ntp", "call", 40 + n, n % 2 == 0)
    world.maybe[(boot, n)] = facts(press)
    if journal.keep(press):
        del world.maybe[(boot, n)]
        world.kept[(boot, n)] = facts(press)
    return press


def mark(journal, world, press, epoch, rank):
    press.epoch, press.rank = epoch, rank
    world.marking[(press.b, press.n)] = (epoch, rank)
    if journal.mark(press):
        world.marks[(press.b, press.n)] = world.marking.pop((press.b, press.n))


def forget(journal, world, press):
    key = (press.b, press.n)
    world.maybe[key] = world.kept.pop(key)
    if journal.forget(press):
        del world.maybe[key]


def power_on(flash):
    """Mount and start as main.py does; anything it raises but a power cut is a refused boot."""
    disk = vfs.VfsLfs2(flash, readsize=UNIT, progsize=UNIT, lookahead=UNIT, mtime=True)
    vfs.mount(disk, "/")
    boot = next_boot()[0]
    journal = Journal(boot, "call")
    return boot, journal, load(journal, boot)[0]


def live(flash, world):
    """Days of a post: presses kept, stored, answered, closed, opened again, out of order; a boot each day.

    Long enough for littlefs to compact and erase its directory blocks several times.
    """
    for _ in range(DAYS):
        boot, journal, found = power_on(flash)
        world.boots.append(boot)
        first, second, third = [keep(journal, world, boot, n) for n in (1, 2, 3)]
        mark(journal, world, first, 1, 1)
        mark(journal, world, first, 1, 2)
        mark(journal, world, third, 1, 1)
        forget(journal, world, first)
        fourth = keep(journal, world, boot, 4)
        forget(journal, world, second)
        forget(journal, world, fourth)
        mark(journal, world, third, 2, 1)
        if found:
            forget(journal, world, found[0])
        keep(journal, world, boot, 5)
        vfs.umount("/")


def compare(found, world, boot):
    """Whatever is wrong with what this boot found, in words."""
    wrong = []
    by_key = {}
    for press in found:
        key = (press.b, press.n)
        if key in by_key:
            wrong.append("twice %s" % (key,))
        by_key[key] = press
    for key in world.kept:
        if key not in by_key:
            wrong.append("lost %s" % (key,))
        elif facts(by_key[key]) != world.kept[key]:
            wrong.append("changed %s %s" % (key, facts(by_key[key])))
        else:
            written = (by_key[key].epoch, by_key[key].rank)
            if written not in (world.marks.get(key, (0, 0)), world.marking.get(key)):
                wrong.append("mark %s %s" % (key, written))
    for key in by_key:
        if key not in world.kept and key not in world.maybe:
            wrong.append("ghost %s" % (key,))
    if boot <= max(world.boots):
        wrong.append("reused boot %d" % boot)
    return wrong


def leave():
    """After a cut: the dead file system is let go; its chip stays dead, so that no finaliser writes later."""
    try:
        vfs.umount("/")
    except (OSError, _flash.PowerCut):
        pass


def case(cut_at, tear, seed, second_cut):
    """One case; returns (what is wrong, whether the second cut fell)."""
    MEMORY[:] = TEMPLATE
    world = World()
    world.boots.append(0)
    _Nvs.stored = {}
    flash = _flash.Flash(MEMORY)
    flash.cut_at, flash.tear, flash.seed = cut_at, tear, seed
    try:
        live(flash, world)
        flash.dead = True
    except _flash.PowerCut:
        pass
    leave()
    fell = False
    try:
        if second_cut:
            flash = _flash.Flash(MEMORY)
            flash.cut_at, flash.tear, flash.seed = second_cut, tear, seed + 1
            try:
                world.boots.append(power_on(flash)[0])
                flash.dead = True
            except _flash.PowerCut:
                fell = True
            leave()
        flash = _flash.Flash(MEMORY)
        boot, journal, found = power_on(flash)
        wrong = compare(found, world, boot)
        # What is found now is what there is; and life goes on.
        world.kept = {(press.b, press.n): facts(press) for press in found}
        world.maybe = {}
        for press in found:
            world.marks[(press.b, press.n)] = (press.epoch, press.rank)
        world.boots.append(boot)
        keep(journal, world, boot, 1)
        flash.dead = True
        leave()
        flash = _flash.Flash(MEMORY)
        boot, journal, found = power_on(flash)
        wrong += compare(found, world, boot)
    except Exception as error:
        wrong = ["refused %s %s" % (type(error).__name__, error)]
    flash.dead = True
    leave()
    return wrong, fell


def main():
    vfs.VfsLfs2.mkfs(_flash.Flash(TEMPLATE), readsize=UNIT, progsize=UNIT, lookahead=UNIT)
    vfs.umount("/")
    MEMORY[:] = TEMPLATE
    flash = _flash.Flash(MEMORY)
    live(flash, World())
    operations, programs, erases = flash.operations, flash.programs, flash.erases
    flash.dead = True
    leave()
    cases = second_cuts = 0
    violations = []
    for tear in _flash.TEARS:
        for cut_at in range(1, operations + 2):
            second_cut = 0
            while len(violations) < 20:
                wrong, fell = case(cut_at, tear, cut_at * 7919, second_cut)
                cases += 1
                second_cuts += fell
                violations += ["%s at %d/%d: %s" % (tear, cut_at, second_cut, what) for what in wrong]
                # The recovering boot is cut at its every operation too, for each cut of the life.
                if second_cut and not fell:
                    break
                second_cut += 1
            gc.collect()
    found = {"operations": operations, "programs": programs, "erases": erases, "spoiled": flash.spoiled}
    found.update({"cases": cases, "second_cuts": second_cuts, "violations": violations})
    print(json.dumps(found))


main()
