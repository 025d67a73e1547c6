"""The schema that /api/v1/openapi.json serves: what the framework knows, and what it cannot know by itself.

Added to each operation: a summary (the first sentence of its description), who may (`x-roles` and in words), the
security, one whole example of its body and of its JSON answer, composed from the examples of the fields, an example of
each parameter in its path, and every error it may answer, in the one shape of api/errors.py.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from tocsin_backend.api.context import ACTIONS, COOKIE, visitor
from tocsin_backend.api.errors import CODES, error_body
from tocsin_backend.domain import rights

Json = dict[str, Any]

SECURITY: Json = {
    "gatewayToken": {"type": "http", "scheme": "bearer", "description": "from `tocsin gateway add`"},
    "providerToken": {"type": "http", "scheme": "bearer", "description": "of TOCSIN_SMS_INBOUND_TOKEN_FILE"},
    "session": {"type": "http", "scheme": "bearer", "description": "from POST /api/v1/login"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "changes need X-CSRF-Token"},
}
ERROR: Json = {
    "type": "object",
    "description": "Every error. `code` is stable, for programs; `hint`, what to do about it, may be empty.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "hint"],
            "properties": {name: {"type": "string"} for name in ("code", "message", "hint")},
        }
    },
}
WHEN = {
    400: "the body is not JSON that we accept",
    401: "nobody is logged in, or the token is not known",
    403: "the role may not, or a change by cookie came without its X-CSRF-Token",
    404: "there is no such thing in the organisation of whoever asks",
    413: "the body is too long",
    415: "the body is not said to be JSON",
    422: "a field or parameter is wrong; everything that is wrong is listed",
    429: "too many failed attempts: wait for `Retry-After` seconds",
    503: "the database cannot be reached: nothing was lost, try again",
}
# a parameter of a path -> one that the examples of bodies and answers speak of too
PATH_EXAMPLES: Json = {
    "alert_id": "5f0c0e8e-6c2e-5b7f-9d53-2f6f7f2f8d11",
    "calendar": "jour",
    "centre": "alpha",
    "desk": "accueil",
    "device": "bau-7",
    "group": "cour",
    "identifier": "tocsin.example-5f0c0e8e-1",
    "method_id": 31,
    "number": 7,
    "org": "ville",
    "policy": "jour",
    "roster": "astreinte",
    "site": "emperi",
    "window_id": 12,
}


def finish(schema: Json, routes: Iterable[tuple[str, APIRoute]], gateway_paths: Json) -> Json:
    """The framework's schema, made whole. `routes`: each with its whole path."""
    components = schema.setdefault("components", {})
    shapes = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        shapes.pop(unused, None)
    shapes["Error"] = ERROR
    components["securitySchemes"] = SECURITY
    known = {(path, method.lower()): route for path, route in routes for method in route.methods}
    schema["paths"] |= gateway_paths
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            _finish_operation(operation, method, known.get((path, method)), shapes)
    return schema


def _finish_operation(operation: Json, method: str, route: APIRoute | None, shapes: Json) -> None:
    operation["description"] = " ".join(operation["description"].split("\n\n")[0].split()) + "".join(
        f"\n\n{' '.join(part.split())}" for part in operation["description"].split("\n\n")[1:]
    )
    operation["summary"] = operation["description"].split("\n")[0].split(". ")[0].split("; ")[0].rstrip(".")
    errors: set[int] = {int(status) for status in operation["responses"] if int(status) >= 400}
    if route is not None:
        _say_who(operation, set(_calls(route.dependant)), method)
    if operation["security"]:
        errors.add(401)
    if "x-roles" in operation and (method != "get" or len(operation["x-roles"]) < len(rights.ROLES)):
        errors.add(403)
    parameters = operation.get("parameters", [])
    if any(each["in"] == "path" for each in parameters):
        errors.add(404)
    if parameters:
        errors.add(422)
    if "requestBody" in operation:
        errors |= {400, 413, 415, 422}
        _exemplify(operation["requestBody"]["content"], shapes)
    if operation.pop("x-database", True):
        errors.add(503)
    for each in parameters:
        if each["in"] == "path":
            each["example"] = PATH_EXAMPLES[each["name"]]
    for status in sorted(errors):
        answer = operation["responses"].setdefault(str(status), {})
        if answer.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "").endswith("Health"):
            continue  # says so itself
        operation["responses"][str(status)] = _error(status)
    for status, answer in operation["responses"].items():
        if int(status) < 300:
            if answer.get("description") == "Successful Response":
                answer["description"] = "done"
            _exemplify(answer.get("content", {}), shapes)


def _calls(dependant: Dependant) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each.call
        yield from _calls(each)


def _say_who(operation: Json, calls: set[Any], method: str) -> None:
    operation.setdefault("security", [{"session": []}, {"cookie": []}] if visitor in calls else [])
    if visitor not in calls:
        return
    actions = [ACTIONS[call] for call in calls if call in ACTIONS]
    operation["x-roles"] = [role for role in rights.ROLES if all(rights.may(role, action) for action in actions)]
    who = "everybody" if len(operation["x-roles"]) == len(rights.ROLES) else ", ".join(operation["x-roles"])
    operation["description"] += f"\n\nWho may: {who}."


def _error(status: int) -> Json:
    code, hint = CODES[status]
    example = error_body(code, WHEN[status], hint)
    shape = {"schema": {"$ref": "#/components/schemas/Error"}, "example": example}
    return {"description": WHEN[status], "content": {"application/json": shape}}


def _exemplify(content: Mapping[str, Json], shapes: Json) -> None:
    shape = content.get("application/json")
    if shape is not None and "example" not in shape:
        shape["example"] = example_of(shape["schema"], shapes)


def example_of(schema: Json, shapes: Json) -> Any:
    """A whole example of a schema: its own, or one made of its members' own. Raises KeyError where there is none."""
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        return example_of(shapes[schema["$ref"].rpartition("/")[2]], shapes)
    if schema.get("type") == "array":
        return [example_of(schema["items"], shapes)]
    if "properties" in schema:
        return {name: example_of(member, shapes) for name, member in schema["properties"].items()}
    raise KeyError(f"no example for {schema}")
