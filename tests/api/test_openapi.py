"""The schema is whole and true: every operation is described, its examples fit its shapes, and they can be sent.

Nothing here names an operation that may be left out: what is new is held to the same.
"""

import pytest
from jsonschema import Draft202012Validator
from tocsin_backend.api.errors import CODES
from tocsin_backend.domain import replies
from tocsin_backend.domain.rights import ROLES


@pytest.fixture(scope="module")
def schema(house):
    return house.client.get("/api/v1/openapi.json").json()


def operations(schema):
    for path, item in sorted(schema["paths"].items()):
        for method, operation in sorted(item.items()):
            yield f"{method.upper()} {path}", operation


def validator(schema, shape):
    return Draft202012Validator(shape | {"components": schema["components"]})


def test_every_operation_says_what_it_does_who_may_and_what_it_answers(schema):
    for name, operation in operations(schema):
        summary, words = operation["summary"], operation["description"]
        assert summary.strip(), name
        assert words.startswith(summary), name
        assert len(summary) <= 120, (name, summary)
        assert operation["tags"], name
        assert isinstance(operation["security"], list), name
        for scheme in operation["security"]:
            assert set(scheme) <= set(schema["components"]["securitySchemes"]), name
        if {"session": []} in operation["security"]:
            assert set(operation["x-roles"]) <= set(ROLES), name
            assert operation["x-roles"], name
            assert "Who may: " in words, name
            assert {"401", "503"} <= set(operation["responses"]), name
        for each in operation.get("parameters", []):
            assert each["in"] != "path" or "example" in each, (name, each)


def test_every_error_is_of_the_one_shape(schema):
    for name, operation in operations(schema):
        needed = set()
        if operation["security"]:
            needed |= {"401", "503"}
        if "requestBody" in operation:
            needed |= {"400", "413", "415", "422"}
        if "{" in name:
            needed.add("404")
        assert needed <= set(operation["responses"]), name
        for status, answer in operation["responses"].items():
            if int(status) < 400:
                continue
            content = answer["content"]["application/json"]
            if content["schema"] == {"$ref": "#/components/schemas/Error"}:
                assert content["example"]["error"]["code"] == CODES[int(status)][0], name
                validator(schema, content["schema"]).validate(content["example"])
            else:
                assert name == "GET /healthz", "only the health of the server has another shape"


def test_every_example_fits_its_own_shape(schema):
    bodies = answers = 0
    for name, operation in operations(schema):
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]["application/json"]
            faults = list(validator(schema, content["schema"]).iter_errors(content["example"]))
            assert not faults, (name, faults)
            bodies += 1
        good = {status: each for status, each in operation["responses"].items() if int(status) < 300}
        assert good, name
        for status, answer in good.items():
            assert status == "204" or answer["content"], name
            content = answer.get("content", {}).get("application/json")
            if content is not None:
                faults = list(validator(schema, content["schema"]).iter_errors(content["example"]))
                assert not faults, (name, faults)
                assert content["example"] not in ({}, [], None), name
                answers += 1
    assert bodies > 30
    assert answers > 60


def test_every_outcome_of_an_all_clear_is_named(schema):
    words = schema["components"]["schemas"]["AllClearShape"]["description"]
    assert all(f'"{outcome}"' in words for outcome in ("all-clear", "held", "ignored"))


def test_the_short_message_of_the_example_is_an_answer(schema):
    body = schema["paths"]["/api/v1/gateway/sms/inbound"]["post"]["requestBody"]
    reply = replies.parse(body["content"]["application/json"]["example"]["text"])
    assert (reply.what, len(reply.code)) == (replies.TAKE, 6)
