"""A test of the tests: systems with a bug planted in one part, which the chain's checks must find."""

import shutil
import sys
import time
from pathlib import Path

import pytest
from chain_campaign import Campaign
from chain_system import SITE, System
from stranger import Stranger
from tocsin_sim.board import FIRMWARE
from tocsin_sim.stack import Stack

pytestmark = [pytest.mark.chain, pytest.mark.timeout(300)]
SHOTS = 20
STORED_WITHIN_S = 15.0


def lights_on_puback(folder: Path) -> Path:
    """The firmware, changed to say *sent* when the broker acknowledges the publish: the oldest lie of call posts."""
    firmware = folder / "firmware"
    shutil.copytree(FIRMWARE, firmware)
    app = firmware / "lib" / "tocsin_esp32" / "app.py"
    source = app.read_text()
    honest = "        client.check()\n"
    assert source.count(honest) == 1
    planted = """        waiting = len(client.in_flight)
        client.check()
        if len(client.in_flight) < waiting:
            for press in device.outbox.presses:
                if not press.rank:
                    press.rank = 1
                    self._do(((PLAY, "rising"), (MARK, press)))
"""
    app.write_text(source.replace(honest, planted))
    return firmware


def test_a_device_that_lights_on_puback_is_caught_lying(tmp_path: Path):
    """With the gateway killed again and again, the broker answers long before the backend has the press."""
    campaign = Campaign(tmp_path, 1, boards=2, firmware=lights_on_puback(tmp_path), targets={"gateway": 1})
    try:
        campaign.start()
        campaign.run(lambda run: run.accepted >= 12)
        verdict = campaign.verdict()
        assert verdict.lies or verdict.lost, "a device that lights on PUBACK went unnoticed"
    finally:
        campaign.close()


def missing_after_kill(folder: Path, prepare=None) -> int:
    """How many of SHOTS presses, each sent once and acknowledged by the broker, never reach the backend.

    They are sent while the backend is away, and the gateway is killed before it comes back: what the gateway took from
    the broker is on its disk or nowhere.
    """
    system = System(folder, boards=0, prepare=prepare)
    try:
        credentials = system.stack.add_device("un-coup", SITE)
        system.start()
        system.stack.backend.kill()
        device = Stranger(credentials).ready()
        for n in range(1, SHOTS + 1):
            device.publish(device.topic("alert"), device.press(n))
        system.stack.gateway.kill()
        system.stack.backend.start()
        system.stack.gateway.start()
        deadline = time.monotonic() + STORED_WITHIN_S
        stored = 0
        while stored < SHOTS and time.monotonic() < deadline:
            stored = system.stack.query("SELECT count(*) AS n FROM signal WHERE kind = 'press'")[0]["n"]
            time.sleep(0.1)
        device.close()
        return SHOTS - int(stored)
    finally:
        system.close()


def test_what_the_broker_acknowledged_survives_a_killed_gateway(tmp_path: Path):
    assert missing_after_kill(tmp_path) == 0


def test_a_gateway_that_acknowledges_before_it_stores_is_caught_losing(tmp_path: Path):
    def plant(stack: Stack) -> None:
        stack.gateway.argv = [sys.executable, str(Path(__file__).with_name("bad_gateway.py"))]

    assert missing_after_kill(tmp_path, plant) > 0
