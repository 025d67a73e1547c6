"""The status page: GET /healthz on loopback. 200 when all is well, 503 with the faults otherwise."""

import http.server
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

REQUEST_WITHIN_S = 5.0


class Status:
    """A small HTTP server on a thread; `describe` gives the document."""

    def __init__(self, host: str, port: int, describe: Callable[[], dict[str, Any]]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = REQUEST_WITHIN_S
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path != "/healthz":
                    self.send_error(404)
                    return
                document = describe()
                body = json.dumps(document, indent=1).encode()
                self.send_response(503 if document["faults"] else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
                log.debug(format, *args)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                log.debug("a client of the status page went away", exc_info=True)

        self._server = Server((host, port), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="status", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2.0)
