"""A line to a server that breaks when told to."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Line:
    """Hands bytes on between clients and a server.

    Attributes:
        cuts: for each connection to come, the bytes of the server's answers after which it is
            cut; connections beyond the list are sound.
        opened: connections so far.
        refusals: answers instead of the server's, by a part of the request that they are for.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.cuts: list[int] = []
        self.opened = 0
        self.refusals: dict[bytes, bytes] = {}
        self._carrying: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begins to carry a connection."""
        task = asyncio.create_task(self._carry(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def close(self) -> None:
        """Ends all connections."""
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        left = self.cuts.pop(0) if self.cuts else None
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        upward = asyncio.create_task(self._pump(reader, far_writer, writer))
        try:
            while data := await far_reader.read(65536):
                if left is not None:
                    data, left = data[:left], left - len(data)
                writer.write(data)
                await writer.drain()
                if left is not None and left <= 0:
                    break
        except (OSError, asyncio.CancelledError):
            pass  # the client or the test has gone
        finally:
            upward.cancel()
            far_writer.close()
            writer.transport.abort() if left is not None else writer.close()
            await asyncio.gather(
                upward, far_writer.wait_closed(), writer.wait_closed(), return_exceptions=True
            )

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                answer = next((said for part, said in self.refusals.items() if part in data), None)
                if answer is not None:
                    back.write(answer)
                    await back.drain()
                    back.close()
                    return
                writer.write(data)
                await writer.drain()


@contextlib.asynccontextmanager
async def line_to(target: int) -> AsyncIterator[Line]:
    """A line to a port of this machine."""
    line = Line(target)
    server = await asyncio.start_server(line.accept, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        await line.close()


@contextlib.asynccontextmanager
async def server_that_says(answer: bytes | None) -> AsyncIterator[int]:
    """A server that gives the same answer to everything; None: none at all."""
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            if answer is None:
                await release.wait()
            else:
                writer.write(answer)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        release.set()
        server.close()
