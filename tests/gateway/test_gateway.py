"""The gateway against real brokers and a backend that misbehaves: order, refusals, beats, downlink, link, disk."""

import base64
import contextlib
import json
import os
import queue
import sqlite3
import subprocess
import threading
import time

import pytest
from conftest import ACK, ALERT, BEAT, EVENT, OTHER_POST, POST, STATE, WATCH, wait_for
from fake_backend import reply
from tocsin_gateway import beats, forwarding, mqtt_link, uplink
from tocsin_gateway import intake as intake_module
from tocsin_wire.limits import MAX_RECEIVED

COMMAND = ACK.removesuffix("ack") + "cmd"

pytestmark = pytest.mark.chain


def statuses(*answers):
    """A backend that answers each POST of envelopes with the next of these statuses, then rightly."""
    left = list(answers)

    def behave(kind, _document):
        if kind != "envelopes" or not left:
            return None
        status = left.pop(0)
        return status if callable(status) else lambda handler: reply(handler, status, b"{}")

    return behave


def failing(handler):
    reply(handler, 500, b"{}")


# -- the ordinary way


def test_frames_pass_unchanged_and_the_ack_comes_back_at_once(any_broker, make_app, backend, enter):
    signed = b'{"ack":1}\nk1:mac'
    backend.acks = lambda row: (ACK, signed) if row["topic"] == ALERT else None
    make_app(any_broker)
    post = enter(any_broker, POST)
    post.subscribe(ACK)
    frame = bytes(range(256)) + b"\n\xc3\xa9\x00"
    post.publish(ALERT, frame)
    assert post.take().payload == signed
    ((topic, arrived, envelope),) = backend.envelopes
    assert (topic, arrived) == (ALERT, frame)
    assert (envelope["retained"], envelope["dup"]) == (0, 0)
    assert abs(envelope["at_ms"] - time.time() * 1000) < 10_000


def test_what_was_forwarded_leaves_the_spool(any_broker, make_app, backend, enter):
    app = make_app(any_broker)
    post = enter(any_broker, POST)
    for number in range(20):
        post.publish(ALERT if number % 2 else EVENT, b"%d" % number)
    backend.wait(lambda: len(backend.seen) == 20)
    wait_for(lambda: app.describe()["spooled"] == 0, 30, "an empty spool")
    assert app.describe()["faults"] == {}
    assert sum(backend.seen.values()) == 20


def test_a_press_published_at_qos_0_is_forwarded_too(broker, make_app, backend, enter):
    make_app(broker)
    enter(broker, POST).publish(ALERT, b"third party", qos=0)
    backend.wait(lambda: (ALERT, b"third party") in backend.seen)


def test_retained_words_go_up_once_however_often_the_broker_repeats_them(any_broker, make_app, backend, enter):
    state = "tocsin/1/demo/bau-1/state"
    post = enter(any_broker, POST)
    post.publish(state, b"ready", retain=True)
    app = make_app(any_broker)
    backend.wait(lambda: (state, b"ready") in backend.seen)
    assert backend.envelopes[0][2]["retained"] == 1
    app.link._client.socket().shutdown(2)  # the link is cut: the gateway subscribes anew
    wait_for(lambda: app.counts.now().get("retained_known", 0) >= 1, 30, "the repeated word")
    post.publish(state, b"restarting", retain=True)
    backend.wait(lambda: (state, b"restarting") in backend.seen)
    assert backend.seen[state, b"ready"] == 1


# -- a backend that misbehaves (RELIABILITY 15)


@pytest.mark.parametrize("status", [500, 503, 429, 401, 302])
def test_whatever_it_answers_instead_of_200_nothing_is_lost(status, broker, make_app, backend, enter):
    backend.behave = statuses(status, status)
    app = make_app(broker)
    enter(broker, POST).publish(ALERT, b"press")
    backend.wait(lambda: (ALERT, b"press") in backend.seen)
    wait_for(lambda: app.describe()["faults"] == {}, 30, "the end of the fault")
    wait_for(lambda: app.describe()["spooled"] == 0, 30, "an empty spool")


def test_an_answer_that_makes_no_sense_counts_for_nothing(broker, make_app, backend, enter):
    nonsense = (b"not json", b'{"answers": []}', b'{"answers": [{"id": 1, "r": "perhaps"}]}')
    backend.behave = statuses(*[lambda handler, body=body: reply(handler, 200, body) for body in nonsense])
    app = make_app(broker)
    enter(broker, POST).publish(ALERT, b"press")
    backend.wait(lambda: (ALERT, b"press") in backend.seen)
    assert app.counts.now()["uplink_rejected"] == len(nonsense)
    wait_for(lambda: app.describe()["faults"] == {}, 30, "the end of the fault")


def test_a_backend_that_hangs_up_or_goes_away_is_found_again(broker, make_app, backend, enter):
    def hang_up(handler):
        handler.close_connection = True
        handler.connection.shutdown(2)

    backend.behave = statuses(hang_up, hang_up, hang_up)
    make_app(broker)
    enter(broker, POST).publish(ALERT, b"press")
    backend.wait(lambda: (ALERT, b"press") in backend.seen)


def test_a_backend_that_hangs_on_events_delays_no_press(broker, make_app, backend, enter, monkeypatch):
    """The press is there while the event still hangs, and the gateway has not given that up."""
    monkeypatch.setattr(uplink, "ANSWER_WITHIN_MS", 120_000)
    hanging, release = threading.Event(), threading.Event()

    def wait_there(handler):
        hanging.set()
        release.wait(100)
        reply(handler, 503, b"{}")

    def hang(kind, document):
        return wait_there if kind == "envelopes" and document["envelopes"][0]["topic"] == EVENT else None

    backend.behave = hang
    make_app(broker)
    post = enter(broker, POST)
    post.publish(EVENT, b"event")
    assert hanging.wait(30)
    post.publish(ALERT, b"press")
    try:
        backend.wait(lambda: (ALERT, b"press") in backend.seen)
    finally:
        release.set()


def test_a_press_overtakes_five_thousand_waiting_events(nats, make_app, backend, enter, monkeypatch):
    monkeypatch.setitem(forwarding.BACKOFF_MAX_MS, forwarding.REST, 500)
    backend.behave = lambda kind, document: (
        failing if kind == "envelopes" and document["envelopes"][0]["topic"] == EVENT else None
    )
    app = make_app(nats)
    post = enter(nats, POST)
    for number in range(5_000):
        post.send_publish(EVENT, b"event %d" % number)
    wait_for(lambda: app.describe()["spooled"] >= 5_000, 30, "5,000 spooled events")
    post.send_publish(ALERT, b"press")
    backend.wait(lambda: (ALERT, b"press") in backend.seen)
    assert backend.frames() == [b"press"]
    backend.behave = lambda kind, document: None
    backend.wait(lambda: len(backend.seen) == 5_001, 40)
    order = [int(frame.split()[1]) for frame in backend.frames() if frame.startswith(b"event")]
    firsts = list(dict.fromkeys(order))
    assert sorted(firsts) == list(range(5_000))
    assert max(backend.batches) > 1


def test_a_poisonous_envelope_holds_up_nobody(broker, make_app, backend, enter):
    def choke(kind, document):
        if kind == "envelopes" and any(row["topic"].endswith("/bau-2/event") for row in document["envelopes"]):
            return failing
        return None

    backend.behave = choke
    app = make_app(broker)
    enter(broker, OTHER_POST).publish("tocsin/1/demo/bau-2/event", b"poison")
    post = enter(broker, POST)
    for number in range(20):
        post.publish(EVENT, b"%d" % number)
    backend.wait(lambda: len(backend.seen) == 20, 20)
    wait_for(lambda: app.describe()["uplink"]["rest"]["waiting"] == 1, 30, "the poison waiting alone")
    backend.behave = lambda kind, document: None
    backend.wait(lambda: ("tocsin/1/demo/bau-2/event", b"poison") in backend.seen, 30)


def test_what_the_backend_refuses_is_quarantined_with_its_reason_and_blocks_nothing(
    any_broker, make_app, backend, enter
):
    backend.refuse = {EVENT: "bad-signature"}
    app = make_app(any_broker)
    post = enter(any_broker, POST)
    post.publish(EVENT, b"{" * 900)
    post.publish(ALERT, b"press")
    backend.wait(lambda: (ALERT, b"press") in backend.seen)
    wait_for(lambda: app.describe()["quarantined"] == 1, 30, "the quarantine")
    wait_for(lambda: app.describe()["spooled"] == 0, 30, "an empty spool")
    with sqlite3.connect(app._settings.data / "spool.db") as conn:
        assert conn.execute("SELECT topic, reason FROM quarantine").fetchall() == [(EVENT, "bad-signature")]
    conn.close()
    assert backend.seen[EVENT, b"{" * 900] == 1


def test_a_monster_goes_up_cut_and_the_next_press_is_not_delayed(any_broker, make_app, backend, enter):
    app = make_app(any_broker)
    post = enter(any_broker, POST)
    post.publish(EVENT, b"x" * 60_000)
    post.publish(ALERT, b"x" * (MAX_RECEIVED + 1))
    post.publish(ALERT, b"press")
    backend.wait(lambda: len(backend.seen) == 3)
    assert not any(name.startswith("uplink_") for name in app.counts.now()), "nothing failed, nothing was tried twice"
    assert {len(frame) for frame in backend.frames()} == {MAX_RECEIVED + 1, 5}
    assert app.counts.now()["oversize"] == 1
    with contextlib.suppress(ConnectionError, EOFError):  # a megabyte is the broker's to refuse
        post.publish(EVENT, b"x" * 1_000_000)
    enter(any_broker, OTHER_POST).publish("tocsin/1/demo/bau-2/alert", b"after")
    backend.wait(lambda: ("tocsin/1/demo/bau-2/alert", b"after") in backend.seen)
    assert len(backend.seen) == 4


def test_the_same_signal_at_every_hop_again_is_one_for_the_backend_to_know(broker, make_app, backend, enter):
    backend.acks = lambda row: (ACK, b"stored")
    make_app(broker)
    post = enter(broker, POST)
    post.subscribe(ACK)
    for _ in range(3):
        post.publish(ALERT, b"press")
        assert post.take().payload == b"stored"
    assert backend.seen[ALERT, b"press"] == 3


# -- beats


def test_beats_are_folded_and_their_acks_come_back(broker, make_app, backend, enter):
    backend.beat_acks = lambda row: (ACK, b"alive")
    make_app(broker, beat_period_ms=500)
    post, other = enter(broker, POST), enter(broker, OTHER_POST)
    post.subscribe(ACK)
    for number in range(30):
        post.publish(BEAT, b"beat %d" % number, qos=0)
    other.publish("tocsin/1/demo/bau-2/beat", b"other", qos=0)
    backend.wait(lambda: sum(count for _, _, count in backend.beats) == 31)
    assert len(backend.beats) <= 4
    assert backend.beats[-1][1] in (b"beat 29", b"other")
    ack = post.take()
    assert (ack.payload, ack.qos) == (b"alive", 0)
    assert backend.envelopes == []


def test_beats_that_hang_delay_no_press_and_are_dropped(broker, make_app, backend, enter, monkeypatch):
    monkeypatch.setattr(beats, "ANSWER_WITHIN_MS", 120_000)
    hanging, release, end = threading.Event(), threading.Event(), threading.Event()

    def wait_there(handler):
        hanging.set()
        release.wait(100)
        reply(handler, 503, b"{}")

    backend.behave = lambda kind, _: wait_there if kind == "beats" else None
    app = make_app(broker)
    post = enter(broker, POST)
    for number in range(2_000):
        post.send_publish(BEAT, b"beat %d" % number, qos=0)
    assert hanging.wait(30)
    post.publish(ALERT, b"press")
    try:
        backend.wait(lambda: (ALERT, b"press") in backend.seen)  # while the beats hang
        assert app.counts.now().get("beats_dropped", 0) == 0
        backend.behave = lambda kind, _: (lambda handler: end.wait(100)) if kind == "beats" else None
        monkeypatch.setattr(beats, "ANSWER_WITHIN_MS", 300)
        release.set()
        wait_for(lambda: app.counts.now().get("beats_dropped", 0) >= 1, 30, "the refused beats dropped")
        dropped = app.counts.now()["beats_dropped"]
        post.send_publish(BEAT, b"late", qos=0)
        wait_for(lambda: app.counts.now()["beats_dropped"] > dropped, 30, "the hanging beats dropped")
    finally:
        release.set()
        end.set()


# -- downlink


def test_rows_are_published_in_order_and_acknowledged_after_the_broker_has_them(any_broker, make_app, backend, enter):
    make_app(any_broker)
    post = enter(any_broker, POST)
    post.subscribe(ACK)
    for number in range(50):
        backend.send_down(ACK, b"ack %d" % number)
    assert [post.take().payload for _ in range(50)] == [b"ack %d" % number for number in range(50)]
    backend.wait(lambda: backend.acked == 50)


def test_after_a_kill_the_stream_goes_on_from_the_last_acknowledged_row(any_broker, make_gateway, backend, enter):
    gateway = make_gateway(any_broker).start()
    post = enter(any_broker, POST)
    post.subscribe(ACK)
    backend.send_down(ACK, b"first")
    assert post.take().payload == b"first"
    backend.wait(lambda: backend.acked == 1)
    gateway.kill()
    backend.send_down(ACK, b"second")
    backend.send_down(ACK, b"third")
    gateway.start()
    assert [post.take().payload, post.take().payload] == [b"second", b"third"]
    backend.wait(lambda: backend.acked == 3)
    assert backend.streams == [0, 1]


def test_rows_wait_for_a_broker_that_is_away(any_broker, make_app, backend, enter):
    make_app(any_broker)
    any_broker.kill()
    backend.send_down(ACK, b"while away")
    time.sleep(0.2)
    assert backend.acked == 0
    any_broker.start()
    backend.wait(lambda: backend.acked == 1, 20)


def test_a_command_is_passed_down_in_its_time_and_dropped_after_it(any_broker, make_app, backend, enter):
    """Late is worse than never: an alarm must not sound when the broker comes back."""
    app = make_app(any_broker)
    post = enter(any_broker, POST)
    post.subscribe(COMMAND)
    backend.send_item(topic=COMMAND, frame=base64.b64encode(b"in time").decode(), ttl_ms=30_000)
    assert post.take().payload == b"in time"
    any_broker.kill()
    wait_for(lambda: not app.link.ready, 20, "the broker missed")
    backend.send_item(topic=COMMAND, frame=base64.b64encode(b"late").decode(), ttl_ms=50)
    time.sleep(0.1)
    any_broker.start()
    backend.wait(lambda: backend.acked == 2, 20)
    assert app.counts.now()["commands_expired"] == 1
    again = enter(any_broker, POST)
    again.subscribe(COMMAND)
    backend.send_item(topic=COMMAND, frame=base64.b64encode(b"fresh").decode(), ttl_ms=30_000)
    assert again.take().payload == b"fresh"


def test_a_row_that_is_not_ours_to_publish_is_passed_over(broker, make_app, backend, enter):
    app = make_app(broker)
    post, watch = enter(broker, POST), enter(broker, WATCH)
    post.subscribe(ACK)
    watch.subscribe("tocsin/1/demo/#")
    backend.send_down("tocsin/1/demo/bau-1/alert", b"forged")
    backend.send_down(STATE, b"forged")
    backend.send_down(ACK, b"good")
    assert post.take().payload == b"good"
    backend.wait(lambda: backend.acked == 3)
    assert app.counts.now()["downlink_refused"] == 2
    assert b"forged" not in [message.payload for message in watch.collect(0.2)]


# -- the link


def test_a_message_that_makes_the_callback_stumble_comes_again(nats, backend, make_app, enter):
    """paho would end its thread of it. NATS repeats what was not acknowledged after 2 s."""
    app = make_app(nats)
    right, stumbled = app.intake.offer, []

    def offer(arrival):
        if not stumbled:
            stumbled.append(arrival)
            raise RuntimeError("planted")
        right(arrival)

    app.intake.offer = offer
    enter(nats, POST).publish(EVENT, b"event")
    backend.wait(lambda: (EVENT, b"event") in backend.seen)
    assert app.counts.now()["callback_errors"] == 1
    assert app.link.thread.is_alive()


def test_a_link_that_is_stuck_is_replaced(broker, make_app, backend, enter, monkeypatch):
    monkeypatch.setattr(mqtt_link, "STUCK_AFTER_MS", 1_500)
    app = make_app(broker)
    stuck, release = app.link, threading.Event()
    right = stuck._sink

    def hang(*args, **options):
        release.wait(20)
        right(*args, **options)

    stuck._sink = hang
    post = enter(broker, POST)
    post.publish(ALERT, b"press")
    backend.wait(lambda: (ALERT, b"press") in backend.seen, 15)
    assert app.link is not stuck
    assert app.counts.now()["links_replaced"] == 1
    release.set()
    stuck.thread.join(5)
    assert not stuck.thread.is_alive()
    post.publish(ALERT, b"another")
    backend.wait(lambda: (ALERT, b"another") in backend.seen)


def test_a_link_whose_thread_died_is_replaced(broker, make_app, backend, enter, monkeypatch):
    app = make_app(broker)
    dead = app.link
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    dead._wait = dead._turn_until_lost = lambda *_: (_ for _ in ()).throw(SystemExit)
    dead._client.socket().shutdown(2)
    wait_for(lambda: app.link is not dead and app.link.ready, 30, "a new link")
    enter(broker, POST).publish(ALERT, b"press")
    backend.wait(lambda: (ALERT, b"press") in backend.seen)


def test_a_puback_never_reaches_another_connection_than_its_own(broker, make_app):
    app = make_app(broker)
    acked = []
    app.link._client.ack = lambda mid, qos: acked.append(mid)
    app.link.puback(app.link._session, 7)
    app.link.puback(app.link._session - 1, 8)
    app.link.puback(app.link._session, 0)
    assert acked == [7]
    del app.link._client.ack


# -- the disk (RELIABILITY 14)


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 3 MB."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a disk of 3 MB")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a disk of 3 MB: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    """Take every free byte of the disk."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 512):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


def test_a_full_disk_stops_beats_then_acknowledgements_and_heals_without_a_restart(
    any_broker, make_app, backend, enter, small_disk
):
    app = make_app(any_broker, data=small_disk, spool_free_mb=1)
    post = enter(any_broker, POST)
    pubacks = []
    right = app.link._client.ack
    app.link._client.ack = lambda mid, qos: (pubacks.append(mid), right(mid, qos))
    post.publish(EVENT, b"before")
    backend.wait(lambda: (EVENT, b"before") in backend.seen)

    backend.behave = lambda kind, _: failing if kind == "envelopes" else None  # and the backend cannot help either
    ballast = fill(small_disk)
    known = len(pubacks)
    for number in range(20):
        post.publish(EVENT, b"%d" % number)
        post.publish(ALERT, b"%d" % number)
    wait_for(lambda: "storage-failed" in app.describe()["faults"], 30, "the fault")
    post.publish(BEAT, b"beat", qos=0)
    wait_for(lambda: app.counts.now().get("beats_dropped", 0) >= 1, 30, "beats that stop")
    assert app.describe()["storage"] == "failed"
    held = app.describe()["spooled"]
    assert len(pubacks) - known <= held  # not one more than is on the disk
    assert app.describe()["waiting_for_disk"] >= 1

    # The backend comes back first: what it has stored may be acknowledged, though our disk is full.
    backend.behave = lambda kind, _: None
    alerts = {(ALERT, b"%d" % number) for number in range(20)}
    backend.wait(lambda: set(backend.seen) >= alerts, 20)

    ballast.unlink()
    wait_for(lambda: app.describe()["faults"] == {}, 30, "healing")
    events = {(EVENT, b"%d" % number) for number in range(20)}
    backend.wait(lambda: set(backend.seen) >= events | alerts, 20)
    wait_for(lambda: app.describe()["waiting_for_disk"] == 0, 30, "an empty queue")
    post.publish(BEAT, b"alive again", qos=0)
    backend.wait(lambda: any(frame == b"alive again" for _, frame, _ in backend.beats))
    del app.link._client.ack


def test_little_room_stops_beats_only_and_says_so(broker, make_app, backend, enter, small_disk, monkeypatch):
    monkeypatch.setattr(intake_module, "LOOK_EVERY_MS", 100)
    app = make_app(broker, data=small_disk, spool_free_mb=2)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_500_000)
    post = enter(broker, POST)
    wait_for(lambda: "storage-tight" in app.describe()["faults"], 30, "the fault")
    post.publish(BEAT, b"beat", qos=0)
    post.publish(ALERT, b"press")
    backend.wait(lambda: (ALERT, b"press") in backend.seen)
    wait_for(lambda: app.counts.now().get("beats_dropped", 0) >= 1, 30, "beats that stop")
    assert backend.beats == []
    ballast.unlink()
    wait_for(lambda: app.describe()["faults"] == {}, 30, "healing")


def test_an_fsync_that_fails_is_a_fault_and_not_an_acknowledgement(broker, make_app, backend, enter):
    app = make_app(broker)
    backend.behave = lambda kind, _: failing if kind == "envelopes" else None
    right = app.intake._writer.apply

    def fail(*_):
        raise sqlite3.OperationalError("disk I/O error")

    app.intake._writer.apply = fail
    pubacks = []
    ack = app.link._client.ack
    app.link._client.ack = lambda mid, qos: (pubacks.append(mid), ack(mid, qos))
    enter(broker, POST).publish(ALERT, b"press")
    wait_for(lambda: "disk I/O error" in app.describe()["faults"].get("storage-failed", ""), 30, "the fault")
    assert pubacks == []
    app.intake._writer.apply = right
    wait_for(lambda: len(pubacks) == 1, 30, "the acknowledgement")
    backend.behave = lambda kind, _: None
    backend.wait(lambda: (ALERT, b"press") in backend.seen)
    del app.link._client.ack


# -- the status page


def test_the_status_page_tells_and_a_process_ends_politely(broker, make_gateway, backend):
    gateway = make_gateway(broker).start()
    wait_for(lambda: gateway.status()[0] == 200, 30, "health")
    _, document = gateway.status()
    assert document["broker"] == "ready"
    assert document["uplink"]["alerts"] == {"state": "flowing", "waiting": 0, "failures_in_a_row": 0}
    broker.kill()
    wait_for(lambda: gateway.status()[0] == 503, 30, "the fault")
    assert "broker" in gateway.status()[1]["faults"]
    assert gateway.stop() == 0


def test_the_store_then_acknowledge_order(broker, make_app, backend, enter):
    """Store, then acknowledge: at each PUBACK the message is in the spool, or the backend has it."""
    app = make_app(broker)
    verdicts = queue.SimpleQueue()
    right = app.intake._puback

    def puback(session, mid):
        with sqlite3.connect(app._settings.data / "spool.db") as conn:
            spooled = {bytes(row[0]) for row in conn.execute("SELECT frame FROM envelope")}
        conn.close()
        with backend.lock:
            known = {frame for _, frame in backend.seen}
        verdicts.put(spooled | known)
        right(session, mid)

    app.intake._puback = puback
    post = enter(broker, POST)
    for number in range(10):
        frame = b"%d" % number
        post.publish((ALERT, EVENT)[number % 2], frame)
        assert frame in verdicts.get(timeout=5)


def test_nothing_secret_is_logged(broker, make_gateway, backend, enter):
    backend.behave = statuses(401)
    gateway = make_gateway(broker, log_level="debug").start()
    enter(broker, POST).publish(ALERT, b"press")
    backend.wait(lambda: (ALERT, b"press") in backend.seen)
    gateway.stop()
    credentials = json.loads((gateway.log_file.parent / "gateway.json").read_text())
    assert credentials["token"].encode() not in gateway.log()
    assert credentials["broker"]["password"].encode() not in gateway.log()
