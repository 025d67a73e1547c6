"""Local time: which instant a wall clock's reading is. Rules are kept in local time; instants are computed from them.

A reading that the night of October has twice is its first. One that the night of March does not have is the end of the
gap: 02:30 on 29 March 2026 in Paris is the instant when clocks show 03:00. So hours that adjoin on the clock adjoin
in time, without gap and without overlap, in every night of the year.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY_MINUTES = 1440
YEARS = range(2000, 2101)  # of every date that is read: calculations stay inside what datetime can hold


@lru_cache(maxsize=128)
def zone_of(name: str) -> ZoneInfo:
    """The zone of this IANA name. Raises KeyError when there is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError):  # a hostile key: "../etc", an empty name, a folder of the table
        raise KeyError(name) from None


def is_zone(name: object) -> bool:
    """Whether this is the name of a zone."""
    try:
        return isinstance(name, str) and zone_of(name) is not None
    except KeyError:
        return False


def local(at_ms: int, zone: str) -> datetime:
    """What the wall clock reads at this instant, without a zone."""
    return datetime.fromtimestamp(at_ms / 1000, zone_of(zone)).replace(tzinfo=None, fold=0)


def spelled(at_ms: int, zone: str) -> str:
    """An instant as people read it: 2026-03-29 03:00+02:00."""
    return datetime.fromtimestamp(at_ms // 1000, zone_of(zone)).isoformat(" ", "minutes")


@lru_cache(maxsize=65536)
def instant_of(reading: datetime, zone: str) -> int:
    """The instant, in ms, at which the wall clock of `zone` comes to this reading, to the second."""
    where = zone_of(zone)
    at = int(reading.replace(tzinfo=where).timestamp())
    if datetime.fromtimestamp(at, where).replace(tzinfo=None, fold=0) == reading.replace(microsecond=0):
        return at * 1000
    low, high = sorted((int(reading.replace(tzinfo=where, fold=1).timestamp()), at))  # before and after the change
    before = datetime.fromtimestamp(low, where).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, where).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high * 1000


def at_minute(day: date, minute: int, zone: str) -> int:
    """The instant at which `day`, a local date, is `minute` minutes old on the wall clock; past 1440: the next day."""
    return instant_of(datetime(day.year, day.month, day.day) + timedelta(minutes=minute), zone)


def read(text: str, zone: str) -> int:
    """The instant of a text such as "2026-03-28 02:10" (local), or one with an offset or Z. Raises ValueError."""
    value = datetime.fromisoformat(text.strip())
    if value.year not in YEARS:
        raise ValueError(f"the year must be between {YEARS[0]} and {YEARS[-1]}")
    if value.tzinfo is not None:
        return int(value.astimezone(UTC).timestamp() * 1000)
    return instant_of(value.replace(microsecond=0), zone)
