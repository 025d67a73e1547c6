"""One server and one Chromium for the whole folder; a fresh browser context, and a quiet screen, for each test."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from system import DESK, PASSWORD, System

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The real backend, running. A test that stops it starts it again."""
    found = System(tmp_path_factory.mktemp("console"))
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Desks:
    """Logged-in browsers, and what they complain about."""

    def __init__(self, chromium: Any, system: System, logins: dict[str, Any]) -> None:
        self.chromium = chromium
        self.system = system
        self.logins = logins
        self.complaints: list[str] = []
        self.contexts: list[Any] = []

    def context(self, login: str | None = "camille", **options: Any) -> Any:
        """A browser profile of its own, with this person's session."""
        settings = {"viewport": DESK, "locale": "fr-FR", "timezone_id": "Europe/Paris", **options}
        if login is not None:
            if login not in self.logins:
                self.logins[login] = self._log_in(login)
            settings["storage_state"] = self.logins[login]
        context = self.chromium.new_context(**settings)
        context.set_default_timeout(10_000)
        context.on("console", self._heard)
        context.on("request", self._asked)
        context.on("weberror", lambda error: self.complaints.append(f"script: {error.error}"))
        # CONSOLE.md C38: a violation is an event of the page, whatever the browser's log shows of it.
        context.add_init_script(
            "document.addEventListener('securitypolicyviolation', e =>"
            " console.error('CSP violation: ' + e.violatedDirective + ' ' + e.blockedURI))"
        )
        self.contexts.append(context)
        return context

    def page(self, login: str | None = "camille", path: str = "/console", **options: Any) -> Any:
        page = self.context(login, **options).new_page()
        page.goto(self.system.url + path)
        return page

    def _log_in(self, login: str) -> Any:
        context = self.chromium.new_context(locale="fr-FR")
        page = context.new_page()
        page.goto(f"{self.system.url}/console/login")
        page.fill("#login", login)
        page.fill("#password", PASSWORD)
        page.click("button")
        page.wait_for_url("**/console")
        state = context.storage_state()
        context.close()
        return state

    def _heard(self, message: Any) -> None:
        if "CSP" in message.text or "Content Security Policy" in message.text:
            self.complaints.append(message.text)

    def _asked(self, request: Any) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.system.url).netloc:
            self.complaints.append(f"off-origin request: {request.url}")

    def close(self) -> None:
        for context in self.contexts:
            context.close()


@pytest.fixture(scope="session")
def logins() -> dict[str, Any]:
    """Each person's session, opened once."""
    return {}


@pytest.fixture
def desks(chromium: Any, system: System, logins: dict[str, Any]) -> Iterator[Desks]:
    """Browsers of this test; none may have violated the policy, left our origin or thrown in a script (C36, C38)."""
    system.close_all()
    found = Desks(chromium, system, logins)
    yield found
    found.close()
    assert found.complaints == []


@pytest.fixture
def desk(desks: Desks) -> Callable[..., Any]:
    """Opens a page of the console as somebody."""
    return desks.page
