"""The child may hang, fill the memory or die: the supervisor says what happened and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from octet.errors import ComputationError, ModelError, NotAudioError, TooLongError
from octet.settings import SeparationSettings, read_settings
from octet.worker.child import Child, resident_memory
from octet.worker.protocol import Order
from tests.worker.program import COMPUTE
from tests.worker.service import small_disk, song

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def ignore(_: float) -> None:
    pass


def names(folder: str) -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


@contextlib.asynccontextmanager
async def child(**options: float) -> AsyncIterator[Child]:
    child = Child(COMPUTE, **options)  # type: ignore[arg-type]  # numbers, as it takes them
    try:
        yield child
    finally:
        await child.stop()


@pytest.fixture
def order(tmp_path: Path) -> Callable[..., Order]:
    """Orders to separate a short song with a model."""
    path = tmp_path / "song"
    path.write_bytes(song())

    def make(model: str, data: bytes | None = None) -> Order:
        if data is not None:
            path.write_bytes(data)
        settings = read_settings(SeparationSettings, model=model, scratch=tmp_path)
        folder = str(tmp_path / f"tracks-{time.monotonic_ns()}")
        dumped = settings.model_dump(mode="json")
        return Order(str(path), folder, f"{folder}-links", "my song", (), dumped)

    return make


async def test_it_separates_song_after_song_in_one_process(order: Callable[..., Order]) -> None:
    shares: list[float] = []

    async with child() as one:
        first = await one.separate(order("odd-shares"), shares.append)
        pid = one.pid
        second = await one.separate(order("odd-shares"), ignore)
        assert one.pid == pid

    assert first.manifest.song.name == "my song"
    assert first.content_type == "audio/mpeg"
    assert first.manifest.tracks.keys() == second.manifest.tracks.keys()
    assert shares
    assert all(0 <= share <= 1 for share in shares)


async def test_whole_tracks_are_told_before_the_end(order: Callable[..., Order]) -> None:
    whole: dict[str, bytes] = {}

    async with child() as one:
        asked = order("odd-shares")
        done = await one.separate(
            asked, ignore, lambda one: whole.__setitem__(one.track, one.path.read_bytes())
        )

    assert whole.keys() == done.manifest.tracks.keys()
    for track, data in whole.items():
        assert hashlib.sha256(data).hexdigest() == done.manifest.tracks[track].sha256


async def test_errors_keep_their_kind(order: Callable[..., Order]) -> None:
    async with child() as one:
        with pytest.raises(NotAudioError):
            await one.separate(order("original", b"text"), ignore)
        pid = one.pid
        with pytest.raises(ModelError):
            await one.separate(order("/no/such/model", song()), ignore)
        with pytest.raises(ComputationError, match="RuntimeError: an odd fault"):
            await one.separate(order("odd-raise"), ignore)
        assert one.pid == pid, "an error is not the end of the process"


async def test_a_separation_that_takes_too_long_is_stopped(order: Callable[..., Order]) -> None:
    # given a limit for the whole, which a model exceeds that shows progress all the time
    async with child(longest=1.0) as one:
        await one.separate(order("odd-shares"), ignore)
        pid, began = one.pid, time.monotonic()
        with pytest.raises(TooLongError, match="OCTET_JOB_SECONDS"):
            await one.separate(order("odd-slow-20"), ignore)
        # then it is stopped soon, and the process takes the next song
        assert time.monotonic() - began < 8
        assert (await one.separate(order("odd-shares"), ignore)).manifest.outcome == "complete"
        assert one.pid == pid


async def test_a_killed_child_is_replaced(order: Callable[..., Order]) -> None:
    async with child() as one:
        with pytest.raises(ComputationError, match="killed by signal 9"):
            await one.separate(order("odd-kill"), ignore)
        with pytest.raises(ComputationError, match="ended with status 3"):
            await one.separate(order("odd-exit"), ignore)

        done = await one.separate(order("original"), ignore)

    assert done.manifest.model.name == "original"


async def test_the_watchdog_ends_what_makes_no_progress(order: Callable[..., Order]) -> None:
    async with child(stall=4.0) as one:
        began = time.monotonic()
        with pytest.raises(ComputationError, match="no progress for 4 seconds"):
            await one.separate(order("odd-stall"), ignore)
        assert time.monotonic() - began < 20

        await one.separate(order("odd-slow-5"), ignore)


async def test_loading_has_a_limit_of_its_own(order: Callable[..., Order]) -> None:
    # what takes longer than the one limit is let through by the other
    async with child(stall=3.0, load_stall=30.0) as one:
        await one.load(order("original").settings)
        await one.separate(order("odd-load-5"), ignore)

    # but what only repeats itself is no progress
    async with child(stall=60.0, load_stall=3.0) as one:
        with pytest.raises(ComputationError, match=r"3 seconds \(OCTET_LOAD_STALL\)"):
            await one.load(order("odd-load-60").settings)


async def test_loading_says_what_is_wrong(order: Callable[..., Order]) -> None:
    async with child() as one:
        await one.load(order("odd-shares").settings)
        pid = one.pid
        with pytest.raises(ModelError):
            await one.load(order("/no/such/model").settings)

        done = await one.separate(order("odd-shares"), ignore)

        assert one.pid == pid
    assert done.manifest.model.name == "odd-shares"


async def test_loading_can_be_broken_off(order: Callable[..., Order]) -> None:
    async with child() as one:
        work = asyncio.create_task(one.load(order("odd-load-60").settings))
        await asyncio.sleep(2)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert one.pid is None

        await one.separate(order("original"), ignore)


async def test_tracks_are_not_lost_where_no_links_can_be_made(
    order: Callable[..., Order], tmp_path: Path
) -> None:
    told: list[str] = []
    with small_disk(tmp_path / "other", 4) as other:
        async with child() as one:
            # on another file system, as on one that has no hard links
            there = replace(order("odd-shares"), links=str(other / "links"))
            done = await one.separate(there, ignore, lambda whole: told.append(whole.track))

    assert told == []
    assert names(there.folder) == {
        "manifest.json",
        *(track.key for track in done.manifest.tracks.values()),
    }


@linux
async def test_the_memory_limit_ends_what_takes_too_much(order: Callable[..., Order]) -> None:
    async with child(memory_limit=400) as one:
        with pytest.raises(ComputationError, match="more than 400 MiB"):
            await one.separate(order("odd-hog"), ignore)

        await one.separate(order("original"), ignore)


async def test_a_cancelled_separation_leaves_a_process_that_works(
    order: Callable[..., Order],
) -> None:
    started = asyncio.Event()
    async with child() as one:
        work = asyncio.create_task(one.separate(order("odd-slow-60"), lambda _: started.set()))
        await started.wait()
        pid = one.pid

        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

        await one.separate(order("original"), ignore)
        assert one.pid == pid


@linux
def test_it_does_not_outlive_its_supervisor() -> None:
    script = (
        "import asyncio, os, sys\n"
        "from octet.worker.child import Child\n"
        "async def main():\n"
        "    child = Child()\n"
        "    await child.load({'model': 'original'})\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        supervisor.send_signal(signal.SIGKILL)

    end = time.monotonic() + 10
    while _runs(pid):
        assert time.monotonic() < end
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@linux
def test_memory_is_that_in_use() -> None:
    resident = resident_memory(os.getpid())

    assert resident is not None
    assert 10**7 < resident < 10**10
    assert resident_memory(2**22 + 1) is None
