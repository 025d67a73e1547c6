"""A NOR flash chip as littlefs sees it: an erase sets every bit of a block, a program only clears bits; both counted.

It sits over any bytearray: the board's file mapped in memory, or plain RAM in the every-cut test.
"""

import uctypes

BLOCK = 4096
PROGRAM_UNIT = 32  # what ESP32's VfsLfs2 uses: readsize = progsize = lookahead = 32
_ERASED = b"\xff" * 256

# How a program or erase that the power cut falls on is left; see Flash.cut_at.
TEARS = ("nothing", "half", "garbage")


class PowerCut(BaseException):
    """The power went away during a flash operation."""


class Flash:
    """The block device protocol of MicroPython (extended form), with NOR rules.

    cut_at: the number of the flash operation (programs and erases together, from 1) that the power cut falls on; `tear`
    says how it is left: "nothing" of it done, its first "half", or "garbage": some of the bits it was to change.
    After a cut every operation raises PowerCut until `power_on`.
    """

    def __init__(self, memory, meters=None, on_cut=None):
        self.memory = memoryview(memory)
        self.blocks = len(memory) // BLOCK
        self.programs = 0
        self.erases = 0
        self.operations = 0
        self.spoiled = 0  # programs that asked to set a bit: a NOR rule broken by the file system above
        self.cut_at = 0
        self.tear = "nothing"
        self.seed = 1
        self.dead = False
        self._on_cut = on_cut
        self._meters = None
        if meters is not None:
            shape = {"programs": 0 | uctypes.UINT32, "erases": 4 | uctypes.UINT32}
            shape["block_erases"] = (8 | uctypes.ARRAY, self.blocks | uctypes.UINT32)
            self._meters = uctypes.struct(uctypes.addressof(meters), shape, uctypes.NATIVE)

    def power_on(self):
        self.dead = False
        self.cut_at = 0

    def readblocks(self, block, buffer, offset=0):
        if self.dead:
            raise PowerCut
        start = block * BLOCK + offset
        buffer[:] = self.memory[start : start + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        start = block * BLOCK + offset
        size = len(buffer)
        if offset % PROGRAM_UNIT or size % PROGRAM_UNIT or start + size > len(self.memory):
            raise OSError(22)
        before = self.memory[start : start + size]
        blank = all(before[at : at + 256] == _ERASED[: min(256, size - at)] for at in range(0, size, 256))
        if blank and not self._falls_here():
            before[:] = buffer
        else:
            after = bytes(buffer) if blank else self._cleared(before, buffer)
            if self._falls_here():
                self._die(before, after)
            before[:] = after
        self.operations += 1
        self.programs += 1
        if self._meters:
            self._meters.programs += 1

    def erase(self, block):
        start = block * BLOCK
        before = self.memory[start : start + BLOCK]
        if self._falls_here():
            self._die(before, b"\xff" * BLOCK)
        for at in range(0, BLOCK, 256):
            before[at : at + 256] = _ERASED
        self.operations += 1
        self.erases += 1
        if self._meters:
            self._meters.erases += 1
            self._meters.block_erases[block] += 1

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.blocks
        if operation == 5:
            return BLOCK
        if operation == 6:
            self.erase(argument)
        return 0

    def _cleared(self, before, buffer):
        after = bytearray(len(buffer))
        for at in range(len(buffer)):
            after[at] = before[at] & buffer[at]
        if after != buffer:
            self.spoiled += 1
        return after

    def _falls_here(self):
        if self.dead:
            raise PowerCut
        return self.operations + 1 == self.cut_at

    def _die(self, before, after):
        self.dead = True
        if self.tear == "half":
            half = len(after) // 2
            before[:half] = after[:half]
        elif self.tear == "garbage":
            for at in range(len(after)):
                self.seed = (self.seed * 1103515245 + 12345) & 0x7FFFFFFF
                changing = before[at] ^ after[at]
                before[at] = before[at] ^ (changing & (self.seed >> 12))
        if self._on_cut:
            self._on_cut()
        raise PowerCut


class BoardFlash(Flash):
    """The board's own flash: no soft interrupt runs while the chip is busy, as on the ESP32."""

    def __init__(self, memory, meters, on_cut, mask, unmask):
        super().__init__(memory, meters, on_cut)
        self._mask = mask
        self._unmask = unmask

    def readblocks(self, block, buffer, offset=0):
        self._mask()
        try:
            super().readblocks(block, buffer, offset)
        finally:
            self._unmask()

    def writeblocks(self, block, buffer, offset=0):
        self._mask()
        try:
            super().writeblocks(block, buffer, offset)
        finally:
            self._unmask()

    def erase(self, block):
        self._mask()
        try:
            super().erase(block)
        finally:
            self._unmask()
