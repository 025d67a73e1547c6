"""`tocsin policy`, `roster`, `calendar`, `desk`, `ready`: as a user who has made an organisation and a site."""

import json

import pytest
from tocsin_backend.cli import main

CALENDAR = (
    'id = "nuit"\ntitle = "Nuit"\nschool_zone = "A"\n[[rule]]\nhours = ["20:00-08:00"]\nexcept = ["school-holiday"]\n'
)
ROSTER = """id = "astreinte"
title = "Astreinte"
[[layer]]
every = "week"
start = "2026-01-05"
at = "08:00"
people = ["a.martin", "b.durand"]
"""
POLICY = """id = "plan"
title = "Plan"
[[step]]
delay_s = 60
targets = [{ channel = "console" }, { roster = "astreinte", during = "nuit" }]
"""


@pytest.fixture
def town(user, capsys, monkeypatch):
    """Two people with e-mail, a calendar, a roster and a policy; a post without a broker."""
    for login in ("a.martin", "b.durand"):
        user.json("user", "add", "--org", "demo", "--login", login, "--name", login, "--role", "supervisor", "--email",
                   f"{login}@example.org")  # fmt: skip
    for name, text in (("nuit", CALENDAR), ("astreinte", ROSTER), ("plan", POLICY)):
        (user.folder / f"{name}.toml").write_text(text)
    assert user.json("calendar", "import", "nuit.toml", "--org", "demo")["version"] == 1
    assert user.json("roster", "import", "astreinte.toml", "--org", "demo")["version"] == 1
    assert user.json("policy", "import", "plan.toml", "--org", "demo")["version"] == 1
    monkeypatch.chdir(user.folder)
    capsys.readouterr()
    return user


def run(capsys, *words: str, status: int = 0) -> str:
    """What a command says on stdout, and for a refusal on stderr."""
    assert main(words) == status, words
    said = capsys.readouterr()
    return said.out or said.err


ORG = ("--org", "demo")


def test_what_was_imported_comes_out_again(town, capsys):
    for noun, name, text in (
        ("calendar", "nuit", CALENDAR),
        ("roster", "astreinte", ROSTER),
        ("policy", "plan", POLICY),
    ):
        assert run(capsys, noun, "export", *ORG, "--id", name) == text
        assert name in run(capsys, noun, "list", *ORG)
        assert "there is no" in run(capsys, noun, "export", *ORG, "--id", "none", status=1)


def test_the_dry_run_is_a_table_of_who_by_what_and_when(town, capsys):
    words = ("policy", "dry-run", *ORG, "--site", "emperi", "--id", "plan", "--minutes", "1", "--at")
    said = run(capsys, *words, "2026-11-21 02:10")
    assert said.splitlines()[0] == (
        "a press at emperi at 2026-11-21 02:10+01:00, policy plan version 1, nobody answers:"
    )
    assert [line.split() for line in said.splitlines()[1:]] == [
        ["after", "pass", "step", "what", "who", "by", "why_not"],
        ["+0:00", "1", "1", "told", "console", "console"],
        ["+0:00", "1", "1", "told", "b.durand", "(b.durand)", "email", "no-relay"],
    ]
    assert "durand" not in run(capsys, *words, "2026-11-21 12:00")
    assert "is not a time" in run(capsys, *words, "samedi", status=1)
    assert "there is no site" in run(capsys, "policy", "dry-run", *ORG, "--site", "x", status=1)
    document = json.loads(run(capsys, *words, "2026-11-21 02:10", "--json"))
    assert [line["login"] for line in document["lines"]] == [None, "b.durand"]
    assert [line["step"] for line in document["lines"]] == [0, 0], "programs count from 0"


def test_doubts_and_readiness(town, capsys):
    assert "[contact-unproven]" in run(capsys, "policy", "lint", *ORG, "--id", "plan", status=1)
    said = run(capsys, "ready", "emperi", *ORG, status=1)
    assert said.startswith("emperi: not-ready\n")
    assert "there is no post in service" in said
    assert "weak: email: aucun courriel ne part de ce serveur (TOCSIN_SMTP_HOST)" in said
    assert "[cannot-leave]" in run(capsys, "policy", "lint", *ORG, "--id", "plan", status=1)
    assert "never" in said
    (document,) = json.loads(run(capsys, "ready", *ORG, "--json", status=1))
    assert document["verdict"] == "not-ready"


def test_who_is_on_duty_and_who_stands_in(town, capsys):
    show = ("roster", "show", *ORG, "--id", "astreinte", "--at", "2026-11-23 09:00", "--days", "7")
    assert run(capsys, *show).splitlines()[1].split() == [
        "2026-11-23", "09:00+01:00", "2026-11-30", "08:00+01:00", "a.martin",
    ]  # fmt: skip
    named = (*ORG, "--id", "astreinte")
    times = ("--from", "2026-11-24 08:00", "--to", "2026-11-25 08:00")
    assert run(capsys, "roster", "override", "add", *named, *times) == "override 1: nobody for whoever is on duty\n"
    assert "NOBODY" in run(capsys, *show, status=1)
    assert run(capsys, "roster", "override", "cancel", *named, "1") == "override 1 cancelled\n"
    assert "(cancelled)" in run(capsys, *show)
    assert "no override 1" in run(capsys, "roster", "override", "cancel", *named, "1", status=1)
    bad = ("--from", "2026-11-25", "--to", "2026-11-24", "--person", "nobody")
    refused = run(capsys, "roster", "override", "add", *named, *bad, status=1)
    assert "to: is not after" in refused
    assert "person: 'nobody'" in refused


def test_when_a_calendar_holds(town, capsys):
    show = ("calendar", "show", *ORG, "--id", "nuit", "--at")
    assert len(run(capsys, *show, "2026-11-23 12:00", "--days", "3").splitlines()) == 4
    assert run(capsys, *show, "2026-07-15 12:00", "--days", "3") == "it holds at no time\n"
    assert "2028-08-31" in run(capsys, "calendar", "list")
    assert "in use by policy plan" in run(capsys, "calendar", "remove", *ORG, "--id", "nuit", status=1)


def test_a_bad_file_says_every_fault_and_changes_nothing(town, capsys):
    for noun, name, text, count in (
        ("calendar", "nuit", 'id = "nuit"\n[[rule]]\ndays = ["lundi"]', 2),
        ("roster", "astreinte", 'id = "astreinte"\n[[layer]]\nevery = "year"\npeople = ["nobody"]', 4),
        ("policy", "plan", 'id = "plan"\n[[step]]\ntargets = [{ roster = "none" }]', 3),
    ):
        before = run(capsys, noun, "export", *ORG, "--id", name)
        (town.folder / "bad.toml").write_text(text)
        said = run(capsys, noun, "import", "bad.toml", *ORG, status=1).splitlines()
        assert all(line.startswith("bad.toml: ") for line in said[:-1])
        assert said[-1] == f"tocsin: bad.toml has {count} faults; nothing was changed"
        assert len(said) == count + 1
        assert run(capsys, noun, "export", *ORG, "--id", name) == before


@pytest.mark.parametrize(
    ("text", "words"), [("[]", "is not a JSON object"), ("{", "is not JSON"), ("9" * 300_000, "long")]
)
def test_what_is_not_a_json_document(town, capsys, text, words):
    (town.folder / "x.json").write_text(text)
    assert words in run(capsys, "policy", "import", "x.json", *ORG, status=1)


def test_a_json_document_is_exported_as_toml(town, capsys):
    step = {"delay_s": 30, "targets": [{"role": "supervisor", "channels": ["email"]}]}
    (town.folder / "x.json").write_text(json.dumps({"id": "x", "title": 'Été "x"', "step": [step]}))
    run(capsys, "policy", "import", "x.json", *ORG)
    text = run(capsys, "policy", "export", *ORG, "--id", "x")
    (town.folder / "y.toml").write_text(text)
    assert json.loads(run(capsys, "policy", "import", "y.toml", *ORG, "--json"))["version"] == 1


def test_desks_and_the_organisation_above(town, capsys):
    run(capsys, "org", "add", "--id", "ville", "--name", "Ville")
    desk = ("--org", "ville", "--id", "pm")
    run(capsys, "desk", "save", *desk, "--title", "Police municipale", "--role", "supervisor")
    assert run(capsys, "desk", "invite", *desk, "--guest", "demo") == "demo may tell the desk ville/pm\n"
    assert run(capsys, "desk", "list").splitlines()[1].split()[-1] == "demo"
    assert "in use by the invitation of demo" in run(capsys, "desk", "remove", *desk, status=1)
    run(capsys, "desk", "revoke", *desk, "--guest", "demo")
    run(capsys, "desk", "remove", *desk)
    assert run(capsys, "org", "set-parent", *ORG, "--parent", "ville") == "above demo: ville\n"
    assert "above itself" in run(capsys, "org", "set-parent", "--org", "ville", "--parent", "demo", status=1)
    assert run(capsys, "org", "set-parent", *ORG) == "above demo: nobody\n"
    assert "not a time zone" in run(capsys, "org", "set-timezone", *ORG, "--timezone", "x", status=1)
    run(capsys, "org", "set-timezone", *ORG, "--timezone", "Indian/Reunion")
