"""Songs go in, results come out, whatever else happens."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from octet.audio.decode import decode
from octet.audio.encode import Encoder
from octet.formats import Encoding
from octet.jobs.dead import DeadLetters
from octet.jobs.job import JobRequest
from octet.tracks import STEMS, TRACKS
from tests.worker.odd_compute import SHARES
from tests.worker.service import Service, name_of, song

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


def tone(path: Path, encoding: str = "mp3", seconds: float = 2.0) -> bytes:
    """A song of two tones, encoded."""
    time = np.arange(int(44_100 * seconds)) / 44_100
    encoder = Encoder(path, Encoding(encoding), 44_100)
    encoder.write(np.stack([np.sin(time * 2000), np.sin(time * 3000)]).astype(np.float32) * 0.3)
    encoder.close()
    return path.read_bytes()


def decoded(path: Path) -> np.ndarray:
    return np.concatenate(list(decode(path)), axis=1)


async def test_a_song_becomes_eight_files_and_a_manifest(service: Service, tmp_path: Path) -> None:
    data = tone(tmp_path / "song.mp3")
    name = await service.put(data)
    await service.push(name)

    async with service.worker():
        job = await service.ended(name)

    assert (job.state, job.outcome, job.attempts, job.error) == ("done", "complete", 1, None)
    manifest = await service.check_published(name)
    assert manifest["outcome"] == "complete"
    assert manifest["reason"] is None
    assert manifest["song"]["sha256"] == name
    assert manifest["song"]["samples"] == 88_200
    assert {"fetch", "separate", "encode", "upload"} <= set(manifest["timings"])
    assert await service.buckets.output.get_bytes(f"{name}-original.mp3") == data
    assert await service.objects() == {
        *(f"{name}-{track}.mp3" for track in TRACKS),
        f"{name}-manifest.json",
    }
    assert not await service.staged()


async def test_the_same_on_an_s3_service(ceph_service: Service, tmp_path: Path) -> None:
    data = tone(tmp_path / "song.mp3")
    name = await ceph_service.put(data)
    await ceph_service.push(name)

    async with ceph_service.worker():
        job = await ceph_service.ended(name)

    assert job.outcome == "complete"
    await ceph_service.check_published(name)
    head = await ceph_service.buckets.output.head(f"{name}-drums.mp3")
    assert head.content_type == "audio/mpeg"
    assert not await ceph_service.staged()


async def test_the_published_stems_sum_to_the_song(service: Service, tmp_path: Path) -> None:
    data = tone(tmp_path / "song.flac", "flac")
    name = await service.put(data)
    await service.push(name)

    async with service.worker({"model": "odd-shares", "format": "wav", "bits": 32}):
        await service.ended(name)

    for track in TRACKS:
        key = f"{name}-{track}.wav"
        await service.buckets.output.download(key, tmp_path / f"{track}.wav")
    tracks = {track: decoded(tmp_path / f"{track}.wav") for track in TRACKS}
    mix = decoded(tmp_path / "song.flac")
    assert np.abs(sum(tracks[stem] for stem in STEMS) - mix).max() < 1e-6
    assert np.abs(tracks["vocals"] - mix * SHARES["vocals"]).max() < 1e-6
    assert np.array_equal(tracks["original"], mix)


FOREIGN = (
    "{name}",
    '"{name}"',
    '{{"hash": "{name}"}}',
    '{{"songhash": "{name}", "extra": [1, 2]}}',
    '{{"hash": "{name}", "input_bucket": "demucs-bucket", "input_object": "queue/{name}.mp3"}}',
    '{{"hash": "{name}", "bucket": "elsewhere", "key": "some/where"}}',
)
UNREADABLE = ("", "{", "[1]", '{"nothing": 1}', b"\xff\xfe")


async def test_messages_of_other_producers_are_jobs(service: Service) -> None:
    # Placed by somebody else's client, who has registered nothing.
    names = [await service.put(song(number)) for number in range(len(FOREIGN))]
    elsewhere = service.buckets.named("elsewhere")
    await elsewhere.ensure()
    await elsewhere.put_bytes("some/where", song())
    top = await service.put(song(99), f"{name_of(song(99))}.mp3")
    for message in UNREADABLE:
        await service.push_raw(message)
    for message, name in zip(FOREIGN, names, strict=True):
        await service.push_raw(message.format(name=name))
    await service.push_raw(top)

    async with service.worker():
        jobs = await service.all_ended([*names, top])

    assert {job.outcome for job in jobs} == {"complete"}
    for name in (*names, top):
        await service.check_published(name)
    assert await DeadLetters(service.client).count() == len(UNREADABLE)


async def test_the_same_song_again_is_answered_from_its_manifest(service: Service) -> None:
    [name] = await service.songs(1)
    async with service.worker():
        await service.ended(name)
        first = await service.manifest(name)
        head = await service.buckets.output.head(f"{name}-vocals.mp3")
        await service.client.delete(f"octet:job:{name}")

        await service.push(name)
        job = await service.ended(name)

    assert job.outcome == "complete"
    assert await service.manifest(name) == first
    assert (await service.buckets.output.head(f"{name}-vocals.mp3")).modified == head.modified


async def test_a_result_of_another_default_model_makes_way(service: Service) -> None:
    [name] = await service.songs(1)
    async with service.worker():
        await service.ended(name)
    await service.client.delete(f"octet:job:{name}")

    await service.push(name)
    async with service.worker({"model": "odd-shares"}):
        await service.ended(name)

    assert (await service.check_published(name))["model"]["name"] == "odd-shares"


async def test_a_recipe_has_names_of_its_own(service: Service) -> None:
    name = await service.put(song())
    recipe = {"format": "flac", "tracks": ["vocals", "drums"], "bits": 24}
    key = "0123456789abcdef"
    request = JobRequest(song=name, recipe=recipe, key=key, name="my song.wav")
    await service.queue.submit(request)

    async with service.worker():
        await service.ended(request.job_id)

    folder = f"{name}/{key}"
    assert await service.objects() == {
        *(f"{folder}/{file}" for file in ("vocals.flac", "drums.flac", "manifest.json"))
    }
    manifest = json.loads(await service.buckets.output.get_bytes(f"{folder}/manifest.json"))
    assert manifest["settings"]["bits"] == 24
    assert manifest["song"]["name"] == "my song.wav"
    assert manifest["tracks"]["vocals"]["key"] == f"{folder}/vocals.flac"


async def test_a_model_that_another_producer_chose_has_the_plain_names_too(
    service: Service,
) -> None:
    name = await service.put(song())
    await service.push(name, model="odd-shares")

    async with service.worker():
        while not (jobs := (await service.queue.jobs()).jobs):  # noqa: ASYNC110 - on a server
            await asyncio.sleep(0.05)
        job = await service.ended(jobs[0].id)

    assert job.key, "it is not the default"

    assert (await service.check_published(name))["model"]["name"] == "odd-shares"


async def test_two_workers_share_twenty_jobs(service: Service) -> None:
    names = await service.songs(20)

    async with service.worker() as first, service.worker() as second:
        jobs = await service.all_ended(names)

    assert {job.outcome for job in jobs} == {"complete"}
    assert {job.attempts for job in jobs} == {1}
    assert {job.worker for job in jobs} == {first.worker, second.worker}
    for name in names:
        await service.check_published(name)
    assert await service.queue.depth() == 0
    assert not await service.staged()


async def test_progress_and_seconds_left_can_be_seen(service: Service) -> None:
    name = await service.put(song())
    await service.push(name)

    async with service.worker({"model": "odd-slow-5"}):
        job = await service.running(name, percent=30)

    assert 30 <= job.percent < 100
    assert job.left is not None
    assert 0 < job.left < 10


async def test_the_next_song_is_fetched_while_one_is_computed(service: Service) -> None:
    first, second = await service.songs(2)
    fetched = service.scratch.glob

    async with service.worker({"model": "odd-slow-2"}):
        await service.running(first, percent=60)
        async with asyncio.timeout(5):
            while len(list(fetched("octet-worker-*/song-*"))) < 2:  # noqa: ASYNC110 - on the disk
                await asyncio.sleep(0.05)
        # It is nobody's yet: any worker may take it.
        assert await service.queue.get(second) is None
        assert await service.queue.depth() == 1
        jobs = await service.all_ended([first, second])

    assert [job.outcome for job in jobs] == ["complete", "complete"]


async def test_metrics_tell_what_happened(service: Service, unused_port: int) -> None:
    [name] = await service.songs(1)
    bad = await service.put(b"no song at all")
    await service.push(bad)

    async with service.worker(metrics_port=unused_port):
        await service.all_ended([name, bad])
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"http://127.0.0.1:{unused_port}/metrics")).text

    assert 'octet_worker_jobs_total{outcome="complete"} 1.0' in text
    assert 'octet_worker_jobs_total{outcome="failed"} 1.0' in text
    assert "\noctet_queue_depth " in text
    assert 'octet_worker_seconds_count{model="original",stage="upload"} 1.0' in text
    # And it has left nothing behind.
    assert list(service.scratch.iterdir()) == []
    assert await service.queue.workers() == {}


def test_the_supervisor_loads_nothing_that_computes() -> None:
    script = "import sys, octet.worker.supervisor; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert "octet.worker.supervisor" in loaded.stdout.split()
    assert not {"numpy", "av", "soxr", "torch", "openvino"} & set(loaded.stdout.split())
