"""P1 and P2 with real processes: whatever is killed, and wherever, each signal reaches the backend and none is lost."""

import time

import pytest
from conftest import ALERT, EVENT, POST, STATE, WATCH, wait_for
from fake_backend import reply
from tocsin_sim.broker import NATS

pytestmark = pytest.mark.chain
COUNT = 8
POINTS = ("before-commit", "after-commit", "before-puback", "after-puback", "before-post", "after-post", "after-settle")


def signals(first=0, last=COUNT):
    return [(topic, b"%s %d" % (topic[-5:].encode(), at)) for at in range(first, last) for topic in (ALERT, EVENT)]


@pytest.mark.parametrize("point", POINTS)
def test_a_gateway_killed_at_any_point_loses_nothing(point, any_broker, make_gateway, backend, enter):
    gateway = make_gateway(any_broker)
    gateway.start(point, "3")
    post = enter(any_broker, POST)
    sent = []
    deadline = time.monotonic() + 10
    while gateway.process.poll() is None or len(sent) < 2 * COUNT:
        assert time.monotonic() < deadline, f"the gateway did not die {point}"
        sent += signals(len(sent) // 2, len(sent) // 2 + 1)
        for topic, frame in sent[-2:]:
            post.publish(topic, frame)
        time.sleep(0.005)  # a pace: without one, everything may share two commits
    assert gateway.process.returncode == -9
    gateway.start()
    backend.wait(lambda: set(backend.seen) >= set(sent))
    assert set(backend.seen) == set(sent)


def test_a_gateway_that_is_away_is_waited_for_by_the_broker(any_broker, make_gateway, backend, enter):
    gateway = make_gateway(any_broker).start()
    gateway.kill()
    post = enter(any_broker, POST)
    for topic, frame in signals():
        post.publish(topic, frame)
    gateway.start()
    backend.wait(lambda: set(backend.seen) >= set(signals()))


def test_a_broker_killed_and_started_again_is_found_again(any_broker, make_gateway, backend, enter):
    make_gateway(any_broker).start()
    post = enter(any_broker, POST)
    post.publish(ALERT, b"before")
    backend.wait(lambda: (ALERT, b"before") in backend.seen)
    any_broker.kill()
    any_broker.start()
    post = enter(any_broker, POST, client_id="again")

    def heard():
        post.publish(ALERT, b"after")  # as a device does, until it is acknowledged
        return (ALERT, b"after") in backend.seen

    wait_for(heard, 30, "the press after the broker's restart")


def test_the_gateways_own_state_tells_ready_and_lost(any_broker, make_gateway, enter):
    watch = enter(any_broker, WATCH)
    watch.subscribe(STATE)
    gateway = make_gateway(any_broker).start()
    assert b'"ready"' in watch.take().payload
    gateway.kill()
    assert b'"lost"' in watch.take(60 if any_broker.kind == NATS else 30).payload
    gateway.start()
    assert b'"ready"' in watch.take().payload
    assert gateway.stop() == 0
    assert b'"lost"' in watch.take().payload
    late = enter(any_broker, WATCH, client_id="late")
    late.subscribe(STATE)
    state = late.take()
    assert state.retained
    assert b'"lost"' in state.payload


def test_a_restart_takes_less_than_ten_seconds_with_a_full_spool(nats, make_gateway, backend, enter):
    """RELIABILITY 13: 5,000 events wait in the spool when the gateway comes back."""
    backend.behave = lambda kind, document: refuse_all if kind == "envelopes" else None
    gateway = make_gateway(nats).start()
    post = enter(nats, POST)
    for number in range(5_000):
        post.send_publish(EVENT, b"event %d" % number)
    wait_for(lambda: gateway.status()[1].get("spooled", 0) >= 5_000, 30, "5,000 spooled events")
    gateway.kill()
    backend.behave = lambda kind, document: None
    gateway.start()
    post.publish(ALERT, b"press")
    backend.wait(lambda: (ALERT, b"press") in backend.seen, 10)
    backend.wait(lambda: len(backend.seen) == 5_001, 30)


def refuse_all(handler):
    reply(handler, 503, b"{}")
