"""`tocsin ready`."""

import argparse
from typing import Any

from tocsin_backend.commands import OK, REFUSED, Adder, columns, opened, say
from tocsin_backend.commands.documents import now_ms
from tocsin_backend.commands.policies import from_one, line_row, with_why
from tocsin_backend.domain.localtime import spelled
from tocsin_backend.domain.readiness import NOT_READY, VERDICTS, Readiness
from tocsin_backend.outlook import all_readiness, instant, site_readiness
from tocsin_backend.settings import Settings
from tocsin_backend.store import people as people_store


def _document(site: str, answers: list[Readiness]) -> dict[str, Any]:
    return {
        "site": site,
        "verdict": max((each.verdict for each in answers), key=VERDICTS.index),
        "answers": [
            {
                "policy": each.policy,
                "version": each.version,
                "at_ms": each.at_ms,
                "verdict": each.verdict,
                "posts": [post.id for post in each.posts],
                "reasons": [{"code": r.code, "verdict": r.verdict, "words": r.words} for r in each.reasons],
                "rings": [line_row(line) for line in each.rings.lines],
            }
            for each in answers
        ],
    }


def _lines(document: dict[str, Any]) -> list[str]:
    lines = [f"{document['site']}: {document['verdict']}"]
    for answer in document["answers"]:
        posts = ", ".join(answer["posts"]) or "no post"
        lines.append(f"  policy {answer['policy']} version {answer['version']} ({posts}): {answer['verdict']}")
        lines += [f"    {reason['verdict']}: {reason['words']}" for reason in answer["reasons"]]
        for row in answer["rings"]:
            row["proven"] = "" if not row["login"] else _day(row["proven_ms"])
        shown = with_why(answer["rings"], ("after", "step", "what", "who", "by", "proven"))
        lines += [f"    {line}" for line in columns([from_one(row) for row in answer["rings"]], shown, "nobody rings")]
    return lines


def _day(proven_ms: int | None) -> str:
    return "never" if proven_ms is None else spelled(proven_ms, "UTC")[:10]


def ready(args: argparse.Namespace, settings: Settings) -> int:
    """Exit status 1 when a site is not ready."""
    now = now_ms()
    with opened(settings) as database, database.read() as conn:
        if args.site is None:
            answers = all_readiness(
                conn, args.org, settings, now, instant(args.at, people_store.zone(conn, args.org), now)
            )
        else:
            answers = {args.site: site_readiness(conn, args.org, args.site, args.at, settings, now)}
    found = [_document(site, each) for site, each in answers.items()]
    say(args, found, [line for each in found for line in _lines(each)] or ["no site yet: `tocsin site add`"])
    return REFUSED if any(each["verdict"] == NOT_READY for each in found) else OK


def register(add: Adder) -> None:
    leaf = add.leaf("ready", ready, "If someone presses now: who rings, on what, when was each contact last proven?")
    leaf.add_argument("site", nargs="?", metavar="SITE", help="without: every site")
    leaf.add_argument("--org", required=True)
    leaf.add_argument(
        "--at", default="", metavar="TIME", help="local time of the site, or the organisation; without: now"
    )
