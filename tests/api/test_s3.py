"""The API on a real S3 service, with the settings' names of the contract."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from octet.results.keys import STAGING
from octet.storage.open import open_buckets
from octet.tracks import TRACKS
from tests.api.addresses import SLOW, serving_songs
from tests.api.conftest import serving
from tests.api.songs import name_of, song
from tests.api.worker import StandIn, track_bytes

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from octet.settings import ServiceSettings
    from tests.ceph import Ceph
    from tests.servers import QueueServers


@pytest.fixture
def on_s3(
    ceph: Ceph,
    queue_servers: QueueServers,
    valkey: redis.Redis,
) -> ServiceSettings:
    """An empty queue, and buckets that do not exist yet."""
    return ceph.settings(redis_url=queue_servers("valkey", "api").url, port=0)


@pytest.mark.parametrize("presign", [False, True])
def test_a_song_there_and_back(on_s3: ServiceSettings, tmp_path: Path, presign: bool) -> None:
    data = song(1, 20 * 1024**2)  # several parts of a multipart upload
    name = name_of(data)
    settings = on_s3.model_copy(update={"presign": presign})
    with serving(settings) as url, httpx.Client(base_url=url, timeout=60) as api:
        assert api.post("/v1/jobs", content=data).status_code == 202
        assert api.post("/v1/jobs", json={"object": f"queue/{name}.mp3"}).status_code == 200
        StandIn(settings, tmp_path).finish()

        assert sorted(api.get(f"/v1/songs/{name}").json()["tracks"]) == sorted(TRACKS)
        address = f"/v1/songs/{name}/tracks/drums"
        answer = api.get(address, headers={"Range": "bytes=5-9"}, follow_redirects=True)
        assert [each.status_code for each in answer.history] == ([307] if presign else [])
        assert answer.status_code == 206
        assert answer.content == track_bytes(name, "drums")[5:10]
        lab = api.get(f"/apiv1/track/{name}/base")
        assert lab.content == track_bytes(name, "bass")
        assert api.get(f"/v1/songs/{name}/archive").status_code == 200

        assert api.delete(f"/v1/songs/{name}").status_code == 204
        assert api.get(address).status_code == 404


def test_a_song_at_an_address_is_staged_and_moved_there(
    ceph: Ceph, queue_servers: QueueServers, tmp_path: Path
) -> None:
    its = {"redis_url": queue_servers("valkey", "imports").url, "allow_hosts": ("127.0.0.1",)}
    settings = ceph.settings(**its, port=0)
    with (
        serving_songs() as songs,
        serving(settings) as url,
        httpx.Client(base_url=url, timeout=60) as api,
    ):
        songs.go_on.set()
        address = api.post("/v1/jobs", json={"url": songs.url("/slow")}).headers["location"]
        job = StandIn(settings, tmp_path).finish()
        assert api.get(address).json()["state"] == "done"
        assert job.song == name_of(SLOW)

    async def keys() -> list[str]:
        return [entry.key async for entry in open_buckets(settings).queue.list()]

    assert f"queue/{job.song}.mp3" in asyncio.run(keys())
    assert not [key for key in asyncio.run(keys()) if key.startswith(STAGING)]
