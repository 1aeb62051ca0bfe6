"""Opening a song's container, so that a hostile file can reach nothing but itself."""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

import av
import numpy as np

from octet.audio.truncation import data_chunk
from octet.errors import DamagedAudioError, NotAudioError
from octet.formats import unread_kind

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

    from octet.audio.files import SourceFile

_log = logging.getLogger(__name__)

# FFmpeg's demuxers that hold sound in one file. Playlists (hls, concat, dash), pictures,
# subtitles, devices and raw samples, which any bytes could be, are not among them.
DEMUXERS = {
    "aac": "aac",
    "ac3": "ac3",
    "aiff": "aiff",
    "ape": "ape",
    "asf": "asf",
    "au": "au",
    "avi": "avi",
    "caf": "caf",
    "dts": "dts",
    "eac3": "eac3",
    "flac": "flac",
    "flv": "flv",
    "gsm": "gsm",
    "matroska,webm": "webm",
    "mov,mp4,m4a,3gp,3g2,mj2": "mp4",
    "mlp": "mlp",
    "mp3": "mp3",
    "mpeg": "mpeg",
    "mpegts": "mpegts",
    "ogg": "ogg",
    "truehd": "truehd",
    "tta": "tta",
    "w64": "w64",
    "wav": "wav",
    "wv": "wavpack",
}
"""What may be opened, by FFmpeg's name, and what we call it."""

_DECODERS = """
aac ac3 alac ape eac3 flac mp1 mp1float mp2 mp2float mp3float libopus opus tta vorbis wavpack
wmalossless wmapro wmav1 wmav2 adpcm_ima_qt adpcm_ima_wav adpcm_ms dca gsm gsm_ms mlp speex
truehd
pcm_alaw pcm_mulaw pcm_dvd pcm_f24le pcm_f32be pcm_f32le pcm_f64be pcm_f64le pcm_s8 pcm_s8_planar
pcm_u8 pcm_s16be pcm_s16be_planar pcm_s16le pcm_s16le_planar pcm_s24be pcm_s24le pcm_s24le_planar
pcm_s32be pcm_s32le pcm_s32le_planar pcm_s64be pcm_s64le
"""
DECODERS = frozenset(_DECODERS.split())
"""Decoders that may run, by FFmpeg's names."""

_SIGNS = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"FORM", b"ID3", b"\x1a\x45\xdf\xa3", b"wvpk")
_GIVE = "Give an MP3, WAV, FLAC, Ogg, Opus, M4A, AIFF, WebM or MP4 file"
_BUFFER = 1 << 18
_LARGEST = 1 << 27
"""Bytes that FFmpeg may take at once. Headers say how much it shall take, and lie: a WAV of 100
bytes can ask for gigabytes. What songs need lies far below: pictures, tables of packets."""


_LOOKED_AT = 1 << 18
_FLOAT24_EXPONENTS = range(127 - 24, 127 + 25)
"""Of floats from 2^-24 to 2^24: Audition's "24.0 float" has full scale at 2^23."""


def open_container(source: SourceFile) -> tuple[InputContainer, AudioStream]:
    """Opens a song's container and picks its sound: the default stream, or else the first.

    FFmpeg reads through the given file alone: opening any other file or address, which some
    formats can ask for, is refused.

    Raises:
        NotAudioError: it is nothing that may be opened, or holds no sound.
        DamagedAudioError: it is a format of sound, but cannot be understood.
    """
    _limit_allocations()
    try:
        container = av.open(
            source,
            "r",
            format="mp3" if _says_mp3(source) else None,
            container_options={
                "format_whitelist": ",".join(DEMUXERS),
                "codec_whitelist": ",".join(sorted(DECODERS)),
                "protocol_whitelist": "none",
            },
            metadata_errors="replace",
            buffer_size=_BUFFER,
            io_open=_refuse,
        )
    except (av.FFmpegError, ValueError, OSError, MemoryError) as error:
        raise _not_opened(source, error) from error
    try:
        return container, _sound(container, source)
    except BaseException:
        container.close()
        raise


@cache
def _limit_allocations() -> None:
    """Limits what FFmpeg takes at once, in this process, as its own option -max_alloc does.

    PyAV has no call for it, but its own extension module resolves FFmpeg's symbols.
    """
    try:
        ctypes.CDLL(av._core.__file__).av_max_alloc(ctypes.c_size_t(_LARGEST))
    except (AttributeError, OSError) as error:
        _log.warning(
            "the memory that FFmpeg takes for one song cannot be limited with PyAV %s (%s): install"
            " a version that Octet was tested with",
            av.__version__,
            error,
        )


def _sound(container: InputContainer, source: SourceFile) -> AudioStream:
    streams = container.streams.audio
    default = av.stream.Disposition.default
    stream = next((one for one in streams if one.disposition & default), None)
    stream = stream or next(iter(streams), None)
    if stream is None:
        raise NotAudioError(f"{source.path} holds no sound", _GIVE)
    context: Any = stream.codec_context  # None without a decoder, which the types do not tell
    if context is None or context.codec.name not in DECODERS:
        name = f" ({context.codec.long_name})" if context else ""
        raise NotAudioError(
            f"{source.path} holds sound of a kind that is not read here{name}",
            "Convert it to WAV or FLAC",
        )
    # One block at a time, in this thread: decoding is far from being what takes time.
    context.thread_count = 1
    if context.codec.name == "flac":
        # Only FLAC's checksums are strict; decoders of lossy formats judge by themselves.
        context.options = {"err_detect": "crccheck+explode"}
    return stream


def wide_integers(source: SourceFile, stream: AudioStream) -> tuple[Any, float] | None:
    """A decoder for integers of 24 bits in four bytes, which FFmpeg takes for a kind of float.

    Returns:
        The decoder, and the gain that brings its samples to full scale; None for all other sound.
        The integers may lie at the upper end of the four bytes, as the specification has it, or
        at the lower one.
    """
    chunk = data_chunk(source) if stream.codec_context.name == "pcm_f24le" else None
    if chunk is None:
        return None
    begin = source.pread(_LOOKED_AT, chunk.start)
    data = np.frombuffer(begin[: len(begin) & ~3], "<u4")
    exponents = (data[data != 0] >> 23) & 0xFF
    if np.isin(exponents, _FLOAT24_EXPONENTS).all():
        return None
    integers: Any = av.CodecContext.create("pcm_s32le", "r")
    integers.sample_rate, integers.layout = stream.rate, stream.layout
    extended = (data.view("<i4") << 8 >> 8) == data.view("<i4")
    return integers, 256.0 if extended.all() else 1.0


def _says_mp3(source: SourceFile) -> bool:
    """Whether it is an MP3 file by the name of an encoder's first frame, behind its tags.

    FFmpeg judges by a row of frames, and takes some files of a few frames for nothing.
    """
    start = source.pread(10, 0)
    tags = 0
    if start.startswith(b"ID3") and len(start) == 10:
        tags = 10 + sum((byte & 0x7F) << 7 * place for place, byte in enumerate(start[:5:-1]))
    frame = source.pread(40, tags)
    layer3 = len(frame) == 40 and frame[0] == 0xFF and frame[1] & 0xE6 == 0xE2
    return layer3 and any(frame[at : at + 4] in (b"Info", b"Xing") for at in (13, 21, 36))


def _refuse(*_: object) -> NoReturn:
    raise PermissionError("a song may not open other files")


def _not_opened(source: SourceFile, error: Exception) -> NotAudioError | DamagedAudioError:
    start = source.pread(12, 0)
    if start.startswith(_SIGNS) or start[4:8] == b"ftyp":
        return DamagedAudioError(
            f"{source.path} is cut off or broken: {_reason(error)}",
            "Copy or download the song again",
        )
    if kind := unread_kind(source.pread(64, 0)):
        return NotAudioError(f"{source.path} is {kind}, which is not read here", _GIVE)
    return NotAudioError(f"{source.path} is not a file of sound", _GIVE)


def _reason(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error)
    return str(said).splitlines()[0].lower() if said else "it cannot be read"
