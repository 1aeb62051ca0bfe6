"""`octet logs`: the logs service. Prints what API and workers say, one line each."""

from __future__ import annotations

import asyncio

import typer

from octet.cli.console import note
from octet.errors import QueueUnavailableError
from octet.settings import ServiceSettings, read_settings

_AGAIN = 1.0


def logs() -> None:
    """Print the log lines of all parts of the service as they come, each once for all readers."""
    asyncio.run(_follow(read_settings(ServiceSettings)))


async def _follow(settings: ServiceSettings) -> None:
    from octet.jobs.connection import connect, queue_url
    from octet.jobs.logbook import read_lines

    client = connect(queue_url(settings))
    away = False
    try:
        while True:
            try:
                async for line in read_lines(client):
                    away = False
                    typer.echo(line)
            except QueueUnavailableError as error:
                if not away:
                    note(f"octet: {error}")
                away = True
                await asyncio.sleep(_AGAIN)
    finally:
        await client.aclose()
