"""The ways a person is reached: whose may change what, what is refused, and the code that proves an address."""

import re

import pytest
from tocsin_backend.contacts import CODE_MS, SEND_EVERY_MS, SENDING_MAX, Asker, Contacts
from tocsin_backend.domain import contacts
from tocsin_backend.domain.contacts import BadAddress
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.errors import Invalid

TOKEN = "tk_abcdefsecret"
PUSH = f"ntfys://:{TOKEN}@ntfy.example:8443/garde-secrete"


class Kept:
    """A channel that keeps what it is given, and answers as told."""

    name = "email"
    workers = 1
    confirms = ("handed",)
    answers = ""

    def __init__(self):
        self.sent = []
        self.outcome = Outcome(True)

    def send(self, outgoing):
        self.sent.append(outgoing)
        return self.outcome

    def close(self):
        pass


@pytest.fixture(autouse=True)
def nobody_has_any(house):
    house.parts.database.write(lambda conn: conn.exec_driver_sql("DELETE FROM contact_method").rowcount).result()


def add(house, asker="supervisor-demo", status=200, **body):
    answer = house.ask("POST", "/api/v1/contacts", asker, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_person_adds_lists_and_changes_her_own(house):
    first = add(house, channel="sms", address="+33 6 12 34 56 78")
    assert (first["address"], first["position"], first["verified_ms"]) == ("+33612345678", 0, None)
    second = add(house, channel="email", address="anne@x.fr", offset_s=60)
    assert (second["position"], second["offset_s"]) == (1, 60)
    answer = house.ask(
        "POST", f"/api/v1/contacts/{second['id']}", "supervisor-demo", json={"offset_s": 0, "position": 0}
    )
    assert (answer.json()["offset_s"], answer.json()["position"]) == (0, 0)
    answer = house.ask("POST", f"/api/v1/contacts/{first['id']}", "supervisor-demo", json={"disabled": True})
    assert answer.json()["disabled"] is True
    listed = house.ask("GET", "/api/v1/contacts", "supervisor-demo").json()["contacts"]
    assert [(each["id"], each["disabled"]) for each in listed] == [(first["id"], True), (second["id"], False)]
    answer = house.ask("POST", f"/api/v1/contacts/{first['id']}", "supervisor-demo", json={"disabled": False})
    assert answer.json()["disabled"] is False


def test_others_are_an_administrator_s_and_another_organisation_s_nobody_s(house):
    mine = add(house, channel="email", address="anne@x.fr")["id"]
    add(house, "administrator-demo", login="supervisor-demo", channel="sms", address="+33612345678")
    listed = house.ask("GET", "/api/v1/contacts?login=supervisor-demo", "administrator-demo").json()["contacts"]
    assert len(listed) == 2
    for login, statuses in (("observer-demo", (403,)), ("administrator-other", (404,)), ("supervisor-other", (404,))):
        assert house.ask("GET", "/api/v1/contacts?login=supervisor-demo", login).status_code in statuses
        add(house, login, statuses[0], login="supervisor-demo", channel="email", address="evil@x.fr")
        for path, body in (("", {"disabled": True}), ("/verify", {}), ("/confirm", {"code": "123456"})):
            answer = house.ask("POST", f"/api/v1/contacts/{mine}{path}", login, json=body)
            assert answer.status_code in statuses, (path, login, answer.text)
            assert "anne@x.fr" not in answer.text
    assert house.ask("GET", "/api/v1/contacts").status_code == 401


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        ("sms", "0612345678"),
        ("sms", "+33"),
        ("sms", "+330612345678"),
        ("sms", "+3361234567"),
        ("email", "anne"),
        ("email", "a@b@x.fr"),
        ("email", "<a@x.fr>"),
        ("webhook", "ftp://x/"),
        ("webhook", "https://user:pw@x.fr/"),
        ("push", "json://127.0.0.1/"),
        ("push", "ntfys://ntfy.sh/x?verify=no"),
        ("push", "ntfys://ntfy.sh/x?attach=http://x/"),
        ("push", "https://x.fr"),
    ],
)
def test_an_address_that_is_refused(house, channel, address):
    error = add(house, status=422, channel=channel, address=address)["error"]
    assert error["code"] == "invalid"
    assert "user:pw" not in error["message"]


def test_what_else_is_refused(house):
    add(house, channel="email", address="anne@x.fr")
    assert "already" in add(house, status=422, channel="email", address="anne@x.fr")["error"]["message"]
    said = add(house, status=422, channel="email", address="b@x.fr", offset_s=3601, position=-1)["error"]["message"]
    assert "offset_s" in said
    assert "position" in said
    add(house, status=422, channel="fax", address="+33612345678")
    assert house.ask("POST", "/api/v1/contacts/999999", "supervisor-demo", json={}).status_code == 404


def test_secrets_in_an_address_are_never_given_back(house, caplog):
    made = add(house, channel="push", address=PUSH)
    hook = add(house, channel="webhook", address=f"https://hooks.example/{TOKEN}?key={TOKEN}")
    assert made["address"] == "ntfys://ntfy.example:8443/…"
    assert hook["address"] == "https://hooks.example/…"
    assert len(hook["secret"]) > 30
    listed = house.ask("GET", "/api/v1/contacts", "supervisor-demo")
    assert TOKEN not in listed.text
    assert hook["secret"] not in listed.text
    answer = house.ask("POST", f"/api/v1/contacts/{made['id']}/verify", "supervisor-demo")
    assert answer.status_code == 422  # nobody of that name
    for text in (answer.text, caplog.text, repr(house.parts.contacts.of(Asker("demo", None), "supervisor-demo"))):
        assert TOKEN not in text
        assert "garde-secrete" not in text


@pytest.fixture
def mail(house, monkeypatch):
    kept = Kept()
    monkeypatch.setitem(house.parts.contacts._channels, "email", kept)
    return kept


def test_a_code_sent_and_given_back_proves_the_address(house, mail):
    method = add(house, channel="email", address="anne@x.fr")["id"]
    assert house.ask("POST", f"/api/v1/contacts/{method}/verify", "supervisor-demo").json() == {"sent": True}
    [sent] = mail.sent
    assert (sent.address, sent.class_, sent.org) == ("anne@x.fr", 3, "demo")
    code = re.search(r"\b(\d{6})\b", sent.message.text).group(1)
    again = house.ask("POST", f"/api/v1/contacts/{method}/verify", "supervisor-demo")
    assert (again.status_code, len(mail.sent)) == (422, 1)  # once a minute
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    answer = house.ask("POST", f"/api/v1/contacts/{method}/confirm", "supervisor-demo", json={"code": wrong})
    assert answer.status_code == 422
    answer = house.ask("POST", f"/api/v1/contacts/{method}/confirm", "supervisor-demo", json={"code": code})
    assert answer.json()["verified_ms"] == answer.json()["proven_ms"] is not None
    changed = house.ask("POST", f"/api/v1/contacts/{method}", "supervisor-demo", json={"address": "new@x.fr"}).json()
    assert (changed["verified_ms"], changed["proven_ms"]) == (None, None)
    answer = house.ask("POST", f"/api/v1/contacts/{method}/confirm", "supervisor-demo", json={"code": code})
    assert answer.status_code == 422  # it was the old address's


def test_five_wrong_codes_and_the_right_one_is_refused_too(house, mail):
    method = add(house, channel="email", address="anne@x.fr")["id"]
    house.ask("POST", f"/api/v1/contacts/{method}/verify", "supervisor-demo")
    code = mail.sent[0].message.facts["code"]
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    for given in [wrong] * 5 + [code]:
        answer = house.ask("POST", f"/api/v1/contacts/{method}/confirm", "supervisor-demo", json={"code": given})
        assert answer.status_code == 422
    assert "too many" in answer.json()["error"]["message"]


def test_every_process_and_the_command_line_count_the_same_wrong_codes(house, mail):
    method = add(house, channel="email", address="anne@x.fr")["id"]
    house.ask("POST", f"/api/v1/contacts/{method}/verify", "supervisor-demo")
    code = mail.sent[0].message.facts["code"]
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    books = [Contacts(house.parts.database, b"s" * 32, {}, house.parts.now_ms) for _ in range(5)]
    for book in books:
        with pytest.raises(Invalid, match="not the code"):
            book.confirm(Asker("demo", None), method, wrong)
    with pytest.raises(Invalid, match="too many"):
        house.parts.contacts.confirm(Asker("demo", None), method, code)


def test_nobody_s_telephone_is_made_to_ring_by_many_methods(house, mail):
    methods = [add(house, channel="email", address=f"a{number}@x.fr")["id"] for number in range(5)]
    answers = [house.ask("POST", f"/api/v1/contacts/{each}/verify", "supervisor-demo") for each in methods]
    assert [each.status_code for each in answers] == [200, 200, 200, 422, 422]
    other = add(house, "administrator-demo", channel="email", address="a0@x.fr")["id"]
    assert house.ask("POST", f"/api/v1/contacts/{other}/verify", "administrator-demo").status_code == 422
    assert len(mail.sent) == 3
    change = house.ask("POST", f"/api/v1/contacts/{methods[4]}", "supervisor-demo", json={"address": "a0@x.fr"})
    assert change.status_code == 422  # that person has it already


def test_codes_that_take_long_leave_the_server_s_threads_to_others(house, mail):
    method = add(house, channel="email", address="anne@x.fr")["id"]
    places = house.parts.contacts._sending
    for _ in range(SENDING_MAX):
        assert places.acquire(blocking=False)
    answer = house.ask("POST", f"/api/v1/contacts/{method}/verify", "supervisor-demo")
    assert (answer.status_code, mail.sent) == (422, [])
    for _ in range(SENDING_MAX):
        places.release()
    assert house.ask("POST", f"/api/v1/contacts/{method}/verify", "supervisor-demo").status_code == 200


def test_a_code_is_good_for_ten_minutes_and_not_for_half_an_hour(house, mail, monkeypatch):
    book = house.parts.contacts
    asker = Asker("demo", None)
    method = add(house, channel="email", address="anne@x.fr")["id"]
    now = [CODE_MS * 1000]
    monkeypatch.setattr(book, "_now_ms", lambda: now[0])
    book.verify(asker, method)
    code = mail.sent[0].message.facts["code"]
    now[0] += CODE_MS + 1
    with pytest.raises(Exception, match="more than ten minutes"):
        book.confirm(asker, method, code)
    now[0] -= 1
    assert book.confirm(asker, method, code)["verified_ms"] == now[0]
    with pytest.raises(Exception, match="more than ten minutes"):  # it works once
        book.confirm(asker, method, code)
    now[0] += SEND_EVERY_MS
    mail.outcome = Outcome(False, error="SMTP 451 later")
    with pytest.raises(Exception, match="SMTP 451"):
        book.verify(asker, method)


@pytest.mark.parametrize(
    ("channel", "address", "shown"),
    [
        ("sms", "+33612345678", "+336…78"),
        ("email", "anne@x.fr", "a…@x.fr"),
        ("push", "ntfys://user:pw@ntfy.sh/topic?token=x", "ntfys://ntfy.sh/…"),
        ("push", "gotify://host.example:80/token", "gotify://host.example:80/…"),
        ("push", "ntfy://topic-only", "ntfy:///…"),
        ("webhook", "https://h.example/secret?x=y", "https://h.example/…"),
        ("push", "ntfy://[::1", "…"),
    ],
)
def test_what_is_shown_of_an_address(channel, address, shown):
    assert contacts.masked(channel, address) == shown


@pytest.mark.parametrize("number", ["+33612345678", "+33 6.12-34 (56) 78"])
def test_a_number_is_kept_without_its_blanks(number):
    assert contacts.number(number) == "+33612345678"
    assert contacts.number("+32470123456") == "+32470123456"
    assert contacts.number("+3370012345678"[:3] + "7001234567890") == "+337001234567890"  # a machine's, 13 digits
    with pytest.raises(BadAddress):
        contacts.number("+337001234567")
