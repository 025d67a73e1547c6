"""Channels against real servers on loopback."""

import errno
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from backend_rig import HandClock
from hook_server import HookServer
from tocsin_backend import channels
from tocsin_backend.channels import Outgoing, deadline
from tocsin_backend.channels import email as email_module
from tocsin_backend.channels import webhook as webhook_module
from tocsin_backend.channels.console import Console
from tocsin_backend.channels.email import Email
from tocsin_backend.channels.webhook import Webhook
from tocsin_backend.domain.dispatches import LEASE_MS, Outcome
from tocsin_backend.domain.notices import Message

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def outgoing(address: str, secret: str = "s3cret", subject: str = "Appel à l'aide : Lycée") -> Outgoing:
    message = Message(subject, f"{subject}\nété", {"id": "d-1", "text": "été"})
    return Outgoing("5f0c7a62-0000-4000-8000-000000000001", "a-1", "x", address, secret, 0, message)


@pytest.fixture
def server() -> Iterator[HookServer]:
    made = HookServer()
    yield made
    made.close()


@pytest.fixture
def hook() -> Iterator[Webhook]:
    made = Webhook(HandClock(), LOOPBACK)
    yield made
    made.close()


def test_a_try_ends_before_its_lease() -> None:
    assert channels.DEADLINE_S * 1000 < LEASE_MS
    assert Console().send(outgoing("")) == Outcome(True)


def test_a_webhook_is_signed_and_its_connection_kept(server: HookServer, hook: Webhook) -> None:
    for _ in range(5):
        assert hook.send(outgoing(f"{server.url}/hook?room=1")) == Outcome(True)
    assert server.connections == 1
    path, headers, body = server.received[0]
    assert (path, body) == ("/hook?room=1", {"id": "d-1", "text": "été"})
    assert headers["Tocsin-Id"] == "5f0c7a62-0000-4000-8000-000000000001"
    assert headers["Tocsin-Timestamp"] == "1764000000"
    assert server.signed_by("s3cret") == [True] * 5
    assert server.signed_by("other") == [False] * 5


def test_a_kept_connection_that_the_peer_closed_is_replaced_at_once(server: HookServer, hook: Webhook) -> None:
    def close(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        handler.close_connection = True  # without having said so

    server.answers["/x"] = close
    for _ in range(3):
        assert hook.send(outgoing(f"{server.url}/x")) == Outcome(True)
    assert len(server.received) == 3


def status(code: int, **headers: str) -> Any:
    def answer(handler: Any) -> None:
        handler.send_response(code)
        for name, value in {"Content-Length": "0", **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()

    return answer


def warm(server: HookServer, hook: Webhook, number: int) -> None:
    """This many idle connections."""
    meet = threading.Barrier(number)

    def together(handler: Any) -> None:
        meet.wait(10)
        handler.send_response(204)
        handler.end_headers()

    server.answers["/warm"] = together
    threads = [threading.Thread(target=hook.send, args=(outgoing(f"{server.url}/warm"),)) for _ in range(number)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)
    assert server.connections == number


def test_kept_connections_that_died_without_a_word_cost_one_try(
    server: HookServer, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A NAT box forgets idle connections: four dead ones in a row would be four tries, and a failed notice."""
    warm(server, hook, 4)
    gone = threading.Event()
    server.answers["/"] = lambda handler: gone.wait(20) if server.connections == 4 else _no_content(handler)
    monkeypatch.setattr(webhook_module, "DEADLINE_S", 0.3)
    assert hook.send(outgoing(f"{server.url}/")) == Outcome(False, error="no answer within 0 s")
    monkeypatch.undo()
    assert hook.send(outgoing(f"{server.url}/")) == Outcome(True)
    assert server.connections == 5
    gone.set()


def _no_content(handler: Any) -> None:
    handler.send_response(204)
    handler.end_headers()


def test_a_kept_connection_whose_bytes_nobody_acknowledges_is_replaced_in_the_same_try(
    server: HookServer, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm(server, hook, 1)
    [[kept]] = hook._kept.values()
    assert kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == webhook_module.UNHEARD_MS

    def unheard(*_: Any) -> int:
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    monkeypatch.setattr(kept, "recv_into", unheard)
    assert hook.send(outgoing(f"{server.url}/")) == Outcome(True)
    assert server.connections == 2


def test_connections_to_many_hosts_are_not_all_kept(
    server: HookServer, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may name addresses must not use up the server's descriptors."""
    monkeypatch.setattr(webhook_module, "KEPT_MAX", 3)
    here = (socket.AF_INET, ("127.0.0.1", server.server.server_port))
    monkeypatch.setattr(hook._reach, "addresses", lambda *_: [here])
    for number in range(1, 7):
        assert hook.send(outgoing(f"http://h{number}.test/")) == Outcome(True)
    assert [host for _, host, _ in hook._kept] == ["h4.test", "h5.test", "h6.test"]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (200, Outcome(True)),
        (202, Outcome(True)),
        (302, Outcome(False, permanent=True, error="HTTP 302: redirects are not followed")),
        (400, Outcome(False, permanent=True, error="HTTP 400")),
        (404, Outcome(False, permanent=True, error="HTTP 404")),
        (429, Outcome(False, error="HTTP 429")),
        (500, Outcome(False, error="HTTP 500")),
        (503, Outcome(False, error="HTTP 503")),
    ],
)
def test_what_an_answer_means(server: HookServer, hook: Webhook, code: int, outcome: Outcome) -> None:
    server.answers["/x"] = status(code, Location=f"{server.url}/elsewhere")
    assert hook.send(outgoing(f"{server.url}/x")) == outcome
    assert [path for path, _, _ in server.received] == ["/x"]


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9/", "http://localhost:9/", "http://[::1]:9/", "http://10.0.0.1/", "http://192.168.1.1/",
        "http://172.16.0.1/", "http://169.254.169.254/latest/meta-data", "http://0.0.0.0/", "http://[::ffff:127.0.0.1]/",
        "http://[fe80::1]/", "http://[fc00::1]/", "http://100.64.0.1/", "http://2130706433/", "http://0x7f.1/",
        "http://224.0.0.1/",
    ],
)  # fmt: skip
def test_addresses_inside_are_refused(address: str) -> None:
    """S17; also when written so that only a resolver understands them."""
    outcome = Webhook(HandClock()).send(outgoing(address))
    assert (outcome.accepted, outcome.permanent) == (False, True)
    assert "TOCSIN_WEBHOOK_PRIVATE_NETWORKS" in str(outcome.error)


def test_a_name_is_resolved_once_and_that_address_called(server: HookServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers with a public address first and an inner one next reaches nothing inside."""
    asked: list[str] = []
    port = server.server.server_port

    def resolve(name: str, *rest: Any, **more: Any) -> list[Any]:
        asked.append(name)
        address = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    hook = Webhook(HandClock(), LOOPBACK)
    assert hook.send(outgoing(f"http://rebind.test:{port}/x")) == Outcome(True)
    assert asked == ["rebind.test"]
    assert server.received[0][1]["Host"] == f"rebind.test:{port}"
    hook.close()


@pytest.mark.parametrize("address", ["", "x", "ftp://x/", "http://", "http://x:99999/", "http://[::1", "javascript:1"])
def test_what_is_no_address(hook: Webhook, address: str) -> None:
    assert hook.send(outgoing(address)).permanent


def test_nothing_leaves_unsigned(server: HookServer, hook: Webhook) -> None:
    assert hook.send(outgoing(server.url, secret="")).permanent
    assert server.received == []


def test_nobody_there_is_a_temporary_refusal(hook: Webhook) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outcome = hook.send(outgoing(f"http://127.0.0.1:{port}/"))
    assert (outcome.accepted, outcome.permanent) == (False, False)
    assert "ConnectionRefusedError" in str(outcome.error)


def drip(handler: Any) -> None:
    """A slow loris: a byte of header every 50 ms, for ever."""
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(200):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass
    handler.close_connection = True


def test_a_slow_loris_is_left_at_the_deadline(
    server: HookServer, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_module, "DEADLINE_S", 0.5)
    server.answers["/x"] = drip
    began = time.monotonic()
    outcome = hook.send(outgoing(f"{server.url}/x"))
    assert 0.4 < time.monotonic() - began < 1.5
    assert (outcome.accepted, outcome.permanent) == (False, False)
    with pytest.raises(TimeoutError):
        deadline.left_s(time.monotonic())


def test_an_endless_answer_is_not_read(server: HookServer, hook: Webhook) -> None:
    def flood(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(10**9))
        handler.end_headers()
        with suppress(OSError):
            handler.wfile.write(b"x" * 1_000_000)
        handler.close_connection = True

    server.answers["/x"] = flood
    assert hook.send(outgoing(f"{server.url}/x")) == Outcome(True)


def test_eight_workers_use_eight_connections_and_keep_them(server: HookServer, hook: Webhook) -> None:
    gate = threading.Barrier(hook.workers)
    server.answers["/x"] = lambda handler: (gate.wait(10), status(200)(handler))
    for _ in range(2):
        threads = [threading.Thread(target=hook.send, args=(outgoing(f"{server.url}/x"),)) for _ in range(hook.workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (server.connections, len(server.received)) == (hook.workers, 2 * hook.workers)


# -- e-mail


class Inbox:
    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.reply = "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address.startswith("nobody@"):
            return "550 no such user"
        if address.startswith("later@"):
            return "451 try later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        return self.reply


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    box = Inbox()

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        right = data == LoginPassword(b"tocsin", b"pw")
        return AuthResult(success=right, handled=right)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(
        box, hostname="127.0.0.1", port=port, authenticator=check, auth_require_tls=False, auth_exclude_mechanism=[]
    )
    controller.start()
    yield box, port
    controller.stop()


def test_a_mail_says_what_and_carries_the_dispatch_s_id(inbox: tuple[Inbox, int]) -> None:
    box, port = inbox
    mail = Email(HandClock(), "127.0.0.1", port, user="tocsin", password="pw", sender="Tocsin <tocsin@region.example>")
    assert mail.send(outgoing("Anne <anne@x.fr>")) == Outcome(True)
    [got] = box.mails
    assert got["Subject"] == "Appel à l'aide : Lycée"
    assert got["To"] == "Anne <anne@x.fr>"
    assert got["Message-ID"].strip() == "<5f0c7a62-0000-4000-8000-000000000001@region.example>"
    assert got["Auto-Submitted"] == "auto-generated"
    assert got["X-Tocsin-Alert"] == "a-1"
    assert got.get_content().splitlines() == ["Appel à l'aide : Lycée", "été"]
    mail.close()


@pytest.mark.parametrize(
    ("address", "permanent", "error"),
    [
        ("nobody@x.fr", True, "SMTP 550 no such user"),
        ("later@x.fr", False, "SMTP 451 try later"),
        ("not an address", True, "not an e-mail address"),
        ("a@x.fr\r\nBcc: all@x.fr", True, "not an e-mail address"),
    ],
)
def test_what_a_relay_refuses(inbox: tuple[Inbox, int], address: str, permanent: bool, error: str) -> None:
    box, port = inbox
    assert Email(HandClock(), "127.0.0.1", port).send(outgoing(address)) == Outcome(False, permanent, error)
    assert box.mails == []


def test_wrong_password_full_disk_nobody_there(inbox: tuple[Inbox, int]) -> None:
    box, port = inbox
    wrong = Email(HandClock(), "127.0.0.1", port, user="tocsin", password="no").send(outgoing("a@x.fr"))
    assert (wrong.accepted, wrong.permanent) == (False, True)
    assert "535" in str(wrong.error)
    box.reply = "452 disk full"
    assert Email(HandClock(), "127.0.0.1", port).send(outgoing("a@x.fr")) == Outcome(False, error="SMTP 452 disk full")
    assert Email(HandClock(), "").send(outgoing("a@x.fr")).permanent
    plain = Email(HandClock(), "127.0.0.1", port, security="starttls").send(outgoing("a@x.fr"))
    assert (plain.accepted, "STARTTLS" in str(plain.error)) == (False, True), "never in clear when TLS was asked for"


def test_a_relay_that_says_nothing_is_left_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email_module, "DEADLINE_S", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        outcome = Email(HandClock(), "127.0.0.1", silent.getsockname()[1]).send(outgoing("a@x.fr"))
        assert time.monotonic() - began < 2
    assert (outcome.accepted, outcome.permanent) == (False, False)


@pytest.mark.parametrize(
    ("address", "callable_"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::5db8:d822", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:a00:1::1", False),
        ("2002:7f00:1::", False),
        ("::10.0.0.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("64:ff9b:1::a00:1", False),
        ("::ffff:0:10.0.0.1", False),
        ("5f00::1", False),
        ("192.88.99.1", False),
    ],
)
def test_an_ipv4_address_inside_an_ipv6_one_is_judged_as_what_it_is(address: str, callable_: bool) -> None:
    """S17: a translator on the way (NAT64, 6to4) would carry the message inside."""
    assert Webhook(HandClock())._reach.may_call(address) is callable_
    if not callable_ and address.startswith(("64:ff9b::a00", "2002:a00", "::10", "::ffff:10")):
        assert Webhook(HandClock(), [ipaddress.ip_network("10.0.0.0/8")])._reach.may_call(address)
