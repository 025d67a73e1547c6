"""Push through real Apprise plugins to strict doubles on loopback."""

import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from service_doubles import ServiceDouble, say
from tocsin_backend.channels import Outgoing, bounded_apprise, reach
from tocsin_backend.channels.bounded_apprise import Services
from tocsin_backend.channels.push import Push
from tocsin_backend.channels.reach import Reach
from tocsin_backend.domain import contacts
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.domain.notices import Message

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
NTFY = ("POST", "/")


def outgoing(address: str) -> Outgoing:
    message = Message("Appel à l'aide : Lycée", "Appel à l'aide : Lycée\nété", {})
    return Outgoing("d-1", "a-1", "push", address, "", 0, message)


@pytest.fixture
def ntfy() -> Iterator[ServiceDouble]:
    made = ServiceDouble()
    yield made
    made.close()


@pytest.fixture(scope="module")
def push() -> Push:
    return Push(LOOPBACK)


def test_a_push_reaches_ntfy_once(ntfy: ServiceDouble, push: Push) -> None:
    ntfy.expected[NTFY] = 200
    assert push.send(outgoing(f"ntfy://anne:s3cret@127.0.0.1:{ntfy.port}/garde?priority=max")) == Outcome(True)
    [(method, path, headers, body)] = ntfy.received
    assert (method, path) == ("POST", "/")
    assert (body["topic"], body["title"], body["message"]) == (
        "garde",
        "Appel à l'aide : Lycée",
        "Appel à l'aide : Lycée\nété",
    )
    assert headers["Authorization"].startswith("Basic ")
    assert headers["X-Priority"] == "max"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, Outcome(False, permanent=True, error="HTTP 400")),
        (403, Outcome(False, permanent=True, error="HTTP 403")),
        (429, Outcome(False, error="HTTP 429")),
        (500, Outcome(False, error="HTTP 500")),
        (503, Outcome(False, error="HTTP 503")),
    ],
)
def test_what_an_answer_means(ntfy: ServiceDouble, push: Push, status: int, outcome: Outcome) -> None:
    ntfy.expected[NTFY] = status
    assert push.send(outgoing(f"ntfy://127.0.0.1:{ntfy.port}/garde")) == outcome
    assert len(ntfy.received) == 1


def test_a_redirect_is_not_followed(ntfy: ServiceDouble, push: Push) -> None:
    there = f"http://127.0.0.1:{ntfy.port}/elsewhere"
    ntfy.expected[NTFY] = lambda handler, body: say(handler, 307, {}, Location=there)
    assert push.send(outgoing(f"ntfy://127.0.0.1:{ntfy.port}/garde")) == Outcome(
        False, permanent=True, error="HTTP 307: redirects are not followed"
    )
    assert [path for _, path, _, _ in ntfy.received] == ["/"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "192.168.1.1", "2130706433"])
def test_addresses_inside_are_refused(host: str) -> None:
    """S17, as for webhooks."""
    outcome = Push().send(outgoing(f"ntfy://{host}:9/garde"))
    assert (outcome.accepted, outcome.permanent) == (False, True)
    assert "TOCSIN_WEBHOOK_PRIVATE_NETWORKS" in str(outcome.error)


@pytest.mark.parametrize(
    "address",
    [
        "json://127.0.0.1/x", "file:///etc/passwd", "mailto://a:b@x.fr", "syslog://", "http://127.0.0.1/", "ntfy://",
        "ntfys://ntfy.sh/x?verify=no", "ntfys://ntfy.sh/x?attach=http://127.0.0.1/secret", "ntfys://ntfy.sh/x?rto=3600",
        "ntfys://ntfy.sh/x?redirect=yes", "ntfys://ntfy.sh/x?+Host=inside", "ntfys://ntfy.sh/x y", "",
    ],
)  # fmt: skip
def test_what_is_no_push_address(push: Push, address: str) -> None:
    outcome = push.send(outgoing(address))
    assert (outcome.accepted, outcome.permanent) == (False, True)


def drip(handler: Any, body: Any) -> None:
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(200):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass
    handler.close_connection = True


def test_a_service_that_drips_is_left_at_the_deadline(
    ntfy: ServiceDouble, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_apprise, "DEADLINE_S", 0.4)
    ntfy.expected[NTFY] = drip
    began = time.monotonic()
    outcome = push.send(outgoing(f"ntfy://127.0.0.1:{ntfy.port}/garde"))
    assert time.monotonic() - began < 4  # Apprise's own 4 s a read would take ten
    assert (outcome.accepted, outcome.permanent) == (False, False)
    assert "within" in str(outcome.error)


def test_a_name_that_is_never_found_is_left_at_the_deadline(push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(bounded_apprise, "DEADLINE_S", 0.3)
    monkeypatch.setattr(reach.socket, "getaddrinfo", lambda *_, **__: over.wait(20) or [])
    outcome = push.send(outgoing("ntfys://slow.test/garde"))
    over.set()
    assert (outcome.accepted, outcome.permanent) == (False, False)


def test_nobody_there_is_a_temporary_refusal_that_tells_no_secret(push: Push, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with caplog.at_level(logging.DEBUG):
        outcome = push.send(outgoing(f"ntfy://anne:s3cret-word@127.0.0.1:{port}/garde-topic"))
    assert (outcome.accepted, outcome.permanent) == (False, False)
    said = str(outcome.error) + caplog.text
    assert "s3cret-word" not in said
    assert "garde-topic" not in said


def test_matrix_logs_in_joins_and_writes_within_one_try(ntfy: ServiceDouble, push: Push) -> None:
    """Several requests under one deadline, without Apprise's sleep between them. The room is named by its id."""
    ntfy.expected[("GET", "/_matrix/client/versions")] = lambda handler, _: say(handler, 200, {"versions": ["v1.11"]})
    ntfy.expected[("POST", "/_matrix/client/v3/login")] = lambda handler, _: say(
        handler, 200, {"access_token": "t", "user_id": "@tocsin:x", "device_id": "d", "home_server": "x"}
    )
    ntfy.expected[("POST", "/_matrix/client/v3/join/%21room%3Ax")] = lambda handler, _: say(
        handler, 200, {"room_id": "!room:x"}
    )
    wrote: list[Any] = []

    def write(handler: Any, body: Any) -> None:
        wrote.append(body)
        say(handler, 200, {"event_id": "$1"})

    ntfy.expected[("PUT", "/_matrix/client/v3/rooms/%21room%3Ax/send/m.room.message/0")] = write
    ntfy.expected[("POST", "/_matrix/client/v3/logout")] = 200
    outcome = push.send(outgoing(f"matrix://tocsin:pw@127.0.0.1:{ntfy.port}/!room:x"))
    assert outcome == Outcome(True), (outcome, ntfy.received)
    assert len(wrote) == 1


def test_a_plugin_without_a_try_reaches_nothing() -> None:
    """Closed by default: our `requests` speaks only while `Services.send` is on the thread."""
    Services(contacts.PUSH_SERVICES, Reach(LOOPBACK))
    from apprise.plugins import ntfy as plugin

    assert plugin.requests is bounded_apprise._REQUESTS
    with pytest.raises(OSError, match="no try is under way"):
        plugin.requests.post("http://127.0.0.1:9/")
    with pytest.raises(OSError, match="no deadline"):
        plugin.requests.Session()


def test_every_service_has_its_plugin_and_only_our_requests() -> None:
    import sys

    for services in (contacts.PUSH_SERVICES, contacts.SMS_SERVICES):
        made = Services(services, Reach())
        for plugin in made._plugins.values():
            assert sys.modules[plugin.__module__].requests is bounded_apprise._REQUESTS, plugin


def test_what_it_confirms_and_how_it_is_answered(push: Push) -> None:
    assert (push.confirms, push.answers, push.workers) == (("handed", "answered"), "link", 4)
    push.close()
