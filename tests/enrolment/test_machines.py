"""`tocsin alarm-group` and `tocsin centre`, at a terminal."""

import json

KEY = "00112233445566778899aabbccddeeff"


def test_an_alarm_group_is_made_changed_listed_and_removed(user):
    user.json("device", "add", "--org", "demo", "--site", "emperi", "--kind", "call_post", "--id", "sirene-1")
    words = ("alarm-group", "add", "--org", "demo", "--id", "cour", "--site", "emperi")
    assert user.run(*words, "--output", "sirene-1/hall").stdout == "alarm group cour: 1 output\n"
    user.json(*words, "--title", "Cour", "--output", "sirene-1/cour", "--output", "sirene-1/hall")
    (group,) = user.json("alarm-group", "list", "--org", "demo")
    assert (group["title"], group["outputs"]) == ("Cour", [["sirene-1", "cour"], ["sirene-1", "hall"]])
    user.json("alarm-group", "remove", "--org", "demo", "--id", "cour")
    assert user.json("alarm-group", "list") == []
    assert "no alarm group" in user.refusal("alarm-group", "remove", "--org", "demo", "--id", "cour")


def test_a_wrong_group_is_refused_with_every_fault(user):
    words = ("alarm-group", "add", "--org", "demo", "--id", "Cour", "--site", "nowhere", "--output", "ghost/S i")
    done = user.run(*words, "--output", "ghost/S i", "--json", status=1)
    paths = [fault["path"] for fault in json.loads(done.stdout)["faults"]]
    assert paths == [
        "id", "site", "outputs[0].output", "outputs[0].device", "outputs[1].output", "outputs[1].device", "outputs[1]",
    ]  # fmt: skip
    said = user.run(*words, status=1).stderr
    assert "alarm group Cour: site: there is no site 'nowhere'" in said
    assert "DEVICE/OUTPUT" in user.refusal(*words[:-1], "siren")


def test_an_output_is_a_wire_name_of_a_device_in_service_there(user):
    user.json("device", "add", "--org", "demo", "--site", "emperi", "--kind", "call_post", "--id", "sirene-9")
    words = ("alarm-group", "add", "--org", "demo", "--id", "neuf", "--site", "emperi", "--output")
    for name in ("Relay1", "relay_1", "", "a/b", "x" * 33):
        faults = json.loads(user.run(*words, f"sirene-9/{name}", "--json", status=1).stdout)["faults"]
        assert [fault["path"] for fault in faults] == ["outputs[0].output"], name
    user.json(*words, "sirene-9/relay1")
    user.json("device", "retire", "--org", "demo", "--id", "sirene-9")
    for device in ("sirene-9", "ghost"):
        faults = json.loads(user.run(*words, f"{device}/relay1", "--json", status=1).stdout)["faults"]
        assert [fault["path"] for fault in faults] == ["outputs[0].device"], device


def test_a_centres_key_is_made_shown_once_and_never_again(user):
    words = ("centre", "add", "--org", "demo", "--id", "alpha", "--account", "12ab", "--path", "arc.test:9999")
    made = user.json(*words)["key"]
    assert len(made) == 32
    said = user.run("centre", "list").stdout + json.dumps(user.json("centre", "list", "--org", "demo"))
    assert made not in said
    (centre,) = user.json("centre", "list")
    assert (centre["account"], centre["encrypted"], centre["paths"]) == ("12AB", True, ["arc.test:9999"])
    file = user.folder / "key"
    file.write_text(KEY + "\n")
    assert user.json(*words, "--path", "[::1]:9998", "--key-file", str(file))["key"] is None
    assert user.json(*words, "--plain")["key"] is None
    assert user.json("centre", "list")[0]["encrypted"] is False
    assert KEY not in user.seen
    user.json("centre", "remove", "--org", "demo", "--id", "alpha")
    assert user.json("centre", "list") == []


def test_a_wrong_centre_is_refused_with_every_fault_and_never_repeats_the_key(user):
    file = user.folder / "key"
    file.write_text("not a key at all")
    words = ("centre", "add", "--org", "demo", "--id", "Alpha", "--account", "0012", "--supervision-s", "5")
    paths = ("--path", "a b:1", "--path", "arc.test:0", "--path", "x:70000", "--key-file", str(file))
    done = user.run(*words, *paths, "--json", status=1)
    assert [fault["path"] for fault in json.loads(done.stdout)["faults"]] == [
        "id", "account", "key", "supervision_s", "paths", "paths[0]", "paths[1]", "paths[2]",
    ]  # fmt: skip
    assert "not a key" not in user.seen
    assert "HOST:PORT" in user.refusal(*words, "--path", "arc.test")
    assert "cannot be read" in user.refusal(*words, "--path", "arc.test:1", "--key-file", "/nowhere")


def test_a_line_that_nobody_answers_fails_the_test(user):
    user.json("centre", "add", "--org", "demo", "--id", "alpha", "--account", "1234", "--path", "127.0.0.1:9")
    done = user.run("centre", "test", "--org", "demo", "--id", "alpha", status=1)
    assert "TOCSIN_CENTRE_PRIVATE_NETWORKS" in done.stdout
    more = {"TOCSIN_CENTRE_PRIVATE_NETWORKS": "127.0.0.0/8"}
    done = user.run("centre", "test", "--org", "demo", "--id", "alpha", "--event", status=1, **more)
    assert "no connection" in done.stdout
    assert "no monitoring centre" in user.refusal("centre", "test", "--org", "demo", "--id", "beta")


def test_the_numbers_a_centre_enters(user):
    user.json("device", "add", "--org", "demo", "--site", "emperi", "--kind", "call_post", "--id", "bau-1")
    (zone,) = user.json("centre", "zones", "--org", "demo")
    assert (zone["group"], zone["zone"], zone["device"]) == (1, 1, "bau-1")
