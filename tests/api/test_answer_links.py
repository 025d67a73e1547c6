"""The link and the code of a notice: a person answers without the console, once, and only while it counts."""

import re

import pytest
from sqlalchemy import text
from tocsin_backend.contacts import Asker
from tocsin_backend.domain import replies
from tocsin_backend.store import dispatches as rows
from tocsin_backend.store import links
from tocsin_backend.store.database import Priority

PHONE = "+33612345678"
OTHER_PHONE = "+33698765432"


@pytest.fixture(scope="module")
def people(house):
    """The supervisor of demo has a telephone and an address; so has the observer, who may take nothing."""
    anyone = Asker("demo", None)
    for login, phone in (("supervisor-demo", PHONE), ("observer-demo", OTHER_PHONE)):
        house.parts.contacts.add(anyone, login, "sms", phone)
        house.parts.contacts.add(anyone, login, "email", f"{login}@x.fr")
    targets = '[{ role = "supervisor" }, { role = "observer" }]'
    toml = f'id = "plan"\ntitle = "Plan"\n[[step]]\ndelay_s = 600\ntargets = {targets}\n'
    house.parts.registrar.import_policy("demo", toml, "test")
    house.parts.registrar.set_site_policy("demo", "lycee", "plan")
    return house


def notices(house, alert_id, channel="email", login="supervisor-demo"):
    """Ids of the notices of this alert to that person, the newest first."""
    query = (
        "SELECT d.id FROM dispatch d JOIN person p ON p.id = d.person_id"
        " WHERE d.alert_id = :alert AND d.channel = :channel AND p.login = :login AND d.kind = 'notify'"
        " ORDER BY d.epoch DESC, d.created_ms DESC"
    )
    with house.parts.database.read() as conn:
        return [row[0] for row in conn.execute(text(query), {"alert": alert_id, "channel": channel, "login": login})]


def change(house, statement, alert_id):
    """What time, or an event that is hard to bring about, would do."""
    house.parts.database.write(lambda conn: conn.execute(text(statement), {"alert": alert_id}).rowcount).result()


def path(house, dispatch_id):
    return f"/a/{house.parts.answering._replies.token(dispatch_id)}"


def code(house, dispatch_id):
    return house.parts.answering._replies.code(dispatch_id)


def status(house, alert_id):
    found = house.ask("GET", f"/api/v1/alerts/{alert_id}", "supervisor-demo").json()
    return found["status"], found["answered_by"]


def words(answer):
    return re.search(r'role="status">([^<]*)<', answer.text).group(1).replace("&#39;", "'")


@pytest.fixture
def called(people, alert_id):
    """(alert, path of the supervisor's link)"""
    return alert_id, path(people, notices(people, alert_id)[0])


def do(house, where, what="take"):
    return house.client.post(where, data={"do": what}, follow_redirects=True)


def test_looking_changes_nothing_however_often(people, called):
    alert_id, where = called
    for method in ("GET", "HEAD", "GET"):
        answer = people.client.request(method, where)
        assert answer.status_code == 200
    assert words(answer) == "Personne n'a encore pris cet appel."
    assert "Lycée demo" in answer.text
    assert "Je prends l&#39;appel" in answer.text
    assert status(people, alert_id) == ("raised", None)
    with people.parts.database.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM link_use").scalar_one() == 0


def test_a_page_without_script_cache_or_referrer(people, called):
    answer = people.client.get(called[1])
    assert "<script" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["x-robots-tag"] == "noindex, nofollow"
    assert "set-cookie" not in answer.headers
    assert '<html lang="fr">' in answer.text


def test_taking_once_and_being_told_so_ever_after(people, called):
    alert_id, where = called
    first = people.client.post(where, data={"do": "take"})
    assert (first.status_code, first.headers["location"]) == (303, where)
    for _ in range(2):
        assert words(do(people, where)) == "C'est noté : vous avez pris l'appel."
    assert status(people, alert_id) == ("answered", "supervisor demo")
    with people.parts.database.read() as conn:
        [use] = conn.exec_driver_sql("SELECT way, outcome FROM link_use").all()
        answers = conn.execute(
            text("SELECT count(*) FROM answer WHERE alert_id = :alert"), {"alert": alert_id}
        ).scalar_one()
        proven = conn.exec_driver_sql(
            "SELECT channel, proven_ms FROM contact_method m JOIN person p ON p.id = m.person_id"
            " WHERE p.login = 'supervisor-demo' ORDER BY channel"
        ).all()
    assert (tuple(use), answers) == (("link", "won"), 1)
    assert [(row[0], row[1] is not None) for row in proven] == [("email", True), ("sms", False)]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("en-route", "C'est noté : vous êtes en route."),
        ("on-site", "C'est noté : vous êtes sur place."),
    ],
)
def test_saying_how_it_goes(people, called, what, said):
    alert_id, where = called
    assert "Sur place" not in people.client.get(where).text
    do(people, where, what)  # before taking: nothing
    assert status(people, alert_id) == ("raised", None)
    do(people, where)
    assert words(do(people, where, what)) == said
    assert status(people, alert_id)[0] == "answered"


def test_asking_for_backup_calls_the_others_again_and_the_old_link_says_so(people, called):
    alert_id, where = called
    do(people, where)
    answer = do(people, where, "needs-help")
    assert status(people, alert_id)[0] == "raised"
    assert "rouvert" in words(answer)
    newer = path(people, notices(people, alert_id)[0])
    assert newer != where
    assert "Je prends" in people.client.get(newer).text


def test_a_call_that_somebody_else_took(people, called):
    alert_id, where = called
    people.ask("POST", f"/api/v1/alerts/{alert_id}/answer", "administrator-demo", json={"epoch": 1})
    answer = people.client.get(where)
    assert words(answer) == "administrator demo a pris cet appel."
    assert "J&#39;y vais aussi" in answer.text
    assert words(do(people, where)) == "administrator demo a pris cet appel."
    assert status(people, alert_id) == ("answered", "administrator demo")


def test_a_call_that_is_over(people, called):
    alert_id, where = called
    people.close_all()
    assert words(people.client.get(where)) == "Cet appel est terminé."
    assert "<button" not in do(people, where).text
    assert status(people, alert_id) == ("closed", None)


def test_a_link_of_an_older_epoch_takes_nothing(people, called):
    alert_id, where = called
    change(people, "UPDATE alert SET epoch = 2 WHERE id = :alert", alert_id)
    assert "rouvert" in words(people.client.get(where))
    assert "rouvert" in words(do(people, where))
    assert status(people, alert_id)[0] == "raised"


def test_after_a_day_it_says_nothing_of_the_place(people, called):
    alert_id, where = called
    change(people, "UPDATE dispatch SET created_ms = created_ms - 86400001 WHERE alert_id = :alert", alert_id)
    for answer in (people.client.get(where), people.client.post(where, data={"do": "take"})):
        assert answer.status_code == 410
        assert "24 heures" in words(answer)
        assert "Lycée" not in answer.text
    assert status(people, alert_id) == ("raised", None)


@pytest.mark.parametrize("more", [{"disabled": True}, {"address": "new@x.fr"}])
def test_a_link_in_a_lost_telephone_takes_nothing_and_shows_no_place(people, called, more):
    alert_id, where = called
    anyone = Asker("demo", None)
    [method] = [each for each in people.parts.contacts.of(anyone, "supervisor-demo") if each["channel"] == "email"]
    people.parts.contacts.change(anyone, method["id"], **more)
    for answer in (people.client.get(where), people.client.post(where, data={"do": "take"})):
        assert answer.status_code == 410
        assert "n'est plus utilisé" in words(answer)
        assert "Lycée" not in answer.text
    assert status(people, alert_id) == ("raised", None)
    people.parts.contacts.change(anyone, method["id"], disabled=False, address=method["address"])


def test_a_person_whose_role_takes_nothing(people, called):
    alert_id, _ = called
    where = path(people, notices(people, alert_id, login="observer-demo")[0])
    assert words(people.client.get(where)) == "Votre rôle ne permet pas de prendre cet appel."
    assert "<button" not in do(people, where).text
    assert status(people, alert_id) == ("raised", None)


@pytest.mark.parametrize("token", ["x", "A" * 43, "%00", "é", "a" * 5_000])
def test_a_link_of_nobody_s(people, token):
    for answer in (people.client.get(f"/a/{token}"), people.client.post(f"/a/{token}", data={"do": "take"})):
        assert answer.status_code == 404
        assert "error" in answer.text or "pas un des nôtres" in words(answer)


def test_what_else_is_posted_does_nothing(people, called):
    alert_id, where = called
    fields = (
        {"do": "close"},
        {"do": "x" * 1000},
        {"other": "1", "do": ""},
        {"act": "answer"},
        {},
        {"do": ["take", "take"]},
    )
    for data in fields:
        answer = people.client.post(where, data=data, follow_redirects=True)
        assert answer.status_code == 400, data
        assert words(answer) == "Personne n'a encore pris cet appel.", data
    assert status(people, alert_id) == ("raised", None)


def test_two_links_of_one_person_at_one_alert(people, called):
    """The mail's link after the SMS's code: she has it already."""
    alert_id, where = called
    sms = notices(people, alert_id, "sms")[0]
    assert people.parts.answering.by_sms(PHONE, f"OUI {code(people, sms)}").startswith("Noté : vous prenez l'appel de")
    assert words(people.client.get(where)) == "C'est noté : vous avez pris l'appel."
    assert words(do(people, where, "on-site")) == "C'est noté : vous êtes sur place."


# -- by SMS


def inbound(house, words_, number=PHONE, token="0123456789abcdef0123456789-token"):
    house.parts.sms_inbound_token = "0123456789abcdef0123456789-token"
    headers = {"Authorization": f"Bearer {token}"}
    return house.client.post("/api/v1/sms/inbound", json={"from": number, "text": words_}, headers=headers)


@pytest.fixture
def sms(people, alert_id):
    """(alert, the code of the supervisor's SMS); nobody has been heard yet."""
    people.parts.answering._patience.clear()
    return alert_id, code(people, notices(people, alert_id, "sms")[0])


@pytest.mark.parametrize("said", ["OUI {}", "{}", "1 {}", "ok {}"])
def test_a_code_takes_the_call(people, sms, said):
    alert_id, number = sms
    answer = inbound(people, said.format(number))
    assert answer.status_code == 200
    assert answer.json()["reply"].startswith("Noté : vous prenez l'appel de Lycée demo")
    assert status(people, alert_id) == ("answered", "supervisor demo")


def test_progress_by_sms_takes_the_call_first(people, sms):
    alert_id, number = sms
    assert inbound(people, f"SUR PLACE {number}").json()["reply"].startswith("Noté : sur place")
    assert status(people, alert_id) == ("answered", "supervisor demo")
    assert inbound(people, f"renfort {number}").json()["reply"].startswith("Noté : renfort demandé")
    assert status(people, alert_id)[0] == "raised"
    newer = code(people, notices(people, alert_id, "sms")[0])
    assert inbound(people, newer).json()["reply"].startswith("Noté : vous prenez")


def test_a_refusal_takes_nothing(people, sms):
    alert_id, number = sms
    assert inbound(people, f"non {number}").json()["reply"].startswith("Noté : vous ne le prenez pas")
    assert inbound(people, "STOP").json()["reply"].startswith("Ce numéro envoie des appels à l'aide")
    assert inbound(people, "bonjour").json()["reply"].startswith("Pas compris")
    assert status(people, alert_id) == ("raised", None)


def test_a_code_counts_only_from_the_telephone_that_received_it(people, sms):
    alert_id, number = sms
    assert inbound(people, number, OTHER_PHONE).json()["reply"].startswith("Ce code ne correspond")
    assert inbound(people, number, "+33611111111").json()["reply"].startswith("Ce numéro n'est pas connu")
    assert inbound(people, number, "TOCSIN").json()["reply"] == ""
    assert status(people, alert_id) == ("raised", None)


def test_five_wrong_codes_close_the_number_and_no_other(people, sms, caplog):
    alert_id, number = sms
    wrong = str(100_000 + (int(number) - 100_000 + 1) % 900_000)
    for _ in range(replies.WRONG_MAX - 1):
        assert inbound(people, wrong).json()["reply"].startswith("Ce code ne correspond")
    assert (
        inbound(people, wrong).json()["reply"].startswith("Trop de codes faux")
    )  # once: silence would look like "noted"
    assert inbound(people, f"OUI {number}").json()["reply"] == ""
    assert status(people, alert_id) == ("raised", None)
    assert inbound(people, number, OTHER_PHONE).json()["reply"] != ""
    people.parts.database.write(lambda conn: None, Priority.BEAT).result()
    with people.parts.database.read() as conn:
        kept = conn.exec_driver_sql("SELECT org, topic, frame, reason FROM evidence WHERE topic = 'sms'").all()
    assert {(row[0], bytes(row[2])) for row in kept} <= {("demo", b""), ("", b"")}
    assert [row[3] for row in kept].count("sms-wrong-code") >= replies.WRONG_MAX
    assert PHONE not in caplog.text
    assert PHONE[1:] not in caplog.text


def test_a_code_of_an_open_call_wins_over_the_same_code_of_an_older_one(people, sms, monkeypatch):
    """Six digits can coincide: what can still be taken is meant."""
    alert_id, _ = sms
    monkeypatch.setattr(type(people.parts.answering._replies), "code", lambda self, dispatch_id: "482113")
    with people.parts.database.read() as conn:
        known = links.codes_of(conn, PHONE, 0, None)
    assert len(known) > 1
    later = "UPDATE dispatch SET created_ms = created_ms + 1000 WHERE alert_id <> :alert AND channel = 'sms'"
    change(people, later, alert_id)
    assert inbound(people, "OUI 482113").json()["reply"].startswith("Noté : vous prenez")
    assert status(people, alert_id) == ("answered", "supervisor demo")


def test_a_telephone_that_is_used_no_more_answers_nothing(people, sms):
    alert_id, number = sms
    [method] = [
        each for each in people.parts.contacts.of(Asker("demo", None), "supervisor-demo") if each["channel"] == "sms"
    ]
    people.parts.contacts.change(Asker("demo", None), method["id"], disabled=True)
    assert inbound(people, f"OUI {number}").json()["reply"].startswith("Ce numéro n'est pas connu")
    people.parts.contacts.change(Asker("demo", None), method["id"], disabled=False)
    assert status(people, alert_id) == ("raised", None)


def test_somebody_at_another_organisations_desk_answers_by_the_gateway_that_told_her(people, sms):
    alert_id, _ = sms
    phone = "+33655555555"
    made = people.parts.contacts.add(Asker("other", None), "supervisor-other", "sms", phone)
    told = notices(people, alert_id, "sms")[0]
    guest = "(SELECT id FROM person WHERE login = 'supervisor-other')"
    hers = f"person_id = {guest}, method_id = {made['id']}, target = 'x', created_ms = created_ms + 60000"
    change(people, f"UPDATE dispatch SET {hers} WHERE id = '{told}' AND alert_id = :alert", alert_id)
    body = {"from": phone, "text": f"oui {code(people, told)}"}
    for org, said in (("other", "Ce code ne correspond"), ("demo", "Noté : vous prenez l'appel")):
        headers = {"Authorization": f"Bearer {people.gateways[org]['token']}"}
        answer = people.client.post("/api/v1/gateway/sms/inbound", json=body, headers=headers)
        assert answer.json()["reply"].startswith(said)
    assert status(people, alert_id) == ("answered", "supervisor other")


def test_a_provider_without_the_token_is_nobody(people, sms):
    alert_id, number = sms
    for token in ("x", "0123456789abcdef0123456789-toker"):
        assert inbound(people, number, token=token).status_code == 401
    people.parts.sms_inbound_token = ""
    answer = people.client.post("/api/v1/sms/inbound", json={"from": PHONE, "text": number})
    assert answer.status_code == 401
    assert status(people, alert_id) == ("raised", None)


def test_a_gateway_s_modem_hears_too_but_only_of_its_own_organisation(people, sms):
    alert_id, number = sms
    body = {"from": PHONE, "text": f"oui {number}"}
    for org, said in (("other", "Ce numéro n'est pas connu"), ("demo", "Noté : vous prenez l'appel")):
        headers = {"Authorization": f"Bearer {people.gateways[org]['token']}"}
        answer = people.client.post("/api/v1/gateway/sms/inbound", json=body, headers=headers)
        assert answer.json()["reply"].startswith(said)
    assert people.client.post("/api/v1/gateway/sms/inbound", json=body).status_code == 401
    for bad in ({}, {"from": 1, "text": ""}, {"from": PHONE, "text": "x" * 2000}, {**body, "x": 1}, [1]):
        headers = {"Authorization": f"Bearer {people.gateways['demo']['token']}"}
        assert people.client.post("/api/v1/gateway/sms/inbound", json=bad, headers=headers).status_code == 422
    assert status(people, alert_id)[0] == "answered"


def test_what_leaves_carries_the_link_and_the_code(people, alert_id):
    """As the channels are given it; both are made from the dispatch and stored nowhere."""
    with people.parts.database.read() as conn:
        query = text("SELECT id, channel FROM dispatch WHERE alert_id = :alert")
        place = conn.execute(query, {"alert": alert_id}).all()
    keys = people.parts.answering._replies
    outbox = people.parts.engine.outbox
    for dispatch_id, channel in place:
        with people.parts.database.read() as conn:
            link, number = outbox._answer_by(rows.get(conn, dispatch_id))
        if channel in ("email", "sms"):
            assert link.endswith(f"/a/{keys.token(dispatch_id)}")
        assert (number != "") == (channel == "sms")
