"""What `tocsin-gateway --check` tries: each thing the gateway needs, alone, with one line on what is wrong."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tocsin_gateway import spool
from tocsin_gateway.clock import epoch_ms
from tocsin_gateway.connection import Connection, NotHttp, TooSlow, Unreachable
from tocsin_gateway.faults import Counts, Faults
from tocsin_gateway.mqtt_link import Link
from tocsin_gateway.settings import Credentials, Settings
from tocsin_gateway.uplink import PATH, compose

BROKER_WITHIN_S = 10.0
BACKEND_WITHIN_MS = 5_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing tried."""

    what: str
    well: bool
    text: str


def check(settings: Settings, credentials: Credentials) -> list[Finding]:
    """Try spool, backend and broker. While a gateway runs, this takes its place at the broker for a moment."""
    return [
        _try("spool", lambda: _spool(settings.data / "spool.db", settings.spool_free_mb)),
        _try("backend", lambda: _backend(settings, credentials)),
        _try("broker", lambda: _broker(credentials)),
    ]


def _try(what: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, attempt())
    except (OSError, spool.SpoolError, Unreachable, TooSlow, NotHttp) as error:
        return Finding(what, False, str(error))


def _spool(path: Path, free_min_mb: int) -> str:
    said = spool.prepare(path, epoch_ms())
    if said:
        raise OSError(said)
    writer = spool.Writer(path)
    writer.probe(epoch_ms())
    writer.close()
    free_mb = spool.free_bytes(path.parent) // 1_000_000
    if free_mb < free_min_mb:
        raise OSError(f"{free_mb} MB left on the spool's disk, {free_min_mb} wanted")
    return f"{path} is written and synced; {free_mb} MB free"


def _backend(settings: Settings, credentials: Credentials) -> str:
    connection = Connection(credentials.backend_url, credentials.token, settings.backend_ca)
    try:
        answer = connection.post(PATH, compose([]), BACKEND_WITHIN_MS)
    finally:
        connection.close()
    if answer.status in (401, 403):
        raise Unreachable(f"{credentials.backend_url} does not accept our token (status {answer.status})")
    if answer.status != 200:
        raise Unreachable(f"{credentials.backend_url} answers {answer.status}")
    return f"{credentials.backend_url} answers and accepts our token"


def _broker(credentials: Credentials) -> str:
    faults, heard = Faults(), threading.Event()
    link = Link(
        credentials.broker,
        credentials.org,
        credentials.gateway,
        lambda *_, **__: None,
        lambda _: None,
        faults,
        Counts(),
    )
    link.start()
    try:
        for _ in range(int(BROKER_WITHIN_S / 0.1)):
            if link.ready:
                where = f"{credentials.broker.host}:{credentials.broker.port}"
                return f"{where} lets us listen to {credentials.org}"
            heard.wait(0.1)
    finally:
        link.stop()
    raise OSError("; ".join(faults.now().values()) or "the broker does not answer")
