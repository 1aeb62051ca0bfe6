"""The whole service under load: many clients at once, then a long queue.

`octet up` runs with a worker that computes all the while, on the same processors. What is
measured is what the clients see, and what the processes of the API and of the supervisor take.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import redis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MIB = 1024**2
_PACE = 0.02
"""Seconds between two requests of the client whose patience is measured."""

_LONGEST = 900.0


@dataclass
class Up:
    """A running `octet up`: its address, its folder, and its processes."""

    url: str
    folder: Path
    process: subprocess.Popen[str] = field(repr=False)

    def megabytes(self, command: str) -> float:
        """Memory in use of the process that runs `octet COMMAND`."""
        return float(self._child(command).memory_info().rss) / _MIB

    def processor(self, command: str) -> float:
        """Seconds of a processor that it has taken so far."""
        times = self._child(command).cpu_times()
        return float(times.user + times.system)

    @contextlib.contextmanager
    def held(self, command: str) -> Iterator[None]:
        """That process stands still meanwhile."""
        child = self._child(command)
        child.suspend()
        try:
            yield
        finally:
            child.resume()

    def _child(self, command: str) -> psutil.Process:
        for child in psutil.Process(self.process.pid).children():
            if child.cmdline()[-1] == command:
                return child
        raise SystemExit(f"octet {command} does not run")

    def queue(self) -> redis.Redis:
        """A plain client of its Valkey."""
        return redis.Redis(unix_socket_path=str(self.folder / "valkey" / "valkey.sock"))


@contextlib.contextmanager
def up(**environment: str) -> Iterator[Up]:
    """`octet up` on a folder of its own, stopped in order at the end."""
    with tempfile.TemporaryDirectory(prefix="octet-") as folder:
        command = [sys.executable, "-m", "octet", "up", "--data-dir", folder, "--port", "0"]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment},
        )
        try:
            yield Up(_address(process), Path(folder), process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
            assert process.stdout is not None  # noqa: S101  # it was asked for
            process.stdout.close()


def _address(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        if line.startswith("Octet is ready at "):
            return line.split()[4]
    raise SystemExit("the service did not start")


def song(number: int, seconds: float = 0.5) -> bytes:
    """A WAV file of noise; each number is another one."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(44100)
        out.writeframes(random.Random(number).randbytes(2 * int(44100 * seconds)))  # noqa: S311  # noise
    return file.getvalue()


@dataclass(frozen=True)
class Figures:
    """What was seen.

    Attributes:
        rate: songs accepted a second, while all clients submit at once.
        submitting: seconds of each of those requests.
        answers: seconds of requests while the worker computes and a few jobs wait.
        answers_long: the same with the long queue.
        claims, claims_long: seconds from the end of one job, or the acceptance of the next if
            that was later, to the claim of the next.
        api, supervisor: MiB of each process: before, after the songs, with the long queue.
        in_order: whether the jobs were claimed in the order in which they were accepted.
        listed: whether the long queue was listed whole and in its order.
    """

    rate: float
    submitting: Sequence[float]
    answers: Sequence[float]
    answers_long: Sequence[float]
    claims: Sequence[float]
    claims_long: Sequence[float]
    api: Sequence[float]
    supervisor: Sequence[float]
    in_order: bool
    listed: bool


def measure(songs: int, clients: int, waiting: int, requests: int, **environment: str) -> Figures:
    """Submits songs and times answers; then the same songs' number with a long queue behind.

    The worker stands still until that queue is there: a fast one would be done before.

    Args:
        songs: how many are submitted, each time.
        clients: at once.
        waiting: length of the long queue.
        requests: whose answers are timed, with each queue.
        environment: further settings.
    """
    with up(**environment) as service, httpx.Client(base_url=service.url, timeout=60) as client:
        first = _submit(client, 0)[0]
        _until_done(client, 1)
        memory = [_memory(service)]
        rate, submitting = _submit_all(client, range(1, songs + 1), clients)
        few = answers(service.url, first, requests)
        _until_done(client, songs + 1)
        memory.append(_memory(service))

        names = [f"{number:064x}" for number in range(waiting)]
        with service.held("worker"), service.queue() as plain:
            _submit_all(client, range(songs + 1, 2 * songs + 1), clients)
            plain.lpush("toWorker", *names)
        many = answers(service.url, first, requests)
        listed = _in_turn(client.get("/apiv1/queue").json()["queue"], names)
        _until_done(client, 2 * songs + 1)
        memory.append(_memory(service))
        jobs = _done(client)
    starts = [job.started for job in jobs]
    return Figures(
        rate=rate,
        submitting=submitting,
        answers=few,
        answers_long=many,
        claims=_gaps(jobs[1 : songs + 1]),
        claims_long=_gaps(jobs[songs + 1 :]),
        api=[megabytes for megabytes, _ in memory],
        supervisor=[megabytes for _, megabytes in memory],
        in_order=starts == sorted(starts),
        listed=listed,
    )


def lines(figures: Figures, songs: int, clients: int, waiting: int) -> list[str]:
    """The figures as text."""
    api, supervisor = (
        " -> ".join(f"{megabytes:.0f}" for megabytes in of)
        for of in (figures.api, figures.supervisor)
    )
    return [
        f"`octet up` while its worker computes, {songs} songs over REST, then as many "
        f"again with {waiting} jobs behind them:",
        f"- {clients} clients at once: {figures.rate:.0f} songs accepted a second, each request "
        f"{spread(figures.submitting)}",
        f"- answers to another client: {spread(figures.answers)}; with {waiting} waiting "
        f"{spread(figures.answers_long)}",
        f"- from a job's end to the next claim: {spread(figures.claims)}; with {waiting} waiting "
        f"{spread(figures.claims_long)}",
        f"- memory before, after {songs} songs, with {waiting} waiting: API {api} MiB, "
        f"supervisor {supervisor} MiB",
        f"- jobs claimed in their order: {figures.in_order}; queue listed in its order: "
        f"{figures.listed}",
    ]


def spread(seconds: Sequence[float]) -> str:
    """Median and tail as text."""
    middle, tail = statistics.median(seconds), percentile(seconds, 0.99)
    return f"median {middle * 1e3:.1f} ms, 99th percentile {tail * 1e3:.1f} ms"


def percentile(seconds: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return sorted(seconds)[max(0, math.ceil(len(seconds) * share) - 1)]


def _submit(client: httpx.Client, number: int) -> tuple[str, float]:
    """The job's id, and how long its acceptance took."""
    data = song(number)
    begun = time.perf_counter()
    answer = client.post("/v1/jobs", content=data)
    seconds = time.perf_counter() - begun
    answer.raise_for_status()
    return str(answer.json()["id"]), seconds


def _submit_all(
    client: httpx.Client, songs: Sequence[int], clients: int
) -> tuple[float, list[float]]:
    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        sent = list(pool.map(lambda number: _submit(client, number), songs))
    return len(songs) / (time.perf_counter() - begun), [seconds for _, seconds in sent]


def answers(url: str, song_id: str, requests: int) -> list[float]:
    """What clients ask for while they wait, and how long each answer took."""
    paths = (
        "/healthz",
        f"/v1/jobs/{song_id}",
        "/v1/jobs?limit=20",
        f"/v1/songs/{song_id}",
        f"/v1/songs/{song_id}/tracks/vocals",
        f"/apiv1/track/{song_id}/bass.mp3",
    )
    seconds = []
    with httpx.Client(base_url=url, timeout=60) as client:
        client.get("/healthz")  # connects
        for number in range(requests):
            begun = time.perf_counter()
            client.get(paths[number % len(paths)]).raise_for_status()
            seconds.append(time.perf_counter() - begun)
            time.sleep(_PACE)
    return seconds


@dataclass(frozen=True)
class _Done:
    """When a job was accepted, claimed and done."""

    created: datetime
    started: datetime
    finished: datetime

    @classmethod
    def of(cls, job: dict[str, Any]) -> _Done:
        """From the API's view of it."""
        return cls(*(datetime.fromisoformat(job[k]) for k in ("created", "started", "finished")))


def _done(client: httpx.Client) -> list[_Done]:
    """The jobs that are done, in the order in which they were accepted."""
    found: list[dict[str, Any]] = []
    query: dict[str, str | int] = {"state": "done", "limit": 200}
    while True:
        page = client.get("/v1/jobs", params=query).json()
        found += page["jobs"]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    return [_Done.of(job) for job in reversed(found)]


def _in_turn(queue: Sequence[str], names: Sequence[str]) -> bool:
    """Whether all are in the queue in their order, but for the few that were tried already.

    Nobody has put their songs into the bucket: whichever is taken waits again, behind the rest.
    """
    place = {name: number for number, name in enumerate(names)}
    found = [place[name] for name in queue if name in place]
    steps_back = sum(after < before for before, after in itertools.pairwise(found))
    return len(found) >= len(names) - 1 and steps_back <= 1


def _until_done(client: httpx.Client, count: int) -> None:
    until = time.monotonic() + _LONGEST
    while client.get("/v1/queue?limit=0").json()["counts"]["done"] < count:
        if time.monotonic() > until:
            raise SystemExit(f"{count} songs were not separated within {_LONGEST:.0f} s")
        time.sleep(0.2)


def _memory(service: Up) -> tuple[float, float]:
    return service.megabytes("api"), service.megabytes("worker")


def _gaps(jobs: Sequence[_Done]) -> list[float]:
    """Seconds from when each but the first could be claimed, the one before being done, to then."""
    return [
        (job.started - max(one.finished, job.created)).total_seconds()
        for one, job in itertools.pairwise(jobs)
    ]
