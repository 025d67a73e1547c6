"""Figures for Prometheus, in a registry of our own: what passed through this process, and what the database holds."""

import threading
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tocsin_backend.domain import lateness
from tocsin_backend.ingest import Ingest
from tocsin_backend.lateness import Lateness
from tocsin_backend.store import listings
from tocsin_backend.store.database import Database

DATABASE_EVERY_MS = 5_000  # how old the counted figures may be: scrapes must not queue for the disk
# A press is answered in 1 to 3 ms; the ends of the scale are a cache's luck and a disk's trouble.
INGEST_BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Metrics:
    """The registry and what is counted in it."""

    def __init__(self, database: Database, ingest: Ingest, timers: Lateness, now_ms: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.envelopes = Counter(
            "tocsin_envelopes", "Envelopes answered: stored, duplicate or refused", ["answer"], registry=self.registry
        )
        self.beats = Counter("tocsin_beats", "Beats received, refused ones too", registry=self.registry)
        self.ingest_seconds = Histogram(
            "tocsin_ingest_seconds", "From a batch of envelopes received to its answer", buckets=INGEST_BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        self.lateness_seconds = Gauge(
            "tocsin_engine_lateness_seconds",
            "How late the engine's last due instant was served",
            registry=self.registry,
        )
        self.registry.register(_Passed(database, ingest))
        self.registry.register(_Timers(timers))
        self.registry.register(_Counted(database, now_ms))

    def text(self) -> bytes:
        """The exposition, as Prometheus scrapes it. Raises Unavailable."""
        return generate_latest(self.registry)


class _Passed(Collector):
    """What passed through this process since its start, from the parts' own counts."""

    def __init__(self, database: Database, ingest: Ingest) -> None:
        self._database = database
        self._ingest = ingest

    def describe(self) -> Iterator[Metric]:
        yield from ()

    def collect(self) -> Iterator[Metric]:
        refused = CounterMetricFamily("tocsin_evidence", "Frames refused, by reason", labels=["reason"])
        for reason, number in sorted(self._ingest.refused.items()):
            refused.add_metric([reason], number)
        yield refused
        figures = self._database.figures
        yield CounterMetricFamily("tocsin_commits", "Transactions committed", figures.commits)
        yield CounterMetricFamily("tocsin_jobs", "Jobs of the database's writer", figures.jobs)
        yield CounterMetricFamily("tocsin_jobs_failed", "Jobs of the writer that failed", figures.failed)


class _Timers(Collector):
    """How late this process served its timers."""

    def __init__(self, timers: Lateness) -> None:
        self._timers = timers

    def describe(self) -> Iterator[Metric]:
        yield from ()

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(
            "tocsin_timer_lateness_seconds", "From a timer's instant to its decision's commit", labels=["timer"]
        )
        ends = [str(bound / 1000) for bound in lateness.BOUNDS_MS] + ["+Inf"]
        for timer, found in sorted(self._timers.figures().items()):
            counts = list(zip(ends, accumulate(found.buckets), strict=True))
            family.add_metric([timer], counts, found.tally.total_ms / 1000)
        yield family


class _Counted(Collector):
    """Figures read from the database, so that they survive a restart."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._read_ms = -DATABASE_EVERY_MS
        self._families: list[Metric] = []

    def describe(self) -> Iterator[Metric]:
        yield from ()

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            if not 0 <= self._now_ms() - self._read_ms < DATABASE_EVERY_MS:
                self._families = self._read()
                self._read_ms = self._now_ms()
            yield from self._families

    def _read(self) -> list[Metric]:
        with self._database.read() as conn:
            tables: list[tuple[str, str, list[str], list[Any]]] = [
                ("tocsin_signals", "Signals stored", ["org", "kind"], listings.signal_figures(conn)),
                ("tocsin_alerts", "Alerts", ["org", "category", "mode", "status"], listings.alert_figures(conn)),
                ("tocsin_dispatches", "Dispatches", ["channel", "status"], listings.dispatch_figures(conn)),
                ("tocsin_devices", "Devices in service", ["org", "presence"], listings.presence_figures(conn)),
                ("tocsin_unanswered", "Open alerts that nobody answers", [], [(listings.unanswered(conn),)]),
            ]
        families: list[Metric] = []
        for name, words, labels, rows in tables:
            family = GaugeMetricFamily(name, words, labels=labels)
            for *values, number in rows:
                family.add_metric(values, number)
            families.append(family)
        return families
