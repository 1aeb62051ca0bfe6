"""Connections: what a client may cost before, between and around its requests.

uvicorn's protocol on httptools, whose parser is llhttp, in C. A body is read a piece at a time, and
each piece costs a call in Python, whatever its size; so pieces have to be worth it.
"""

from __future__ import annotations

import contextlib
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from octet.api.errors import RETRY_AFTER, is_lab, problem

if TYPE_CHECKING:
    import asyncio

    from uvicorn import Config
    from uvicorn.server import ServerState

HEAD_WITHIN = 30.0
"""Seconds from a connection, or the first byte of a further request, to the end of its head."""

IDLE_FOR = 75
"""Seconds for which a connection without a request stays open."""

OVERHEAD = 64 * 1024
"""Bytes of a head, or of a body beside its payload and once more as many as that."""

FREE_PIECES = 1000
LEAST_PIECE = 64
"""Bytes that the pieces of a body have in the mean, once there were FREE_PIECES."""

MOST_CONNECTIONS = 4000
_OTHER_DESCRIPTORS = 64
"""Of the store, the queue server and the log; a request may need one beside its connection."""

logger = logging.getLogger("octet.api")


def connections_at_once() -> int:
    """How many connections this process can have, by its limit of descriptors."""
    import resource  # no such thing on Windows, where the module is imported all the same

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(8, min((limit - _OTHER_DESCRIPTORS) // 2, MOST_CONNECTIONS))


def allow_connections() -> None:
    """Raises this process' limit of descriptors to what MOST_CONNECTIONS take, if it may."""
    import resource

    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_CONNECTIONS + _OTHER_DESCRIPTORS
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with contextlib.suppress(OSError, ValueError):  # it works with fewer, too
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class Connections:
    """The connections of one server; those without a request make room for new ones.

    Args:
        most: there may be at once.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._idle: dict[Connection, None] = {}

    def rests(self, connection: Connection) -> None:
        """It has no request, as of now."""
        self._idle.pop(connection, None)
        self._idle[connection] = None

    def works(self, connection: Connection) -> None:
        """It has a request, or is gone."""
        self._idle.pop(connection, None)

    def make_room(self) -> bool:
        """Ends the connection that has been without a request for longest, if there is any."""
        oldest = next(iter(self._idle), None)
        if oldest is None:
            return False
        self.works(oldest)
        oldest.end()
        return True


class Connection(HttpToolsProtocol):
    """One connection.

    Args:
        config, server_state, app_state, _loop: uvicorn's.
        table: of all connections.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        table: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._table = table
        self._head_due: asyncio.TimerHandle | None = None
        self._bytes = 0
        self._payload = 0
        self._pieces = 0
        self._fault = ""
        self.url = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """There is room for it, or it takes the place of an idle one, or it is told."""
        super().connection_made(transport)
        if len(self.connections) > self._table.most and not self._table.make_room():
            self._refuse(503, "busy", "there are too many connections")
            return
        self._table.rests(self)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._table.works(self)
        self._expect_none()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads a piece of a request."""
        if self.transport.is_closing():
            return
        if self._is_idle():
            self._expect_head()
        self._bytes += len(data)
        super().data_received(data)
        if self._bytes - self._payload > OVERHEAD + self._payload:
            self._refuse(431, "too-long", "the request has too much around its body")

    def on_message_begin(self) -> None:
        """Of a request's head."""
        super().on_message_begin()
        self._bytes = self._payload = self._pieces = 0

    def on_headers_complete(self) -> None:
        """A request can be served."""
        self._expect_none()
        self._table.works(self)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body, which ends the parser's work if it costs too much."""
        self._payload += len(body)
        self._pieces += 1
        if self._pieces > FREE_PIECES and self._payload < LEAST_PIECE * self._pieces:
            self._fault = f"the body comes in pieces of under {LEAST_PIECE} bytes"
            raise ValueError(self._fault)
        super().on_body(body)

    def on_response_complete(self) -> None:
        """An answer was written, as far as this side is concerned."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._end_unread()
        elif self._is_idle():
            self._table.rests(self)

    def timeout_keep_alive_handler(self) -> None:
        """No further request has come."""
        self.end()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        self._refuse(400, "bad-request", self._fault or "this is no request of HTTP")

    def end(self) -> None:
        """Ends it, whether or not what was written is read."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """The request is served as it is; clients do not fill the log."""

    def _is_idle(self) -> bool:
        cycle: Any = self.cycle  # None until there is a request, whatever uvicorn's type says
        return cycle is None or cycle.response_complete

    def _expect_head(self) -> None:
        if self._head_due is None:
            self._head_due = self.loop.call_later(HEAD_WITHIN, self._give_up)

    def _expect_none(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _give_up(self) -> None:
        self._head_due = None
        if self._is_idle():
            self.end()

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answers without the application, if no answer has begun, and closes."""
        cycle: Any = self.cycle
        if not self._is_idle() and cycle.response_started:
            self.transport.abort()
            return
        lab = is_lab(self.url.decode("ascii", "replace"))
        headers = {"Connection": "close", **({"Retry-After": RETRY_AFTER} if status == 503 else {})}
        answer = problem(status, code, detail, headers=headers, lab=lab)
        head = [f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}".encode()]
        head += [name + b": " + value for name, value in answer.raw_headers]
        self.transport.write(b"\r\n".join([*head, b"", bytes(answer.body)]))
        self.transport.close()
        self._end_unread()

    def _end_unread(self) -> None:
        """What nobody reads does not keep a closed connection for ever."""
        if self.transport.get_write_buffer_size():
            self.loop.call_later(IDLE_FOR, self.transport.abort)
