"""/v1/songs: manifests, tracks in ranges, archives."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from octet.tracks import TRACKS
from tests.api.answers import problem
from tests.api.conftest import PLAIN, serving
from tests.api.songs import name_of, song
from tests.api.worker import track_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from octet.settings import ServiceSettings
    from tests.api.worker import StandIn

NAME = name_of(song(1))


@pytest.fixture
def published(api: httpx.Client, worker: StandIn) -> httpx.Client:
    """A client of an API that has a result of song 1."""
    api.post("/v1/jobs", content=song(1))
    worker.finish()
    return api


def test_there_is_no_manifest_before_everything_is_published(
    api: httpx.Client, worker: StandIn
) -> None:
    assert problem(api.get(f"/v1/songs/{NAME}"), 404) == "not-found"
    api.post("/v1/jobs", content=song(1))
    worker.progress(50)
    assert api.get(f"/v1/songs/{NAME}").status_code == 404


def test_the_manifest_is_as_it_was_published(published: httpx.Client) -> None:
    manifest = published.get(f"/v1/songs/{NAME}").json()
    assert manifest["outcome"] == "complete"
    assert sorted(manifest["tracks"]) == sorted(TRACKS)
    assert set(manifest["tracks"]["vocals"]) >= {"key", "sha256", "bytes", "samples"}


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("track", ["vocals", "vocals.mp3"])
def test_a_track_whole(published: httpx.Client, track: str, slash: str) -> None:
    answer = published.get(f"/v1/songs/{NAME}/tracks/{track}{slash}")
    data = track_bytes(NAME, "vocals")
    assert answer.status_code == 200
    assert answer.content == data
    assert answer.headers["content-length"] == str(len(data))
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == 'attachment; filename="Lied-vocals.mp3"'

    head = published.head(f"/v1/songs/{NAME}/tracks/{track}{slash}")
    assert head.headers["content-length"] == str(len(data))
    assert head.content == b""


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=100-", 100, None),
        ("bytes=-7", -7, None),
        ("bytes=5-999999999", 5, None),
    ],
)
def test_a_part_of_a_track(
    published: httpx.Client, asked: str, start: int, end: int | None
) -> None:
    data = track_bytes(NAME, "drums")
    answer = published.get(f"/v1/songs/{NAME}/tracks/drums", headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == data[start:end]
    first = start % len(data)
    last = first + len(answer.content) - 1
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(data)}"


@pytest.mark.parametrize("asked", ["bytes=5-1", "lines=1-2", "bytes=a-b", "bytes=0-1,4-5"])
def test_a_range_that_is_none_is_left_aside(published: httpx.Client, asked: str) -> None:
    answer = published.get(f"/v1/songs/{NAME}/tracks/drums", headers={"Range": asked})
    assert answer.status_code == 200


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0"])
def test_a_range_beyond_the_end(published: httpx.Client, asked: str) -> None:
    answer = published.get(f"/v1/songs/{NAME}/tracks/drums", headers={"Range": asked})
    assert problem(answer, 416) == "beyond-the-end"
    assert answer.headers["content-range"] == f"bytes */{len(track_bytes(NAME, 'drums'))}"


def test_what_the_client_has_is_not_sent_again(published: httpx.Client) -> None:
    address = f"/v1/songs/{NAME}/tracks/bass"
    etag = published.get(address).headers["etag"]
    assert published.get(address, headers={"If-None-Match": etag}).status_code == 304
    stale = {"If-Range": '"other"', "Range": "bytes=1-2"}
    assert published.get(address, headers=stale).status_code == 200
    fresh = {"If-Range": etag, "Range": "bytes=1-2"}
    assert published.get(address, headers=fresh).status_code == 206


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/songs/{NAME}/tracks/tuba",
        f"/v1/songs/{NAME}/tracks/..%2f{NAME}-manifest.json",
        f"/v1/songs/{'0' * 64}/tracks/vocals",
        f"/v1/songs/{'0' * 64}/archive",
        "/v1/songs/..%2f..%2fetc%2fpasswd",
        f"/v1/songs/{NAME}-0000000000000000",
    ],
)
def test_what_there_is_not(published: httpx.Client, path: str) -> None:
    assert problem(published.get(path), 404) == "not-found"


def test_the_archive_holds_everything(published: httpx.Client) -> None:
    answer = published.get(f"/v1/songs/{NAME}/archive")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="Lied.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [*(f"{track}.mp3" for track in TRACKS), "manifest.json"]
        assert archive.read("full.mp3") == track_bytes(NAME, "full")
        assert json.loads(archive.read("manifest.json"))["outcome"] == "complete"
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_another_recipe_has_a_result_of_its_own(api: httpx.Client, worker: StandIn) -> None:
    job = api.post("/v1/jobs?format=flac&tracks=vocals", content=song(1)).json()
    worker.finish()
    manifest = api.get(f"/v1/songs/{job['id']}").json()
    assert list(manifest["tracks"]) == ["vocals"]
    answer = api.get(f"/v1/songs/{job['id']}/tracks/vocals")
    assert answer.headers["content-type"] == "audio/flac"
    assert answer.headers["content-disposition"].endswith('-vocals.flac"')
    assert api.get(f"/v1/songs/{NAME}").status_code == 404


def test_names_of_songs_are_tamed_in_headers(api: httpx.Client, worker: StandIn) -> None:
    api.post("/v1/jobs", content=song(1))
    worker.finish(name='../Mü"ller\r\nX-Evil: 1/Größe.mp3')
    answer = api.get(f"/v1/songs/{NAME}/tracks/bass")
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"Gr__e-bass.mp3\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe-bass.mp3"
    )
    assert "x-evil" not in answer.headers


def test_delete_leaves_nothing(published: httpx.Client, store: Path) -> None:
    assert published.delete(f"/v1/songs/{NAME}").status_code == 204
    left = [path for path in store.rglob(f"*{NAME}*") if path.is_file()]
    assert left == []
    assert problem(published.delete(f"/v1/songs/{NAME}"), 404)


def test_what_is_being_worked_on_is_not_deleted(published: httpx.Client) -> None:
    published.post("/v1/jobs?format=flac", content=song(1))
    assert problem(published.delete(f"/v1/songs/{NAME}"), 409) == "conflict"


def test_an_upload_without_a_result_is_deleted_too(api: httpx.Client, store: Path) -> None:
    # given a song whose job was cancelled
    api.post("/v1/jobs", content=song(1))
    api.delete(f"/v1/jobs/{NAME}")
    # when it is deleted, then the answer says so, once
    assert api.delete(f"/v1/songs/{NAME}").status_code == 204
    assert not (store / "demucs-bucket" / "queue" / f"{NAME}.mp3").exists()
    assert problem(api.delete(f"/v1/songs/{NAME}"), 404) == "not-found"


def test_a_job_that_comes_in_during_a_deletion_has_its_song(api: httpx.Client, store: Path) -> None:
    # given a client that deletes a song again and again
    upload = store / "demucs-bucket" / "queue" / f"{NAME}.mp3"
    with ThreadPoolExecutor(4) as pool:
        for _ in range(25):
            # when others send it at the same moment
            posts = [pool.submit(api.post, "/v1/jobs", content=song(1)) for _ in range(2)]
            deletions = [pool.submit(api.delete, f"/v1/songs/{NAME}") for _ in range(2)]
            assert {post.result().status_code for post in posts} <= {200, 202}
            assert {one.result().status_code for one in deletions} <= {204, 404, 409}
            # then the job that waits now has its song
            assert api.get(f"/v1/jobs/{NAME}").json()["state"] == "waiting"
            assert upload.read_bytes() == song(1)
            api.delete(f"/v1/jobs/{NAME}")


@pytest.mark.parametrize("place", ["", "/tracks/vocals", "/archive"])
def test_a_head_is_the_answer_without_its_body(published: httpx.Client, place: str) -> None:
    whole = published.get(f"/v1/songs/{NAME}{place}")
    head = published.head(f"/v1/songs/{NAME}{place}")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(whole.content)
    assert head.headers["content-type"] == whole.headers["content-type"]
    assert published.head(f"/v1/songs/{'0' * 64}{place}").status_code == 404


@pytest.mark.parametrize("condition", ["*", "W/{etag}", '"other", {etag}'])
def test_a_condition_that_holds_is_answered_without_the_track(
    published: httpx.Client, condition: str
) -> None:
    address = f"/v1/songs/{NAME}/tracks/vocals"
    etag = published.head(address).headers["etag"]
    named = {"If-None-Match": condition.format(etag=etag)}
    assert published.get(address, headers=named).status_code == 304
    part = {"If-None-Match": etag[:-2] + '"'}
    assert published.get(address, headers=part).status_code == 200


def test_readers_during_a_replacement_get_tracks_of_one_set(
    settings: ServiceSettings, published: httpx.Client, worker: StandIn, store: Path
) -> None:
    # given a published result, and a service with another default
    old = published.get(f"/v1/songs/{NAME}").json()["tracks"]["vocals"]["sha256"]
    ended = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        with httpx.Client(base_url=published.base_url, verify=PLAIN) as client:
            while not ended.is_set():
                before = client.get(f"/v1/songs/{NAME}").json()["tracks"]["vocals"]
                answer = client.get(f"/v1/songs/{NAME}/tracks/vocals")
                after = client.get(f"/v1/songs/{NAME}").json()["tracks"]["vocals"]
                assert answer.status_code == 200, answer.text
                digest = hashlib.sha256(answer.content).hexdigest()
                assert digest in (before["sha256"], after["sha256"])
                seen.add(digest)

    # when two read it all the time while it is replaced, by fallbacks and by complete ones
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        worker.bytes_of = lambda song, track: f"new {track} of {song}\n".encode() * 90_000
        with serving(settings, overlap=0.5) as url:
            assert httpx.post(f"{url}/v1/jobs", content=song(1), verify=PLAIN).status_code == 202
            worker.finish()
        time.sleep(0.3)
        ended.set()
        # then what they got was of the set that stood before or after
        for reader in readers:
            reader.result()
    assert old in seen
    assert len(seen) == 2


def test_a_stem_file_is_one_track_that_dj_programs_know_by_its_ending(
    api: httpx.Client, worker: StandIn
) -> None:
    # given a result of the format stem
    job = api.post("/v1/jobs?format=stem", content=song(1)).json()
    worker.finish()
    assert list(api.get(f"/v1/songs/{job['id']}").json()["tracks"]) == ["stem"]
    # when it is fetched by any of its names, then it is called after the song
    for track in ("stem", "stem.mp4"):
        answer = api.get(f"/v1/songs/{job['id']}/tracks/{track}")
        assert answer.headers["content-type"] == "audio/mp4"
        assert answer.headers["content-disposition"] == 'attachment; filename="Lied.stem.mp4"'
        assert answer.content == track_bytes(NAME, "stem")
    # and so in the archive
    answer = api.get(f"/v1/songs/{job['id']}/archive")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["Lied.stem.mp4", "manifest.json"]
