"""What a request may say, what names its result, and what a record is read as."""

from __future__ import annotations

import json
from typing import Any

import pytest

from octet.errors import SettingError
from octet.jobs.job import ENDED, MOST_CALLBACKS, STATES, Callback, Job, JobError, JobRequest
from tests.jobs.songs import song

H = song(1)
KEY = "0123456789abcdef"


def job(**fields: str) -> Job:
    """What is read of a record with these fields, as the server gives them."""
    record = {"id": H, "song": H, "state": "running", **fields}
    return Job.from_record({name.encode(): value.encode() for name, value in record.items()})


def test_a_recipe_that_is_not_the_default_is_part_of_the_name() -> None:
    assert JobRequest(song=H, recipe={"format": "mp3"}).job_id == H
    assert JobRequest(song=H, key=KEY).job_id == f"{H}-{KEY}"
    # and a record tells it by its id, whatever the length of the song's name
    assert job(id=f"{H}-{KEY}").key == KEY
    assert job(id="ab" * 28 + f"-{KEY}", song="ab" * 28).key == KEY
    assert job(id=H).key == ""


@pytest.mark.parametrize("name", ["a" * 32, "AB" * 28, "0" * 128])
def test_a_song_has_the_name_that_it_was_given(name: str) -> None:
    assert JobRequest(song=name).job_id == name


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"song": "x"}, "'x' is not the name of a song"),
        ({"song": "a" * 31}, "is not the name of a song"),
        ({"song": "a" * 129}, "is not the name of a song"),
        ({"song": H + "\n"}, "is not the name of a song"),
        ({"priority": "urgent"}, "'urgent' is not a priority"),
        ({"bucket": ""}, "'' is not the name of a bucket or an object"),
        ({"bucket": "a\x00b"}, "is not the name of a bucket"),
        ({"object": "../x"}, "'../x' is not the name of a bucket or an object"),
        ({"object": "a/../b"}, "is not the name of a bucket"),
        ({"object": "/etc/passwd"}, "is not the name of a bucket"),
        ({"object": "a\nb"}, "is not the name of a bucket"),
        ({"object": "\ud800"}, "is not the name of a bucket"),
        ({"object": "\N{LATIN SMALL LETTER E WITH ACUTE}" * 513}, "is not the name of a bucket"),
        ({"name": "\ud800"}, "is not text"),
        ({"callbacks": (Callback("http://\ud800/"),)}, "is not text"),
        ({"callbacks": (Callback("http://x/"),) * (MOST_CALLBACKS + 1)}, "101 callbacks"),
        ({"key": "../../x"}, "'../../x' cannot name a recipe"),
        ({"key": KEY + "0"}, "cannot name a recipe"),
        ({"key": KEY + "\n"}, "cannot name a recipe"),
    ],
)
def test_a_request_without_sense_is_refused_in_one_line(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError) as caught:
        JobRequest(**{"song": H, **fields})

    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_what_only_looks_odd_is_accepted() -> None:
    odd = "a..b/..c/\N{LATIN SMALL LETTER E WITH ACUTE}.mp3"

    request = JobRequest(
        song=H, object=odd, name="../x\n", callbacks=(Callback("http://x/"),) * MOST_CALLBACKS
    )

    assert request.places("b") == [("b", odd)]


def test_where_a_song_may_lie() -> None:
    # given a job that says nothing of it, or the bucket, or the object, or both
    queue = [("demucs-bucket", f"queue/{H}.mp3"), ("demucs-bucket", f"{H}.mp3")]
    own = [("b", f"queue/{H}.mp3"), ("b", f"{H}.mp3")]
    cases: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
        ({}, queue),
        ({"bucket": "b"}, own),
        ({"object": "o"}, [("demucs-bucket", "o")]),
        ({"bucket": "b", "object": "o"}, [("b", "o")]),
    ]
    for fields, places in cases:
        # then the record of it and the request for it say the same
        assert job(**fields).places("demucs-bucket") == places
        assert JobRequest(song=H, **fields).places("demucs-bucket") == places


def test_a_callback_sends_its_data_as_json_and_an_event_sends_none_of_it() -> None:
    data = {"a": [1, None, "\ud800", "\N{MUSICAL SYMBOL G CLEF}"]}

    assert Callback("http://x/").body == "null"
    assert Callback("http://x/", data, kind="event").body == ""
    # and the body is ASCII, so that half of a surrogate pair can be stored and comes back
    body = Callback("http://x/", data).body
    assert body.isascii()
    assert json.loads(body) == data


def test_a_record_with_nothing_but_its_name_has_defaults() -> None:
    read = job()

    assert (read.recipe, read.outcome, read.priority) == ({}, None, "normal")
    assert (read.attempts, read.percent, read.left) == (0, 0.0, None)
    assert (read.created, read.started, read.finished) == (0.0, None, None)
    assert (read.worker, read.error, read.cancelling) == ("", None, False)
    assert (read.bucket, read.object, read.name, read.message) == (None, None, "", b"")


def test_a_record_is_read_in_seconds_and_numbers() -> None:
    read = job(
        recipe='{"shifts": 1}',
        outcome="fallback",
        priority="high",
        attempts="2",
        percent="33.3",
        left="0.5",
        created="1700000000123",
        started="1700000001500",
        finished="1700000002750",
        worker="w",
        error_code="model",
        error="it went wrong",
        cancel="1",
    )

    assert (read.recipe, read.outcome, read.priority) == ({"shifts": 1}, "fallback", "high")
    assert (read.attempts, read.percent, read.left) == (2, 33.3, 0.5)
    assert (read.created, read.started) == (1_700_000_000.123, 1_700_000_001.5)
    assert read.finished == 1_700_000_002.75
    assert (read.worker, read.error) == ("w", JobError("model", "it went wrong"))
    assert read.cancelling


def test_what_is_empty_in_a_record_is_nothing() -> None:
    empty = dict.fromkeys(("outcome", "left", "started", "finished", "bucket", "object"), "")

    assert job(**empty, error_code="", error="an old one") == job()


def test_bytes_that_are_no_text_cost_neither_the_record_nor_the_message() -> None:
    # given a record in which another producer's bytes lie
    raw = {b"id": H.encode(), b"song": H.encode(), b"state": b"waiting"}

    read = Job.from_record({**raw, b"name": b"caf\xe9.wav", b"message": b"\xff\xfe"})

    # then the name can be shown, and the message is what it was, byte for byte
    assert read.name == "caf\ufffd.wav"
    assert read.message == b"\xff\xfe"


@pytest.mark.parametrize("state", STATES)
def test_a_job_has_ended_when_nothing_more_happens_by_itself(state: str) -> None:
    assert job(state=state).ended == (state not in ("waiting", "running"))
    assert set(ENDED) < set(STATES)
