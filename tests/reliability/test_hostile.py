"""Songs that somebody has made to do harm do none: each ends in a result, or a typed error (16)."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from octet.errors import AudioError, OctetError
from octet.jobs import keys
from octet.settings import SeparationSettings, read_settings
from octet.worker.child import Child
from octet.worker.protocol import Order
from tests.chaos import rounds
from tests.reliability.crafted import ANY, NOT_AUDIO, crafted
from tests.reliability.crew import crew
from tests.reliability.hostile import mutated, seeds
from tests.reliability.programs import api_process, memory
from tests.worker.service import song

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    from tests.worker.service import Service

    Record = Callable[[str, object], None]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(rounds(120, 7200))]

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

CAP = 400
"""MiB that a computation may take: three times what it takes when it is idle."""

MORE = rounds(5, 500)
"""Mutated songs that go through API and worker."""

LONGEST = rounds(600, 6 * 3600)
"""Seconds of song that are accepted."""

PATIENCE = 60.0
"""Seconds in which a song of these must have come to its end."""


class Bench:
    """Separates songs in a child process, as a worker does.

    Attributes:
        ends: how the songs ended: `complete`, or the code of the error.
        wrong: errors that are not the songs' own.
    """

    def __init__(self, child: Child, folder: Path) -> None:
        self._child = child
        self._folder = folder
        self.ends: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def separate(self, name: str, data: bytes) -> str:
        """How a song ends."""
        path, tracks = self._folder / "song", self._folder / "tracks"
        path.write_bytes(data)
        settings = read_settings(SeparationSettings, model="original", scratch=self._folder)
        links = self._folder / "links"
        dumped = settings.model_dump(mode="json")
        order = Order(str(path), str(tracks), str(links), name, ("original",), dumped)
        try:
            await self._child.separate(order, lambda _: None)
            end = "complete"
        except AudioError as error:
            end = error.code
        except OctetError as error:
            end = error.code
            self.wrong.append(f"{name} ended with {error.code}: {error}")
        finally:
            for folder in (tracks, links):
                shutil.rmtree(folder, ignore_errors=True)
        self.ends[end] += 1
        return end


@linux
async def test_mutated_songs_end_in_a_result_or_in_an_error_of_their_own(
    tmp_path: Path, record_property: Record
) -> None:
    songs = seeds(tmp_path)
    child = Child(stall=PATIENCE, memory_limit=CAP)
    bench = Bench(child, tmp_path)
    try:
        # given a process in which the songs themselves are read
        for name, data in songs.items():
            assert await bench.separate(name, data) == "complete"
        bench.ends.clear()
        pid = child.pid
        # when they come mutated
        for number in range(rounds(100, 10_000)):
            name, data = mutated(songs, number)
            await bench.separate(f"{name} ({number})", data)
        # then it lives, has kept within its memory, and still reads the songs
        assert not bench.wrong
        assert child.pid == pid is not None
        most = memory(pid, "VmHWM")
        assert most < CAP
        ends = Counter(bench.ends)
        for name, data in songs.items():
            assert await bench.separate(name, data) == "complete"
    finally:
        await child.stop()
    record_property(
        "figure",
        f"{ends.total()} mutated songs of {len(songs)} kinds through one computing process:"
        f" {_told(ends)}; it took {most:.0f} MiB at most",
    )


async def in_the_service(service: Service, api: httpx.AsyncClient, data: bytes) -> str:
    """Puts a song on the queue through the API or, if that refuses it, past it; its name."""
    answer = await api.post("/v1/jobs", content=data)
    if answer.status_code == 202:
        return str(answer.json()["id"])
    assert answer.status_code in (400, 413, 415, 422), answer.text
    assert answer.json()["code"] in NOT_AUDIO, "it says why"
    return await service.push(await service.put(data))


def more(folder: Path) -> dict[str, tuple[bytes, frozenset[str]]]:
    """Mutated songs, others than those of the test above."""
    songs = seeds(folder)
    numbers = range(1_000_000, 1_000_000 + MORE)
    return {f"mutation {number}": (mutated(songs, number)[1], ANY) for number in numbers}


@linux
async def test_hostile_songs_harm_neither_the_service_nor_the_next_song(
    service: Service, tmp_path: Path, record_property: Record
) -> None:
    sent: list[object] = []
    listener = await asyncio.start_server(lambda *ends: sent.append(ends), "127.0.0.1", 0)
    address = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    secret = tmp_path / "secret.wav"
    secret.write_bytes(song(99, 1.0, 44_100))
    settings = {
        "OCTET_MEMORY_LIMIT": str(CAP),
        "OCTET_STALL": str(PATIENCE),
        "OCTET_MAX_SECONDS": str(LONGEST),
        "OCTET_ATTEMPTS": str(rounds(1, 3)),
        "OCTET_FALLBACK": "none",
        "OCTET_LEASE": "10",
    }
    # given an API and a worker
    async with listener, api_process(service) as (api_pid, api):
        with crew(service, **settings) as people:
            worker = people.hire()
            # when songs come that were made to do harm, after each ten a sound one
            songs = crafted(address, str(secret), seeds(tmp_path), LONGEST) | more(tmp_path)
            jobs, sound_ones = [], []
            for number, (data, _) in enumerate(songs.values()):
                jobs.append(await in_the_service(service, api, data))
                if number % 10 == 9:
                    sound_ones.append(await service.push(await service.put(song(number))))
            # then each of them ends as it may, and the sound ones are complete
            ends: Counter[str] = Counter()
            for job_id, (name, (_, allowed)) in zip(jobs, songs.items(), strict=True):
                job = await service.ended(job_id, rounds(60, 900))
                end = job.error.code if job.error else str(job.outcome)
                assert end in allowed, f"{name} ended with {end}: {job.error}"
                ends[end] += 1
            done = await service.all_ended(sound_ones)
            assert {job.outcome for job in done} == {"complete"}
            # and nobody died, or grew, or was sent anywhere
            assert worker.process.poll() is None
            figures = [memory(pid, "VmHWM") for pid in (api_pid, worker.process.pid)]
            assert max(figures) < CAP
    assert not sent, "a song sent its reader elsewhere"
    assert await service.client.llen(keys.INFLIGHT) == await service.queue.depth() == 0
    record_property(
        "figure",
        f"{len(songs)} through API and worker, {len(songs) - MORE} of them crafted:"
        f" {_told(ends)}; {len(done)} sound ones behind them complete; API and supervisor took"
        f" {figures[0]:.0f} and {figures[1]:.0f} MiB at most",
    )


def _told(ends: Counter[str]) -> str:
    return ", ".join(f"{count} {end}" for end, count in ends.most_common())
