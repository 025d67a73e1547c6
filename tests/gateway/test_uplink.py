"""What an uplink sends and what it believes of the answer."""

import base64
import json

import pytest
from tocsin_gateway.forwarding import Arrival
from tocsin_gateway.uplink import BadAnswer, compose, read_answers


def test_an_envelope_is_as_the_contract_says():
    frame = bytes(range(256))
    arrival = Arrival(7, 1, 3, "tocsin/1/demo/bau-1/alert", frame, at_ms=1_000, retained=True, dup=False, held_ms=1_001)
    assert json.loads(compose([arrival])) == {
        "envelopes": [
            {
                "id": 7,
                "topic": "tocsin/1/demo/bau-1/alert",
                "frame": base64.b64encode(frame).decode(),
                "at_ms": 1_000,
                "held_ms": 1_001,
                "retained": 1,
                "dup": 0,
            }
        ]
    }


def test_good_answers():
    publish = [{"topic": "tocsin/1/demo/bau-1/ack", "frame": base64.b64encode(b"ack").decode()}]
    rows = [
        {"id": 1, "r": "stored", "alert": "x", "reason": None, "publish": publish},
        {"id": 2, "r": "duplicate"},
        {"id": 3, "r": "refused", "reason": "bad-signature", "publish": []},
        {"id": 4, "r": "refused"},
    ]
    assert read_answers(json.dumps({"answers": rows}).encode(), {1, 2, 3, 4}, "demo") == [
        (1, "", [("tocsin/1/demo/bau-1/ack", b"ack")]),
        (2, "", []),
        (3, "bad-signature", []),
        (4, "refused", []),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"not json",
        b'{"answers": 7}',
        b'{"answers": [7]}',
        b'{"answers": [{"id": "1", "r": "stored"}]}',
        b'{"answers": [{"id": true, "r": "stored"}]}',
        b'{"answers": [{"id": 999999, "r": "stored"}]}',
        b'{"answers": [{"id": 1, "r": "perhaps"}]}',
        b'{"answers": [{"id": 1, "r": "stored", "publish": 7}]}',
        b'{"answers": [{"id": 1, "r": "stored", "publish": [{"topic": "tocsin/1/demo/bau-1/ack", "frame": "?"}]}]}',
        b'{"answers": [{"id": 1, "r": "stored", "publish": [{"topic": "tocsin/1/other/x/ack", "frame": ""}]}]}',
        b"[" * 100_000,
    ],
)
def test_an_answer_that_makes_no_sense_is_refused_whole(body):
    with pytest.raises(BadAnswer):
        read_answers(body, {1}, "demo")
