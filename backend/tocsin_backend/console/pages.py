"""Rendering: one Jinja environment a language, the same autoescaping and headers for every page."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from tocsin_backend.console import views
from tocsin_backend.console.assets import HEADERS, Assets
from tocsin_backend.console.language import Language
from tocsin_backend.console.stream import BEAT_MS, REREAD_MS, RenderedRow
from tocsin_backend.console.views import Row
from tocsin_backend.store.board import AlertRow


class Pages:
    """Every template, in every language."""

    def __init__(self, languages: Mapping[str, Language], assets: Assets) -> None:
        self.languages = languages
        self._environments = {code: self._environment(language, assets) for code, language in languages.items()}

    @staticmethod
    def _environment(language: Language, assets: Assets) -> Environment:
        environment = Environment(
            loader=PackageLoader("tocsin_backend.console"),
            autoescape=True,
            undefined=StrictUndefined,
            extensions=["jinja2.ext.i18n"],
            auto_reload=False,
        )
        environment.install_gettext_translations(language.translations, newstyle=True)  # type: ignore[attr-defined]
        environment.globals |= {
            "static": assets.path,
            "beat_ms": BEAT_MS,
            "reread_ms": REREAD_MS,
            "language": language.code,
        }
        return environment

    def other(self, language: Language) -> Language:
        """The language that the link offers: the next one."""
        codes = list(self.languages)
        return self.languages[codes[(codes.index(language.code) + 1) % len(codes)]]

    def text(self, language: Language, template: str, **values: Any) -> str:
        return self._environments[language.code].get_template(template).render(**values)

    def page(self, language: Language, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        html = self.text(language, template, other_language=self.other(language), **values)
        return HTMLResponse(html, status, headers=HEADERS)

    def row(self, language: Language, row: Row) -> str:
        return self.text(language, "row.html", row=row)

    def rendered(self, alert: AlertRow, code: str, now_ms: int) -> RenderedRow:
        """A row for the live link: the same for everybody who reads this language."""
        language = self.languages[code]
        row = views.alert_row(alert, language, now_ms)
        return RenderedRow(alert.id, self.row(language, row), views.spoken(alert, language))
