"""Every operation of the schema is sent as its example says: it works; and for whom it does not.

Nothing here names an operation that may be left out. What an operation needs before it (an alert, a drill, a desk) is
made anew for each; one that needs something new fails here until it is made.
"""

import copy
import re

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import text
from tocsin_backend.channels import Outgoing
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.domain.notices import Message
from tocsin_backend.domain.rights import ROLES
from tocsin_backend.enrolment import SiteDetails
from tocsin_wire import signing

PASSWORD = "correct horse battery staple"
# who in `demo` has which role: the people whom the examples name
PEOPLE = {"administrator": "a.martin", "supervisor": "b.durand", "technician": "c.petit", "observer": "observer-demo"}
CALENDAR = 'id = "jour"\ntitle = "Jour"\n[[rule]]\ndays = ["mon"]\nhours = ["08:00-20:00"]\n'
ROSTER = (
    'id = "astreinte"\ntitle = "Astreinte"\n[[layer]]\nevery = "week"\nstart = "2026-01-05"\nat = "08:00"\n'
    'people = ["a.martin", "b.durand"]\n'
)
POLICY = 'id = "jour"\ntitle = "Le jour"\n[[step]]\ndelay_s = 60\ntargets = [{ channel = "console" }]\n'
GROUP = {"site": "emperi", "title": "Cour", "outputs": [{"device": "sirene-1", "output": "cour"}]}
CENTRE = {"title": "Alpha", "account": "1234", "paths": [{"host": "127.0.0.1", "port": 9}], "key": ""}
PROVIDER = "the provider's own token, of 43 characters."
METHODS = ("get", "post", "put", "delete")  # what is removed is removed last


class World:
    """The organisation `demo` of the examples, and how each operation is sent to it."""

    def __init__(self, house):
        self.house = house
        self.schema = house.client.get("/api/v1/openapi.json").json()
        self.sent = 0
        desk, plans = house.parts.registrar, house.parts.plans
        desk.add_site("demo", "emperi", SiteDetails(name="Lycée de l'Emperi"))
        desk.add_organisation("ville", "Ville")
        for role, login in list(PEOPLE.items())[:3]:
            desk.add_person("demo", login, f"Nom de {login}", role, PASSWORD, "fr", [])
        for device in ("bau-7", "sirene-1"):
            desk.add_device("demo", "emperi", "call_post", device)
        plans.save_desk("ville", "pm", title="Police municipale", role="supervisor")
        plans.invite("ville", "pm", "demo", external=True)
        # The frames of the examples are sealed with the key of 32 zero bytes.
        key = signing.key_from_text("A" * 43)
        self.write("UPDATE device_key SET key = :key WHERE org = 'demo' AND device = 'bau-7'", key=key)
        house.parts.sms_inbound_token = PROVIDER
        house.parts.contacts._channels = dict(house.parts.contacts._channels) | {"sms": Relay()}
        house.parts.contacts._code = lambda row: "482193"

    def write(self, statement, **values):
        def job(conn):
            found = conn.execute(text(statement), values)
            return found.scalar_one() if found.returns_rows else None

        return self.house.parts.database.write(job).result()

    def operations(self):
        for method in METHODS:
            for path, item in sorted(self.schema["paths"].items()):
                if method in item:
                    yield method, path, item[method]

    def ask(self, method, path, role, **more):
        answer = self.house.ask(method, path, PEOPLE[role], **more)
        assert answer.status_code < 300, (method, path, answer.text)
        return answer.json()

    def prepared(self, method, path, operation, role="administrator"):
        """(path, body) of an operation's example, once what it speaks of is there; body None: it takes none."""
        house, plans = self.house, self.house.parts.plans
        plans.import_calendar("demo", CALENDAR, "test")
        plans.import_roster("demo", ROSTER, "test")
        plans.import_policy("demo", POLICY, "test")
        values = {each["name"]: each["example"] for each in operation.get("parameters", []) if each["in"] == "path"}
        if "alert_id" in values or "identifier" in values or "/make-real" in path:
            values["alert_id"] = self.alert(role, drill=path.endswith("/make-real"))
        if "identifier" in values:
            channel = house.parts.engine.senders["cap"].channel
            alert_id = values["alert_id"]
            assert channel.send(Outgoing(alert_id, alert_id, "cap", "", "", 0, Message("", "", {}))).accepted
            values["identifier"] = self.write("SELECT identifier FROM cap_message WHERE alert_id = :id", id=alert_id)
        if "window_id" in values:
            kind = "maintenance" if role == "technician" and method == "post" else "drill"
            values["window_id"] = self.window(kind)
            if path.endswith("/report"):
                self.ask("POST", f"/api/v1/windows/{values['window_id']}/end", "supervisor", json={})
        if "method_id" in values:
            self.sent += 1
            body = {"channel": "sms", "address": f"+336123{self.sent:05}"}
            values["method_id"] = self.ask("POST", "/api/v1/contacts", role, json=body)["id"]
            self.write("UPDATE contact_method SET code_ms = :at WHERE id = :id", at=house.parts.now_ms() - 120_000,
                       id=values["method_id"])  # fmt: skip
        if "number" in values:
            body = {"begins": "2026-12-24 08:00", "ends": "2026-12-26 08:00", "person": "b.durand"}
            values["number"] = self.ask("POST", "/api/v1/rosters/astreinte/overrides", "administrator", json=body)["id"]
        if path.endswith("/all-clear"):
            self.ask("PUT", "/api/v1/alarm-groups/cour", "administrator", json=GROUP)
        if "group" in values:
            self.ask("PUT", f"/api/v1/alarm-groups/{values['group']}", "administrator", json=GROUP)
        if "centre" in values:
            self.ask("PUT", f"/api/v1/centres/{values['centre']}", "administrator", json=CENTRE)
        if "desk" in values:
            plans.save_desk("demo", values["desk"], title="Accueil", role="supervisor")
            plans.invite("demo", values["desk"], "ville", external=False)
            if "org" not in values and method == "delete":
                plans.revoke("demo", values["desk"], "ville")
        body = None
        if "requestBody" in operation:
            body = copy.deepcopy(operation["requestBody"]["content"]["application/json"]["example"])
            if "starts_ms" in body:  # what was ahead when the example was written
                ahead = house.parts.now_ms() + 3_600_000 - body["starts_ms"]
                body = body | {name: body[name] + ahead for name in ("starts_ms", "ends_ms")}
        return path.format(**values), body

    def alert(self, role, *, drill):
        house = self.house
        house.close_all()
        self.end_windows()
        if drill:
            self.window("drill", site="lycee")
        alert_id = house.press()
        if role == "technician":  # the alerts that are hers
            self.write("UPDATE alert SET category = 'technical' WHERE id = :id", id=alert_id)
        return alert_id

    def window(self, kind, site="emperi"):
        self.end_windows()
        start = self.house.parts.now_ms() - 2_000
        body = {"kind": kind, "site": site, "title": "x", "starts_ms": start, "ends_ms": start + 600_000}
        return self.ask("POST", "/api/v1/windows", "supervisor", json=body | {"forced": True})["id"]

    def end_windows(self):
        for each in self.ask("GET", "/api/v1/windows", "supervisor")["windows"]:
            if each["state"] != "over":
                self.ask("POST", f"/api/v1/windows/{each['id']}/end", "supervisor", json={})

    def send(self, method, path, body, login=None, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if login:
            headers = {"Authorization": f"Bearer {self.house.token(login)}"}
        if path.endswith("/gateway/downlink"):
            with self.house.client.stream(method, path, headers=headers) as answer:
                if answer.status_code == 200:
                    next(answer.iter_lines())
                else:
                    answer.read()
                return answer
        more = {} if body is None else {"json": body}
        answer = self.house.client.request(method, path, headers=headers, **more)
        self.house.client.cookies.clear()
        if path.endswith("/logout") and answer.status_code == 204:
            del self.house._tokens[login]
        return answer

    def credentials(self, operation, login):
        schemes = {name for each in operation["security"] for name in each}
        if "gatewayToken" in schemes:
            return {"token": self.house.gateways["demo"]["token"]}
        if "providerToken" in schemes:
            return {"token": PROVIDER}
        return {"login": login} if "session" in schemes else {}


@pytest.fixture(scope="module")
def world(house):
    return World(house)


def test_every_example_can_be_sent_and_the_answer_is_of_its_shape(world):
    count = 0
    for method, path, operation in world.operations():
        filled, body = world.prepared(method, path, operation)
        if path.endswith("/confirm"):
            world.ask("POST", filled.replace("/confirm", "/verify"), "administrator", json={})
        answer = world.send(method, filled, body, **world.credentials(operation, PEOPLE["administrator"]))
        assert answer.status_code < 300, (method, filled, body, answer.text)
        count += 1
        if answer.status_code == 204:
            continue
        documented = operation["responses"][str(answer.status_code)]
        kind = answer.headers.get("content-type", "").partition(";")[0]
        assert kind in documented["content"], (method, path, kind)
        if kind == "application/json":
            shape = documented["content"][kind]["schema"] | {"components": world.schema["components"]}
            faults = list(Draft202012Validator(shape).iter_errors(answer.json()))
            assert not faults, (method, path, faults)
    assert count == sum(len(item) for item in world.schema["paths"].values())


def test_the_frames_of_the_examples_are_real(world):
    operation = world.schema["paths"]["/api/v1/gateway/envelopes"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["example"]
    credentials = world.credentials(operation, "")
    first, again = (world.send("post", "/api/v1/gateway/envelopes", body, **credentials).json() for _ in range(2))
    assert [each["r"] for each in first["answers"]] in (["stored"], ["duplicate"]), "another test may have sent it"
    assert [each["r"] for each in again["answers"]] == ["duplicate"]
    operation = world.schema["paths"]["/api/v1/gateway/beats"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["example"]
    answer = world.send("post", "/api/v1/gateway/beats", body, **world.credentials(operation, ""))
    assert answer.json()["refused"] == []


@pytest.mark.parametrize("role", ROLES)
def test_who_may_is_what_the_schema_says(world, role):
    for method, path, operation in world.operations():
        if "x-roles" not in operation:
            continue
        filled, body = world.prepared(method, path, operation, role)
        if body is not None and "kind" in body and role == "technician":
            body["kind"] = "maintenance"  # a drill is not hers to announce
        if body is not None and "login" in body:
            body["login"] = PEOPLE[role]  # one's own contacts; everybody's are the administrator's
        answer = world.send(method, filled, body, PEOPLE[role])
        assert (answer.status_code == 403) == (role not in operation["x-roles"]), (method, filled, answer.text)
        assert answer.status_code != 401


def test_without_a_login_nothing_is_said(world):
    for method, path, operation in world.operations():
        if not operation["security"]:
            assert path in ("/healthz", "/metrics", "/api/v1/login"), "open to everybody"
            continue
        filled = re.sub(r"\{(\w+)\}", "1", path)
        body = None
        if "requestBody" in operation:
            body = operation["requestBody"]["content"]["application/json"]["example"]
        for token in (None, "x" * 43):
            answer = world.send(method, filled, body, token=token)
            assert answer.status_code == 401, (method, path, answer.text)
            assert answer.json()["error"]["code"] in ("not-logged-in", "unknown-gateway", "unknown-provider")


SECRETS = (
    "a.martin", "b.durand", "Nom de", "emperi", "Emperi", "bau-7", "sirene-1", "astreinte", "accueil", "Accueil",
    "Lycée demo", "post-demo", "gw-demo", "supervisor demo", "Alpha", "Organisation demo", "ville",
)  # fmt: skip
FINGERPRINT = (
    "sites", "policies", "calendars", "rosters", "rosters/astreinte/overrides", "desks", "organisation", "alarm-groups",
    "centres", "contacts?login=a.martin", "windows", "alerts?status=all&limit=500",
)  # fmt: skip


def test_of_another_organisation_nothing_is_seen_or_changed(world):
    def fingerprint():
        found = {path: world.ask("GET", f"/api/v1/{path}", "administrator") for path in FINGERPRINT}
        for alert in found["alerts?status=all&limit=500"]["alerts"]:
            for moves_by_itself in ("due_ms", "step", "pass", "notices", "lamp", "unanswered"):
                del alert[moves_by_itself]
        return found

    # First what names a thing: afterwards she has things of her own that are called the same.
    for method, path, operation in sorted(world.operations(), key=lambda each: "{" not in each[1] or each[0] == "put"):
        if "x-roles" not in operation:
            continue
        filled, body = world.prepared(method, path, operation)
        before = fingerprint() if method != "get" else None
        for login in ("administrator-other", "supervisor-other"):
            answer = world.send(method, filled, body, login)
            seen = answer.text
            for told in (filled, *re.findall(r"'([^']*)'", seen)):  # what the asker wrote herself may be quoted
                seen = seen.replace(told, "") if told in filled or told in str(body) else seen
            if answer.status_code < 300 and method == "get" and "{" not in path:
                found = [secret for secret in SECRETS if secret in seen]
                assert not found, (method, filled, found, seen)
            elif "{" in path:
                there = login.startswith("supervisor") and "supervisor" not in operation["x-roles"]
                assert answer.status_code == (403 if there else 404) or method == "put", (method, filled, answer.text)
                assert not [secret for secret in SECRETS if secret in seen], (method, filled, seen)
        assert before is None or fingerprint() == before, (method, filled)


class Relay:
    """A provider of short messages that takes everything."""

    name, workers, confirms, answers = "sms", 1, ("handed",), "code"

    def send(self, outgoing):
        return Outcome(accepted=True)

    def close(self):
        pass
