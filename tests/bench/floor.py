"""The floor: the leanest pipeline that keeps the same promises, to measure ours against in the same run.

    MQTT QoS 1 -> SQLite FULL commit -> PUBACK and HTTP -> SQLite FULL commit -> webhook and answer

Two processes (`floor.py gateway …`, `floor.py backend …`), blocking sockets kept open, TCP_NODELAY, one write each, no
framework, one thread each: what is left is the broker, two fsyncs and three hops over loopback.
"""

import json
import socket
import sqlite3
import sys
from pathlib import Path

from tocsin_sim.raw_mqtt import RawClient
from tocsin_wire import signing


def spool(file: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(file, isolation_level=None)
    conn.execute("PRAGMA journal_mode=WAL")
    conn.execute("PRAGMA synchronous=FULL")
    assert conn.execute("PRAGMA synchronous").fetchone()[0] == 2
    conn.execute("CREATE TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY, topic TEXT, frame BLOB)")
    return conn


def keep(conn: sqlite3.Connection, topic: str, frame: bytes) -> int:
    """Commit one message, durably; its number."""
    conn.execute("BEGIN IMMEDIATE")
    number = conn.execute("INSERT INTO kept (topic, frame) VALUES (?, ?)", (topic, frame)).lastrowid
    conn.execute("COMMIT")
    return int(number or 0)


def dial(port: int) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def post(link: socket.socket, path: str, body: bytes) -> bytes:
    """POST and wait for the answer's body."""
    send_post(link, path, body)
    return read_body(link)


def send_post(link: socket.socket, path: str, body: bytes) -> None:
    link.sendall(b"POST %s HTTP/1.1\r\nHost: floor\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body))


def read_body(link: socket.socket) -> bytes:
    """The body of the next request or answer on a connection; both are framed alike. Raises EOFError."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = link.recv(65536)
        if not part:
            raise EOFError
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    while len(body) < length:
        part = link.recv(65536)
        if not part:
            raise EOFError
        body += part
    return body


def gateway(file: Path, broker_port: int, user: str, password: str, backend_port: int) -> None:
    conn = spool(file)
    client = RawClient(broker_port, "floor-gateway", user, password, clean=False, auto_ack=False)
    client.subscribe(f"tocsin/1/{user.split('/')[0]}/+/alert")
    link = dial(backend_port)
    print("ready", flush=True)
    while True:
        message = client.take(3600.0)
        number = keep(conn, message.topic, message.payload)
        request = {"id": number, "topic": message.topic, "frame": message.payload.decode()}
        send_post(link, "/envelopes", json.dumps(request).encode())
        client.ack(message)
        read_body(link)


def backend(file: Path, webhook_port: int, key: bytes) -> None:
    conn = spool(file)
    listener = socket.create_server(("127.0.0.1", 0))
    webhook = dial(webhook_port)
    print(listener.getsockname()[1], flush=True)
    link, _ = listener.accept()
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        envelope = json.loads(read_body(link))
        body = signing.verify(envelope["topic"], envelope["frame"].encode(), key)
        keep(conn, envelope["topic"], body)
        notice = json.dumps({"device": envelope["topic"].split("/")[3], "signal": json.loads(body)}).encode()
        send_post(webhook, "/floor", notice)
        link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        read_body(webhook)


if __name__ == "__main__":
    try:
        if sys.argv[1] == "gateway":
            gateway(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5], int(sys.argv[6]))
        else:
            backend(Path(sys.argv[2]), int(sys.argv[3]), bytes.fromhex(sys.argv[4]))
    except EOFError:
        pass
