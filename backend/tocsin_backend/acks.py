"""What the backend says to a post: acks, signed with the post's key. The lamp follows these and nothing else."""

from tocsin_wire import messages, topics

from .domain import alerts

# How an alert's status reads on the wire.
WORD = {alerts.RAISED: "stored", alerts.ANSWERED: "answered", alerts.CLOSED: "closed"}


def of_signal(
    org: str,
    device: str,
    key: tuple[str, bytes],
    signal: str,
    word: str,
    now_ms: int,
    alert_id: str | None = None,
    epoch: int | None = None,
    why: str | None = None,
) -> tuple[str, bytes]:
    """(topic, frame) of the ack of a signal "b-n". `word` is the wire's `r`; `why` goes with "refused"."""
    message: dict[str, object] = {"v": messages.MINOR, "re": signal, "r": word, "t": now_ms // 1000}
    if why is not None:
        message["why"] = why
    if alert_id is not None:
        message["al"] = alert_id
        message["e"] = epoch
    return _sealed(org, device, key, message)


def of_beat(org: str, device: str, key: tuple[str, bytes], session: str, i: int, now_ms: int) -> tuple[str, bytes]:
    """(topic, frame) of the ack of a beat: the backend itself is alive and has counted it."""
    message: dict[str, object] = {
        "v": messages.MINOR,
        "re": messages.BEAT,
        "r": "alive",
        "s": session,
        "i": i,
        "t": now_ms // 1000,
    }
    return _sealed(org, device, key, message)


def word(status: str, silent: bool) -> str:
    """What a post is told of an alert in this status. A silent one never hears that somebody answered (P6)."""
    return "stored" if silent and status == alerts.ANSWERED else WORD[status]


def _sealed(org: str, device: str, key: tuple[str, bytes], message: dict[str, object]) -> tuple[str, bytes]:
    topic = topics.topic(org, device, "ack")
    return topic, messages.seal(topic, message, key[0], key[1])
