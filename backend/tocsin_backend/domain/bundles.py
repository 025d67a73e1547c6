"""Technical notices and reports to one contact method, bundled: classes 3 and 4 only (ENGINE, classes of dispatch).

The first leaves at once. Those that come within a minute of the last one wait for the minute's end and leave as one
message that lists them all. Each keeps its own dispatch, and the one try settles every one of them.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from . import dispatches, notices
from .dispatches import Dispatch
from .notices import Message

SPAN_MS: Final = 60_000  # from one message to the next, to one contact method
MOST: Final = 200  # dispatches in one message; more of them leave with the next
LISTED_MAX: Final = 40  # lines in the text; the facts name all

PHRASES: Final = {
    "fr": {
        "heading": "{count} messages techniques : {what}",
        "more": "et {count} autres",
        "act": "Voir la console : {link}",
    },
    "en": {
        "heading": "{count} technical messages: {what}",
        "more": "and {count} more",
        "act": "See the console: {link}",
    },
}


def is_bundled(dispatch: Dispatch) -> bool:
    """Whether it may wait for others: a technical notice or a report to a person. Never an alert's."""
    return dispatch.person_id is not None and dispatch.class_ >= dispatches.TECHNICAL_CLASS


def leaves_ms(last_ms: int | None, now_ms: int) -> int:
    """When a new one may leave; `last_ms`: when the last one to this contact method left, None if never."""
    if last_ms is None or not 0 <= now_ms - last_ms < SPAN_MS:
        return now_ms
    return last_ms + SPAN_MS


def compose(messages: Sequence[Message], language: str, base_url: str) -> Message:
    """One message that lists these, in their order: counts by subject, then a line each."""
    table = PHRASES.get(language, PHRASES[notices.DEFAULT_LANGUAGE])
    counts = Counter(_subject_of(each) for each in messages)
    named = [
        (subject, notices.phrase(language, f"subject-{subject}", org=""), count) for subject, count in counts.items()
    ]
    what = ", ".join(f"{count} × {words}" for _, words, count in named)
    heading = notices.one_line(table["heading"].format(count=len(messages), what=what))
    lines = [heading, *(f"- {each.subject}" for each in messages[:LISTED_MAX])]
    if len(messages) > LISTED_MAX:
        lines.append(table["more"].format(count=len(messages) - LISTED_MAX))
    link = f"{base_url}/console"
    text = "\n".join([*lines, table["act"].format(link=link)])
    facts: dict[str, object] = {
        "id": messages[0].facts["id"],
        "kind": "bundle",
        "maybe_dup": any(each.facts["maybe_dup"] for each in messages),
        "counts": [{"subject": subject, "count": count} for subject, _, count in named],
        "messages": [each.facts for each in messages],
        "subject": heading,
        "text": text,
        "link": link,
    }
    return Message(heading, text, facts, notices.shortened(heading, []))


def _subject_of(message: Message) -> str:
    alert = message.facts["alert"]
    assert isinstance(alert, dict)
    return str(alert["subject"] or alert["category"])
