"""The post's own test press, by the whole firmware on the virtual board: there, back, confirmed; no lamp, no flash."""

import json
import time
from pathlib import Path
from typing import Any

from lone_broker import LoneBroker, credentials
from tocsin_sim.board import FIRMWARE, Board
from tocsin_wire import messages

PERIOD_MS = 1_500


def probing_profile() -> bytes:
    profile = json.loads((FIRMWARE / "profiles" / "call_post.json").read_text())
    return json.dumps(profile | {"probe_period_ms": PERIOD_MS}).encode()


def said(broker: LoneBroker, channel: str, kind: str) -> list[dict[str, Any]]:
    """Each message once, however often it was sent."""
    found = {}
    for topic, message in list(broker.arrived):
        if topic.endswith("/" + channel) and message["k"] == kind:
            found[message["b"], message["n"]] = message
    return list(found.values())


def until(true: Any, timeout_s: float = 20) -> bool:
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_probes_go_round_and_a_press_between_them_is_a_press(tmp_path: Path) -> None:
    extra = {"profiles/call_post.json": probing_profile()}
    with (
        LoneBroker() as broker,
        Board.create(tmp_path / "post", credentials("bau-1", broker.port), extra_files=extra) as post,
    ):
        post.power_on()
        assert until(lambda: len(said(broker, "alert", "probe")) >= 2), post.console()
        first = said(broker, "alert", "probe")[0]
        re = messages.signal_id(first["b"], first["n"])
        assert until(lambda: any(event["re"] == re for event in said(broker, "event", "lamp")))
        broker.ack("bau-1", re=re, r="closed", e=1)
        assert until(lambda: {"stored", "closed"} <= {e["r"] for e in said(broker, "event", "lamp") if e["re"] == re})
        assert post.state == "in service", "no probe moves the lamp"
        post.press(80, "new")
        assert until(lambda: said(broker, "alert", "press")), post.console()
        assert post.wait_for_state("sent", 5)
        before = len(said(broker, "alert", "probe"))
        assert until(lambda: len(said(broker, "alert", "probe")) > before), "an open alert holds no probe back"
        assert post.state == "sent", "and no probe moves its lamp"
        assert "MemoryError" not in post.console()
        assert post.starts == 1
