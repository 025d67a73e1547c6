"""If someone presses here now: who rings, on what, when was each contact last proven, and is that good enough?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from . import ways_out
from .alerts import DRILL, REAL
from .dry_run import DryRun, dry_run, press_of
from .lint import lint, unproven
from .people import Directory, Method
from .policies import Policy, dump

READY: Final = "ready"
WEAK: Final = "weak"
NOT_READY: Final = "not-ready"
VERDICTS: Final = (READY, WEAK, NOT_READY)
MINUTES: Final = 15  # of the dry run that is shown
UNHEARD: Final = {"never": "was never heard", "late": "is late to be heard", "lost": "is not heard any more"}
WEAKENS: Final = frozenset(
    {"roster-gap", "calendar-ends", "calendar-unknown", "step-empty", "unreachable", "one-alone"}
)


@dataclass(frozen=True, slots=True)
class Post:
    """A device of the site, as readiness needs it."""

    id: str
    name: str
    presence: str
    probe_ms: int | None
    probe_by_ms: int | None


@dataclass(frozen=True, slots=True)
class Reason:
    """`code` is stable; `verdict` is what it makes of the site; `words` are for people."""

    code: str
    verdict: str
    words: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """`rings`: what the dry run of a press at `at_ms` tells, in order. `verdict` is that of the worst reason."""

    policy: str
    version: int
    at_ms: int
    posts: tuple[Post, ...]
    rings: DryRun
    verdict: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a policy leads to at an instant: the same for every site of a time zone that has it."""

    rings: DryRun
    reasons: tuple[Reason, ...]


def prospect(
    org: str, policy: Policy, directory: Directory, at_ms: int, drill: bool = False,
    blocked: Mapping[str, str] | None = None, above: str = "", language: str = "en",
) -> Prospect:  # fmt: skip
    """Whom a press with this policy tells, and what is weak about it. `drill`: it falls into an announced one.

    `blocked`: the channels that cannot leave (ways_out), whose reasons are said in `language`; `above`: see dry_run.
    """
    mode = DRILL if drill else REAL
    press = press_of(org, "site", "post", dump(policy), mode=mode)
    rings = dry_run(press, directory, at_ms, MINUTES, blocked, above)
    doubts = (Reason(each.code, WEAK, str(each)) for each in lint(policy, directory, at_ms) if each.code in WEAKENS)
    running = (Reason("drill-running", WEAK, "a drill runs: a press is part of it and reaches nobody outside"),)
    return Prospect(rings, (*(running if drill else ()), *_blocked(rings, language), *_of_rings(rings, at_ms), *doubts))


def readiness(policy: str, version: int, posts: tuple[Post, ...], ahead: Prospect, at_ms: int) -> Readiness:
    """The answer for the posts of a site that share a policy; without a post there is nothing to press."""
    reasons = (*_of_posts(posts, at_ms), *ahead.reasons)
    worst = max((VERDICTS.index(reason.verdict) for reason in reasons), default=0)
    return Readiness(policy, version, at_ms, posts, ahead.rings, VERDICTS[worst], reasons)


def _of_posts(posts: tuple[Post, ...], at_ms: int) -> list[Reason]:
    if not posts:
        return [Reason("no-post", NOT_READY, "there is no post in service")]
    found = []
    lost = all(post.presence in ("never", "lost") for post in posts)
    if lost:
        found.append(Reason("posts-lost", NOT_READY, "no post is heard"))
    for post in posts:
        name = post.name or post.id
        if post.presence != "alive" and not lost:
            found.append(Reason("post-not-heard", WEAK, f"{name}: {UNHEARD[post.presence]}"))
        if post.probe_ms is None:
            found.append(Reason("never-probed", WEAK, f"{name}: no test press ever went the whole way"))
        elif post.probe_by_ms is not None and post.probe_by_ms < at_ms:
            found.append(Reason("probe-overdue", WEAK, f"{name}: its test press is overdue"))
    return found


def _blocked(rings: DryRun, language: str) -> list[Reason]:
    """Whoever would be told by a channel that cannot leave: a reason a channel, with the logins."""
    logins: dict[tuple[str, str], set[str]] = {}
    for line in rings.lines:
        if line.why_not and line.person is not None:
            logins.setdefault((line.channel, line.why_not), set()).add(line.person.login)
    return [
        Reason("cannot-leave", WEAK, f"{channel}: {ways_out.words(language, code)}: {', '.join(sorted(who))}")
        for (channel, code), who in sorted(logins.items())
    ]


def _of_rings(rings: DryRun, at_ms: int) -> list[Reason]:
    people = [line for line in rings.lines if line.person is not None and line.method is not None and not line.why_not]
    if not people:
        if any(line.channel == "dc09" for line in rings.lines):
            return []
        return [Reason("nobody-rings", NOT_READY, f"nobody's contact method rings within {MINUTES} minutes")]
    found = []
    first = [line for line in people if (line.pass_, line.step) == (1, 0)]
    if not first:
        found.append(Reason("first-step-screen-only", WEAK, "the first step tells nobody but the screen"))
    by_person: dict[str, list[Method]] = {}
    for line in people:
        assert line.person is not None
        assert line.method is not None
        by_person.setdefault(line.person.login, []).append(line.method)
    bad = sorted(login for login, ways in by_person.items() if all(unproven(way, at_ms) for way in ways))
    if len(bad) == len(by_person):
        found.append(Reason("nothing-proven", WEAK, "no contact of anybody who rings was proven in 90 days"))
    else:
        found += [Reason("contact-unproven", WEAK, f"{login}: no contact proven in 90 days") for login in bad]
    if set().union(*({way.channel for way in ways} for ways in by_person.values())) == {"push"}:
        found.append(Reason("push-only", WEAK, "only push messages ring now"))
    return found
