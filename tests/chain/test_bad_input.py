"""What goes wrong around the chain: a full disk at the gateway, a webhook that nobody answers. Nothing is lost."""

import contextlib
import ctypes
import json
import os
import random
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from chain_system import LOGIN, System
from stranger import Stranger
from tocsin_backend.enrolment import Contact, SiteDetails
from tocsin_sim.indicator import SENDING, SENT
from tocsin_sim.stack import free_port

pytestmark = [pytest.mark.chain, pytest.mark.timeout(300)]
DISK_MB = 16
SPOOL_FREE = {"TOCSIN_GATEWAY_SPOOL_FREE_MB": "1"}
MNT_DETACH = 2


def until(true, within_s: float = 15.0):
    """What `true` returned, once it is true."""
    deadline = time.monotonic() + within_s
    while not (found := true()):
        assert time.monotonic() < deadline, f"not true within {within_s} s"
        time.sleep(0.05)
    return found


def gateway_faults(system: System) -> dict:
    """The faults on the gateway's status page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{system.stack.ports.gateway_status}/healthz", timeout=5) as page:
            return json.loads(page.read())["faults"]
    except urllib.error.HTTPError as error:
        return json.loads(error.read())["faults"]


@pytest.fixture
def small_disk(tmp_path: Path):
    """A disk of DISK_MB for the gateway's spool. Needs to be allowed to mount."""
    place = tmp_path / "system" / "gateway" / "spool"
    place.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root: sudo make test ARGS=tests/chain")
    yield place
    ctypes.CDLL(None).umount2(os.fsencode(place), MNT_DETACH)


def test_a_full_disk_at_the_gateway_is_said_and_loses_nothing(tmp_path: Path, small_disk: Path):
    """Fault matrix 14: no *sent* without the backend's word, a visible fault, and it heals without a restart."""
    system = System(tmp_path / "system", prepare=lambda stack: stack.gateway.environment.update(SPOOL_FREE))
    try:
        system.start()
        post = system.posts[0]
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as out, contextlib.suppress(OSError):
            while True:
                out.write(bytes(4096))
        # The backend is away too: a press can be kept nowhere but at the post, and the post says so.
        system.stack.backend.kill()
        press = post.press(random.Random(1))
        assert press is not None
        assert post.board.wait_for_state(SENDING, 5)
        until(lambda: "storage-failed" in gateway_faults(system))
        assert not post.board.wait_for_state(SENT, 3)
        assert system.stack.gateway.running
        filler.unlink()
        system.stack.backend.start()
        assert post.board.wait_for_state(SENT, 30)
        assert system.alert_of(post.device, press.b, press.n) is not None
        until(lambda: not gateway_faults(system), 30)
    finally:
        system.close()


TO_A_DEAD_WEBHOOK = """
id = "{name}"
title = "Essai"
[[step]]
delay_s = {delay_s}
targets = [{{ person = "sourd", channels = ["webhook"] }}]
[[step]]
delay_s = 600
targets = [{{ person = "veille", channels = ["email"] }}]
"""


def test_an_unreachable_webhook_stops_neither_the_alert_nor_the_next_step(system: System):
    """The policy goes on at its time while the dead webhook is tried again; the alert says what failed."""

    def enrol(desk) -> None:
        address = f"http://127.0.0.1:{free_port()}/personne"  # nobody listens there
        contacts = [Contact("webhook", address)]
        desk.add_person(system.stack.org, "sourd", "Sourd", "observer", "une-autre-phrase", "fr", contacts)
        desk.import_policy(system.stack.org, TO_A_DEAD_WEBHOOK.format(name="sourd", delay_s=5), "essai")
        desk.add_site(system.stack.org, "sourd", SiteDetails(name="Sourd", policy="sourd"))

    system.stack.desk(enrol)
    device = Stranger(system.stack.add_device("sourd-1", "sourd")).ready()
    ack = device.send_until_acked(1)
    assert ack["r"] == "stored"
    raised_ms = system.alert_of("sourd-1", 1, 1)["raised_ms"]
    mail = system.mails.wait(lambda message: message.target.startswith(LOGIN), 15)
    assert 4_900 <= mail.at_ms - raised_ms <= 7_000, "the next step left at its time"
    dispatches = system.supervisor.get(f"/api/v1/alerts/{ack['al']}")["dispatches"]
    [dead] = [row for row in dispatches if row["channel"] == "webhook" and row["kind"] == "notify"]
    assert dead["status"] in ("pending", "leased", "failed")
    assert "refused" in (dead["error"] or "").lower()
    assert system.alert_of("sourd-1", 1, 1)["status"] == "raised"
    device.close()


def test_a_webhook_that_refuses_for_good_makes_the_next_step_leave_now(system: System):
    """ENGINE.md: all messages of a step failed for good, next step now."""

    def enrol(desk) -> None:
        policy = TO_A_DEAD_WEBHOOK.format(name="non", delay_s=600).replace("sourd", LOGIN)
        desk.import_policy(system.stack.org, policy, "essai")
        desk.add_site(system.stack.org, "non", SiteDetails(name="Non", policy="non"))

    system.stack.desk(enrol)
    device = Stranger(system.stack.add_device("non-1", "non")).ready()
    mails = len(system.mails.messages)
    system.webhooks.status = 410
    try:
        ack = device.send_until_acked(1)
        until(lambda: len(system.mails.messages) > mails, 10)
    finally:
        system.webhooks.status = 200
    alert = system.alert_of("non-1", 1, 1)
    assert system.mails.messages[-1].at_ms - alert["raised_ms"] < 5_000
    whats = [entry["what"] for entry in system.supervisor.get(f"/api/v1/alerts/{ack['al']}")["timeline"]]
    assert "step-undeliverable" in whats
    device.close()
