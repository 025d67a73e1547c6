"""What the schema says of the gateway's endpoints, by hand: these routes do not pass through the framework.

The frames are real: sealed for the device `bau-7` of `demo` with the key of 32 zero bytes, which no device has.
"""

from typing import Any

from tocsin_backend.api.gateway import MODEM_WORDS

Row = dict[str, Any]

PRESS = (
    "eyJ2IjoxLCJiIjo4MTIsIm4iOjcsInQiOjAsInEiOiJub25lIiwiYWdlIjo0MCwidHJ5IjoxLCJrIjoicHJlc3MiLCJpbiI6ImNh"
    "bGwiLCJoZWxkIjozNSwibW9kZSI6InJlYWwifQprMTpfS0NWSDdHUmk0cWtsb3RRazViRzZR"
)
BEAT = (
    "eyJ2IjoxLCJzIjoiODEyLjciLCJpIjoxNzY0MDAwMDAwLCJiIjo4MTIsIm4iOjcsInVwIjo2MCwic3Bvb2wiOjAsImRyb3AiOjAs"
    "ImxhZyI6MywiZnJlZSI6NjAwMDAsInJlaiI6MCwibGluZXMiOnsiY2FsbCI6ImlkbGUifSwidCI6MCwicSI6Im5vbmUifQprMTpO"
    "TXpQalJ2VVVRQkx1QTFJc3NmRFNn"
)
ACK = "eyJ2IjoxLCJyZSI6IjgxMi03IiwiciI6InN0b3JlZCJ9Cg=="
TOPIC = "tocsin/1/demo/bau-7"
PUBLISHED = [{"topic": f"{TOPIC}/ack", "frame": ACK}]


def _of(kind: str | list[str], **more: Any) -> Row:
    return {"type": kind, **more}


def _object(required: list[str], **members: Row) -> Row:
    return _of("object", required=required, properties=members)


_INTEGER, _STRING, _BASE64 = _of("integer", minimum=0), _of("string"), _of("string", format="byte")
_PUBLISH = _of("array", items=_object(["topic", "frame"], topic=_STRING, frame=_BASE64))


def _rows(name: str, required: list[str], **members: Row) -> Row:
    return _object([name], **{name: _of("array", items=_object(required, **members))})


def _json(schema: Row, example: Any) -> Row:
    return {"application/json": {"schema": schema, "example": example}}


def _operation(description: str, answer: Row, body: Row | None = None, **more: Any) -> Row:
    operation = {
        "tags": ["gateway"],
        "description": description,
        "security": [{"gatewayToken": []}],
        "responses": {"200": {"description": "done", "content": answer}},
        **more,
    }
    return operation if body is None else operation | {"requestBody": {"required": True, "content": body}}


PATHS: Row = {
    "/api/v1/gateway/envelopes": {
        "post": _operation(
            "Takes frames of devices, each with one answer. A bad one is refused by itself: it holds up no other. "
            "`publish` is what to publish to the device. Safe to repeat: the second time it is a duplicate.",
            _json(
                _rows(
                    "answers",
                    ["id", "r", "alert", "reason", "publish"],
                    id=_INTEGER,
                    r=_of("string", enum=["stored", "duplicate", "refused"]),
                    alert=_of(["string", "null"]),
                    reason=_of(["string", "null"]),
                    publish=_PUBLISH,
                ),
                {
                    "answers": [
                        {
                            "id": 41,
                            "r": "stored",
                            "alert": "5f0c0e8e-6c2e-5b7f-9d53-2f6f7f2f8d11",
                            "reason": None,
                            "publish": PUBLISHED,
                        }
                    ]
                },
            ),
            _json(
                _rows(
                    "envelopes",
                    ["id", "topic", "frame", "at_ms", "held_ms"],
                    id=_INTEGER,
                    topic=_STRING,
                    frame=_BASE64,
                    at_ms=_INTEGER,
                    held_ms=_INTEGER,
                    retained=_INTEGER,
                    dup=_INTEGER,
                ),
                {
                    "envelopes": [
                        {
                            "id": 41,
                            "topic": f"{TOPIC}/alert",
                            "frame": PRESS,
                            "at_ms": 1764000000041,
                            "held_ms": 1764000000044,
                            "retained": 0,
                            "dup": 0,
                        }
                    ]
                },
            ),
        )
    },
    "/api/v1/gateway/beats": {
        "post": _operation(
            "Takes the newest beat of each device and period. `publish` holds the signed `alive` answers; a beat that "
            "was refused is named with its reason.",
            _json(
                _object(
                    ["publish", "refused"],
                    publish=_PUBLISH,
                    refused=_of("array", items=_object(["topic", "reason"], topic=_STRING, reason=_STRING)),
                ),
                {"publish": PUBLISHED, "refused": []},
            ),
            _json(
                _rows(
                    "beats",
                    ["topic", "frame", "at_ms"],
                    topic=_STRING,
                    frame=_BASE64,
                    at_ms=_INTEGER,
                    count=_INTEGER,
                ),
                {"beats": [{"topic": f"{TOPIC}/beat", "frame": BEAT, "at_ms": 1764000000041, "count": 2}]},
            ),
        )
    },
    "/api/v1/gateway/downlink": {
        "get": _operation(
            "Streams frames for the gateway's devices and short messages for its modem, a JSON line each, without an "
            "end. Every 5 s a line says that the server and its engine live. `after` is the last id that was taken.",
            {
                "application/x-ndjson": {
                    "schema": _STRING,
                    "example": '{"alive": 1764000000000, "engine_age_ms": 900}\n'
                    f'{{"id": 7, "topic": "{TOPIC}/ack", "frame": "{ACK}"}}\n',
                }
            },
            parameters=[{"name": "after", "in": "query", "schema": _INTEGER, "example": 0}],
        )
    },
    "/api/v1/gateway/downlink/ack": {
        "post": _operation(
            "Says that the broker took every frame up to an id. They are not sent again. `engine_silent_ms`: for how "
            "long this gateway saw the engine hang.",
            _json(_object(["upto"], upto=_INTEGER), {"upto": 7}),
            _json(_object(["upto"], upto=_INTEGER, engine_silent_ms=_INTEGER), {"upto": 7}),
        )
    },
    "/api/v1/gateway/sms/reports": {
        "post": _operation(
            "Says what became of short messages that went down. Safe to repeat; `heard` counts what was news.",
            _json(_object(["heard"], heard=_INTEGER), {"heard": 1}),
            _json(
                _rows("reports", ["id", "r"], id=_STRING, r=_of("string", enum=list(MODEM_WORDS)), error=_STRING),
                {"reports": [{"id": "9b2e8f04-51c7-5c3f-8a1e-6d0b7f7c2a10", "r": "delivered", "error": ""}]},
            ),
        )
    },
    "/api/v1/gateway/sms/inbound": {
        "post": _operation(
            "Brings a short message that the modem received. `reply` is what to write back; empty: nothing.",
            _json(_object(["reply"], reply=_STRING), {"reply": "Appel pris. Merci."}),
            _json(
                _object(["from", "text"], **{"from": _STRING}, text=_STRING),
                {"from": "+33612345678", "text": "OUI 482113"},
            ),
        )
    },
}
