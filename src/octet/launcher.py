"""All of Octet on one machine: a private Valkey, the API, and workers, as one program."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from octet.errors import ServiceError, SettingError
from octet.jobs.embedded import EmbeddedServer
from octet.jobs.reaper import Reaper
from octet.jobs.server import connect
from octet.processes import start_child

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

READY_SECONDS = 60.0
LONGEST_PAUSE = 30.0
"""Between two starts of a program that keeps ending."""

_TICK = 0.1


@dataclass
class Program:
    """One of the programs that run: how it is started, and how long it may take to stop."""

    name: str
    command: list[str]
    patience: float
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.process is not None and self.process.poll() is None


class Launcher:
    """Runs everything out of one folder, until it is told to stop.

    All programs die with this one, even if it is killed; what they had accepted is in the
    folder, and the next start goes on with it. A program that ends by itself is started again.

    Args:
        folder: holds the queue (`valkey/`), the songs and tracks (`storage/`) and what is in
            the works (`scratch/`); made where missing.
        host: address of the API.
        port: of the API; 0 takes a free one.
        workers: how many songs are separated at once.
        grace: seconds that a worker may take to stop.
        metrics_port: of the first worker, the others count up; 0 takes free ones, None none.
        worker_id: names the workers, with a number behind it where there are several.

    Raises:
        SettingError: something else listens on the port.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str,
        port: int,
        workers: int = 1,
        grace: float = 25.0,
        metrics_port: int | None = None,
        worker_id: str | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.host = host
        self.port = _bound_port(host, port)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}"
        self._valkey = EmbeddedServer(self.folder / "valkey")
        octet = [sys.executable, "-m", "octet"]
        self._api = Program("api", [*octet, "api"], patience=10.0)
        self._workers = [
            Program(
                f"worker-{number + 1}",
                [*octet, "worker"],
                patience=grace + 5.0,
                environment=_own_settings(number, workers, metrics_port, worker_id),
            )
            for number in range(workers)
        ]

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """Starts everything, says when jobs are accepted, and runs until `stop` is set.

        To be called in the main thread: its end is what the programs are tied to.

        Raises:
            QueueError: the folder is used by another Octet, or Valkey does not start.
            ServiceError: the API does not start.
            SettingError: the folder cannot be made.
        """
        try:
            for name in ("storage", "scratch"):
                (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise SettingError(
                f"the data folder {self.folder} cannot be made: {error.strerror}",
                "Name another one with --data-dir",
            ) from error
        watchers: list[asyncio.Task[Any]] = []
        async with self._valkey:
            try:
                await self._take_up()
                programs = [self._api, *self._workers]
                for program in programs:
                    self._start(program)
                await self._ready(stop)
                if not stop.is_set():
                    on_ready()
                watchers = [asyncio.create_task(self._keep(program)) for program in programs]
                watchers.append(asyncio.create_task(self._valkey.keep()))
                watchers.append(asyncio.create_task(stop.wait()))
                ended, _ = await asyncio.wait(watchers, return_when=asyncio.FIRST_COMPLETED)
                for watcher in ended:
                    watcher.result()  # raises if the queue could not be started again
            finally:
                for watcher in watchers:
                    watcher.cancel()
                await asyncio.gather(*watchers, return_exceptions=True)
                # The API first: nothing is accepted any more. Then the workers, who hand back
                # what they cannot finish. The queue goes last, when nobody needs it.
                await _stopped([self._api])
                await _stopped(self._workers)

    async def _take_up(self) -> None:
        """Goes on with what an earlier run was killed in: the queue is ours alone so far."""
        client = connect(self._valkey.url)
        try:
            left = await Reaper(client).resume()
        finally:
            await client.aclose()
        if left.messages or left.jobs:
            log.info("%d interrupted songs go on", left.messages + left.jobs)

    def _start(self, program: Program) -> None:
        environment = {
            **os.environ,
            "OCTET_REDIS_URL": self._valkey.url,
            "OCTET_STORAGE": (self.folder / "storage").as_uri(),
            "OCTET_SCRATCH": str(self.folder / "scratch"),
            "OCTET_HOST": self.host,
            "OCTET_PORT": str(self.port),
            **program.environment,
        }
        program.process = start_child(program.command, env=environment)

    async def _ready(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + READY_SECONDS
        async with httpx.AsyncClient(base_url=self.url, timeout=2.0, trust_env=False) as client:
            while not stop.is_set():  # a server has no event to wait for
                if not self._api.running:
                    raise ServiceError("the API ended at its start", "What it said is above")
                if loop.time() > until:
                    raise ServiceError(f"the API is not ready after {READY_SECONDS:.0f} s")
                try:
                    if (await client.get("/readyz")).status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(_TICK)

    async def _keep(self, program: Program) -> None:
        """Starts a program again whenever it ends, after growing pauses."""
        pause = 1.0
        while True:
            started = asyncio.get_running_loop().time()
            while program.running:  # noqa: ASYNC110  # processes are watched by looking
                await asyncio.sleep(_TICK)
            status = program.process.returncode if program.process else None
            lived = asyncio.get_running_loop().time() - started
            pause = 1.0 if lived > 2 * LONGEST_PAUSE else min(pause * 2, LONGEST_PAUSE)
            log.warning("%s ended (%s); it starts again in %.0f s", program.name, status, pause)
            await asyncio.sleep(pause)
            self._start(program)


async def _stopped(programs: list[Program]) -> None:
    """Asks programs to stop and waits; those that take too long are killed."""
    for program in programs:
        if program.running and program.process is not None:
            program.process.send_signal(signal.SIGTERM)
    loop = asyncio.get_running_loop()
    for program in programs:
        until = loop.time() + program.patience
        while program.running and loop.time() < until:  # noqa: ASYNC110  # likewise
            await asyncio.sleep(_TICK / 2)
        if program.running and program.process is not None:
            log.warning("%s did not stop within %.0f s", program.name, program.patience)
            program.process.kill()
            program.process.wait()


def _own_settings(
    number: int, workers: int, metrics_port: int | None, worker_id: str | None
) -> dict[str, str]:
    """What workers of one machine must not share: the port of their metrics, and their name."""
    own = {}
    if metrics_port:
        own["OCTET_METRICS_PORT"] = str(metrics_port + number)
    if worker_id and workers > 1:
        own["OCTET_WORKER_ID"] = f"{worker_id}-{number + 1}"
    return own


def _bound_port(host: str, port: int) -> int:
    """The port, once it has been seen to be free; a free one for 0.

    Without this, whoever has it already would answer for our API when it is asked whether it
    is ready.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        raise SettingError(
            f"the API cannot listen on {host}:{port} ({error.strerror or error})",
            "Name another port with --port, or stop what listens there",
        ) from error
