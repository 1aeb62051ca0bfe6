"""What a worker counts, for Prometheus, and whether it is alive and ready."""

from __future__ import annotations

import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
            "Jobs handed back unharmed, because the worker stopped or was unfit.",
            ["why"],
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
        self.fit = Gauge(
            "octet_worker_fit",
            "1 while this worker may take jobs, 0 while its model, disk or store are of no use.",
            registry=self.registry,
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

    def serve(
        self,
        port: int,
        trouble: Callable[[], str],
        host: str = "0.0.0.0",  # noqa: S104  # scraped from outside
    ) -> None:
        """Answers over HTTP, from a thread that ends with the process.

        GET /metrics gives the figures; /healthz 200, for the process is alive; /readyz 200, or
        503 with the reason.

        Args:
            port: where it listens.
            trouble: why no job is taken; empty when some are.
            host: on which address.
        """
        figures: Callable[..., Iterable[bytes]] = make_wsgi_app(self.registry)

        def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            path = environ["PATH_INFO"].rstrip("/")
            if path not in ("/healthz", "/readyz"):
                return figures(environ, start_response)
            why = trouble() if path == "/readyz" else ""
            status = "503 Service Unavailable" if why else "200 OK"
            start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
            return [f"{why or 'ok'}\n".encode()]

        server = make_server(host, port, answer, _Server, _Handler)
        threading.Thread(target=server.serve_forever, name="octet-metrics", daemon=True).start()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 10

    def log_message(self, *_: object) -> None:
        """Probes come every few seconds: nothing is logged."""
