"""Each defect of umqtt.simple, against the real umqtt.simple on the real MicroPython; run by test_mqtt.py.

The sockets here have ESP32's semantics: setblocking(True) wipes the timeout, and reading then without data would wait
for ever, which fails the test. Time is told, and passes only while somebody waits.
"""
# ruff: noqa: RUF005, RUF059

import gc
import sys

sys.modules["machine"] = sys  # clock.py wants one; nothing of it is used here

from tocsin_esp32 import mqtt  # noqa: E402
from umqtt import simple  # noqa: E402

POLLIN, POLLOUT, POLLERR = 1, 4, 8


class World:
    """The network as this client sees it."""

    def __init__(self):
        self.now = 1000
        self.incoming = b""
        self.ended = False
        self.writes = []
        self.takes = 10**6  # bytes the network takes at a time
        self.answers = True  # as a broker does
        self.connects = True
        self.error = 0
        self.idles = []
        self.blocking = None

    def now_ms(self):
        return self.now

    def idle(self):
        self.idles.append(self.now)

    def broker(self, data):
        """Answers to whole packets: CONNACK, SUBACK, PUBACK, PINGRESP."""
        at = 0
        while at < len(data):
            kind, length, shift, head = data[at], 0, 0, at + 1
            while True:
                byte = data[head]
                length |= (byte & 127) << shift
                shift += 7
                head += 1
                if byte < 128:
                    break
            body = data[head : head + length]
            at = head + length
            if kind == 0x10:
                self.incoming += b"\x20\x02\x00\x00"
            elif kind == 0x82:
                self.incoming += b"\x90\x03" + body[:2] + b"\x01"
            elif kind & 0xF6 == 0x32:
                topic = body[0] << 8 | body[1]
                self.incoming += b"\x40\x02" + body[2 + topic : 4 + topic]
            elif kind == 0xC0:
                self.incoming += b"\xd0\x00"


class Socket:
    def __init__(self):
        self.world = WORLD
        self.timeout = None  # for ever

    def setblocking(self, flag):
        self.timeout = None if flag else 0
        self.world.blocking = flag

    def settimeout(self, seconds):
        self.timeout = seconds

    def setsockopt(self, *_option):
        raise OSError(95)

    def connect(self, _address):
        raise OSError(115)

    def readinto(self, buffer):
        world = self.world
        if world.incoming:
            count = min(len(buffer), len(world.incoming))
            buffer[:count] = world.incoming[:count]
            world.incoming = world.incoming[count:]
            return count
        if world.ended:
            return 0
        assert self.timeout == 0, "would wait for ever"
        return None

    def write(self, data):
        assert self.timeout == 0, "may wait for ever"
        data = bytes(data[: self.world.takes])
        if not data:
            return None
        self.world.writes.append(data)
        if self.world.answers:
            self.world.broker(data)
        return len(data)

    def close(self):
        pass


class Poll:
    def register(self, sock, events):
        self.sock = sock
        self.events = events

    modify = register

    def unregister(self, _sock):
        pass

    def poll(self, wait_ms):
        world = WORLD
        found = 0
        if world.error:
            found = POLLOUT | POLLERR
        elif self.events & POLLOUT and world.connects and world.takes:
            found = POLLOUT
        elif self.events & POLLIN and (world.incoming or world.ended):
            found = POLLIN
        if not found:
            world.now += wait_ms
        return [(self.sock, found)] if found else []


class Select:
    POLLIN, POLLOUT, POLLERR = POLLIN, POLLOUT, POLLERR
    poll = Poll


class Sockets:
    socket = Socket


WORLD = None
mqtt.select = Select
mqtt._sockets = Sockets


def begin():
    global WORLD
    WORLD = mqtt.clock = World()
    return WORLD, mqtt.Client(b"post-1-5e", b"post-1", b"secret", 30, WORLD.idle)


def opened():
    world, client = begin()
    client.open(("192.0.2.1", 1883), ("t/state", b"lost", 1, True))
    world.writes = []
    return world, client


def checked(client):
    """All that arrives, one message a check."""
    found = []
    while True:
        client.check()
        if not client.arrived:
            return found
        found.append(client.arrived.pop())


def lost(action, *arguments):
    """The reason of the LinkLost that this must end in; anything else fails."""
    try:
        action(*arguments)
    except mqtt.LinkLost as error:
        return str(error)
    raise AssertionError("no LinkLost")


def message(topic, body, kind=0x30, pid=None):
    rest = len(topic).to_bytes(2, "big") + topic + (b"" if pid is None else pid.to_bytes(2, "big")) + body
    length = b""
    size = len(rest)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([kind]) + length + bytes([size]) + rest


def test_connect_is_one_write_with_will_and_clean_session():
    world, client = begin()
    client.open(("192.0.2.1", 1883), ("t/state", b"lost", 1, True))
    assert len(world.writes) == 1
    packet = world.writes[0]
    assert packet[0] == 0x10
    assert packet[1] == len(packet) - 2
    assert packet[9] == 0xC0 | 0x20 | 0x08 | 0x04 | 0x02, "user, password, Will retained at QoS 1, clean session"
    assert packet[10] << 8 | packet[11] == 30


def test_accented_names_keep_the_frames_whole():
    global WORLD
    WORLD = mqtt.clock = World()
    client = mqtt.Client(b"accueil", "accueil-été".encode(), "clé".encode(), 30, WORLD.idle)
    client.open(None, ("t/é", "perdu é".encode(), 1, True))
    assert WORLD.writes[0][1] == len(WORLD.writes[0]) - 2


def test_a_publish_is_one_write_and_waits_for_nothing():
    world, client = opened()
    before = world.now
    client.send("t/alert", b"help", 1, False)
    assert len(world.writes) == 1
    assert world.writes[0] == message(b"t/alert", b"help", 0x32, 1)
    assert world.now == before
    assert [row[0] for row in client.in_flight] == [1]
    client.check()
    assert client.in_flight == []


def test_the_real_umqtt_needs_five_writes_for_it():
    world, client = opened()
    writes = []

    class Counting:
        def write(self, data, length=None):
            writes.append(bytes(data if length is None else data[:length]))

    naked = simple.MQTTClient(b"x", b"", 1)
    naked.sock = Counting()
    naked.wait_msg = lambda: 0x40
    naked.sock.read = lambda size: b"\x02" if size == 1 else b"\x00\x01"
    naked.publish(b"t", b"m", False, 1)
    assert len(writes) == 5
    assert client.room()
    assert world.writes == []


def test_the_timeout_is_never_wiped():
    world, client = opened()
    client.listen("t/ack")
    client.send("t/alert", b"x", 1, False)
    world.incoming += message(b"t/ack", b"yes", 0x32, 9)
    checked(client)
    assert world.blocking is False, "umqtt asked for setblocking(True); the socket never heard of it"
    assert world.writes[-1] == b"\x40\x02\x00\x09", "and the message was acknowledged"


def test_one_byte_and_silence_ends_within_three_seconds_and_never_waits():
    for start in (b"\x40", b"\x32\x80", b"\x32\x10\x00\x05t/a"):
        world, client = opened()
        world.incoming = start
        begun = world.now
        client.check()
        while world.now - begun < 2400:
            before = world.now
            client.check()
            assert world.now == before, "it waited"
            world.now += 5
        world.now = begun + 3000
        assert lost(client.check) == "half a packet"


def test_a_late_puback_does_not_desynchronise():
    world, client = opened()
    world.answers = False
    for number in range(3):
        client.send("t/alert", b"%d" % number, 1, False)
    found = []
    for data in (b"\x40\x02\x00", b"\x03" + message(b"t/ack", b"a")[:4], message(b"t/ack", b"a")[4:] + b"\x40"):
        world.incoming += data
        found += checked(client)
    world.incoming += b"\x02\x00\x01\x40\x02\x12\x34\xd0\x00" + message(b"t/ack", b"b")
    found += checked(client)
    assert [row[0] for row in client.in_flight] == [2]
    assert found == [(b"t/ack", b"a", False), (b"t/ack", b"b", False)]


def test_every_third_puback_lost_is_seen_by_its_age():
    world, client = opened()
    world.answers = False
    for _number in range(3):
        client.send("t/event", b"x", 1, False)
        world.now += 100
    world.incoming = b"\x40\x02\x00\x01\x40\x02\x00\x02"
    client.check()
    assert client.in_flight == [(3, 1200)], "tocsin_device.link ends the session when this is 5 s old"


def test_packet_ids_wrap_past_zero_and_past_those_in_flight():
    world, client = opened()
    world.answers = False
    client.send("t", b"stays", 1, False)
    client._last_id = 65530
    ids = []
    for _ in range(20):
        client.send("t", b"x", 1, False)
        ids.append(client.in_flight[-1][0])
        world.incoming = b"\x40\x02" + ids[-1].to_bytes(2, "big")
        client.check()
    assert ids == [65531, 65532, 65533, 65534, 65535] + list(range(2, 17)), ids


def test_more_than_65536_publishes_in_one_boot_and_the_heap_stays_as_it_was():
    world, client = opened()
    frame = b"x" * 300
    for _number in range(200):
        client.send("t/alert", frame, 1, False)
        client.check()
    world.writes = []
    gc.collect()
    before = gc.mem_free()
    zero = 0
    for _number in range(66000):
        client.send("tocsin/1/demo/post-1/alert", frame, 1, False)
        if world.writes.pop()[31:33] == b"\x00\x00":
            zero += 1
        client.check()
    assert client.in_flight == []
    assert zero == 0
    gc.collect()
    assert before - gc.mem_free() < 512, before - gc.mem_free()


def test_an_oversize_message_is_refused_by_its_header():
    for length in (
        b"\xe0\xd4\x03",
        b"\xff\xff\xff\x7f",
        b"\x81\x08",
        b"\xff\xff\xff\xff\x7f",
        b"\x80\x80\x80\x80\x80\x01",
    ):
        world, client = opened()
        world.incoming = b"\x30" + length + b"x" * 500
        lost(client.check)
    world, client = opened()
    world.incoming = message(b"t/ack", b"x" * 1017)
    client.check()
    assert len(client.arrived[0][1]) == 1017


def test_a_length_that_lies_is_a_lost_link():
    for data in (
        b"\x30\x03\x00\x05t",
        b"\x32\x02\x00\x00\x30",
        b"\xd0\x01\x00",
        b"\x40\x03\x00\x01\x00",
        b"\x40\x01\x00",
        b"\x34\x05\x00\x01t\x00\x01",
        b"\x36\x05\x00\x01t\x00\x01",
        b"\x00\x00",
        b"\x20\x02\x00\x00",
        b"\xf0\x00",
    ):
        world, client = opened()
        world.incoming = data + b"\x00" * 40
        lost(checked, client)


def test_whatever_umqtt_raises_is_a_lost_link():
    for error in (OSError(-1), ValueError(), IndexError(), AssertionError(), TypeError(), simple.MQTTException(5)):

        class Raising:
            def __init__(self, what):
                self.what = what

            def __call__(self, *_):
                raise self.what

        world, client = opened()
        client.guard.flush = Raising(error)
        lost(client.send, "t", b"x", 1, False)
        lost(client.check)
    _world, client = opened()
    client.guard.flush = Raising(MemoryError())
    try:
        client.check()
        raise AssertionError("swallowed")
    except MemoryError:
        pass


def test_fuzz_ends_in_lost_links_only():
    state = 20261122
    print("seed", state)
    losses = 0
    for number in range(10000):
        world, client = (begin if number % 4 == 0 else opened)()
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        size = 1 + (state >> 8) % 24
        data = bytearray(size)
        for at in range(size):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            data[at] = state >> 16 & 255
        if number % 3 == 0:
            data[0] = (0x30, 0x32, 0x40, 0x90, 0xD0)[number % 5]
        if number % 5 == 0 and size > 1:
            data[1] = size - 2
        world.incoming = bytes(data)
        try:
            if number % 4 == 0:
                world.answers = False
                client.open(None, ("t", b"w", 1, True))
            checked(client)
            world.now += 5000
            checked(client)
        except mqtt.LinkLost:
            losses += 1
        client.arrived.clear()
    assert losses > 5000


def test_no_answer_to_connect_ends_in_five_seconds_and_idle_runs_all_the_time():
    for silent in ("tcp", "connack"):
        world, client = begin()
        world.answers = False
        world.connects = silent != "tcp"
        begun = world.now
        assert lost(client.open, None, ("t", b"w", 1, True)) == "no answer"
        assert 5000 <= world.now - begun <= 5020
        gaps = [world.idles[at + 1] - world.idles[at] for at in range(len(world.idles) - 1)]
        assert len(gaps) > 900
        assert max(gaps) <= 10


def test_what_is_not_mqtt_or_refuses_is_a_lost_link():
    world, client = begin()
    world.answers = False
    for data in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x02\x00\x05", b"\x20\x02", b"\x16\x03\x01\x00"):
        world.incoming = data
        lost(client.open, None, ("t", b"w", 1, True))
        client.guard.close()
        client.guard.close()
    world.ended = True
    world.incoming = b""
    assert "closed" in lost(client.open, None, ("t", b"w", 1, True))
    world, client = begin()
    world.error = 1
    assert "refused" in lost(client.open, None, ("t", b"w", 1, True))


def test_a_refused_subscription_is_a_lost_link():
    world, client = opened()
    world.answers = False
    client.listen("t/ack")
    world.incoming = b"\x90\x03\x00\x01\x80"
    assert "subscription" in lost(client.check)


def test_subscription_presses_and_birth_leave_without_a_round_trip():
    world, client = opened()
    world.answers = False
    client.listen("t/ack")
    client.send("t/alert", b"press", 1, False)
    client.send("t/state", b"ready", 1, True)
    assert [packet[0] for packet in world.writes] == [0x82, 0x32, 0x33]
    assert [row[0] for row in client.in_flight] == [1, 2, 3]


def test_a_broker_that_does_not_read_blocks_nothing():
    world, client = opened()
    world.takes = 0
    before = world.now
    client.send("t/alert", b"x" * 400, 1, False)
    assert not client.room()
    client.check()
    assert world.now == before
    assert lost(client.send, "t/alert", b"x" * 400, 1, False) == "the broker does not read"
    world, client = opened()
    world.takes = 7
    client.send("t/alert", b"x" * 100, 1, False)
    world.answers = False
    for _ in range(40):
        client.check()
    assert b"".join(world.writes) == message(b"t/alert", b"x" * 100, 0x32, 1)
    assert client.room()


def test_at_most_eight_questions_are_open():
    world, client = opened()
    world.answers = False
    count = 0
    while client.room():
        client.send("t", b"x", 1, False)
        count += 1
    assert count == 8


def test_retained_messages_are_marked():
    world, client = opened()
    world.incoming = message(b"t/ack", b"old", 0x31) + message(b"t/ack", b"new", 0x30)
    assert checked(client) == [(b"t/ack", b"old", True), (b"t/ack", b"new", False)]


def test_bytes_that_came_with_connack_are_not_forgotten():
    world, client = begin()
    world.answers = False
    world.incoming = b"\x20\x02\x00\x00" + message(b"t/ack", b"early")
    client.open(None, ("t", b"w", 1, True))
    client.check()
    assert client.arrived == [(b"t/ack", b"early", False)]


def test_a_ping_is_asked_and_its_answer_heard():
    world, client = opened()
    world.now += 9000
    client.ask()
    assert world.writes == [b"\xc0\x00"]
    client.check()
    assert client.heard_ms == world.now
