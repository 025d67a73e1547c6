"""The virtual post: a page where one presses the button of a running virtual board and sees its lamp, live.

    posts = VirtualPosts({"bau-1": board}, names={"bau-1": "Lycée Jean-Moulin, hall"})
    with posts.serve(port=8090) as url: ...

`posts.app` is the ASGI application. Nothing here decides: a click closes a contact, and what is shown is what the
pins do. The page is for the machine it runs on: it asks for no password, so it listens on loopback only unless told
otherwise.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tocsin_sim.board import Board, Event, Press

PAGES = Path(__file__).with_name("virtual_post_pages")
LANGUAGES = ("fr", "en")
SHOWN_PRESSES = 6
LOOK_S = 0.2  # some states come with time alone: a light is steady once it has not changed for 200 ms
KEEP_ALIVE_S = 10
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

# One table of phrases; a test compares the two columns' keys and the states with indicator.STATES.
PHRASES: dict[str, dict[str, str]] = {
    "fr": {
        "title": "Poste d’appel virtuel",
        "tagline": "Le vrai micrologiciel, sur un ESP32 simulé. Appuyez : un vrai appel part.",
        "posts": "Postes",
        "choose": "Choisir un poste",
        "sign": "Appel d’urgence",
        "sign_hint": "Appuyez pour alerter",
        "button": "Appeler à l’aide (maintenir le bouton, la barre d’espace ou Entrée)",
        "press": "Appuyer",
        "lamp": "Voyant",
        "speaker": "Avertisseur sonore",
        "sound_on": "Activer le son",
        "sound_off": "Couper le son",
        "wifi_cut": "Couper le Wi-Fi",
        "wifi_back": "Rétablir le Wi-Fi",
        "power_cut": "Couper le courant",
        "power_back": "Remettre le courant",
        "try": "Malmener le poste",
        "now": "Ce que dit le poste",
        "journey": "Le dernier appui",
        "history": "Appuis précédents",
        "no_press": "Aucun appui pour l’instant. Le gros bouton rouge attend.",
        "contact": "contact",
        "sending": "enregistré, part",
        "sent": "alerte créée",
        "answered": "prise en charge",
        "late": "non transmis à temps",
        "when": "Heure",
        "waiting": "en attente…",
        "language": "English",
        "lost_page": "Connexion avec le simulateur perdue. Nouvel essai…",
        "ms": "ms",
        "state off": "Éteint",
        "state starting": "Démarrage",
        "state in service": "En service",
        "state sending": "Envoi en cours",
        "state sent": "Appel transmis",
        "state answered": "Quelqu’un a répondu",
        "state not delivered": "Non transmis",
        "state no network": "Pas de réseau",
        "state fault": "En panne",
        "hint off": "Le poste n’a plus de courant.",
        "hint starting": "Le poste démarre et cherche le central.",
        "hint in service": "Un éclat vert toutes les 5 secondes : le central répond, le poste est prêt.",
        "hint sending": "Jaune clignotant : l’appui est enregistré et part.",
        "hint sent": "Jaune fixe : l’alerte existe, des personnes sont prévenues.",
        "hint answered": "Vert fixe : une personne nommée a pris l’alerte.",
        "hint not delivered": "Rouge : rien n’a confirmé en 20 secondes. Composez le 17 ou le 112. Le poste insiste.",
        "hint no network": "Deux éclats rouges : un appui serait gardé, puis envoyé au retour du réseau.",
        "hint fault": "Trois éclats longs : le poste demande un technicien.",
    },
    "en": {
        "title": "Virtual call post",
        "tagline": "The real firmware, on a simulated ESP32. Press: a real call leaves.",
        "posts": "Posts",
        "choose": "Choose a post",
        "sign": "Emergency call",
        "sign_hint": "Press to call for help",
        "button": "Call for help (hold the button, the space bar or Enter)",
        "press": "Press",
        "lamp": "Lamp",
        "speaker": "Buzzer",
        "sound_on": "Turn sound on",
        "sound_off": "Turn sound off",
        "wifi_cut": "Cut the Wi-Fi",
        "wifi_back": "Restore the Wi-Fi",
        "power_cut": "Cut the power",
        "power_back": "Restore the power",
        "try": "Give it a hard time",
        "now": "What the post says",
        "journey": "The last press",
        "history": "Earlier presses",
        "no_press": "No press yet. The big red button is waiting.",
        "contact": "contact",
        "sending": "kept, leaving",
        "sent": "alert made",
        "answered": "taken by a person",
        "late": "not delivered in time",
        "when": "Time",
        "waiting": "waiting…",
        "language": "Français",
        "lost_page": "Connection to the simulator lost. Trying again…",
        "ms": "ms",
        "state off": "Off",
        "state starting": "Starting",
        "state in service": "In service",
        "state sending": "Sending",
        "state sent": "Call sent",
        "state answered": "Someone answered",
        "state not delivered": "Not delivered",
        "state no network": "No network",
        "state fault": "Out of order",
        "hint off": "The post has no power.",
        "hint starting": "The post starts and looks for the centre.",
        "hint in service": "A green blink every 5 seconds: the centre answers, the post is ready.",
        "hint sending": "Blinking yellow: the press is kept and on its way.",
        "hint sent": "Steady yellow: the alert exists, people are being told.",
        "hint answered": "Steady green: a named person took the alert.",
        "hint not delivered": "Red: nothing confirmed within 20 seconds. Dial 17 or 112. The post keeps trying.",
        "hint no network": "Two red flashes: a press would be kept, then sent when the network is back.",
        "hint fault": "Three long flashes: the post needs a technician.",
    },
}


class VirtualPosts:
    """The page over some running boards: {id: board}, in the order in which they are shown."""

    def __init__(self, boards: Mapping[str, Board], names: Mapping[str, str] | None = None) -> None:
        self.boards = dict(boards)
        self.names = {post: (names or {}).get(post, post) for post in boards}
        self._watchers: set[Callable[[str], None]] = set()
        self._stopping = False
        for post, board in self.boards.items():
            board.listen(self._listener(post))
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(PAGES), autoescape=True, undefined=jinja2.StrictUndefined
        )
        self._page = environment.get_template("post.html")
        self.app = Starlette(
            routes=[
                Route("/", self._show),
                Route("/events", self._events),
                Route("/posts/{post}/{act}", self._act, methods=["POST"]),
                Mount("/static", StaticFiles(directory=PAGES / "static")),
            ],
            middleware=[Middleware(BaseHTTPMiddleware, dispatch=_with_headers)],
        )

    @contextlib.contextmanager
    def serve(self, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
        """Serve the page from a thread; yields its address."""
        config = uvicorn.Config(
            self.app, host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, name="virtual-post", daemon=True)
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise OSError(f"the virtual post's page could not listen on {host}:{port}")
            time.sleep(0.01)
        try:
            yield f"http://{host}:{server.servers[0].sockets[0].getsockname()[1]}/"
        finally:
            self._stopping = True
            server.should_exit = True
            thread.join(timeout=10)

    def describe(self, post: str, language: str) -> dict[str, Any]:
        """What the page shows of one post, as JSON."""
        board = self.boards[post]
        state = board.state
        return {
            "state": state,
            "text": PHRASES[language][f"state {state}"],
            "hint": PHRASES[language][f"hint {state}"],
            "colour": board.colour,
            "tone_hz": board.tone_hz,
            "closed": board.closed,
            "powered": board.powered,
            "wifi": board.has_wifi,
            "presses": [_instants(press) for press in reversed(board.history()[-SHOWN_PRESSES:])],
        }

    def summary(self, language: str) -> list[dict[str, str]]:
        """The state of every post, for the list."""
        states = [(post, board.state) for post, board in self.boards.items()]
        return [{"post": post, "state": state, "text": PHRASES[language][f"state {state}"]} for post, state in states]

    async def _show(self, request: Request) -> Response:
        language = _language(request)
        post = request.query_params.get("post", next(iter(self.boards), ""))
        if post not in self.boards:
            return PlainTextResponse("unknown post", status_code=404)
        now = self.describe(post, language)
        other = LANGUAGES[1 - LANGUAGES.index(language)]
        return HTMLResponse(
            self._page.render(
                words=PHRASES[language],
                language=language,
                other=other,
                post=post,
                names=self.names,
                now=now,
                summary={row["post"]: row for row in self.summary(language)},
            )
        )

    async def _events(self, request: Request) -> Response:
        post = request.query_params.get("post", "")
        if post not in self.boards:
            return PlainTextResponse("unknown post", status_code=404)
        return StreamingResponse(self._stream(post, _language(request)), media_type="text/event-stream")

    async def _stream(self, post: str, language: str) -> AsyncIterator[str]:
        changed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake(which: str) -> None:
            if which == post:
                with contextlib.suppress(RuntimeError):  # the loop has just been closed
                    loop.call_soon_threadsafe(changed.set)

        self._watchers.add(wake)
        told, told_all, told_at = "", "", 0.0
        try:
            yield "retry: 1000\n\n"
            while not self._stopping:
                changed.clear()
                now = json.dumps(self.describe(post, language))
                if now != told:
                    told, told_at = now, loop.time()
                    yield f"event: post\ndata: {now}\n\n"
                everyone = json.dumps(self.summary(language))
                if everyone != told_all:
                    told_all = everyone
                    yield f"event: posts\ndata: {everyone}\n\n"
                if loop.time() - told_at > KEEP_ALIVE_S:
                    told_at = loop.time()
                    yield ": alive\n\n"
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(changed.wait(), LOOK_S)
        finally:
            self._watchers.discard(wake)

    async def _act(self, request: Request) -> Response:
        # A foreign page cannot add this header without being asked for permission first, which is never given.
        if request.headers.get("x-tocsin") != "virtual-post":
            return PlainTextResponse("not from our page", status_code=403)
        board = self.boards.get(request.path_params["post"])
        acts: dict[str, Callable[[Board], None]] = {
            "hold": Board.hold,
            "release": Board.release,
            "wifi-off": lambda it: it.wifi(False),
            "wifi-on": lambda it: it.wifi(True),
            "power-off": Board.power_off,
            "power-on": Board.power_on,
        }
        act = acts.get(request.path_params["act"])
        if board is None or act is None:
            return PlainTextResponse("unknown post or act", status_code=404)
        await run_in_threadpool(act, board)
        return Response(status_code=204)

    def _listener(self, post: str) -> Callable[[Event], None]:
        def hear(_event: Event) -> None:
            for wake in tuple(self._watchers):
                wake(post)

        return hear


def _instants(press: Press) -> dict[str, Any]:
    return {
        "contact_ms": press.contact_ns // 1_000_000,
        "sending": press.after_ms(press.sending_ns),
        "sent": press.after_ms(press.sent_ns),
        "answered": press.after_ms(press.answered_ns),
        "late": press.after_ms(press.not_delivered_ns),
    }


def _language(request: Request) -> str:
    wanted = request.query_params.get("lang", LANGUAGES[0])
    return wanted if wanted in LANGUAGES else LANGUAGES[0]


async def _with_headers(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await go_on(request)
    response.headers.update(HEADERS)
    return response
