"""The lab's API, spoken as its public sample clients speak it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from octet.results.keys import ResultKeys
from octet.tracks import TRACKS
from tests.api.songs import name_of, song
from tests.api.worker import track_bytes

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    import redis

    from tests.api.conftest import Start
    from tests.api.worker import StandIn


def document(data: bytes, **more: Any) -> bytes:
    """As jsonpickle makes it of the sample's dictionary."""
    return json.dumps({"mp3": base64.b64encode(data).decode(), **more}).encode()


def separate(api: httpx.Client, data: bytes, **more: Any) -> httpx.Response:
    headers = {"Content-type": "application/json"}
    return api.post("/apiv1/separate", content=document(data, **more), headers=headers)


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_song_in_base64_is_a_job(
    api: httpx.Client, valkey: redis.Redis, store: Path, slash: str
) -> None:
    callback = {"url": "http://localhost:5000", "data": {"mp3": "a.mp3", "data": "to be returned"}}
    answer = api.post(f"/apiv1/separate{slash}", content=document(song(1), callback=callback))

    assert answer.status_code == 200
    assert answer.json() == {
        "hash": name_of(song(1)),
        "reason": "Song enqueued for separation",
    }
    [message] = valkey.lrange("toWorker", 0, -1)
    job = json.loads(message)
    assert job["hash"] == name_of(song(1))
    assert (job["bucket"], job["object"]) == ("demucs-bucket", f"queue/{name_of(song(1))}.mp3")
    assert job["callback"] == callback
    assert (store / job["bucket"] / job["object"]).read_bytes() == song(1)


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_queue_is_listed_in_its_order(api: httpx.Client, slash: str) -> None:
    for number in range(3):
        separate(api, song(number))

    answer = api.request(
        "GET",
        f"/apiv1/queue{slash}",
        content=b"null",
        headers={"Content-type": "application/json"},
    )
    assert answer.status_code == 200
    assert answer.json() == {"queue": [name_of(song(number)) for number in range(3)]}


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("asked", "track"), [("vocals.mp3", "vocals"), ("base", "bass")])
def test_a_track_is_a_download(
    api: httpx.Client, worker: StandIn, asked: str, track: str, slash: str
) -> None:
    name = separate(api, song(1)).json()["hash"]
    assert api.get(f"/apiv1/track/{name}/{asked}{slash}").status_code == 404
    worker.finish()

    answer = api.get(f"/apiv1/track/{name}/{asked}{slash}")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}-{track}.mp3"'
    assert answer.content == track_bytes(name, track)


def test_all_tracks_are_there(api: httpx.Client, worker: StandIn) -> None:
    name = separate(api, song(1)).json()["hash"]
    worker.finish()
    for track in TRACKS:
        assert api.get(f"/apiv1/track/{name}/{track}.mp3").content == track_bytes(name, track)


def test_a_model_does_not_change_where_the_tracks_are(api: httpx.Client, worker: StandIn) -> None:
    name = separate(api, song(1), model="mdx_extra_q").json()["hash"]
    assert worker.finish().recipe["model"] == "mdx_extra_q"
    assert api.get(f"/apiv1/track/{name}/vocals").content == track_bytes(name, "vocals")
    assert api.get(f"/apiv1/remove/{name}/vocals").status_code == 200
    assert api.get(f"/apiv1/track/{name}/vocals").status_code == 404


def test_a_range_beyond_the_end_of_a_track(api: httpx.Client, worker: StandIn) -> None:
    name = separate(api, song(1)).json()["hash"]
    worker.finish()
    beyond = {"Range": "bytes=99999999-"}
    answer = api.get(f"/apiv1/track/{name}/vocals", headers=beyond)
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(track_bytes(name, 'vocals'))}"
    assert list(answer.json()) == ["reason"]


def test_tracks_of_other_workers_are_served(api: httpx.Client, store: Path) -> None:
    # given a song hashed with SHA-224, and files without a manifest
    name = "ab" * 28
    (store / "demucs-output" / f"{name}-drums.mp3").write_bytes(b"drums")
    assert api.get(f"/apiv1/track/{name}/drums.mp3").content == b"drums"


def test_half_a_set_of_ours_is_not_served(api: httpx.Client, worker: StandIn, store: Path) -> None:
    name = separate(api, song(1)).json()["hash"]
    worker.progress(99)
    (store / "demucs-output" / ResultKeys(name).track("drums")).write_bytes(b"drums")
    assert api.get(f"/apiv1/track/{name}/drums").status_code == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_track_can_be_removed(api: httpx.Client, worker: StandIn, method: str) -> None:
    name = separate(api, song(1)).json()["hash"]
    worker.finish()

    removed = api.request(method, f"/apiv1/remove/{name}/base.mp3/")

    assert removed.status_code == 200
    assert removed.json() == {"reason": "Track bass removed"}
    assert api.get(f"/apiv1/track/{name}/bass").status_code == 404
    assert api.request(method, f"/apiv1/remove/{name}/base").status_code == 404
    assert api.get(f"/apiv1/track/{name}/vocals").status_code == 200
    assert "bass" not in api.get(f"/v1/songs/{name}").json()["tracks"]
    # and a client that wants the song again gets a whole set
    assert separate(api, song(1)).status_code == 200
    worker.finish()
    assert api.get(f"/apiv1/track/{name}/bass").status_code == 200


def test_without_any_track_there_is_no_result(api: httpx.Client, worker: StandIn) -> None:
    name = separate(api, song(1)).json()["hash"]
    worker.finish()
    for track in TRACKS:
        assert api.delete(f"/apiv1/remove/{name}/{track}").status_code == 200
    assert api.get(f"/v1/songs/{name}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b'{"mp3": null}',
        b'{"mp3": 5}',
        b'{"mp3": "not base64!"}',
        b'{"mp3": "QUJ"}',
        b'{"mp3": "QQ==QQ=="}',
        b'{"mp3": ""}',
        b'{"mp3": "QUJD"}',
        b'{"mp3": "QUJD',
        document(b"plain text, renamed to .mp3\n" * 99),
        document(song(1), model=7),
        document(song(1), model="; rm -rf /"),
    ],
)
def test_what_makes_no_sense_is_refused(api: httpx.Client, body: bytes) -> None:
    answer = api.post("/apiv1/separate", content=body)
    assert answer.status_code == 400
    assert list(answer.json()) == ["reason"]
    assert api.get("/apiv1/queue").json() == {"queue": []}


@pytest.mark.parametrize("callback", [None, {}, "", {"url": 5}, {"url": "http://x/", "data": None}])
def test_a_callback_never_fails_a_job(api: httpx.Client, callback: Any) -> None:
    assert separate(api, song(1), callback=callback).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/apiv1/track/{'a' * 64}/tuba", 400),
        (f"/apiv1/remove/{'a' * 64}/tuba", 400),
        (f"/apiv1/track/{'a' * 64}/vocals", 404),
        (f"/apiv1/remove/{'a' * 64}/vocals", 404),
        ("/apiv1/track/..%2f..%2fetc/vocals", 404),
        ("/apiv1/track/hello/vocals", 404),
        (f"/apiv1/track/{'a' * 64}/..%2fvocals", 404),
        ("/apiv1/nothing", 404),
        ("/apiv1/separate", 405),
    ],
)
def test_errors_are_reasons(api: httpx.Client, path: str, status: int) -> None:
    answer = api.get(path)
    assert answer.status_code == status
    assert list(answer.json()) == ["reason"]


def test_a_full_queue_takes_no_more(start: Start) -> None:
    api = start(max_queue=1)
    separate(api, song(1))
    answer = separate(api, song(2))
    assert answer.status_code == 503
    assert list(answer.json()) == ["reason"]
    assert answer.headers["retry-after"]


def test_a_song_that_is_too_large(start: Start) -> None:
    api = start(max_upload=10_000)
    assert separate(api, song(1, 9_999)).status_code == 200
    assert separate(api, song(1, 10_001)).status_code == 413
    large = separate(api, song(1, 1_000_000))
    assert large.status_code == 413
    assert list(large.json()) == ["reason"]


def test_the_front_page_is_html(api: httpx.Client) -> None:
    answer = api.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "/docs" in answer.text
    assert api.head("/").status_code == 200


def test_a_stem_file_stands_in_no_tracks_way(api: httpx.Client, worker: StandIn) -> None:
    # given a song with eight files of a recipe of its own, and a later stem file
    data = song(1)
    for query in ("format=flac", "format=stem"):
        api.post(f"/v1/jobs?{query}", content=data)
        worker.finish()
    # when a track is asked for here, then it comes from the eight
    answer = api.get(f"/apiv1/track/{name_of(data)}/vocals")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/flac"
    # and the stem file is none of them
    assert api.get(f"/apiv1/track/{name_of(data)}/stem.mp4").status_code == 400
