"""A decoded song on disk: read in any place, without ever being held in memory."""

from __future__ import annotations

import copy
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from octet.audio.decode import SongReader
from octet.audio.resample import Resampler
from octet.audio.sound import clock
from octet.audio.stored import CHANNELS, StoredSamples
from octet.errors import NotAudioError, SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from octet.audio.song import Excerpt, Limits, SongInfo


class Recording(StoredSamples):
    """The samples of a song, and what is known of its file.

    Attributes:
        info: what the song's file says of itself.
        bytes: size of the song's file.
        sha256: of the bytes of the song's file, in lower-case hex.
        silenced: seconds of it that are silence in the place of what was damaged.
        excerpt: which part of the song this is; None for all of it.
    """

    def __init__(self, info: SongInfo, rate: int, size: int, sha256: str, folder: Path) -> None:
        super().__init__(rate, folder)
        self.info = info
        self.bytes = size
        self.sha256 = sha256
        self.silenced = 0.0
        self.excerpt: Excerpt | None = None

    @classmethod
    def read_song(
        cls,
        path: Path,
        folder: Path,
        limits: Limits | None = None,
        on_progress: Callable[[float], None] | None = None,
        excerpt: Excerpt | None = None,
    ) -> Recording:
        """Decodes a song, once, into a scratch file in `folder`.

        Args:
            path: the song.
            folder: where there is room for its samples.
            limits: what is accepted.
            on_progress: called with the share done, 0 to 1, as far as the header's claim of
                the length tells; what it raises ends the reading.
            excerpt: the part to keep; what lies behind it is not decoded.

        Raises:
            AudioError: the song cannot be read, see `octet.audio.decode`.
            OutputError: the folder has no room, or cannot be written.
            SettingError: the song ends before the excerpt begins.
        """
        with SongReader(path, limits) as reader:
            info = reader.info
            recording = cls(info, info.rate, reader.source.size, reader.source.sha256(), folder)
            expected = info.rate * info.duration if info.duration else None
            with _closing_on_error(recording):
                blocks = _reported(reader.blocks(), expected, on_progress)
                if excerpt is not None:
                    recording.excerpt = excerpt
                    blocks = _cut(blocks, *excerpt.samples(info.rate))
                recording._fill(blocks)
                recording.silenced = reader.silenced
                if excerpt is not None and recording.samples == 0:
                    raise SettingError(
                        f"{path} ends before {clock(excerpt.start)}", "Let the part begin earlier"
                    )
                if recording.samples == 0:
                    raise NotAudioError(f"{path} holds no sound", "Give a song")
        return recording

    def at_rate(
        self, rate: int, folder: Path, on_progress: Callable[[float], None] | None = None
    ) -> Recording:
        """The same song at another rate, in a scratch file of its own, with its own figures.

        It is `resampled_length` samples long. At its own rate it shares the scratch file,
        which stays until both are closed.

        Args:
            rate: in Hz.
            folder: for the scratch file.
            on_progress: called with the share done, 0 to 1; what it raises passes through.

        Raises:
            OutputError: the folder has no room, or cannot be written.
        """
        if rate == self.rate:
            twin = copy.copy(self)
            twin._file = os.fdopen(os.dup(self._file.fileno()), "w+b", buffering=0)
            return twin
        other = Recording(self.info, rate, self.bytes, self.sha256, folder)
        with _closing_on_error(other):
            other._fill(self._resampled(rate, on_progress))
        return other

    def _resampled(
        self, rate: int, on_progress: Callable[[float], None] | None
    ) -> Iterator[np.ndarray]:
        resampler, done = Resampler(self.rate, rate), 0
        for block in self.blocks():
            yield resampler.process(block)
            done += block.shape[-1]
            if on_progress:
                on_progress(done / self.samples)
        yield resampler.process(np.zeros((CHANNELS, 0), np.float32), last=True)

    def _fill(self, blocks: Iterable[np.ndarray]) -> None:
        for block in blocks:
            self.append(block)


@contextmanager
def _closing_on_error(recording: Recording) -> Iterator[None]:
    try:
        yield
    except BaseException:
        recording.close()
        raise


def _cut(blocks: Iterable[np.ndarray], first: int, last: int | None) -> Iterator[np.ndarray]:
    """The samples from `first` to before `last`; nothing is read beyond."""
    position = 0
    for block in blocks:
        end = block.shape[1] if last is None else last - position
        part = block[:, max(0, first - position) : end]
        if part.shape[1]:
            yield part
        position += block.shape[1]
        if last is not None and position >= last:
            return


def _reported(
    blocks: Iterable[np.ndarray],
    expected: float | None,
    on_progress: Callable[[float], None] | None,
) -> Iterator[np.ndarray]:
    done = 0
    for block in blocks:
        yield block
        done += block.shape[1]
        if on_progress and expected:
            on_progress(min(1.0, done / expected))
    if on_progress:
        on_progress(1.0)
