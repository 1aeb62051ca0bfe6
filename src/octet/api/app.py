"""The application: all routes, and what stands before them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.middleware import Middleware

from octet import __version__
from octet.api import errors
from octet.api.auth import Gate
from octet.api.limits import Patience
from octet.api.openapi import document
from octet.api.routes import dead, events, health, jobs, lab, metrics, queue, songs
from octet.api.state import open_service
from octet.settings import SeparationSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from octet.settings import ServiceSettings

_DESCRIPTION = """
One song in, eight aligned tracks out. `/v1` is Octet's own API, `/apiv1` the one that existing
clients speak. Errors of `/v1` are problem documents (RFC 9457), those of `/apiv1` are
`{"reason": ...}`. Where the service has API keys, send one as `Authorization: Bearer KEY` or
`X-API-Key: KEY`.
"""


def create_app(
    settings: ServiceSettings,
    separation: SeparationSettings | None = None,
    *,
    patience: float = 30.0,
) -> FastAPI:
    """The application, which connects to queue and store when it starts.

    Args:
        settings: of the service.
        separation: the defaults of the workers (their OCTET_MODEL, OCTET_FORMAT, ...), which
            decide what a request's options change; read from the environment if None.
        patience: seconds for a client to send, or to take, its next bytes.
    """
    measured = metrics.Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_service(
            settings, separation or read_settings(SeparationSettings)
        ) as service:
            app.state.service = service
            yield

    app = FastAPI(
        title="Octet",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        redoc_url=None,
        middleware=[
            Middleware(_WithoutSlash),
            Middleware(metrics.Measure, metrics=measured),
            Middleware(Patience, seconds=patience),
            Middleware(Gate, settings=settings),
            Middleware(errors.LastResort),
        ],
    )
    app.state.metrics = measured
    errors.install(app)
    document(app)
    for room in (health, metrics, jobs, events, songs, queue, dead, lab):
        app.include_router(room.router)
    return app


class _WithoutSlash:
    """ASGI: every address works with a slash at its end, too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        path = scope.get("path", "")
        if scope["type"] == "http" and len(path) > 1 and path.endswith("/"):
            scope["path"] = path.rstrip("/") or "/"
        await self._app(scope, receive, send)
