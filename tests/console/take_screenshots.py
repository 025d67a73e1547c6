"""Screens of a running system, for the READMEs: each page in both languages, on a desk and on a phone.

    python tests/console/take_screenshots.py http://127.0.0.1:8000 LOGIN PASSWORD [backend/screens]

Writes small PNG files, and stops at one above 150 kB.
Raise a few alerts first: the pictures show what is there.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from smaller_png import smaller

FOLDER = Path(__file__).parents[2] / "backend" / "screens"
BYTES_MAX = 150_000
SIZES = {"desk": {"width": 1280, "height": 720}, "phone": {"width": 390, "height": 844}}
LANGUAGES = ("fr", "en")


def log_in(page: Page, url: str, login: str, password: str) -> None:
    page.goto(f"{url}/console/login")
    page.fill("#login", login)
    page.fill("#password", password)
    page.click("button")
    page.wait_for_url("**/console")


def speak(page: Page, url: str, language: str) -> None:
    """Set the person's language, through the page that offers it."""
    page.goto(f"{url}/console")
    if page.locator("html").get_attribute("lang") != language:
        page.locator("summary").click()
        page.locator(f'[name="language"][value="{language}"]').click()
        page.wait_for_selector(f'html[lang="{language}"]')


def alert_to_show(page: Page) -> str | None:
    """The page of the alert with most to tell: one that was taken, else the first."""
    for group in ("taken", "untaken"):
        links = page.locator(f'[data-rows="{group}"] [data-control="open"]')
        if links.count() > 0:
            return links.first.get_attribute("href")
    return None


def shoot(page: Page, path: Path) -> None:
    """One picture of what is in the window, once fonts and the first beat are there."""
    page.mouse.move(0, 0)
    page.evaluate("() => document.activeElement?.blur()")
    picture = smaller(page.screenshot(animations="disabled"))
    if len(picture) > BYTES_MAX:
        raise SystemExit(f"{path} would have {len(picture)} bytes: more than {BYTES_MAX}")
    path.write_bytes(picture)
    print(f"{path} {len(picture)} bytes")


def take(browser: Browser, url: str, login: str, password: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        context = browser.new_context(viewport=size, locale="fr-FR", timezone_id="Europe/Paris")
        page = context.new_page()
        log_in(page, url, login, password)
        for language in LANGUAGES:
            speak(page, url, language)
            shown = {"alerts": "/console", "posts": "/console/devices"}
            if (alert := alert_to_show(page)) is not None:
                shown["alert"] = alert
            for what, path in shown.items():
                page.goto(url + path)
                page.wait_for_selector("html[data-link=live]")
                shoot(page, folder / f"{what}-{name}-{language}.png")
        context.close()


def main() -> None:
    if len(sys.argv) not in (4, 5):
        raise SystemExit(__doc__)
    url, login, password = sys.argv[1:4]
    folder = Path(sys.argv[4]) if len(sys.argv) == 5 else FOLDER
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-lcd-text"]
        )
        take(browser, url.rstrip("/"), login, password, folder)
        browser.close()


if __name__ == "__main__":
    main()
