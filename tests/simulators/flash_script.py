"""Runs on MicroPython: the NOR rules of the flash, asserted one by one."""

# ruff: noqa: B007, B011, PT015

import _flash

memory = bytearray(b"\xff" * (4 * _flash.BLOCK))
chip = _flash.Flash(memory)
assert (chip.ioctl(4, 0), chip.ioctl(5, 0)) == (4, 4096)

chip.writeblocks(1, bytes([0b10101010] * 32), 64)
assert memory[4096 + 64 : 4096 + 96] == bytes([0b10101010] * 32)
chip.writeblocks(1, bytes([0b11001100] * 32), 64)
assert memory[4096 + 64 : 4096 + 96] == bytes([0b10001000] * 32), "a program clears bits and sets none"
assert chip.spoiled == 1
back = bytearray(32)
chip.readblocks(1, back, 64)
assert back == bytes([0b10001000] * 32)
chip.ioctl(6, 1)
assert memory == b"\xff" * len(memory), "an erase sets every bit of its block"
assert (chip.programs, chip.erases, chip.operations) == (2, 1, 3)

for block, size, offset in ((0, 32, 1), (0, 31, 0), (3, 64, 4064)):
    try:
        chip.writeblocks(block, bytes(size), offset)
        assert False, "not a program unit, or beyond the end"
    except OSError:
        pass

states = {}
for tear in _flash.TEARS:
    memory[:] = b"\xff" * len(memory)
    chip = _flash.Flash(memory)
    chip.cut_at, chip.tear = 2, tear
    chip.writeblocks(0, bytes(32), 0)
    for attempt in (1, 2):
        try:
            chip.writeblocks(0, bytes(64), 64)
            assert False, "the power was away"
        except _flash.PowerCut:
            pass
    assert memory[:32] == bytes(32)
    states[tear] = bytes(memory[64:128])
    assert memory[128:] == b"\xff" * (len(memory) - 128)
    chip = _flash.Flash(memory)
    chip.readblocks(0, back, 0)
assert states["nothing"] == b"\xff" * 64
assert states["half"] == bytes(32) + b"\xff" * 32
assert states["garbage"] not in (b"\xff" * 64, bytes(64))
print("passed")
