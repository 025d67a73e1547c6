"""Settings: typos, bad values and missing secrets stop the start with one line; the README describes every one."""

import re
from pathlib import Path

import pytest
from tocsin_backend.cli import main
from tocsin_backend.settings import SettingsError, read_secret, read_settings, table

README = Path(__file__).parents[2] / "backend" / "README.md"


def test_the_defaults_are_accepted():
    settings = read_settings({"PATH": "/usr/bin", "HOME": "/root"})
    assert settings.port == 8000
    assert settings.database == "sqlite:///tocsin-data/tocsin.db"


def test_the_readme_holds_the_table():
    rows = re.findall(r"^\| `(TOCSIN_[A-Z_]+)` \| (.*?) \| (.*) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    expected = [(name, f"`{default}`" if default else "(empty)", words) for name, default, words in table()]
    assert [tuple(row) for row in rows] == expected


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("TOCSIN_PROT", "did you mean TOCSIN_PORT?"),
        ("TOCSIN_SMTP_PASSWORD", "did you mean TOCSIN_SMTP_PASSWORD_FILE?"),
        ("TOCSIN_XYZZY", "`tocsin settings` lists them all"),
    ],
)
def test_an_unknown_name_stops_the_start_and_says_what_was_meant(name, hint):
    with pytest.raises(SettingsError) as caught:
        read_settings({name: "1"})
    assert str(caught.value) == f"unknown setting {name}: {hint}"


def test_settings_of_the_other_programs_are_theirs():
    assert read_settings({"TOCSIN_GATEWAY_TOKEN": "x", "TOCSIN_SIM_SEED": "1", "TOCSIN_MICROPYTHON": "/x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOCSIN_PORT", "65536"),
        ("TOCSIN_PORT", "eighty"),
        ("TOCSIN_PORT", "-1"),
        ("TOCSIN_PORT", ""),
        ("TOCSIN_PORT", "８０"),
        ("TOCSIN_COOKIE_SECURE", "yes"),
        ("TOCSIN_BROKER_KIND", "emqx"),
        ("TOCSIN_PUBLIC_URL", "tocsin.example.org"),
        ("TOCSIN_PUBLIC_URL", "ftp://tocsin.example.org"),
        ("TOCSIN_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("TOCSIN_DATABASE_URL", "mysql://x"),
        ("TOCSIN_LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_is_one_line_that_names_it(name, value):
    with pytest.raises(SettingsError) as caught:
        read_settings({name: value})
    assert str(caught.value).startswith(f"{name}={value!r} is refused: it must be ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    ["postgresql://tocsin@db.example.org/tocsin?passfile=/etc/tocsin/pgpass", "postgresql+psycopg://u@/t?host=/run"],
)
def test_postgresql_is_named_by_a_url_without_a_password(value):
    assert read_settings({"TOCSIN_DATABASE_URL": value}).database == value


@pytest.mark.parametrize(
    "value", ["postgresql://tocsin:hunter2@db/tocsin", "postgresql://tocsin@db/tocsin?password=hunter2"]
)
def test_a_password_in_the_databases_url_is_refused_and_never_shown(value, monkeypatch, capsys):
    with pytest.raises(SettingsError, match="without a password") as caught:
        read_settings({"TOCSIN_DATABASE_URL": value})
    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("TOCSIN_DATABASE_URL", value)
    main(["settings"])
    shown = capsys.readouterr()
    assert "hunter2" not in shown.out + shown.err


def test_an_https_address_needs_secure_cookies():
    with pytest.raises(SettingsError):
        read_settings({"TOCSIN_PUBLIC_URL": "https://tocsin.example.org"})
    assert read_settings({"TOCSIN_PUBLIC_URL": "https://tocsin.example.org", "TOCSIN_COOKIE_SECURE": "1"}).cookie_secure


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (None, 0o600, "is missing"),
        (b"", 0o600, "is empty"),
        (b"sh0rt", 0o600, "too short or too plain"),
        (b"a" * 64, 0o600, "too short or too plain"),
        (b"please-change-me-before-production-0123456789", 0o600, "placeholder"),
        (b"0123456789abcdef" * 4, 0o644, "open to other users"),
    ],
)
def test_a_missing_or_default_secret_stops_the_start(tmp_path, content, mode, why):
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(SettingsError, match=why) as caught:
        read_secret(path)
    assert "\n" not in str(caught.value)
    if content:
        assert content.decode() not in str(caught.value)


def test_a_good_secret_is_read(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"0123456789abcdef" * 4 + b"\n")
    path.chmod(0o600)
    assert read_secret(path) == b"0123456789abcdef" * 4
