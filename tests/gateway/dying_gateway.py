"""The real gateway, killed (-9) by itself at one point: `dying_gateway.py POINT COUNT` dies there the COUNTth time."""

import os
import signal
import sys
import time

from tocsin_gateway import cli
from tocsin_gateway.connection import Connection
from tocsin_gateway.intake import Intake
from tocsin_gateway.mqtt_link import Link
from tocsin_gateway.spool import Writer

FLUSH_S = 0.05  # the link's thread sends a PUBACK soon after it was asked to


def _always(*_):
    return True


# point: (class, method, before or after, whether this call counts)
POINTS = {
    "before-commit": (Writer, "apply", "before", lambda _, change, now_ms: bool(change.arrived)),
    "after-commit": (Writer, "apply", "after", lambda _, change, now_ms: bool(change.arrived)),
    "before-puback": (Link, "puback", "before", _always),
    "after-puback": (Link, "puback", "after", _always),
    "before-post": (Connection, "post", "before", lambda _, path, body, within_ms: path.endswith("/envelopes")),
    "after-post": (Connection, "post", "after", lambda _, path, body, within_ms: path.endswith("/envelopes")),
    "after-settle": (Intake, "settle", "after", _always),
}


def arm(point, count):
    owner, name, when, counts = POINTS[point]
    method = getattr(owner, name)
    left = count

    def die():
        if point == "after-puback":
            time.sleep(FLUSH_S)
        os.kill(os.getpid(), signal.SIGKILL)

    def armed(*args, **options):
        nonlocal left
        left -= counts(*args)
        if left < 1 and when == "before":
            die()
        result = method(*args, **options)
        if left < 1:
            die()
        return result

    setattr(owner, name, armed)


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.exit(cli.main([]))
