"""The whole firmware on the virtual board, with 96 kB of heap, against a broker and backend of sixty lines."""

import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lone_broker import KEY, LoneBroker, credentials
from tocsin_sim.board import Board
from tocsin_wire import messages, topics

DEBOUNCE_MS = 40
ACK = topics.topic("demo", "bau-1", "ack")


@pytest.fixture
def broker() -> Iterator[LoneBroker]:
    with LoneBroker() as running:
        yield running


@pytest.fixture
def post(tmp_path: Path, broker: LoneBroker) -> Iterator[Board]:
    with Board.create(tmp_path / "post", credentials("bau-1", broker.port)) as board:
        board.power_on()
        assert board.wait_for_state("in service", 20), board.console()
        yield board


def events(broker: LoneBroker, kind: str) -> list[dict[str, Any]]:
    """Each once, however often it was sent."""
    found = {}
    for topic, message in list(broker.arrived):
        if topic.endswith("/event") and message["k"] == kind:
            found[message["b"], message["n"]] = message
    return list(found.values())


def close(broker: LoneBroker, press: dict[str, Any], result: str = "closed") -> None:
    broker.ack("bau-1", re=messages.signal_id(press["b"], press["n"]), r=result, e=1)


def wait(true: Any, timeout_s: float = 10) -> bool:
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_the_first_session_says_who_it_is_in_order(post: Board, broker: LoneBroker) -> None:
    order = [topic.rsplit("/", 1)[1] for topic, _ in broker.arrived]
    assert order[:4] == ["state", "info", "event", "beat"]
    said = {topic.rsplit("/", 1)[1]: message for topic, message in broker.arrived[:4]}
    assert said["state"]["s"] == "1.1" == said["beat"]["s"]
    assert said["state"]["st"] == "ready"
    assert said["info"]["umqtt"] == "1.3.4"
    assert said["info"]["py"].startswith("micropython 1.")
    assert (said["event"]["k"], said["event"]["why"]) == ("boot", "power")


def test_contact_to_sent_is_debounce_and_little_more(post: Board, broker: LoneBroker) -> None:
    for count in range(1, 16):
        post.press(80, "new")
        presses = broker.wait_for_presses(count, 10)
        assert len(presses) == count, post.console()
        assert wait(lambda: len(events(broker, "lamp")) >= 2 * count - 1)  # noqa: B023
        close(broker, presses[-1])
        assert wait(lambda: len(events(broker, "lamp")) == 2 * count)  # noqa: B023
        assert post.wait_for(lambda: not post.closed, 5)
        time.sleep(0.15)  # the contact counts as released after 100 ms
    confirmed = [event["lat"] for event in events(broker, "lamp") if event["r"] == "stored"]
    assert len(confirmed) == 15
    assert min(confirmed) >= DEBOUNCE_MS - 5
    assert statistics.median(confirmed) <= DEBOUNCE_MS + 15, confirmed
    assert "MemoryError" not in post.console()
    assert post.starts == 1


def test_an_outage_of_twenty_presses_fits_the_heap_and_every_one_arrives_in_order(
    post: Board, broker: LoneBroker
) -> None:
    broker.answers = False
    post.wifi(False)
    assert post.wait_for_state("no network", 30)
    for count in range(1, 21):
        post.press(120, "clean")
        assert post.wait_for(lambda: len(post.presses) == count and post.presses[-1].sending_ns, 10), post.console()  # noqa: B023
        assert post.wait_for(lambda: not post.closed, 5)
        time.sleep(0.15)
    broker.answers = True
    post.wifi(True)
    presses = broker.wait_for_presses(20, 40)
    assert len(presses) == 20, post.console()
    assert [(press["b"], press["n"]) for press in presses] == sorted((press["b"], press["n"]) for press in presses)
    assert post.starts == 1, post.console()
    assert post.wait_for_state("sent", 10)


def test_a_hostile_network_moves_no_lamp_and_is_counted(post: Board, broker: LoneBroker) -> None:
    broker.answers = False
    post.press(80, "new")
    (press,) = broker.wait_for_presses(1, 10)
    re = messages.signal_id(press["b"], press["n"])
    good = {"v": 1, "re": re, "r": "answered", "e": 1}
    stale = messages.seal(ACK, {"v": 1, "re": "1-99", "r": "answered", "e": 1}, "k1", KEY)
    other = topics.topic("demo", "bau-2", "ack")
    for topic, frame in (
        (ACK, messages.seal(ACK, good, "k1", bytes(32))),
        (ACK, messages.seal(other, good, "k1", KEY)),
        (other, messages.seal(other, good, "k1", KEY)),
        (ACK, messages.seal(ACK, good, "k1", KEY)[:-3]),
        (ACK, stale),
        (ACK, b""),
        (ACK, bytes(range(256)) * 3),
    ):
        peer = broker._peer
        assert peer is not None
        name = topic.encode()
        rest = len(name).to_bytes(2, "big") + name + frame
        size = bytes([len(rest)]) if len(rest) < 128 else bytes([len(rest) & 127 | 128, len(rest) >> 7])
        peer.sendall(b"\x30" + size + rest)
    assert wait(lambda: events(broker, "ack-rejected"), 20), post.console()
    assert post.state == "sending"
    close(broker, press, "answered")
    assert post.wait_for_state("answered", 5)
    assert post.starts == 1


def test_a_broker_that_goes_silent_is_left_and_the_press_sent_again(post: Board, broker: LoneBroker) -> None:
    post.flow(False)
    post.press(80, "new")
    assert not broker.wait_for_presses(1, 1)
    assert post.wait_for(lambda: "does not answer" in post.console(), 15)
    post.flow(True)
    assert broker.wait_for_presses(1, 20)
    assert post.wait_for_state("sent", 5)


def test_not_delivered_within_20_s_says_so(post: Board, broker: LoneBroker) -> None:
    broker.answers = False
    post.press(80, "new")
    began = time.monotonic()
    assert post.wait_for_state("not delivered", 30)
    assert 19 < time.monotonic() - began < 25
    close(broker, broker.wait_for_presses(1, 1)[0], "stored")
    assert post.wait_for_state("sent", 5)


def test_the_lamp_goes_on_after_a_power_cut(post: Board, broker: LoneBroker) -> None:
    post.press(80, "new")
    (press,) = broker.wait_for_presses(1, 10)
    assert post.wait_for_state("sent", 5)
    close(broker, press, "answered")
    assert post.wait_for_state("answered", 5)
    broker.answers = False
    post.power_cut(0.1)
    assert post.wait_for_state("answered", 10), "open presses are in the journal, with how far they had come"
    asked = wait(lambda: sum(topic.endswith("/alert") for topic, _ in broker.arrived) >= 2)
    assert asked, "and the backend is asked what became of them"
    close(broker, press)
    assert post.wait_for(lambda: "answered" not in post.state, 10)
    assert events(broker, "lamp")[-1]["lat"] == -1
    assert [event["why"] for event in events(broker, "boot")] == ["power", "power"]


@pytest.mark.parametrize("spoiled", ["missing", "no-key", "bad-key", "not-json"])
def test_without_good_credentials_it_says_so_and_keeps_presses(tmp_path: Path, spoiled: str) -> None:
    good = credentials("bau-1", 1)
    bad = {
        "missing": None,
        "no-key": {name: value for name, value in good.items() if name != "key"},
        "bad-key": {**good, "key": "A" * 12},
        "not-json": "{",
    }[spoiled]
    content = bad if isinstance(bad, str) else json.dumps(bad)
    files = {"cred.json": content.encode()} if bad is not None else {"cred.json": b""}
    with Board.create(tmp_path / "post", good, extra_files=files) as board:
        board.power_on()
        assert board.wait_for_state("fault", 15), board.console()
        assert "fault /cred.json" in board.console()
        assert good["key"] not in board.console()
        board.press(80, "new")
        assert board.wait_for_state("sending", 5)
        board.power_cut(0.1)
        assert board.wait_for(lambda: "held 1" in board.console(), 10)
        assert board.wait_for_state("sending", 10)


def test_a_crash_is_told_by_the_next_boot(tmp_path: Path, broker: LoneBroker) -> None:
    source = (Path(__file__).resolve().parents[2] / "firmware" / "main.py").read_text()
    crashing = source.replace(
        "    post.run()", "    if facts_boot == 1:\n        raise RuntimeError('planted')\n    post.run()"
    )
    crashing = crashing.replace("    del facts\n", "    facts_boot = facts['boot']\n    del facts\n")
    with Board.create(
        tmp_path / "post", credentials("bau-1", broker.port), extra_files={"main.py": crashing.encode()}
    ) as board:
        board.power_on()
        assert board.wait_for_state("in service", 20), board.console()
        assert wait(lambda: events(broker, "boot"))
        (event,) = events(broker, "boot")
        assert (event["b"], event["why"], event["txt"]) == (2, "crash", "RuntimeError: planted")
