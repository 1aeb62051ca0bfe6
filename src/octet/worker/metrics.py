"""What a worker counts, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

if TYPE_CHECKING:
    from collections.abc import Mapping

_BUCKETS = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1200, 3600)


class Metrics:
    """The worker's figures, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.jobs = Counter(
            "octet_worker_jobs",
            "Jobs that ended here, by outcome (complete, fallback, failed, cancelled).",
            ["outcome"],
            registry=self.registry,
        )
        self.attempts_failed = Counter(
            "octet_worker_failures",
            "Separations that failed, by the error's code and the model.",
            ["code", "model"],
            registry=self.registry,
        )
        self.handed_back = Counter(
            "octet_worker_handed_back",
            "Jobs handed back unharmed when the worker stopped.",
            registry=self.registry,
        )
        self.lost = Counter(
            "octet_worker_leases_lost",
            "Jobs that another worker took over.",
            registry=self.registry,
        )
        self.callbacks = Counter(
            "octet_worker_callbacks",
            "Attempts to deliver callbacks and events (delivered, failed, given up).",
            ["end"],
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "octet_worker_in_flight", "Jobs that this worker has now.", registry=self.registry
        )
        self.queue_depth = Gauge(
            "octet_queue_depth", "Messages that wait, of all priorities.", registry=self.registry
        )
        self._seconds = Histogram(
            "octet_worker_seconds",
            "Seconds of the steps of finished jobs.",
            ["stage", "model"],
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def took(self, timings: Mapping[str, float], model: str) -> None:
        """Notes the seconds of the steps of a finished job."""
        for stage, seconds in timings.items():
            self._seconds.labels(stage, model).observe(seconds)

    def serve(self, port: int, host: str = "0.0.0.0") -> None:  # noqa: S104  # scraped from outside
        """Answers GET /metrics, from a thread that ends with the process."""
        start_http_server(port, addr=host, registry=self.registry)
