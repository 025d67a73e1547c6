"""The broker's rules, written by brokers.py, tried on the real brokers: what a stolen login can and cannot do."""

import contextlib
import itertools
import shutil
import signal
import stat
import time

import pytest
from tocsin_backend import brokers
from tocsin_backend.brokers import Login
from tocsin_sim.broker import MOSQUITTO, NATS, Broker, BrokerError
from tocsin_sim.raw_mqtt import REFUSED, Refused

BAU_1 = Login(brokers.DEVICE, "demo", "bau-1", "bau-1-password-0123456789")
BAU_2 = Login(brokers.DEVICE, "demo", "bau-2", "bau-2-password-0123456789")
STRANGER = Login(brokers.DEVICE, "other", "bau-1", "stranger-password-0123456789")
GATEWAY = Login(brokers.GATEWAY, "demo", "gw-1", "gateway-password-0123456789")
WATCH = Login(brokers.WATCH, "demo", "ops", "watch-password-0123456789")
OTHER_GATEWAY = Login(brokers.GATEWAY, "demo", "gw-2", "gateway-password-9876543210")
OTHER_WATCH = Login(brokers.WATCH, "demo", "ops-2", "watch-password-9876543210")
LOGINS = [BAU_1, BAU_2, STRANGER, GATEWAY, WATCH, OTHER_GATEWAY, OTHER_WATCH]
QUIET_S = 0.3

needs_mosquitto = pytest.mark.skipif(
    not (shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")),
    reason="needs Mosquitto: apt-get install mosquitto",
)


@pytest.fixture(scope="module", params=[NATS, pytest.param(MOSQUITTO, marks=needs_mosquitto)])
def broker(request, tmp_path_factory):
    with Broker(tmp_path_factory.mktemp(request.param), LOGINS, kind=request.param) as running:
        yield running


@pytest.fixture
def forge(broker, enter):
    """forge(login, topic, payload) publishes what should not pass, each time anew: Mosquitto drops the forger."""

    names = itertools.count()

    def attempt(login, topic, payload, **options):
        forger = enter(broker, login, client_id=f"forger-{next(names)}")  # NATS slows an id that comes and goes
        with contextlib.suppress(ConnectionError, EOFError):
            forger.publish(topic, payload, **options)  # acknowledged all the same: MQTT 3.1.1 knows no refusal
        forger.close()

    return attempt


def topics_of(messages):
    return [message.topic for message in messages]


@pytest.mark.chain
def test_a_device_speaks_on_its_own_topics_only(broker, enter, forge):
    watch = enter(broker, WATCH)
    assert watch.subscribe("tocsin/1/demo/#") < REFUSED
    for org, device in (("demo", "bau-2"), ("other", "bau-1"), ("demo", "bau-1/x")):
        for channel in ("alert", "event", "state", "info", "beat", "reply", "log", "ack", "cmd", "config"):
            forge(BAU_1, f"tocsin/1/{org}/{device}/{channel}", b"forged")
    for channel in ("ack", "cmd", "config"):
        forge(BAU_1, f"tocsin/1/demo/bau-1/{channel}", b"forged")
    forge(BAU_1, "tocsin/1/demo/_gw/gw-1/state", b"forged", retain=True)
    forge(BAU_1, "$MQTT/sub/x", b"forged", qos=0)
    enter(broker, BAU_1).publish("tocsin/1/demo/bau-1/alert", b"mine")
    assert [(m.topic, m.payload) for m in watch.collect(QUIET_S)] == [("tocsin/1/demo/bau-1/alert", b"mine")]


@pytest.mark.chain
def test_a_device_reads_its_own_down_topics_only(broker, enter):
    thief, gateway = enter(broker, BAU_1), enter(broker, GATEWAY)
    filters = [f"tocsin/1/demo/{device}/{channel}" for device in ("bau-2", "+") for channel in ("ack", "cmd", "config")]
    filters += ["tocsin/1/demo/bau-2/alert", "tocsin/1/other/+/ack", "tocsin/#", "#", "+/#", "$SYS/#", "$MQTT/sub/#"]
    filters += ["$MQTT/sub/+", "$JS/#", "tocsin/1/demo/bau-1/alert"]
    for qos in (0, 1):
        for topic_filter in filters:
            granted = thief.subscribe(topic_filter, qos)
            assert broker.kind == MOSQUITTO or granted == REFUSED  # Mosquitto grants, then delivers nothing
    assert thief.subscribe("tocsin/1/demo/bau-1/ack") < REFUSED
    assert thief.subscribe("tocsin/1/demo/_gw/+/state") < REFUSED
    for device in ("bau-2", "bau-1"):
        for channel in ("ack", "cmd", "config"):
            gateway.publish(f"tocsin/1/demo/{device}/{channel}", device.encode())
    gateway.publish("tocsin/1/demo/_gw/gw-1/state", b"ready", retain=True)
    # Mosquitto delivers once a subscription that matches; our own down-topics and the gateway's state are all there is.
    assert set(topics_of(thief.collect(QUIET_S))) <= {
        "tocsin/1/demo/bau-1/ack",
        "tocsin/1/demo/bau-1/cmd",
        "tocsin/1/demo/bau-1/config",
        "tocsin/1/demo/_gw/gw-1/state",
    }
    gateway.publish("tocsin/1/demo/_gw/gw-1/state", b"", retain=True)


@pytest.mark.chain
def test_a_device_gets_its_acks_and_the_retained_state_of_the_gateway(broker, enter):
    gateway = enter(broker, GATEWAY)
    gateway.publish("tocsin/1/demo/_gw/gw-1/state", b'{"st":"ready"}', retain=True)
    device = enter(broker, BAU_1)
    assert device.subscribe("tocsin/1/demo/bau-1/ack") == 1
    assert device.subscribe("tocsin/1/demo/_gw/+/state") == 1
    state = device.take()
    assert (state.topic, state.payload, state.retained) == ("tocsin/1/demo/_gw/gw-1/state", b'{"st":"ready"}', True)
    gateway.publish("tocsin/1/demo/bau-1/ack", b"stored")
    ack = device.take()
    assert (ack.topic, ack.payload) == ("tocsin/1/demo/bau-1/ack", b"stored")
    gateway.publish("tocsin/1/demo/_gw/gw-1/state", b"", retain=True)


@pytest.mark.chain
def test_a_gateway_hears_the_fleet_but_cannot_speak_as_a_device(broker, enter, forge):
    gateway, device, watch = enter(broker, GATEWAY), enter(broker, BAU_2), enter(broker, WATCH)
    assert watch.subscribe("tocsin/1/demo/#") < REFUSED
    for channel in ("alert", "event", "state", "info", "reply", "beat"):
        assert gateway.subscribe(f"tocsin/1/demo/+/{channel}") < REFUSED
    forge(OTHER_GATEWAY, "tocsin/1/demo/bau-2/alert", b"forged")
    forge(OTHER_GATEWAY, "tocsin/1/other/bau-1/ack", b"forged")
    forge(OTHER_WATCH, "tocsin/1/demo/bau-2/ack", b"forged")
    device.publish("tocsin/1/demo/bau-2/alert", b"press")
    assert [(m.topic, m.payload) for m in watch.collect(QUIET_S)] == [("tocsin/1/demo/bau-2/alert", b"press")]
    assert topics_of(gateway.collect(QUIET_S)) == ["tocsin/1/demo/bau-2/alert"]


@pytest.mark.chain
def test_the_will_of_a_device_is_heard_and_a_will_for_another_is_not(broker, enter):
    watch = enter(broker, WATCH)
    watch.subscribe("tocsin/1/demo/+/state")
    enter(broker, BAU_1, will=("tocsin/1/demo/bau-2/state", b"lost")).drop()
    enter(broker, BAU_1, will=("tocsin/1/demo/bau-1/state", b"lost")).drop()
    assert [(m.topic, m.payload) for m in watch.collect(QUIET_S)] == [("tocsin/1/demo/bau-1/state", b"lost")]


@pytest.mark.chain
def test_claiming_the_gateways_client_id_gives_none_of_its_messages(broker, enter):
    gateway = enter(broker, GATEWAY, clean=False)
    assert gateway.subscribe("tocsin/1/demo/+/alert") == 1
    gateway.close()
    thief = enter(broker, BAU_1, client_id=GATEWAY.user, clean=False)
    device = enter(broker, BAU_2)
    device.publish("tocsin/1/demo/bau-2/alert", b"press")
    assert thief.collect(QUIET_S) == []
    thief.close()
    deadline = time.monotonic() + 10
    while True:
        try:
            gateway = enter(broker, GATEWAY, clean=False)
            break
        except EOFError:  # NATS keeps a client id out for a second after it was contested
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert gateway.take(10.0).payload == b"press"


@pytest.mark.chain
@pytest.mark.parametrize("kind", [NATS, pytest.param(MOSQUITTO, marks=needs_mosquitto)])
def test_logins_are_reloaded_without_a_restart_and_revoked_ones_refused(kind, tmp_path, enter):
    with Broker(tmp_path, [BAU_1], kind=kind) as broker:
        with pytest.raises(Refused):
            enter(broker, BAU_2)
        before = broker.pid
        broker.reload([BAU_2])
        deadline = time.monotonic() + 10
        while True:
            try:
                enter(broker, BAU_2).close()
                break
            except Refused:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        with pytest.raises(Refused):
            enter(broker, BAU_1)
        assert broker.pid == before
        assert stat.S_IMODE(broker.users_file.stat().st_mode) == 0o600


@pytest.mark.chain
@pytest.mark.parametrize("kind", [NATS, pytest.param(MOSQUITTO, marks=needs_mosquitto)])
def test_what_was_acknowledged_survives_kill_9(kind, tmp_path, enter):
    count = 100
    with Broker(tmp_path, LOGINS, kind=kind) as broker:
        gateway = enter(broker, GATEWAY, clean=False)
        gateway.subscribe("tocsin/1/demo/+/alert")
        gateway.close()
        device = enter(broker, BAU_1)
        for number in range(count):
            device.publish("tocsin/1/demo/bau-1/alert", b"%d" % number)
        broker.kill()
        broker.start()
        gateway = enter(broker, GATEWAY, clean=False)
        assert gateway.session_present
        seen = {int(message.payload) for message in gateway.collect(1.0)}
        # Mosquitto saves right after it acknowledged, not before: the very last may be gone. A device sends it again.
        assert set(range(count)) - seen <= ({count - 1} if kind == MOSQUITTO else set())


@pytest.mark.parametrize(
    ("org", "name", "password"),
    [
        ("demo", "bau-1", "short"),
        ("demo", "bau-1", 'quote"and-brace}-0123456789'),
        ("demo", "#", "bau-1-password-0123456789"),
        ("de/mo", "bau-1", "bau-1-password-0123456789"),
        ("demo", "bau-1\n", "bau-1-password-0123456789"),
    ],
)
def test_what_could_break_out_of_a_configuration_file_is_refused(org, name, password):
    with pytest.raises(ValueError):
        Login(brokers.DEVICE, org, name, password)


def test_the_text_depends_on_the_data_only():
    for write in (brokers.nats_users, brokers.mosquitto_acl, brokers.mosquitto_passwords):
        assert write(LOGINS) == write(list(reversed(LOGINS)))


def test_mosquittos_file_holds_no_password_in_clear():
    text = brokers.mosquitto_passwords(LOGINS)
    assert all(login.password not in text for login in LOGINS)


@pytest.mark.chain
def test_a_broker_that_cannot_start_says_why(tmp_path):
    with Broker(tmp_path, LOGINS) as broker:
        (tmp_path / "twin").mkdir()
        (tmp_path / "twin" / "ports").write_text((tmp_path / "ports").read_text())
        with pytest.raises(BrokerError, match="address already in use"), Broker(tmp_path / "twin", LOGINS):
            pass
        broker.process.send_signal(signal.SIGTERM)
        broker.process.wait(5)
        with pytest.raises(BrokerError, match="not running"):
            _ = broker.pid
