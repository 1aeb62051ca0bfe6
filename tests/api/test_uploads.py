"""Songs that come in: codings of bodies, and what is left of requests that are refused."""

from __future__ import annotations

import gzip
import zlib
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from tests.api.answers import problem
from tests.api.songs import name_of, song

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.api.conftest import Start


def objects(store: Path) -> list[str]:
    """The keys in the queue bucket."""
    bucket = store / "demucs-bucket"
    files = [path for path in bucket.rglob("*") if path.is_file() and ".octet" not in path.parts]
    return sorted(str(path.relative_to(bucket)) for path in files)


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", gzip.compress(song(1))),
        ("x-gzip", gzip.compress(song(1)[:500]) + gzip.compress(song(1)[500:])),
        ("deflate", zlib.compress(song(1))),
        ("identity", song(1)),
    ],
    ids=["gzip", "two members", "deflate", "identity"],
)
def test_a_compressed_body_is_the_song_in_it(api: httpx.Client, coding: str, data: bytes) -> None:
    answer = api.post("/v1/jobs", content=data, headers={"Content-Encoding": coding})
    assert answer.json()["song"] == name_of(song(1))


def test_the_labs_document_may_be_compressed(api: httpx.Client) -> None:
    document = gzip.compress(b'{"mp3": "%s"}' % b64encode(song(1)))
    answer = api.post("/apiv1/separate", content=document, headers={"Content-Encoding": "gzip"})
    assert answer.json()["hash"] == name_of(song(1))


def test_other_codings_are_refused_by_name(api: httpx.Client) -> None:
    answer = api.post("/v1/jobs", content=song(1), headers={"Content-Encoding": "br"})
    assert problem(answer, 415) == "unsupported-coding"
    assert "'br'" in answer.json()["detail"]


@pytest.mark.parametrize("data", [song(1), gzip.compress(song(1))[:-9]], ids=["none", "half"])
def test_a_body_that_is_not_in_its_coding_is_refused(api: httpx.Client, data: bytes) -> None:
    answer = api.post("/v1/jobs", content=data, headers={"Content-Encoding": "gzip"})
    assert problem(answer, 400) == "malformed"


def test_what_is_decompressed_is_bounded(start: Start) -> None:
    # given a body of a few kilobytes that holds a hundred megabytes
    api = start(max_upload=1024**2)
    bomb = gzip.compress(song(1) + bytes(100 * 1024**2))
    answer = api.post("/v1/jobs", content=bomb, headers={"Content-Encoding": "gzip"})
    assert problem(answer, 413) == "limit"


def test_a_refused_request_leaves_nothing(api: httpx.Client, store: Path) -> None:
    # given options that are known before the song, and such that come behind it
    query = api.post("/v1/jobs?model=none", files={"file": song(1)})
    form = api.post("/v1/jobs", files={"file": song(1)}, data={"shifts": "many"})
    assert (problem(query, 422), problem(form, 422)) == ("unknown-model", "invalid-request")
    # and one key for two songs
    headers = {"Idempotency-Key": "mine"}
    assert api.post("/v1/jobs", content=song(1), headers=headers).status_code == 202
    assert problem(api.post("/v1/jobs", content=song(2), headers=headers), 422)
    # then the song that was accepted is all that is there
    assert objects(store) == [f"queue/{name_of(song(1))}.mp3"]


def test_what_another_job_needs_stays(api: httpx.Client, store: Path) -> None:
    # given a song that waits, when it is refused in another request
    headers = {"Idempotency-Key": "mine"}
    api.post("/v1/jobs", content=song(2), headers=headers)
    api.post("/v1/jobs", content=song(1))
    assert problem(api.post("/v1/jobs", content=song(1), headers=headers), 422)
    # then it is still there
    assert f"queue/{name_of(song(1))}.mp3" in objects(store)
