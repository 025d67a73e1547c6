"""Short messages on their way down to a modem, and what became of them on its way up."""

import threading

import pytest
from fake_backend import TOKEN, reply
from tocsin_gateway import short_messages
from tocsin_gateway.connection import Connection
from tocsin_gateway.faults import Counts
from tocsin_gateway.short_messages import Refused, ShortMessages


def message(identity="d-1", **more):
    return {"id": identity, "to": "+33612345678", "text": "Appel à l'aide", "ttl_s": 30, **more}


class Modem:
    """`sent` holds (to, text); `answer` may raise."""

    def __init__(self):
        self.sent = []
        self.answer = lambda: None
        self.ready = threading.Event()
        self.ready.set()

    def send(self, to, text):
        assert self.ready.wait(20)
        self.answer()
        self.sent.append((to, text))


@pytest.fixture
def modem():
    return Modem()


@pytest.fixture
def started(backend):
    """started(modem) -> ShortMessages that runs, against the strict backend."""
    running = []

    def start(modem):
        made = ShortMessages(modem, Connection(backend.url, TOKEN), Counts())
        threads = [threading.Thread(target=made.run), threading.Thread(target=made.run_reports)]
        for each in threads:
            each.start()
        running.append((made, threads))
        return made

    yield start
    for made, threads in running:
        made.stop()
        for each in threads:
            each.join(10)
            assert not each.is_alive()


def words(backend, number):
    backend.wait(lambda: len(backend.sms_reports) >= number)
    return [(row["id"], row["r"]) for row in backend.sms_reports]


def test_a_message_is_sent_once_however_often_it_comes(backend, modem, started):
    down = started(modem)
    down.take(message())
    assert words(backend, 1) == [("d-1", "accepted")]
    down.take(message())
    assert words(backend, 2) == [("d-1", "accepted")] * 2
    assert modem.sent == [("+33612345678", "Appel à l'aide")]
    down.delivered("d-1")
    assert words(backend, 3)[-1] == ("d-1", "delivered")


def test_a_message_that_comes_again_while_it_waits_is_not_sent_twice(backend, modem, started):
    modem.ready.clear()
    down = started(modem)
    for _ in range(3):
        down.take(message())
    modem.ready.set()
    assert words(backend, 1) == [("d-1", "accepted")]
    assert len(modem.sent) == 1


def test_without_a_modem_it_is_said_at_once(backend, started):
    started(None).take(message())
    assert words(backend, 1) == [("d-1", "no-modem")]


def test_a_refusal_may_be_tried_again_under_the_same_id(backend, modem, started):
    def refuse():
        raise Refused("no network")

    down = started(modem)
    modem.answer = refuse
    down.take(message())
    assert words(backend, 1) == [("d-1", "refused")]
    assert backend.sms_reports[0]["error"] == "no network"
    modem.answer = lambda: None
    down.take(message())
    assert words(backend, 2)[-1] == ("d-1", "accepted")
    assert len(modem.sent) == 1


def test_a_modem_that_breaks_refuses_and_the_next_message_goes(backend, modem, started):
    def burst():
        modem.answer = lambda: None
        raise RuntimeError("+33612345678 must not be told")

    down = started(modem)
    modem.answer = burst
    down.take(message("d-1"))
    down.take(message("d-2"))
    assert sorted(words(backend, 2)) == [("d-1", "refused"), ("d-2", "accepted")]
    assert "+33" not in str(backend.sms_reports)


def test_a_message_that_waited_too_long_is_not_sent(backend, modem, started):
    down = started(modem)
    down.take(message(ttl_s=0))
    assert words(backend, 1) == [("d-1", "expired")]
    assert modem.sent == []


def test_the_next_try_of_a_message_that_waited_too_long_is_sent(backend, modem, started):
    down = started(modem)
    down.take(message(ttl_s=0))
    assert words(backend, 1) == [("d-1", "expired")]
    down.take(message())
    assert words(backend, 2)[1:] == [("d-1", "accepted")]
    assert len(modem.sent) == 1


def test_a_row_that_comes_again_prolongs_what_waits(backend, modem, started):
    modem.ready.clear()
    down = started(modem)
    down.take(message("d-0"))
    down.take(message("d-1", ttl_s=0))
    down.take(message("d-1"))
    modem.ready.set()
    assert sorted(words(backend, 2)) == [("d-0", "accepted"), ("d-1", "accepted")]


@pytest.mark.parametrize("bad", [{"to": 1}, {"text": None}, {"ttl_s": "30"}, {"ttl_s": -1}, {"ttl_s": True}])
def test_what_makes_no_sense_is_refused(backend, modem, started, bad):
    started(modem).take(message(**bad))
    assert words(backend, 1) == [("d-1", "refused")]
    assert modem.sent == []


@pytest.mark.parametrize("bad", [None, [], "x", {}, {"id": 1}, {"id": ""}, {"id": "x" * 65}])
def test_what_has_no_id_is_left_alone(backend, modem, started, bad):
    down = started(modem)
    down.take(bad)
    down.refuse(bad)
    down.take(message())
    assert words(backend, 1) == [("d-1", "accepted")]


def test_more_than_the_modem_can_do_is_refused_and_not_kept(backend, modem, started, monkeypatch):
    modem.ready.clear()
    down = started(modem)
    for number in range(short_messages.WAITING_MAX + 2):
        down.take(message(f"d-{number}"))
    backend.wait(lambda: len(backend.sms_reports) >= 1)
    assert {row["r"] for row in backend.sms_reports} == {"refused"}
    modem.ready.set()


def test_reports_wait_for_a_backend_that_is_away(backend, modem, started):
    down = started(modem)
    away = threading.Event()

    def busy(kind, document):
        if kind == "reports" and not away.is_set():
            away.set()
            return lambda handler: reply(handler, 503, b"{}")
        return None

    backend.behave = busy
    down.take(message("d-1"))
    down.take(message("d-2"))
    backend.wait(lambda: len(backend.sms_reports) >= 2)
    assert sorted({row["id"] for row in backend.sms_reports}) == ["d-1", "d-2"]


def test_a_row_that_makes_no_sense_holds_up_no_command_behind_it(backend, broker, make_gateway):
    make_gateway(broker).start()
    backend.send_item(sms="not a message")
    backend.send_item(sms={}, fax={})
    backend.send_item(topic=7, frame="%%")
    backend.send_down("tocsin/1/demo/bau-1/ack", b"x")
    backend.wait(lambda: backend.acked >= 4)


def test_a_gateway_in_the_field_answers_an_sms_it_cannot_send_and_an_order_it_does_not_know(
    backend, broker, make_gateway
):
    """The real process: without a modem, and older than the backend. Neither holds up the frames behind it."""
    make_gateway(broker).start()
    backend.send_item(sms=message("d-1"))
    backend.send_item(fax={"id": "d-2"})
    backend.send_down("tocsin/1/demo/bau-1/ack", b"x")
    backend.wait(lambda: len(backend.sms_reports) >= 2)
    assert sorted((row["id"], row["r"]) for row in backend.sms_reports) == [("d-1", "no-modem"), ("d-2", "no-modem")]
    backend.wait(lambda: backend.acked >= 3)
