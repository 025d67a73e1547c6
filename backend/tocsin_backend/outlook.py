"""Looking ahead without changing anything: lint, the dry run of a press, readiness, who is on duty."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from tocsin_backend.domain import alerts, lint, localtime, policies, readiness, rights, rosters, ways_out, windows
from tocsin_backend.domain.dry_run import MAX_MINUTES, DryRun, dry_run, press_of
from tocsin_backend.errors import Invalid, NotFound
from tocsin_backend.plans import need_organisation
from tocsin_backend.settings import Settings
from tocsin_backend.store import enrolment as enrolment_rows
from tocsin_backend.store import people as people_rows
from tocsin_backend.store import plans as plan_rows
from tocsin_backend.store import policies as policy_rows
from tocsin_backend.store import windows as window_rows

CATEGORIES: Final = (alerts.CALL, alerts.PERSONAL, alerts.THREAT, alerts.TECHNICAL)
MODES: Final = (alerts.REAL, alerts.DRILL)
ROSTER_DAYS_MAX: Final = 92  # rosters.MAX_ENTRIES


def instant(text: str, zone: str, now_ms: int) -> int:
    """An instant from a text in local time; "" means now. Raises Invalid."""
    if not text:
        return now_ms
    try:
        return localtime.read(text, zone)
    except (ValueError, OverflowError):
        raise Invalid(f'{text[:40]!r} is not a time: local time such as "2026-12-24 02:10"') from None


def blocked_channels(conn: Connection, org: str, settings: Settings, now_ms: int) -> dict[str, str]:
    """What cannot leave this server for this organisation now: channel -> why (ways_out). Raises NotFound."""
    route = need_organisation(conn, org)["sms_route"]
    gateway = enrolment_rows.gateway(conn, org, route.removeprefix("gateway:"))
    seen_ms = None if gateway is None or gateway["revoked_ms"] is not None else gateway["last_seen_ms"]
    return ways_out.blocked(
        mail=bool(settings.smtp_host), provider=settings.sms_url_file is not None, route=route, seen_ms=seen_ms,
        now_ms=now_ms,
    )  # fmt: skip


def lint_policy(conn: Connection, org: str, name: str, settings: Settings, now_ms: int) -> list[lint.Doubt]:
    """What is unwise in the current version of a policy. Raises NotFound."""
    policy, _ = current(conn, org, name)
    directory = people_rows.directory(conn, org, policy, from_ms=now_ms)
    blocked = blocked_channels(conn, org, settings, now_ms)
    people = people_rows.everybody(conn, {org}).values()
    closers = sum(rights.may(person.role, "close", alerts.THREAT) for person in people)
    return lint.lint(policy, directory, now_ms, blocked, need_organisation(conn, org)["language"], closers)


def current(conn: Connection, org: str, name: str) -> tuple[policies.Policy, int]:
    """The current version of a policy, and its number. Raises NotFound."""
    row = policy_rows.current(conn, org, name)
    if row is None:
        raise NotFound(f"there is no policy {name[:40]!r}")
    return policies.load(row["body"]), int(row["version"])


@dataclass(frozen=True, kw_only=True)
class Press:
    """A press to try. `device` or `policy` may be "": the site's first post, the policy that a press there has."""

    site: str
    device: str = ""
    policy: str = ""
    category: str = alerts.CALL
    mode: str = alerts.REAL
    silent: bool = False
    at: str = ""
    minutes: int = 15


@dataclass(frozen=True)
class Tried:
    """What came of it. `at` is the local time of the press, with its offset."""

    policy: policies.Policy
    version: int
    at_ms: int
    at: str
    zone: str
    run: DryRun


def try_press(conn: Connection, org: str, press: Press, settings: Settings, now_ms: int) -> Tried:
    """Press there then: who, by what, when. Raises Invalid or NotFound."""
    found = _site(conn, org, press.site)
    if press.category not in CATEGORIES or press.mode not in MODES:
        raise Invalid(f"the category is one of {', '.join(CATEGORIES)}; the mode one of {', '.join(MODES)}")
    if not 1 <= press.minutes <= MAX_MINUTES:
        raise Invalid(f"minutes must be between 1 and {MAX_MINUTES}")
    posts = plan_rows.posts(conn, org, press.site)
    post = next((row for row in posts if not press.device or row["id"] == press.device), None)
    if press.device and post is None:
        raise NotFound(f"there is no device {press.device[:40]!r} in service at {press.site!r}")
    if press.policy:
        policy, version = current(conn, org, press.policy)
    elif press.category == alerts.TECHNICAL:
        policy, version = _technical(conn, org)
    elif post is not None:
        policy, version = _of_post(conn, org, post)
    else:
        policy, version = _of_site(conn, org, found)
    zone = people_rows.zone(conn, org, press.site)
    at_ms = instant(press.at, zone, now_ms)
    directory = people_rows.directory(conn, org, policy, site=press.site, from_ms=at_ms)
    device = press.device or ("" if post is None else post["id"])
    event = press_of(org, press.site, device, policies.dump(policy), press.category, press.mode, press.silent)
    blocked = blocked_channels(conn, org, settings, now_ms)
    run = dry_run(event, directory, at_ms, press.minutes, blocked, _above(conn, org))
    return Tried(policy, version, at_ms, localtime.spelled(at_ms, zone), zone, run)


def _above(conn: Connection, org: str) -> str:
    """The name of the organisation above; "": there is none."""
    parent = need_organisation(conn, org)["parent"]
    return "" if parent is None else str(need_organisation(conn, parent)["name"])


def _site(conn: Connection, org: str, site: str) -> dict[str, Any]:
    found = enrolment_rows.site(conn, org, site)
    if found is None:
        raise NotFound(f"there is no site {site[:40]!r}")
    return found


def _technical(conn: Connection, org: str) -> tuple[policies.Policy, int]:
    row = need_organisation(conn, org)
    if row["technical_policy"]:
        return current(conn, org, row["technical_policy"])
    return policies.technical_fallback(row["language"]), 0


def _of_site(conn: Connection, org: str, site: dict[str, Any]) -> tuple[policies.Policy, int]:
    if site["policy"]:
        return current(conn, org, site["policy"])
    return policies.fallback(need_organisation(conn, org)["language"]), 0


def _of_post(conn: Connection, org: str, post: dict[str, Any]) -> tuple[policies.Policy, int]:
    if post["body"] is None:
        return policies.fallback(need_organisation(conn, org)["language"]), 0
    return policies.load(post["body"]), int(post["version"])


def site_readiness(
    conn: Connection, org: str, site: str, at: str, settings: Settings, now_ms: int
) -> list[readiness.Readiness]:
    """The answer for a site: one for each policy of its posts, that of the first post first. Raises NotFound."""
    found = _site(conn, org, site)
    at_ms = instant(at, people_rows.zone(conn, org, site), now_ms)
    announced = window_rows.not_over(conn, org, at_ms)
    blocked = blocked_channels(conn, org, settings, now_ms)
    return _readiness(conn, org, found, plan_rows.posts(conn, org, site), {}, announced, blocked, at_ms)


def all_readiness(
    conn: Connection, org: str, settings: Settings, now_ms: int, at_ms: int | None = None
) -> dict[str, list[readiness.Readiness]]:
    """The same for every site of an organisation, at an instant; None: now."""
    at_ms = now_ms if at_ms is None else at_ms
    posts: dict[str, list[dict[str, Any]]] = {}
    for row in plan_rows.posts(conn, org):
        posts.setdefault(row["site"], []).append(row)
    ahead: dict[tuple[str, int, str, bool], readiness.Prospect] = {}
    sites, announced = enrolment_rows.sites(conn, org), window_rows.not_over(conn, org, at_ms)
    blocked = blocked_channels(conn, org, settings, now_ms)
    return {
        row["id"]: _readiness(conn, org, row, posts.get(row["id"], []), ahead, announced, blocked, at_ms)
        for row in sites
    }


def _readiness(
    conn: Connection,
    org: str,
    site: dict[str, Any],
    posts: list[dict[str, Any]],
    ahead: dict[tuple[str, int, str, bool], readiness.Prospect],
    announced: list[windows.Window],
    blocked: dict[str, str],
    at_ms: int,
) -> list[readiness.Readiness]:
    """`ahead` keeps what sites have in common: by policy, version, time zone, and whether a drill runs there."""
    drill = any(windows.covers(each, site["id"], at_ms, at_ms) for each in announced)
    groups: dict[tuple[str, int], tuple[policies.Policy, list[readiness.Post]]] = {}
    for row in posts:
        policy, version = _of_post(conn, org, row)
        post = readiness.Post(row["id"], row["name"], row["presence"], row["probe_ms"], row["probe_by_ms"])
        groups.setdefault((policy.id, version), (policy, []))[1].append(post)
    if not groups:
        policy, version = _of_site(conn, org, site)
        groups[policy.id, version] = (policy, [])
    answers = []
    for (name, version), (policy, group) in groups.items():
        key = (name, version, site["timezone"], drill)
        if key not in ahead:
            directory = people_rows.directory(conn, org, policy, site=site["id"], from_ms=at_ms)
            row = need_organisation(conn, org)
            above = _above(conn, org)
            ahead[key] = readiness.prospect(org, policy, directory, at_ms, drill, blocked, above, row["language"])
        answers.append(readiness.readiness(name, version, tuple(group), ahead[key], at_ms))
    return answers


def roster_of(conn: Connection, org: str, name: str, from_ms: int = 0) -> rosters.Roster:
    """A roster, with what it needs from `from_ms` on. Raises NotFound."""
    found = people_rows.loaded(conn, {(org, name)}, from_ms)
    if not found:
        raise NotFound(f"there is no roster {name[:40]!r}")
    return found[org, name]
