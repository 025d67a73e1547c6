"""The story of one press, end to end: contact, journal, broker, gateway, backend, people, answer, lamp."""

import random
import time
from collections import Counter

import pytest
from chain_system import SITE, System
from tocsin_sim.inbox import message_of
from tocsin_sim.indicator import ANSWERED, IN_SERVICE, SENT

pytestmark = pytest.mark.chain


def until(true, within_s: float = 10.0):
    """What `true` returned, once it is true."""
    deadline = time.monotonic() + within_s
    while not (found := true()):
        assert time.monotonic() < deadline, f"not true within {within_s} s"
        time.sleep(0.02)
    return found


@pytest.fixture(autouse=True)
def _nothing_open(system: System):
    yield
    for alert in system.supervisor.get("/api/v1/alerts?status=open")["alerts"]:
        system.supervisor.post(f"/api/v1/alerts/{alert['id']}/close", {"epoch": alert["epoch"], "reason": "test"})


def test_a_press_reaches_people_and_the_answer_lights_the_lamp(system: System):
    post, stack, supervisor = system.posts[0], system.stack, system.supervisor
    assert post.board.wait_for_state(IN_SERVICE, 10), "the first beat was answered by the backend"

    press = post.press(random.Random(1))
    assert press is not None
    assert press.shown_ns is not None
    assert post.board.wait_for_state(SENT, 5)
    alert = system.alert_of(post.device, press.b, press.n)
    assert alert is not None

    # Exactly these people, once each.
    webhook = system.webhooks.wait(lambda message: message.content["alert"]["id"] == alert["id"])
    mail = system.mails.wait(lambda message: alert["id"] in message_of(message.body).get_content())
    assert (webhook.target, mail.target) == ("veille", "veille@exemple.test")
    assert webhook.content["kind"] == "notify"
    assert len(system.webhooks.messages) == len(system.mails.messages) == 1

    rows = supervisor.get("/api/v1/alerts?status=open")["alerts"]
    assert [(row["id"], row["site"], row["device"], row["presses"]) for row in rows] == [
        (alert["id"], SITE, post.device, 1)
    ]

    asked_ms = time.time_ns() // 1_000_000
    supervisor.post(f"/api/v1/alerts/{alert['id']}/answer", {"epoch": 1})
    assert post.board.wait_for_state(ANSWERED, 5)
    until(lambda: system.alert_of(post.device, press.b, press.n)["lamp"] == "answered")
    supervisor.post(f"/api/v1/alerts/{alert['id']}/close", {"epoch": alert["epoch"], "reason": "test"})
    assert post.board.wait_for_state(IN_SERVICE, 10)
    until(lambda: system.alert_of(post.device, press.b, press.n)["lamp"] == "closed")

    # Every hop is in the ledger, and none goes back.
    detail = supervisor.get(f"/api/v1/alerts/{alert['id']}")
    [ledger] = detail["ledger"]
    assert (ledger["b"], ledger["n"]) == (press.b, press.n)
    ms = {hop["hop"]: hop["ms"] for hop in ledger["hops"]}
    way = ["contact", "published", "received", "held", "stored"]
    assert set(ms) == {*way, "handed", "lamp_sent", "answered", "lamp_answered"}
    assert [ms[hop] for hop in way] == sorted(ms[hop] for hop in way)
    assert ms["stored"] <= ms["handed"] <= ms["answered"] <= ms["lamp_answered"]
    assert ms["stored"] <= ms["lamp_sent"] <= ms["answered"]
    assert abs(ledger["contact_ms"] - press.contact_ns // 1_000_000) < 200, "no clock was needed to know the contact"
    assert ledger["contact_ms"] + ms["answered"] >= asked_ms

    assert detail["status"] == "closed"
    assert detail["answered_by"] == "Veille"
    whats = Counter(entry["what"] for entry in detail["timeline"])
    assert whats == {"raised": 1, "step": 1, "handed": 3, "answered": 1, "closed": 1, "lamp": 3}
    stack.tocsin("verify")


def test_a_bouncing_press_is_one_alert_and_a_second_press_joins_it(system: System):
    post = system.posts[0]
    dice = random.Random(2)
    alerts = set()
    for _ in range(3):
        press = post.press(dice)
        assert press is not None
        until(lambda press=press: system.alert_of(post.device, press.b, press.n))
        alerts.add(system.alert_of(post.device, press.b, press.n)["id"])
    assert post.twice == []
    assert len(alerts) == 1
    [alert] = alerts
    detail = system.supervisor.get(f"/api/v1/alerts/{alert}")
    assert detail["presses"] == 3
    assert [signal["kind"] for signal in detail["signals"]].count("press") == 3
    system.supervisor.post(f"/api/v1/alerts/{alert}/close", {"epoch": detail["epoch"], "reason": "test"})
    assert post.board.wait_for_state(IN_SERVICE, 10)


def test_a_press_with_no_backend_says_so_and_comes_through_later(system: System):
    """P1, P3: after 20 s without an ack the post says that it was not delivered; it keeps trying."""
    post, stack = system.posts[0], system.stack
    stack.backend.kill()
    press = post.press(random.Random(3))
    assert press is not None
    assert post.board.wait_for_state("not delivered", 25)
    stack.backend.start()
    assert post.board.wait_for_state(SENT, 15)
    alert = system.alert_of(post.device, press.b, press.n)
    assert alert is not None
    assert alert["raised_ms"] * 1_000_000 - press.contact_ns > 19e9, "late, and known to be late"
    system.supervisor.post(f"/api/v1/alerts/{alert['id']}/close", {"epoch": alert["epoch"], "reason": "test"})
    assert post.board.wait_for_state(IN_SERVICE, 10)
