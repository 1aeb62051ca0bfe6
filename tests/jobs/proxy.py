"""A connection that breaks: what was sent arrives, the reply is lost now and then."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class LossyProxy:
    """Passes bytes to a server on loopback; cuts the connection in place of some replies.

    Attributes:
        share: of the replies that are lost, 0 to 1.
        lost: how many were.
        port: where it listens.
    """

    def __init__(self, target: int, seed: int) -> None:
        self.share = 0.0
        self.lost = 0
        self.port = 0
        self._target = target
        self._random = random.Random(seed)
        self._passing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[LossyProxy]:
        """Listens while inside; ends all connections afterwards."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._passing:
                task.cancel()
            await asyncio.gather(*self._passing, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, downstream = await asyncio.open_connection("127.0.0.1", self._target)
        ways = [
            asyncio.create_task(self._copy(reader, downstream, lossy=False)),
            asyncio.create_task(self._copy(upstream, writer, lossy=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, downstream):
                end.close()
            await asyncio.gather(
                *ways, writer.wait_closed(), downstream.wait_closed(), return_exceptions=True
            )

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, lossy: bool
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                if lossy and self._random.random() < self.share:
                    self.lost += 1
                    return
                writer.write(data)
                await writer.drain()
