"""Writing TOML: what one of our documents holds, so that what came as JSON goes out as a file."""

import json
from collections.abc import Mapping


def toml_text(document: Mapping[str, object]) -> str:
    """The TOML of a document of texts, whole numbers, truths, dates as text, lists and lists of tables."""
    lines = [f"{key} = {_value(value)}" for key, value in document.items() if not _is_tables(value)]
    for key, value in document.items():
        if _is_tables(value):
            assert isinstance(value, list)
            for table in value:
                lines += ["", f"[[{key}]]", *(f"{name} = {_value(member)}" for name, member in table.items())]
    return "\n".join(lines) + "\n"


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(member)}" for key, member in value.items()) + " }"
    if isinstance(value, list | tuple):
        if any(isinstance(each, Mapping) for each in value):
            return "[\n" + "".join(f"    {_value(each)},\n" for each in value) + "]"
        return "[" + ", ".join(map(_value, value)) + "]"
    # A JSON string is a TOML basic string, once DEL is escaped as well.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
