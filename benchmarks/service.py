"""What the service adds: submissions a second, from push to claim, and around a separation."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import octet
from octet.jobs.claims import Claims
from octet.jobs.connection import connect
from octet.jobs.embedded import EmbeddedServer
from octet.jobs.job import JobRequest
from octet.jobs.queue import JobQueue

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = 20
SONGS = 200
WAITING = 10_000
PUSHES = 200


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
            idle = await _push_to_claim(server.url)
            await _submissions(JobQueue(client), "many", WAITING)
            claims = await _claims(Claims(client, "bench"))
        finally:
            await client.aclose()
    return [
        "Queue (private Valkey, fsync at every change):",
        f"- {SONGS} songs by {CLIENTS} clients at once: {rate:.0f} submissions a second",
        f"- from push to claim, {PUSHES} times: {_spread(idle)}",
        f"- a claim and its end while {WAITING} wait: {_spread(claims)}",
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


def overhead(song: Path, rounds: int) -> list[str]:
    """What `octet up` adds to a separation: the song goes up, waits, and its tracks come back."""
    shares = []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "octet", "up", "--data-dir", folder, "--port", "0"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            url = _address(process)
            with octet.Client(url) as client:
                for number in range(rounds + 1):
                    copy = Path(folder) / f"{number}.wav"
                    # Another song each time, or it would be recognised and not be separated.
                    copy.write_bytes(song.read_bytes() + bytes(number))
                    start = time.perf_counter()
                    job = client.wait(client.submit(copy)["id"])
                    whole = time.perf_counter() - start
                    inside = client.manifest(job["id"])["timings"]["total"]
                    shares.append((whole - inside) / inside)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
    counted = sorted(shares[1:])  # the first one also loads the model
    return [
        f"What the service adds to a separation of {song.name} with pocket: "
        f"{statistics.median(counted) * 100:.1f} % ({counted[0] * 100:.1f} to "
        f"{counted[-1] * 100:.1f})",
    ]


def _address(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        if line.startswith("Octet is ready at "):
            return line.split()[4]
    raise SystemExit("the service did not start")


def _spread(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    tail = ordered[int(len(ordered) * 0.99) - 1]
    return f"median {statistics.median(ordered) * 1e3:.1f} ms, 99th percentile {tail * 1e3:.1f} ms"
