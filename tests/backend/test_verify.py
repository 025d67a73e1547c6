"""`tocsin verify` names the first bad entry, whatever was done to the table behind the triggers' back."""

import pytest
from backend_rig import ORG, Rig
from tocsin_backend.store import timeline


@pytest.mark.parametrize(
    ("statement", "seq", "reason"),
    [
        ("UPDATE timeline_entry SET data=replace(data, 'real', 'drill') WHERE seq=1", 1, "its content is not what was"),
        ("UPDATE timeline_entry SET at_ms=at_ms+1 WHERE seq=3", 3, "its content is not what was hashed"),
        ("DELETE FROM timeline_entry WHERE seq=2", 2, "missing: entry 3 follows entry 1"),
        ("DELETE FROM timeline_entry WHERE seq>=4", 4, "missing: the alert has"),
        ("DELETE FROM timeline_entry", 1, "missing: the alert has"),
        (
            "INSERT INTO timeline_entry (alert_id, origin, seq, at_ms, what, data, previous, hash) "
            "SELECT alert_id, origin, 99, at_ms, what, data, hash, hash FROM timeline_entry WHERE seq=1",
            0,
            "missing: entry 99 follows entry",
        ),
        ("UPDATE alert SET timeline_seq=timeline_seq-1", 0, "missing: the alert has"),
    ],
)
def test_tampering_is_named(rig: Rig, statement: str, seq: int, reason: str) -> None:
    anne = rig.person("anne", webhook="https://a/")
    alert = rig.post("bau-1").press()["alert"]
    rig.run()
    rig.engine.close(ORG, alert, anne, "real")
    rig.run()
    with rig.database.read() as conn:
        assert timeline.verify(conn) == (1, [])
    if rig.database.shared:
        rig.sql("DROP TRIGGER timeline_entry_append_only ON timeline_entry")
    else:
        for trigger in ("update", "delete"):
            rig.sql(f"DROP TRIGGER timeline_entry_no_{trigger}")
    rig.sql(statement)
    with rig.database.read() as conn:
        checked, [flaw] = timeline.verify(conn)
    assert checked == 1
    assert flaw.alert_id == alert
    assert flaw.reason.startswith(reason)
    assert seq in (0, flaw.seq)
