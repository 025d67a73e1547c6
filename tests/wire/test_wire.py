"""The wire on both interpreters, from one file of golden vectors; and its limits, topic by topic."""

import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from tocsin_sim import toolchain
from tocsin_wire import codec, limits, messages, signing, topics
from tocsin_wire.errors import CODES, WireError

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
VECTORS = json.loads((HERE / "vectors.json").read_text(encoding="utf-8"))
KEY = bytes.fromhex(VECTORS["key_hex"])
ALERT = {
    "v": 1, "b": 812, "n": 7, "t": 0, "q": "none", "age": 12, "try": 1,
    "k": "press", "in": "call", "held": 35, "mode": "real",
}  # fmt: skip
ALERT_TOPIC = "tocsin/1/demo/bau-1/alert"


def checks():
    import importlib.util

    spec = importlib.util.spec_from_file_location("vector_checks", HERE / "vector_checks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on_micropython(*arguments, **environment):
    return subprocess.run(
        [*toolchain.micropython(), "-X", "heapsize=512k", *map(str, arguments)],
        env={**os.environ, "MICROPYPATH": str(ROOT / "firmware" / "lib"), **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_vectors_on_cpython():
    checked, failures = checks().run(VECTORS, strict=True)
    assert failures == []
    assert checked == len(VECTORS["good"]) + len(VECTORS["bad"]) + len(VECTORS["hmac_rfc4231"]) + 2


def test_vectors_on_micropython():
    done = on_micropython(HERE / "vector_checks.py", HERE / "vectors.json")
    lax = sum(case["strict"] for case in VECTORS["bad"])
    expected = len(VECTORS["good"]) + len(VECTORS["bad"]) - lax + len(VECTORS["hmac_rfc4231"]) + 2
    assert (done.stdout.splitlines()[-1:], done.stderr) == ([f"checked {expected}, failed 0"], ""), done.stdout


@pytest.mark.parametrize("breaking", ["[0:16]>[0:15]", "x36>x37", "verify(topic, frame, key)>split(frame)[0]"])
def test_a_planted_bug_is_caught_by_the_vectors(breaking, tmp_path):
    """A wrong HMAC pad, and a reader that forgets to verify, must both fail on the interpreter that would run them."""
    import shutil

    shutil.copytree(ROOT / "firmware" / "lib" / "tocsin_wire", tmp_path / "tocsin_wire")
    old, new = {
        "[0:16]>[0:15]": ("[:16])", "[:15])"),
        "x36>x37": (r"\x36", r"\x37"),
        "verify(topic, frame, key)>split(frame)[0]": ("signing.verify(topic, frame, key)", "signing.split(frame)[0]"),
    }[breaking]
    changed = 0
    for file in (tmp_path / "tocsin_wire").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        changed += text.count(old)
        file.write_text(text.replace(old, new), encoding="utf-8")
    assert changed
    done = on_micropython(HERE / "vector_checks.py", HERE / "vectors.json", MICROPYPATH=str(tmp_path))
    assert "failed 0" not in done.stdout


def test_topics_round_trip():
    for name, direction, _, _ in topics.CHANNELS:
        assert topics.parse(topics.topic("demo", "bau-1", name)) == ("demo", "bau-1", name)
        assert (name in topics.UP, name in topics.DOWN) == (direction == "up", direction == "down")
    assert topics.parse(topics.gateway_topic("demo", "gw-1")) == ("demo", "gw-1", topics.GATEWAY)


@pytest.mark.parametrize("name", ["", "a" * 33, "A", "a b", "a/b", "+", "#", "_gw", "é", "a.b", None, 5])
def test_bad_names_make_no_topic(name):
    assert not topics.is_name(name)
    with pytest.raises(WireError) as caught:
        topics.topic("demo", name, "alert")
    assert caught.value.code == "bad-topic"
    with pytest.raises(WireError):
        topics.gateway_topic("demo", name)


def test_nothing_oversize_is_sent():
    with pytest.raises(WireError) as caught:
        messages.seal(ALERT_TOPIC, {**ALERT, "x": "y" * 400}, "k1", KEY)
    assert caught.value.code == "oversize"
    assert len(messages.seal(ALERT_TOPIC, ALERT, "k1", KEY)) <= limits.MAX_SENT


@pytest.mark.parametrize("value", [1.5, True, None, "\0", "\ud800", 2**60, {"a": {"b": {"c": 1}}}, b"x"])
def test_what_cannot_be_sent_is_refused(value):
    with pytest.raises(WireError) as caught:
        codec.encode({"x": value})
    assert caught.value.code == "bad-json"


def test_every_required_field_is_required():
    for channel in messages.SCHEMA:
        examples = [case["message"] for case in VECTORS["good"] if topics.parse(case["topic"])[2] == channel]
        for message in examples:
            for name, required, _ in messages.fields(channel):
                if required:
                    with pytest.raises(WireError) as caught:
                        messages.check(channel, {key: value for key, value in message.items() if key != name})
                    assert caught.value.code == "bad-schema"
        assert examples or channel == "gateway"


@pytest.mark.parametrize("text", ["", "A" * 42, "A" * 44, "=" * 43, "é" * 43, "A" * 42 + "B"])
def test_a_wrong_key_is_refused_and_not_repeated(text):
    with pytest.raises(ValueError) as caught:
        signing.key_from_text(text)
    assert text == "" or text not in str(caught.value)


def test_only_wire_errors_leave_the_reader():
    """20,000 damaged frames, signed again so that the parser itself is reached: WireError or a valid message."""
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    rng = random.Random(seed)
    seen = set()
    for _ in range(20_000):
        body = bytearray(signing.split(bytes.fromhex(rng.choice(VECTORS["good"])["frame_hex"]))[0])
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(body))
            what = rng.random()
            if what < 0.4:
                body[at] = rng.randrange(256)
            elif what < 0.6:
                del body[at : at + rng.randint(1, 20)]
                body = body or bytearray(b"{")
            else:
                body[at:at] = rng.choice(
                    [b"{", b"[", b'"', b"\\u0000", b"\\ud800", b"1e9", b"NaN", b"\n", b"\xff", b"9" * 30]
                )
        topic = topics.topic("demo", "bau-1", rng.choice(topics.UP + topics.DOWN))
        try:
            messages.unseal(topic, signing.sign(topic, bytes(body), "k1", KEY), KEY)
            seen.add("accepted")
        except WireError as error:
            assert error.code in CODES
            seen.add(error.code)
    assert {"bad-json", "bad-schema"} <= seen, seen
