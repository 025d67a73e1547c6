"""firmware/WIRE.md says what the code does: every topic, field, limit, error and example of it."""

import base64
import hashlib
import hmac
import importlib.util
import json
import re
from pathlib import Path

HERE = Path(__file__).parent


def wire_doc():
    spec = importlib.util.spec_from_file_location("wire_doc", HERE / "wire_doc.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_code_says():
    doc = wire_doc()
    text = doc.PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- generated: (\w+) -->", text)) == set(doc.PARTS)
    assert doc.page(text) == text, "firmware/WIRE.md is stale: run `make docs`"


def test_a_changed_page_is_noticed():
    doc = wire_doc()
    text = doc.PAGE.read_text(encoding="utf-8")
    assert doc.page(text.replace("| `held` | yes |", "| `held` |  |")) == text
    assert text.count("| `held` | yes |") == 1


def test_the_page_s_own_python_makes_our_frames():
    """The ten lines a stranger would copy give the golden frames, byte for byte."""
    doc = wire_doc()
    source = re.search(r"```python\n(.*?)```", doc.PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    namespace = {"base64": base64, "hashlib": hashlib, "hmac": hmac}
    exec(compile(source, "WIRE.md", "exec"), namespace)
    vectors = json.loads(doc.VECTORS.read_text(encoding="utf-8"))
    for case in vectors["good"]:
        frame = bytes.fromhex(case["frame_hex"])
        body = frame[: frame.rfind(b"\n")]
        assert namespace["frame"](case["topic"], body, vectors["kid"], bytes.fromhex(vectors["key_hex"])) == frame
