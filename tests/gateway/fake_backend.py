"""A strict backend double on a real socket: answers as the contract says, misbehaves on request, records everything.

It refuses to stay silent about a wrong client: a second request on the wrong path, a missing token, an unknown field or
two requests at once on one connection are kept in `faults`, and every test ends by asserting that there is none.
"""

import base64
import contextlib
import json
import socket
import threading
import time
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "0123456789abcdef0123456789-token"
ENVELOPE_FIELDS = {"id", "topic", "frame", "at_ms", "held_ms", "retained", "dup"}
BEAT_FIELDS = {"topic", "frame", "at_ms", "count"}


class FakeBackend:
    """`envelopes` holds (topic, frame, envelope) in order of arrival; `seen` counts (topic, frame).

    `behave` is called with ("envelopes" | "beats" | "downlink" | "ack", document) before anything is recorded: it
    returns None for the right answer, or a callable that takes the handler and answers wrongly. `refuse` maps a topic
    to a reason; `acks` makes the frame published for an envelope, or None.
    """

    def __init__(self, port=0):
        self.lock = threading.Condition()
        self.envelopes = []
        self.batches = []
        self.beats = []
        self.beat_batches = []
        self.seen = Counter()
        self.first_at = {}
        self.downlink = []
        self.acked = 0
        self.sms_reports = []
        self.engine_age_ms = None  # None: a backend that says nothing of its engine
        self.silences = []  # what was told of a silent engine, ms
        self.streams = []
        self.faults = []
        self.refuse = {}
        self.acks = lambda envelope: None
        self.beat_acks = lambda beat: None
        self.behave = lambda kind, document: None
        self.connections = defaultdict(int)
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def setup(self):
                super().setup()
                backend.connections[self.client_address] = 0

            def do_POST(self):
                backend._post(self)

            def do_GET(self):
                backend._get(self)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True
            request_queue_size = 64

            def handle_error(self, request, client_address):
                pass  # a client that goes away in the middle is part of the tests

            def get_request(self):
                request, address = super().get_request()
                backend.sockets.append(request)
                return request, address

        self.sockets = []
        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.05), daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        with self.lock:
            self.closed = True
            self.lock.notify_all()
        for each in self.sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._thread.join(5)

    closed = False

    def wait(self, predicate, within_s=30.0):
        """Wait until predicate() holds; fails the test otherwise."""
        with self.lock:
            assert self.lock.wait_for(predicate, within_s), f"not within {within_s} s; {len(self.envelopes)} envelopes"

    def frames(self):
        with self.lock:
            return [frame for _, frame, _ in self.envelopes]

    def send_down(self, topic, frame):
        with self.lock:
            self.downlink.append(
                {"id": len(self.downlink) + 1, "topic": topic, "frame": base64.b64encode(frame).decode()}
            )
            self.lock.notify_all()

    def send_item(self, **item):
        """A downlink row that is no frame."""
        with self.lock:
            self.downlink.append({"id": len(self.downlink) + 1, **item})
            self.lock.notify_all()

    # In the server's threads.

    def _fault(self, text):
        with self.lock:
            self.faults.append(text)

    def _check_head(self, handler):
        if handler.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._fault(f"token {handler.headers.get('Authorization')!r}")
        self.connections[handler.client_address] += 1

    def _post(self, handler):
        self._check_head(handler)
        length = int(handler.headers["Content-Length"])
        document = json.loads(handler.rfile.read(length))
        kind = handler.path.rsplit("/", 1)[-1]
        wrong = self.behave(kind, document)
        if wrong is not None:
            wrong(handler)
            return
        if handler.path == "/api/v1/gateway/envelopes":
            answer = self._envelopes(document)
        elif handler.path == "/api/v1/gateway/beats":
            answer = self._beats(document)
        elif handler.path == "/api/v1/gateway/downlink/ack":
            with self.lock:
                if not self.acked <= document["upto"] <= len(self.downlink):
                    self.faults.append(f"ack {document} after {self.acked}")
                self.acked = max(self.acked, document["upto"])
                if "engine_silent_ms" in document:
                    self.silences.append(document["engine_silent_ms"])
                self.lock.notify_all()
            answer = {}
        elif handler.path == "/api/v1/gateway/sms/reports":
            with self.lock:
                for row in document["reports"]:
                    if set(row) != {"id", "r", "error"}:
                        self.faults.append(f"report {row}")
                self.sms_reports += document["reports"]
                self.lock.notify_all()
            answer = {"heard": len(document["reports"])}
        else:
            self._fault(f"POST {handler.path}")
            answer = {}
        reply(handler, 200, json.dumps(answer).encode())

    def _envelopes(self, document):
        rows = document["envelopes"]
        if len(rows) > 500:
            self._fault(f"{len(rows)} envelopes at once")
        answers = []
        with self.lock:
            self.batches.append(len(rows))
            for row in rows:
                if set(row) != ENVELOPE_FIELDS or type(row["id"]) is not int:
                    self.faults.append(f"envelope {row}")
                frame = base64.b64decode(row["frame"], validate=True)
                key = row["topic"], frame
                again = self.seen[key] > 0
                self.seen[key] += 1
                self.first_at.setdefault(key, time.monotonic())
                self.envelopes.append((row["topic"], frame, row))
                reason = self.refuse.get(row["topic"])
                acked = self.acks(row)
                publish = [] if acked is None else [{"topic": acked[0], "frame": base64.b64encode(acked[1]).decode()}]
                answers.append(
                    {
                        "id": row["id"],
                        "r": "refused" if reason else "duplicate" if again else "stored",
                        "alert": None,
                        "reason": reason,
                        "publish": publish,
                    }
                )
            self.lock.notify_all()
        return {"answers": answers}

    def _beats(self, document):
        publish = []
        with self.lock:
            self.beat_batches.append(len(document["beats"]))
            for row in document["beats"]:
                if set(row) != BEAT_FIELDS:
                    self.faults.append(f"beat {row}")
                self.beats.append((row["topic"], base64.b64decode(row["frame"], validate=True), row["count"]))
                acked = self.beat_acks(row)
                if acked is not None:
                    publish.append({"topic": acked[0], "frame": base64.b64encode(acked[1]).decode()})
            self.lock.notify_all()
        return {"publish": publish, "refused": []}

    def _get(self, handler):
        self._check_head(handler)
        path, _, query = handler.path.partition("?")
        if path != "/api/v1/gateway/downlink" or not query.startswith("after="):
            self._fault(f"GET {handler.path}")
        wrong = self.behave("downlink", query)
        if wrong is not None:
            wrong(handler)
            return
        with self.lock:
            after = max(int(query[6:]), self.acked)
            self.streams.append(after)
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        self._chunk(handler, self._alive())
        while not self.closed:
            with self.lock:
                self.lock.wait_for(lambda known=after: self.closed or len(self.downlink) > known, 1.0)
                rows = self.downlink[after:]
            for row in rows:
                self._chunk(handler, row)
                after = row["id"]
            if not rows:
                self._chunk(handler, self._alive())

    def _alive(self):
        age = {} if self.engine_age_ms is None else {"engine_age_ms": self.engine_age_ms}
        return {"alive": int(time.time() * 1000)} | age

    def _chunk(self, handler, row):
        line = json.dumps(row).encode() + b"\n"
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        handler.wfile.flush()


def reply(handler, status, body, **headers):
    """Answer with a status and a body."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
    handler.wfile.flush()
