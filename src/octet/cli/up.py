"""`octet up`: the whole service on this machine, with one command."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octet.cli.console import note, out
from octet.settings import ServiceSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from octet.launcher import Launcher


def up(
    data_dir: Annotated[
        Path, typer.Option("--data-dir", help="Folder of the queue, the songs and the tracks.")
    ] = Path("octet-data"),
    host: Annotated[str | None, typer.Option(help="Address on which the API listens.")] = None,
    port: Annotated[int | None, typer.Option(help="Its port; 0 takes a free one.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Songs separated at once.")] = 1,
    model: Annotated[str | None, typer.Option(help="Name or folder of the model.")] = None,
) -> None:
    """Run the service: a private Valkey, the API, and a worker. Ctrl-C stops all in order."""
    from octet.launcher import Launcher

    settings = read_settings(ServiceSettings, host=host, port=port)
    logging.basicConfig(format="octet: %(message)s", level=settings.log_level.upper())
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every request
    if model is not None:
        os.environ["OCTET_MODEL"] = model  # for the workers, which inherit it
    launcher = Launcher(
        data_dir,
        host=settings.host,
        port=settings.port,
        workers=workers,
        grace=settings.grace,
    )

    def ready() -> None:
        out.print(f"Octet is ready at {launcher.url} (data in {launcher.folder})", markup=False)
        note("Ctrl-C stops it; what it has accepted is kept and goes on at the next start.")

    asyncio.run(_run(launcher, ready))


async def _run(launcher: Launcher, ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    await launcher.run(stop, ready)
