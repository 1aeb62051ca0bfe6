"""A service for the tests of its workers: a real queue, a real store, songs, and workers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import wave
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from octet.jobs.queue import JobQueue
from octet.results.keys import STAGING
from octet.settings import SeparationSettings, ServiceSettings
from octet.storage.open import open_buckets
from octet.tracks import TRACKS
from octet.worker.supervisor import Supervisor
from tests.servers import missing
from tests.worker.program import COMPUTE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from redis.asyncio import Redis

    from octet.jobs.job import Job


def song(number: int = 0, seconds: float = 0.2, rate: int = 8000) -> bytes:
    """A WAV file of quiet noise; each number is another one."""
    noise = np.random.default_rng(number).integers(-3000, 3000, int(seconds * rate), np.int16)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(noise.tobytes())
    return file.getvalue()


def name_of(data: bytes) -> str:
    """The name of a song: the SHA-256 of its bytes."""
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of so many MiB, mounted on a new folder; skips where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        missing("mounting a small disk needs Linux and root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """A file that takes all the room of a disk but so many MiB, whoever else writes there."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        size = 0
        while (free := shutil.disk_usage(disk).free - leave * 1024**2) > 0:
            with contextlib.suppress(OSError):  # somebody was quicker
                os.posix_fallocate(file.fileno(), size, free)
                size += free
    return ballast


@dataclass
class Service:
    """Everything but the workers.

    Attributes:
        client: of an empty queue server at `url`.
        storage: as OCTET_STORAGE; `more` holds further settings of the store.
        scratch: the folder for the workers' scratch folders.
        environment: the same as `more`, for processes.
    """

    client: Redis
    url: str
    storage: str
    scratch: Path
    more: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.queue = JobQueue(self.client)
        self.buckets = open_buckets(self.settings())

    def settings(self, **changes: Any) -> ServiceSettings:
        """Of a worker; the lease is short."""
        given = {"redis_url": self.url, "storage": self.storage, "lease": 3.0, **self.more}
        return ServiceSettings(**{**given, **changes})

    def defaults(self, **changes: Any) -> SeparationSettings:
        """Of its separations; nothing is computed unless a test asks for it."""
        return SeparationSettings(**{"model": "original", "scratch": self.scratch, **changes})

    async def put(self, data: bytes, key: str | None = None) -> str:
        """Uploads a song, as a client of the contract does, and returns its name."""
        name = name_of(data)
        await self.buckets.queue.put_bytes(key or f"queue/{name}.mp3", data)
        return name

    async def push(self, name: str, **fields: Any) -> str:
        """Pushes a job as another producer does; returns its id."""
        bucket = self.buckets.queue.name
        message = {"hash": name, "bucket": bucket, "object": f"queue/{name}.mp3"}
        await self.push_raw(json.dumps({**message, "callback": None, **fields}))
        return name

    async def push_raw(self, message: str | bytes) -> None:
        """Pushes any message."""
        await self.client.lpush("toWorker", message)

    async def songs(self, count: int, **fields: Any) -> list[str]:
        """Uploads and pushes so many different songs."""
        names = [await self.put(song(number)) for number in range(count)]
        for name in names:
            await self.push(name, **fields)
        return names

    @contextlib.asynccontextmanager
    async def worker(
        self, defaults: dict[str, Any] | None = None, **changes: Any
    ) -> AsyncIterator[Supervisor]:
        """A worker in this process, with a child of its own; stops at the end."""
        supervisor = Supervisor(
            self.settings(**changes), self.defaults(**(defaults or {})), compute=COMPUTE
        )
        running = asyncio.create_task(supervisor.run(signals=False))
        try:
            yield supervisor
        finally:
            supervisor.stop()
            supervisor.stop()
            await running

    @contextlib.contextmanager
    def process(self, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker as a process of its own; killed at the end if it still runs."""
        process = self.start(**environment)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def start(self, **environment: str) -> subprocess.Popen[bytes]:
        """The same, for whoever ends it."""
        settings = {
            "OCTET_REDIS_URL": self.url,
            "OCTET_STORAGE": self.storage,
            "OCTET_SCRATCH": str(self.scratch),
            "OCTET_MODEL": "original",
            "OCTET_LEASE": "3",
            **self.environment,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "tests.worker.program"],
            env={**os.environ, **settings, **environment},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE if "QUIET" in environment else None,
        )

    async def job(self, job_id: str) -> Job:
        """The job's record."""
        job = await self.queue.get(job_id)
        assert job is not None, "nobody has claimed the job yet"
        return job

    async def ended(self, job_id: str, seconds: float = 30.0) -> Job:
        """The job once it has ended; TimeoutError if it does not within so many seconds."""
        async with asyncio.timeout(seconds):
            while True:
                job = await self.queue.get(job_id)
                if job is not None and job.ended:
                    return job
                await asyncio.sleep(0.02)

    async def ended_again(self, job_id: str, seconds: float = 30.0) -> Job:
        """The job once a further run of it has ended, which a message in the queue begins."""
        async with asyncio.timeout(seconds):
            while await self.queue.depth():  # noqa: ASYNC110 - it lies on a server
                await asyncio.sleep(0.02)
        return await self.ended(job_id, seconds)

    async def running_at(self, worker: str) -> list[str]:
        """The jobs that this worker has in its hands."""
        jobs = (await self.queue.jobs(state="running")).jobs
        return [job.id for job in jobs if job.worker == worker]

    async def unfit(self, worker: str, words: str, seconds: float = 60.0) -> str:
        """What a worker announces as its sickness, once it does so with these words."""
        async with asyncio.timeout(seconds):
            while True:
                known = (await self.queue.workers()).get(worker)
                sick = str(known.about.get("sick", "")) if known else ""
                if sick and words in sick:
                    return sick
                await asyncio.sleep(0.05)

    async def all_ended(self, job_ids: Iterable[str], seconds: float = 60.0) -> list[Job]:
        """All of them, once they have ended."""
        async with asyncio.timeout(seconds):
            return [await self.ended(job_id, seconds) for job_id in job_ids]

    async def running(self, job_id: str, seconds: float = 30.0, percent: float = 0.0) -> Job:
        """The job once it runs, and has come so far."""
        async with asyncio.timeout(seconds):
            while True:
                job = await self.queue.get(job_id)
                if job is not None and job.state == "running" and job.percent >= percent:
                    return job
                await asyncio.sleep(0.02)

    async def waits_again(self, job_id: str, seconds: float = 30.0) -> Job:
        """The job once an attempt has failed and it waits for the next."""
        async with asyncio.timeout(seconds):
            while True:
                job = await self.queue.get(job_id)
                if job is not None and job.state == "waiting" and job.error is not None:
                    return job
                await asyncio.sleep(0.02)

    async def running_any(self, seconds: float = 60.0) -> None:
        """Returns once any job runs, or none waits."""
        async with asyncio.timeout(seconds):
            while True:
                counts = await self.queue.counts()
                if counts["running"] or not counts["waiting"]:
                    return
                await asyncio.sleep(0.02)

    async def manifest(self, name: str) -> dict[str, Any] | None:
        """The published manifest of a song in the default recipe."""
        objects = await self.objects()
        key = f"{name}-manifest.json"
        return json.loads(await self.buckets.output.get_bytes(key)) if key in objects else None

    async def objects(self) -> set[str]:
        """All keys of the output bucket but the staged ones."""
        keys = {entry.key async for entry in self.buckets.output.list()}
        return {key for key in keys if not key.startswith(STAGING)}

    async def staged(self) -> set[str]:
        """The keys of the staging area."""
        return {entry.key async for entry in self.buckets.output.list(STAGING)}

    async def check_published(self, name: str) -> dict[str, Any]:
        """Asserts that a song's result is whole: eight files as the manifest describes them."""
        manifest = await self.manifest(name)
        assert manifest is not None, "no manifest"
        assert set(manifest["tracks"]) == set(TRACKS)
        for track, entry in manifest["tracks"].items():
            assert entry["key"] == f"{name}-{track}.mp3"
            data = await self.buckets.output.get_bytes(entry["key"])
            assert len(data) == entry["bytes"]
            assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        return manifest
