"""A decoded song on disk: read in any place, without ever being held in memory."""

from __future__ import annotations

import copy
import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from octet.audio.decode import SongReader
from octet.audio.files import refusal
from octet.audio.levels import Statistics
from octet.audio.resample import Resampler
from octet.errors import NotAudioError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import Self

    from octet.audio.song import Limits, SongInfo

_CHANNELS = 2
_FRAME_BYTES = 4 * _CHANNELS
_COPY_BLOCK = 1 << 17


class Recording:
    """The samples of a song, in a scratch file that nobody else sees.

    The file takes 8 bytes a sample; it has no name, so that nothing is left even when the
    process is killed. A context manager: leaving it frees the space.

    Attributes:
        info: what the song's file says of itself.
        rate: samples a second of what is held.
        samples: how many there are.
        bytes: size of the song's file.
        sha256: of the bytes of the song's file, in lower-case hex.
        mean: of the mono mix, (left + right) / 2.
        deviation: of the mono mix, with n - 1 like torch.std; 0 below two samples.
        peak: largest absolute sample.
        silenced: seconds of it that are silence in the place of what was damaged.
    """

    def __init__(self, info: SongInfo, rate: int, size: int, sha256: str, folder: Path) -> None:
        self.info = info
        self.rate = rate
        self.bytes = size
        self.sha256 = sha256
        self.samples = 0
        self.mean = self.deviation = self.peak = self.silenced = 0.0
        self._folder = folder
        try:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # held open
        except OSError as error:
            raise refusal(folder, error) from error

    @classmethod
    def read_song(
        cls,
        path: Path,
        folder: Path,
        limits: Limits | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> Recording:
        """Decodes a song, once, into a scratch file in `folder`.

        Args:
            path: the song.
            folder: where there is room for its samples.
            limits: what is accepted.
            on_progress: called with the share done, 0 to 1, as far as the header's claim of
                the length tells; what it raises ends the reading.

        Raises:
            AudioError: the song cannot be read, see `octet.audio.decode`.
            OutputError: the folder has no room, or cannot be written.
        """
        with SongReader(path, limits) as reader:
            info = reader.info
            recording = cls(info, info.rate, reader.source.size, reader.source.sha256(), folder)
            expected = info.rate * info.duration if info.duration else None
            with _closing_on_error(recording):
                recording._fill(_reported(reader.blocks(), expected, on_progress))
                recording.silenced = reader.silenced
                if recording.samples == 0:
                    raise NotAudioError(f"{path} holds no sound", "Give a song")
        return recording

    def read(self, start: int, count: int) -> np.ndarray:
        """`count` samples from `start` on, zeros where there are none. Safe from any thread.

        Returns:
            float32 of shape (2, count), contiguous.
        """
        first, last = max(start, 0), min(start + count, self.samples)
        block = np.zeros((_CHANNELS, count), np.float32)
        if first < last:
            block[:, first - start : last - start] = self._stored(first, last - first)
        return block

    def blocks(self, count: int = _COPY_BLOCK) -> Iterator[np.ndarray]:
        """All samples in order, `count` at a time, float32 of shape (2, n)."""
        for start in range(0, self.samples, count):
            yield self.read(start, min(count, self.samples - start))

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
        yield resampler.process(np.zeros((_CHANNELS, 0), np.float32), last=True)

    def _fill(self, blocks: Iterable[np.ndarray]) -> None:
        """Writes all blocks, and takes their measure."""
        figures = Statistics()
        for block in blocks:
            figures.add(block)
            self._append(np.ascontiguousarray(block.T, np.float32))
        self.samples = figures.samples
        self.mean, self.deviation, self.peak = figures.mean, figures.deviation, figures.peak

    def _append(self, frames: np.ndarray) -> None:
        left = memoryview(frames.tobytes())
        try:
            while left:
                left = left[os.write(self._file.fileno(), left) :]
        except OSError as error:
            raise refusal(self._folder, error) from error

    def _stored(self, start: int, count: int) -> np.ndarray:
        data = bytearray()
        begin, size = start * _FRAME_BYTES, count * _FRAME_BYTES
        # One call gives at most 2 GiB.
        while len(data) < size:
            data += os.pread(self._file.fileno(), size - len(data), begin + len(data))
        return np.frombuffer(data, np.float32).reshape(count, _CHANNELS).T

    def close(self) -> None:
        """Frees the space; again does no harm."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _closing_on_error(recording: Recording) -> Iterator[None]:
    try:
        yield
    except BaseException:
        recording.close()
        raise


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
