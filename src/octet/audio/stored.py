"""Samples in a scratch file: written once, read in any place, never held in memory."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import numpy as np

from octet.audio.files import refusal
from octet.audio.levels import Statistics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

CHANNELS = 2
_FRAME_BYTES = 4 * CHANNELS
_COPY_BLOCK = 1 << 17


class StoredSamples:
    """Samples of two channels, in a file that nobody else sees, and their figures.

    The file takes 8 bytes a sample; it has no name, so that nothing is left even when the
    process is killed. A context manager: leaving it frees the space.

    Args:
        rate: samples a second.
        folder: where there is room.

    Attributes:
        rate: samples a second.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, rate: int, folder: Path) -> None:
        self.rate = rate
        self._folder = folder
        self._figures = Statistics()
        try:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # held open
        except OSError as error:
            raise refusal(folder, error) from error

    @property
    def samples(self) -> int:
        """How many there are."""
        return self._figures.samples

    @property
    def mean(self) -> float:
        """Of the mono mix, (left + right) / 2."""
        return self._figures.mean

    @property
    def deviation(self) -> float:
        """Of the mono mix, with n - 1 like torch.std; 0 below two samples."""
        return self._figures.deviation

    @property
    def peak(self) -> float:
        """Largest absolute sample."""
        return self._figures.peak

    def append(self, block: np.ndarray) -> None:
        """Writes the next block, shape (2, n), as float32, and takes its measure.

        Raises:
            OutputError: the folder has no room, or cannot be written.
        """
        self._figures.add(block)
        left = memoryview(np.ascontiguousarray(block.T, np.float32).tobytes())
        try:
            while left:
                left = left[os.write(self._file.fileno(), left) :]
        except OSError as error:
            raise refusal(self._folder, error) from error

    def read(self, start: int, count: int) -> np.ndarray:
        """`count` samples from `start` on, zeros where there are none. Safe from any thread.

        Returns:
            float32 of shape (2, count), contiguous.
        """
        first, last = max(start, 0), min(start + count, self.samples)
        block = np.zeros((CHANNELS, count), np.float32)
        if first < last:
            block[:, first - start : last - start] = self._stored(first, last - first)
        return block

    def blocks(self, count: int = _COPY_BLOCK) -> Iterator[np.ndarray]:
        """All samples in order, `count` at a time, float32 of shape (2, n)."""
        for start in range(0, self.samples, count):
            yield self.read(start, min(count, self.samples - start))

    def _stored(self, start: int, count: int) -> np.ndarray:
        data = bytearray()
        begin, size = start * _FRAME_BYTES, count * _FRAME_BYTES
        # One call gives at most 2 GiB.
        while len(data) < size:
            data += os.pread(self._file.fileno(), size - len(data), begin + len(data))
        return np.frombuffer(data, np.float32).reshape(count, CHANNELS).T

    def close(self) -> None:
        """Frees the space; again does no harm."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
