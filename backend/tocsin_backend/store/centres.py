"""Monitoring centres, and the numbers under which they know our sites and posts."""

import json
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from . import tables
from .dialect import locked, locks

_centre = tables.MonitoringCentre.__table__  # type: ignore[attr-defined]
_site = tables.Site.__table__  # type: ignore[attr-defined]
_device = tables.Device.__table__  # type: ignore[attr-defined]
ZONES, GROUPS = 999, 99  # the most that Contact ID can number; what is beyond is 0


@dataclass(frozen=True, slots=True)
class Centre:
    """A monitoring centre. `paths`: (host, port), the main one first. `key`: AES, hex; "": in clear."""

    org: str
    id: str
    title: str
    account: str
    paths: tuple[tuple[str, int], ...]
    key: str
    protocol: str
    external: bool
    supervision_ms: int
    supervised_ms: int | None
    created_ms: int

    def __repr__(self) -> str:
        return f"Centre({self.org}/{self.id})"  # the key stays out of logs


_names = tuple(Centre.__slots__)


def _of(row: tuple[object, ...]) -> Centre:
    values = dict(zip(_names, row, strict=True))
    values["paths"] = tuple((host, port) for host, port in json.loads(str(values["paths"])))
    values["external"] = bool(values["external"])
    return Centre(**values)  # type: ignore[arg-type]


_select = select(*(_centre.c[name] for name in _names))
# In one order, so that two processes wait for each other instead of each holding some.
_watchers = select(_centre.c.watcher, _centre.c.watched_until_ms).order_by(_centre.c.org, _centre.c.id)


def get(conn: Connection, org: str, centre: str) -> Centre | None:
    """A centre of an organisation."""
    row = conn.execute(_select.where(_centre.c.org == org, _centre.c.id == centre)).one_or_none()
    return None if row is None else _of(tuple(row))


def of_org(conn: Connection, org: str | None = None) -> list[Centre]:
    """The centres of an organisation, or of all, by id."""
    query = _select.order_by(_centre.c.org, _centre.c.id)
    return [_of(tuple(row)) for row in conn.execute(query if org is None else query.where(_centre.c.org == org))]


def supervised(conn: Connection) -> list[Centre]:
    """The centres whose line is tested."""
    query = _select.where(_centre.c.supervision_ms > 0).order_by(_centre.c.org, _centre.c.id)
    return [_of(tuple(row)) for row in conn.execute(query)]


def save(conn: Connection, centre: Centre) -> None:
    """Store a centre, or what was changed of it."""
    paths = json.dumps([list(each) for each in centre.paths], separators=(",", ":"))
    values = {name: getattr(centre, name) for name in _names} | {"paths": paths}
    mine = (_centre.c.org == centre.org) & (_centre.c.id == centre.id)
    known = {name: value for name, value in values.items() if name not in ("org", "id", "created_ms", "supervised_ms")}
    if not conn.execute(update(_centre).where(mine).values(**known)).rowcount:
        conn.execute(insert(_centre).values(**values))


def remove(conn: Connection, org: str, centre: str) -> bool:
    """Forget a centre; False when there was none."""
    return bool(conn.execute(delete(_centre).where(_centre.c.org == org, _centre.c.id == centre)).rowcount)


def hold(conn: Connection, watcher: str, now_ms: int, until_ms: int) -> bool:
    """`watcher` tests every line until then; False while another process does, which is asked again later."""
    rows = conn.execute(locked(_watchers) if locks(conn) else _watchers).all()
    if any(who not in ("", watcher) and (held_ms or 0) > now_ms for who, held_ms in rows):
        return False
    conn.execute(update(_centre).values(watcher=watcher, watched_until_ms=until_ms))
    return True


def release(conn: Connection, watcher: str) -> None:
    """Another process may test the lines from now on."""
    conn.execute(update(_centre).where(_centre.c.watcher == watcher).values(watcher="", watched_until_ms=None))


def answered(conn: Connection, org: str, centre: str, now_ms: int) -> None:
    """The centre acknowledged something: its line works."""
    mine = (_centre.c.org == org) & (_centre.c.id == centre)
    conn.execute(update(_centre).where(mine).values(supervised_ms=now_ms))


def numbers(conn: Connection, org: str, site: str, device: str) -> tuple[int, int]:
    """(group, zone) under which a centre knows a site and a post: their place in the order of enrolment, which lasts.

    Rows are never deleted, a retired post keeps its number. 0: unknown, or beyond what Contact ID can number.
    """
    group = _place(conn, _site, org, site)
    zone = _place(conn, _device, org, device)
    return group if group <= GROUPS else 0, zone if zone <= ZONES else 0


def _place(conn: Connection, table: object, org: str, name: str) -> int:
    columns = table.c  # type: ignore[attr-defined]
    created_ms = conn.execute(select(columns.created_ms).where(columns.org == org, columns.id == name)).scalar()
    if created_ms is None:
        return 0
    before = (columns.created_ms < created_ms) | ((columns.created_ms == created_ms) & (columns.id <= name))
    return int(conn.execute(select(func.count()).select_from(table).where(columns.org == org, before)).scalar_one())  # type: ignore[arg-type]


def zones(conn: Connection, org: str) -> list[dict[str, object]]:
    """Every post of an organisation with its numbers: what the centre enters into its receiver."""
    rows = conn.execute(
        select(_device.c.id, _device.c.name, _device.c.site, _site.c.name)
        .select_from(_device.join(_site, (_site.c.org == _device.c.org) & (_site.c.id == _device.c.site)))
        .where(_device.c.org == org)
        .order_by(_device.c.created_ms, _device.c.id)
    ).all()
    found: list[dict[str, object]] = []
    for device, name, site, site_name in rows:
        group, zone = numbers(conn, org, site, device)
        found.append({"group": group, "zone": zone, "site": site_name, "device": device, "name": name})
    return found
