"""Power-on: stand-ins in place, flash mounted at /, then boot.py and main.py from it, as ESP32's own start does."""

import gc
import select
import socket
import sys
import time

import _board
import _flash
import esp32
import machine
import network
import vfs

_modules = {"esp32": esp32, "machine": machine, "network": network, "select": select, "socket": socket, "time": time}
for _name in _modules:
    sys.modules[_name] = _modules[_name]
    sys.modules["u" + _name] = _modules[_name]


def _cut():
    _board.report("halt", "cut")
    _board.halt(_board.EXIT_POWER_CUT)


_memory = _board.map_file("flash.bin", _board.SETTINGS["flash_bytes"])
_meters = _board.map_file("flash.meters", 8 + 4 * (_board.SETTINGS["flash_bytes"] // _flash.BLOCK))
_chip = _flash.BoardFlash(_memory, _meters, _cut, _board.mask, _board.unmask)
_unit = _flash.PROGRAM_UNIT
_disk = vfs.VfsLfs2(_chip, readsize=_unit, progsize=_unit, lookahead=_unit, mtime=True)
vfs.umount("/")
vfs.mount(_disk, "/")
sys.path[:] = ["", ".frozen", "/lib"]
sys.argv[:] = []
_board.begin()
gc.collect()
_taken = gc.mem_alloc()
# The stand-ins lie all over the heap. Ballast of the smallest objects fills the holes between them, first hole first,
# until the firmware has its due in one piece at the end, as on a chip that has just started.
_ballast = None
while gc.mem_free() > _board.SETTINGS["free_bytes"]:
    for _ in range(16):
        _ballast = (_ballast,)
_board.report("up", _board.SETTINGS["reset_cause"], gc.mem_free(), _taken)
_chip.cut_at = _board.SETTINGS["cut_at"]
_chip.tear = _board.SETTINGS["tear"]


def _run(name):
    """One start-up script; what it raises is printed, as the chip prints it, and the next one is run."""
    try:
        open(name).close()
    except OSError:
        return
    try:
        execfile(name, {"__name__": "__main__"})  # noqa: F821
    except Exception as error:
        sys.print_exception(error)
        _board.report("raised", name, type(error).__name__)


_run("boot.py")
_run("main.py")
_board.report("end")
# A real chip now waits at its prompt, interrupts and watchdog alive.
while True:
    time.sleep(3600)
