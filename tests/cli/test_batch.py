"""What is said of songs on their way: where they are, how long all take, what became of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from octet.cli import batch as module
from octet.cli.batch import Batch, clock
from octet.cli.songs import Song
from tests.results.made import manifest


class Clock:
    """A clock that stands still until it is set."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def songs(*seconds: float | None) -> list[Song]:
    return [Song(Path(f"{at}.wav"), seconds=length) for at, length in enumerate(seconds)]


def test_the_time_left_is_that_of_all_songs_by_their_lengths(time: Clock) -> None:
    # given three songs, of which the last one tells no length
    batch = Batch(songs(100.0, 300.0, None))
    walk = iter(batch)
    next(walk)
    assert batch.place == "1 of 3"
    with batch.bar():
        # when a tenth of the first took one second, then 10 s of song take one, of 600 s in all
        assert batch._left(0.02, 0.1) == "--:--"
        assert batch._left(0.1, 1.0) == "00:09, all 00:59"
        time.now += 20
    # then what songs before took counts as well
    next(walk)
    assert batch._left(0.0, 0.0) == "01:00, all 01:40"


def test_a_single_song_is_no_batch(time: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    batch = Batch(songs(100.0))
    next(iter(batch))
    assert batch.place == ""
    assert batch._left(0.5, 10.0) == "00:10"
    batch.finished(manifest(), Path("separated/Lied"), replaced=False)
    batch.ended()
    said = capsys.readouterr()
    assert said.out == "separated/Lied: 8 tracks in 1.0 s (10.0 times real time)\n"
    assert said.err == ""


def test_each_song_has_one_line_and_all_have_one(
    time: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    # given a batch of which one song was there, one is done, and one cannot be read
    batch = Batch(songs(1.0, 2.0, 3.0))
    walk = iter(batch)
    next(walk)
    batch.was_there(Path("out/0"), tell=True)
    next(walk)
    batch.finished(manifest(), Path("out/1"), replaced=True)
    next(walk)
    batch.went_wrong("2.wav", "it is broken")
    time.now += 61
    batch.ended()
    # then that is what is said
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "1 of 3  out/0: is there already; --force separates it again",
        "2 of 3  out/1: 8 tracks in 1.0 s (10.0 times real time), in place of the earlier ones",
    ]
    assert said.err.splitlines() == [
        "octet: 2.wav: it is broken",
        "3 songs: 1 separated, 1 there already, 1 failed, in 01:01",
    ]


def test_an_end_in_the_midst_says_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    batch = Batch(songs(1.0, 2.0, 3.0))
    for _ in zip(range(2), batch, strict=False):
        batch.was_there(Path("out/0"), tell=False)
    batch.stopped(Path("out"))
    one = Batch(songs(1.0))
    one.stopped(Path("out"))
    assert capsys.readouterr().err.splitlines() == [
        "octet: stopped, 2 of 3 songs are in out; the same call goes on",
        "octet: stopped, nothing of the song is kept",
    ]


def test_quiet_and_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = Batch(songs(1.0, 2.0), quiet=True, verbose=True)
    next(iter(quiet))
    quiet.finished(manifest(), Path("out/0"), replaced=False)
    quiet.ended()
    assert capsys.readouterr() == ("", "")
    verbose = Batch(songs(1.0), verbose=True)
    next(iter(verbose))
    verbose.finished(manifest(), Path("out/0"), replaced=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["vocals", "-20.0", "-3.0", "0"]
    assert lines[-1] == "null -148 dB before encoding"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "00:00"), (59.6, "01:00"), (205, "03:25"), (3805, "1:03:25")]
)
def test_clocks(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
