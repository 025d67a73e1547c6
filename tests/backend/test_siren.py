"""Alarm outputs: only an alert's own target or a person's all-clear moves one, by the owner's fresh command (P7)."""

import pytest
from backend_rig import ORG, SCREEN, Rig, steps, who
from siren_device import Siren, a_group, a_siren, commands_down
from tocsin_backend.api.gateway import _line
from tocsin_backend.channels import Outgoing
from tocsin_backend.channels import siren as channel_module
from tocsin_backend.domain import policies
from tocsin_backend.domain.notices import Message
from tocsin_backend.engine import Sender
from tocsin_backend.store import downlink
from tocsin_wire import messages

ALARMS = policies.Target(alarms="cour")


class House:
    """A site with a post, two sirens in one group, and a policy that sounds them."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        rig.clock.now += 1_000_000_000  # a day on which the counter is not its first
        rig.outbox.channels = frozenset({*rig.outbox.channels, "siren"})
        self.channel = channel_module.Siren(rig.database, rig.clock)
        rig.engine.senders["siren"] = Sender(self.channel, rig.engine._sent, rig.clock.now_ms)
        rig.policy(steps((600, [SCREEN, ALARMS, who("a.martin")])))
        self.martin = rig.person("a.martin", webhook="https://a.test")
        self.durand = rig.person("b.durand", webhook="https://b.test")
        self.post = rig.post("bau-1", policy="plan")
        self.one = a_siren(rig, "sirene-1", "hall", "cour")
        self.two = a_siren(rig, "sirene-2", "cour")
        a_group(rig, "cour", ("sirene-1", "cour"), ("sirene-2", "cour"))
        for each in (self.one, self.two):
            each.be_born()

    def press(self, **fields) -> str:
        alert_id = self.post.press(**fields)["alert"]
        self.rig.pump()
        return alert_id

    def deliver(self, *only: Siren, keep: bool = False) -> list[str]:
        """The gateway passes the commands down, the devices obey and answer: what they said."""
        said = []
        for topic, frame in commands_down(self.rig):
            for each in only or (self.one, self.two):
                if f"/{each.device}/" in topic:
                    reply = each.hears(topic, frame)
                    each.says(reply)
                    said.append("" if reply is None else str(reply["r"]))
        if not keep:
            self.rig.sql("DELETE FROM downlink WHERE topic LIKE '%/cmd'")
        self.rig.pump()
        return said

    def orders(self, alert_id: str) -> dict[str, str]:
        rows = self.rig.sql("SELECT target, status FROM dispatch WHERE alert_id=? AND kind='actuate'", alert_id)
        return {target.removeprefix("alarm:"): status for target, status in rows}

    def technical(self) -> list[str]:
        return [row[0] for row in self.rig.sql("SELECT subject FROM alert WHERE category='technical'")]


@pytest.fixture
def house(rig) -> House:
    return House(rig)


ON = {"cour/sirene-1/cour/on": "delivered", "cour/sirene-2/cour/on": "delivered"}


def test_a_press_sounds_the_group_and_each_output_confirms(house):
    alert_id = house.press()
    assert set(house.orders(alert_id).values()) == {"pending"}
    assert house.deliver() == ["done", "done"]
    assert house.orders(alert_id) == ON
    assert (house.one.moves, house.two.moves) == ([("cour", "on")], [("cour", "on")])
    assert [each["do"] for each in house.one.commands] == ["alarm-on"]
    house.rig.run(120_000)
    assert commands_down(house.rig) == []


def test_a_command_says_what_it_must_and_fits(house):
    house.press(mode="drill", sc="attack")
    (topic, frame), _ = commands_down(house.rig)
    command = messages.unseal(topic, frame, house.one.key)
    assert (command["mode"], command["ttl"], command["out"]) == ("drill", channel_module.TTL_S, "cour")
    assert command["nonce"] == house.one.nonce
    assert len(frame) <= 512


def test_a_command_that_was_lost_is_sent_again_and_moves_the_output_once(house):
    alert_id = house.press()
    house.deliver(house.two)  # the gateway's word to the first was lost on its way
    assert house.orders(alert_id)["cour/sirene-1/cour/on"] == "pending"
    house.rig.run(2_100)
    house.deliver(keep=True)
    assert house.orders(alert_id) == ON
    first = house.one.commands[0]
    house.rig.run(200_000)
    assert [each["id"] for each in house.one.commands] == [first["id"]]
    assert house.one.moves == [("cour", "on")]


def test_two_outputs_of_one_device_are_two_commands_of_one_second(house):
    house.rig.sql("""UPDATE alarm_group SET outputs='[["sirene-1","cour"],["sirene-1","hall"]]'""")
    alert_id = house.press()
    assert house.deliver() == ["done", "done"]
    first, second = house.one.commands
    assert (first["c"] + 1, first["t"]) == (second["c"], second["t"])
    assert set(house.orders(alert_id).values()) == {"delivered"}


def test_what_comes_in_the_wrong_order_is_tried_again(house):
    house.rig.sql("""UPDATE alarm_group SET outputs='[["sirene-1","cour"],["sirene-1","hall"]]'""")
    alert_id = house.press()
    for topic, frame in reversed(commands_down(house.rig)):
        house.one.says(house.one.hears(topic, frame))
    assert house.one.refused == ["counter"]
    house.rig.run(2_100)
    house.deliver()
    assert set(house.orders(alert_id).values()) == {"delivered"}


def test_a_reply_that_was_lost_makes_another_try_and_no_other_move(house):
    house.press()
    (topic, frame), *_ = commands_down(house.rig)
    house.one.hears(topic, frame)  # obeyed, and its reply never arrives
    house.rig.run(2_100)
    house.deliver()
    first, second = house.one.commands
    assert (first["id"], first["c"] < second["c"]) == (second["id"], True)
    assert house.one.moves == [("cour", "on")]


def test_a_device_that_was_never_born_gets_its_order_at_its_birth(house):
    late = a_siren(house.rig, "sirene-3", "cour")
    house.rig.sql("""UPDATE alarm_group SET outputs='[["sirene-3","cour"]]'""")
    alert_id = house.press()
    house.rig.run(1_000)
    assert commands_down(house.rig) == []
    late.be_born()
    house.rig.run()
    house.deliver(late)
    assert house.orders(alert_id) == {"cour/sirene-3/cour/on": "delivered"}


def test_after_a_restart_of_the_device_the_old_command_is_refused_and_a_new_one_comes_at_once(house):
    house.press()
    old = commands_down(house.rig)[0]
    house.one.be_born()
    reply = house.one.hears(*old)
    assert (reply["r"], reply["why"]) == ("refused", "nonce")
    house.one.says(reply)
    house.rig.run()
    assert house.deliver() == ["done", "done"]
    assert house.one.moves == [("cour", "on")]


def test_what_is_replayed_retained_moved_or_forged_moves_nothing(house):
    house.press()
    mine = next(each for each in commands_down(house.rig) if "/sirene-1/" in each[0])
    other = next(each for each in commands_down(house.rig) if "/sirene-2/" in each[0])
    assert house.one.hears(*mine, retained=True) is None
    assert house.one.hears(other[0], other[1]) is None
    assert house.one.hears(mine[0], other[1]) is None
    assert house.one.hears(mine[0], mine[1].replace(b'"cour"', b'"hall"')) is None
    assert house.one.refused == ["retained", "bad-signature", "bad-signature", "bad-signature"]
    assert house.one.hears(*mine)["r"] == "done"
    assert house.one.hears(*mine)["why"] == "counter"
    house.rig.clock.now += 31_000
    fresh = a_siren(house.rig, "sirene-9", "cour")
    fresh.key, fresh.nonce = house.one.key, house.one.nonce
    assert fresh.hears(*mine)["why"] == "expired"
    assert (house.one.moves, house.two.moves, fresh.moves) == ([("cour", "on")], [], [])


def test_a_command_whose_time_is_over_is_not_given_to_a_gateway(house):
    house.press()
    with house.rig.database.read() as conn:
        row = next(each for each in downlink.after(conn, ORG, "gw-1", 0) if each.topic.endswith("/cmd"))
    now_ms = house.rig.clock.now
    assert b'"ttl_ms": ' in _line(row, now_ms + 29_000)
    assert _line(row, now_ms + 30_000) == b""


def test_a_database_that_was_restored_counts_on_above_what_was_obeyed(house):
    house.press()
    house.deliver()
    house.rig.sql("UPDATE device SET command_c=0")
    house.rig.clock.now += 5_000
    house.rig.engine.all_clear(ORG, house.rig.sql("SELECT id FROM alert")[0][0], house.martin)
    house.rig.pump()
    assert house.deliver() == ["done", "done"]


# -- whose word counts


def test_only_the_ordered_device_can_confirm(house):
    alert_id = house.press()
    (topic, frame), *_ = commands_down(house.rig)
    done = house.one.hears(topic, frame)
    house.two.says(done)
    house.one.says({**done, "out": "hall"})
    house.one.says({**done, "re": "5c1d2f6a-7f0e-5a57-8a43-0f8f0b1c9d11"})
    assert house.orders(alert_id)["cour/sirene-1/cour/on"] == "pending"
    house.rig.settle()
    assert house.rig.sql("SELECT reason FROM evidence") == [("foreign-reply",)] * 3
    house.one.says(done)
    assert house.orders(alert_id)["cour/sirene-1/cour/on"] == "delivered"


def test_a_reply_is_a_signal_kept_once_and_acknowledged(house):
    house.press()
    (topic, frame), *_ = commands_down(house.rig)
    envelope = house.one.signal("reply", **house.one.hears(topic, frame))
    first, again = house.rig.give(envelope), house.rig.give(envelope)
    assert (first["r"], again["r"]) == ("stored", "duplicate")
    assert [ack["r"] for ack in house.one.acks(first) + house.one.acks(again)] == ["stored", "stored"]
    assert first["alert"] == again["alert"]


@pytest.mark.parametrize("trouble", ["stuck", "fire", "output", "state"])
def test_an_output_that_will_not_move_is_told_and_not_asked_for_ever(house, trouble):
    if trouble == "stuck":
        house.one.stuck = "cour"
    elif trouble == "fire":
        house.one.fire = True
    elif trouble == "output":
        house.one.state.pop("cour")
    alert_id = house.press()
    if trouble == "state":
        (topic, frame), *_ = commands_down(house.rig)
        house.one.says({**house.one.hears(topic, frame), "state": "off"})
    house.deliver()
    assert house.orders(alert_id)["cour/sirene-1/cour/on"] == "failed"
    assert house.technical() == ["alarm-undelivered"]
    assert house.orders(alert_id)["cour/sirene-2/cour/on"] == "delivered"


def test_a_device_that_is_away_for_a_day_is_given_up_and_told(house):
    alert_id = house.press()
    house.rig.sql("UPDATE dispatch SET created_ms=created_ms-86400000 WHERE kind='actuate'")
    house.rig.run(61_000)
    assert set(house.orders(alert_id).values()) == {"failed"}
    assert house.technical() == ["alarm-undelivered"]
    assert commands_down(house.rig) == []


# -- what may move an output at all (P7, invariants 10 and 12)


@pytest.mark.parametrize("fields", [{"silent": 1}, {"k": "probe"}])
def test_a_silent_press_and_a_probe_sound_nothing(house, fields):
    house.post.press(**fields)
    house.rig.run(60_000)
    assert commands_down(house.rig) == []
    assert house.rig.sql("SELECT count(*) FROM dispatch WHERE kind='actuate'") == [(0,)]


def test_answering_and_closing_move_nothing_and_an_all_clear_moves_exactly_what_was_on(house):
    alert_id = house.press()
    house.deliver()
    house.rig.engine.answer(ORG, alert_id, house.martin, "console", 1)
    house.rig.engine.close(ORG, alert_id, house.martin, "real")
    house.rig.run(120_000)
    assert (commands_down(house.rig), house.one.state["cour"]) == ([], "on")
    assert house.rig.engine.all_clear(ORG, alert_id, house.durand) == "all-clear"
    house.rig.run()
    assert house.deliver() == ["done", "done"]
    assert house.one.moves == [("cour", "on"), ("cour", "off")]
    assert house.orders(alert_id)["cour/sirene-1/cour/off"] == "delivered"
    entries = house.rig.sql("SELECT what FROM timeline_entry WHERE alert_id=? AND what='all-clear'", alert_id)
    assert len(entries) == 1


def test_an_all_clear_does_not_silence_what_another_open_alert_has_on(house):
    first = house.press()
    house.deliver()
    other = house.rig.post("bau-2", policy="plan")
    second = other.press()["alert"]
    house.rig.run()
    house.deliver()
    assert house.rig.engine.all_clear(ORG, first, house.martin) == "held"
    house.rig.run(120_000)
    house.deliver()
    assert {house.one.state["cour"], house.two.state["cour"]} == {"on"}
    assert house.rig.engine.all_clear(ORG, second, house.martin) == "all-clear"
    house.rig.run()
    house.deliver()
    assert {house.one.state["cour"], house.two.state["cour"]} == {"off"}


def test_an_alert_that_was_closed_holds_no_output(house):
    first = house.press()
    house.deliver()
    house.rig.engine.close(ORG, first, house.martin, "real")
    second = house.rig.post("bau-2", policy="plan").press()["alert"]
    house.rig.run()
    house.deliver()
    assert house.rig.engine.all_clear(ORG, second, house.martin) == "all-clear"
    house.rig.run()
    house.deliver()
    assert {house.one.state["cour"], house.two.state["cour"]} == {"off"}


def test_an_all_clear_overtakes_the_order_that_was_not_confirmed_yet(house):
    alert_id = house.press()
    old = commands_down(house.rig)
    house.rig.engine.all_clear(ORG, alert_id, house.martin)
    house.rig.run()
    assert [messages.unseal(t, f, house.one.key)["do"] for t, f in commands_down(house.rig) if "/sirene-1/" in t] == [
        "alarm-off"
    ]
    house.deliver()
    for topic, frame in old:  # what a gateway had in its hands comes after it
        for each in (house.one, house.two):
            if f"/{each.device}/" in topic:
                assert each.hears(topic, frame)["why"] == "counter"
    assert {house.one.state["cour"], house.two.state["cour"]} == {"off"}


def test_an_output_that_left_its_group_is_switched_on_no_more_but_off_it_can_be(house):
    alert_id = house.press()
    house.rig.sql("""UPDATE alarm_group SET outputs='[["sirene-2","cour"]]'""")
    house.rig.sql("DELETE FROM downlink")
    house.rig.run(2_100)
    assert house.orders(alert_id)["cour/sirene-1/cour/on"] == "failed"
    house.rig.engine.all_clear(ORG, alert_id, house.martin)
    house.rig.run()
    assert "done" in house.deliver(house.one)


def test_nothing_but_an_order_is_ever_sent(house):
    """Whatever asks the channel: a notice, a silent alert, a dispatch that is over."""
    alert_id = house.press()
    notice, actuate = (
        house.rig.sql("SELECT id FROM dispatch WHERE alert_id=? AND kind=? ORDER BY id", alert_id, kind)[0][0]
        for kind in ("notify", "actuate")
    )

    def sent(dispatch_id: str) -> tuple[bool, bool]:
        outcome = house.channel.send(Outgoing(dispatch_id, alert_id, "siren", "", "", 0, Message("", "", {})))
        return outcome.accepted, outcome.permanent

    house.rig.sql("DELETE FROM downlink")
    assert sent(notice) == (False, True)
    house.rig.sql("UPDATE alert SET silent=?", True)
    assert sent(actuate) == (False, True)
    house.rig.sql("UPDATE alert SET silent=?", False)
    house.rig.sql("UPDATE dispatch SET status='cancelled', next_ms=NULL WHERE id=?", actuate)
    assert sent(actuate) == (False, True)
    assert commands_down(house.rig) == []


@pytest.mark.parametrize("target", ["", "alarm:", "alarm:a/b/c", "alarm:a/b/c/d/on", "lamp:stored", "a/b/c/on"])
def test_a_target_out_of_shape_is_none(target):
    assert channel_module.parts(target) == ("", "", "", "")
