"""CAP's feed, alarm groups, monitoring centres and the all-clear over HTTP: who may, and what comes out."""

from xml.etree import ElementTree

import pytest
from tocsin_backend.channels import Outgoing
from tocsin_backend.domain.notices import Message

ATOM = {"a": "http://www.w3.org/2005/Atom"}
ROLES = ("administrator", "supervisor", "technician", "observer")
GROUP = {"site": "lycee", "title": "Cour", "outputs": [{"device": "post-demo", "output": "siren"}]}
CENTRE = {"title": "Alpha", "account": "1234", "paths": [{"host": "arc.test", "port": 9999}]}


def statuses(house, method: str, path: str, **more) -> dict[str, int]:
    return {role: house.ask(method, path, f"{role}-demo", **more).status_code for role in ROLES}


def test_the_feed_lists_the_organisations_messages_and_no_others(house, alert_id):
    channel = house.parts.engine.senders["cap"].channel
    assert channel.send(Outgoing(alert_id, alert_id, "cap", "", "", 0, Message("", "", {}))).accepted
    answer = house.ask("GET", "/api/v1/cap/feed.xml", "observer-demo")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    feed = ElementTree.fromstring(answer.text)
    link = feed.find("a:entry/a:link", ATOM).attrib
    assert link["type"] == "application/cap+xml"
    path = link["href"].removeprefix(house.settings.public_url)
    message = house.ask("GET", path, "observer-demo")
    assert message.headers["content-type"].startswith("application/cap+xml")
    assert f"<incidents>{alert_id}</incidents>" in message.text
    assert house.ask("GET", path, "administrator-other").status_code == 404
    assert alert_id not in house.ask("GET", "/api/v1/cap/feed.xml", "administrator-other").text
    assert house.ask("GET", "/api/v1/cap/feed.xml").status_code == 401
    assert house.ask("GET", path).status_code == 401
    assert house.ask("GET", "/api/v1/cap/none.xml", "observer-demo").status_code == 404


def test_an_alarm_group_is_the_administrators(house):
    path = "/api/v1/alarm-groups/cour"
    assert statuses(house, "PUT", path, json=GROUP) == dict.fromkeys(ROLES, 403) | {"administrator": 200}
    assert statuses(house, "GET", "/api/v1/alarm-groups") == {
        "administrator": 200, "supervisor": 200, "technician": 403, "observer": 403,
    }  # fmt: skip
    groups = house.ask("GET", "/api/v1/alarm-groups", "supervisor-demo").json()["groups"]
    assert groups == [{"id": "cour", **GROUP}]
    assert house.ask("GET", "/api/v1/alarm-groups", "supervisor-other").json() == {"groups": []}
    assert house.ask("DELETE", path, "administrator-other").status_code == 404
    assert house.ask("DELETE", path, "administrator-demo").json() == {"done": True}


def test_a_wrong_group_changes_nothing(house):
    body = {"site": "lycee", "title": " ", "outputs": [{"device": "post-other", "output": "S!"}]}
    answer = house.ask("PUT", "/api/v1/alarm-groups/cour", "administrator-demo", json=body)
    assert answer.status_code == 422
    assert all(
        word in answer.json()["error"]["message"] for word in ("title", "outputs[0].output", "outputs[0].device")
    )
    assert house.ask("GET", "/api/v1/alarm-groups", "administrator-demo").json() == {"groups": []}


def test_a_centres_key_comes_out_once(house):
    path = "/api/v1/centres/alpha"
    assert statuses(house, "PUT", path, json=CENTRE) == dict.fromkeys(ROLES, 403) | {"administrator": 200}
    made = house.ask("PUT", path, "administrator-demo", json=CENTRE).json()["key"]
    assert len(made) == 32
    listed = house.ask("GET", "/api/v1/centres", "supervisor-demo")
    assert made not in listed.text
    assert listed.json()["centres"][0]["encrypted"] is True
    given = house.ask("PUT", path, "administrator-demo", json=CENTRE | {"key": made})
    assert given.json() == {"key": None}
    refused = house.ask("PUT", path, "administrator-demo", json=CENTRE | {"key": "0123"})
    assert (refused.status_code, "0123" in refused.text) == (422, False)
    assert house.ask("GET", "/api/v1/centres", "supervisor-other").json() == {"centres": []}
    zones = house.ask("GET", "/api/v1/centres/zones", "supervisor-demo").json()["zones"]
    assert [(zone["group"], zone["zone"], zone["device"]) for zone in zones] == [(1, 1, "post-demo")]
    assert house.ask("DELETE", path, "administrator-demo").json() == {"done": True}
    assert house.ask("DELETE", path, "administrator-demo").status_code == 404


def test_a_centre_inside_our_own_network_is_not_dialled(house):
    body = CENTRE | {"paths": [{"host": "127.0.0.1", "port": house.settings.port or 1}], "key": ""}
    house.ask("PUT", "/api/v1/centres/inside", "administrator-demo", json=body)
    answer = house.ask("POST", "/api/v1/centres/inside/test", "administrator-demo", json={})
    (path,) = answer.json()["paths"]
    assert (path["ok"], "TOCSIN_CENTRE_PRIVATE_NETWORKS" in path["error"]) == (False, True)
    assert house.ask("POST", "/api/v1/centres/inside/test", "supervisor-demo", json={}).status_code == 403
    house.ask("DELETE", "/api/v1/centres/inside", "administrator-demo")


@pytest.mark.parametrize(("role", "status"), [("supervisor", 200), ("technician", 403), ("observer", 403)])
def test_an_all_clear_is_for_who_may_close(house, alert_id, role, status):
    path = f"/api/v1/alerts/{alert_id}/all-clear"
    answer = house.ask("POST", path, f"{role}-demo", json={})
    assert answer.status_code == status
    if status == 200:
        assert answer.json() == {"outcome": "ignored"}  # this alert had switched nothing on
        unknown = house.ask("POST", path, f"{role}-demo", json={"group": "none"})
        assert (unknown.status_code, unknown.json()["error"]["message"]) == (404, "there is no alarm group 'none'")
        assert house.ask("PUT", "/api/v1/alarm-groups/cour", "administrator-demo", json=GROUP).status_code == 200
        assert house.ask("POST", path, f"{role}-demo", json={"group": "cour"}).json() == {"outcome": "ignored"}
        assert house.ask("DELETE", "/api/v1/alarm-groups/cour", "administrator-demo").status_code == 200
    assert house.ask("POST", path, "supervisor-other", json={}).status_code == 404
    assert house.ask("POST", path, json={}).status_code == 401
