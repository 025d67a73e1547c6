"""A fleet that beats: `beat_source.py CREDENTIALS.json RATE` publishes signed beats, RATE a second, until killed.

One connection a device, as in the field; each device beats in turn, evenly spread.
"""

import json
import sys
import time
from pathlib import Path

from tocsin_sim.raw_mqtt import RawClient
from tocsin_wire import messages, signing


def beat_of(i: int, t: int) -> dict[str, object]:
    """The `i`th beat of a post's first session, at epoch second `t`."""
    return {
        "v": 1, "s": "1.1", "i": i, "b": 1, "n": 0, "up": 60, "spool": 0, "drop": 0, "rssi": -60, "mv": 5000, "lag": 3,
        "free": 50_000, "blk": 40_000, "rej": 0, "lines": {"call": "idle"}, "t": t, "q": "gw",
    }  # fmt: skip


def main() -> None:
    fleet = json.loads(Path(sys.argv[1]).read_text())
    period_s = 1 / float(sys.argv[2])
    clients = []
    for device in fleet:
        broker = device["broker"]
        clients.append(RawClient(broker["port"], broker["user"], broker["user"], broker["password"]))
    print("ready", flush=True)
    number, due = 0, time.monotonic()
    while True:
        device, client = fleet[number % len(fleet)], clients[number % len(fleet)]
        beat = beat_of(number // len(fleet) + 1, int(time.time()))
        topic = device["topics"]["beat"]
        key = signing.key_from_text(device["key"])
        client.send_publish(topic, messages.seal(topic, beat, device["kid"], key), qos=0)
        number += 1
        due += period_s
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
