"""Lines to the queue and to the store that fail in every way in which networks and servers do."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import Counter
from dataclasses import dataclass

from tests.jobs.proxy import LossyProxy, Talk

_REQUEST = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) /")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_REFUSALS = (
    ("500 Internal Server Error", "InternalError"),
    ("503 Service Unavailable", "SlowDown"),
)
_SENT_WITHIN = 5.0


@dataclass(frozen=True)
class Shares:
    """How often what goes wrong, each from 0 to 1.

    Attributes:
        reset: of the requests; the connection is reset and the server never hears of them.
        refused: of the requests to a store; the answer is 500 or 503.
        late: of the replies; they come, but later.
        lost: of the replies; what was asked has been done, and nobody is told.
        cut: of the replies; half of it comes, then the connection ends.
    """

    reset: float = 0.0
    refused: float = 0.0
    late: float = 0.0
    lost: float = 0.0
    cut: float = 0.0


class FaultyLine(LossyProxy):
    """A line on which things go wrong in given shares, once they are set.

    Attributes:
        shares: how often.
        delay: seconds by which a late reply is late.
        happened: what went wrong how often, by the names of the shares; and `requests`.
    """

    def __init__(self, target: int, seed: int, delay: float) -> None:
        super().__init__(target, seed)
        self.shares = Shares()
        self.delay = delay
        self.happened: Counter[str] = Counter()

    async def ask(self, data: bytes, talk: Talk) -> bool:
        """Hands on a request, resets the connection instead, or refuses."""
        if self.begins(data):
            self.happened["requests"] += 1
            if self._happens("reset"):
                _reset(talk.client)
                return False
            if self._happens("refused"):
                await self.refuse(data, talk)
                return False
        return await super().ask(data, talk)

    async def answer(self, data: bytes, talk: Talk) -> bool:
        """Hands on a reply: whole, late, in half, or not at all."""
        if self._happens("late"):
            await asyncio.sleep(self.delay)
        if self._happens("lost"):
            return False
        if self._happens("cut"):
            talk.client.write(data[: len(data) // 2])
            await talk.client.drain()
            return False
        return await super().answer(data, talk)

    def begins(self, data: bytes) -> bool:
        """Whether a request begins here."""
        return True

    async def refuse(self, data: bytes, talk: Talk) -> None:
        """Refuses a request: servers of the queue do not, they are only out of reach."""

    def _happens(self, what: str) -> bool:
        happens = self.random.random() < float(getattr(self.shares, what))
        self.happened[what] += happens
        return happens


class StoreLine(FaultyLine):
    """The same in front of an S3 service, which now and then answers 500 or 503."""

    def begins(self, data: bytes) -> bool:
        return _REQUEST.match(data) is not None

    async def refuse(self, data: bytes, talk: Talk) -> None:
        """Answers as a busy service does, once the whole request is there."""
        status, code = self.random.choice(_REFUSALS)
        head, _, body = data.partition(b"\r\n\r\n")
        if length := _LENGTH.search(head):
            async with asyncio.timeout(_SENT_WITHIN):
                await talk.reader.readexactly(max(0, int(length[1]) - len(body)))
        document = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>"
        talk.client.write(
            f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\n"
            f"Content-Length: {len(document)}\r\nConnection: close\r\n\r\n{document}".encode()
        )
        await talk.client.drain()


def _reset(client: asyncio.StreamWriter) -> None:
    """Ends a connection with RST rather than FIN."""
    end = client.get_extra_info("socket")
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.transport.abort()
