"""Technical notices to one contact method: the first at once, those of the next minute together, each settled."""

from typing import Any

import pytest
from backend_rig import ORG, Rig, steps, who
from tocsin_backend.domain.dispatches import Outcome


@pytest.fixture
def estate(rig: Rig) -> Rig:
    rig.person("tom", role="technician", email="tom@x")
    rig.person("anne", webhook="https://a/")
    rig.policy(steps((60, [who("anne")])))
    for number in range(6):
        rig.post(f"bau-{number}", policy="plan")
    return rig


def fault(rig: Rig, number: int) -> None:
    device = f"bau-{number}"
    rig.database.write(
        lambda conn: rig.outbox.technical(conn, ORG, "lycee", device, "fault", rig.clock.now)
    ).result()  # fmt: skip
    rig.run()


def mails(rig: Rig) -> list[dict[str, Any]]:
    found = [outgoing.message.facts for outgoing in rig.channels["email"].sent if outgoing.address == "tom@x"]
    rig.channels["email"].sent.clear()
    return found


def of_tom(rig: Rig) -> list[tuple[str, int]]:
    return rig.sql(
        "SELECT status, count(*) FROM dispatch WHERE channel='email' AND class_=3 GROUP BY status ORDER BY status"
    )


def test_six_faults_are_two_messages_and_all_of_them_are_handed_over(estate: Rig) -> None:
    rig = estate
    for number in range(6):
        fault(rig, number)
        rig.clock.now += 1_000
    [first] = mails(rig)
    assert first["kind"] == "notify"
    assert of_tom(rig) == [("handed", 1), ("pending", 5)]
    rig.run(53_999)
    assert mails(rig) == [], "60 s after the first, not before"
    rig.run(1_000)
    [bundle] = mails(rig)
    assert bundle["kind"] == "bundle"
    assert bundle["counts"] == [{"subject": "fault", "count": 5}]
    ids = [each["id"] for each in bundle["messages"]]
    known = [
        row[0] for row in rig.sql("SELECT id FROM dispatch WHERE channel='email' AND class_=3 AND status='handed'")
    ]
    assert (len(set(ids)), set(ids) < set(known)) == (5, True)
    assert of_tom(rig) == [("handed", 6)]


def test_a_refused_bundle_is_tried_again_as_one_and_each_counts_its_try(estate: Rig) -> None:
    rig = estate
    fault(rig, 0)
    mails(rig)
    rig.channels["email"].answer = lambda outgoing: Outcome(False, error="busy")
    fault(rig, 1)
    fault(rig, 2)
    rig.run(60_000)
    tries = rig.sql("SELECT attempts FROM dispatch WHERE channel='email' AND class_=3 AND status='pending'")
    assert tries == [(1,), (1,)]
    rig.channels["email"].answer = lambda outgoing: Outcome(True)
    rig.run(2_000)
    [bundle] = mails(rig)
    assert len(bundle["messages"]) == 2
    assert of_tom(rig) == [("handed", 3)]


def test_what_was_answered_meanwhile_does_not_leave(estate: Rig) -> None:
    rig = estate
    for number in range(3):
        fault(rig, number)
    mails(rig)
    [(alert,)] = rig.sql("SELECT id FROM alert WHERE device='bau-1'")
    assert rig.engine.answer(ORG, alert, rig.persons["tom"], "console") == "won"
    rig.run(60_000)
    [left] = [each for each in mails(rig) if each["kind"] in ("notify", "bundle")]
    assert left["kind"] == "notify", "one that is alone is no bundle"
    assert left["alert"]["device"] == "bau-2"


def test_a_press_is_never_bundled_nor_held_up_by_what_waits(estate: Rig) -> None:
    rig = estate
    for number in range(3):
        fault(rig, number)
    rig.told()
    posts = [rig.post(f"autre-{number}", policy="plan") for number in range(3)]
    for post in posts:
        post.press()
    rig.run()
    assert rig.told()["https://a/", "notify"] == 3


def test_after_a_restart_what_waited_leaves_together(estate: Rig) -> None:
    rig = estate
    for number in range(4):
        fault(rig, number)
    mails(rig)
    rig.restart(down_ms=120_000)
    rig.run()
    [bundle] = mails(rig)
    assert len(bundle["messages"]) == 3
