"""SIA DC-09 against a real receiver on loopback: plain and encrypted, by two paths, with hostile names; supervision."""

import ipaddress
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from arc import ACCOUNT, KEY, SECRET, awaited, free_port, receiver, scripted
from backend_rig import ORG, SCREEN, START_MS, Rig, steps, who
from hypothesis import given, settings
from hypothesis import strategies as st
from pysiaalarm import SIAAccount, SIAEvent
from siadc09.account import Account
from siadc09.message import AckMessage
from siadc09.util import crc
from tocsin_backend.centre_watch import HOLD_MS, CentreWatch
from tocsin_backend.channels import Outgoing
from tocsin_backend.channels import dc09 as channel_module
from tocsin_backend.channels.dc09 import Dc09, replies
from tocsin_backend.channels.reach import Reach
from tocsin_backend.clock import SystemClock
from tocsin_backend.domain import dc09, policies
from tocsin_backend.domain.notices import Message
from tocsin_backend.engine import Sender
from tocsin_backend.errors import Unavailable
from tocsin_backend.outbox import Outbox
from tocsin_backend.store import centres, tables
from tocsin_backend.store.centres import Centre

LOOPBACK = Reach([ipaddress.ip_network("127.0.0.0/8")])
NAUGHTY = (
    "", "]", "[", "[K00][", "|1120 99 999", '"NAK"0000', "\r\n\n", "\0\x1b", "é€😀\ud800", "#9999",
    "_00:00:00,01-01-2000", "x" * 5_000, "‮", "ﷺ" * 99, "*", "^", "\\", "A\rB\nC",
)  # fmt: skip


@pytest.fixture(autouse=True)
def quiet():
    """pysiaalarm says loudly what it refuses; some of it is refused on purpose."""
    logging.getLogger("pysiaalarm").setLevel(logging.CRITICAL)


def a_centre(*ports: int, key: str = "", protocol: str = "ADM-CID", **more) -> Centre:
    paths = tuple(("127.0.0.1", port) for port in ports)
    values = {
        "org": ORG, "id": "alpha", "title": "Alpha", "account": ACCOUNT, "paths": paths, "key": key,
        "protocol": protocol, "external": True, "supervision_ms": 60_000, "supervised_ms": None,
        "created_ms": START_MS,
    }  # fmt: skip
    return Centre(**(values | more))


class Line:
    """A rig whose clock shows the real time, since centres look at it, with DC-09 among its channels."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        rig.clock.now = SystemClock().now_ms()
        self.channel = Dc09(rig.database, rig.clock, LOOPBACK)
        rig.outbox.channels = frozenset({*rig.outbox.channels, "dc09"})
        rig.engine.senders["dc09"] = Sender(self.channel, rig.engine._sent, rig.clock.now_ms)
        target = policies.Target(channel="dc09/alpha")
        rig.policy(steps((600, [SCREEN, target, who("a.martin")])))
        self.martin = rig.person("a.martin", webhook="https://a.test")
        self.post = rig.post("bau-1", policy="plan")
        self.watch = CentreWatch(rig.database, rig.clock, rig.outbox, self.channel)

    def save(self, centre: Centre) -> None:
        self.rig.database.write(lambda conn: centres.save(conn, centre)).result()

    def press(self, **fields) -> str:
        alert_id = self.post.press(**fields)["alert"]
        self.rig.pump()
        return alert_id

    def dispatch(self, alert_id: str) -> tuple:
        return self.rig.sql(
            "SELECT status, attempts, error FROM dispatch WHERE alert_id=? AND channel='dc09' AND kind='notify'",
            alert_id,
        )[0]

    def technical(self) -> list[tuple]:
        rows = self.rig.sql(
            "SELECT subject, condition FROM alert WHERE category='technical' ORDER BY raised_ms, subject"
        )
        return [tuple(row) for row in rows]


@pytest.fixture
def line(rig) -> Line:
    return Line(rig)


# -- what is said


def test_a_frame_is_what_the_standard_writes(line):
    """Kept as bytes: siadc09 is young, and a change of it must be seen."""
    message = line.channel.event(a_centre(1), ("1", "120"), 1, 7, "Lycee, Grille")
    at = datetime(2026, 11, 23, tzinfo=UTC)
    frame = message.encode(seq=7, timestamp=at)
    assert frame == b'\nDD51004B"ADM-CID"0007L0#1234[#1234|1120 01 007][ILycee, Grille]_00:00:00,11-23-2026\r'


@pytest.mark.parametrize("text", NAUGHTY)
def test_a_name_is_plain_letters(text):
    made = dc09.plain(text)
    assert len(made) <= dc09.TEXT_MAX
    assert made.isascii()
    assert not set(made) & set('[]|"#_^*\\\r\n\0')


def test_accents_are_taken_off():
    assert dc09.plain("Lycée Émile Zola – Œuvre n° 3") == "Lycee Emile Zola uvre n 3"


@pytest.mark.parametrize(
    ("press", "code", "sia"),
    [({}, "120", "PA"), ({"silent": 1}, "122", "HA")],
)
@pytest.mark.parametrize("protocol", ["ADM-CID", "SIA-DCS"])
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_press_and_its_end_are_acknowledged_by_a_real_receiver(line, press, code, sia, protocol, encrypted):
    key, secret = (KEY, SECRET) if encrypted else ("", None)
    with receiver(secret) as (port, heard, _):
        line.save(a_centre(port, key=key, protocol=protocol))
        alert_id = line.press(**press)
        assert tuple(line.dispatch(alert_id)) == ("delivered", 1, None)
        other = line.rig.person("b.durand", webhook="https://b.test")
        for person in (line.martin, other):  # a silent one takes two
            line.rig.engine.close(ORG, alert_id, person, "real")
        line.rig.pump()
        assert awaited(heard, 2) == 2
        if protocol == "ADM-CID":
            assert [(e.event_qualifier, e.event_type, e.ri) for e in heard] == [("1", code, "001"), ("3", code, "001")]
        else:
            assert [e.code for e in heard] == [sia, {"PA": "PR", "HA": "HR"}[sia]]
        assert "Lycee de l'Emperi, Grille" in str(heard[0].x_data)
        assert int(heard[1].sequence) == int(heard[0].sequence) % 9_999 + 1


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("protocol", ["ADM-CID", "SIA-DCS"])
def test_hostile_names_are_acknowledged_too(line, encrypted, protocol):
    key, secret = (KEY, SECRET) if encrypted else ("", None)
    with receiver(secret) as (port, heard, _):
        centre = a_centre(port, key=key, protocol=protocol)
        for text in NAUGHTY:
            frame = line.channel.event(centre, ("1", "120"), 1, 7, dc09.plain(text))
            assert line.channel._by_path(centre, centre.paths[0], frame, _soon()) is None, text
        assert awaited(heard, len(NAUGHTY)) == len(NAUGHTY)
        assert {event.account for event in heard} == {ACCOUNT}


@settings(max_examples=60, deadline=None)
@given(text=st.text(), zone=st.integers(0, 999), group=st.integers(0, 99), protocol=st.sampled_from(dc09.PROTOCOLS))
def test_any_name_makes_a_frame_that_the_receiver_reads_whole(text, zone, group, protocol):
    channel = Dc09(None, SystemClock(), LOOPBACK)
    frame = channel.event(a_centre(1, protocol=protocol), ("1", "122"), group, zone, dc09.plain(text))
    line = frame.encode(seq=1, timestamp=datetime.now(UTC)).decode("ascii")
    event = SIAEvent.from_line(line.strip(), {ACCOUNT: SIAAccount(ACCOUNT)})
    assert event.valid_message
    assert str(event.response) == "ResponseType.ACK"


@pytest.mark.parametrize(
    ("subject", "code"), [("lost", "381"), ("tamper", "137"), ("gateway-lost", "350"), ("stuck", "380")]
)
def test_technical_alerts_have_their_codes(line, subject, code):
    found = line.rig.alert(line.press())
    assert dc09.event(replace(found, category="technical", subject=subject), "notify") == ("1", code)
    assert dc09.event(replace(found, category="personal"), "closed") == ("3", "121")
    assert dc09.event(found, "taken") is None


def _soon() -> float:
    return time.monotonic() + 4


# -- whose answer counts


def frame_of(word: str, sequence: int, content: str = "[]", star: str = "") -> bytes:
    body = f'"{star}{word}"{sequence:04}L0#1234{content}'.encode()
    return b"\n%04X%04X" % (crc(body), len(body)) + body + b"\r"


def test_only_an_ack_of_our_own_number_counts(line):
    mine: list[int] = []

    def answer(frame: bytes) -> bytes:
        mine.append(int(frame[frame.index(b"L0#") - 4 :][:4]))
        return frame_of("ACK", mine[-1] % 9_999 + 1) + frame_of("ACK", mine[-1])

    with scripted(answer) as (port, heard):
        line.save(a_centre(port))
        assert line.dispatch(line.press())[0] == "delivered"
        assert awaited(heard, 1) == 1


@pytest.mark.parametrize(
    "said",
    [b"", b"junk", b'\n00000010"ACK"0001L0#1234[]\r', frame_of("ACK", 0), frame_of("OK", 1)],
    ids=["hangs up", "junk", "crc", "another number", "another word"],
)
def test_anything_else_is_no_acceptance(line, said, monkeypatch):
    monkeypatch.setattr(channel_module, "DEADLINE_S", 0.3)
    with scripted(lambda _frame: said or None) as (port, _):
        line.save(a_centre(port))
        status, attempts, error = line.dispatch(line.press())
        assert (status, attempts) == ("pending", 1)
        assert error


def test_with_a_key_a_plain_ack_is_none(line):
    assert replies(frame_of("ACK", 5), "") != []
    assert replies(frame_of("ACK", 5), KEY) == []
    assert replies(frame_of("ACK", 5, "[" + "00" * 16, "*"), KEY) == []


@pytest.mark.parametrize(("age_s", "status"), [(0, "delivered"), (3_600, "pending")])
def test_an_encrypted_ack_of_another_hour_is_none(line, monkeypatch, age_s, status):
    monkeypatch.setattr(channel_module, "DEADLINE_S", 0.5)
    account = Account(acct=int(ACCOUNT, 16), key=KEY)

    def answer(frame: bytes) -> bytes:
        at = datetime.fromtimestamp(line.rig.clock.now // 1000 - age_s, UTC)
        return AckMessage(account, int(frame[frame.index(b"L0#") - 4 :][:4]), at).encode()

    with scripted(answer) as (port, _):
        line.save(a_centre(port, key=KEY))
        assert line.dispatch(line.press())[0] == status


def test_a_duh_by_the_main_path_leaves_the_backup_to_try(line):
    with (
        scripted(lambda frame: frame_of("DUH", int(frame[frame.index(b"L0#") - 4 :][:4]))) as (main, heard),
        receiver(band=(10**6, 10**6)) as (backup, events, _),
    ):
        line.save(a_centre(main, backup))
        line.press()
        awaited(events, 1)
        assert line.rig.sql("SELECT status FROM dispatch WHERE channel='dc09'") == [("delivered",)]
        assert len(heard) == 1


def test_an_event_that_was_acknowledged_is_not_sent_again_because_nobody_could_note_it(line, monkeypatch):
    with receiver(band=(10**6, 10**6)) as (port, events, _):
        line.save(a_centre(port))

        def away(centre):
            raise Unavailable("the database is away")

        monkeypatch.setattr(line.channel, "_note_answer", away)
        line.press()
        line.rig.run(60_000)
        awaited(events, 1)
        assert line.rig.sql("SELECT status, attempts FROM dispatch WHERE channel='dc09'") == [("delivered", 1)]


def test_a_duh_is_for_good(line):
    with scripted(lambda frame: frame_of("DUH", int(frame[frame.index(b"L0#") - 4 :][:4]))) as (port, heard):
        line.save(a_centre(port, port))
        status, _, error = line.dispatch(line.press())
        assert (status, len(heard)) == ("failed", 2)  # each path once
        assert "DUH" in error


def test_a_clock_that_differs_is_answered_with_the_centres_time(line):
    with receiver(SECRET) as (port, heard, _):
        line.save(a_centre(port, key=KEY))
        line.rig.clock.now -= 90_000
        alert_id = line.press()
        assert tuple(line.dispatch(alert_id)) == ("delivered", 1, None)
        assert awaited(heard, 1) == 1


def test_the_account_that_nobody_knows_is_temporary(line):
    with receiver() as (port, heard, _):
        line.save(a_centre(port, account="ABC"))
        assert line.dispatch(line.press())[0] == "pending"
        assert heard == []


# -- two paths


def test_a_dead_main_path_costs_the_backup_nothing(line):
    with receiver(SECRET) as (port, heard, _):
        line.save(a_centre(free_port(), port, key=KEY))
        assert line.dispatch(line.press())[0] == "delivered"
        assert awaited(heard, 1) == 1


def test_a_main_path_that_hangs_leaves_the_backup_its_time(line, monkeypatch):
    monkeypatch.setattr(channel_module, "DEADLINE_S", 1.0)
    with scripted(lambda _frame: None) as (hung, asked), receiver() as (port, heard, _):
        line.save(a_centre(hung, port))
        assert line.dispatch(line.press())[0] == "delivered"
        assert (len(asked), awaited(heard, 1)) == (1, 1)
        sequence = heard[0].sequence.encode()
        assert sequence in asked[0]  # the same event has the same number by both paths


def test_both_dead_is_a_temporary_refusal_that_names_both(line):
    one, other = free_port(), free_port()
    line.save(a_centre(one, other))
    status, attempts, error = line.dispatch(line.press())
    assert (status, attempts) == ("pending", 1)
    assert str(one) in error
    assert str(other) in error


def test_it_goes_out_on_the_next_try(line):
    port = free_port()
    line.save(a_centre(port))
    alert_id = line.press()
    assert line.dispatch(alert_id)[0] == "pending"
    with receiver() as (up, heard, _):
        line.save(a_centre(up))
        line.rig.run(3_000)
        assert line.dispatch(alert_id)[0] == "delivered"
        assert awaited(heard, 1) == 1


def test_a_centre_that_does_not_exist_fails_at_once(line):
    assert line.dispatch(line.press())[0] == "failed"


def test_a_private_address_is_refused_unless_a_setting_names_it(line):
    with receiver() as (port, heard, _):
        line.save(a_centre(port))
        line.channel._reach = Reach()
        assert "TOCSIN_CENTRE_PRIVATE_NETWORKS" in line.dispatch(line.press())[2]
        assert heard == []


def test_the_key_is_never_shown(line):
    centre = a_centre(1, key=KEY)
    assert KEY not in repr(centre)
    assert KEY not in str(centre)


# -- drills


def test_a_drill_or_a_probe_never_leaves(line):
    with receiver() as (port, heard, _):
        line.save(a_centre(port))
        alert_id = line.press(mode="drill")
        assert line.rig.sql("SELECT count(*) FROM dispatch WHERE channel='dc09'") == [(0,)]
        assert line.rig.alert(alert_id).mode == "drill"
        assert heard == []


def test_even_a_dispatch_that_should_not_be_there_is_refused(line):
    with receiver() as (port, heard, _):
        line.save(a_centre(port))
        alert_id = line.press(mode="drill")
        dispatch_id = line.rig.sql("SELECT id FROM dispatch WHERE alert_id=? AND channel='console'", alert_id)[0][0]
        line.rig.sql("UPDATE dispatch SET channel='dc09', target='dc09/alpha' WHERE id=?", dispatch_id)
        outcome = line.channel.send(Outgoing(dispatch_id, alert_id, "dc09", "", "", 0, Message("", "", {})))
        assert (outcome.accepted, outcome.permanent, heard) == (False, True, [])


# -- supervision


def test_an_idle_line_is_tested_and_a_busy_one_is_not(line):
    with receiver(SECRET) as (port, _, client):
        line.save(a_centre(port, key=KEY))
        line.rig.sql("UPDATE monitoring_centre SET created_ms=?", line.rig.clock.now)
        line.press()
        line.rig.settle()
        counted = client.counts.events
        line.rig.clock.now += 59_000
        assert line.watch.turn() == 1_000
        assert client.counts.events == counted
        line.rig.clock.now = SystemClock().now_ms()  # the receiver looks at the time
        line.rig.sql("UPDATE monitoring_centre SET supervised_ms=?", line.rig.clock.now - 60_000)
        line.watch.turn()
        assert client.counts.events == counted + 1
        assert line.rig.sql("SELECT supervised_ms FROM monitoring_centre") == [(line.rig.clock.now,)]
        assert line.technical() == []


def test_a_centre_that_is_lost_is_told_once_and_cleared_when_it_answers(line):
    line.save(a_centre(free_port(), free_port()))
    line.watch.turn()
    assert line.technical() == []  # one failure is no loss
    for _ in range(3):
        line.rig.clock.now += 60_000
        line.watch.turn()
    assert line.technical() == [("centre-lost", "active")]
    line.rig.clock.now = SystemClock().now_ms() + 300_000
    with receiver(band=(10**6, 10**6)) as (port, _, _):
        line.save(a_centre(port, port))
        line.watch.turn()
    assert line.technical() == [("centre-lost", "cleared")]


def test_one_dead_path_is_told_as_such(line):
    with receiver(band=(10**6, 10**6)) as (port, _, _):
        line.save(a_centre(free_port(), port))
        for _ in range(3):
            line.rig.clock.now += 60_000
            line.watch.turn()
        assert line.technical() == [("centre-path", "active")]
        line.save(a_centre(port, port))
        line.rig.clock.now += 60_000
        line.watch.turn()
        assert line.technical() == [("centre-path", "cleared")]


def test_two_lost_centres_are_cleared_when_both_answer(line):
    line.save(a_centre(free_port()))
    line.save(a_centre(free_port(), id="beta"))
    for _ in range(3):
        line.rig.clock.now += 60_000
        line.watch.turn()
    with receiver(band=(10**6, 10**6)) as (port, _, _):
        line.save(a_centre(port))
        line.rig.clock.now += 60_000
        line.watch.turn()
        assert line.technical() == [("centre-lost", "active")]
        line.save(a_centre(port, id="beta"))
        line.rig.clock.now += 60_000
        line.watch.turn()
    assert line.technical() == [("centre-lost", "cleared")]


def test_what_was_lost_before_a_restart_is_cleared_after_it(line):
    line.save(a_centre(free_port()))
    for _ in range(3):
        line.rig.clock.now += 60_000
        line.watch.turn()
    assert line.technical() == [("centre-lost", "active")]
    line.watch = CentreWatch(line.rig.database, line.rig.clock, line.rig.outbox, line.channel)
    with receiver(band=(10**6, 10**6)) as (port, _, _):
        line.save(a_centre(port))
        line.rig.clock.now += 60_000
        line.watch.turn()
    assert line.technical() == [("centre-lost", "cleared")]


def test_a_centre_that_was_removed_is_waited_for_no_more(line):
    line.save(a_centre(free_port()))
    for _ in range(3):
        line.rig.clock.now += 60_000
        line.watch.turn()
    line.rig.database.write(lambda conn: centres.remove(conn, ORG, "alpha")).result()
    line.watch.turn()
    assert line.technical() == [("centre-lost", "cleared")]


def test_of_two_processes_one_tests_the_lines_and_the_other_takes_over(postgres_rig):
    line = Line(postgres_rig)
    line.save(a_centre(free_port()))
    line.save(a_centre(free_port(), id="beta"))
    tested = []

    def watch(owner):
        outbox = Outbox(owner, line.rig.outbox.channels, line.rig.outbox.base_url)
        made = CentreWatch(line.rig.database, line.rig.clock, outbox, line.channel)
        made._channel = SimpleNamespace(test=lambda centre: tested.append((owner, centre.id)) or ["no answer"])
        return made

    one, two = watch("one"), watch("two")
    for _ in range(3):
        line.rig.clock.now += 50_000
        two.turn()
        one.turn()
    assert {owner for owner, _ in tested} == {"two"}
    assert line.technical() == [("centre-lost", "active")]
    two.stop()  # as at an orderly end; one that dies is waited for
    tested.clear()
    line.rig.clock.now += 60_000
    one.turn()
    assert tested == [("one", "alpha"), ("one", "beta")]
    three = watch("three")
    three.turn()
    assert len(tested) == 2
    line.rig.clock.now += HOLD_MS + 1
    three.turn()
    assert {owner for owner, _ in tested[2:]} == {"three"}
    assert line.technical() == [("centre-lost", "active")]


def test_the_watch_runs_and_stops(line):
    line.save(a_centre(free_port()))
    line.watch.start()
    line.watch.stop()
    assert not line.watch._thread.is_alive()


def test_posts_keep_their_numbers(rig):
    for name in ("bau-1", "bau-2", "bau-3"):
        rig.post(name)
    with rig.database.read() as conn:
        before = centres.zones(conn, ORG)
        assert [(row["group"], row["zone"], row["device"]) for row in before] == [
            (1, 1, "bau-1"), (1, 2, "bau-2"), (1, 3, "bau-3"),
        ]  # fmt: skip
        assert centres.numbers(conn, ORG, "no", "no") == (0, 0)
    rig.sql("UPDATE device SET retired_ms=1 WHERE id='bau-1'")
    rig.save(tables.Device(org=ORG, id="a-first", site="lycee", created_ms=START_MS + 1))
    with rig.database.read() as conn:
        assert centres.zones(conn, ORG)[:3] == before
