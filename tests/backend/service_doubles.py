"""Strict doubles of services on loopback: ntfy, Matrix and an SMSEagle box. A request they do not expect is a fault."""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ServiceDouble:
    """`expected`: (method, path) -> status, or a function(handler, body) that answers. `faults`: what came unasked."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        outer = self
        self.expected: dict[tuple[str, str], Any] = {}
        self.received: list[tuple[str, str, dict[str, str], Any]] = []
        self.faults: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._serve(self)

            do_GET = do_PUT = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: Any) -> None:
                pass  # a client that gives up in the middle is part of the tests

        self.server = Server(("127.0.0.1", 0), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        assert self.faults == []

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        path = handler.path.partition("?")[0]
        try:
            body: Any = json.loads(raw) if raw else None
        except ValueError:
            body = raw
        self.received.append((handler.command, handler.path, dict(handler.headers), body))
        answer = self.expected.get((handler.command, path))
        if answer is None:
            self.faults.append(f"{handler.command} {handler.path} {raw[:200]!r}")
            answer = 418
        if callable(answer):
            answer(handler, body)
        else:
            say(handler, answer, {})


def say(handler: BaseHTTPRequestHandler, status: int, document: Any, **headers: str) -> None:
    """Answer with a status and JSON."""
    content = json.dumps(document).encode()
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", **headers}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)
