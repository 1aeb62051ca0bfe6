"""Manifests on their way out, and those that stand there already."""

from __future__ import annotations

import json

import pytest

from octet.jobs.job import JobError
from octet.results.keys import ResultKeys
from octet.worker.protocol import Done
from octet.worker.receipt import Result, Standing, read_standing

DONE = Done(
    {
        "tracks": {"vocals": {"key": "vocals.mp3"}, "original": {"key": "original.mp3"}},
        "settings": {"format": "mp3"},
        "song": {"tags": {"title": "stray \udcff byte, 日本"}},
        "timings": {"decode": 1.0},
    },
    "audio/mpeg",
)


def test_a_published_manifest_names_the_objects() -> None:
    result = Result(DONE, "pocket")

    parts = json.loads(result.to_bytes(ResultKeys("ab12"), {"fetch": 2.0}))

    assert parts["tracks"]["vocals"]["key"] == "ab12-vocals.mp3"
    assert parts["settings"] == {"model": "pocket", "format": "mp3"}
    assert parts["timings"] == {"decode": 1.0, "fetch": 2.0}
    assert parts["song"]["tags"]["title"] == "stray ? byte, 日本"
    assert (parts["outcome"], parts["reason"]) == ("complete", None)
    assert result.tracks[0] == "original"


def test_a_fallback_says_so_and_can_be_read_again() -> None:
    result = Result(DONE, "htdemucs", JobError("model", "it broke"))

    manifest = result.to_bytes(ResultKeys("ab12"), {})

    assert read_standing(manifest) == Standing("fallback", "htdemucs", "it broke")


@pytest.mark.parametrize("manifest", [None, b"{", b"[]", b"{}", b'{"outcome": "perfect"}'])
def test_what_is_no_manifest_does_not_count(manifest: bytes | None) -> None:
    assert read_standing(manifest) is None
