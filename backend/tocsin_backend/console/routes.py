"""The console's pages and deeds.

Every page is a GET that shows what the database says now; every deed is a POST with the anti-forgery token of its
session. A plain form is answered with a redirect; console.js asks for JSON and shows the answer on the row.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, FastAPI, Form, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from tocsin_backend.accounts import (
    PASSWORD_CHARACTERS_MAX,
    Accounts,
    TooManyAttempts,
    WrongLogin,
    csrf_matches,
    token_hash,
)
from tocsin_backend.console import phrases, views
from tocsin_backend.console.assets import HEADERS, Assets
from tocsin_backend.console.language import DEFAULT, Language, read_languages
from tocsin_backend.console.pages import Pages
from tocsin_backend.console.stream import Live, counts
from tocsin_backend.domain import rights
from tocsin_backend.domain.alerts import REASONS
from tocsin_backend.engine import Engine
from tocsin_backend.errors import Forbidden, NotFound, Unavailable
from tocsin_backend.store import accounts as people
from tocsin_backend.store import board, enrolment
from tocsin_backend.store.accounts import PersonRow, SessionRow
from tocsin_backend.store.board import AlertRow
from tocsin_backend.store.database import Database

LANGUAGE_COOKIE = "tocsin_language"
LANGUAGE_SECONDS = 365 * 86_400
NOTE_MAX = 2_000  # characters of what was found and done
CLOSED_SHOWN = 100
CHANNEL = "console"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the console works with; the composition root gives it."""

    database: Database
    engine: Engine
    accounts: Accounts
    now_ms: Callable[[], int]
    session_cookie: str
    session_hours: int
    cookie_secure: bool


@dataclass(frozen=True)
class Visitor:
    """A person with a live session."""

    person: PersonRow
    session: SessionRow
    language: Language


@dataclass(frozen=True)
class Frame:
    """What every page carries around its own content, read with it in one transaction."""

    counts: Mapping[str, int]
    sites: list[dict[str, Any]]


class Console:
    """The pages, the live link, and the router that serves them."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.languages = read_languages()
        self.assets = Assets()
        self.pages = Pages(self.languages, self.assets)
        self.live = Live(
            parts.database,
            lambda alert, code: self.pages.rendered(alert, code, parts.now_ms()),
            parts.now_ms,
            parts.accounts.ended,
        )
        self.router = self._router()

    def _router(self) -> APIRouter:
        router = APIRouter(prefix="/console", include_in_schema=False, lifespan=self._lifespan)
        router.add_api_route("", self.list_page, methods=["GET"])
        router.add_api_route("/alerts", self.snapshot, methods=["GET"])
        router.add_api_route("/live", self.stream, methods=["GET"])
        router.add_api_route("/alerts/{alert_id}", self.alert_page, methods=["GET"])
        router.add_api_route("/alerts/{alert_id}/take", self.take, methods=["POST"])
        router.add_api_route("/alerts/{alert_id}/close", self.close, methods=["POST"])
        router.add_api_route("/devices", self.devices_page, methods=["GET"])
        router.add_api_route("/sites", self.sites_page, methods=["GET"])
        router.add_api_route("/closed", self.closed_page, methods=["GET"])
        router.add_api_route("/login", self.login_page, methods=["GET"])
        router.add_api_route("/login", self.log_in, methods=["POST"])
        router.add_api_route("/logout", self.log_out, methods=["POST"])
        router.add_api_route("/language", self.set_language, methods=["POST"])
        router.add_api_route("/static/{version}/{name}", self.assets.answer, methods=["GET"])
        return router

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        live = asyncio.create_task(self.live.run(), name="console-live")
        try:
            yield
        finally:
            live.cancel()
            await asyncio.gather(live, return_exceptions=True)

    # -- who is asking

    def visitor(self, request: Request) -> Visitor | None:
        """The person of the session cookie, None when there is no live session of a role that may look."""
        session = self.parts.accounts.session(request.cookies.get(self.parts.session_cookie, ""))
        if session is None or not rights.may(session.person.role, "see"):
            return None
        language = self.languages.get(session.person.language) or self.languages[DEFAULT]
        return Visitor(session.person, session, language)

    def stranger_language(self, request: Request) -> Language:
        """Before the login: as chosen on the login page, else French."""
        code = request.query_params.get("language") or request.cookies.get(LANGUAGE_COOKIE, "")
        return self.languages.get(code) or self.languages[DEFAULT]

    def to_login(self, request: Request) -> Response:
        query = urlencode({"next": inside(request.url.path)})
        return RedirectResponse(f"/console/login?{query}", 303, headers=HEADERS)

    # -- pages

    def frame(self, who: Visitor, request: Request, frame: Frame, here: str) -> dict[str, Any]:
        """The values that base.html needs."""
        zone = views.zone_of(frame.sites)
        person = who.person
        return {
            "here": here,
            "person": {"name": person.name, "initials": views.initials(person.name), "org_name": person.org_name},
            "csrf": who.session.csrf,
            "path": request.url.path,
            "counts": frame.counts,
            "phones": views.phones(frame.sites),
            "zone": zone,
            "clock": who.language.clock(self.parts.now_ms(), ZoneInfo(zone)),
            "problem": self.problem(who.language, request),
        }

    def problem(self, language: Language, request: Request) -> str:
        """What a redirect after a refused deed says, by its code."""
        code = request.query_params.get("refused", "")
        if code not in phrases.DEEDS:
            return ""
        return language.say(phrases.DEEDS[code]).replace("%(name)s", request.query_params.get("name", "")[:100])

    def read_frame(self, conn: Any, org: str, alerts: Iterable[AlertRow]) -> Frame:
        presence = {row.presence: row.number for row in board.presence_counts(conn) if row.org == org}
        return Frame(counts(alerts, presence), enrolment.sites(conn, org))

    def list_page(self, request: Request) -> Response:
        """The open alerts."""
        who = self.visitor(request)
        if who is None:
            return self.to_login(request)
        with self.parts.database.read() as conn:
            alerts = board.open_alerts(conn, who.person.org)
            frame = self.read_frame(conn, who.person.org, alerts)
        rows = views.alert_rows(alerts, who.language, self.parts.now_ms())
        return self.pages.page(who.language, "alerts.html", rows=rows, **self.frame(who, request, frame, "alerts"))

    def alert_page(self, request: Request, alert_id: str) -> Response:
        """One alert: its state, timeline, ledger, and who was told."""
        who = self.visitor(request)
        if who is None:
            return self.to_login(request)
        org, language, now_ms = who.person.org, who.language, self.parts.now_ms()
        with self.parts.database.read() as conn:
            frame = self.read_frame(conn, org, board.open_alerts(conn, org))
            alert = board.alert(conn, org, alert_id, who.person.id)
            if alert is None:
                return self.problem_page(who, request, frame, 404, "missing")
            entries = board.timeline(conn, alert_id)
            notices = board.notices(conn, alert_id)
            ledgers = board.ledgers(conn, alert_id)
            names = board.people_names(conn, org, alert_id)
            logins = {str(row["login"]): str(row["name"]) for row in people.people(conn, org)}
        tag = etag(alert, entries, notices, ledgers, who.person)
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=HEADERS | {"ETag": tag})
        zone = ZoneInfo(alert.timezone)
        page = self.pages.page(
            language,
            "alert.html",
            row=views.alert_row(alert, language, now_ms),
            timeline=views.timeline(entries, names, language, zone),
            ledger=views.ledger(ledgers[0], language) if ledgers else None,
            told=views.notices(notices, language, zone),
            now_sentence=views.now_sentence(alert, language, zone),
            next_sentence=views.next_sentence(alert, language),
            next_people=views.next_people(alert, language, logins),
            reasons=views.reasons(alert, language),
            chosen_reason=request.query_params.get("reason", ""),
            may_take=rights.may(who.person.role, "answer", alert.category),
            may_close=rights.may(who.person.role, "close", alert.category),
            **self.frame(who, request, frame, ""),
        )
        page.headers["ETag"] = tag
        return page

    def devices_page(self, request: Request) -> Response:
        """The posts and their presence."""
        who = self.visitor(request)
        if who is None:
            return self.to_login(request)
        org = who.person.org
        with self.parts.database.read() as conn:
            frame = self.read_frame(conn, org, board.open_alerts(conn, org))
            rows = enrolment.devices(conn, org)
            presses = board.last_presses(conn, org)
        zones = {row["id"]: row["timezone"] for row in frame.sites}
        devices = views.devices(rows, zones, presses, who.language, self.parts.now_ms())
        values = self.frame(who, request, frame, "devices")
        return self.pages.page(who.language, "devices.html", devices=devices, **values)

    def sites_page(self, request: Request) -> Response:
        """The places."""
        who = self.visitor(request)
        if who is None:
            return self.to_login(request)
        org = who.person.org
        with self.parts.database.read() as conn:
            frame = self.read_frame(conn, org, board.open_alerts(conn, org))
            devices = enrolment.devices(conn, org)
        sites = views.sites(frame.sites, devices, who.language)
        return self.pages.page(who.language, "sites.html", sites=sites, **self.frame(who, request, frame, "sites"))

    def closed_page(self, request: Request) -> Response:
        """The last closed alerts."""
        who = self.visitor(request)
        if who is None:
            return self.to_login(request)
        org, now_ms = who.person.org, self.parts.now_ms()
        with self.parts.database.read() as conn:
            frame = self.read_frame(conn, org, board.open_alerts(conn, org))
            closed = board.closed_alerts(conn, org, CLOSED_SHOWN)
        rows = [views.alert_row(row, who.language, now_ms) for row in closed]
        return self.pages.page(who.language, "closed.html", rows=rows, **self.frame(who, request, frame, "closed"))

    def problem_page(self, who: Visitor, request: Request, frame: Frame, status: int, code: str) -> HTMLResponse:
        sentence = who.language.say(phrases.DEEDS[code])
        values = self.frame(who, request, frame, "")
        return self.pages.page(who.language, "problem.html", status, sentence=sentence, **values)

    # -- the live link

    def snapshot(self, request: Request) -> Response:
        """What the list shows now, for the live link; 304 when the page has it already."""
        who = self.visitor(request)
        if who is None:
            return Response(status_code=401, headers=HEADERS)
        try:
            body, tag = self.live.snapshot(who.person.org, who.language.code)
        except Unavailable:
            return Response(status_code=503, headers=HEADERS)
        headers = HEADERS | {"ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    async def stream(self, request: Request) -> Response:
        """Server-sent events: `beat` every 2 s, `rows` at each change."""
        who = await asyncio.to_thread(self.visitor, request)
        if who is None:
            return Response(status_code=401, headers=HEADERS)
        kept = token_hash(request.cookies[self.parts.session_cookie])
        events = self.live.listen(who.person.org, who.language.code, kept)
        # A proxy that gathers answers before passing them on would hold back a call for help.
        headers = HEADERS | {"X-Accel-Buffering": "no"}
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    # -- deeds

    def take(
        self,
        request: Request,
        alert_id: str,
        csrf: Annotated[str, Form()] = "",
        epoch: Annotated[int | None, Form()] = None,
    ) -> Response:
        """The person takes the alert, unless somebody has it already; `epoch` is the one that the page showed."""
        who = self.visitor(request)
        if who is None:
            return self.signed_out(request)
        code = self.refusal(who, csrf, "answer") or self.try_to_take(who, alert_id, epoch)
        return self.answer_deed(who, request, alert_id, code, "/console")

    def try_to_take(self, who: Visitor, alert_id: str, epoch: int | None) -> str:
        try:
            outcome = self.parts.engine.answer(who.person.org, alert_id, who.person.id, CHANNEL, epoch)
        except NotFound:
            return "missing"
        except Forbidden:
            return "forbidden"
        except Unavailable:
            return "unavailable"
        return {"won": "taken", "taken": "taken-by", "late": "already-closed", "stale": "stale"}[outcome]

    def close(
        self,
        request: Request,
        alert_id: str,
        csrf: Annotated[str, Form()] = "",
        reason: Annotated[str, Form()] = "",
        note: Annotated[str, Form()] = "",
        epoch: Annotated[int | None, Form()] = None,
    ) -> Response:
        """The person closes the alert, with what it was; `epoch` is the one that the page showed."""
        who = self.visitor(request)
        if who is None:
            return self.signed_out(request)
        note = note[:NOTE_MAX].strip()
        code = self.refusal(who, csrf, "close") or self.try_to_close(who, alert_id, reason, note, epoch)
        return self.answer_deed(who, request, alert_id, code, f"/console/alerts/{alert_id}")

    def try_to_close(self, who: Visitor, alert_id: str, reason: str, note: str, epoch: int | None) -> str:
        if epoch is None:
            return "token"  # a page that was read before this field was in it
        if reason not in REASONS:
            return "reason"
        try:
            outcome = self.parts.engine.close(who.person.org, alert_id, who.person.id, reason, note, epoch)
        except NotFound:
            return "missing"
        except Forbidden:
            return "forbidden"
        except Unavailable:
            return "unavailable"
        return {"closed": "closed", "second-needed": "second", "ignored": "already-closed", "stale": "stale"}[outcome]

    def refusal(self, who: Visitor, csrf: str, action: str) -> str:
        """Why this person may not act, "" when they may."""
        if not csrf_matches(who.session, csrf):
            return "token"
        return "" if rights.may(who.person.role, action) else "forbidden"

    def answer_deed(self, who: Visitor, request: Request, alert_id: str, code: str, back: str) -> Response:
        """What became of a deed: JSON with the row as it is now, or a redirect."""
        with self.parts.database.read() as conn:
            alert = board.alert(conn, who.person.org, alert_id, who.person.id)
        ok = code in DONE
        names = {"site": phrases.place(alert) if alert else "", "name": (alert and alert.owner) or "?"}
        if wants_json(request):
            say = who.language.say(phrases.DEEDS[code], **names)
            row = None
            if alert is not None and alert.status != "closed":
                row = {"html": self.pages.rendered(alert, who.language.code, self.parts.now_ms()).html}
            next_page = "/console" if code == "closed" else None
            epoch = alert.epoch if alert is not None else None
            answer = {"say": say, "row": row, "next": next_page, "epoch": epoch}
            return JSONResponse(answer, STATUS.get(code, 409), headers=HEADERS)
        if ok:
            return RedirectResponse("/console", 303, headers=HEADERS)
        query = urlencode({"refused": code, "name": names["name"]})
        return RedirectResponse(f"{back}?{query}", 303, headers=HEADERS)

    def signed_out(self, request: Request) -> Response:
        """A deed without a session: said on the row; a plain form goes to the login page."""
        if wants_json(request):
            say = phrases.word(self.stranger_language(request), phrases.DEEDS, "signed-out")
            return JSONResponse({"say": say, "row": None, "next": None, "epoch": None}, 401, headers=HEADERS)
        return RedirectResponse("/console/login", 303, headers=HEADERS)

    # -- coming and going

    def login_page(self, request: Request, next: str = "/console") -> Response:  # noqa: A002  the field's name
        """The login form; `?language=` chooses the language of this browser."""
        language = self.stranger_language(request)
        page = self.login_form(language, inside(next))
        if request.query_params.get("language") in self.languages:
            self.remember_language(page, language.code)
        return page

    def login_form(
        self, language: Language, next_path: str, login: str = "", problem: str = "", status: int = 200
    ) -> HTMLResponse:
        return self.pages.page(language, "login.html", status, next=next_path, login=login, problem=problem)

    def log_in(
        self,
        request: Request,
        login: Annotated[str, Form()] = "",
        password: Annotated[str, Form()] = "",
        next: Annotated[str, Form()] = "/console",  # noqa: A002  the field's name
    ) -> Response:
        """Opens a session."""
        language = self.stranger_language(request)
        login = login.strip().lower()[:32]
        try:
            opened = self.parts.accounts.log_in(login, password[: PASSWORD_CHARACTERS_MAX + 1], address_of(request))
        except WrongLogin:
            return self.login_form(language, inside(next), login, language.say("Wrong login or password."), 401)
        except TooManyAttempts as error:
            wait = language.span(error.wait_ms + 999)
            problem = language.say("Too many failed logins from here: wait %(span)s.", span=wait)
            return self.login_form(language, inside(next), login, problem, 429)
        except Unavailable:
            problem = language.say("The server cannot open a session just now: try again.")
            return self.login_form(language, inside(next), login, problem, 503)
        if not rights.may(opened.person.role, "see"):
            self.parts.accounts.log_out(opened.token)
            return self.login_form(language, inside(next), login, language.say("Your role has no console."), 403)
        response = RedirectResponse(inside(next), 303, headers=HEADERS)
        response.set_cookie(
            self.parts.session_cookie,
            opened.token,
            max_age=self.parts.session_hours * 3600,
            path="/",
            httponly=True,
            samesite="lax",
            secure=self.parts.cookie_secure,
        )
        return response

    def log_out(self, request: Request, csrf: Annotated[str, Form()] = "") -> Response:
        """Ends the session."""
        who = self.visitor(request)
        response = RedirectResponse("/console/login", 303, headers=HEADERS)
        if who is not None and csrf_matches(who.session, csrf):
            token = request.cookies[self.parts.session_cookie]
            self.parts.accounts.log_out(token)
            self.live.end(token_hash(token))
            response.delete_cookie(self.parts.session_cookie, path="/", httponly=True, samesite="lax")
        return response

    def set_language(
        self,
        request: Request,
        csrf: Annotated[str, Form()] = "",
        language: Annotated[str, Form()] = "",
        back: Annotated[str, Form()] = "/console",
    ) -> Response:
        """The person's own language, from now on."""
        who = self.visitor(request)
        if who is None:
            return self.to_login(request)
        response = RedirectResponse(inside(back), 303, headers=HEADERS)
        if csrf_matches(who.session, csrf) and language in self.languages:
            person_id = who.person.id
            self.parts.database.write(lambda conn: people.set_language(conn, person_id, language)).result()
            self.remember_language(response, language)
        return response

    def remember_language(self, response: Response, code: str) -> None:
        response.set_cookie(
            LANGUAGE_COOKIE,
            code,
            max_age=LANGUAGE_SECONDS,
            path="/console",
            httponly=True,
            samesite="lax",
            secure=self.parts.cookie_secure,
        )


DONE = ("taken", "closed")
STATUS = {
    "taken": 200,
    "closed": 200,
    "second": 200,
    "missing": 404,
    "forbidden": 403,
    "token": 403,
    "reason": 422,
    "unavailable": 503,
}


def inside(path: str) -> str:
    """A path of the console; anything else, which could lead a person to another site, becomes the list."""
    good = path == "/console" or path.startswith("/console/")
    return path if good and path.isprintable() and "\\" not in path and "//" not in path else "/console"


def wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def address_of(request: Request) -> str:
    """The client's address, for the throttle; behind a trusted proxy the server has put the right one here."""
    return request.client.host if request.client else ""


def etag(*facts: object) -> str:
    """Names a page by what it is made from: the ages in its HTML change with every rendering."""
    return f'"{hashlib.sha256(repr(facts).encode()).hexdigest()[:24]}"'
