"""The READMEs' pictures, from a running system: `make screens`. Every page in both languages, on a desk and on a phone.

Starts the demo in a folder of its own, plays a scene (a call that is taken, one pressed three times, one just arrived),
and writes small PNG files into backend/screens and simulators/screens; it stops at one above 200 kB.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from smaller_png import smaller
from tocsin_sim.demo import Demo
from tocsin_sim.indicator import ANSWERED, SENT
from tocsin_sim.supervisor import Supervisor

ROOT = Path(__file__).parents[2]
CONSOLE = ROOT / "backend" / "screens"
POSTS = ROOT / "simulators" / "screens"
BYTES_MAX = 200_000
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


def play(demo: Demo) -> None:
    """The scene: every lamp state a supervisor meets on an ordinary evening."""
    camille = Supervisor(demo.stack.ports.backend, "camille", demo.logins["camille"])
    taken, repeated, fresh = (demo.boards[name] for name in ("bau-embrun", "bau-salon", "bau-draguignan"))
    taken.press(200)
    assert taken.wait_for_state(SENT, 10)
    [alert] = camille.get("/api/v1/alerts?status=raised")["alerts"]
    camille.post(f"/api/v1/alerts/{alert['id']}/answer", {"epoch": alert["epoch"]})
    assert taken.wait_for_state(ANSWERED, 10)
    for _ in range(3):
        repeated.press(200)
        assert repeated.wait_for_state(SENT, 10)
    fresh.press(200)
    assert fresh.wait_for_state(SENT, 10)


def take_posts(browser: Browser, url: str, folder: Path) -> None:
    """The virtual posts' page, on the post whose call was taken."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        for language in LANGUAGES:
            page = browser.new_page(viewport=size, locale="fr-FR", timezone_id="Europe/Paris")
            page.goto(f"{url}/?post=bau-embrun&lang={language}")
            page.wait_for_timeout(1500)  # the stream's first words and a blink
            shoot(page, folder / f"virtual-post-{name}-{language}.png")
            page.close()


def main() -> int:
    demo = Demo(Path(tempfile.mkdtemp(prefix="tocsin-screens-")) / "run")
    try:
        demo.open()
        play(demo)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-lcd-text"]
            )
            take(browser, demo.stack.url, "camille", demo.logins["camille"], CONSOLE)
            take_posts(browser, demo.posts_url.rstrip("/"), POSTS)
            browser.close()
    finally:
        demo.close()
        shutil.rmtree(demo.folder.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
