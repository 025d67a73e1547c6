"""The examples of the formats, in the README and in the docstrings, are documents that are accepted."""

import re
import textwrap
import tomllib
from pathlib import Path

import pytest
from tocsin_backend.domain import calendars, policies, rosters

README = Path(__file__).parents[2] / "backend/README.md"
PEOPLE = {login: ("supervisor", frozenset(("email", "webhook"))) for login in ("a.martin", "b.durand", "c.petit")}
JOUR = calendars.parse({"id": "jour", "title": "Jour", "rule": [{"hours": ["08:00-20:00"]}]})
HOURS = dict.fromkeys(("jour", "nuit", "ferie"), JOUR)
KNOWN = policies.Known(
    rosters={"astreinte": tuple(PEOPLE)},
    hours={"jour": (True, True)},
    desks={name: (frozenset(("email",)), True) for name in ("ville/pm", "gendarmerie/cic")},
    centres={"cra": True},
    alarm_groups=frozenset(("sirenes", "sirenes-lycee")),
)


def accepted(text: str) -> str:
    """Which kind of document it is; it must be one without a fault."""
    document = tomllib.loads(text)
    if "step" in document:
        policy = policies.parse(document, PEOPLE, KNOWN)
        assert policies.load(policies.dump(policy)) == policy
        return "policy"
    if "layer" in document:
        rosters.parse(document, PEOPLE, HOURS, "Europe/Paris")
        return "roster"
    calendars.parse(document)
    return "calendar"


def test_the_readme() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    kinds = [accepted(block) for block in blocks]
    assert kinds == ["policy", "policy", "calendar", "roster"]


@pytest.mark.parametrize(("module", "kind"), [(policies, "policy"), (rosters, "roster"), (calendars, "calendar")])
def test_the_docstrings(module, kind) -> None:
    assert module.__doc__ is not None
    lines = [line for line in module.__doc__.splitlines() if line.startswith("    ") or not line]
    text = textwrap.dedent("\n".join(lines))
    if kind == "calendar":  # it shows both ways of school holidays, of which a document has one
        text = text.replace('school_zone = "B"', "")
    if kind == "policy":  # as above, of severity and drills; and a drill has nothing external in it
        text = text.replace("drill = true", "drill = false")
    assert accepted(text) == kind
