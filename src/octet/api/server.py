"""Serves the application with uvicorn: on a socket that was checked, until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from octet.api.app import create_app
from octet.api.auth import check_binding
from octet.errors import SettingError
from octet.jobs.server import queue_url
from octet.logbook import set_up_logging

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from fastapi import FastAPI

    from octet.settings import SeparationSettings, ServiceSettings

logger = logging.getLogger("octet.api")

_FIRST_REQUEST_WITHIN = 30.0
_STOPS_WITHIN = 20
_BACKLOG = 1024


def serve(settings: ServiceSettings, separation: SeparationSettings) -> None:
    """Serves the API until SIGTERM or Ctrl-C; requests under way are finished.

    Raises:
        SettingError: the address cannot be listened on, or must not be without keys.
    """
    listening = listen(settings)
    secrets = [settings.minio_secret_key.get_secret_value()]
    if settings.webhook_secret is not None:
        secrets.append(settings.webhook_secret.get_secret_value())
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
                http=_Protocol,
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=_STOPS_WITHIN,
            )
        )
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, and remembers the loop that runs it."""
        import asyncio

        self._loop = asyncio.get_running_loop()
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


class _Protocol(H11Protocol):
    """Closes connections on which no whole request has come after a while."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.loop.call_later(_FIRST_REQUEST_WITHIN, self._give_up)

    def _give_up(self) -> None:
        cycle: object = self.cycle  # None until there is a request, whatever uvicorn's type says
        if cycle is None and not self.transport.is_closing():
            self.transport.close()


def _share_handlers() -> None:
    """What uvicorn has to say goes where everything goes."""
    theirs = logging.getLogger("uvicorn.error")
    theirs.handlers = list(logging.getLogger("octet").handlers)
    theirs.setLevel(logging.WARNING)
    theirs.propagate = False
