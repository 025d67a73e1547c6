"""A drill's report as text, page and table; what it says is domain/drill_report.py's."""

import csv
import html
import io

from tocsin_backend.domain import drill_report

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run (S19)


def as_text(lines: list[tuple[int, str]]) -> str:
    """A report to be read in a terminal or a mail."""
    return "".join(f"{'  ' * depth}{text}\n" for depth, text in lines)


def as_html(lines: list[tuple[int, str]], language: str) -> str:
    """A report as a page without any script or style of another place."""
    tags = ("h1", "h2", "h3", "p")
    body = "".join(f"<{tags[depth]}>{html.escape(text)}</{tags[depth]}>\n" for depth, text in lines)
    title = html.escape(lines[0][1])
    head = f'<meta charset="utf-8"><title>{title}</title>'
    return f'<!doctype html>\n<html lang="{language}"><head>{head}</head><body>\n{body}</body></html>\n'


def as_csv(rows: list[tuple[str, ...]]) -> str:
    """A report as CSV; no cell is one that a spreadsheet would run."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(drill_report.CSV_COLUMNS)
    for row in rows:
        writer.writerow([f"'{cell}" if cell.startswith(FORMULA) and not _is_number(cell) else cell for cell in row])
    return out.getvalue()


def _is_number(cell: str) -> bool:
    return cell.removeprefix("-").isdigit()
