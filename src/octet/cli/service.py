"""`octet up`, `api`, `worker`, `logs` and `key`: the service, its parts, and a key to it."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octet.cli.console import note, say
from octet.errors import QueueUnavailableError
from octet.settings import SeparationSettings, ServiceSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from octet.launcher import Launcher

_RETRY_SECONDS = 1.0
"""Between two attempts of `octet logs` to reach the queue."""

Model = Annotated[str | None, typer.Option(help="Name or folder of the model.")]


def up(
    data_dir: Annotated[
        Path, typer.Option("--data-dir", help="Folder of the queue, the songs and the tracks.")
    ] = Path("octet-data"),
    host: Annotated[str | None, typer.Option(help="Address on which the API listens.")] = None,
    port: Annotated[int | None, typer.Option(help="Its port; 0 takes a free one.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Songs separated at once.")] = 1,
    model: Model = None,
) -> None:
    """Run the service: a private Valkey, the API, and a worker. Ctrl-C stops all in order."""
    from octet.launcher import Launcher
    from octet.outbound.webhooks import check_outbound

    settings = read_settings(ServiceSettings, host=host, port=port)
    check_outbound(settings)
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
        metrics_port=settings.metrics_port,
        worker_id=settings.worker_id,
    )

    def ready() -> None:
        say(f"Octet is ready at {launcher.url} (data in {launcher.folder})")
        note("Ctrl-C stops it; what it has accepted is kept and goes on at the next start.")

    asyncio.run(_up(launcher, ready))


async def _up(launcher: Launcher, ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    await launcher.run(stop, ready)


def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
) -> None:
    """Serve the API. Everything else is set in the environment: see docs/settings.md."""
    settings = read_settings(ServiceSettings, host=host, port=port)
    from octet.api.server import serve
    from octet.outbound.webhooks import check_outbound

    check_outbound(settings)
    serve(settings, read_settings(SeparationSettings))


def worker(model: Model = None) -> None:
    """Run a worker: it takes songs from the queue and puts their tracks into the bucket.

    SIGTERM or Ctrl-C: the song under way is finished within OCTET_GRACE seconds or handed back.
    """
    from octet.jobs.server import queue_url
    from octet.logbook import set_up_logging
    from octet.outbound.webhooks import check_outbound
    from octet.worker.supervisor import Supervisor

    service = read_settings(ServiceSettings)
    check_outbound(service)
    hidden = (service.minio_secret_key, service.webhook_secret)
    secret = [one.get_secret_value() for one in hidden if one is not None]
    set_up_logging("worker", service.log_level, queue_url(service), secret)
    defaults = read_settings(SeparationSettings, model=model)
    asyncio.run(Supervisor(service, defaults).run())


def logs() -> None:
    """Print the log lines of all parts of the service as they come, each once for all readers."""
    number = asyncio.run(_logs(read_settings(ServiceSettings)))
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


async def _logs(settings: ServiceSettings) -> signal.Signals:
    """Prints until a signal comes, which it returns."""
    from octet.jobs.server import connect, queue_url
    from octet.logbook import read_lines

    client = connect(queue_url(settings))
    away = False
    stopped = asyncio.Event()
    came = _listen(stopped)
    try:
        while not stopped.is_set():
            try:
                async for line in read_lines(client, stopped):
                    away = False
                    typer.echo(line)
            except QueueUnavailableError as error:
                if not away:
                    note(f"octet: {error}")
                away = True
                await asyncio.sleep(_RETRY_SECONDS)
    finally:
        await client.aclose()
    return came[0]


def _listen(stopped: asyncio.Event) -> list[signal.Signals]:
    """Sets the event at the first signal that ends the command and notes which; a second kills.

    The loop takes the signal, since an exception raised in the midst of whatever runs may be
    swallowed there; and a line that was taken from the list is printed before the end.
    """
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    came: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        came.append(number)
        stopped.set()
        for each in numbers:
            loop.remove_signal_handler(each)

    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    return came


def key() -> None:
    """Make an API key. The service keeps its hash alone (OCTET_API_KEYS), the client the key."""
    from octet.api.auth import hash_key

    made = secrets.token_urlsafe(32)
    say(f"OCTET_KEY={made}")
    say(f"OCTET_API_KEYS={hash_key(made)}")
    note("The first line is for the client, the second for the service. It is shown this once.")
