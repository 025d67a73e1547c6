"""`network` as ESP32 has it: the station interface, its states and its faults. The host is the access point."""

import _board

STA_IF = 0
AP_IF = 1
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202
STAT_BEACON_TIMEOUT = 200
STAT_ASSOC_FAIL = 203
STAT_HANDSHAKE_TIMEOUT = 204

up = True  # the access point is there
flows = True  # packets pass; False while `up` is the cable that says connected and carries nothing


class WLAN:
    """One object for the station, whatever it is built from, as on the chip."""

    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2
    IF_STA = 0
    IF_AP = 1
    _station = None

    def __new__(cls, interface=0):
        if interface != STA_IF:
            raise ValueError("only the station interface is there")
        if cls._station is None:
            cls._station = object.__new__(cls)
            cls._station._active = False
            cls._station._status = STAT_IDLE
            cls._station._wants = False
            cls._station.due_us = None
            _board.add_clock(cls._station)
        return cls._station

    def __init__(self, interface=0):
        pass

    def active(self, on=None):
        if on is not None:
            self._active = bool(on)
            if not on:
                self._wants = False
                self._become(STAT_IDLE)
        return self._active

    def connect(self, ssid=None, key=None, *, bssid=None):
        if not self._active:
            raise OSError("Wifi Internal State Error")
        if self._status == STAT_CONNECTING:
            raise OSError("Wifi Internal Error")
        self._wants = True
        self._become(STAT_CONNECTING)
        self._join()

    def disconnect(self):
        self._wants = False
        self._become(STAT_IDLE)

    def isconnected(self):
        return self._status == STAT_GOT_IP

    def status(self, what=None):
        if what is None:
            return self._status
        if what == "rssi":
            return -58
        raise ValueError("unknown status param")

    def ifconfig(self, settings=None):
        if settings is not None:
            return None
        address = "192.0.2.17" if self.isconnected() else "0.0.0.0"
        return (address, "255.255.255.0", "192.0.2.1", "192.0.2.1")

    def ipconfig(self, *names, **_settings):
        return (self.ifconfig()[0], "255.255.255.0") if names else None

    def config(self, *names, **_settings):
        if names:
            known = {"mac": bytes.fromhex(_board.SETTINGS["unique_id"]), "pm": 0, "reconnects": -1, "channel": 6}
            if names[0] not in known:
                raise ValueError("unknown config param")
            return known[names[0]]
        return None

    def _join(self):
        self.due_us = _board.ticks_us() + _board.SETTINGS["join_ms"] * 1000 if up else None
        _board.arm()

    def _become(self, status):
        if status != STAT_CONNECTING:
            self.due_us = None
        if status != self._status:
            self._status = status
            _board.report("wifi", status)
            _settle()

    def tick(self, _now_us):
        self._become(STAT_GOT_IP)

    def access_point(self, present):
        # The chip tries again by itself for ever: its `reconnects` is -1 unless set.
        if not present and self._status in (STAT_GOT_IP, STAT_CONNECTING):
            self._become(STAT_BEACON_TIMEOUT)
        elif present and self._wants and self._status != STAT_GOT_IP:
            self._become(STAT_CONNECTING)
            self._join()


carries = False  # a packet sent now would travel


def _settle():
    global carries
    carries = flows and WLAN(STA_IF)._status == STAT_GOT_IP


def _set_up():
    global up
    up = _board.number() == 1
    WLAN(STA_IF).access_point(up)


def _set_flows():
    global flows
    flows = _board.number() == 1
    _settle()


_board.on_host(b"wifi", _set_up)
_board.on_host(b"flow", _set_flows)


def hostname(_name=None):
    return "esp32"


def country(_code=None):
    return "XX"
