"""A song is taken out of its JSON document wherever the network cuts it."""

from __future__ import annotations

import base64
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octet.api.base64song import LONGEST_REST, Base64Song
from octet.api.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def read(document: bytes, step: int) -> tuple[bytes, dict[str, Any]]:
    """Reads a document that comes in pieces of so many bytes."""

    async def body() -> AsyncIterator[bytes]:
        for start in range(0, len(document), step):
            yield document[start : start + step]

    async def collect() -> tuple[bytes, dict[str, Any]]:
        reader = Base64Song(body())
        pieces = [piece async for piece in reader.song]
        return b"".join(pieces), reader.fields

    # Nothing in there waits for anything: the coroutine runs to its end in one go.
    coroutine = collect()
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: tuple[bytes, dict[str, Any]] = end.value
        return result
    raise AssertionError("it waited")


NAMES = st.text(max_size=9).filter(lambda name: name != "mp3")

json_values = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5) | st.just("mp3"), inner),
    max_leaves=4,
)


@settings(max_examples=40, deadline=None)
@given(
    data=st.binary(max_size=200),
    before=st.dictionaries(NAMES, json_values, max_size=3),
    after=st.dictionaries(NAMES, json_values, max_size=3),
    step=st.integers(1, 50),
    wrapped=st.booleans(),
    ascii_only=st.booleans(),
    slashes=st.booleans(),
)
def test_any_document_in_any_pieces(
    data: bytes,
    before: dict[str, Any],
    after: dict[str, Any],
    step: int,
    wrapped: bool,
    ascii_only: bool,
    slashes: bool,
) -> None:
    text = (base64.encodebytes(data) if wrapped else base64.b64encode(data)).decode()
    whole = {**before, "mp3": text, **after}
    document = json.dumps(whole, ensure_ascii=ascii_only)
    if slashes:
        document = document.replace("/", "\\/")

    song, fields = read(document.encode("utf-8", "surrogatepass"), step)

    assert song == data
    assert fields == {**whole, "mp3": ""}


@pytest.mark.parametrize(
    "document",
    [
        b'{"mp3": "abc"}',
        b'{"mp3": "ab-_"}',
        b'{"mp3": "a b c d "}',
        b'{"mp3": "QQ==QUJD"}',
        b'{"mp3": "QUJD", "mp3": "QUJD"}',
        b'{"other": {"mp3": "QUJD"}}',
        b'["mp3", "QUJD"]',
        b'{"mp3": "QUJD"',
        b'{"mp3": "QUJD"}}',
        b'{"mp3": "QUJD" "b": 1}',
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_what_is_no_such_document(document: bytes, step: int) -> None:
    with pytest.raises(RefusedError) as caught:
        read(document, step)
    assert caught.value.status == 400


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize(
    "text",
    [
        rb"+/+/QQ==",
        rb"\u002B\/\u002b\u002FQQ\u003d\u003D",
        rb"+/\r\n+/\nQQ==\n",
        rb"\u002b/+/\u0051Q==",
        rb"data:audio/mpeg;base64,+/+/QQ==",
        rb"DATA:audio\/mpeg;name=x.mp3;BASE64,+/+/QQ==",
    ],
)
def test_base64_in_all_its_forms(text: bytes, step: int) -> None:
    song, _ = read(b'{"mp3": "%s", "a": 1}' % text, step)
    assert song == base64.b64decode("+/+/QQ==")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (rb"QUJDQ", "padding is missing"),
        (rb"QUJD-_AA", "base64url"),
        (rb"QUJD*AAA", "'*' stands in it"),
        (rb"QQ==QUJD", "its padding"),
        (rb"Q=JD", "padding is in the wrong place"),
        (rb"QUJD\\u00e9AAA", "stands in it"),
        (rb"data:audio/mpeg,QUJD", "not in base64"),
        (rb"data:audio/mpeg;base64", "without a comma"),
        (b"data:" + 999 * b"a", "without a comma"),
    ],
)
def test_what_is_wrong_with_base64_is_named(text: bytes, reason: str) -> None:
    for step in (1, 1000):
        with pytest.raises(RefusedError, match="mp3 is not valid base64") as caught:
            read(b'{"mp3": "%s"}' % text, step)
        assert reason in str(caught.value)


def test_the_rest_of_the_document_is_bounded() -> None:
    filler = random.Random(1).randbytes(LONGEST_REST).hex()
    with pytest.raises(RefusedError) as caught:
        read(json.dumps({"a": filler, "mp3": "QUJD"}).encode(), 5000)
    assert caught.value.status == 413
