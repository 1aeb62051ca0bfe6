"""/v1/songs: manifests, tracks in ranges, archives."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING

import pytest

from octet.tracks import TRACKS
from tests.api.answers import problem
from tests.api.songs import name_of, song
from tests.api.worker import track_bytes

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

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
