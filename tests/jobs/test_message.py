"""All the shapes of messages that are met in the wild, and what is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octet.errors import MessageError
from octet.jobs.job import Callback, JobRequest
from octet.jobs.message import (
    LONGEST,
    callback_entry,
    complete_alone,
    is_foreign,
    read_message,
    write_message,
)
from tests.jobs.songs import song

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    (
        {"hash": H, "model": "mdx_extra_q"},
        {"recipe": {"model": "mdx_extra_q"}, "key": complete_alone({"model": "mdx_extra_q"})[0]},
    ),
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
plain_values = st.text() | st.integers() | st.booleans() | st.lists(st.text(), max_size=3)
recipes = st.dictionaries(st.text().filter(lambda name: name != "settings"), plain_values)


@settings(max_examples=60, deadline=None)
@given(
    recipe=recipes,
    key=st.sampled_from(["", "0123456789abcdef"]),
    hooks=st.lists(callbacks, max_size=3),
    name=st.text(),
    priority=st.sampled_from(["high", "normal", "low"]),
)
def test_what_octet_writes_it_reads_back(
    recipe: dict[str, Any], key: str, hooks: list[Callback], name: str, priority: Any
) -> None:
    request = JobRequest(
        song=H, recipe=recipe, key=key, callbacks=tuple(hooks), name=name, priority=priority
    )

    read = read_message(write_message(request, "a submission"))

    assert read.submission == "a submission"
    assert read.request.job_id == request.job_id
    assert read.request.recipe == recipe
    assert (read.request.name, read.request.priority) == (name, priority)
    assert sorted(map(callback_entry, read.request.callbacks)) == sorted(map(callback_entry, hooks))


def test_a_message_of_others_is_completed_by_whoever_reads_it() -> None:
    def complete(given: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        return ("" if given == {"model": "mine"} else "f" * 16), {"shifts": 0, **given}

    mine = read_message(json.dumps({"hash": H, "model": "mine"}).encode(), complete).request
    other = read_message(json.dumps({"hash": H, "model": "other"}).encode(), complete).request

    assert (mine.job_id, mine.recipe) == (H, {"model": "mine", "shifts": 0})
    assert (other.job_id, other.recipe) == (f"{H}-{'f' * 16}", {"model": "other", "shifts": 0})


def test_octets_own_message_says_itself_what_its_recipe_is() -> None:
    raw = write_message(JobRequest(song=H, recipe={"model": "a"}, key="0" * 16), "a submission")

    def never(given: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        raise AssertionError(given)

    assert read_message(raw, never).request.job_id == f"{H}-{'0' * 16}"
    assert not is_foreign(raw)
    assert json.loads(raw)["model"] == "a"


@pytest.mark.parametrize(
    ("own", "recipe"),
    [
        (
            {"recipe": {"settings": {"overlap": 0.5}}},
            {"settings": {"overlap": 0.5}, "overlap": 0.5},
        ),
        ({"recipe": {"tracks": ["\ud800"], "format": "\ud800", "shifts": 1}}, {"shifts": 1}),
        ({"recipe": {"model": {"deep": 1}, "bits": None}}, {}),
        ({"recipe": {"shifts": 1}, "key": "../x"}, {"shifts": 1}),
    ],
)
def test_what_cannot_be_stored_of_a_recipe_is_left_out(
    own: dict[str, Any], recipe: dict[str, Any]
) -> None:
    read = read_message(json.dumps({"hash": H, "octet": own}).encode())

    expected = {name: value for name, value in recipe.items() if not isinstance(value, dict)}
    assert read.request.recipe == expected
    assert read.request.key in ("", *[read.request.job_id.rpartition("-")[2]])


def test_a_message_with_countless_callbacks_is_refused() -> None:
    hooks = [{"url": f"http://{number}/"} for number in range(20_000)]
    raw = json.dumps({"hash": H, "octet": {"callbacks": hooks}}).encode()
    with pytest.raises(MessageError, match="20000 callbacks, more than 100"):
        read_message(raw)


def test_half_of_a_surrogate_pair_goes_no_further_than_a_callbacks_data() -> None:
    # given a foreign message with half of a pair wherever text can be
    half = "\ud800"
    parts = {
        "hash": H,
        "model": half,
        "callback": {"url": "http://x/", "data": half},
        "octet": {"recipe": {"tracks": [half], "model": half, half: 1}, "name": half},
    }
    request = read_message(json.dumps(parts).encode()).request
    # when it is read, then what is stored is text, and the data goes back as it came
    assert (request.recipe, request.name) == ({}, "")
    [hook] = request.callbacks
    assert hook.body == '"\\ud800"'
    json.dumps(request.recipe, ensure_ascii=False).encode()
