"""tocsin watch: what it makes of good and bad traffic; the broker itself is in test_watch_live.py."""

import json

import pytest
from tocsin_backend.watch import explain
from tocsin_wire import messages, signing, topics

KEY = bytes(range(32))
TOPIC = topics.topic("demo", "post-1", "alert")
PRESS = {
    "v": 1,
    "b": 812,
    "n": 7,
    "t": 0,
    "q": "none",
    "age": 40,
    "try": 1,
    "k": "press",
    "in": "call",
    "held": 35,
    "mode": "real",
}
FRAME = messages.seal(TOPIC, PRESS, "k1", KEY)


def known(org, device, kid):
    return KEY if (org, device, kid) == ("demo", "post-1", "k1") else None


def test_a_good_press_is_verified_and_decoded():
    line = explain(TOPIC, FRAME, False, known)
    assert (line.fault, line.signature, line.kid, line.message) == ("", "verified", "k1", PRESS)
    assert "✓ demo/post-1" in line.as_text(0, False)
    assert "k=press" in line.as_text(0, False)
    assert json.loads(line.as_json(5))["message"] == PRESS


def test_a_key_that_is_not_at_hand_is_said():
    line = explain(topics.topic("demo", "post-2", "alert"), FRAME, True, known)
    assert (line.fault, line.signature) == ("", "unchecked")
    assert line.as_text(0, False).endswith("(retained)")


@pytest.mark.parametrize(
    ("topic", "frame", "fault"),
    [
        (TOPIC, b"x" * 2000, "oversize"),
        (TOPIC, b"{}", "bad-frame"),
        (TOPIC, b"", "bad-frame"),
        (TOPIC, FRAME[:-1] + b"_", "bad-signature"),
        (topics.topic("demo", "post-1", "event"), FRAME, "bad-signature"),
        (TOPIC, signing.sign(TOPIC, b'{"v"', "k1", KEY), "bad-json"),
        (TOPIC, signing.sign(TOPIC, b'{"v":1}', "k1", KEY), "bad-schema"),
        ("tocsin/2/demo/post-1/alert", FRAME, "bad-topic"),
        ("tocsin/1/demo/_gw/gw-1/state", b"\xff\xfe", "bad-json"),
    ],
)
def test_bad_traffic_is_shown_with_its_reason(topic, frame, fault):
    line = explain(topic, frame, False, known)
    assert line.fault == fault
    assert line.reason
    assert f"REFUSED {fault}" in line.as_text(0, False)


def test_a_gateway_says_whether_it_listens():
    line = explain(topics.gateway_topic("demo", "gw-1"), b'{"v":1,"st":"ready","t":0}', True, known)
    assert (line.fault, line.signature, line.device) == ("", "none", "gw-1")


def test_a_device_cannot_move_the_cursor():
    topic = topics.topic("demo", "post-1", "event")
    frame = signing.sign(
        topic,
        '{"v":1,"b":1,"n":1,"t":0,"q":"none","age":0,"try":1,"k":"boot","txt":"\u202e\u009b2J"}'.encode(),
        "k1",
        KEY,
    )
    text = explain(topic, frame, False, known).as_text(0, True)
    assert "\u202e" not in text
    assert "\u009b" not in text
