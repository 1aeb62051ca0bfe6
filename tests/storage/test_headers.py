"""What is kept with an object besides its bytes."""

from __future__ import annotations

import pytest

from octet.storage.headers import disposition

pytestmark = pytest.mark.anyio


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
