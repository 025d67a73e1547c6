"""Settings: one table, documented, and a start that refuses what it does not know or should not trust."""

import json
from pathlib import Path

import pytest
from conftest import TOKEN, write_credentials
from tocsin_gateway import cli, settings
from tocsin_gateway.settings import SettingsError, read_credentials, read_settings

README = (Path(__file__).parents[2] / "gateway" / "README.md").read_text()


def read(path, **changes):
    return read_credentials(read_settings({"TOCSIN_GATEWAY_CREDENTIALS": str(path), **changes}))


def test_the_readme_holds_exactly_the_table():
    documented = [line.split("|")[1].strip() for line in README.splitlines() if line.startswith("| `TOCSIN_GATEWAY_")]
    assert documented == [f"`{name}`" for name, _, _ in settings.table()]
    for name, default, words in settings.table():
        assert f"| `{name}` | `{default}` | {words} |" in README


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TOCSIN_GATEWAY_BEATS_PERIOD", "1", "did you mean TOCSIN_GATEWAY_BEAT_PERIOD_MS"),
        ("TOCSIN_GATEWAY_QQQQQQQQQQQQQ", "1", "--settings"),
        ("TOCSIN_GATEWAY_STATUS_PORT", "70000", "a whole number from 0 to 65535"),
        ("TOCSIN_GATEWAY_ALLOW_PLAIN", "yes", "0 or 1"),
        ("TOCSIN_GATEWAY_BACKEND_URL", "ftp://x", "an address without a path"),
        ("TOCSIN_GATEWAY_BACKEND_URL", "https://x/path", "an address without a path"),
        ("TOCSIN_GATEWAY_BACKEND_URL", "https://user:pw@x", "an address without a path"),
    ],
)
def test_what_is_unknown_or_malformed_stops_the_start(name, value, said):
    with pytest.raises(SettingsError, match=said):
        read_settings({name: value})


def test_good_credentials(tmp_path):
    found = read(write_credentials(tmp_path / "c.json", "http://127.0.0.1:1", 1883))
    assert (found.org, found.gateway, found.token, found.broker.port) == ("demo", "gw-1", TOKEN, 1883)
    assert read(tmp_path / "c.json", TOCSIN_GATEWAY_BROKER_PORT="1884").broker.port == 1884


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"token": ""}, "token"),
        ({"token": "short"}, "token"),
        ({"token": "changeme-changeme-changeme"}, "placeholder"),
        ({"token": 7}, "token"),
        ({"org": "De mo"}, "no organisation"),
        ({"gateway": None}, "no organisation"),
        ({"broker": {}}, "lack a field"),
        ({"broker": 7}, "lack a field"),
        ({"backend_url": "http://192.0.2.7"}, "without TLS"),
        ({"backend_url": "http://tocsin.example.org"}, "without TLS"),
        ({"backend_url": "gopher://x"}, "lack a field"),
        ({"broker": {"host": "192.0.2.7", "port": 1, "user": "u", "password": "p" * 30}}, "without TLS"),
        (
            {"broker": {"host": "127.0.0.1", "port": 1, "user": "u", "password": "default-default-default"}},
            "placeholder",
        ),
    ],
)
def test_bad_credentials_stop_the_start_without_repeating_a_secret(changes, said, tmp_path):
    path = write_credentials(tmp_path / "c.json", "http://127.0.0.1:1", 1883, **changes)
    with pytest.raises(SettingsError, match=said) as caught:
        read(path)
    assert "changeme" not in str(caught.value)


def test_plain_connections_to_other_machines_can_be_allowed(tmp_path):
    path = write_credentials(tmp_path / "c.json", "http://192.0.2.7", 1883)
    assert read(path, TOCSIN_GATEWAY_ALLOW_PLAIN="1").backend_url == "http://192.0.2.7"


def test_credentials_that_others_can_read_are_refused(tmp_path):
    path = write_credentials(tmp_path / "c.json", "http://127.0.0.1:1", 1883)
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        read(path)


@pytest.mark.parametrize(("text", "said"), [(None, "missing"), ("not json", "not JSON"), ("[]", "lack a field")])
def test_no_credentials(text, said, tmp_path):
    path = tmp_path / "c.json"
    if text is not None:
        path.write_text(text)
        path.chmod(0o600)
    with pytest.raises(SettingsError, match=said):
        read(path)


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TOCSIN_GATEWAY_CREDENTIALS", str(tmp_path / "none.json"))
    assert cli.main([]) == cli.MISUSED
    said = capsys.readouterr().err
    assert said.startswith("tocsin-gateway: the credentials are missing")
    assert said.count("\n") == 1


def test_the_command_lists_its_settings(capsys):
    assert cli.main(["--settings"]) == cli.OK
    shown = capsys.readouterr().out
    assert all(name in shown and words in shown for name, _, words in settings.table())


def test_check_finds_what_does_not_answer(tmp_path, monkeypatch, capsys):
    path = write_credentials(tmp_path / "c.json", "http://127.0.0.1:1", 1)
    monkeypatch.setenv("TOCSIN_GATEWAY_CREDENTIALS", str(path))
    monkeypatch.setenv("TOCSIN_GATEWAY_DATA", str(tmp_path / "spool"))
    monkeypatch.setattr("tocsin_gateway.check.BROKER_WITHIN_S", 0.5)
    assert cli.main(["--check"]) == cli.FAILED
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["ok   spool", "FAIL backend", "FAIL broker"]
    assert json.loads(path.read_text())["token"] not in "".join(lines)
