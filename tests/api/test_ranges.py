"""Ranges and conditions of a download (RFC 9110), each header by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pytest
from starlette.requests import Request

from octet.api.ranges import send_object
from octet.storage.headers import ObjectHead

if TYPE_CHECKING:
    from octet.storage.bucket import Bucket

HEAD = ObjectHead(
    key="H-vocals.mp3",
    size=1000,
    etag='"e1"',
    modified=datetime(2026, 1, 2, tzinfo=UTC),
    content_type="audio/mpeg",
)


def answer(method: str = "HEAD", **headers: str) -> tuple[int, dict[str, str]]:
    """Status and headers of a track of 1000 bytes; a HEAD touches no bucket."""
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": method,
        "path": "/v1/x",
        "headers": given,
        "query_string": b"",
    }
    response = send_object(Request(scope), cast("Bucket", None), HEAD, "a b.mp3")
    return response.status_code, dict(response.headers)


@pytest.mark.parametrize(
    ("asked", "status", "length", "place"),
    [
        ("bytes=0-99", 206, 100, "bytes 0-99/1000"),
        ("bytes=900-", 206, 100, "bytes 900-999/1000"),
        ("bytes=900-5000", 206, 100, "bytes 900-999/1000"),
        ("bytes=-1", 206, 1, "bytes 999-999/1000"),
        ("bytes=-5000", 200, 1000, None),
        ("bytes=0-", 200, 1000, None),
        ("bytes=0-999", 200, 1000, None),
        # what is no single range is left aside
        ("bytes=5-2", 200, 1000, None),
        ("bytes=0-1,5-6", 200, 1000, None),
        ("seconds=0-1", 200, 1000, None),
        ("bytes=" + "9" * 30 + "-", 200, 1000, None),
    ],
)
def test_one_range(asked: str, status: int, length: int, place: str | None) -> None:
    found, headers = answer(range=asked)

    assert (found, headers["content-length"]) == (status, str(length))
    assert headers.get("content-range") == place


@pytest.mark.parametrize("asked", ["bytes=1000-", "bytes=5000-6000", "bytes=-0"])
def test_nothing_lies_beyond_the_end(asked: str) -> None:
    status, headers = answer(range=asked)

    assert status == 416
    assert headers["content-range"] == "bytes */1000"


@pytest.mark.parametrize(
    ("condition", "status"),
    [('"e1"', 304), ('W/"e1"', 304), ('"x", "e1"', 304), ("*", 304), ('"x"', 200), ("", 200)],
)
def test_what_the_client_has_already(condition: str, status: int) -> None:
    assert answer(if_none_match=condition)[0] == status


@pytest.mark.parametrize(("condition", "status"), [('"e1"', 206), ('"x"', 200), ("yesterday", 200)])
def test_a_range_of_another_version_is_the_whole(condition: str, status: int) -> None:
    assert answer(range="bytes=0-9", if_range=condition)[0] == status


def test_the_file_has_its_name_and_type() -> None:
    _, headers = answer()

    assert headers["content-type"] == "audio/mpeg"
    assert 'filename="a b.mp3"' in headers["content-disposition"]
    assert headers["etag"] == '"e1"'
    assert headers["last-modified"] == "Fri, 02 Jan 2026 00:00:00 GMT"
