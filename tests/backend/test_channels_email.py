"""E-mail over STARTTLS to a real SMTP server, and the one deadline that stands over the whole conversation."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP
from backend_rig import HandClock
from tocsin_backend.channels import Outgoing, email, reach
from tocsin_backend.channels.email import Email
from tocsin_backend.domain.dispatches import Outcome
from tocsin_backend.domain.notices import Message


def outgoing(address: str = "anne@x.fr") -> Outgoing:
    return Outgoing("d-1", "a-1", "email", address, "", 0, Message("Appel", "Appel\nhttps://tocsin.test/a/x", {}))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if not shutil.which("openssl"):
        pytest.skip("needs openssl: apt-get install openssl")
    folder = tmp_path_factory.mktemp("certificate")
    pem, key = folder / "pem", folder / "key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", key, "-out", pem, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return pem, key


class Inbox:
    def __init__(self) -> None:
        self.mails: list[tuple[bool, str]] = []

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        self.mails.append((session.ssl is not None, envelope.content.decode()))
        return "250 OK"


@pytest.fixture
def relay(certificate: tuple[Path, Path]) -> Iterator[tuple[Inbox, int]]:
    box = Inbox()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True)
    controller.start()
    yield box, port
    controller.stop()


def test_a_mail_over_starttls_with_a_certificate_we_believe(
    relay: tuple[Inbox, int], certificate: tuple[Path, Path]
) -> None:
    box, port = relay
    mail = Email(HandClock(), "localhost", port, security="starttls", cafile=str(certificate[0]))
    assert mail.send(outgoing()) == Outcome(True)
    [(encrypted, text)] = box.mails
    assert encrypted
    assert "https://tocsin.test/a/x" in text


def test_a_certificate_we_do_not_believe_gets_no_mail(relay: tuple[Inbox, int]) -> None:
    box, port = relay
    outcome = Email(HandClock(), "localhost", port, security="starttls").send(outgoing())
    assert (outcome.accepted, outcome.permanent) == (False, False)
    assert "CERTIFICATE_VERIFY_FAILED" in str(outcome.error)
    assert box.mails == []


class SlowRelay:
    """An SMTP server of our own that says `lines` one after another, TLS from `starttls_at` on, and then drips."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(talk,))
        self.thread.start()

    def _run(self, talk: Callable[[socket.socket], None]) -> None:
        peer, _ = self.listening.accept()
        with peer, suppress(OSError):
            talk(peer)

    def close(self) -> None:
        self.listening.close()
        self.thread.join(10)
        assert not self.thread.is_alive()


def drip(peer: socket.socket) -> None:
    """A byte of an endless line every 50 ms: each read comes in time, the answer never does."""
    for _ in range(200):
        peer.sendall(b"2")
        time.sleep(0.05)


def plain_talk(peer: socket.socket) -> None:
    peer.sendall(b"220 x\r\n")
    peer.recv(1000)
    drip(peer)


def starttls_talk(certificate: tuple[Path, Path]) -> Callable[[socket.socket], None]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    def talk(peer: socket.socket) -> None:
        peer.sendall(b"220 x\r\n")
        peer.recv(1000)
        peer.sendall(b"250-x\r\n250 STARTTLS\r\n")
        peer.recv(1000)
        peer.sendall(b"220 go\r\n")
        with context.wrap_socket(peer, server_side=True) as wrapped:
            wrapped.recv(1000)
            drip(wrapped)

    return talk


@pytest.mark.parametrize("security", ["none", "starttls"])
def test_a_relay_that_drips_is_left_at_the_deadline(
    security: str, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also inside TLS that began in the middle: the socket is another one there."""
    monkeypatch.setattr(email, "DEADLINE_S", 0.5)
    slow = SlowRelay(plain_talk if security == "none" else starttls_talk(certificate))
    began = time.monotonic()
    mail = Email(HandClock(), "localhost", slow.port, security=security, cafile=str(certificate[0]))
    outcome = mail.send(outgoing())
    took_s = time.monotonic() - began
    slow.close()
    assert (outcome.accepted, outcome.permanent) == (False, False)
    assert took_s < 5  # it would drip for ten


def test_a_name_that_is_never_found_is_left_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(email, "DEADLINE_S", 0.3)
    monkeypatch.setattr(reach.socket, "getaddrinfo", lambda *_, **__: over.wait(20) or [])
    outcome = Email(HandClock(), "slow.test").send(outgoing())
    over.set()
    assert (outcome.accepted, outcome.permanent) == (False, False)
    assert "TimeoutError" in str(outcome.error)


def test_look_ups_that_hang_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(reach, "_lookups", threading.BoundedSemaphore(2))
    monkeypatch.setattr(reach.socket, "getaddrinfo", lambda *_, **__: over.wait(20) or [])
    for _ in range(2):
        with pytest.raises(TimeoutError, match="not found"):
            reach.resolve("slow.test", 25, time.monotonic() + 0.05)
    with pytest.raises(TimeoutError, match="too many"):
        reach.resolve("slow.test", 25, time.monotonic() + 5)
    over.set()
