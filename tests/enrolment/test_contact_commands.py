"""`tocsin contact` and `tocsin org sms-route`, as an administrator types them."""

import pytest


@pytest.fixture
def desk(user):
    words = ("user", "add", "--org", "demo", "--login", "anne", "--name", "Anne", "--role", "supervisor", "--generate")
    user.json(*words)
    return user


def contact(desk, *words):
    return desk.json("contact", words[0], "--org", "demo", *words[1:])


def test_a_person_s_ways_from_the_first_to_the_proof(desk):
    made = contact(desk, "add", "--login", "anne", "--channel", "sms", "--address", "+33 6 12 34 56 78")
    assert (made["address"], made["offset_s"], made["verified_ms"]) == ("+33612345678", 0, None)
    url = "ntfys://:s3cret@ntfy.example/garde"
    push = contact(desk, "add", "--login", "anne", "--channel", "push", "--address", url, "--offset-s", "30")
    assert push["address"] == "ntfys://ntfy.example/…"
    changed = contact(desk, "change", "--id", str(made["id"]), "--external", "yes", "--position", "9")
    assert (changed["external"], changed["position"]) == (True, 9)
    assert [each["id"] for each in contact(desk, "list", "--login", "anne")] == [push["id"], made["id"]]
    assert contact(desk, "disable", "--id", str(made["id"]))["disabled"] is True
    assert contact(desk, "enable", "--id", str(made["id"]))["disabled"] is False
    hook = contact(desk, "add", "--login", "anne", "--channel", "webhook", "--address", "https://x.fr/h")
    assert len(hook["secret"]) > 30
    assert "s3cret" not in str(contact(desk, "list", "--login", "anne"))


def test_what_is_refused_in_one_line(desk):
    add = ("contact", "add", "--org", "demo", "--login")
    assert "no login" in desk.refusal(*add, "nobody", "--channel", "sms", "--address", "+33612345678")
    assert "+33612345678 for" in desk.refusal(*add, "anne", "--channel", "sms", "--address", "0612345678")
    made = contact(desk, "add", "--login", "anne", "--channel", "sms", "--address", "+33612345678")
    at = ("--org", "demo", "--id", str(made["id"]))
    assert "no SMS provider is configured" in desk.refusal("contact", "verify", *at)
    assert "not the code" in desk.refusal("contact", "confirm", *at, "--code", "123456")
    assert "no such contact" in desk.refusal("contact", "disable", "--org", "demo", "--id", "999")


def test_a_code_by_a_gateway_s_modem_is_the_running_server_s_to_send(desk):
    made = contact(desk, "add", "--login", "anne", "--channel", "sms", "--address", "+33612345678")
    mail = contact(desk, "add", "--login", "anne", "--channel", "email", "--address", "anne@x.fr")
    desk.json("gateway", "add", "--org", "demo", "--id", "gw-1")
    desk.json("org", "sms-route", "--org", "demo", "--route", "gateway:gw-1")
    verify = ("contact", "verify", "--org", "demo", "--id")
    said = desk.refusal(*verify, str(made["id"]))
    assert "modem of gw-1, which only the running server can use" in said
    assert f"POST /api/v1/contacts/{made['id']}/verify" in said
    assert "provider" not in said
    assert desk.refusal(*verify, str(made["id"])) == said, "nothing was counted as sent"
    assert "modem" not in desk.refusal(*verify, str(mail["id"]))
    assert "no such contact" in desk.refusal(*verify, "999")


def test_a_provider_s_url_is_checked_at_the_start_and_never_printed(desk):
    file = desk.folder / "sms-url"
    file.write_text("smseagles://t0psecret@box.example/33612345678")
    file.chmod(0o600)
    words = ("contact", "list", "--org", "demo", "--login", "anne")
    error = desk.refusal(*words, status=3, TOCSIN_SMS_URL_FILE=str(file))
    assert "{to}" in error
    file.write_text("smseagles://t0psecret@box.example/{to}")
    desk.run(*words, TOCSIN_SMS_URL_FILE=str(file))
    file.chmod(0o644)
    assert "chmod 600" in desk.refusal(*words, status=3, TOCSIN_SMS_URL_FILE=str(file))
    assert "t0psecret" not in desk.seen


def test_an_organisation_s_route_names_a_gateway_that_exists(desk):
    route = ("org", "sms-route", "--org", "demo", "--route")
    assert "no gateway 'gw-1'" in desk.refusal(*route, "gateway:gw-1")
    desk.json("gateway", "add", "--org", "demo", "--id", "gw-1")
    assert desk.json(*route, "gateway:gw-1")["sms_route"] == "gateway:gw-1"
    assert desk.json(*route, "provider")["sms_route"] == "provider"
    assert "is refused" in desk.refusal(*route, "pigeon")
    assert "no organisation" in desk.refusal("org", "sms-route", "--org", "x", "--route", "provider")
