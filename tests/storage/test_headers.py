"""What is kept with an object besides its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from octet.errors import (
    SettingError,
)
from octet.storage.headers import disposition

if TYPE_CHECKING:
    from octet.storage.bucket import Bucket

pytestmark = pytest.mark.anyio


async def test_metadata_cannot_pose_as_a_header(bucket: Bucket) -> None:
    for name in ("content-type", "Cache-Control", "two words", "line\r\nfeed", "ü"):
        with pytest.raises(SettingError):
            await bucket.put_bytes("key", b"", metadata={name: "value"})
    await bucket.put_bytes("key", b"", metadata={"fine": "line\r\nX-Other: 1"})
    assert (await bucket.head("key")).metadata == {"fine": "line\r\nX-Other: 1"}


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("song.mp3", 'attachment; filename="song.mp3"'),
        ('a"b\\c/d%e.mp3', 'attachment; filename="a_b_c_d_e.mp3"'
         "; filename*=UTF-8''a%22b%5Cc%2Fd%25e.mp3"),
        ("Ça\r\nva.mp3", "attachment; filename=\"_a__va.mp3\""
         "; filename*=UTF-8''%C3%87a%0D%0Ava.mp3"),
    ],
)  # fmt: skip
def test_a_file_name_becomes_a_header(name: str, header: str) -> None:
    assert disposition(name) == header
