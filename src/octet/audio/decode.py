"""A song's file into blocks of samples: exact, in constant memory, and never silently wrong."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import av
import numpy as np

from octet.audio.files import SourceFile
from octet.audio.ogg import links
from octet.audio.resample import Resampler
from octet.audio.samples import frame_samples, two_channels
from octet.audio.song import Limits, SongInfo
from octet.audio.sound import AGAIN, Silence, SoundStream, clock
from octet.audio.truncation import bytes_beyond, bytes_missing, data_chunk
from octet.errors import DamagedAudioError, LimitError, NotAudioError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Self

    from octet.audio.ogg import Link
    from octet.audio.truncation import Claim

_BLOCK = 1 << 15
_JUNK = 1 << 16
"""Bytes after the sound of a WAV that are taken for nothing."""

_MOST_SILENCED = 0.1
"""Share of a song, beyond the first second, that may be silence in the place of what is damaged."""


class SongReader:
    """A song's file, opened and tried: its first samples could be decoded.

    A context manager.

    Args:
        path: the file.
        limits: what is accepted.

    Attributes:
        info: what the file says of itself.
        silenced: seconds of silence given so far in the place of what is damaged.

    Raises:
        NotAudioError: it is not a file, or nothing in it is sound.
        DamagedAudioError: it is sound, but broken.
        LimitError: it goes beyond the limits.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.silenced = 0.0
        self._seconds = 0.0  # of the links that were read to their ends
        with ExitStack() as stack:
            self.source = stack.enter_context(SourceFile(path, self.limits))
            self._links: list[Link] = links(self.source)
            first = self._links[0] if self._links else None
            self._stream = stack.enter_context(self._opened(first))
            self._frames = self._stream.frames()
            self._first = next(self._frames, None)
            if not isinstance(self._first, av.AudioFrame):
                raise NotAudioError(f"{self.source.path} holds no sound that can be decoded")
            self._check_frame(self._first)
            self.info: SongInfo = self._stream.info(self._first)
            if len(self._links) > 1:
                self.info = replace(self.info, duration=None)
            self._stack = stack.pop_all()

    def blocks(self) -> Iterator[np.ndarray]:
        """The whole song, once, in blocks of float32 of shape (2, n), see `decode`."""
        assert self._first is not None  # noqa: S101  # the constructor refuses what has none
        yield from self._sound(self._stream, chain((self._first,), self._frames))
        for link in self._links[1:]:
            with self._opened(link) as stream:
                yield from self._at_the_songs_rate(stream, stream.frames())
        self._check_size()
        if self.silenced > 1.0 + _MOST_SILENCED * self._seconds:
            raise DamagedAudioError(
                f"{self.source.path} is broken: {self.silenced:.1f} of {self._seconds:.1f} s"
                " cannot be decoded",
                AGAIN,
            )

    def close(self) -> None:
        """Closes the file."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self, link: Link | None) -> SoundStream:
        source = self.source.part(link.start, link.end) if link else self.source
        skip = self.limits.damaged == "skip"
        return SoundStream(source, link, skip_damaged=skip, before=self._seconds)

    def _at_the_songs_rate(
        self, stream: SoundStream, frames: Iterator[av.AudioFrame | Silence]
    ) -> Iterator[np.ndarray]:
        """A later link's blocks: a chain may change its rate, a song does not."""
        first = next(frames, None)
        if not isinstance(first, av.AudioFrame):
            return
        self._check_frame(first)
        blocks = self._sound(stream, chain((first,), frames))
        if first.sample_rate == self.info.rate:
            yield from blocks
            return
        resampler = Resampler(first.sample_rate, self.info.rate)
        for block in blocks:
            yield resampler.process(block)
        yield resampler.process(np.zeros((2, 0), np.float32), last=True)

    def _sound(
        self, stream: SoundStream, frames: Iterable[av.AudioFrame | Silence]
    ) -> Iterator[np.ndarray]:
        """A stream's blocks without what encoders put before and after the sound."""
        claim = stream.claim()
        blocks = self._decoded(stream, frames)
        yield from _without_padding(blocks, claim) if claim else blocks
        before, self._seconds = self._seconds, self._seconds + stream.position / stream.rate
        self.silenced += stream.silenced / stream.rate
        # How much silence belongs in the place of what is damaged is an estimate.
        if claim and stream.position + stream.silenced < claim.least:
            raise self._shortage(before + claim.samples / stream.rate)

    def _decoded(
        self, stream: SoundStream, frames: Iterable[av.AudioFrame | Silence]
    ) -> Iterator[np.ndarray]:
        """All that can be decoded, mixed down, checked for what is not a number."""
        position = 0
        for frame in self._joined(stream, frames):
            if isinstance(frame, Silence):
                block = np.zeros((2, frame.samples), np.float32)
            else:
                names = tuple(channel.name for channel in frame.layout.channels)
                block = two_channels(frame_samples(frame, stream.gain), names)
            if not np.isfinite(block).all():
                place = position + int(np.isfinite(block).all(axis=0).argmin())
                raise DamagedAudioError(
                    f"{self.source.path} holds samples that are not numbers"
                    f" (at {stream.clock(place)})",
                    "Export the song again",
                )
            position += block.shape[1]
            yield block

    def _joined(
        self, stream: SoundStream, frames: Iterable[av.AudioFrame | Silence]
    ) -> Iterator[av.AudioFrame | Silence]:
        """Frames joined to long ones, within the limits: what follows costs time per frame."""
        fifo, kind = av.AudioFifo(), None
        for frame in frames:
            self._check_length(stream)
            if isinstance(frame, Silence):
                yield from _rest(fifo)
                yield frame
                continue
            if kind != (kind := (frame.format.name, frame.layout.name, frame.sample_rate)):
                yield from _rest(fifo)
                self._check_frame(frame)
                if frame.sample_rate != stream.rate:
                    raise DamagedAudioError(
                        f"{self.source.path} changes from {stream.rate} to {frame.sample_rate} Hz"
                        f" at {stream.clock()}",
                        "Convert the song to one sample rate, as a WAV for instance",
                    )
                fifo = av.AudioFifo()
            frame.pts = None  # gaps in time are not filled
            fifo.write(frame)
            if fifo.samples >= _BLOCK:
                yield from _rest(fifo)
        yield from _rest(fifo)

    def _check_frame(self, frame: av.AudioFrame) -> None:
        limits, rate, channels = self.limits, frame.sample_rate, frame.layout.nb_channels
        if channels > limits.max_channels:
            raise LimitError(
                f"{self.source.path} has {channels} channels, {limits.max_channels} are allowed",
                "Mix the song down to stereo, or raise the limit (OCTET_MAX_CHANNELS)",
            )
        if not limits.min_rate <= rate <= limits.max_rate:
            raise LimitError(
                f"{self.source.path} has a sample rate of {rate} Hz, allowed are"
                f" {limits.min_rate} to {limits.max_rate}",
                "Convert the song to 44100 Hz",
            )

    def _check_length(self, stream: SoundStream) -> None:
        most = self.limits.max_seconds
        if most is not None and self._seconds + stream.position / stream.rate > most:
            raise LimitError(
                f"{self.source.path} is longer than the {most:g} seconds that are allowed",
                "Give a shorter song, or raise the limit (OCTET_MAX_SECONDS)",
            )

    def _check_size(self) -> None:
        """Compares what was read of a WAV with the size in its header."""
        chunk = data_chunk(self.source) if self._stream.kind == "wav" else None
        if chunk is None or not chunk.size:
            return
        if missing := bytes_missing(self.source, chunk):
            raise self._shortage(self._seconds * chunk.size / (chunk.size - missing))
        if bytes_beyond(self.source, chunk) > _JUNK:
            raise DamagedAudioError(
                f"{self.source.path} goes on after {clock(self._seconds)}, where its header says"
                " that it ends",
                "Export the song again",
            )

    def _shortage(self, promised: float) -> DamagedAudioError:
        read, whole = clock(self._seconds), clock(promised)
        return DamagedAudioError(
            f"{self.source.path} is cut off or broken: of {whole} only {read} can be read", AGAIN
        )


def probe(path: Path, limits: Limits | None = None) -> SongInfo:
    """What a song's file says of itself. The first samples are decoded, to be sure.

    Raises:
        NotAudioError: it is not a file, or nothing in it is sound.
        DamagedAudioError: it is sound, but broken at the beginning.
        LimitError: its bytes, channels or rate go beyond the limits.
    """
    with SongReader(path, limits) as reader:
        return reader.info


def decode(path: Path, limits: Limits | None = None) -> Iterator[np.ndarray]:
    """A song's samples at its own rate, mixed down to two channels, see `two_channels`.

    Integers of up to 24 bits and floating point of 32 come out exactly. What encoders put
    before and after the sound (MP3, AAC, Opus, Vorbis) is left out.

    Yields:
        float32 of shape (2, n), full scale ±1, finite.

    Raises:
        NotAudioError: it is not a file, or nothing in it is sound.
        DamagedAudioError: it is cut off or broken; blocks may have come before.
        LimitError: it goes beyond the limits, counted on what is decoded.
    """
    with SongReader(path, limits) as reader:
        yield from reader.blocks()


def _rest(fifo: av.AudioFifo) -> Iterator[av.AudioFrame]:
    if fifo.samples and (frame := fifo.read()):
        yield frame


def _without_padding(blocks: Iterator[np.ndarray], claim: Claim) -> Iterator[np.ndarray]:
    """Drops what lies before the claimed start, and what follows the claimed end.

    Unless that is too much to be an encoder's padding.
    """
    held: list[np.ndarray] = []
    priming, room, surplus = claim.priming, claim.samples, claim.surplus
    for whole in blocks:
        block = whole[:, priming:]
        priming = max(0, priming - whole.shape[1])
        count = block.shape[1]
        inside = min(count, room)
        room -= inside
        if inside:
            yield block[:, :inside]
        if inside < count:
            held.append(block[:, inside:])
            surplus -= count - inside
        if surplus < 0:
            yield from held
            held.clear()
