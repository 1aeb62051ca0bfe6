"""A form is read wherever the network cuts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octet.api.errors import RefusedError
from octet.api.multipart import LONGEST_FIELD, Form

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TYPE = "multipart/form-data; boundary=cut-here"


def part(head: str, data: bytes) -> bytes:
    """A part of a form."""
    disposition = f"Content-Disposition: form-data; {head}".encode()
    return b"--cut-here\r\n" + disposition + b"\r\n\r\n" + data + b"\r\n"


def read(body: bytes, step: int) -> tuple[bytes, Form]:
    """Reads a form that comes in pieces of so many bytes."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), step):
            yield body[start : start + step]

    async def collect() -> tuple[bytes, Form]:
        form = Form(TYPE, pieces())
        chunks = [chunk async for chunk in form.file]
        return b"".join(chunks), form

    # Nothing in there waits for anything: the coroutine runs to its end in one go.
    try:
        collect().send(None)
    except StopIteration as end:
        result: tuple[bytes, Form] = end.value
        return result
    raise AssertionError("it waited")


@settings(max_examples=60, deadline=None)
@given(
    data=st.binary(max_size=300) | st.just(b"\r\n--cut-her\r\n--cut-here-not"),
    step=st.integers(1, 40),
    file_first=st.booleans(),
)
def test_any_file_in_any_pieces(data: bytes, step: int, file_first: bool) -> None:
    file = part('name="file"; filename="Lied.mp3"', data)
    field = part('name="format"', b"flac")
    parts = file + field if file_first else field + file

    read_data, form = read(parts + b"--cut-here--\r\n", step)

    assert read_data == data
    assert (form.file_name, form.fields) == ("Lied.mp3", {"format": "flac"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--cut-here--\r\n",
        b"--other\r\n\r\n",
        part('name="format"', b"flac") + b"--cut-here--\r\n",
        part('name="file"; filename="a"', b"x"),
        part('name="file"; filename="a"', b"x") * 2 + b"--cut-here--\r\n",
        part('name="a"', b"x") * 2 + b"--cut-here--\r\n",
        part("", b"x") + b"--cut-here--\r\n",
        b"".join(part(f'name="{n}"', b"x") for n in range(40)) + b"--cut-here--\r\n",
    ],
)
def test_what_is_no_such_form(body: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        read(body, 7)
    assert caught.value.status == 400


def test_a_field_is_bounded() -> None:
    with pytest.raises(RefusedError) as caught:
        read(part('name="a"', bytes(LONGEST_FIELD + 1)), 5000)
    assert caught.value.status == 413


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary="])
def test_a_form_without_a_boundary(kind: str) -> None:
    with pytest.raises(RefusedError):
        Form(kind, iter(()))  # type: ignore[arg-type]  # it is never read


EXTENDED = "filename*=utf-8''caf%C3%A9.wav"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (f'name="file"; {EXTENDED}', "café.wav"),
        (f'name="audio"; {EXTENDED}', "café.wav"),
        (f'name=file; filename="=?utf-8?B?eC53YXY=?="; {EXTENDED}', "café.wav"),
        (f'name="file"; {EXTENDED}; filename="plain.wav"', "café.wav"),
        ("name=file; FileName*=ISO-8859-1'en'caf%E9.wav", "café.wav"),
        ('name="file"; filename="=?utf-8?B?Y2Fmw6kud2F2?="', "café.wav"),
        ('name="file"; filename="=?iso-8859-1?q?caf=E9.wav?="', "café.wav"),
        ('name="file"; filename="=?none?B?Y2Fmw6kud2F2?="', "=?none?B?Y2Fmw6kud2F2?="),
        ("name=file; filename*=none''x.wav; filename=y.wav", "y.wav"),
        ('name="song"; filename="a;b.wav"', "a;b.wav"),
        ('name="file"', ""),
    ],
)
def test_names_of_files_in_all_their_forms(head: str, name: str) -> None:
    data, form = read(part(head, b"sound") + b"--cut-here--\r\n", 7)
    assert data == b"sound"
    assert form.file_name == name
