"""The one error of the wire."""


class WireError(ValueError):
    """A topic, frame or message that breaks the contract; it changed nothing and must be ignored or kept as evidence.

    `code` is one of CODES, stable, for counting; the text says what was wrong.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


CODES = (
    "oversize",  # longer than limits.MAX_RECEIVED, or than MAX_SENT when sending
    "bad-topic",  # not one of topics.py's, or a name outside [a-z0-9-]{1,32}
    "bad-frame",  # not `<json>\n<kid>:<mac>`
    "bad-signature",  # the MAC is not that of these bytes, on this topic, with this key
    "bad-json",  # not the JSON we accept: see codec.decode
    "bad-schema",  # a field is missing, of the wrong type or outside its range
)
