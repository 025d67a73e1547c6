"""The composition root: what is built, in which order, and how it stops."""

import asyncio
import json
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import RedirectResponse

from tocsin_backend.accounts import Accounts
from tocsin_backend.answering import Answering
from tocsin_backend.api import (
    alarms,
    alerts,
    calendars,
    cap,
    centres,
    contacts,
    errors,
    estate,
    gateway,
    gateway_schema,
    health,
    openapi,
    organisations,
    policies,
    probes,
    readiness,
    rosters,
    session,
    sms_inbound,
    windows,
)
from tocsin_backend.api.context import COOKIE, Services
from tocsin_backend.api.guards import Guards
from tocsin_backend.centre_watch import CentreWatch
from tocsin_backend.channels import Channel
from tocsin_backend.channels.cap import Cap
from tocsin_backend.channels.console import Console as ConsoleChannel
from tocsin_backend.channels.dc09 import Dc09
from tocsin_backend.channels.email import Email
from tocsin_backend.channels.probe import ProbeSink
from tocsin_backend.channels.push import Push
from tocsin_backend.channels.reach import Reach
from tocsin_backend.channels.siren import Siren
from tocsin_backend.channels.sms import Sms
from tocsin_backend.channels.webhook import Webhook
from tocsin_backend.clock import Clock, SystemClock
from tocsin_backend.console.answer_page import AnswerPage
from tocsin_backend.console.routes import Console
from tocsin_backend.console.routes import Parts as ConsoleParts
from tocsin_backend.contacts import Contacts
from tocsin_backend.domain import french_days
from tocsin_backend.domain.replies import Replies
from tocsin_backend.engine import Engine
from tocsin_backend.enrolment import Registrar
from tocsin_backend.ingest import Ingest
from tocsin_backend.machines import Machines
from tocsin_backend.metrics import Metrics
from tocsin_backend.modems import Modems
from tocsin_backend.outbox import Outbox
from tocsin_backend.plans import Plans
from tocsin_backend.settings import (
    Settings,
    SettingsError,
    read_secret,
    read_sms_inbound_token,
    read_sms_url,
    read_smtp_password,
)
from tocsin_backend.store.database import Database

OPENAPI_URL = "/api/v1/openapi.json"
# where each part of the API stands; health names its own places
PARTS = (
    *(
        ("/api/v1", part)
        for part in (
            session, alerts, estate, cap, contacts, sms_inbound, policies, calendars, rosters, organisations, readiness,
            alarms, centres, probes, windows,
        )
    ),
    ("", health),
)  # fmt: skip
STOP_SECONDS = 5  # given to requests that are under way; streams end at once
BACKLOG = 2048  # connections that may wait to be accepted while a burst is served
SWITCH_SECONDS = 0.0001  # five times less than at first: the slowest tenth of first notices left 1 ms sooner
KEEP_ALIVE_SECONDS = 75  # longer than a gateway's pause between beats, so that a press finds its connection warm


def build(settings: Settings, clock: Clock) -> Services:
    """Every part, put together; nothing runs yet. Raises SettingsError, Misconfigured or Unavailable."""
    secret = read_secret(settings.secret_path)
    french_days.warm()
    database = Database(settings.database)
    database.migrate()
    channels: dict[str, Channel] = {
        each.name: each
        for each in (
            ConsoleChannel(),
            ProbeSink(),
            Cap(database, clock, urlsplit(settings.public_url).hostname or "tocsin", settings.cap_folder),
            Webhook(clock, settings.webhook_private_networks),
            Email(
                clock, host=settings.smtp_host, port=settings.smtp_port, security=settings.smtp_security,
                user=settings.smtp_user, password=read_smtp_password(settings), sender=settings.smtp_from,
            ),
        )
    }  # fmt: skip
    modems = Modems(database, clock.now_ms)
    dc09 = Dc09(database, clock, Reach(settings.centre_private_networks))
    for each in (
        Sms(read_sms_url(settings), modems, settings.webhook_private_networks),
        Push(settings.webhook_private_networks),
        dc09,
        Siren(database, clock),
    ):
        channels[each.name] = each
    replies = Replies.of(secret)
    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    outbox = Outbox(owner, frozenset(channels), settings.public_url, replies)
    ingest = Ingest(database, clock, outbox, evidence_max=settings.evidence_max)
    engine = Engine(database, clock, outbox, channels)
    return Services(
        settings=settings,
        database=database,
        ingest=ingest,
        engine=engine,
        accounts=Accounts(database, settings.session_hours * 3_600_000, clock.now_ms),
        registrar=Registrar(settings, secret, database, clock.now_ms),
        metrics=Metrics(database, ingest, engine.lateness, clock.now_ms),
        plans=Plans(database, clock.now_ms),
        answering=Answering(database, engine, replies, modems, clock.now_ms, ingest.refusals),
        contacts=Contacts(database, secret, channels, clock.now_ms),
        machines=Machines(database, clock.now_ms, dc09),
        sms_inbound_token=read_sms_inbound_token(settings),
        now_ms=clock.now_ms,
        stopping=asyncio.Event(),
    )


def create_app(settings: Settings, clock: Clock | None = None) -> FastAPI:
    """The server's application, which closes its database when it ends. Raises as `build`."""
    clock = clock or SystemClock()
    parts = build(settings, clock)
    centre_watch = CentreWatch(parts.database, clock, parts.engine.outbox, parts.machines.channel)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.gateways = gateway.Gateways(parts)
        try:
            await asyncio.to_thread(parts.engine.start)
            centre_watch.start()
            yield
        finally:
            parts.stopping.set()
            app.state.gateways.wake_all()
            await asyncio.to_thread(centre_watch.stop)
            await asyncio.to_thread(parts.engine.stop)
            await asyncio.to_thread(parts.database.close)

    app = FastAPI(
        title="Tocsin", version=version("tocsin"), lifespan=lifespan, openapi_url=OPENAPI_URL,
        # Interactive pages would come from another origin; the schema is enough for every tool.
        docs_url=None, redoc_url=None, redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )  # fmt: skip
    app.state.services = parts
    app.add_middleware(gateway.FrontDoor)
    app.add_middleware(Guards)  # added last, it stands before everything
    errors.install(app)
    app.router.routes[:0] = gateway.ROUTES  # matched first: they are the way of a press
    for prefix, part in PARTS:
        app.include_router(part.router, prefix=prefix)
    console = Console(
        ConsoleParts(
            database=parts.database, engine=parts.engine, accounts=parts.accounts, now_ms=parts.now_ms,
            session_cookie=COOKIE, session_hours=settings.session_hours, cookie_secure=settings.cookie_secure,
        )
    )  # fmt: skip
    app.include_router(console.router)
    app.include_router(AnswerPage(console.pages, parts.answering).router)
    app.state.console = console
    app.add_api_route("/", lambda: RedirectResponse("/console"), methods=["GET"], include_in_schema=False)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        routes = [(prefix + each.path, each) for prefix, part in PARTS for each in part.router.routes]
        app.openapi_schema = openapi.finish(schema, routes, gateway_schema.PATHS)
    return app.openapi_schema


class Server(uvicorn.Server):
    """uvicorn that says where it listens, and that ends its streams before it waits for them."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, as_json: bool) -> None:
        super().__init__(config)
        self._app = app
        self._as_json = as_json

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            # For scripts: the one line on stdout, once the first request can be served.
            print(json.dumps({"ready": url, "pid": os.getpid()}) if self._as_json else f"ready {url}", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal asks for an orderly end, which is a success; a second SIGINT does not wait for requests."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.services.stopping.set()
        self._app.state.gateways.wake_all()
        self._app.state.console.live.close()
        await super().shutdown(sockets)


def listen(settings: Settings) -> socket.socket:
    """The listening socket. Raises SettingsError when the address cannot be had."""
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections inherit it: an answer to a press must not wait for the ACK of the one before.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        where = f"{settings.host}:{settings.port}"
        raise SettingsError(f"{where} cannot be listened on: {error.strerror} (TOCSIN_HOST, TOCSIN_PORT)") from None
    return listener


def server(app: FastAPI, settings: Settings, as_json: bool = False) -> Server:
    """The HTTP server of the application; `run(sockets=[listener])` serves."""
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="none", lifespan="on", access_log=False, log_config=None,
        server_header=False, date_header=False, backlog=BACKLOG, timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS, proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
    )  # fmt: skip
    return Server(config, app, as_json)


def serve(settings: Settings, as_json: bool = False) -> int:
    """Runs the server until SIGINT or SIGTERM; the exit status. Raises TocsinError when it cannot start."""
    logging.basicConfig(
        level=settings.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # A thread that verifies a digest of beats must not keep the event loop, and with it a press, waiting for 5 ms.
    sys.setswitchinterval(SWITCH_SECONDS)
    app = create_app(settings)
    listener = listen(settings)
    running = server(app, settings, as_json)
    running.run(sockets=[listener])
    return 0 if running.started else 3
