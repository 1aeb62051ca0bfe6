"""A connection that breaks: what was sent arrives, the reply is lost now and then."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Hand = Callable[[bytes, "Talk"], Awaitable[bool]]


@dataclass(frozen=True)
class Talk:
    """One connection: what its client sends, and the ways back to it and on to the server."""

    reader: asyncio.StreamReader
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter


class LossyProxy:
    """Passes bytes to a server on loopback; cuts the connection in place of some replies.

    Attributes:
        share: of the replies that are lost, 0 to 1.
        lost: how many were.
        port: where it listens.
        random: decides about that.
    """

    def __init__(self, target: int, seed: int) -> None:
        self.share = 0.0
        self.lost = 0
        self.port = 0
        self._target = target
        self.random = random.Random(seed)
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

    async def _pass(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        answers, server = await asyncio.open_connection("127.0.0.1", self._target)
        talk = Talk(reader, client, server)
        ways = [
            asyncio.create_task(self._copy(reader, server, talk, self.ask)),
            asyncio.create_task(self._copy(answers, client, talk, self.answer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (client, server):
                end.close()
            await asyncio.gather(
                *ways, client.wait_closed(), server.wait_closed(), return_exceptions=True
            )

    async def _copy(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, talk: Talk, hand: Hand
    ) -> None:
        with suppress(ConnectionError):
            while (data := await source.read(65_536)) and await hand(data, talk):
                await target.drain()

    async def ask(self, data: bytes, talk: Talk) -> bool:
        """Hands on what a client has sent; False ends the connection."""
        talk.server.write(data)
        return True

    async def answer(self, data: bytes, talk: Talk) -> bool:
        """Hands on what the server has answered; False ends the connection."""
        if self.random.random() < self.share:
            self.lost += 1
            return False
        talk.client.write(data)
        return True
