"""Figures of this process for Prometheus: rate, errors and duration of each route."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


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
