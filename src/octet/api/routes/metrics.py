"""/metrics: what Prometheus reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from octet.api.openapi import problems
from octet.api.state import ServiceHere  # noqa: TC001  # FastAPI reads it
from octet.errors import QueueError

if TYPE_CHECKING:
    from octet.api.state import Service

router = APIRouter(tags=["health"])

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The figures of the queue, beside those of the requests.

    Args:
        registry: where all figures are kept.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.up = self._gauge("octet_queue_up", "Whether the queue server answers.")
        self.depth = self._gauge("octet_queue_depth", "Jobs that wait.")
        self.workers = self._gauge("octet_workers", "Workers that are alive.")
        self.dead = self._gauge("octet_dead_letters", "Dead letters.")
        self.callbacks = self._gauge("octet_callbacks_pending", "Callbacks not yet delivered.")
        self.imports = self._gauge("octet_imports", "Songs still to be fetched by their address.")
        self.dropped = Gauge(
            "octet_dropped",
            "Dead letters and callbacks dropped so far, since there were too many.",
            ("kind",),
            registry=self.registry,
        )
        self.jobs = Gauge(
            "octet_jobs", "Recorded jobs in each state.", ("state",), registry=self.registry
        )

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self.registry)

    async def look(self, service: Service) -> None:
        """Brings the gauges up to date; while the queue server is away they stay as they were."""
        try:
            counts = await service.queue.counts()
            self.depth.set(counts["waiting"])
            self.workers.set(len(await service.queue.workers()))
            self.dead.set(await service.dead.count())
            self.callbacks.set(await service.outbox.pending())
            self.imports.set(await service.imports.count())
            for kind, count in (await service.dead.dropped()).items():
                self.dropped.labels(kind).set(count)
        except QueueError:
            self.up.set(0)
            return
        for state, count in counts.items():
            self.jobs.labels(state).set(count)
        self.up.set(1)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Prometheus' text format.", "content": {_TEXT: {}}},
        **problems(),
    },
    summary="Figures",
)
async def get_metrics(request: Request, service: ServiceHere) -> Response:
    """Requests, jobs, workers, dead letters and callbacks, in Prometheus' text format."""
    metrics: Metrics = request.app.state.metrics
    await metrics.look(service)
    return Response(generate_latest(metrics.registry), media_type=_TEXT)
