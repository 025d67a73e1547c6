"""The workshop: copy a folder onto a board's flash. Arguments: flash file, its size, the folder, "format" or "keep".

Prints "<name> <size>" for each file. The files are listed by the host, one path a line, in `<folder>.list`.
"""

import sys

import _flash
import ffi
import uctypes
import vfs

FLASH, SIZE, SOURCE = sys.argv[1], int(sys.argv[2]), sys.argv[3]

libc = ffi.open("libc.so.6")
fd = libc.func("i", "open", "si")(FLASH, 2)
memory = uctypes.bytearray_at(libc.func("P", "mmap", "Pliiil")(0, SIZE, 3, 1, fd, 0), SIZE)
chip = _flash.Flash(memory)
unit = _flash.PROGRAM_UNIT
if sys.argv[4] == "format":
    vfs.VfsLfs2.mkfs(chip, readsize=unit, progsize=unit, lookahead=unit)
disk = vfs.VfsLfs2(chip, readsize=unit, progsize=unit, lookahead=unit, mtime=True)

with open(SOURCE + ".list") as names:
    for name in names:
        name = name.strip()
        made = ""
        for part in name.split("/")[:-1]:
            made = made + "/" + part
            try:
                disk.mkdir(made)
            except OSError:
                pass
        with open(SOURCE + "/" + name, "rb") as file:
            data = file.read()
        target = disk.open("/" + name, "wb")
        target.write(data)
        target.close()
        print(name, len(data))
