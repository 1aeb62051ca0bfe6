"""All the shapes of messages that are met in the wild, and what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octet.errors import MessageError, SettingError
from octet.jobs.job import Callback, Job, JobRequest, Recipe
from octet.jobs.message import LONGEST, callback_entry, read_message, write_message
from tests.jobs.songs import song

H = song(1)
SHA_224 = "ab" * 28

SHAPES: list[tuple[Any, dict[str, Any]]] = [
    (
        {"hash": H, "bucket": "demucs-bucket", "object": f"queue/{H}.mp3", "callback": None},
        {"bucket": "demucs-bucket", "object": f"queue/{H}.mp3"},
    ),
    ({"songhash": H}, {}),
    ({"hash": H, "input_bucket": "b", "input_object": "o"}, {"bucket": "b", "object": "o"}),
    ({"hash": H, "object_name": "x/y.mp3"}, {"object": "x/y.mp3"}),
    ({"hash": H, "bucket": "b", "key": "k"}, {"bucket": "b", "object": "k"}),
    ({"hash": H, "model": "mdx_extra_q"}, {"recipe": Recipe(model="mdx_extra_q")}),
    ({"hash": SHA_224}, {"song": SHA_224}),
    ({"hash": H.upper()}, {"song": H.upper()}),
    (
        {"hash": H, "callback": {"url": "http://x/", "data": {"mp3": "p", "data": [1, 2.5]}}},
        {"callbacks": (Callback("http://x/", {"mp3": "p", "data": [1, 2.5]}),)},
    ),
    ({"hash": H, "callback": {"url": "http://x/"}}, {"callbacks": (Callback("http://x/"),)}),
    ({"hash": H, "callback": "http://x/"}, {"callbacks": (Callback("http://x/"),)}),
    ({"hash": H, "callback": {"data": 1}}, {}),
    ({"hash": H, "callback": {"url": "http://\ud800/"}, "model": "\udfff"}, {}),
    ({"hash": H, "callback": 7, "bucket": None, "object": 3, "model": ""}, {}),
    ({"hash": H, "py/object": "Job", "more": {"deep": [None]}}, {}),
    ({"hash": H, "octet": "not ours", "octet_": 1}, {}),
    ({"hash": H, "octet": {"priority": "urgent", "recipe": 1, "callbacks": {}, "name": 2}}, {}),
    (H, {}),
]


@pytest.mark.parametrize(("shape", "expected"), SHAPES)
def test_a_message_of_others(shape: Any, expected: dict[str, Any]) -> None:
    read = read_message(json.dumps(shape).encode())

    assert read.request == JobRequest(**{"song": H, **expected})
    assert read.submission == ""


@pytest.mark.parametrize("raw", [H, f"  {H}\n", "\ufeff" + H, "12" * 32, "1e" + "0" * 62])
def test_a_bare_name(raw: str) -> None:
    assert read_message(raw.encode()).request.song == raw.strip("\ufeff \n")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"true",
        b"12",
        b"hello",
        b"\xff\xfe",
        b'{"hash": 3}',
        b'{"hash": ""}',
        b'{"hash": "../../etc/passwd"}',
        b'{"hash": "' + H.encode(),
        b'{"hash": "' + H.encode() + b'", "x": NaN}',
        b'{"hash": "' + H.encode() + b'", "object": "a/../b"}',
        b'{"hash": "' + H.encode() + b'", "object": "/etc/passwd"}',
        b'{"hash": "' + H.encode() + b'", "bucket": "a\\u0000b"}',
        b'{"hash": "' + H.encode() + b'", "object": "' + b"x" * 2000 + b'"}',
        b"[" * 100_000,
        b'{"hash":' * 100_000,
        b"x" * (LONGEST + 1),
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_what_is_no_job_says_why(raw: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        read_message(raw)
    assert len(str(caught.value)) > 20


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_a_job_or_a_message_error(raw: bytes) -> None:
    try:
        read_message(raw)
    except MessageError:
        return
    assert len(raw) >= 32


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
callbacks = st.builds(
    Callback,
    url=st.text(min_size=1),
    data=json_values,
    kind=st.sampled_from(["lab", "event"]),
)
recipes = st.builds(
    Recipe,
    model=st.none() | st.text(min_size=1),
    format=st.sampled_from([None, "flac", "mp3"]),
    tracks=st.sets(st.sampled_from(["vocals", "drums", "bass"])).map(lambda t: tuple(sorted(t))),
    settings=st.dictionaries(st.text(), st.integers() | st.text() | st.booleans(), max_size=3),
)


@settings(max_examples=60, deadline=None)
@given(
    recipe=recipes,
    hooks=st.lists(callbacks, max_size=3),
    name=st.text(),
    priority=st.sampled_from(["high", "normal", "low"]),
)
def test_what_octet_writes_it_reads_back(
    recipe: Recipe, hooks: list[Callback], name: str, priority: Any
) -> None:
    request = JobRequest(
        song=H, recipe=recipe, callbacks=tuple(hooks), name=name, priority=priority
    )

    read = read_message(write_message(request, "a submission"))

    assert read.submission == "a submission"
    assert read.request.job_id == request.job_id
    assert read.request.recipe == recipe
    assert (read.request.name, read.request.priority) == (name, priority)
    assert sorted(map(callback_entry, read.request.callbacks)) == sorted(map(callback_entry, hooks))


def test_the_default_recipe_has_the_plain_name() -> None:
    assert JobRequest(song=H).job_id == H
    assert JobRequest(song=H, recipe=Recipe(tracks=("a", "b"))).job_id == (
        JobRequest(song=H, recipe=Recipe(tracks=("b", "a", "a"))).job_id
    )
    assert JobRequest(song=H, recipe=Recipe(format="flac")).job_id.startswith(f"{H}-")


@pytest.mark.parametrize(
    "fields",
    [
        {"song": "x"},
        {"priority": "urgent"},
        {"bucket": ""},
        {"object": "../x"},
        {"object": "a\nb"},
        {"name": "\ud800"},
    ],
)
def test_a_request_without_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        JobRequest(**{"song": H, **fields})


def test_where_a_song_may_lie() -> None:
    def places(**fields: str) -> list[tuple[str, str]]:
        record = {"id": H, "song": H, "state": "running", **fields}
        job = Job.from_record({k.encode(): v.encode() for k, v in record.items()})
        return job.places("demucs-bucket")

    assert places() == [("demucs-bucket", f"queue/{H}.mp3"), ("demucs-bucket", f"{H}.mp3")]
    assert places(bucket="b", object="o") == [("b", "o")]
    assert places(object="o") == [("demucs-bucket", "o")]
