"""The supervisor's hold on its child process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octet.errors import ComputationError, TooLongError
from octet.processes import tethered
from octet.results.manifest import Manifest
from octet.worker.protocol import LONGEST_LINE, Done, WholeTrack, error_of, to_line

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable, Sequence

    from octet.worker.protocol import Order

COMPUTE = (sys.executable, "-m", "octet.worker.compute")
"""The child's command; the number of its socket is appended."""

_STOPS_WITHIN = 3.0
"""Seconds in which a cancelled separation has to end before its process is killed."""

_ENDS_WITHIN = 2.0
"""Seconds from the end of the connection to that of the process, which is killed then."""

_LOOK_EVERY = 0.1
"""Seconds between two looks at the child's memory."""

_MIB = 1024**2


class Child:
    """A process that separates songs, started when it is needed and again when it has died.

    Args:
        command: what to run.
        stall: seconds without a message after which it is killed.
        load_stall: the same while it loads a model; what is merely repeated does not count.
        longest: seconds that a separation may take.
        memory_limit: in MiB of resident memory, beyond which it is killed; 0 is no limit.
            Watched on Linux.
    """

    def __init__(
        self,
        command: Sequence[str] = COMPUTE,
        *,
        stall: float = 120.0,
        load_stall: float = 1800.0,
        longest: float = 86_400.0,
        memory_limit: int = 0,
    ) -> None:
        self._command = tuple(command)
        self._stall = stall
        self._load_stall = load_stall
        self._longest = longest
        self._loading: dict[str, Any] | None = None
        self._moved = 0.0
        self._memory_limit = memory_limit
        self._process: Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._verdict: str | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, while it runs."""
        return self._process.pid if self._process else None

    async def load(self, settings: dict[str, Any]) -> None:
        """Has a model loaded, unless it is the one at hand.

        When this is cancelled the process is killed.

        Args:
            settings: a SeparationSettings, as `model_dump(mode="json")` gives it.

        Raises:
            ComputationError: the process was killed, hung, or failed unforeseen.
            OctetError: what the loading itself raised.
        """
        async with self._working({"do": "load", "settings": settings}):
            try:
                while (message := await self._message())["event"] != "loaded":
                    if message["event"] == "failed":
                        raise error_of(message)
            except asyncio.CancelledError:
                await self.stop()
                raise

    async def separate(
        self,
        order: Order,
        on_progress: Callable[[float], None],
        on_track: Callable[[WholeTrack], None] | None = None,
    ) -> Done:
        """Separates a song; the tracks lie in `order.folder` afterwards.

        Args:
            order: what to do.
            on_progress: called with the share done, 0 to 1.
            on_track: called with each track that is whole, while others are not.

        When this is cancelled the separation is stopped first, by force if need be.

        Raises:
            TooLongError: it took more time than it may.
            ComputationError: the process was killed, hung, or failed unforeseen.
            OctetError: what the separation itself raised.
        """
        async with self._working(order.to_message()):
            try:
                async with asyncio.timeout(self._longest) as whole:
                    return await self._result(on_progress, on_track)
            except TimeoutError:
                if not whole.expired():
                    raise
                await self._cancel()
                raise TooLongError(
                    f"the separation took more than {self._longest:g} seconds (OCTET_JOB_SECONDS)"
                ) from None
            except asyncio.CancelledError:
                await self._cancel()
                raise

    async def stop(self) -> None:
        """Ends the process, if there is one."""
        if self._process is not None:
            self.kill("the worker stops")
            await self._buried()

    @contextlib.asynccontextmanager
    async def _working(self, order: dict[str, Any]) -> AsyncIterator[None]:
        """Gives an order, and watches the process while its answers are read."""
        await self._started()
        self._moved = time.monotonic()
        self._send(order)
        watch = asyncio.create_task(self._watch_memory())
        try:
            yield
        finally:
            watch.cancel()

    async def _started(self) -> None:
        if self._process is not None and self._process.returncode is None:
            return
        if self._process is not None:
            await self._buried()
        ours, theirs = socket.socketpair()
        with theirs:
            command, passed = tethered([*self._command, str(theirs.fileno())])
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                pass_fds=(theirs.fileno(), *passed),
                start_new_session=True,
            )
        self._verdict = None
        self._reader, self._writer = await asyncio.open_connection(sock=ours, limit=LONGEST_LINE)

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(to_line(message))

    async def _result(
        self,
        on_progress: Callable[[float], None],
        on_track: Callable[[WholeTrack], None] | None,
    ) -> Done:
        while True:
            message = await self._message()
            if message["event"] == "done":
                manifest = Manifest.from_json(message["manifest"])
                if manifest is None:
                    raise ComputationError("the computation gave a manifest that cannot be read")
                return Done(manifest, message["content_type"])
            if message["event"] == "failed":
                raise error_of(message)
            if message["event"] == "progress":
                on_progress(float(message["share"]))
            elif message["event"] == "track" and on_track is not None:
                path = Path(message["path"])
                on_track(WholeTrack(message["track"], path, message["content_type"]))

    async def _message(self) -> dict[str, Any]:
        """The next message.

        Raises:
            ComputationError: there is none: the process is dead, or silent for too long.
        """
        assert self._reader is not None  # noqa: S101  # it is there once the process is
        loading = self._loading is not None
        limit, name = (
            (self._load_stall, "OCTET_LOAD_STALL") if loading else (self._stall, "OCTET_STALL")
        )
        try:
            async with asyncio.timeout(self._moved + limit - time.monotonic()):
                line = await self._reader.readline()
        except TimeoutError:
            self.kill(f"no progress for {limit:g} seconds ({name})")
            line = b""
        except (OSError, ValueError):  # reset, or a line beyond all measure
            line = b""
        if not line.endswith(b"\n"):
            self._loading = None
            raise ComputationError(f"the computation ended early: {await self._buried()}")
        message: dict[str, Any] = json.loads(line)
        if message != self._loading:
            self._moved = time.monotonic()
        self._loading = message if message["event"] == "loading" else None
        return message

    async def _cancel(self) -> None:
        """Stops the separation under way, and leaves a process that waits for the next, or none."""
        self._send({"do": "cancel"})
        try:
            async with asyncio.timeout(_STOPS_WITHIN):
                while (await self._message())["event"] not in ("done", "failed"):
                    pass
        except TimeoutError:
            self.kill("cancelled")
            await self._buried()
        except ComputationError:
            return

    def kill(self, verdict: str) -> None:
        """Ends the process at once; the separation under way fails with this verdict."""
        self._verdict = self._verdict or verdict
        if self._process is not None and self._process.returncode is None:
            # Not Process.kill(): it may take the exit status away from the event loop.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)

    async def _buried(self) -> str:
        """Waits for the process' end, forgets it, and says what it died of."""
        assert self._process is not None  # noqa: S101  # callers have one
        process = self._process
        try:
            async with asyncio.timeout(_ENDS_WITHIN):
                status = await process.wait()
        except TimeoutError:
            self.kill("it closed its connection")
            status = await process.wait()
        if self._writer is not None:
            self._writer.close()
        self._process = self._reader = self._writer = None
        return self._verdict or _cause(status)

    async def _watch_memory(self) -> None:
        if not self._memory_limit or self._process is None:
            return
        pid = self._process.pid
        while (resident := resident_memory(pid)) is not None:
            if resident > self._memory_limit * _MIB:
                self.kill(
                    f"out of memory, it took more than {self._memory_limit} MiB"
                    " (OCTET_MEMORY_LIMIT)"
                )
                return
            await asyncio.sleep(_LOOK_EVERY)


def resident_memory(pid: int) -> int | None:
    """Bytes of a process that lie in memory; None when it has ended, and where /proc is missing."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _cause(status: int) -> str:
    if status == -signal.SIGKILL:
        return "out of memory, or killed by signal 9"
    if status < 0:
        return f"it was killed by signal {-status} ({signal.Signals(-status).name})"
    return f"it ended with status {status}"
