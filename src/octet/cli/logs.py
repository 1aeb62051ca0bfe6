"""`octet logs`: the logs service. Prints what API and workers say, one line each."""

from __future__ import annotations

import asyncio
import signal

import typer

from octet.cli.console import note
from octet.errors import QueueUnavailableError
from octet.settings import ServiceSettings, read_settings

_AGAIN = 1.0


def logs() -> None:
    """Print the log lines of all parts of the service as they come, each once for all readers."""
    ended_by = asyncio.run(_follow(read_settings(ServiceSettings)))
    if ended_by == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + ended_by)


async def _follow(settings: ServiceSettings) -> signal.Signals:
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
                await asyncio.sleep(_AGAIN)
    finally:
        await client.aclose()
    return came[0]


def _listen(stopped: asyncio.Event) -> list[signal.Signals]:
    """Sets the event at the first SIGTERM or SIGINT and notes which; a second ends at once.

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
