"""`octet api`: the REST service."""

from __future__ import annotations

from typing import Annotated

import typer

from octet.settings import SeparationSettings, ServiceSettings, read_settings


def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
) -> None:
    """Serve the API. Everything else is set in the environment: see docs/settings.md."""
    settings = read_settings(ServiceSettings, host=host, port=port)
    from octet.api.server import serve

    serve(settings, read_settings(SeparationSettings))
