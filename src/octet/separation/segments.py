"""A song in overlapping segments, and segments of stems back to one stream.

The arithmetic is that of `demucs.apply.apply_model` (4.1.0): the same cuts, the same context
around each piece, the same triangular weights; but nothing is held longer than a later
segment can still touch it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from octet.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octet.separation.model import Song
    from octet.separation.models.spec import ModelSpec

MAX_SHIFT_SECONDS = 0.5


class Mix:
    """A song as a network wants it: normalised, and followed by silence on both sides."""

    def __init__(self, song: Song, *, normalize: bool, center: bool = True) -> None:
        self.samples = song.samples
        self._song = song
        self._mean = np.float32(song.mean if normalize and center else 0)
        self._scale = np.float32(song.deviation + 1e-8 if normalize else 1)

    @classmethod
    def as_expected(cls, song: Song, spec: ModelSpec) -> Mix:
        """The song as this network expects it."""
        return cls(song, normalize=spec.normalize, center=spec.center)

    def read(self, start: int, count: int) -> np.ndarray:
        """Float32 of shape (2, count); zeros outside the song, whatever its mean."""
        first = min(max(start, 0), self.samples)
        last = max(min(start + count, self.samples), first)
        out = np.zeros((2, count), np.float32)
        if last > first:
            inside = out[:, first - start : last - start]
            np.subtract(self._song.read(first, last - first), self._mean, out=inside)
            inside /= self._scale
        return out

    def restore(self, stems: np.ndarray) -> np.ndarray:
        """Undoes the normalisation on stems, in place."""
        stems *= self._scale
        stems += self._mean
        return stems


@dataclass(frozen=True)
class Piece:
    """What the network runs on at a time.

    Attributes:
        start: of the piece in the song; negative before it.
        length: samples of the piece that count.
        run_start: where the network's input begins: earlier, when it needs more samples.
        run_length: how many samples the network gets.
        fade: of a mask: what each of its frames counts beside those of other pieces at the same
            place, with which it sums to one.
    """

    start: int
    length: int
    run_start: int
    run_length: int
    fade: np.ndarray | None = field(default=None, compare=False)

    def trim(self, stems: np.ndarray) -> np.ndarray:
        """The part of the network's output (S, 2, run_length) that counts."""
        left = self.start - self.run_start
        return stems[..., left : left + self.length]


class Walk:
    """The way of one network through a song, segment by segment.

    Args:
        spec: the network's.
        samples: the song's length.
        overlap: share of a segment, 0 to below 1.
        lead: samples of silence before the song (the shift of Demucs' shift trick).

    Raises:
        SettingError: so much overlap that segments would not move on.
    """

    def __init__(self, spec: ModelSpec, samples: int, overlap: float, lead: int = 0) -> None:
        self.segment = spec.segment
        self.stride = int((1 - overlap) * spec.segment)
        self.lead = lead
        self.length = lead + samples if samples else 0
        if not 0 <= overlap < 1 or self.stride < 1:
            raise SettingError(
                f"an overlap of {overlap} is not possible", "Choose one from 0 to below 1."
            )
        self._spec = spec

    def __len__(self) -> int:
        return len(range(0, self.length, self.stride))

    def __iter__(self) -> Iterator[Piece]:
        for offset in range(0, self.length, self.stride):
            length = min(self.segment, self.length - offset)
            run_length = self._spec.valid_length(length)
            start = offset - self.lead
            before = (run_length - length - self._spec.tail) // 2
            yield Piece(start, length, start - before, run_length)


class OverlapAdd:
    """Joins the pieces of a walk, which must come in order, by weighted averages."""

    def __init__(self, walk: Walk, stems: int) -> None:
        self._walk = walk
        self._weight = triangle(walk.segment)
        self._sum = np.zeros((stems, 2, walk.segment), np.float32)
        self._weights = np.zeros(walk.segment, np.float32)
        self._offset = 0

    def add(self, stems: np.ndarray) -> np.ndarray:
        """Takes the next piece and gives what no later piece touches.

        Args:
            stems: float32, (S, 2, length of the piece).

        Returns:
            float32, (S, 2, n), right after what was given before; the silence before a
            shifted song is left out.
        """
        length = stems.shape[-1]
        weight = self._weight[:length]
        self._sum[..., :length] += stems * weight
        self._weights[:length] += weight
        done = min(self._walk.stride, self._walk.length - self._offset)
        block: np.ndarray = self._sum[..., :done] / self._weights[:done]
        for kept in (self._sum, self._weights):
            kept[..., :-done] = kept[..., done:].copy()
            kept[..., -done:] = 0
        silence = min(max(self._walk.lead - self._offset, 0), done)
        self._offset += done
        return block[..., silence:]


class Average:
    """The weighted mean of several streams of stems that come in blocks of any length.

    Args:
        weights: (streams, S); the sum over the streams is positive for every stem.
    """

    def __init__(self, weights: np.ndarray) -> None:
        shares = weights / weights.sum(axis=0)
        self._shares = shares.astype(np.float32)[:, :, None, None]
        self._waiting: list[list[np.ndarray]] = [[] for _ in weights]

    def add(self, stream: int, block: np.ndarray) -> np.ndarray:
        """Takes a block (S, 2, n) and gives as much of the mean as is complete, maybe none."""
        if len(self._waiting) == 1:
            return block
        self._waiting[stream].append(block)
        ready = min(sum(b.shape[-1] for b in blocks) for blocks in self._waiting)
        total = np.zeros((*block.shape[:-1], ready), np.float32)
        if ready:
            for blocks, shares in zip(self._waiting, self._shares, strict=True):
                total += _take(blocks, ready) * shares
        return total


class FrameWalk:
    """The way of a mask model through a song: pieces on one grid of frames.

    Frame j begins at sample j * hop - n_fft of the song (after `lead`), so that the first one
    lies before it, and every sample is in as many frames as any other. Without overlap these
    are the segments of Spleeter's own; with it, the masks of two pieces fade into each other.

    Args, and errors: as of `Walk`. Of a segment's overlap, whole frames are used.
    """

    def __init__(self, spec: ModelSpec, samples: int, overlap: float, lead: int = 0) -> None:
        assert spec.stft is not None  # noqa: S101  # ModelSpec sees to it
        step = round((1 - overlap) * spec.frames) if 0 <= overlap < 1 else 0
        if step < 1:
            raise SettingError(
                f"an overlap of {overlap} is not possible", "Choose one from 0 to below 1."
            )
        self.segment = spec.segment
        self.lead = lead + spec.stft.n_fft
        self.stride = step * spec.stft.hop
        self.length = self.lead + samples if samples else 0
        self._step, self._frames = step, spec.frames
        heard = -(-self.length // spec.stft.hop)
        self._pieces = 1 + max(0, -(-(heard - self._frames) // step)) if samples else 0

    def __len__(self) -> int:
        return self._pieces

    def __iter__(self) -> Iterator[Piece]:
        for index in range(self._pieces):
            start = index * self.stride - self.lead
            yield Piece(start, self.segment, start, self.segment, self._fade(index))

    def _fade(self, index: int) -> np.ndarray:
        """The weights of a piece's frames: triangles, divided by the sum of all that are there."""
        own = triangle(self._frames)
        total = own.copy()
        for other in range(self._pieces_near(index)[0], self._pieces_near(index)[1]):
            away = (other - index) * self._step
            if away > 0:
                total[away:] += own[:-away]
            elif away < 0:
                total[:away] += own[-away:]
        fade: np.ndarray = own / total
        return fade

    def _pieces_near(self, index: int) -> tuple[int, int]:
        reach = (self._frames - 1) // self._step
        return max(0, index - reach), min(self._pieces, index + reach + 1)


class FrameAdd:
    """Joins the pieces of a `FrameWalk`, which must come in order: they are faded, so it adds."""

    def __init__(self, walk: FrameWalk, stems: int) -> None:
        self._walk = walk
        self._sum = np.zeros((stems, 2, walk.segment), np.float32)
        self._offset = 0
        self._left = len(walk)

    def add(self, stems: np.ndarray) -> np.ndarray:
        """Takes the next piece and gives what no later piece touches: see `OverlapAdd.add`."""
        walk = self._walk
        self._sum += stems
        self._left -= 1
        done = walk.stride if self._left else walk.length - self._offset
        silence = min(max(walk.lead - self._offset, 0), done)
        block = self._sum[..., silence:done].copy()
        self._sum[..., :-done] = self._sum[..., done:].copy()
        self._sum[..., -done:] = 0
        self._offset += done
        return block


def triangle(segment: int) -> np.ndarray:
    """Demucs' weights of a segment: rising to 1 in its middle, then falling; never zero."""
    half = segment // 2
    weight = np.concatenate([np.arange(1, half + 1), np.arange(segment - half, 0, -1)])
    return np.asarray(weight / weight.max(), np.float32)


def _take(blocks: list[np.ndarray], count: int) -> np.ndarray:
    """Removes the first `count` samples from a list of blocks."""
    whole = np.concatenate(blocks, axis=-1)
    blocks[:] = [whole[..., count:]]
    return whole[..., :count]
