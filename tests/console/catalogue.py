"""The console's texts, as its sources hold them.

python tests/console/catalogue.py        # bring locale/*.po up to date: new texts are added, empty; unused ones go
"""

from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

CONSOLE = Path(__file__).parents[2] / "backend" / "tocsin_backend" / "console"
METHODS = [("templates/**.html", "jinja2.ext:babel_extract"), ("**.py", "python")]
OPTIONS = {"templates/**.html": {"silent": "false", "newstyle_gettext": "true"}}
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None, "say": None, "plural": (1, 2)}


def extract() -> Catalog:
    """Every text that a template or a module marks for translation."""
    found = Catalog(project="Tocsin", charset="utf-8")
    for name, _line, message, _comments, _context in extract_from_dir(
        CONSOLE, METHODS, options_map=OPTIONS, keywords=KEYWORDS
    ):
        found.add(message, locations=[(name, None)])
    return found


def catalogues() -> dict[str, Catalog]:
    """The kept translations, by language."""
    found = {}
    for path in sorted((CONSOLE / "locale").glob("*.po")):
        with path.open("rb") as file:
            found[path.stem] = read_po(file, locale=path.stem)
    return found


def update() -> None:
    """Write every .po anew from the sources, keeping what is translated."""
    sources = extract()
    for code, kept in catalogues().items():
        kept.update(sources, no_fuzzy_matching=True, update_creation_date=False)
        kept.obsolete.clear()
        with (CONSOLE / "locale" / f"{code}.po").open("wb") as file:
            write_po(file, kept, width=120, omit_header=False, include_lineno=False, sort_output=True)


if __name__ == "__main__":
    update()
