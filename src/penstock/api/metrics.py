"""Figures for Prometheus: rate, errors and duration of each route of this process, and gauges of the whole server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from penstock.core.errors import TransientError
from penstock.usecases.health import Scrape

_BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_OUTCOMES: Final = frozenset(["succeeded", "failed", "transient", "crashed", "lost", "cancelled"])
_KILLS: Final = frozenset(
    "limit_wall limit_cpu limit_memory limit_output limit_recursion crashed forbidden_call no_result".split()
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # it ships half of its types; nothing reads those series


class RequestMetrics:
    """What is counted of requests; labels are templates of routes, never paths, so that their number is bounded."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["method", "route"]
        self.requests = Counter(
            "penstock_http_requests", "Requests that were answered.", [*labels, "status"], registry=registry
        )
        self.durations = Histogram(
            "penstock_http_request_duration_seconds",
            "Time from the first byte of a request to the last of its response.",
            labels,
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.running = Gauge("penstock_http_requests_running", "Requests being answered now.", registry=registry)
        self.received = Counter("penstock_http_received_bytes", "Bytes of request bodies.", registry=registry)
        self.sent = Counter("penstock_http_sent_bytes", "Bytes of response bodies.", registry=registry)

    def finished(
        self, *, method: str, route: str, status: int, duration_s: float, received_bytes: int, sent_bytes: int
    ) -> None:
        """Count one request."""
        self.requests.labels(method, route, str(status)).inc()
        self.durations.labels(method, route).observe(duration_s)
        self.received.inc(received_bytes)
        self.sent.inc(sent_bytes)


class ServerMetrics(Collector):
    """Gauges of the whole server, read from the database when somebody asks."""

    def __init__(self, scrape: Callable[[], Scrape], *, clock: Callable[[], float]) -> None:
        self._scrape = scrape
        self._clock = clock

    def describe(self) -> list[Metric]:
        """Return nothing: what there is depends on the database, which is not asked before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of now; none while the database is away, which a gauge of its own says."""
        up = GaugeMetricFamily("penstock_database_up", "Whether the records database answers.")
        try:
            scrape = self._scrape()
        except TransientError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from self._queues(scrape)
        yield from self._workers(scrape)
        attempts = CounterMetricFamily(
            "penstock_attempts", "Attempts that ended since this process began.", labels=["outcome"]
        )
        for outcome in sorted({*_OUTCOMES, *scrape.attempts}):
            attempts.add_metric([outcome], scrape.attempts[outcome])
        yield attempts
        kills = CounterMetricFamily(
            "penstock_sandbox_kills", "Records and attempts that the sandbox ended.", labels=["reason"]
        )
        for code in sorted(_KILLS):
            kills.add_metric([code], scrape.errors[code])
        yield kills

    def _queues(self, scrape: Scrape) -> Iterator[Metric]:
        depth = GaugeMetricFamily("penstock_queue_depth", "Entries in the queue.", labels=["workspace", "state"])
        age = GaugeMetricFamily(
            "penstock_queue_age_seconds", "How long the foremost ready entry has waited.", labels=["workspace"]
        )
        now = self._clock()
        for queue in scrape.queues:
            for state in ("scheduled", "ready", "running"):
                depth.add_metric([queue.workspace, state], getattr(queue, state))
            age.add_metric([queue.workspace], max(0.0, now - (queue.oldest_ready_at or now)))
        yield from (depth, age)

    def _workers(self, scrape: Scrape) -> Iterator[Metric]:
        slots = GaugeMetricFamily("penstock_worker_slots", "Attempts that a worker can run at once.", labels=["worker"])
        busy = GaugeMetricFamily("penstock_worker_busy", "Attempts that a worker runs now.", labels=["worker"])
        for worker in scrape.workers:
            slots.add_metric([worker.id], worker.slots)
            busy.add_metric([worker.id], worker.busy)
        yield from (slots, busy)
