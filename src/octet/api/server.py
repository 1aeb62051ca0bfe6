"""Serves the application with uvicorn: on a socket that was checked, until it is told to stop."""

from __future__ import annotations

import contextlib
import errno
import logging
import signal
import socket
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn

from octet.api.app import create_app
from octet.api.auth import check_binding
from octet.api.connection import (
    IDLE_FOR,
    Connection,
    Connections,
    allow_connections,
    connections_at_once,
)
from octet.errors import SettingError
from octet.jobs.server import queue_url
from octet.logbook import set_up_logging

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from fastapi import FastAPI

    from octet.settings import SeparationSettings, ServiceSettings

logger = logging.getLogger("octet.api")

_STOPS_WITHIN = 20
_BACKLOG = 1024
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_TELL_EVERY = 60.0


def serve(settings: ServiceSettings, separation: SeparationSettings) -> None:
    """Serves the API until SIGTERM or Ctrl-C; requests under way are finished.

    Raises:
        SettingError: the address cannot be listened on, or must not be without keys.
    """
    listening = listen(settings)
    secrets = [settings.minio_secret_key.get_secret_value()]
    if settings.webhook_secret is not None:
        secrets.append(settings.webhook_secret.get_secret_value())
    allow_connections()
    set_up_logging("rest", settings.log_level, queue_url(settings), secrets)
    _share_handlers()
    sys.setswitchinterval(0.001)  # answers are waiting while a thread reads a long queue
    with listening:
        logger.info("listening on %s", address_of(listening))
        Server(create_app(settings, separation)).run(sockets=[listening])
        logger.info("stopped")


def listen(settings: ServiceSettings) -> socket.socket:
    """A socket on OCTET_HOST and OCTET_PORT, once that is allowed.

    Raises:
        SettingError: it is not, or the address is taken or not this machine's.
    """
    check_binding(settings, settings.host)
    host = settings.host.strip("[]")
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(
            host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        return _bound(family, address)
    except OSError as error:
        raise SettingError(
            f"the API cannot listen on {host}:{settings.port} ({error.strerror or error})",
            "Set OCTET_HOST and OCTET_PORT, or stop what listens there",
        ) from None


def _bound(family: int, address: Any) -> socket.socket:
    # asyncio sends without delay (TCP_NODELAY) on sockets that say that they are TCP's; the
    # answers' heads and bodies would wait for each other otherwise, 40 ms each time.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def address_of(listening: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """Uvicorn, which tells the application first that it is about to stop."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=partial(Connection, table=Connections(connections_at_once())),  # type: ignore[arg-type]  # what makes one
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=IDLE_FOR,
                timeout_graceful_shutdown=_STOPS_WITHIN,
            )
        )
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, and remembers the loop that runs it."""
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_Faults().handle)
        await super().startup(sockets)

    def stop(self) -> None:
        """Asks for the end, from any thread: event streams end, other requests are finished."""
        service = getattr(self._app.state, "service", None)
        if self._loop is not None and service is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(service.health.closing.set)
        self.should_exit = True

    def handle_exit(self, sig: int, frame: Any) -> None:
        """On a signal; the second one does not wait."""
        self.stop()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handles SIGTERM and SIGINT while it serves. They count as handled then."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {n: signal.signal(n, self.handle_exit) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Faults:
    """What asyncio has to say; that there are no descriptors left, not more than once a while.

    asyncio tells of it with a traceback for each connection that waits, again each second.
    """

    def __init__(self) -> None:
        self._told = -_TELL_EVERY

    def handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Logs what went wrong."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _NO_ROOM:
            loop.default_exception_handler(context)
        elif time.monotonic() - self._told >= _TELL_EVERY:
            self._told = time.monotonic()
            logger.error("no connection can be taken: %s", error.strerror)


def _share_handlers() -> None:
    """What uvicorn has to say goes where everything goes."""
    theirs = logging.getLogger("uvicorn.error")
    theirs.handlers = list(logging.getLogger("octet").handlers)
    theirs.setLevel(logging.ERROR)  # its warnings are what clients do wrong, as often as they like
    theirs.propagate = False
