"""The command, by subprocess, as a new user in an empty folder."""

import io
import json
import re
import sqlite3
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tocsin_backend.cli import build_parser, main
from tocsin_wire import signing

GOOD = """
id = "jour"
title = "Le jour"
[[step]]
delay_s = 30
targets = [{ channel = "console" }, { role = "supervisor" }]
"""
SIX_FAULTS = """
id = "Le Jour"
title = ""
passes = 99
colour = "blue"
[[step]]
delay_s = 1
targets = [{ person = "nobody" }]
"""


class InProcess:
    """The same command line without a process a word: for the many small refusals."""

    def __init__(self, folder, monkeypatch, capsys):
        monkeypatch.chdir(folder)
        self._capsys = capsys

    def refusal(self, *words):
        assert main(words) == 1
        error = self._capsys.readouterr().err
        assert error.startswith("tocsin: ")
        assert error.count("\n") == 1
        return error


@pytest.fixture
def here(user, monkeypatch, capsys):
    return InProcess(user.folder, monkeypatch, capsys)


def test_before_init_every_command_says_what_to_do(new_user):
    assert new_user.refusal("org", "list", status=3).endswith("make one with `tocsin init`")
    assert new_user.refusal("serve", status=3).endswith("make one with `tocsin init`")
    assert list(new_user.folder.iterdir()) == []


def test_the_first_hour(new_user, monkeypatch, capsys):
    made = new_user.json("init")
    assert made["data"] == "tocsin-data"
    data = new_user.folder / "tocsin-data"
    secret = (data / "secret").read_text()
    new_user.run("init")
    assert (data / "secret").read_text() == secret, "a second init keeps the secret"

    new_user.run("org", "add", "--id", "demo", "--name", "Région Démo")
    new_user.run(
        "site", "add", "--org", "demo", "--id", "emperi", "--name", "Lycée de l'Emperi", "--lat", "43.64",
        "--lon", "5.09", "--insee", "13103", "--uai", "0130050J",
    )  # fmt: skip
    person = new_user.json(
        "user", "add", "--org", "demo", "--login", "a.martin", "--name", "Alice Martin", "--role", "supervisor",
        "--webhook", "https://example.org/tocsin", "--email", "alice@example.org",
    )  # fmt: skip
    assert re.fullmatch(r"([a-z2-9]{4}-){4}[a-z2-9]{4}", person["password"])
    assert [set(each) for each in person["webhooks"]] == [{"address", "secret"}]

    (new_user.folder / "jour.toml").write_text(GOOD)
    assert new_user.json("policy", "import", "jour.toml", "--org", "demo", "--check")["version"] == 0
    assert new_user.json("policy", "list") == []
    assert new_user.json("policy", "import", "jour.toml", "--org", "demo")["version"] == 1
    assert new_user.json("policy", "import", "jour.toml", "--org", "demo")["version"] == 1, "nothing changed"
    assert new_user.run("policy", "export", "--org", "demo", "--id", "jour").stdout.strip() == GOOD.strip()
    new_user.run("site", "set-policy", "--org", "demo", "--id", "emperi", "--policy", "jour")

    gateway = new_user.json("gateway", "add", "--org", "demo", "--id", "gw-1")
    assert set(gateway) == {"org", "gateway", "token", "backend_url", "broker"}
    device = new_user.json("device", "add", "--org", "demo", "--site", "emperi", "--kind", "call_post")
    assert set(device) == {"org", "device", "site", "kind", "profile", "kid", "key", "broker", "topics"}
    assert (device["device"], device["kid"], device["profile"]) == ("post-1", "k1", "call_post")
    assert len(signing.key_from_text(device["key"])) == 32
    assert device["topics"]["ack"] == "tocsin/1/demo/post-1/ack"
    assert set(device["broker"]) == {"host", "port", "user", "password", "client_id", "tls"}

    # the broker's users come from the same data
    users = (data / "broker" / "users.conf").read_text()
    for credentials in (device["broker"], gateway["broker"]):
        assert f'user: "{credentials["user"]}", password: "{credentials["password"]}"' in users

    # everything is its owner's alone, and no secret is shown a second time
    for path in (data, *data.rglob("*")):
        assert not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), path
    monkeypatch.chdir(new_user.folder)
    for words in (
        ("device", "list"), ("gateway", "list"), ("user", "list"), ("site", "list"), ("org", "list"), ("settings",),
        ("verify",), ("alerts", "--all"), ("policy", "list"),
    ):  # fmt: skip
        assert main(words) == 0
        assert main((*words, "--json")) == 0
    seen = "".join(capsys.readouterr())
    secrets = [
        secret.strip(), person["password"], person["webhooks"][0]["secret"], gateway["token"], device["key"],
        device["broker"]["password"], gateway["broker"]["password"],
    ]  # fmt: skip
    assert [each for each in secrets if each in seen] == []
    database = (data / "tocsin.db").read_bytes()
    kept = [each for each in secrets if each.encode() in database]
    assert kept == [person["webhooks"][0]["secret"]], "tokens and passwords are kept as hashes or not at all"


def test_a_device_is_rekeyed_and_retired(user, here):
    first = user.json("device", "add", "--org", "demo", "--site", "emperi", "--kind", "call_post", "--id", "bau-1")
    second = user.json("device", "rekey", "--org", "demo", "--id", "bau-1")
    assert (second["device"], second["kid"]) == ("bau-1", "k2")
    assert ("boot" in first, second["boot"]) == (False, 1000)
    assert second["key"] != first["key"]
    assert second["broker"]["password"] != first["broker"]["password"]
    users = user.folder / "tocsin-data" / "broker" / "users.conf"
    assert second["broker"]["password"] in users.read_text()
    assert first["broker"]["password"] not in users.read_text()
    user.json("device", "retire", "--org", "demo", "--id", "bau-1")
    assert "demo/bau-1" not in users.read_text()
    assert "was retired" in here.refusal("device", "rekey", "--org", "demo", "--id", "bau-1")
    again = ("device", "add", "--org", "demo", "--site", "emperi", "--kind", "call_post", "--id", "bau-1")
    assert "never given twice" in here.refusal(*again)
    assert user.json("device", "list")[0]["retired_ms"] > 0


def test_a_broker_that_cannot_be_told_is_said_and_nothing_is_half_done(user, here, monkeypatch):
    words = ("device", "add", "--org", "demo", "--site", "emperi", "--kind", "call_post", "--id", "bau-1")
    monkeypatch.setenv("TOCSIN_BROKER_USERS_FILE", "/proc/nowhere/users.conf")
    assert "the broker's files cannot be written" in here.refusal(*words)
    monkeypatch.delenv("TOCSIN_BROKER_USERS_FILE")
    (user.folder / "pid").write_text("not a number")
    monkeypatch.setenv("TOCSIN_BROKER_PID_FILE", "pid")
    assert "was not told to read its users again" in here.refusal("device", "rekey", "--org", "demo", "--id", "bau-1")
    (user.folder / "pid").write_text(str(2**22 - 1))  # a broker that is not running any more reads them when it starts
    credentials = user.json("device", "rekey", "--org", "demo", "--id", "bau-1")
    assert credentials["kid"] == "k3"
    users = (user.folder / "tocsin-data" / "broker" / "users.conf").read_text()
    assert credentials["broker"]["password"] in users


def test_commands_at_once_lose_no_device(user):
    names = [f"bau-{n}" for n in range(6)]
    base = ("device", "add", "--org", "demo", "--site", "emperi", "--kind", "call_post", "--id")
    with ThreadPoolExecutor(len(names)) as pool:
        found = list(pool.map(lambda name: json.loads(user.process(*base, name, "--json").stdout), names))
    users = (user.folder / "tocsin-data" / "broker" / "users.conf").read_text()
    assert [each["device"] for each in found if each["broker"]["password"] not in users] == []


def test_six_faults_of_a_policy_are_six_lines(user):
    (user.folder / "bad.toml").write_text(SIX_FAULTS)
    lines = user.run("policy", "import", "bad.toml", "--org", "demo", status=1).stderr.splitlines()
    places = [line.split(": ")[1] for line in lines[:-1]]
    assert places == ["colour", "id", "title", "passes", "step[0].delay_s", "step[0].targets[0].person"]
    assert lines[-1] == "tocsin: bad.toml has 6 faults; nothing was changed"
    document = user.run("policy", "import", "bad.toml", "--org", "demo", "--json", status=1).stdout
    assert document.count('"reason"') == 6
    assert user.json("policy", "list") == []


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"id = ", "is not TOML"), (b"\xff\xfe", "not UTF-8"), (b"a = " + b"[" * 3000, "is"), (b"", "must be")],
)
def test_what_is_no_policy_at_all_is_said(here, capsys, content, says):
    Path("bad.toml").write_bytes(content)
    assert main(("policy", "import", "bad.toml", "--org", "demo")) == 1
    assert says in capsys.readouterr().err


DEVICE = ("device", "add", "--kind", "call_post")
SITE = ("site", "add", "--org", "demo", "--name", "X", "--id")
USER = ("user", "add", "--org", "demo", "--name", "Alice", "--role", "observer", "--login")


def test_refusals_explain_themselves(here):
    for words, says in [
        ((*DEVICE, "--org", "demo", "--site", "nowhere"), "there is no site 'nowhere' in 'demo' (known: emperi)"),
        ((*DEVICE, "--org", "nobody", "--site", "emperi"), "there is no organisation 'nobody' (known: demo)"),
        ((*DEVICE, "--org", "demo", "--site", "emperi", "--id", "Borne 1"), "no capitals, no accents"),
        ((*DEVICE, "--org", "demo", "--site", "emperi", "--id", "a" * 33), "1 to 32"),
        ((*DEVICE, "--org", "demo", "--site", "emperi", "--id", "a/b"), "1 to 32"),
        ((*DEVICE, "--org", "demo", "--site", "emperi", "--id", "+"), "1 to 32"),
        ((*DEVICE, "--org", "demo", "--site", "emperi", "--policy", "none"), "there is no policy 'none'"),
        (("org", "add", "--id", "demo", "--name", "Again"), "exists already"),
        (("org", "add", "--id", "été", "--name", "Été"), "no accents"),
        (("org", "add", "--id", "x", "--name", "a\nb"), "printable"),
        ((*SITE, "emperi"), "exists already"),
        ((*SITE, "a", "--tz", "Europe/Pariss"), "a name such as Europe/Paris"),
        ((*SITE, "a", "--tz", "../../etc/passwd"), "a name such as Europe/Paris"),
        ((*SITE, "a", "--lat", "43"), "come together"),
        ((*SITE, "a", "--lat", "143", "--lon", "5"), "-90 to 90"),
        ((*SITE, "a", "--lat", "nan", "--lon", "5"), "-90 to 90"),
        ((*SITE, "a", "--uai", "0130050X"), "its check letter should be J"),
        ((*SITE, "a", "--insee", "4112"), "five characters"),
        ((*SITE, "a", "--reporting", "1"), "5 to 86400"),
        ((*USER, "Alice"), "such as a.martin"),
        ((*USER, "alice", "--email", "alice"), "something like name@example.org"),
        ((*USER, "alice", "--webhook", "ftp://x"), "http:// or https://"),
        (("user", "password", "--login", "nobody"), "there is no login 'nobody'"),
        (("device", "retire", "--org", "demo", "--id", "x"), "there is no device 'x'"),
        (("gateway", "revoke", "--org", "demo", "--id", "x"), "there is no gateway 'x'"),
        (("policy", "export", "--org", "demo", "--id", "x"), "there is no policy 'x'"),
        (("policy", "import", "nothing.toml", "--org", "demo"), "cannot be read"),
        (("watch", "--org", "x"), "--org is one of: demo"),
    ]:
        assert says in here.refusal(*words), words


def test_a_short_password_is_refused_and_not_repeated(here, monkeypatch):
    for password in ("sh0rt", "a" * 40, "x1y2z3" * 40):
        monkeypatch.setattr(sys, "stdin", io.StringIO(password + "\n"))
        assert password not in here.refusal(*USER, "alice", "--password-stdin")
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse battery\n"))
    assert main((*USER, "alice", "--password-stdin")) == 0


def test_verify_names_the_first_bad_entry(user):
    path = user.folder / "tocsin-data" / "tocsin.db"
    assert user.run("verify").stdout == "0 timelines checked: every chain whole\n"
    with sqlite3.connect(path) as conn:
        conn.execute(
            "INSERT INTO timeline_entry (alert_id, origin, seq, at_ms, what, data, previous, hash)"
            " VALUES ('no-such-alert', 'backend', 1, 0, 'raised', '{}', '', '')"
        )
    conn.close()
    done = user.run("verify", status=1)
    assert done.stdout == "no-such-alert backend entry 1: its alert is missing\n0 timelines checked: 1 broken\n"


def test_settings_shows_what_is_in_force(user):
    rows = {row["name"]: row["value"] for row in user.json("settings", TOCSIN_PORT="81")}
    assert rows["TOCSIN_PORT"] == "81"
    assert "did you mean TOCSIN_PORT?" in user.refusal("settings", status=3, TOCSIN_PRT="81")


def test_every_leaf_takes_json_and_has_help():
    def leaves(parser, path=()):
        actions = [
            action for action in parser._actions if hasattr(action, "choices") and isinstance(action.choices, dict)
        ]
        if not actions:
            yield path, parser
        for action in actions:
            for name, child in action.choices.items():
                yield from leaves(child, (*path, name))

    for path, parser in leaves(build_parser()):
        assert any("--json" in action.option_strings for action in parser._actions), path
        assert parser.description, path
