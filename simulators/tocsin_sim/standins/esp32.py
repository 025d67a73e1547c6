"""`esp32` as the chip has it: non-volatile storage and the heap report."""

import gc
import json

import _board

HEAP_DATA = 4
HEAP_EXEC = 1
_NOT_FOUND = -0x1102
_FILE = "nvs.json"


def _load():
    try:
        file = _board.HOST.open(_FILE, "r")
    except OSError:
        return {}
    try:
        return json.load(file)
    finally:
        file.close()


class NVS:
    """Named integers and blobs kept apart from the file system. What is not committed is lost with the next reset."""

    def __init__(self, namespace):
        if len(namespace) > 15:
            raise OSError(-0x1109, "ESP_ERR_NVS_KEY_TOO_LONG")
        self._space = namespace
        self._pending = {}

    def set_i32(self, key, value):
        if not -0x80000000 <= value <= 0x7FFFFFFF:
            raise OverflowError("overflow converting long int to machine word")
        self._set("i:" + key, value)

    def get_i32(self, key):
        return self._get("i:" + key)

    def set_blob(self, key, data):
        self._set("b:" + key, bytes(data).hex())

    def get_blob(self, key, buffer):
        data = bytes.fromhex(self._get("b:" + key))
        if len(data) > len(buffer):
            raise OSError(-0x110C, "ESP_ERR_NVS_INVALID_LENGTH")
        buffer[: len(data)] = data
        return len(data)

    def erase_key(self, key):
        for kind in ("i:", "b:"):
            try:
                self._get(kind + key)
            except OSError:
                continue
            self._set(kind + key, None)
            return
        raise OSError(_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")

    def commit(self):
        everything = _load()
        space = everything.setdefault(self._space, {})
        for key in self._pending:
            if self._pending[key] is None:
                space.pop(key, None)
            else:
                space[key] = self._pending[key]
        self._pending = {}
        _board.mask()
        file = _board.HOST.open("nvs.new", "w")
        json.dump(everything, file)
        file.close()
        _board.HOST.rename("nvs.new", _FILE)  # the chip's log of entries is all or nothing too
        _board.unmask()

    def _set(self, key, value):
        if len(key) > 17:
            raise OSError(-0x1109, "ESP_ERR_NVS_KEY_TOO_LONG")
        self._pending[key] = value

    def _get(self, key):
        value = self._pending[key] if key in self._pending else _load().get(self._space, {}).get(key)
        if value is None:
            raise OSError(_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        return value


def idf_heap_info(_capabilities):
    """[(total, free, largest free block, least free ever)]: one region, MicroPython's own heap."""
    free = gc.mem_free()
    return [(free + gc.mem_alloc(), free, free, free)]


def mcu_temperature():
    return 41
