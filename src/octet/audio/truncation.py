"""Lengths that headers claim, held against what is there, to find files that are cut off."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

    from octet.audio.files import SourceFile

_EXACT = {"aiff", "au", "caf", "flac", "tta", "w64", "wavpack", "ape"}
_MP3_FRAME = 1152
_XING_REACH = 4096
_ENDLESS = 1 << 62

_UNKNOWN = frozenset((0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF000))
"""What programs write for a WAV's size when they write to a pipe (FFmpeg, arecord, SoX)."""
_MOST_CHUNKS = 1000


class Claim(NamedTuple):
    """The length by the header's claim.

    Attributes:
        samples: how many there should be, at the song's rate.
        tolerance: how many fewer are no sign of damage.
        surplus: up to how many more are the padding of an encoder, to be dropped.
        priming: how many an encoder put before them, to be dropped.
    """

    samples: int
    tolerance: int = 0
    surplus: int = 0
    priming: int = 0

    @property
    def least(self) -> int:
        """The fewest samples, priming included, that a whole file decodes to."""
        return self.priming + self.samples - self.tolerance


def claim_of(
    source: SourceFile,
    container: InputContainer,
    stream: AudioStream,
    kind: str,
    first: int | None,
    lossless: bool,
) -> Claim | None:
    """What a song claims, or None if it makes no claim, or none that can be relied on.

    Args:
        source: its file.
        container: opened.
        stream: the sound in it.
        kind: our name of the container, see `DEMUXERS`; Ogg is followed page by page instead.
        first: where in the file the first packet of sound begins, if that is known.
        lossless: whether its codec is.
    """
    if kind == "caf" and (table := _packet_table(source)):
        return table
    stated = _stated(stream)
    if stated is None:
        return None
    if kind == "mp3":
        # Only the Xing or Info header counts frames; else FFmpeg guesses from the bit rate.
        counted = first is not None and _has_frame_count(source, first)
        return Claim(stated, 2 * _MP3_FRAME, 2 * _MP3_FRAME) if counted else None
    if kind == "mp4":
        return _itunes_claim(container, stated) or Claim(stated, _MP3_FRAME, 2 * _MP3_FRAME)
    if kind not in _EXACT or not lossless:
        return None
    # Some programs count the header among the samples. Then so many bytes are no sign of damage.
    frame = stream.codec_context.format.bytes * stream.codec_context.layout.nb_channels
    packed = stream.codec_context.codec.name.startswith("pcm_")
    return Claim(stated, first // frame if packed and first and frame else 0)


def _stated(stream: AudioStream) -> int | None:
    if not stream.duration or stream.time_base is None or stream.duration < 0:
        return None
    return round(stream.duration * Fraction(stream.time_base) * stream.rate)


def _has_frame_count(source: SourceFile, first: int) -> bool:
    """Whether an MP3's first packet of sound, at byte `first`, follows a count of its frames."""
    before = source.pread(min(first, _XING_REACH), max(0, first - _XING_REACH))
    place = max(before.rfind(b"Xing"), before.rfind(b"Info"))
    return place >= 0 and len(before) >= place + 8 and bool(before[place + 7] & 1)


def _itunes_claim(container: InputContainer, stated: int) -> Claim | None:
    """The length without padding that iTunes notes in a comment of its own.

    The comment stays when programs cut a song without encoding it again; then it does not fit the
    length that the packets add up to, and that one counts, less what FFmpeg drops for the comment.
    """
    try:
        delay, padding, samples = (
            int(field, 16) for field in container.metadata.get("iTunSMPB", "").split()[1:4]
        )
    except ValueError:
        return None
    if samples and samples - _MP3_FRAME <= stated <= delay + samples + padding + 2 * _MP3_FRAME:
        return Claim(samples, _MP3_FRAME, 2 * _MP3_FRAME)
    return Claim(stated, _MP3_FRAME + delay, 2 * _MP3_FRAME)


def _packet_table(source: SourceFile) -> Claim | None:
    """What a Core Audio file's table of packets says (Apple's specification of CAF, `pakt`).

    Encoders differ in whether its count of frames takes in what the last packet lacks.
    """
    place, packet = 8, 0
    for _ in range(_MOST_CHUNKS):
        header = source.pread(12, place)
        if len(header) < 12:
            return None
        name, size = struct.unpack(">4sq", header)
        if name == b"desc":
            packet = int.from_bytes(source.pread(4, place + 32))
        if name == b"pakt" and len(table := source.pread(24, place + 12)) == 24:
            _, valid, priming, _ = struct.unpack(">qqii", table)
            return Claim(valid, packet, _ENDLESS, max(0, priming)) if valid > 0 else None
        if size < 0:
            return None
        place += 12 + size
    return None


class DataChunk(NamedTuple):
    """Where a WAV's samples begin, and how many bytes there should be of them.

    The size is None when it was not known as the header was written.
    """

    start: int
    size: int | None


def data_chunk(source: SourceFile) -> DataChunk | None:
    """The chunk of samples, of RIFF, RF64 and BW64 (EBU Tech 3306); None of any other file."""
    start = source.pread(28, 0)
    if start[:4] not in (b"RIFF", b"RF64", b"BW64") or start[8:12] != b"WAVE":
        return None
    large = struct.unpack("<Q", source.pread(8, 28))[0] if start[12:16] == b"ds64" else 0
    place = 12
    for _ in range(_MOST_CHUNKS):
        header = source.pread(8, place)
        if len(header) < 8:
            return None
        size = int(struct.unpack("<I", header[4:])[0])
        if header[:4] == b"data":
            return DataChunk(place + 8, large or (None if size in _UNKNOWN else size))
        place += 8 + size + size % 2
    return None


def bytes_missing(source: SourceFile, chunk: DataChunk) -> int:
    """How many bytes of samples the header promises, but the file does not have.

    None are missing where the header itself, which some programs count in, makes the difference.
    """
    missing = max(0, chunk.start + chunk.size - source.size) if chunk.size else 0
    return missing if missing > chunk.start else 0


def bytes_beyond(source: SourceFile, chunk: DataChunk) -> int:
    """How many bytes follow the samples without being chunks: samples that the header denies."""
    if chunk.size is None:
        return 0
    end = chunk.start + chunk.size + chunk.size % 2
    name = source.pread(4, end)
    is_chunk = len(name) == 4 and all(0x20 <= char < 0x7F for char in name)
    return 0 if is_chunk else max(0, source.size - end)
