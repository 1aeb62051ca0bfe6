"""`octet submit`: songs to a service, and their tracks back."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from octet.tracks import TRACKS
from tests.api.addresses import serving_songs
from tests.api.conftest import serving
from tests.api.songs import name_of, song
from tests.api.worker import StandIn

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from octet.settings import ServiceSettings
    from tests.cli.conftest import Octet


def finish_all(worker: StandIn, count: int) -> threading.Thread:
    def finish() -> None:
        for _ in range(count):
            worker.finish()

    thread = threading.Thread(target=finish)
    thread.start()
    return thread


def test_submit_says_what_became_of_each(octet: Octet, songs: list[Path]) -> None:
    done = octet("submit", *songs)
    assert done.exit_code == 1
    assert f"{name_of(song(0))}  waiting, 0 before it" in done.stdout
    assert f"{name_of(song(1))}  waiting, 1 before it" in done.stdout
    assert "this is not audio" in done.stderr
    missing = octet("submit", "none.mp3")
    assert missing.exit_code == 1
    assert "none.mp3: No such file" in missing.stderr


def test_submit_fetches_the_tracks(
    octet: Octet, worker: StandIn, songs: list[Path], tmp_path: Path
) -> None:
    finishing = finish_all(worker, 2)
    done = octet("submit", *songs[:2], "-o", tmp_path / "out", "--json")
    finishing.join()
    assert done.exit_code == 0, done.output
    jobs = [json.loads(line) for line in done.stdout.splitlines()]
    assert [job["state"] for job in jobs] == ["done", "done"]
    for folder in ("Lied", "Lied (2)"):
        files = {path.name for path in (tmp_path / "out" / folder).iterdir()}
        assert files == {f"{track}.mp3" for track in TRACKS} | {"manifest.json"}


def test_submit_passes_options_on(octet: Octet, songs: list[Path]) -> None:
    done = octet(
        "submit", songs[0], "--json", "--format", "flac", "--tracks", "vocals", "--priority", "low"
    )
    job: dict[str, Any] = json.loads(done.stdout)
    assert (job["recipe"]["format"], job["recipe"]["tracks"]) == ("flac", ["vocals"])
    assert job["priority"] == "low"


def test_nobody_there(octet: Octet, monkeypatch: pytest.MonkeyPatch, songs: list[Path]) -> None:
    monkeypatch.setenv("OCTET_URL", "http://127.0.0.1:1")
    done = octet("submit", *songs)
    assert done.exit_code == 1
    assert done.stderr.count("does not answer") == 1  # it is not tried for each


def test_an_address_is_fetched_by_the_service(
    near_settings: ServiceSettings, octet: Octet, tmp_path: Path
) -> None:
    with serving_songs() as songs, serving(near_settings) as url:
        finishing = finish_all(StandIn(near_settings, tmp_path), 1)
        done = octet("submit", songs.url("/7"), "-o", tmp_path / "out", "--url", url)
        finishing.join()
        assert done.exit_code == 0, done.output
        assert "import-" in done.stdout
        assert (tmp_path / "out" / "7" / "vocals.mp3").exists()
        failed = octet("submit", songs.url("/none"), "--wait", "--url", url)
        assert failed.exit_code == 1
        assert "answered 404" in failed.stderr
