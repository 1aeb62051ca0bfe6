"""Songs are fetched from real servers, and end in one job or one error, whoever is killed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from octet.intake.imports import Importer
from octet.jobs.import_job import Import, ImportRequest
from octet.jobs.imports import Imports
from octet.jobs.job import Callback, JobRequest
from octet.jobs.outbox import Outbox
from octet.jobs.queue import JobQueue
from octet.jobs.server import connect
from octet.results.keys import ResultKeys
from octet.results.publication import Publication
from octet.results.recipe import Offer
from octet.separation.models.registry import REGISTRY
from octet.settings import SeparationSettings, ServiceSettings, read_settings
from octet.storage.open import Buckets, open_buckets
from octet.tracks import TRACKS
from tests.api.songs import name_of, song
from tests.api.worker import track_bytes
from tests.intake.program import STEPS
from tests.jobs.songs import until
from tests.outbound.receiver import Received, receiver, says
from tests.results.made import manifest, track

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from redis.asyncio import Redis

pytestmark = pytest.mark.anyio

SONG = song(1, 300_000)
NAME = name_of(SONG)
HOOK = Callback("http://example.org/told", kind="event")


@dataclass
class Place:
    """A queue, a store, and whoever fetches: all real."""

    client: Redis
    url: str
    settings: ServiceSettings
    imports: Imports
    queue: JobQueue
    buckets: Buckets
    offer: Offer

    def importer(self, **more: Any) -> Importer:
        given = {"pauses": (0.05, 0.05), "idle": 0.02, "patience": 2.0, **more}
        return Importer(self.imports, self.queue, self.buckets, self.offer, self.settings, **given)

    @contextlib.asynccontextmanager
    async def fetching(self, count: int = 1, **more: Any) -> AsyncIterator[None]:
        """With so many importers at work."""
        tasks = [asyncio.create_task(self.importer(**more).run()) for _ in range(count)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def add(self, url: str, **more: Any) -> str:
        found = await self.imports.add(
            ImportRequest(url, self.offer.default.to_dict(), **{"callbacks": (HOOK,), **more})
        )
        assert not isinstance(found, str)
        return found[0].id

    async def seen(self, name: str) -> Import:
        found = await self.imports.get(name)
        assert found is not None
        return found

    async def until(self, name: str, *states: str) -> Import:
        async def there() -> bool:
            return (await self.seen(name)).state in states

        await until(there)
        return await self.seen(name)

    async def objects(self) -> list[str]:
        return [entry.key async for entry in self.buckets.queue.list()]

    async def told(self) -> list[str]:
        return [one.body for one in await Outbox(self.client).claim(100)]


@pytest.fixture
async def place(valkey_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    settings = read_settings(
        ServiceSettings,
        redis_url=valkey_url,
        storage=f"file://{tmp_path / 'store'}",
        allow_hosts=("127.0.0.1",),
        max_upload=10**6,
    )
    client, buckets = connect(valkey_url), open_buckets(settings)
    await buckets.ensure()
    offer = Offer.of(read_settings(SeparationSettings), REGISTRY)
    queue = JobQueue(client, offer.complete)
    yield Place(client, valkey_url, settings, Imports(client), queue, buckets, offer)
    await client.aclose()


async def test_a_song_is_fetched_and_becomes_a_job(place: Place) -> None:
    async with receiver(lambda _: says(200, SONG)) as server, place.fetching():
        name = await place.add(server.url(), name="Lied", priority="high")
        done = await place.until(name, "submitted")

    assert done.job == NAME
    job = await place.queue.get(NAME)
    assert job is not None
    assert (job.state, job.name, job.priority) == ("waiting", "Lied", "high")
    assert (job.bucket, job.object) == ("demucs-bucket", f"queue/{NAME}.mp3")
    assert await place.objects() == [f"queue/{NAME}.mp3"]
    assert await place.buckets.queue.get_bytes(f"queue/{NAME}.mp3") == SONG
    # whose end tells its client
    await place.queue.cancel(NAME)
    [event] = await place.told()
    assert f'"import":"{name}"' in event


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (says(404), "remote-refused"),
        (says(200, b"this is no song" * 9), "not-audio"),
        (says(200, b""), "not-audio"),
        (says(200, song(1, 1_000_001)), "limit"),
        (says(200, b"", Content_Length=str(10**12)), "limit"),
        (says(302, Location="http://10.0.0.1/"), "forbidden-address"),
        (says(302, Location="file:///etc/passwd"), "forbidden-address"),
    ],
)
async def test_what_cannot_be_helped_fails_at_once(place: Place, answer: bytes, code: str) -> None:
    async with receiver(lambda _: answer) as server, place.fetching():
        name = await place.add(server.url())
        failed = await place.until(name, "failed")
        assert len(server.requests) == 1

    assert failed.error is not None
    assert failed.error.code == code
    assert await place.objects() == []
    assert await place.queue.depth() == 0
    [event] = await place.told()
    assert f'"code":"{code}"' in event


async def test_a_name_that_leads_inside_is_forbidden(place: Place) -> None:
    place.settings = place.settings.model_copy(update={"allow_hosts": ()})
    async with receiver(lambda _: says(200, SONG)) as server, place.fetching():
        name = await place.add(server.url(host="localhost"))
        failed = await place.until(name, "failed")
        assert server.requests == []
    assert failed.error is not None
    assert failed.error.code == "forbidden-address"


@pytest.mark.parametrize(
    "trouble", [says(503), says(429), says(200, SONG[:1000], Content_Length="300000"), b""]
)
async def test_a_server_in_trouble_is_asked_again(place: Place, trouble: bytes) -> None:
    answers = [trouble, trouble, says(200, SONG)]
    async with receiver(lambda _: answers.pop(0)) as server, place.fetching():
        done = await place.until(await place.add(server.url()), "submitted")
    assert (done.job, done.attempts, done.error) == (NAME, 3, None)


async def test_a_server_that_stays_away_is_given_up(place: Place) -> None:
    async with place.fetching():
        failed = await place.until(await place.add("http://127.0.0.1:1/"), "failed")
    assert failed.attempts == 3
    assert failed.error is not None
    assert failed.error.code == "remote-unavailable"


async def test_a_server_that_drips_is_left_in_the_end(place: Place) -> None:
    async with (
        receiver(lambda _: says(200, SONG), drip=0.02) as server,
        place.fetching(longest=0.5),
    ):
        failed = await place.until(await place.add(server.url()), "failed")
    assert failed.error is not None
    assert failed.error.code == "remote-refused"
    assert failed.attempts == 1


async def test_how_far_it_is_is_told_and_a_cancel_ends_it(place: Place) -> None:
    # given a server that stops after the first half
    half = says(200, SONG)[:150_000]
    silence = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(half)
        with contextlib.suppress(OSError):
            await writer.drain()
            await silence.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with place.fetching(patience=30.0):
        name = await place.add(f"http://127.0.0.1:{port}/")

        async def begun() -> bool:
            return (await place.seen(name)).arrived > 0

        await until(begun)
        assert (await place.seen(name)).size == len(SONG)
        # when its end is asked for
        began = time.monotonic()
        await place.imports.cancel(name)
        ended = await place.until(name, "cancelled")
    silence.set()
    server.close()

    # then it ends within a renewal or two, and leaves nothing
    assert time.monotonic() - began < 3
    assert ended.error is None
    assert await place.objects() == []
    assert await place.queue.depth() == 0


async def test_a_cancel_at_the_last_moment_leaves_no_song(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a cancel that comes when the song lies in its place already
    copy = place.buckets.queue.copy

    async def cancelled_then(source: str, target: str) -> None:
        await copy(source, target)
        if target.startswith("queue/"):
            await place.imports.cancel(name)

    monkeypatch.setattr(place.buckets.queue, "copy", cancelled_then)
    async with receiver(lambda _: says(200, SONG)) as server:
        name = await place.add(server.url())
        async with place.fetching():
            await place.until(name, "cancelled")

            async def gone() -> bool:
                return not await place.objects()

            await until(gone)
    assert await place.queue.depth() == 0


async def test_two_fetchers_share_what_is_due(place: Place) -> None:
    songs = [song(number, 5000) for number in range(20)]

    def answer(request: Received) -> bytes:
        return says(200, songs[int(request.line.split()[1].lstrip("/"))])

    async with receiver(answer) as server:
        names = [await place.add(server.url(f"/{number}")) for number in range(20)]
        async with place.fetching(2):
            done = [await place.until(name, "submitted") for name in names]
        assert len(server.requests) == 20

    assert [one.job for one in done] == [name_of(data) for data in songs]
    assert await place.queue.depth() == 20
    assert len(await place.objects()) == 20


async def test_a_fetcher_that_sleeps_through_its_lease_submits_nothing(place: Place) -> None:
    """The token decides, whoever believes what."""
    async with receiver(lambda _: says(200, SONG)) as server:
        name = await place.add(server.url())
        [late] = await place.imports.claim(1, lease=0.01)
        await asyncio.sleep(0.02)
        async with place.fetching():
            await place.until(name, "submitted")
        await place.queue.cancel(NAME)
        request = JobRequest(song=NAME, recipe=late.record.recipe)
        assert await place.imports.submit(late, request, answered=False) == "lost"
    assert await place.queue.depth() == 0


async def test_one_slow_host_leaves_room_for_others(place: Place) -> None:
    async with receiver(lambda _: None) as silent, receiver(lambda _: says(200, SONG)) as server:
        for _ in range(10):
            await place.add(silent.url())
        async with place.fetching(at_once=3, per_host=2, patience=30.0):
            await asyncio.sleep(0.2)
            await place.until(await place.add(server.url()), "submitted")
            assert len(silent.requests) == 2


async def test_a_stop_lets_go_at_once_and_costs_no_attempt(place: Place) -> None:
    async with receiver(lambda _: None) as server:
        name = await place.add(server.url())
        async with place.fetching(patience=30.0):

            async def asked() -> bool:
                return bool(server.requests)

            await until(asked)
    assert await place.imports.next_due() == 0
    assert (await place.seen(name)).attempts == 0


async def test_an_outage_of_the_store_costs_no_attempt(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from octet.errors import StorageUnavailableError

    failing = [True]
    put = place.buckets.queue.put_stream

    async def put_stream(*given: Any, **named: Any) -> None:
        if failing.pop() if failing else False:
            raise StorageUnavailableError("it is away")
        await put(*given, **named)

    monkeypatch.setattr(place.buckets.queue, "put_stream", put_stream)
    monkeypatch.setattr("octet.intake.imports._OUTAGE", 0.05)
    async with receiver(lambda _: says(200, SONG)) as server, place.fetching():
        done = await place.until(await place.add(server.url()), "submitted")
    assert done.attempts == 1


async def test_a_result_that_is_there_answers(place: Place, tmp_path: Path) -> None:
    # given a result of which no job is recorded
    recipe = place.offer.default
    publication = Publication(place.buckets.output, ResultKeys(NAME), "t")
    tracks = {}
    for one in TRACKS:
        path = tmp_path / f"{one}.mp3"
        path.write_bytes(track_bytes(NAME, one))
        await publication.add(one, path)
        tracks[one] = track(path.name, path.read_bytes())
    await publication.commit(manifest(recipe, tracks, song=NAME))

    async with receiver(lambda _: says(200, SONG)) as server, place.fetching():
        done = await place.until(await place.add(server.url()), "submitted")

    assert done.job == NAME
    assert await place.queue.depth() == 0
    assert await place.objects() == []
    [event] = await place.told()
    assert '"type":"job.done"' in event


@pytest.mark.parametrize("step", STEPS)
async def test_a_fetcher_that_is_killed_loses_and_doubles_nothing(place: Place, step: str) -> None:
    # given a fetcher that dies at this step
    slowly = says(200, SONG)
    command = [sys.executable, "-m", "tests.intake.program", place.url, place.settings.storage]
    async with receiver(lambda _: slowly, drip=0) as server:
        if step == "fetching":
            server.answer = lambda _: says(200, SONG[:-1], Content_Length=str(len(SONG)))
            server.linger = 3.0
        name = await place.add(server.url())
        died = await asyncio.create_subprocess_exec(*command, step)
        assert await asyncio.wait_for(died.wait(), 20) == -signal.SIGKILL
        server.answer, server.linger = (lambda _: slowly), 0.0
        # when another one is there
        other = await asyncio.create_subprocess_exec(*command)
        try:
            done = await place.until(name, "submitted")
            await asyncio.sleep(0.1)
        finally:
            other.kill()
            await other.wait()

    # then the song was fetched again unless its job was there, and it is one job
    assert len(server.requests) == (1 if step == "submitted" else 2)
    assert done.job == NAME
    assert await place.queue.depth() == 1
    staged = [key for key in await place.objects() if key.startswith(".staging/")]
    assert len(staged) <= 1  # of the dead one, for the sweep
    assert await place.buckets.queue.get_bytes(f"queue/{NAME}.mp3") == SONG


async def test_what_kills_each_fetcher_is_given_up(place: Place) -> None:
    async with receiver(lambda _: says(200, SONG)) as server:
        name = await place.add(server.url())
        for _ in range(3):  # three that died
            await place.imports.claim(1, lease=0.01)
            await asyncio.sleep(0.02)
        async with place.fetching():
            failed = await place.until(name, "failed")
        assert server.requests == []
    assert failed.error is not None
    assert failed.error.code == "computation"
