"""A real HTTP server that receives webhooks, and misbehaves when told to."""

import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class HookServer:
    """`received`: (path, headers, body as dict). `answers`: path -> function(handler) that answers."""

    def __init__(self) -> None:
        outer = self
        self.received: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.answers: dict[str, Any] = {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.bodies.append(body)
                outer.received.append((self.path, dict(self.headers), json.loads(body)))
                answer = outer.answers.get(self.path)
                if answer is not None:
                    answer(self)
                    return
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def signed_by(self, secret: str) -> list[bool]:
        return [
            hmac.compare_digest(
                headers["Tocsin-Signature"],
                "sha256="
                + hmac.digest(
                    secret.encode(),
                    f"{headers['Tocsin-Timestamp']}.{headers['Tocsin-Id']}.".encode() + body,
                    "sha256",
                ).hex(),
            )
            for (_, headers, _), body in zip(self.received, self.bodies, strict=True)
        ]
