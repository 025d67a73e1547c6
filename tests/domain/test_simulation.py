"""The sample scenarios, line by line; and a scenario that is wrong is refused whole."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from tocsin_backend.cli import main
from tocsin_backend.domain import simulation
from tocsin_backend.domain.documents import BadDocument

SCENARIOS = Path(__file__).parents[2] / "simulators" / "scenarios"
LINES = {
    "dead_sms": [
        "02:10:00  panne : sms",
        "02:10:01  bau-1 : appel",
        "02:10:01  → console, par console",
        "02:10:01  échec : anne, par sms",
        "02:10:01  → anne, par email",
        "02:10:03  échec : anne, par sms",
        "02:10:08  échec : anne, par sms",
        "02:10:23  échec : anne, par sms",
        "02:11:01  échec : bob, par sms",
        "02:11:03  échec : bob, par sms",
        "02:11:08  échec : bob, par sms",
        "02:11:23  échec : bob, par sms",
        "02:11:23  étape non transmise",
        "02:11:23  sans réponse",
        "02:11:23  alerte technique : étape non transmise",
        "02:11:23  alerte technique : sans réponse",
        "02:11:23  échec : bob, par sms",
        "02:11:25  échec : bob, par sms",
        "02:11:30  échec : bob, par sms",
        "02:11:40  rétabli : sms",
        "02:11:45  → bob, par sms",
        "02:12:30  prise",
        "02:12:30  voyant du poste : prise",
        "02:12:30  bob répond : prise",
        "02:12:30  → anne, par email : l'alerte est prise",
    ],
    "drill_beside_real": [
        "10:00:00  l'exercice commence",
        "10:00:05  bau-1 : appel d'exercice",
        "10:00:05  → anne, par sms",
        "10:00:05  → anne, par email",
        "10:01:00  l'exercice finit",
        "10:01:05  bau-2 : appel",
        "10:01:05  → anne, par sms",
        "10:01:05  → anne, par email",
        "10:01:05  → secours, par sms",
    ],
    "night_press": [
        "02:10:00  bau-1 : appel",
        "02:10:00  → console, par console",
        "02:10:00  → anne, par sms",
        "02:10:00  → anne, par email",
        "02:11:00  → bob, par sms",
        "02:13:00  sans réponse",
        "02:13:00  alerte technique : sans réponse",
        "02:13:00  → bob, par sms",
        "02:15:00  → bob, par sms",
        "02:17:00  → bob, par sms",
    ],
    "prank_night": [
        "23:30:00  bau-1 : appel",
        "23:30:00  → console, par console",
        "23:30:00  → anne, par sms",
        "23:30:00  → anne, par email",
        "23:30:05  bau-1 : appel",
        "23:30:10  bau-2 : appel",
        "23:30:10  → console, par console",
        "23:30:10  → anne, par sms",
        "23:30:10  → anne, par email",
        "23:30:30  prise",
        "23:30:30  voyant du poste : prise",
        "23:30:30  anne répond : prise",
        "23:30:40  close",
        "23:30:40  voyant du poste : close",
        "23:30:40  anne clôt : close",
        "23:30:45  close",
        "23:30:45  voyant du poste : close",
        "23:30:45  anne clôt : close",
    ],
    "roster_gap": [
        "02:10:00  bau-1 : appel",
        "02:10:00  étape sans personne",
        "02:10:00  alerte technique : étape sans personne",
        "02:10:00  → bob, par sms",
        "02:12:00  sans réponse",
        "02:12:00  alerte technique : sans réponse",
        "02:12:00  → bob, par sms",
    ],
}


def scenario(text):
    return simulation.parse(tomllib.loads(text))


def test_every_sample_has_its_lines():
    assert {path.stem for path in SCENARIOS.glob("*.toml")} == set(LINES)


@pytest.mark.parametrize("name", sorted(LINES))
def test_a_sample_happens_exactly_so(name):
    played = scenario((SCENARIOS / f"{name}.toml").read_text(encoding="utf-8"))
    assert [simulation.said(line, played, "fr") for line in simulation.play(played)] == LINES[name]


def test_the_documented_sample_is_accepted_and_names_every_key():
    readme = (SCENARIOS.parent / "README.md").read_text(encoding="utf-8")
    (sample,) = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    document = tomllib.loads(sample)
    assert simulation.play(simulation.parse(document))
    assert set(document) == set(simulation.KEYS)
    assert {key for person in document["person"] for key in person} == set(simulation.PERSON_KEYS)
    assert {key for event in document["event"] for key in event} == set(simulation.EVENT_KEYS)


def test_nobody_outside_hears_of_a_drill():
    played = scenario((SCENARIOS / "drill_beside_real.toml").read_text(encoding="utf-8"))
    assert [line.at_ms for line in simulation.play(played) if line.who == "secours"] == [65_000]


def test_a_clock_that_jumps_back_an_hour_holds_no_step_for_an_hour():
    text = (SCENARIOS / "night_press.toml").read_text(encoding="utf-8") + "[[event]]\nat_s = 30\nclock_s = -3600\n"
    bob = [line.at_ms for line in simulation.play(scenario(text)) if line.who == "bob"]
    assert bob[0] == 90_000, "clamped: the step's whole span after the restart, no more"


def test_a_wrong_scenario_is_refused_whole_with_every_fault():
    with pytest.raises(BadDocument) as error:
        scenario("""
title = ""
start = "yesterday"
timezone = "Mars/Base"
minutes = 0
colour = 1
[[person]]
login = "anne"
role = "king"
[[person]]
login = "anne"
[[event]]
at_s = -1
press = "bau-1"
[[event]]
at_s = 1
answer = "bob"
[[event]]
at_s = 2
press = "bau-1"
close = "anne"
[policy]
id = "X"
""")
    paths = [fault.path for fault in error.value.faults]
    wanted = ("title", "start", "timezone", "minutes", "colour", "person[0].role", "person[1].login", "event[0].at_s",
              "event[1].answer", "event[2]", "policy.id")  # fmt: skip
    assert [each for each in wanted if each not in paths] == []


def test_the_command_prints_lines_or_one_document(tmp_path, capsys):
    path = SCENARIOS / "roster_gap.toml"
    assert main(["simulate", str(path), "--language", "en"]) == 0
    assert "02:10:00  → bob, by sms" in capsys.readouterr().out.splitlines()
    assert main(["simulate", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lines"][0] == {"at_ms": 0, "what": "press", "who": "bau-1", "by": ""}
    bad = tmp_path / "bad.toml"
    bad.write_text('title = "x"\n')
    assert main(["simulate", str(bad), "--json"]) == 1
    assert {each["path"] for each in json.loads(capsys.readouterr().out)["faults"]} == {"start"}
    assert main(["simulate", str(tmp_path / "none.toml")]) == 1
    assert set(simulation.PHRASES["fr"]) == set(simulation.PHRASES["en"])


def test_the_organisation_above_that_a_scenario_names_is_told_of_what_is_unanswered() -> None:
    document = tomllib.loads((SCENARIOS / "night_press.toml").read_text(encoding="utf-8"))
    scenario = simulation.parse(document | {"above": "Ville"})
    lines = [simulation.said(line, scenario, "fr") for line in simulation.play(scenario)]
    at = lines.index("02:13:00  alerte technique : sans réponse")
    assert lines[at + 1] == "02:13:00  → Ville, organisation au-dessus : sans réponse"
    assert len([line for line in lines if "Ville" in line]) == 1
