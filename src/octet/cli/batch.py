"""Songs on their way through a command: how far each is, how long all take, a line for each."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from octet.cli.console import counted, fail, note, say, say_table, song_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from octet.cli.songs import Song
    from octet.errors import OctetError
    from octet.results.manifest import Manifest

_USUAL_SECONDS = 200.0
"""Length of a song whose header does not tell, where no other's does."""

_TOLD_FROM = 0.04
"""Share of a song from which on its speed can be told: decoding is over then."""


class Batch:
    """Counts songs, and tells of them on the terminal.

    Args:
        songs: all, in order.
        quiet: say nothing but what went wrong.
        bars: draw bars on terminals.
        verbose: add the levels of each song's tracks.

    Attributes:
        separated, there, failed: how many of them were done, were there before, went wrong.
    """

    def __init__(
        self,
        songs: Sequence[Song],
        *,
        quiet: bool = False,
        bars: bool = True,
        verbose: bool = False,
    ) -> None:
        self.separated = self.there = self.failed = 0
        self._songs = songs
        self._quiet, self._bars, self._verbose = quiet, bars, verbose
        known = [song.seconds for song in songs if song.seconds]
        usual = sum(known) / len(known) if known else _USUAL_SECONDS
        self._seconds = [song.seconds or usual for song in songs]
        self._began = time.monotonic()
        self._worked = self._spent = 0.0  # seconds of songs, and of time that they took
        self._at = -1

    def __iter__(self) -> Iterator[Song]:
        """The songs, one after the other."""
        for song in self._songs:
            self._at += 1
            yield song

    @property
    def place(self) -> str:
        """Where in the batch the song is: `2 of 12`; empty for a single one."""
        return f"{self._at + 1} of {len(self._songs)}" if len(self._songs) > 1 else ""

    @property
    def done(self) -> int:
        """Songs of which the result is there."""
        return self.separated + self.there

    @contextmanager
    def bar(self) -> Iterator[Callable[[float], None]]:
        """A bar for the song under way; call what it gives with the share that is done."""
        began = time.monotonic()
        with song_bar(self.place, self._songs[self._at].name, silent=not self._bars) as show:
            yield lambda share: show(share, self._left(share, time.monotonic() - began))
        self._spent += time.monotonic() - began
        self._worked += self._seconds[self._at]

    def _left(self, share: float, elapsed: float) -> str:
        """The time left, of the song and of all."""
        seconds = self._seconds[self._at]
        worked = self._worked + share * seconds
        if not self._worked and share < _TOLD_FROM:
            return "--:--"
        pace = (self._spent + elapsed) / worked
        own = (1.0 - share) * seconds * pace
        if len(self._songs) == 1:
            return clock(own)
        return f"{clock(own)}, all {clock(own + pace * sum(self._seconds[self._at + 1 :]))}"

    def finished(self, done: Manifest, folder: Path, *, replaced: bool) -> None:
        """Tells of a song that was separated."""
        self.separated += 1
        seconds = done.timings["total"]
        speed = done.song.duration / seconds if seconds else 0.0
        old = ", in place of the earlier ones" if replaced else ""
        self._line(
            f"{folder}: {counted(len(done.tracks), 'track')} in {seconds:.1f} s "
            f"({speed:.1f} times real time){old}"
        )
        if self._verbose and not self._quiet:
            _levels(done)
        if done.song.silenced:
            self._note(f"{done.song.silenced:.2f} s of the song were damaged, and are silent")
        if done.clipped:
            self._note(
                f"{counted(done.clipped, 'sample')} beyond full scale; "
                "--format wav --bits 32 keeps them"
            )

    def was_there(self, folder: Path, *, tell: bool) -> None:
        """Tells of a song whose result was there before."""
        self.there += 1
        if tell:
            self._line(f"{folder}: is there already; --force separates it again")

    def went_wrong(self, name: str, reason: OctetError | str) -> None:
        """Tells of a song that cannot be separated."""
        self.failed += 1
        fail(f"{name}: {reason}")

    def ended(self) -> None:
        """Tells what became of several songs."""
        if len(self._songs) > 1:
            parts = [f"{self.separated} separated"]
            parts += [f"{self.there} there already"] if self.there else []
            parts += [f"{self.failed} failed"] if self.failed else []
            took = clock(time.monotonic() - self._began)
            self._note(f"{counted(len(self._songs), 'song')}: {', '.join(parts)}, in {took}")

    def stopped(self, output: Path) -> None:
        """Tells what is kept when somebody ends it before all are done."""
        if len(self._songs) == 1:
            fail("stopped, nothing of the song is kept")
            return
        kept = f"{self.done} of {len(self._songs)} songs {'is' if self.done == 1 else 'are'}"
        fail(f"stopped, {kept} in {output}; the same call goes on")

    def _line(self, text: str) -> None:
        if not self._quiet:
            say(f"{self.place}  {text}" if self.place else text)

    def _note(self, text: str) -> None:
        if not self._quiet:
            note(text)


def clock(seconds: float) -> str:
    """A time as clocks show it: 03:25, 1:03:25."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def _levels(done: Manifest) -> None:
    rows = [
        (name, f"{track.rms_db:.1f}", f"{track.peak_db:.1f}", f"{track.bytes / 1000:.0f}")
        for name, track in done.tracks.items()
    ]
    say_table(rows, header=("track", "RMS dBFS", "peak dBFS", "kB"), right=3)
    say(f"null {done.null_db:.0f} dB before encoding")
