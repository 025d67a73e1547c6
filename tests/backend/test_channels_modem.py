"""Short messages through a gateway's modem: the row that goes down, the word that comes back, and silence."""

import json
import threading
import time
from collections.abc import Callable

import pytest
from backend_rig import ORG, Rig, steps, who
from tocsin_backend.answering import Answering
from tocsin_backend.channels import Outgoing
from tocsin_backend.channels.sms import Sms
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.domain.notices import Message
from tocsin_backend.domain.replies import Replies
from tocsin_backend.engine import Sender
from tocsin_backend.modems import Modems
from tocsin_backend.store import downlink

PHONE = "+33612345678"


def outgoing(identity: str = "d-1", org: str = ORG) -> Outgoing:
    return Outgoing(identity, "a-1", "sms", PHONE, "", 0, Message("Appel", "Appel\nété", {}), org)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def rows(rig: Rig) -> list[dict]:
    with rig.database.read() as conn:
        return [json.loads(each.frame) for each in downlink.after(conn, ORG, "gw-1", 0)]


class Try:
    """One message under way in a thread of its own."""

    def __init__(self, channel: Sms, message: Outgoing) -> None:
        self.outcome: Outcome | None = None
        self.thread = threading.Thread(target=self._run, args=(channel, message))
        self.thread.start()

    def _run(self, channel: Sms, message: Outgoing) -> None:
        self.outcome = channel.send(message)

    def end(self) -> Outcome | None:
        self.thread.join(20)
        return self.outcome


@pytest.fixture
def modems(rig: Rig) -> Modems:
    rig.sql(f"UPDATE organisation SET sms_route='gateway:gw-1' WHERE id='{ORG}'")
    return Modems(rig.database, rig.clock.now_ms, wait_ms=20_000)


@pytest.mark.parametrize(
    ("word", "error", "outcome"),
    [
        ("accepted", "", Outcome(True, provider_id="gateway:gw-1")),
        ("delivered", "", Outcome(True, provider_id="gateway:gw-1", confirmed="delivered")),
        ("refused", "no network", Outcome(False, error="the gateway gw-1 refused: no network")),
        ("expired", "", Outcome(False, error="the gateway gw-1 was too late")),
        ("no-modem", "", Outcome(False, permanent=True, error="the gateway gw-1 has no modem")),
    ],
)
def test_the_first_word_is_the_outcome(rig: Rig, modems: Modems, word: str, error: str, outcome: Outcome) -> None:
    attempt = Try(Sms(modems=modems), outgoing())
    until(lambda: rows(rig))
    assert rows(rig) == [{"id": "d-1", "to": PHONE, "text": "Appel\nété", "until_ms": rig.clock.now + 20_000}]
    assert not modems.heard("other", "gw-1", "d-1", word, error)
    assert not modems.heard(ORG, "gw-2", "d-1", word, error)
    assert not modems.heard(ORG, "gw-1", "d-2", word, error)
    assert modems.heard(ORG, "gw-1", "d-1", word, error)
    assert not modems.heard(ORG, "gw-1", "d-1", "refused", "again")
    assert attempt.end() == outcome
    if not outcome.accepted:
        assert rows(rig) == []  # an absent gateway sends nothing that is past


def test_a_gateway_that_says_nothing_is_a_temporary_refusal(rig: Rig) -> None:
    rig.sql(f"UPDATE organisation SET sms_route='gateway:gw-1' WHERE id='{ORG}'")
    channel = Sms(modems=Modems(rig.database, rig.clock.now_ms, wait_ms=50))
    assert channel.send(outgoing()) == Outcome(False, error="the gateway gw-1 did not say within 0 s")
    assert rows(rig) == []


def test_an_organisation_without_a_route_uses_the_provider(rig: Rig) -> None:
    modems = Modems(rig.database, rig.clock.now_ms)
    assert modems.gateway_of(ORG) is None
    rig.sql(f"UPDATE organisation SET sms_route='gateway:gw-1' WHERE id='{ORG}'")
    assert modems.gateway_of(ORG) is None  # believed for 30 s
    rig.clock.now += 30_000
    assert modems.gateway_of(ORG) == "gw-1"
    assert modems.gateway_of("nobody") is None


def test_a_gateway_that_was_revoked_is_a_refusal_at_once(rig: Rig, modems: Modems) -> None:
    """Four waits of 30 s would keep the next step waiting for a modem that nobody asks any more."""
    rig.sql("UPDATE gateway SET revoked_ms=1")
    outcome = Sms(modems=modems).send(outgoing())
    assert outcome == Outcome(False, permanent=True, error="the gateway gw-1 is revoked: choose another way")
    assert rows(rig) == []


def test_when_the_server_stops_nobody_waits(rig: Rig, modems: Modems) -> None:
    channel = Sms(modems=modems)
    attempt = Try(channel, outgoing())
    until(lambda: rows(rig))
    channel.close()
    outcome = attempt.end()
    assert outcome is not None
    assert (outcome.accepted, outcome.permanent) == (False, False)
    assert not channel.send(outgoing("d-2")).accepted


def test_a_later_delivery_is_recorded_once_and_proves_the_number(rig: Rig, modems: Modems) -> None:
    person = rig.person("anne", sms=PHONE)
    rig.policy(steps((600, [who("anne")])))
    post = rig.post("bau-1", policy="plan")
    post.press()
    rig.run()
    answering = Answering(rig.database, rig.engine, Replies.of(b"s" * 32), modems, rig.clock.now_ms)
    [(dispatch_id,)] = rig.sql("SELECT id FROM dispatch WHERE channel='sms'")
    if rig.sql("SELECT status FROM dispatch WHERE channel='sms'") != [("handed",)]:
        rig.sql("UPDATE dispatch SET status='handed', next_ms=NULL, handed_ms=1 WHERE channel='sms'")
    assert answering.by_modem("other", "gw-1", [(dispatch_id, "delivered", "")]) == 0
    assert rig.sql("SELECT status FROM dispatch WHERE channel='sms'") == [("handed",)]
    rig.clock.now += 5_000
    assert answering.by_modem(ORG, "gw-1", [(dispatch_id, "delivered", ""), ("nobody", "delivered", "")]) == 1
    assert rig.sql("SELECT status FROM dispatch WHERE channel='sms'") == [("delivered",)]
    assert rig.sql(f"SELECT proven_ms FROM contact_method WHERE person_id={person}") == [(rig.clock.now,)]
    assert answering.by_modem(ORG, "gw-1", [(dispatch_id, "delivered", "")]) == 0
    assert answering.by_modem(ORG, "gw-1", [(dispatch_id, "accepted", "")]) == 0


@pytest.mark.parametrize(
    ("word", "status", "proven"),
    [("accepted", "handed", False), ("delivered", "delivered", True), ("refused", "pending", False),
     ("expired", "pending", False)],
)  # fmt: skip
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_word_counts_once_whichever_process_hears_it(
    rig: Rig, modems: Modems, word: str, status: str, proven: bool, elsewhere: bool
) -> None:
    rig.person("anne", sms=PHONE)
    rig.policy(steps((600, [who("anne")])))
    rig.outbox.channels = frozenset({*rig.outbox.channels, "sms"})
    rig.engine.senders["sms"] = Sender(Sms(modems=modems), rig.engine._sent, rig.clock.now_ms)
    rig.post("bau-1", policy="plan").press()
    sending = threading.Thread(target=rig.pump)
    sending.start()
    until(lambda: rows(rig))
    heard_by = Modems(rig.database, rig.clock.now_ms) if elsewhere else modems
    answering = Answering(rig.database, rig.engine, Replies.of(b"s" * 32), heard_by, rig.clock.now_ms)
    [(dispatch_id,)] = rig.sql("SELECT id FROM dispatch WHERE channel='sms'")
    assert answering.by_modem(ORG, "gw-2", [(dispatch_id, word, "")]) == 0
    assert answering.by_modem(ORG, "gw-1", [(dispatch_id, word, "")]) == 1
    sending.join(5)
    assert not sending.is_alive(), "the worker that waits learns of it by the commit"
    told = rig.sql("SELECT status, attempts, maybe_dup FROM dispatch WHERE channel='sms'")
    assert [(row[0], row[1], bool(row[2])) for row in told] == [(status, 1, False)]
    assert rig.sql("SELECT proven_ms FROM contact_method") == [(rig.clock.now if proven else None,)]
    assert answering.by_modem(ORG, "gw-1", [(dispatch_id, "refused", "again")]) == 0
    assert rig.sql("SELECT status, attempts FROM dispatch WHERE channel='sms'") == [(status, 1)]


def test_a_word_after_the_wait_keeps_the_message_from_leaving_twice(rig: Rig) -> None:
    rig.sql(f"UPDATE organisation SET sms_route='gateway:gw-1' WHERE id='{ORG}'")
    modems = Modems(rig.database, rig.clock.now_ms, wait_ms=20)
    rig.person("anne", sms=PHONE)
    rig.policy(steps((600, [who("anne")])))
    rig.outbox.channels = frozenset({*rig.outbox.channels, "sms"})
    rig.engine.senders["sms"] = Sender(Sms(modems=modems), rig.engine._sent, rig.clock.now_ms)
    rig.post("bau-1", policy="plan").press()
    rig.pump()
    assert rig.sql("SELECT status, attempts FROM dispatch WHERE channel='sms'") == [("pending", 1)]
    [(dispatch_id,)] = rig.sql("SELECT id FROM dispatch WHERE channel='sms'")
    answering = Answering(rig.database, rig.engine, Replies.of(b"s" * 32), modems, rig.clock.now_ms)
    assert answering.by_modem(ORG, "gw-1", [(dispatch_id, "accepted", "")]) == 1
    rig.run(60_000)
    assert rig.sql("SELECT status, attempts FROM dispatch WHERE channel='sms'") == [("handed", 2)]


def test_whoever_waits_for_the_modem_is_free_when_the_alert_is_answered(rig: Rig, modems: Modems) -> None:
    anne = rig.person("anne", sms=PHONE)
    rig.policy(steps((600, [who("anne")])))
    rig.outbox.channels = frozenset({*rig.outbox.channels, "sms"})
    rig.engine.senders["sms"] = Sender(Sms(modems=modems), rig.engine._sent, rig.clock.now_ms)
    alert_id = rig.post("bau-1", policy="plan").press()["alert"]
    sending = threading.Thread(target=rig.pump)
    sending.start()
    until(lambda: rows(rig))
    rig.engine.answer(ORG, alert_id, anne, "console")
    sending.join(5)
    assert not sending.is_alive()
    assert rig.sql("SELECT count(*) FROM downlink WHERE topic='sms'") == [(0,)], "what has not gone down stays here"
    assert rig.sql("SELECT status FROM dispatch WHERE channel='sms' AND kind='notify'") == [("cancelled",)]
