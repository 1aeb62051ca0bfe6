"""What the service adds: submissions a second, from push to claim, and around a separation."""

from __future__ import annotations

import asyncio
import hashlib
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import octet
from benchmarks import load
from octet.jobs.claims import Claims
from octet.jobs.embedded import EmbeddedServer
from octet.jobs.job import JobRequest
from octet.jobs.queue import JobQueue
from octet.jobs.server import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = 20
SONGS = 200
WAITING = 10_000
PUSHES = 200
REQUESTS = 500


def queue_figures() -> list[str]:
    """On a private Valkey with fsync at every change, as `octet up` has it."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_queue_figures(Path(folder)))


async def _queue_figures(folder: Path) -> list[str]:
    async with EmbeddedServer(folder) as server:
        client = connect(server.url)
        try:
            rate = await _submissions(JobQueue(client), "waits", SONGS)
            await client.flushall()
            few = await _few(JobQueue(client), Claims(client, "bench"))
            idle = await _push_to_claim(server.url)
            await _submissions(JobQueue(client), "many", WAITING)
            claims = await _claims(Claims(client, "bench"))
            disk = _disk(folder)
        finally:
            await client.aclose()
    return [
        "Queue (private Valkey, fsync at every change):",
        f"- {SONGS} songs by {CLIENTS} clients at once: {rate:.0f} submissions a second",
        f"- from push to claim, {PUSHES} times: {load.spread(idle)}",
        f"- a claim and its end while few wait: {load.spread(few)}; while {WAITING} wait: "
        f"{load.spread(claims)}",
        f"- for comparison, one write to this disk (fdatasync): {load.spread(disk)}; from push to "
        "claim takes two of them, a claim and its end three",
    ]


def _song(kind: str, number: int) -> JobRequest:
    return JobRequest(song=hashlib.sha256(f"{kind} {number}".encode()).hexdigest())


async def _submissions(queue: JobQueue, kind: str, count: int) -> float:
    numbers: Iterator[int] = iter(range(count))

    async def submit_some() -> None:
        for number in numbers:
            await queue.submit(_song(kind, number))

    start = time.perf_counter()
    await asyncio.gather(*(submit_some() for _ in range(CLIENTS)))
    return count / (time.perf_counter() - start)


async def _push_to_claim(url: str) -> list[float]:
    """Seconds from a producer's LPUSH to the claim of a worker that waits."""
    producer, consumer = connect(url), connect(url)
    claims, seconds = Claims(consumer, "bench"), []
    try:
        for number in range(PUSHES):
            waiting = asyncio.create_task(claims.take(10))
            await asyncio.sleep(0.02)  # until it blocks on the list
            start = time.perf_counter()
            await producer.execute_command("LPUSH", "toWorker", _song("push", number).song)  # type: ignore[no-untyped-call]  # the client's
            claim = await waiting
            seconds.append(time.perf_counter() - start)
            if claim is None:
                raise SystemExit("a job that was pushed was not claimed")
            await claims.finish(claim, "complete")
    finally:
        await claims.leave()
        await producer.aclose()
        await consumer.aclose()
    return seconds


async def _few(queue: JobQueue, claims: Claims) -> list[float]:
    """The same as `_claims`, while no more than that wait."""
    await _submissions(queue, "few", PUSHES)
    return await _claims(claims)


async def _claims(claims: Claims) -> list[float]:
    seconds = []
    for _ in range(PUSHES):
        start = time.perf_counter()
        claim = await claims.take(10)
        if claim is None:
            raise SystemExit("a job that waits was not claimed")
        await claims.finish(claim, "complete")
        seconds.append(time.perf_counter() - start)
    await claims.leave()
    return seconds


def load_figures() -> list[str]:
    """The whole service with `pocket`, many clients, and a long queue."""
    figures = load.measure(SONGS, CLIENTS, WAITING, REQUESTS)
    return load.lines(figures, SONGS, CLIENTS, WAITING)


def overhead(song: Path, rounds: int) -> list[str]:
    """What `octet up` adds to a separation: the song goes up, waits, and its tracks come back."""
    runs, answers = [], []
    with load.up() as service, octet.Client(service.url) as client:
        for number in range(rounds + 1):
            copy = service.folder / f"{number}.wav"
            # Another song each time, or it would be recognised and not be separated.
            copy.write_bytes(song.read_bytes() + bytes(number))
            start = time.perf_counter()
            job = client.wait(client.submit(copy)["id"])
            whole = time.perf_counter() - start
            inside = client.manifest(job["id"])["timings"]["total"]
            runs.append((whole - inside, inside))
        copy.write_bytes(song.read_bytes() + bytes(rounds + 1))
        long_job = client.submit(copy)["id"]
        taken = service.processor("api")
        while client.job(long_job)["state"] in ("waiting", "running"):
            answers += load.answers(service.url, job["id"], 50)
        taken = service.processor("api") - taken
    counted = runs[1:]  # the first one also loads the model
    shares = sorted(added / inside for added, inside in counted)
    seconds = statistics.median(added for added, _ in counted)
    return [
        f"What the service adds to a separation of {song.name} with pocket: "
        f"{statistics.median(shares) * 100:.1f} % ({shares[0] * 100:.1f} to "
        f"{shares[-1] * 100:.1f}), {seconds:.2f} s",
        f"- {len(answers)} answers of the API while the worker computes: {load.spread(answers)}; "
        f"they took {taken / len(answers) * 1e3:.1f} ms of a processor each",
    ]


def _disk(folder: Path) -> list[float]:
    """Seconds until this disk has what was appended to a file: no durable step is faster."""
    seconds = []
    with (folder / "appended").open("ab", buffering=0) as file:
        for _ in range(PUSHES):
            start = time.perf_counter()
            file.write(bytes(800))
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - start)
    return seconds
