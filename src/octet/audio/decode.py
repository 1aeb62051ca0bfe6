"""A song's file into blocks of samples: exact, in constant memory, and never silently wrong."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from octet.audio.container import DEMUXERS, open_container
from octet.audio.files import SourceFile
from octet.audio.samples import frame_samples, two_channels
from octet.audio.song import Limits, SongInfo, as_cover, clean_tags
from octet.audio.truncation import bytes_beyond, bytes_missing, claim_of, data_chunk, is_cut_off
from octet.errors import DamagedAudioError, LimitError, NotAudioError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from octet.audio.song import Cover
    from octet.audio.truncation import Claim

_SYNCHRONISED = frozenset(("mp3", "aac"))
"""Containers without a frame of their own: decoders look for the beginning of each packet."""

_AGAIN = "Copy or download the song again"
_BLOCK = 1 << 15
_JUNK = 1 << 16
"""Bytes after the sound of a WAV that are taken for nothing."""


class SongReader:
    """A song's file, opened and tried: its first samples could be decoded.

    A context manager.

    Args:
        path: the file.
        limits: what is accepted.

    Raises:
        NotAudioError: it is not a file, or nothing in it is sound.
        DamagedAudioError: it is sound, but broken.
        LimitError: it goes beyond the limits.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._position = 0
        self._broken_at: int | None = None
        with ExitStack() as stack:
            self.source = stack.enter_context(SourceFile(path, self.limits))
            self._container, self._stream = open_container(self.source)
            stack.callback(self._container.close)
            self._kind = DEMUXERS[self._container.format.name]
            self._cover: Cover | None = None
            self._first_byte: int | None = None
            self._frames = self._decoded()
            self._first = next(self._frames, None)
            if self._first is None:
                raise NotAudioError(f"{self.source.path} holds no sound that can be decoded")
            self._check_frame(self._first)
            self.info = self._described(self._first)
            self._stack = stack.pop_all()

    def blocks(self) -> Iterator[np.ndarray]:
        """The whole song, once, in blocks of float32 of shape (2, n), see `decode`."""
        claim = claim_of(
            self.source,
            self._container,
            self._stream,
            self._kind,
            self._first_byte,
            self.info.bits is not None,
        )
        blocks = self._unlimited_blocks()
        yield from _without_padding(blocks, claim) if claim else blocks
        self._check_end(claim)

    def close(self) -> None:
        """Closes the file."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _described(self, frame: av.AudioFrame) -> SongInfo:
        container, stream = self._container, self._stream
        duration = None
        if container.duration is not None and container.duration > 0:
            duration = container.duration / av.time_base
        return SongInfo(
            container=self._kind,
            codec=stream.codec_context.codec.name.removesuffix("float"),
            rate=frame.sample_rate,
            channels=frame.layout.nb_channels,
            layout=frame.layout.name,
            bits=bits_of(stream.codec_context),
            duration=duration,
            tags=clean_tags(container.metadata, stream.metadata),
            cover=self._cover,
        )

    def _decoded(self) -> Iterator[av.AudioFrame]:
        """Frames of sound; pictures on the way become the cover."""
        for packet in self._packets():
            if packet.stream is not self._stream:
                self._cover = self._cover or as_cover(bytes(packet))
                continue
            if self._first_byte is None:
                self._first_byte = packet.pos
            yield from self._frames_of(packet)

    def _packets(self) -> Iterator[av.Packet[Any]]:
        attached = av.stream.Disposition.attached_pic
        pictures = [one for one in self._container.streams.video if one.disposition & attached]
        try:
            yield from self._container.demux(self._stream, *pictures)
        except IndexError:
            # At its very end PyAV stumbles over streams that turned up on the way (MPEG-TS).
            return
        except (av.FFmpegError, OSError) as error:
            raise self._damage() from error

    def _frames_of(self, packet: av.Packet[Any]) -> list[av.AudioFrame]:
        """Decodes a packet, and judges what cannot be decoded.

        An MP3 may begin and end with bytes that are no sound (tags, cut frames, junk), as all
        players allow; anything else is damage.
        """
        lenient = self._kind in _SYNCHRONISED
        # A WAV may end within a packet of FFmpeg's, if its header does not know its size.
        if packet.is_corrupt and packet.size and not lenient and self._kind != "wav":
            raise self._damage()
        try:
            frames = self._stream.decode(packet)
        except av.EOFError:
            return []
        except av.FFmpegError as error:
            if not lenient:
                raise self._damage() from error
            if self._position and self._broken_at is None and not _is_tag(packet):
                self._broken_at = self._position
            return []
        if frames and self._broken_at is not None:
            raise self._damage(self._broken_at)
        return frames

    def _unlimited_blocks(self) -> Iterator[np.ndarray]:
        """All that can be decoded, mixed down, checked for what is not a number."""
        position = 0
        for frame in self._joined():
            names = tuple(channel.name for channel in frame.layout.channels)
            block = two_channels(frame_samples(frame), names)
            if not np.isfinite(block).all():
                place = position + int(np.isfinite(block).all(axis=0).argmin())
                raise DamagedAudioError(
                    f"{self.source.path} holds samples that are not numbers"
                    f" (at {clock(place / self.info.rate)})",
                    "Export the song again",
                )
            position += block.shape[1]
            yield block

    def _joined(self) -> Iterator[av.AudioFrame]:
        """Frames joined to long ones, within the limits: what follows costs time per frame."""
        frame, self._first = self._first, None
        fifo, kind = av.AudioFifo(), None
        while frame is not None:
            if kind != (kind := (frame.format.name, frame.layout.name, frame.sample_rate)):
                if fifo.samples and (rest := fifo.read()):
                    yield rest
                self._check_frame(frame)
                fifo = av.AudioFifo()
            frame.pts = None  # gaps in time are not filled
            fifo.write(frame)
            self._position += frame.samples
            self._check_length()
            if fifo.samples >= _BLOCK and (joined := fifo.read()):
                yield joined
            frame = next(self._frames, None)
        if fifo.samples and (rest := fifo.read()):
            yield rest

    def _check_frame(self, frame: av.AudioFrame) -> None:
        limits, rate, channels = self.limits, frame.sample_rate, frame.layout.nb_channels
        if channels > limits.max_channels:
            raise LimitError(
                f"{self.source.path} has {channels} channels, {limits.max_channels} are allowed",
                "Mix the song down to stereo",
            )
        if not limits.min_rate <= rate <= limits.max_rate:
            raise LimitError(
                f"{self.source.path} has a sample rate of {rate} Hz, allowed are"
                f" {limits.min_rate} to {limits.max_rate}",
                "Convert the song to 44100 Hz",
            )
        if self._position and rate != self.info.rate:
            raise DamagedAudioError(
                f"{self.source.path} changes from {self.info.rate} to {rate} Hz"
                f" at {clock(self._position / self.info.rate)}",
                "Convert the song to one sample rate, as a WAV for instance",
            )

    def _check_length(self) -> None:
        most = self.limits.max_seconds
        if most is not None and self._position > most * self.info.rate:
            raise LimitError(
                f"{self.source.path} is longer than the {most:g} seconds that are allowed",
                "Give a shorter song, or raise the limit (OCTET_MAX_SECONDS)",
            )

    def _check_end(self, claim: Claim | None) -> None:
        """Compares what was read with what the file promises."""
        if claim is not None and self._position < claim.samples - claim.tolerance:
            raise self._shortage(claim.samples)
        if self._kind == "ogg" and is_cut_off(self.source):
            raise self._damage()
        if self._kind == "wav" and (chunk := data_chunk(self.source)) and chunk.size:
            if missing := bytes_missing(self.source, chunk):
                raise self._shortage(self._position * chunk.size // (chunk.size - missing))
            if bytes_beyond(self.source, chunk) > _JUNK:
                raise DamagedAudioError(
                    f"{self.source.path} goes on after {clock(self._position / self.info.rate)},"
                    " where its header says that it ends",
                    "Export the song again",
                )

    def _shortage(self, promised: int) -> DamagedAudioError:
        read, whole = (clock(samples / self.info.rate) for samples in (self._position, promised))
        return DamagedAudioError(
            f"{self.source.path} is cut off or broken: of {whole} only {read} can be read", _AGAIN
        )

    def _damage(self, position: int | None = None) -> DamagedAudioError:
        if self._position == 0:
            return DamagedAudioError(f"{self.source.path} is broken at its beginning", _AGAIN)
        at = clock((self._position if position is None else position) / self.info.rate)
        return DamagedAudioError(f"{self.source.path} is cut off or broken at {at}", _AGAIN)


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


def clock(seconds: float) -> str:
    """A time in a song as people write it: 3:25.1."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}"


def bits_of(context: av.AudioCodecContext) -> int | None:
    """Bits a sample of a lossless codec, None of a lossy one."""
    name, extra, kind = context.codec.name, context.extradata or b"", context.format.name
    if name in ("pcm_alaw", "pcm_mulaw"):
        return None
    if name.startswith("pcm_"):
        return int("".join(filter(str.isdigit, name)))
    if name == "flac" and len(extra) >= 34:  # STREAMINFO, RFC 9639, 8.2
        return ((extra[12] & 1) << 4 | extra[13] >> 4) + 1
    if name == "alac" and len(extra) > 17:  # the bit depth in Apple's cookie
        return extra[17]
    if name in ("flac", "alac", "ape", "tta", "wavpack", "wmalossless"):
        return {"u8": 8, "s16": 16, "flt": 32}.get(kind.removesuffix("p"), 24)
    return None


def _is_tag(packet: av.Packet[Any]) -> bool:
    return bytes(packet)[:8].startswith((b"ID3", b"TAG", b"APETAGEX", b"LYRICSBE"))


def _without_padding(blocks: Iterator[np.ndarray], claim: Claim) -> Iterator[np.ndarray]:
    """Drops what follows the claimed end, unless it is too much to be an encoder's padding."""
    held: list[np.ndarray] = []
    room, surplus = claim.samples, claim.surplus
    for block in blocks:
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
