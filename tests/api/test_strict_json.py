"""Strict JSON: what a lax parser lets through is refused with a reason (S7)."""

import pytest
from tocsin_backend.api.errors import ApiError
from tocsin_backend.api.strict_json import decode


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b'{"a": 1', b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 2}}', b'{"a": "\\u0000"}', b'{"\\u0000": 1}', b'{"a": "\\ud800"}', b'\xff\xfe{}',
        b'\xef\xbb\xbf{}', b"[" * 100_000, b"[" * 40 + b"]" * 40, b'{"a": 99999999999999999999999}', b"{'a': 1}",
        b'{"a": 1} x', b'{"a": 01}', b"nan",
    ],
)  # fmt: skip
def test_refused(body):
    with pytest.raises(ApiError) as caught:
        decode(body)
    assert caught.value.status_code == 400
    assert caught.value.code == "bad-json"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2.5, "\xc3\xa9", null, true]}', {"a": [1, 2.5, "é", None, True]}),
        (b'{"a": "\\ud83d\\ude80"}', {"a": "🚀"}),
        (b'{"a": -9223372036854775807}', {"a": -(2**63 - 1)}),
    ],
)
def test_accepted(body, value):
    assert decode(body) == value
