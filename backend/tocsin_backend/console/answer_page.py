"""The page behind the link of a notice: /a/<token>. No login, no script; who has the link is whom it was sent to.

Opening it changes nothing, for mail scanners open every link. The token in the address is what a form of another site
cannot know, so the form carries no other.
"""

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tocsin_backend.answering import Answering, Standing
from tocsin_backend.console.assets import HEADERS
from tocsin_backend.console.language import DEFAULT, N_, Language
from tocsin_backend.console.pages import Pages
from tocsin_backend.domain import alerts, replies
from tocsin_backend.errors import Unavailable
from tocsin_backend.store.links import Told

# The address holds the token: it goes to nobody else, and into no index.
PAGE_HEADERS = {**HEADERS, "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}
TOKEN_MAX = 100
TITLES = {
    alerts.TECHNICAL: N_("Technical fault"),
    "threat": N_("Threat alert"),
    "personal": N_("Alarm of a lone worker"),
    "call": N_("Call for help"),
}
SENTENCES = {
    "open": N_("Nobody has taken this call yet."),
    "taken": N_("{who} has taken this call."),
    "won": N_("It is noted: you have taken this call."),
    "stale": N_("This call was raised again after this message: this link is worth nothing any more."),
    "late": N_("This call is over."),
    "expired": N_("This link is more than 24 hours old: it is worth nothing any more."),
    "withdrawn": N_("The way this message came is used no more: this link is worth nothing any more."),
    "unknown": N_("This link is not one of ours, or it was cut on its way."),
    "forbidden": N_("Your role does not let you take this call."),
    "unavailable": N_("The server cannot note it right now. Nothing is noted: try again, or telephone."),
}
HINTS = {
    "open": N_("Take it only if you are going to see to it."),
    "stale": N_("Use the link of the newest message, or the console."),
    "expired": N_("Use the link of the newest message, or the console."),
    "withdrawn": N_("Use the link of the newest message, or the console."),
    "unknown": N_("Copy the whole address from the message, or use the console."),
    "forbidden": N_("Telephone your centre."),
}
SAID = {
    replies.EN_ROUTE: N_("Noted: you are on your way."),
    replies.ON_SITE: N_("Noted: you are on site."),
    replies.NEEDS_HELP: N_("Noted: backup is called."),
}
PROGRESS = {
    replies.EN_ROUTE: N_("On my way"),
    replies.ON_SITE: N_("On site"),
    replies.NEEDS_HELP: N_("I need backup"),
}
STATUSES = {"unknown": 404, "expired": 410, "withdrawn": 410, "unavailable": 503}


@dataclass(frozen=True, slots=True)
class Deed:
    """One button."""

    what: str
    words: str
    quiet: bool = False
    said: bool = False


class AnswerPage:
    """GET shows, POST acts and then redirects to the GET: a page that is loaded again sends nothing twice."""

    def __init__(self, pages: Pages, answering: Answering) -> None:
        self._pages = pages
        self._answering = answering
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/a/{token}", self.show, methods=["GET", "HEAD"])
        self.router.add_api_route("/a/{token}", self.act, methods=["POST"])

    def show(self, request: Request, token: str) -> HTMLResponse:
        """The alert's place and state, and what can still be done about it."""
        try:
            standing = self._answering.look(token[:TOKEN_MAX])
        except Unavailable:
            standing = Standing("unavailable")
        return self._page(request, standing)

    async def act(self, request: Request, token: str) -> Response:
        """Takes the call, or says how it goes: the field `do`, once. Anything else changes nothing: 400."""
        said = (await request.form()).getlist("do")
        what = said[0] if len(said) == 1 else ""
        is_known = what == replies.TAKE or what in replies.PROGRESS
        try:
            if what == replies.TAKE:
                standing = await run_in_threadpool(self._answering.take, token[:TOKEN_MAX])
            elif is_known:
                standing = await run_in_threadpool(self._answering.progress, token[:TOKEN_MAX], str(what))
            else:
                standing = await run_in_threadpool(self._answering.look, token[:TOKEN_MAX])
        except Unavailable:
            return self._page(request, Standing("unavailable"))
        if not is_known:
            return self._page(request, standing, 400)
        if standing.told is None:
            return self._page(request, standing)
        return RedirectResponse(request.url.path, 303, headers=PAGE_HEADERS)

    def _page(self, request: Request, standing: Standing, status: int = 200) -> HTMLResponse:
        told = standing.told
        language = self._pages.languages.get(told.language if told else DEFAULT) or self._pages.languages[DEFAULT]
        title = language.say(TITLES.get(told.category, TITLES["call"]) if told else N_("Answer"))
        html = self._pages.text(
            language,
            "answer.html",
            title=title,
            state=standing.state,
            sentence=_sentence(standing, language),
            hint=language.say(HINTS[standing.state]) if standing.state in HINTS else "",
            facts=_facts(told, language) if told else None,
            deeds=_deeds(standing, language),
            path=request.url.path,
        )
        return HTMLResponse(html, STATUSES.get(standing.state, status), headers=PAGE_HEADERS)


def _sentence(standing: Standing, language: Language) -> str:
    told = standing.told
    if told is None:
        return language.say(SENTENCES[standing.state])
    if standing.may_report and told.progress in SAID and told.taken_by == told.person_id:
        return language.say(SAID[told.progress])
    state = standing.state
    if state in ("won", "taken"):
        if told.status == alerts.CLOSED:
            state = "late"
        elif told.epoch != told.alert_epoch:
            state = "stale"
        elif told.taken_by == told.person_id:
            state = "won"
        else:
            state = "taken"
    return language.say(SENTENCES[state]).replace("{who}", told.taker or language.say(N_("Somebody")))


def _deeds(standing: Standing, language: Language) -> list[Deed]:
    told = standing.told
    if told is None:
        return []
    if standing.state == "open":
        return [Deed(replies.TAKE, language.say(N_("I take this call")))]
    if standing.may_report:
        return [
            Deed(what, language.say(words), quiet=what != replies.NEEDS_HELP, said=told.progress == what)
            for what, words in PROGRESS.items()
        ]
    if standing.state == "taken" and not told.used:
        return [Deed(replies.TAKE, language.say(N_("I go as well")), quiet=True)]
    return []


def _facts(told: Told, language: Language) -> dict[str, Any]:
    clock = language.clock(told.raised_ms, ZoneInfo(told.zone))
    when = language.plural("Raised at %(clock)s, %(num)d press", "Raised at %(clock)s, %(num)d presses", told.presses,
                           clock=clock)  # fmt: skip
    return {
        "place": ", ".join(part for part in (told.site, told.device) if part),
        "when": when,
        "drill": told.mode == alerts.DRILL,
        "silent": bool(told.silent),
        "phone": told.phone if not told.silent and told.category != alerts.TECHNICAL else "",
    }
