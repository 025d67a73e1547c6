"""Calendars, rosters, desks, versions of policies, doubts, the dry run and readiness, through the API."""

import pytest

CALENDAR = 'id = "jour"\ntitle = "Jour"\n[[rule]]\ndays = ["mon"]\nhours = ["08:00-20:00"]\n'
ROSTER = """
id = "astreinte"
title = "Astreinte"
[[layer]]
every = "week"
start = "2026-01-05"
at = "08:00"
people = ["supervisor-demo", "administrator-demo"]
"""
POLICY = """
id = "plan"
title = "Plan"
[[step]]
delay_s = 60
targets = [{ channel = "console", during = "jour" }, { person = "technician-demo", not_during = "jour" }]
[[step]]
delay_s = 60
targets = [{ roster = "astreinte" }]
"""
ADMIN, BOSS, TECH, OBSERVER = (
    f"{role}-demo" for role in ("administrator", "supervisor", "technician", "observer")
)  # fmt: skip


@pytest.fixture(scope="module")
def planned(house):
    """`demo` with a calendar, a roster and a policy; its people have e-mail."""
    with house.parts.database.read() as conn:
        ids = {row.login: row.id for row in conn.exec_driver_sql("SELECT login, id FROM person")}

    def job(conn):
        for login, number in ids.items():
            if login.endswith(("-demo", "-other")):
                conn.exec_driver_sql(
                    "INSERT INTO contact_method (person_id, channel, address, secret, external, offset_ms, position,"
                    f" code_wrong, created_ms) VALUES ({number}, 'email', '{login}@example.org', '', false, 0, 0, 0, 0)"
                )

    house.parts.database.write(job).result()
    assert say(house, "POST", "calendars/import", ADMIN, toml=CALENDAR)["version"] == 1
    assert say(house, "POST", "rosters/import", ADMIN, toml=ROSTER)["version"] == 1
    assert say(house, "POST", "policies/import", ADMIN, toml=POLICY) == {
        "id": "plan", "title": "Plan", "version": 1, "steps": 2,
    }  # fmt: skip
    return house


def say(house, method, path, login, status=200, **body):
    more = {"json": body} if body or method in ("POST", "PUT") else {}
    answer = house.ask(method, f"/api/v1/{path}", login, **more)
    assert answer.status_code == status, answer.text
    return answer.json()


def told(tried):
    return [(line["offset_ms"], line["login"] or line["target"], line["channel"]) for line in tried["lines"]]


def test_what_was_imported_is_listed_as_it_was(planned):
    assert say(planned, "GET", "calendars/jour", BOSS)["source"] == CALENDAR
    assert [row["id"] for row in say(planned, "GET", "rosters", BOSS)["rosters"]] == ["astreinte"]
    assert say(planned, "GET", "rosters/astreinte", BOSS)["source"] == ROSTER
    same = say(planned, "POST", "rosters/import", ADMIN, toml=ROSTER)
    assert same["version"] == 1, "nothing changed"
    changed = say(planned, "POST", "rosters/import", ADMIN, toml=ROSTER + "# relu\n")
    assert changed["version"] == 2


def test_a_document_as_json_goes_out_as_a_file(planned):
    document = {
        "id": "json", "title": "J\u00e9son \"x\"",
        "step": [{"delay_s": 30, "targets": [{"channel": "console"}, {"role": "supervisor", "channels": ["email"]}]}],
    }  # fmt: skip
    assert say(planned, "POST", "policies/import", ADMIN, document=document)["version"] == 1
    source = say(planned, "GET", "policies/json", OBSERVER)["source"]
    assert say(planned, "POST", "policies/import", ADMIN, toml=source)["version"] == 1
    assert say(planned, "POST", "policies/import", ADMIN, status=422)["error"]["code"] == "invalid"
    both = say(planned, "POST", "policies/import", ADMIN, status=422, toml=source, document=document)
    assert "exactly one" in both["error"]["message"]


def test_every_version_of_a_policy_is_kept(planned):
    for delay in (20, 40):
        text = f'id = "v"\ntitle = "V {delay}"\n[[step]]\ndelay_s = {delay}\ntargets = [{{ channel = "console" }}]\n'
        say(planned, "POST", "policies/import", ADMIN, toml=text)
    versions = say(planned, "GET", "policies/v/versions", BOSS)["versions"]
    assert [(row["version"], row["policy"]["steps"][0]["delay_ms"]) for row in versions] == [(2, 40_000), (1, 20_000)]
    say(planned, "GET", "policies/none/versions", BOSS, status=404)


@pytest.mark.parametrize(
    ("kind", "text", "paths"),
    [
        ("policies", 'id = "X"\n[[step]]\ntargets = [{ roster = "none" }, { desk = "a/b" }]', 5),
        ("calendars", 'id = "X"\ncolour = 1\n[[rule]]\ndays = ["lundi"]', 4),
        ("rosters", 'id = "X"\n[[layer]]\nevery = "year"\npeople = ["supervisor-other"]', 5),
    ],
)
def test_a_bad_document_is_refused_whole_with_every_fault(planned, kind, text, paths):
    found = say(planned, "POST", f"{kind}/validate", BOSS, toml=text)
    assert not found["ok"]
    assert len(found["faults"]) == paths, found
    refused = say(planned, "POST", f"{kind}/import", ADMIN, status=422, toml=text)["error"]["message"]
    assert refused.splitlines() == [f"{fault['path']}: {fault['reason']}" for fault in found["faults"]]
    listed = say(planned, "GET", kind, BOSS)[kind]
    assert all(row["id"] != "X" for row in listed)
    line = say(planned, "POST", f"{kind}/validate", BOSS, toml='id = "x"\ntitle = x')
    assert line["faults"][0]["path"] == "line 2, column 9"


def test_press_here_at_ten_past_two_on_saturday(planned):
    body = {"site": "lycee", "policy": "plan", "at": "2026-11-21 02:10", "minutes": 3}
    found = say(planned, "POST", "dry-run", BOSS, **body)
    assert (found["at"], found["zone"]) == ("2026-11-21 02:10+01:00", "Europe/Paris")
    # The week of Monday 16 November 2026 is the 46th after 5 January: the first of two.
    assert told(found) == [
        (0, "technician-demo", "email"),
        (60_000, "administrator-demo", "email"),
        (120_000, "", ""),
        (120_000, "administrator-demo", "email"),
    ]
    assert found["lines"][2]["what"] == "unanswered"
    monday = say(planned, "POST", "dry-run", BOSS, **body | {"at": "2026-11-23 08:10"})
    assert told(monday)[:2] == [(0, "console", "console"), (60_000, "supervisor-demo", "email")]
    alerts = planned.ask("GET", "/api/v1/alerts", BOSS).json()["alerts"]
    assert alerts == [], "nothing was raised"


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"at": "samedi"}, 422),
        ({"category": "fire"}, 422),
        ({"mode": "probe"}, 422),
        ({"minutes": 0}, 422),
        ({"minutes": 100_000}, 422),
        ({"policy": "none"}, 404),
        ({"device": "post-other"}, 404),
        ({"site": "none"}, 404),
        ({"site": "lycee", "category": "technical"}, 200),
        ({"site": "lycee", "mode": "drill", "silent": True, "category": "threat"}, 200),
    ],
)
def test_a_press_that_cannot_be_tried(planned, more, status):
    say(planned, "POST", "dry-run", BOSS, status=status, **{"site": "lycee"} | more)


def test_overrides_and_duty(planned):
    def duty(at):
        return say(planned, "GET", f"rosters/astreinte/duty?at={at}&days=7", BOSS)

    before = duty("2026-12-07 09:00")
    assert (before["on_duty"], before["gaps"]) == (["supervisor-demo"], [])
    body = {"begins": "2026-12-08 08:00", "ends": "2026-12-09 08:00", "replaces": "supervisor-demo"}
    stand_in = say(planned, "POST", "rosters/astreinte/overrides", ADMIN, **body, person="technician-demo")
    assert duty("2026-12-08 09:00")["on_duty"] == ["technician-demo"]
    sick = body | {"replaces": "technician-demo", "note": "malade"}
    gap = say(planned, "POST", "rosters/astreinte/overrides", ADMIN, **sick)
    assert [each["words"] for each in duty("2026-12-07 09:00")["gaps"]] == [
        "2026-12-08 08:00+01:00 to 2026-12-09 08:00+01:00"
    ]
    listed = say(planned, "GET", "rosters/astreinte/overrides", BOSS)["overrides"]
    assert [each["id"] for each in listed] == [stand_in["id"], gap["id"]]
    assert say(planned, "POST", f"rosters/astreinte/overrides/{gap['id']}/cancel", ADMIN) == {"done": True}
    say(planned, "POST", f"rosters/astreinte/overrides/{gap['id']}/cancel", ADMIN, status=404)
    assert duty("2026-12-08 09:00")["on_duty"] == ["technician-demo"]
    bad = {"begins": "soon", "ends": "2026-12-09 08:00", "replaces": "nobody", "person": "supervisor-other"}
    refused = say(planned, "POST", "rosters/astreinte/overrides", ADMIN, status=422, **bad)["error"]["message"]
    assert [line.split(":")[0] for line in refused.splitlines()] == ["from", "replaces", "person"]


def test_calendars_say_when_they_hold(planned):
    found = say(planned, "GET", "calendars/jour/spans?at=2026-11-23 07:00&days=8", BOSS)
    assert not found["holds"]
    assert [each["words"] for each in found["spans"]] == [
        "2026-11-23 08:00+01:00 to 2026-11-23 20:00+01:00",
        "2026-11-30 08:00+01:00 to 2026-11-30 20:00+01:00",
    ]


def test_what_is_in_use_is_not_removed(planned):
    for path in ("calendars/jour", "rosters/astreinte"):
        assert "in use by policy plan" in say(planned, "DELETE", path, ADMIN, status=422)["error"]["message"]
    say(planned, "POST", "calendars/import", ADMIN, toml=CALENDAR.replace("jour", "rien"))
    say(planned, "DELETE", "calendars/rien", ADMIN)
    say(planned, "GET", "calendars/rien", BOSS, status=404)


def test_doubts(planned):
    codes = {each["code"] for each in say(planned, "GET", "policies/plan/lint", BOSS)["doubts"]}
    assert "contact-unproven" in codes
    say(planned, "GET", "policies/none/lint", BOSS, status=404)


def test_readiness_of_a_site_and_of_the_organisation(planned):
    found = say(planned, "GET", "sites/lycee/readiness", TECH)
    (answer,) = found["answers"]
    assert (found["verdict"], answer["policy"]) == ("not-ready", "none")
    assert {each["code"] for each in answer["reasons"]} >= {
        "posts-lost",
        "never-probed",
        "cannot-leave",
        "nobody-rings",
    }
    assert {each["login"] for each in answer["rings"]} == {None, "supervisor-demo", "administrator-demo"}
    (same,) = say(planned, "GET", "readiness", BOSS)["sites"]
    assert same["answers"][0]["rings"] == answer["rings"]
    say(planned, "GET", "sites/none/readiness", TECH, status=404)


def test_a_desk_is_told_only_by_whom_it_invited(planned):
    policy = 'id="chez"\ntitle="x"\n[[step]]\ndelay_s=30\ntargets=[{desk="other/pm"},{channel="console"}]'
    boss_there = "administrator-other"
    say(planned, "PUT", "desks/pm", boss_there, title="Police municipale", role="supervisor")
    refused = say(planned, "POST", "policies/import", ADMIN, status=422, toml=policy)["error"]["message"]
    assert "no desk 'other/pm' invited this organisation" in refused
    say(planned, "PUT", "organisation/parent", ADMIN, status=403, parent="other")
    say(planned, "PUT", "desks/pm/invitations/demo", ADMIN, status=404, external=True)  # not ours to give
    say(planned, "PUT", "desks/pm/invitations/demo", boss_there, external=True)
    say(planned, "PUT", "organisation/parent", ADMIN, parent="other")
    assert say(planned, "GET", "organisation", BOSS)["parent"] == "other"
    tried = say(planned, "POST", "dry-run", BOSS, site="lycee", policy="plan", minutes=3)
    above = [line["target"] for line in tried["lines"] if line["what"] == "above"]
    assert above == ["Organisation other"]
    for parent in ("demo", "nobody"):  # whether there is such an organisation is not said to who was not invited
        refused = say(planned, "PUT", "organisation/parent", boss_there, status=403, parent=parent)
        assert refused["error"] == {
            "code": "forbidden",
            "message": f"'{parent}' has invited this organisation to none of its desks",
            "hint": "an administrator there must first invite this organisation to one of its desks",
        }
    say(planned, "PUT", "desks/hall", ADMIN, title="Accueil", role="supervisor")
    say(planned, "PUT", "desks/hall/invitations/other", ADMIN, external=False)
    circle = say(planned, "PUT", "organisation/parent", boss_there, status=422, parent="demo")
    assert "above itself" in circle["error"]["message"]
    say(planned, "DELETE", "desks/hall/invitations/other", ADMIN)
    say(planned, "DELETE", "desks/hall", ADMIN)
    assert say(planned, "POST", "policies/import", ADMIN, toml=policy)["version"] == 1
    rings = {"site": "lycee", "policy": "chez", "minutes": 1}
    tried = say(planned, "POST", "dry-run", BOSS, **rings)
    rescuers = [line for line in tried["lines"] if line["login"]]
    assert {(line["login"], line["org"], line["external"]) for line in rescuers} == {
        ("supervisor-other", "other", True)
    }
    drill = say(planned, "POST", "dry-run", BOSS, **rings, mode="drill")
    assert {line["login"] for line in drill["lines"]} == {None}
    assert say(planned, "GET", "desks", BOSS)["invited_to"][0]["host"] == "other"
    assert "in use by the invitation of demo" in say(planned, "DELETE", "desks/pm", boss_there, 422)["error"]["message"]
    say(planned, "DELETE", "desks/pm/invitations/demo", boss_there)
    gone = say(planned, "POST", "dry-run", BOSS, **rings)
    assert {line["login"] for line in gone["lines"]} == {None}, "revoked: told no more, though the policy names it"
    assert [each["code"] for each in say(planned, "GET", "policies/chez/lint", BOSS)["doubts"]] == ["unreachable"]
    say(planned, "DELETE", "desks/pm", boss_there)
    say(planned, "PUT", "organisation/parent", ADMIN, parent=None)


def test_a_bad_desk_is_refused_with_every_fault(planned):
    refused = say(planned, "PUT", "desks/x", ADMIN, 422, title=" ", role="king", roster="none")["error"]["message"]
    assert [line.split(":")[0] for line in refused.splitlines()] == ["title", "role"]
    say(planned, "PUT", "desks/x/invitations/demo", ADMIN, 404, external=True)
    say(planned, "PUT", "organisation/timezone", ADMIN, 422, timezone="Mars/Olympus")
    say(planned, "PUT", "organisation/timezone", ADMIN, timezone="Europe/Paris")


WRITES = [
    ("POST", "policies/import"), ("POST", "calendars/import"), ("POST", "rosters/import"), ("DELETE", "calendars/jour"),
    ("DELETE", "rosters/astreinte"), ("POST", "rosters/astreinte/overrides"), ("PUT", "desks/pm"),
    ("POST", "rosters/astreinte/overrides/1/cancel"), ("DELETE", "desks/pm"), ("PUT", "desks/pm/invitations/other"),
    ("DELETE", "desks/pm/invitations/other"), ("PUT", "organisation/parent"), ("PUT", "organisation/timezone"),
]  # fmt: skip
READS = [
    ("GET", "calendars"), ("GET", "calendars/jour"), ("GET", "calendars/jour/spans"), ("GET", "rosters"),
    ("GET", "rosters/astreinte"), ("GET", "rosters/astreinte/duty"), ("GET", "rosters/astreinte/overrides"),
    ("GET", "desks"), ("GET", "organisation"), ("GET", "policies/plan/versions"), ("GET", "policies/plan/lint"),
    ("POST", "dry-run"), ("POST", "calendars/validate"), ("POST", "rosters/validate"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_only_an_administrator_writes(planned, method, path):
    for login in (BOSS, TECH, OBSERVER):
        assert say(planned, method, path, login, status=403)["error"]["code"] == "forbidden"


@pytest.mark.parametrize(("method", "path"), READS)
def test_supervisors_read(planned, method, path):
    for login in (TECH, OBSERVER):
        assert say(planned, method, path, login, status=403)["error"]["code"] == "forbidden"
    assert planned.ask(method, f"/api/v1/{path}", BOSS, **({"json": {}} if method == "POST" else {})).status_code in (
        200, 422,
    )  # fmt: skip


@pytest.mark.parametrize("path", ["readiness", "sites/lycee/readiness"])
def test_observers_do_not_read_readiness(planned, path):
    say(planned, "GET", path, OBSERVER, status=403)


@pytest.mark.parametrize(("method", "path"), [each for each in READS if "/" in each[1] and each[0] == "GET"])
def test_nothing_of_another_organisation_is_seen(planned, method, path):
    say(planned, method, path, "supervisor-other", status=404)
