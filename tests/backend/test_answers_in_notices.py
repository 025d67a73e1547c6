"""What leaves says how to answer it: a link in mails and JSON, a code in short messages, and nothing in other news."""

from backend_rig import Recorder, Rig, steps, who
from tocsin_backend.domain.replies import Replies
from tocsin_backend.engine import Sender

KEYS = Replies.of(b"0123456789abcdef" * 2)


def test_each_notice_carries_its_own_link_and_an_sms_its_code(rig: Rig) -> None:
    rig.outbox._replies = KEYS
    rig.outbox.channels = frozenset({*rig.outbox.channels, "sms"})
    rig.channels["sms"] = Recorder("sms")
    rig.engine.senders["sms"] = Sender(rig.channels["sms"], rig.engine._sent, rig.clock.now_ms)
    rig.person("anne", webhook="https://x/1", email="anne@x.fr", sms="+33612345678")
    rig.policy(steps((600, [who("anne")])))
    alert_id = rig.post("bau-1", policy="plan").press()["alert"]
    rig.run()
    sent = {name: rig.channels[name].sent[0] for name in ("webhook", "email", "sms")}
    links = {name: f"https://tocsin.test/a/{KEYS.token(each.dispatch_id)}" for name, each in sent.items()}
    assert len(set(links.values())) == 3
    assert sent["webhook"].message.facts["answer"] == links["webhook"]
    assert links["email"] in sent["email"].message.text
    code = KEYS.code(sent["sms"].dispatch_id)
    assert code in sent["sms"].message.short
    assert len(sent["sms"].message.short) <= 160
    assert code not in sent["email"].message.text
    assert [each.org for each in sent.values()] == ["demo"] * 3
    rig.engine.answer("demo", alert_id, rig.persons["anne"], "api", 1)
    rig.engine.close("demo", alert_id, rig.persons["anne"], "test", "", 1)
    rig.run()
    news = [each for each in rig.channels["email"].sent[1:] if each.message.facts["kind"] != "notify"]
    assert all(each.message.facts["answer"] == "" and "/a/" not in each.message.text for each in news)
