"""The machines an organisation speaks to: groups of alarm outputs at its sites, and monitoring centres outside.

    machines = Machines(database, now_ms, dc09)
    machines.save_group("demo", "cour", "lycee", "Cour", [("sirene-1", "cour")])
    key = machines.save_centre("demo", CentreDetails("alpha", "Alpha", "1234", [("arc.example.org", 9999)]))

What is wrong is refused whole, with every fault. A centre's key is given back once, when it was made here.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection
from tocsin_wire import topics

from tocsin_backend.channels.dc09 import Dc09
from tocsin_backend.domain import dc09
from tocsin_backend.errors import NotFound
from tocsin_backend.plans import DocumentFaults, need_organisation
from tocsin_backend.store import alarms, centres
from tocsin_backend.store.centres import Centre
from tocsin_backend.store.database import Database, notes

OUTPUTS_MAX: Final = 100
PATHS_MAX: Final = 2  # EN 50136-1, dual path
SUPERVISION_S: Final = (10, 25 * 3600)  # EN 50136-1: from DP4's 90 s and below to SP2's 25 h
KEY_BYTES: Final = 16
_ACCOUNT: Final = re.compile(r"[0-9A-F]{3,16}\Z")
_KEY: Final = re.compile(r"(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{48}|[0-9a-fA-F]{64})\Z")
_HOST: Final = re.compile(r"[0-9A-Za-z.:_-]{1,253}\Z")

Fault = tuple[str, str]  # path, reason


@dataclass(frozen=True, slots=True)
class CentreDetails:
    """A monitoring centre as it is asked for. `key`: AES in hex; None: one is made; "": in clear."""

    id: str
    title: str
    account: str
    paths: Sequence[tuple[str, int]]
    key: str | None = field(default=None, repr=False)
    protocol: str = dc09.CONTACT_ID
    supervision_s: int = 0


class Machines:
    """See the module. Every method raises NotFound, or Invalid (DocumentFaults) with what to show."""

    def __init__(self, database: Database, now_ms: Callable[[], int], channel: Dc09) -> None:
        self._database = database
        self._now_ms = now_ms
        self.channel = channel

    # -- alarm groups

    def save_group(self, org: str, group: str, site: str, title: str, outputs: Sequence[tuple[str, str]]) -> None:
        """Make a group, or change one."""

        def job(conn: Connection) -> None:
            need_organisation(conn, org)
            faults = _named("id", group) + _titled(title)
            if not alarms.has_site(conn, org, site):
                faults.append(("site", f"there is no site {site[:40]!r}"))
            here = alarms.devices_of(conn, org, site)
            if not 1 <= len(outputs) <= OUTPUTS_MAX:
                faults.append(("outputs", f"there must be 1 to {OUTPUTS_MAX} of them"))
            for at, (device, output) in enumerate(outputs):
                path = f"outputs[{at}]"
                faults += _named(f"{path}.output", output)
                if device not in here:
                    faults.append((f"{path}.device", f"no device {device[:40]!r} is in service at this site"))
                if (device, output) in outputs[:at]:
                    faults.append((path, "is there twice"))
            if faults:
                raise DocumentFaults(faults)
            alarms.save(conn, org, group, site, title.strip(), tuple(outputs), self._now_ms())
            notes(conn).catalogue = True

        self._database.write(job).result()

    def remove_group(self, org: str, group: str) -> None:
        """Forget a group: a policy that still names it switches nothing on, and lint says so."""

        def job(conn: Connection) -> None:
            if not alarms.remove(conn, org, group):
                raise NotFound(f"there is no alarm group {group[:40]!r}")
            notes(conn).catalogue = True

        self._database.write(job).result()

    def groups(self, org: str | None) -> list[dict[str, Any]]:
        """The groups of an organisation, or of all."""
        with self._database.read() as conn:
            return alarms.groups(conn, org)

    # -- monitoring centres

    def save_centre(self, org: str, details: CentreDetails) -> str | None:
        """Make a centre, or change one; the key if it was made here, to be shown this once."""
        made = secrets.token_hex(KEY_BYTES) if details.key is None else None
        centre = Centre(
            org=org,
            id=details.id,
            title=details.title.strip(),
            account=details.account,
            paths=tuple(details.paths),
            key=made or details.key or "",
            protocol=details.protocol,
            external=True,
            supervision_ms=details.supervision_s * 1000,
            supervised_ms=None,
            created_ms=self._now_ms(),
        )

        def job(conn: Connection) -> None:
            need_organisation(conn, org)
            faults = _faults_of(centre)
            if faults:
                raise DocumentFaults(faults)
            centres.save(conn, centre)
            notes(conn).catalogue = True

        self._database.write(job).result()
        return made

    def remove_centre(self, org: str, centre: str) -> None:
        """Forget a centre."""

        def job(conn: Connection) -> None:
            if not centres.remove(conn, org, centre):
                raise NotFound(f"there is no monitoring centre {centre[:40]!r}")
            notes(conn).catalogue = True

        self._database.write(job).result()

    def centres(self, org: str | None) -> list[dict[str, Any]]:
        """The centres of an organisation, or of all, without their keys."""
        with self._database.read() as conn:
            found = centres.of_org(conn, org)
        return [_shown(each) for each in found]

    def zones(self, org: str) -> list[dict[str, object]]:
        """The numbers under which a centre knows the posts: what it enters into its receiver."""
        with self._database.read() as conn:
            need_organisation(conn, org)
            return centres.zones(conn, org)

    def test_centre(self, org: str, centre: str, *, event: bool = False) -> list[dict[str, Any]]:
        """A line test by every path, or with `event` a manual test (601) that the centre's people see: a row a path."""
        with self._database.read() as conn:
            found = centres.get(conn, org, centre)
        if found is None:
            raise NotFound(f"there is no monitoring centre {centre[:40]!r}")
        faults = self.channel.test(found, event=event)
        return [
            {"path": f"{host}:{port}", "ok": not fault, "error": fault}
            for (host, port), fault in zip(found.paths, faults, strict=True)
        ]


def _shown(centre: Centre) -> dict[str, Any]:
    return {
        "org": centre.org,
        "id": centre.id,
        "title": centre.title,
        "account": centre.account,
        "paths": [f"{host}:{port}" for host, port in centre.paths],
        "protocol": centre.protocol,
        "encrypted": bool(centre.key),
        "supervision_s": centre.supervision_ms // 1000,
        "supervised_ms": centre.supervised_ms,
    }


def _faults_of(centre: Centre) -> list[Fault]:
    faults = _named("id", centre.id) + _titled(centre.title)
    good = bool(_ACCOUNT.match(centre.account))
    if not good or f"{int(centre.account, 16):03X}" != centre.account:
        faults.append(("account", "must be 3 to 16 of 0-9 and A-F; only one of 3 may begin with 0"))
    if centre.protocol not in dc09.PROTOCOLS:
        faults.append(("protocol", f"must be one of: {', '.join(dc09.PROTOCOLS)}"))
    if centre.key and not _KEY.match(centre.key):
        faults.append(("key", "must be 32, 48 or 64 hexadecimal digits"))
    low, high = SUPERVISION_S
    if centre.supervision_ms and not low * 1000 <= centre.supervision_ms <= high * 1000:
        faults.append(("supervision_s", f"must be 0 (never) or between {low} and {high}"))
    if not 1 <= len(centre.paths) <= PATHS_MAX:
        faults.append(("paths", "there must be one, or two: the main one and its backup"))
    for at, (host, port) in enumerate(centre.paths):
        if not _HOST.match(host):
            faults.append((f"paths[{at}]", "must name a host or an address"))
        if not 1 <= port <= 65535:
            faults.append((f"paths[{at}]", "must have a port from 1 to 65535"))
    return faults


def _named(path: str, name: str) -> list[Fault]:
    return [] if topics.is_name(name) else [(path, "must be 1 to 32 of a-z, 0-9 and -")]


def _titled(title: str) -> list[Fault]:
    good = 1 <= len(title.strip()) <= 100 and title.isprintable()
    return [] if good else [("title", "must be 1 to 100 printable characters")]
