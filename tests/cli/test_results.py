"""`octet fetch` and `rm`, against a real service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from octet.client import Client
from octet.tracks import TRACKS
from tests.api.songs import name_of, song
from tests.api.worker import track_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.worker import StandIn
    from tests.cli.conftest import Octet


def test_results_are_fetched_into_folders_of_their_names(
    octet: Octet, worker: StandIn, songs: list[Path], tmp_path: Path
) -> None:
    # given two songs of one name that are done
    octet("submit", *songs[:2])
    worker.finish()
    worker.finish()
    first, second = name_of(song(0)), name_of(song(1))
    # when they are fetched by the beginning of their ids, then each has a folder
    done = octet("fetch", first[:12], second[:12], "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        f"{tmp_path / 'out' / 'Lied'}: 8 tracks",
        f"{tmp_path / 'out' / 'Lied (2)'}: 8 tracks",
    ]
    fetched = tmp_path / "out" / "Lied (2)" / "vocals.mp3"
    assert fetched.read_bytes() == track_bytes(second, "vocals")
    assert len(list(fetched.parent.iterdir())) == len(TRACKS) + 1
    # and some tracks alone, with what came as JSON
    some = octet("fetch", second, "--tracks", "bass", "--json", "-o", tmp_path / "out")
    assert list(json.loads(some.stdout)["tracks"]) == ["bass"]
    assert {path.name for path in fetched.parent.iterdir()} == {"bass.mp3", "manifest.json"}


def test_what_is_not_done_or_not_there_is_said(octet: Octet, songs: list[Path]) -> None:
    octet("submit", songs[0])
    done = octet("fetch", name_of(song(0)), "0" * 64)
    assert done.exit_code == 1
    assert done.stderr.count("octet status tells how far it is") == 2


def test_results_are_deleted(
    octet: Octet, worker: StandIn, songs: list[Path], shared_url: str
) -> None:
    # given a result, and a song that waits
    octet("submit", songs[0])
    worker.finish()
    octet("submit", songs[1])
    first, second = name_of(song(0)), name_of(song(1))
    # when both are to go, then the result is gone, and the other is told to be cancelled first
    done = octet("rm", first[:12], second)
    assert done.exit_code == 1
    assert f"{first}  deleted" in done.stdout
    assert "Cancel it first" in done.stderr
    with Client(shared_url) as client:
        assert [job["id"] for job in client.jobs(state="waiting")] == [second]
    assert octet("fetch", first).exit_code == 1
