"""Archives: written while they are sent, of a length that is known before."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import pytest

from octet.api.archive import zip_length, zip_stream
from octet.errors import StorageError
from octet.settings import ServiceSettings, read_settings
from octet.storage.open import open_buckets

if TYPE_CHECKING:
    from pathlib import Path

    from octet.storage.bucket import Bucket

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bucket(tmp_path: Path, anyio_backend: str) -> Bucket:
    made = open_buckets(read_settings(ServiceSettings, storage=f"file://{tmp_path}")).output
    await made.ensure()
    return made


@pytest.mark.parametrize("sizes", [[], [0], [1, 300_000, 7]])
async def test_an_archive_is_as_long_as_was_said(bucket: Bucket, sizes: list[int]) -> None:
    # given objects, and a small file beside them, with names beyond ASCII
    entries, contents = [], {}
    for number, size in enumerate(sizes):
        data = bytes([65 + number]) * size
        await bucket.put_bytes(f"o{number}", data)
        entries.append((f"Stück {number}.mp3", await bucket.head(f"o{number}")))
        contents[f"Stück {number}.mp3"] = data
    extra = [("manifest.json", b"{}")]

    data = b"".join([chunk async for chunk in zip_stream(bucket, entries, extra)])

    assert len(data) == zip_length(entries, extra)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            **contents,
            "manifest.json": b"{}",
        }


async def test_an_archive_never_mixes_two_versions_of_an_object(bucket: Bucket) -> None:
    await bucket.put_bytes("a", b"old")
    head = await bucket.head("a")
    await bucket.put_bytes("a", b"new")

    with pytest.raises(StorageError):
        async for _ in zip_stream(bucket, [("a.mp3", head)], []):
            pass
