"""Which boot this is, and why it happened."""

import binascii
import os

import machine
from esp32 import NVS

from .storage import MAGIC

COUNTER = "/boots"  # decimal, below 128 bytes: littlefs replaces it whole or not at all
_CAUSES = (
    ("PWRON_RESET", "power"),
    ("WDT_RESET", "watchdog"),
    ("SOFT_RESET", "soft"),
    ("HARD_RESET", "reset"),
    ("DEEPSLEEP_RESET", "reset"),
    ("BROWNOUT_RESET", "brownout"),  # not on every chip: ESP32 says power for it
)


def next_boot(floor: int = 0) -> "tuple[int, bool]":
    """This boot's counter, above any used before and at least `floor`, and whether it could be written somewhere.

    It is kept in a file and in NVS and the larger wins: a lost file system or a lost NVS does not bring old numbers
    back; the floor comes with the credentials, for a board that replaces another. If neither can be written, the step
    is drawn at random, because the same (boot, n) twice would make a press look like a duplicate and lose it.
    """
    nvs = NVS("tocsin")
    boot = max(_read_file(), _read_nvs(nvs), floor - 1) + 1
    written = False
    try:
        with open(COUNTER, "w") as file:
            file.write(str(boot))
        written = _read_file() == boot
    except OSError:
        pass
    try:
        nvs.set_i32("boot", boot)
        nvs.commit()
        written = True
    except OSError:
        pass
    if not written:
        boot += int.from_bytes(os.urandom(2), "big")
    return boot, written


def _read_file() -> int:
    try:
        with open(COUNTER) as file:
            return int(file.read(12))
    except (OSError, ValueError):
        return 0


def _read_nvs(nvs: NVS) -> int:
    try:
        return nvs.get_i32("boot")
    except OSError:
        return 0


def why_this_boot() -> "tuple[str, str]":
    """Why this boot happened (power, reset, watchdog, brownout, soft, crash, unknown) and the word left, if any.

    A cold start leaves garbage in RTC memory: without magic and CRC it is nothing.
    """
    memory = machine.RTC().memory()
    machine.RTC().memory(b"")
    body = memory[8:]
    if memory[:4] == MAGIC and int.from_bytes(memory[4:8], "big") == binascii.crc32(body):
        try:
            return "crash", body.decode()
        except ValueError:
            return "crash", ""
    cause = machine.reset_cause()
    for name, why in _CAUSES:
        if getattr(machine, name, None) == cause:
            return why, ""
    return "unknown", ""
