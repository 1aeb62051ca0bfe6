"""How long a file says it is, where it says so exactly."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from octet.audio.ogg import last_page, tail_size

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

    from octet.audio.source import SourceFile

_EXACT = {"aiff", "au", "caf", "flac", "tta", "w64", "wavpack", "ape"}
_MP3_FRAME = 1152
_VORBIS_BLOCK = 8192
_XING_REACH = 4096


class Claim(NamedTuple):
    """The length by the header's claim.

    Attributes:
        samples: how many there should be, at the song's rate.
        tolerance: how many fewer are no sign of damage.
        surplus: up to how many more are the padding of an encoder, to be dropped.
    """

    samples: int
    tolerance: int
    surplus: int


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
        kind: our name of the container, see `DEMUXERS`.
        first: where in the file the first packet of sound begins, if that is known.
        lossless: whether its codec is.
    """
    stated = _stated(stream)
    if stated is None:
        return None
    if kind == "mp3":
        # Only the Xing or Info header counts frames; else FFmpeg guesses from the bit rate.
        counted = first is not None and has_frame_count(source, first)
        return Claim(stated, 2 * _MP3_FRAME, 2 * _MP3_FRAME) if counted else None
    if kind == "ogg":
        return Claim(stated, _VORBIS_BLOCK, _VORBIS_BLOCK)
    if kind == "mp4":
        return Claim(_itunes_length(container) or stated, _MP3_FRAME, 2 * _MP3_FRAME)
    return Claim(stated, 0, 0) if kind in _EXACT and lossless else None


def _stated(stream: AudioStream) -> int | None:
    if not stream.duration or stream.time_base is None or stream.duration < 0:
        return None
    return round(stream.duration * Fraction(stream.time_base) * stream.rate)


def has_frame_count(source: SourceFile, first: int) -> bool:
    """Whether an MP3's first packet of sound, at byte `first`, follows a count of its frames."""
    before = source.pread(min(first, _XING_REACH), max(0, first - _XING_REACH))
    place = max(before.rfind(b"Xing"), before.rfind(b"Info"))
    return place >= 0 and len(before) >= place + 8 and bool(before[place + 7] & 1)


def _itunes_length(container: InputContainer) -> int | None:
    """The length without padding that iTunes notes in a comment of its own."""
    fields = container.metadata.get("iTunSMPB", "").split()
    try:
        return int(fields[3], 16) or None
    except (IndexError, ValueError):
        return None


def is_cut_off(source: SourceFile) -> bool:
    """Whether an Ogg file ends within a page."""
    size = min(source.size, tail_size())
    page = last_page(source.pread(size, source.size - size))
    return page is not None and not page.whole
