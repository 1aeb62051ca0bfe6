"""Blocks of samples into a file of any format, exact in length and start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from octet.audio.excerpts import Excerpts
from octet.audio.files import EncodedFile, OutputFile
from octet.audio.mp3 import QUALITY, Mp3File
from octet.audio.muxed import MuxedFile, sample_kind
from octet.audio.resample import Resampler
from octet.audio.song import cover_size, track_tags
from octet.audio.stem import StemFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from octet.audio.song import Cover
    from octet.formats import Encoding

_PIECE = 1 << 16
"""Samples that go to an encoder at once: enough that nearly all time is spent in it."""


LOUDEST = 8.0
"""Times full scale that lossy encoders get to see; they fail on absurd samples."""


class Encoder:
    """Writes one file, block by block. May be used from a thread of its own.

    Decoding the file gives as many samples as were written, from the first one on. Where the
    format does not have the rate, the sound is resampled, and the length with it.

    Formats of integers (flac, wav of 16 and 24 bits) and mp3, whose encoder takes 16 bits, get
    the nearest integer, without dither; what goes beyond full scale is cut, and counted. The
    other lossy encoders take up to `LOUDEST` times full scale.

    A stem file takes five sounds at once, see `octet.audio.stem`.

    What a lossy encoder left of the sound is measured once the file is complete: it is decoded, at
    about a sixth of the encoder's own time, and excerpts of it are compared with what was
    written; of a stem file, its first sound.

    Args:
        path: the file; one that is there is overwritten.
        encoding: its format. Bits that are not given are 16, see `Encoding.for_song`.
        rate: samples a second of the blocks.
        tags: of the song.
        cover: its picture, left out where the format has no room for one (wav).
        track: name of the track, added to the title.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        encoding: Encoding,
        rate: int,
        *,
        tags: Mapping[str, str] | None = None,
        cover: Cover | None = None,
        track: str | None = None,
    ) -> None:
        self.path = Path(path)
        self.encoding = replace(encoding, bits=_bits(encoding))
        self.rate = encoding.format.nearest_rate(rate)
        self._channels = 2 * encoding.format.streams
        self._resampler: Resampler | None = None
        if rate != self.rate:
            self._resampler = Resampler(rate, self.rate, self._channels)
        self._samples = self._clipped = 0
        self._excerpts = Excerpts()
        self._file = OutputFile(self.path)
        named = track_tags(tags or {}, track)
        try:
            # A picture that does not tell its size is broken, and players choke on it.
            picture = cover if cover and all(cover_size(cover)) else None
            self._guarded(lambda: self._open(named, picture))
        except BaseException:
            self.abort()
            raise

    def write(self, block: np.ndarray) -> None:
        """Takes a block in, float32 of shape (2, n), finite, full scale ±1.

        Of a stem file the shape is (10, n): its five sounds, one after the other.

        Raises:
            OutputError: the file cannot be written; `abort` deletes what there is of it.
            ValueError: the block holds samples that are not numbers.
        """
        if not np.isfinite(block).all():
            raise ValueError("the block holds samples that are not numbers")
        if not self.encoding.lossless:
            if self._kind != "s16":  # of which all that is cut is counted later
                self._clipped += int(np.count_nonzero(np.abs(block) > LOUDEST))
            block = np.clip(block, -LOUDEST, LOUDEST)
        if self._resampler is not None:
            block = self._resampler.process(block)
        self._put(block)

    def close(self) -> EncodedFile:
        """Completes the file.

        Raises:
            OutputError: the file cannot be written; it is deleted.
        """
        try:
            if self._resampler is not None:
                nothing = np.zeros((self._channels, 0), np.float32)
                self._put(self._resampler.process(nothing, last=True))
            self._guarded(self._sink.finish)
            size, digest = self._file.complete()
        except BaseException:
            self.abort()
            raise
        lossy = self._samples and not self.encoding.lossless
        residual = self._excerpts.residual_db(self.path) if lossy else None
        return EncodedFile(
            self.path, size, self._samples, self.rate, digest, self._clipped, residual
        )

    def abort(self) -> None:
        """Gives up and deletes the file; without effect on a completed one."""
        self._file.discard()

    def _open(self, tags: Mapping[str, str], cover: Cover | None) -> None:
        encoding = self.encoding
        bitrate = encoding.kilobits or 0
        self._kind = sample_kind(encoding)
        self._sink: _Sink
        if encoding.name == "mp3":
            quality = QUALITY if encoding.quality is None else encoding.quality
            self._kind = "s16"
            self._sink = Mp3File(self._file, self.rate, bitrate, quality, tags, cover)
        elif encoding.name == "ogg":
            from octet.audio.vorbis import VorbisFile  # no other format needs libsndfile

            self._sink = VorbisFile(self._file, self.rate, bitrate, tags, cover)
        elif encoding.name == "stem":
            self._sink = StemFile(self._file, encoding, self.rate, tags, cover)
        else:
            self._sink = MuxedFile(self._file, encoding, self.rate, tags, cover)

    def _put(self, block: np.ndarray) -> None:
        for start in range(0, block.shape[1], _PIECE):
            self._put_piece(block[:, start : start + _PIECE])

    def _put_piece(self, piece: np.ndarray) -> None:
        if not self.encoding.lossless:
            self._excerpts.add(piece[:2])
        self._samples += piece.shape[1]
        if self._kind in ("s16", "s32"):
            samples, clipped = quantise(piece, self.encoding.bits or 16)
            self._clipped += clipped
        elif self._kind == "fltp":
            samples = np.ascontiguousarray(piece, np.float32)
        else:
            samples = np.ascontiguousarray(piece.T, np.float32)
        self._guarded(lambda: self._sink.write(samples))

    def _guarded(self, work: Callable[[], None]) -> None:
        """Does some work; FFmpeg may hide why it failed, or that it did, the file does not."""
        try:
            work()
        except Exception:
            self._file.check()
            raise
        self._file.check()


class _Sink(Protocol):
    def write(self, samples: np.ndarray) -> None: ...

    def finish(self) -> None: ...


def _bits(encoding: Encoding) -> int | None:
    return (encoding.bits or 16) if encoding.lossless else None


def quantise(block: np.ndarray, bits: int) -> tuple[np.ndarray, int]:
    """Samples as the nearest integers of 16 or 24 bits; halves go to the even one.

    Args:
        block: float32 of shape (channels, n), full scale ±1.
        bits: 16 or 24.

    Returns:
        int16, or int32 with 24 bits at the top, of shape (n, channels), contiguous; and how many
        samples were beyond what the integers can hold, and are cut to it.
    """
    top = 2.0 ** (bits - 1)
    with np.errstate(over="ignore"):  # what becomes infinite is cut like all that is too large
        scaled = np.rint(block.T * np.float32(top))
    clipped = np.count_nonzero(scaled < -top) + np.count_nonzero(scaled >= top)
    np.clip(scaled, -top, top - 1, out=scaled)
    if bits == 16:
        return np.ascontiguousarray(scaled, np.int16), int(clipped)
    return np.ascontiguousarray(scaled, np.int32) << 8, int(clipped)
