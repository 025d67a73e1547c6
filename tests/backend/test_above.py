"""The organisation above: told in the transaction that says UNANSWERED, and its notice leaves at once."""

import pytest
from backend_rig import ORG, Rig, steps, who
from rig_estate import organisation, person_of


@pytest.fixture
def estate(rig: Rig) -> Rig:
    rig.person("anne", webhook="https://a/")
    rig.person("tom", role="technician", email="tom@x")
    organisation(rig, "ville", above_of=ORG)
    person_of(rig, "ville", "vera", role="technician", email="vera@ville")
    rig.policy(steps((60, [who("anne")])))
    return rig


def told_of_vera(rig: Rig) -> list[tuple[str, int, int | None]]:
    return rig.sql(
        "SELECT a.subject, d.created_ms, d.handed_ms FROM dispatch d JOIN alert a ON a.id=d.alert_id"
        " WHERE a.org='ville' AND d.channel='email' ORDER BY d.created_ms"
    )


@pytest.mark.parametrize("open_before", [False, True], ids=["alone", "another-technical-alert-open"])
def test_its_notice_leaves_at_the_instant_of_unanswered_without_a_technical_policy(
    estate: Rig, open_before: bool
) -> None:
    rig = estate
    post = rig.post("bau-1", policy="plan")
    post.birth()
    if open_before:
        rig.database.write(
            lambda conn: rig.outbox.technical(conn, ORG, "lycee", "bau-1", "fault", rig.clock.now)
        ).result()  # fmt: skip
    call = post.press()["alert"]
    rig.run(59_999)
    assert told_of_vera(rig) == []
    rig.run(1)
    [(said_ms,)] = rig.sql("SELECT at_ms FROM timeline_entry WHERE alert_id=? AND what='unanswered'", call)
    assert told_of_vera(rig) == [("unanswered", said_ms, said_ms)]
