"""The application: all routes, and what stands before them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from octet import __version__
from octet.api import errors
from octet.api.auth import AccessControl
from octet.api.middleware import ClientTimeout, Measure, TrailingSlash
from octet.api.openapi import describe_errors
from octet.api.proxy import Forwarded
from octet.api.routes import dead, health, jobs, lab, metrics, models, queue, songs
from octet.api.state import open_service
from octet.settings import SeparationSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
    client_timeout: float = 30.0,
) -> FastAPI:
    """The application, which connects to queue and store when it starts.

    Args:
        settings: of the service.
        separation: the defaults of the workers (their OCTET_MODEL, OCTET_FORMAT, ...), which
            decide what a request's options change; read from the environment if None.
        client_timeout: seconds for a client to send, or to take, its next bytes.
    """
    registry = CollectorRegistry()

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
            Middleware(Forwarded, settings=settings),
            Middleware(TrailingSlash),
            Middleware(Measure, registry=registry),
            Middleware(ClientTimeout, seconds=client_timeout),
            *_cors(settings),
            Middleware(AccessControl, settings=settings),
            Middleware(errors.CatchAll),
        ],
    )
    app.state.metrics = metrics.Metrics(registry)
    errors.install(app)
    describe_errors(app)
    for noun in (health, metrics, jobs, songs, queue, models, dead, lab):
        app.include_router(noun.router)
    return app


def _cors(settings: ServiceSettings) -> list[Middleware]:
    """Lets pages of OCTET_CORS_ORIGINS read the answers; preflights need no key."""
    if not settings.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["Location", "ETag", "Content-Range", "Content-Disposition"],
        )
    ]
