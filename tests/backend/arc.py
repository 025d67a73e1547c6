"""Monitoring centres on loopback: pysiaalarm's real receiver, and one that misbehaves as it is told."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pysiaalarm import SIAAccount, SIAClient, SIAEvent

ACCOUNT = "1234"
SECRET = "sixteen letters!"  # pysiaalarm takes the letters as the key; ours is their hex
KEY = SECRET.encode().hex()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def awaited(heard: list, count: int) -> int:
    """How many there are, waiting a moment for `count`: the receiver answers first and hands the event over then."""
    deadline_s = time.monotonic() + 2
    while len(heard) < count and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return len(heard)


@contextmanager
def receiver(
    key: str | None = None, band: tuple[int, int] = (40, 20)
) -> Iterator[tuple[int, list[SIAEvent], SIAClient]]:
    """(port, events as they come, the receiver). Events that it did not acknowledge are not in the list."""
    heard: list[SIAEvent] = []
    account = SIAAccount(ACCOUNT, key, allowed_timeband=band)
    client = SIAClient("127.0.0.1", 0, [account], heard.append)
    client.start(poll_interval=0.02)
    try:
        yield client.sia_server.server_address[1], heard, client
    finally:
        client.stop()


@contextmanager
def scripted(answer: Callable[[bytes], bytes | None]) -> Iterator[tuple[int, list[bytes]]]:
    """(port, frames heard): answers each frame with what `answer` says; None: keeps silent and keeps the line."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()
    listener.settimeout(0.1)

    def serve(peer: socket.socket) -> None:
        with peer:
            peer.settimeout(0.1)
            while not done.is_set():
                try:
                    frame = peer.recv(4096)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if not frame:
                    return
                heard.append(frame)
                said = answer(frame)
                if said is not None:
                    peer.sendall(said)

    threads: list[threading.Thread] = []

    def accept() -> None:
        while not done.is_set():
            try:
                peer, _ = listener.accept()
            except TimeoutError:
                continue
            threads.append(threading.Thread(target=serve, args=(peer,)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        done.set()
        accepting.join(5)
        for each in threads:
            each.join(5)
        listener.close()
