"""What cannot leave this server, read from its settings, the organisation's route and when its gateway was heard."""

import pytest
from backend_rig import ORG, START_MS, Rig
from tocsin_backend.outlook import blocked_channels
from tocsin_backend.settings import read_settings

NONE: dict[str, str] = {}
MAIL = {"TOCSIN_SMTP_HOST": "relay.test"}


@pytest.mark.parametrize(
    ("environment", "route", "seen_ms", "expected"),
    [
        (NONE, "provider", START_MS, {"email": "no-relay", "sms": "no-provider"}),
        (MAIL | {"TOCSIN_SMS_URL_FILE": "/x"}, "provider", None, {}),
        (MAIL, "gateway:gw-1", START_MS, {}),
        (MAIL, "gateway:gw-1", None, {"sms": "gateway-unheard"}),
        (MAIL, "gateway:gw-1", START_MS - 900_001, {"sms": "gateway-unheard"}),
        (MAIL, "gateway:gone", START_MS, {"sms": "gateway-unheard"}),
    ],
)
def test_what_cannot_leave(
    rig: Rig, environment: dict[str, str], route: str, seen_ms: int | None, expected: dict[str, str]
) -> None:
    rig.sql("UPDATE organisation SET sms_route=?", route)
    rig.sql("UPDATE gateway SET last_seen_ms=?", seen_ms)
    with rig.database.read() as conn:
        assert blocked_channels(conn, ORG, read_settings(environment), rig.clock.now) == expected
    rig.sql("UPDATE gateway SET revoked_ms=1")
    with rig.database.read() as conn:
        revoked = blocked_channels(conn, ORG, read_settings(environment), rig.clock.now)
    assert revoked == expected | ({"sms": "gateway-unheard"} if route.startswith("gateway:") else {})
