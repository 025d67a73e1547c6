"""One exchange with a backend that behaves badly: one deadline, no redirect, no trust in what comes back."""

import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest
from tocsin_gateway import connection
from tocsin_gateway.connection import Connection, NotHttp, TooSlow, Unreachable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Peer:
    """A server whose every connection is handled by `script(sock, number)`; `requests` holds what it read first."""

    def __init__(self, script, context=None):
        self.requests = []
        self.accepted = 0
        self._script = script
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            thread = threading.Thread(target=self._serve, args=(sock, self.accepted))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock, number):
        with sock:
            try:
                if self._context:
                    sock = self._context.wrap_socket(sock, server_side=True)
                self._script(sock, number)
            except OSError:
                pass
            finally:
                sock.close()

    def read(self, sock):
        data = b""
        while b"\r\n\r\n" not in data:
            part = sock.recv(65536)
            if not part:
                raise ConnectionError
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        while len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            body += sock.recv(65536)
        self.requests.append((head, body))

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def make():
    """make(script) -> (peer, connection)."""
    made = []

    def build(script, context=None, scheme="http", ca_file="", host="127.0.0.1"):
        peer = Peer(lambda sock, number: script(peer, sock, number), context)
        link = Connection(f"{scheme}://{host}:{peer.port}", "the-token", ca_file)
        made.append((peer, link))
        return peer, link

    yield build
    for peer, link in made:
        link.close()
        peer.close()


def answering(*answers):
    """Each request on each connection gets the next answer of the list, for ever the last."""

    def script(peer, sock, _number):
        while True:
            peer.read(sock)
            sock.sendall(answers[min(len(peer.requests), len(answers)) - 1])

    return script


def test_a_connection_is_kept_and_the_request_is_whole(make):
    peer, link = make(answering(OK))
    for number in range(5):
        assert link.post("/x", b"body %d" % number, 2_000).body == b"{}"
    assert peer.accepted == 1
    assert [body for _, body in peer.requests] == [b"body %d" % number for number in range(5)]
    assert all(head.startswith(b"POST /x HTTP/1.1\r\n") and b"Bearer the-token" in head for head, _ in peer.requests)


def test_a_kept_connection_that_the_server_closed_is_opened_again_without_a_fuss(make):
    def script(peer, sock, _number):
        peer.read(sock)
        sock.sendall(OK)

    peer, link = make(script)
    for _ in range(3):
        assert link.post("/x", b"", 2_000).status == 200
    assert peer.accepted == 3


def test_a_kept_connection_that_breaks_under_the_request_is_tried_once_more(make):
    def script(peer, sock, number):
        peer.read(sock)
        sock.sendall(OK)
        peer.read(sock)
        if number == 1:
            return  # read, and hang up without a word
        sock.sendall(OK)

    peer, link = make(script)
    assert link.post("/x", b"1", 2_000).status == 200
    assert link.post("/x", b"2", 2_000).status == 200
    assert [body for _, body in peer.requests] == [b"1", b"2", b"2"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(make, status):
    elsewhere, _ = make(answering(OK))
    location = f"http://127.0.0.1:{elsewhere.port}/stolen"
    redirect = f"HTTP/1.1 {status} Away\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    _, link = make(answering(redirect))
    assert link.post("/x", b"", 2_000).status == status
    assert elsewhere.requests == []


def test_a_server_that_drips_meets_the_deadline_of_the_whole_exchange(make):
    def script(peer, sock, _number):
        peer.read(sock)
        for byte in OK * 50:
            sock.sendall(bytes((byte,)))
            time.sleep(0.05)

    _, link = make(script)
    began = time.monotonic()
    with pytest.raises(TooSlow):
        link.post("/x", b"", 400)
    assert 0.3 < time.monotonic() - began < 1.5


def test_a_server_that_never_answers_or_never_reads_meets_it_too(make):
    stop = threading.Event()
    _, link = make(lambda peer, sock, _number: stop.wait(5))
    for body in (b"", b"x" * 20_000_000):
        began = time.monotonic()
        with pytest.raises(TooSlow):
            link.post("/x", body, 300)
        assert time.monotonic() - began < 1.5
    stop.set()


@pytest.mark.parametrize(
    "answer",
    [
        b"this is no HTTP at all\r\n\r\n",
        b"HTTP/1.1 two hundred OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Filler: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_what_is_not_http_is_said_to_be_not(make, answer):
    def script(peer, sock, _number):
        peer.read(sock)
        sock.sendall(answer)

    _, link = make(script)
    with pytest.raises((NotHttp, Unreachable)):
        link.post("/x", b"", 2_000)


def test_an_answer_cut_short_is_no_answer(make):
    def script(peer, sock, _number):
        peer.read(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

    _, link = make(script)
    with pytest.raises(Unreachable):
        link.post("/x", b"", 2_000)


def test_an_answer_without_end_is_cut_off(make, monkeypatch):
    monkeypatch.setattr(connection, "ANSWER_BYTES_MAX", 100_000)

    def script(peer, sock, _number):
        peer.read(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sock.sendall(b"x" * 10_000)

    _, link = make(script)
    with pytest.raises(NotHttp, match="too long"):
        link.post("/x", b"", 5_000)


def test_nobody_there(make):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable, match="refused"):
        Connection(f"http://127.0.0.1:{port}", "t").post("/x", b"", 1_000)


@pytest.mark.parametrize(("header", "span_ms"), [("3", 3_000), ("Wed, 21 Oct 2026", 0), ("-1", 0), ("9999999", 0)])
def test_only_a_span_in_seconds_is_taken_from_retry_after(make, header, span_ms):
    _, link = make(answering(f"HTTP/1.1 503 No\r\nRetry-After: {header}\r\nContent-Length: 0\r\n\r\n".encode()))
    answer = link.post("/x", b"", 2_000)
    assert (answer.status, answer.retry_after_ms) == (503, span_ms)


def test_a_stream_gives_its_lines_and_notices_silence(make):
    def script(peer, sock, _number):
        sock.recv(65536)
        sock.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n5\r\n{"a":\r\n3\r\n1}\n\r\n')
        time.sleep(1.0)

    _, link = make(script)
    lines = link.lines("/stream", 300)
    assert [next(lines), next(lines)] == [b"{}\n", b'{"a":1}\n']
    with pytest.raises(TooSlow):
        next(lines)


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A certificate for localhost that signs itself, and another one like it."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl: apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    for name in ("good", "other"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
             "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
    return folder


def tls_server(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "good.pem", certificates / "good.key")
    return context


def test_tls_with_our_ca_is_kept_open_like_any_other(make, certificates):
    peer, link = make(
        answering(OK), tls_server(certificates), "https", str(certificates / "good.pem"), host="localhost"
    )
    link.warm()
    for _ in range(4):
        assert link.post("/x", b"", 2_000).status == 200
    assert peer.accepted == 1


@pytest.mark.parametrize(("ca", "host"), [("other.pem", "localhost"), ("good.pem", "127.0.0.1")])
def test_a_wrong_ca_or_a_wrong_name_is_out_of_reach_and_gets_no_token(make, certificates, ca, host):
    peer, link = make(answering(OK), tls_server(certificates), "https", str(certificates / ca), host=host)
    with pytest.raises(Unreachable, match="certificate"):
        link.post("/x", b"", 2_000)
    assert peer.requests == []
