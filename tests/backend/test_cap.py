"""CAP 1.2: every message valid for two validators, whatever is in the names; Alert, Update, Cancel; the files."""

import os
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from backend_rig import ORG, SCREEN, Rig, steps, who
from cap_oracle import SPACE, faults
from hypothesis import given, settings
from hypothesis import strategies as st
from tocsin_backend.channels import Outgoing
from tocsin_backend.channels.cap import Cap, write_whole
from tocsin_backend.domain import cap, policies
from tocsin_backend.domain.alerts import Alert
from tocsin_backend.domain.notices import Message
from tocsin_backend.engine import Sender
from tocsin_backend.store import cap as messages

AT_MS = 1_764_000_000_000
PARIS = ZoneInfo("Europe/Paris")
PLACE = cap.Place("Lycée de l'Emperi", "Grille nord", "1 rue Émile Zola", 43.64, 5.09, "13103", "0130050D")
NAUGHTY = (
    "", " ", "\0", "\x1b[31m", "a\ud800b", "\ufffe\uffff", "]]>", "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>",
    "&amp;&#0;&#x1;", "<script>", "é€😀", "a\r\nb\x0bc\x85d\u2028", "‮gnirts", "%s{0}{place}", "x" * 5_000, "\U0010ffff",
    "'\"", "&", "-- -->", "\ufeff", "𝕿𝖊𝖝𝖙", "ﷺ" * 400,
)  # fmt: skip


def an_alert(**more) -> Alert:
    values = {
        "id": "2f5ab2b8-5a3f-5c77-9d0b-6f3c51a3d0aa", "org": "demo", "device_org": "demo", "site": "lycee",
        "device": "bau-1", "category": "call", "mode": "real", "silent": False, "scenario": "", "dedup": "d",
        "status": "raised", "condition": "active", "epoch": 1, "pass_": 1, "step": 0, "due_ms": AT_MS, "span_ms": 1,
        "unanswered": False, "presses": 1, "severity": 0, "recent": "", "progress": "", "close_asked_by": None,
        "close_asked_reason": None, "window_id": None, "about_id": None, "raised_ms": AT_MS, "reopened_ms": None,
        "answered_ms": None, "answered_by": None, "closed_ms": None, "closed_by": None, "reason": None,
        "previous_id": None, "subject": "", "lamp": None, "policy": "plan", "policy_version": 1, "frozen": "{}",
        "timeline_seq": 0, "timeline_hash": "0",
    }  # fmt: skip
    return Alert(**(values | more))


def compose(alert: Alert, *earlier: cap.Earlier, place: cap.Place = PLACE, number: int = 1, zone=PARIS) -> cap.Issued:
    issued = cap.compose(alert, place, earlier, f"tocsin-{number}", "demo@tocsin.example.org", AT_MS, zone)
    assert issued is not None
    assert faults(issued.body) == []
    return issued


def said(issued: cap.Issued) -> cap.Earlier:
    return cap.Earlier(issued.identifier, issued.sent, issued.kind, issued.state)


def read(body: str, path: str) -> list[str | None]:
    root = ElementTree.fromstring(body)
    return [each.text for each in root.findall("/".join(f"cap:{name}" for name in path.split("/")), SPACE)]


# -- the message


def test_the_first_message_says_all_there_is_to_say():
    body = compose(an_alert()).body
    first = {name: read(body, name) for name in ("status", "msgType", "scope", "sender", "sent", "references")}
    assert first == {
        "status": ["Actual"], "msgType": ["Alert"], "scope": ["Restricted"], "sender": ["demo@tocsin.example.org"],
        "sent": ["2025-11-24T17:00:00+01:00"], "references": [],
    }  # fmt: skip
    assert read(body, "restriction") != []
    assert read(body, "incidents") == ["2f5ab2b8-5a3f-5c77-9d0b-6f3c51a3d0aa"]
    both = {
        name: read(body, f"info/{name}")
        for name in ("language", "category", "event", "responseType", "urgency", "severity", "certainty", "headline")
    }
    assert both == {
        "language": ["fr-FR", "en-GB"], "category": ["Security"] * 2, "event": ["Appel à l'aide", "Call for help"],
        "responseType": ["Assess"] * 2, "urgency": ["Immediate"] * 2, "severity": ["Severe"] * 2,
        "certainty": ["Likely"] * 2,
        "headline": [
            "Appel à l'aide : Lycée de l'Emperi, Grille nord", "Call for help: Lycée de l'Emperi, Grille nord",
        ],
    }  # fmt: skip
    assert read(body, "info/area/circle") == ["43.640000,5.090000 0.2"] * 2
    assert read(body, "info/area/geocode/value") == ["13103"] * 2
    assert read(body, "info/parameter/valueName")[0] == "UAI"
    assert read(body, "info/expires") == ["2025-11-25T17:00:00+01:00"] * 2


@pytest.mark.parametrize("reason", ["false", "malicious", "duplicate", "test", "drill"])
def test_closing_as_nothing_cancels_the_original(reason):
    first = compose(an_alert())
    body = compose(an_alert(status="closed", reason=reason), said(first), number=2).body
    assert read(body, "msgType") == ["Cancel"]
    assert read(body, "references") == [f"demo@tocsin.example.org,tocsin-1,{first.sent}"]
    assert read(body, "info/certainty") == ["Unlikely"] * 2


@pytest.mark.parametrize("reason", ["real", "technical", "cleared"])
def test_closing_otherwise_is_an_all_clear(reason):
    first = compose(an_alert())
    body = compose(an_alert(status="closed", reason=reason), said(first), number=2).body
    assert (read(body, "msgType"), read(body, "info/responseType")) == (["Update"], ["AllClear"] * 2)
    assert read(body, "info/urgency") == ["Past"] * 2


def test_each_change_is_an_update_that_references_all_before_and_nothing_is_said_twice():
    story = [
        an_alert(), an_alert(status="answered"), an_alert(epoch=2), an_alert(epoch=2, severity=1),
        an_alert(epoch=2, severity=1, unanswered=True), an_alert(status="closed", epoch=2, severity=1, reason="real"),
    ]  # fmt: skip
    earlier: list[cap.Earlier] = []
    for number, alert in enumerate(story, 1):
        issued = compose(alert, *earlier, number=number)
        assert issued.kind == ("Alert" if number == 1 else "Update")
        assert len(" ".join(map(str, read(issued.body, "references"))).split()) == len(earlier)
        earlier.append(said(issued))
        assert cap.compose(alert, PLACE, earlier, "again", "s", AT_MS + 1) is None
    assert cap.compose(an_alert(status="closed", reason="real"), PLACE, [], "late", "s", AT_MS) is None


def test_a_call_that_nobody_answers_for_hours_stays_readable():
    many = [cap.Earlier(f"tocsin-{n}", "2025-11-24T17:00:00+01:00", "Update", str(n)) for n in range(100)]
    named = str(read(compose(an_alert(), *many).body, "references")[0]).split()
    assert len(named) == cap.REFERENCES_MAX
    assert (named[0].split(",")[1], named[-1].split(",")[1]) == ("tocsin-0", "tocsin-99")


def test_a_drill_is_an_exercise_in_every_word():
    body = compose(an_alert(mode="drill")).body
    assert (read(body, "status"), read(body, "note")) == (["Exercise"], ["EXERCICE"])
    assert all(str(headline).startswith("EXERCICE ") for headline in read(body, "info/headline"))
    assert read(compose(an_alert(mode="probe")).body, "status") == ["Test"]


@pytest.mark.parametrize(
    ("zone", "written"),
    [(UTC, "-00:00"), (timezone(timedelta(hours=-4)), "-04:00"), (timezone(timedelta(hours=5, minutes=30)), "+05:30")],
)
def test_the_offset_is_never_z(zone, written):
    assert compose(an_alert(), zone=zone).sent.endswith(written)


def test_winter_and_summer():
    assert cap.moment(1_774_746_000_000 - 1_000, PARIS) == "2026-03-29T01:59:59+01:00"
    assert cap.moment(1_774_746_000_000, PARIS) == "2026-03-29T03:00:00+02:00"


@pytest.mark.parametrize("text", NAUGHTY)
@pytest.mark.parametrize("status", ["raised", "answered", "closed"])
def test_whatever_stands_in_the_names_the_message_is_valid(text, status):
    place = cap.Place(text, text, text, 43.6, 5.0, text, text)
    reason = "false" if status == "closed" else None
    first = compose(an_alert(site=text, device=text), place=place)
    issued = cap.compose(
        an_alert(site=text, device=text, status=status, reason=reason, epoch=2), place, [said(first)], text, text, AT_MS
    )
    assert issued is not None
    assert faults(issued.body) == []


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(),
    latitude=st.none() | st.floats(),
    longitude=st.none() | st.floats(),
    category=st.sampled_from(["call", "personal", "threat", "technical"]),
    scenario=st.sampled_from(["", "attack", "shelter", "evacuate"]),
    silent=st.booleans(),
    presses=st.integers(1, 10**9),
)
def test_any_text_and_any_place_is_valid(text, latitude, longitude, category, scenario, silent, presses):
    place = cap.Place(text, text, text, latitude, longitude, text, text)
    alert = an_alert(category=category, scenario=scenario, silent=silent, presses=presses, site=text, device=text)
    compose(alert, place=place)


def test_the_oracle_bites():
    """Without the cleaning, or with the elements in another order, both validators say so."""
    body = compose(an_alert()).body
    assert faults(body.replace("<scope>Restricted</scope>", "")) != []
    assert faults(body.replace("+01:00</sent>", "Z</sent>")) != []


def test_both_languages_say_the_same_things():
    assert set(cap.PHRASES["fr-FR"]) == set(cap.PHRASES["en-GB"])


# -- the channel


def told(alert_id: str, dispatch_id: str, kind: str = "notify") -> Outgoing:
    return Outgoing(dispatch_id, alert_id, "cap", "", "", 0, Message("", "", {"kind": kind}))


def issued_by(rig: Rig) -> list[tuple[str, str]]:
    with rig.database.read() as conn:
        rows = messages.newest(conn, ORG, 50)
    assert [faults(str(row["body"])) for row in rows] == [[]] * len(rows)
    return [(str(row["kind"]), str(row["identifier"])) for row in reversed(rows)]


@pytest.fixture
def pressed(rig):
    rig.policy(steps((60, [SCREEN, who("a.martin")])))
    rig.martin = rig.person("a.martin", webhook="https://a.test")
    rig.bau = rig.post("bau-1", policy="plan")
    rig.alert_id = rig.bau.press()["alert"]
    return rig


def test_the_life_of_an_alert_in_the_feed_and_in_files(pressed, tmp_path):
    channel = Cap(pressed.database, pressed.clock, "tocsin.test", tmp_path / "out")
    assert channel.send(told(pressed.alert_id, "d-1")).accepted
    pressed.engine.answer(ORG, pressed.alert_id, pressed.martin, "console", 1)
    assert channel.send(told(pressed.alert_id, "d-2", "taken")).accepted
    assert channel.send(told(pressed.alert_id, "d-3")).accepted  # another step that has nothing new to say
    pressed.engine.close(ORG, pressed.alert_id, pressed.martin, "false")
    assert channel.send(told(pressed.alert_id, "d-4", "closed")).accepted
    expected = [("Alert", "tocsin-d-1"), ("Update", "tocsin-d-2"), ("Cancel", "tocsin-d-4")]
    assert issued_by(pressed) == expected
    files = sorted((tmp_path / "out" / ORG).iterdir())
    assert [file.name for file in files] == [f"{identifier}.xml" for _, identifier in expected]
    assert [faults(file.read_text(encoding="utf-8")) for file in files] == [[]] * 3


def test_a_message_tried_twice_is_issued_once_and_is_the_same(pressed, tmp_path):
    channel = Cap(pressed.database, pressed.clock, "tocsin.test", tmp_path / "out")
    blocked = tmp_path / "out"
    blocked.write_text("a file where the folder should be")
    first = channel.send(told(pressed.alert_id, "d-1"))
    assert (first.accepted, first.permanent) == (False, False)
    blocked.unlink()
    pressed.engine.answer(ORG, pressed.alert_id, pressed.martin, "console", 1)
    pressed.clock.now += 5_000
    assert channel.send(told(pressed.alert_id, "d-1")).accepted
    assert issued_by(pressed) == [("Alert", "tocsin-d-1")]
    text = (tmp_path / "out" / ORG / "tocsin-d-1.xml").read_text(encoding="utf-8")
    assert read(text, "info/responseType") == ["Assess"] * 2


@pytest.mark.parametrize("mode", ["drill"])
def test_a_drill_never_leaves(pressed, mode):
    alert_id = pressed.bau.press(mode=mode)["alert"]
    outcome = Cap(pressed.database, pressed.clock, "tocsin.test").send(told(alert_id, "d-1"))
    assert (outcome.accepted, outcome.permanent) == (False, True)
    assert issued_by(pressed) == []


def test_an_alert_whose_policy_names_the_feed_is_followed_to_its_end(rig):
    """Through the engine: pressed, nobody answers, answered, pressed again, answered, closed. And a drill beside it."""
    channel = Cap(rig.database, rig.clock, "tocsin.test")
    rig.outbox.channels = frozenset({*rig.outbox.channels, "cap"})
    rig.engine.senders["cap"] = Sender(channel, rig.engine._sent, rig.clock.now_ms)
    rig.policy(steps((30, [SCREEN, policies.Target(channel="cap"), who("a.martin")])))
    martin, post = rig.person("a.martin", webhook="https://a.test"), rig.post("bau-1", policy="plan")
    alert_id = post.press()["alert"]
    post.press(mode="drill")
    rig.run(31_000)
    rig.engine.answer(ORG, alert_id, martin, "console", 1)
    rig.run(61_000)
    post.press()
    rig.run(1_000)
    rig.engine.answer(ORG, alert_id, martin, "console", 2)
    rig.run(1_000)
    rig.engine.close(ORG, alert_id, martin, "real")
    rig.run(1_000)
    with rig.database.read() as conn:
        rows = messages.earlier(conn, alert_id)
    assert [(each.kind, each.state) for each in rows] == [
        ("Alert", "raised/1/0"), ("Update", "raised/1/0/unanswered"), ("Update", "answered/1/0"),
        ("Update", "raised/2/0"), ("Update", "answered/2/0"), ("Update", "closed/2/0/real"),
    ]  # fmt: skip
    assert len(issued_by(rig)) == len(rows)


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    target = tmp_path / "a.xml"
    write_whole(target, b"first")

    def no(_handle):
        raise OSError(28, "no space left")

    monkeypatch.setattr(os, "fsync", no)
    with pytest.raises(OSError, match="no space"):
        write_whole(target, b"second")
    assert [each.name for each in tmp_path.iterdir()] == ["a.xml"]
    assert target.read_bytes() == b"first"


def test_state_is_what_is_worth_a_message():
    base = an_alert()
    assert cap.state(replace(base, presses=9, step=3, lamp="stored")) == cap.state(base)
