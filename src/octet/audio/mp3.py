"""MP3 files, written by LAME, with ID3 tags and the Info header that states their exact length.

LAME takes 16-bit samples and leaves the first frame, the Info header, to `Mp3File`.
"""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from octet.audio.files import OutputFile
from octet.audio.lame import DELAY, Lame
from octet.audio.song import track_tags

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from octet.audio.files import EncodedFile
    from octet.audio.song import Cover

QUALITY = 5
"""LAME's effort unless asked otherwise, of 0 (slowest) to 9 (fastest)."""

_BITRATES_MPEG1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_MPEG2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG1_FROM = 32_000
_MPEG25_BELOW = 16_000
_MPEG25_MOST = 64
_INFO_BYTES = 156
"""Bytes of the Info header from its name to its checksum."""

_ID3_FRAMES = {
    "title": b"TIT2",
    "artist": b"TPE1",
    "album": b"TALB",
    "album_artist": b"TPE2",
    "date": b"TDRC",
    "genre": b"TCON",
    "track": b"TRCK",
}
_UTF8 = b"\x03"
_ID3_HEADER = 10
_COPY = 1 << 20


class Mp3File:
    """An MP3 file at a constant bit rate in the making.

    Args:
        file: empty, open for writing, seekable.
        rate: one of MP3's sample rates.
        bitrate: kilobits a second; the nearest that the rate can have is taken.
        quality: LAME's effort, 0 to 9.
        tags: as `octet.audio.song` cleans them.
        cover: picture to carry.
    """

    def __init__(
        self,
        file: OutputFile,
        rate: int,
        bitrate: int,
        quality: int,
        tags: Mapping[str, str],
        cover: Cover | None,
    ) -> None:
        self._file = file
        self._rate = rate
        self._bitrate = held_bitrate(rate, bitrate)
        self._quality = quality
        self._lame = Lame(rate, self._bitrate, quality)
        self._samples = self._bytes = 0
        self._info = b""
        self._file.write(id3_tag(tags, cover))

    def write(self, samples: np.ndarray) -> None:
        """Takes samples in, int16 of shape (n, 2), contiguous."""
        self._samples += samples.shape[0]
        self._put(self._lame.encode(samples))

    def finish(self) -> None:
        """Ends the sound and completes the Info header. The file stays open."""
        self._put(self._lame.flush())
        self._lame.close()
        if self._info:
            self._file.seek(-self._bytes - len(self._info), os.SEEK_END)
            self._file.write(self._completed(self._info))

    def _put(self, data: bytes) -> None:
        if data and not self._info:
            self._info = info_frame(bytes(data[:4]), self._rate)
            self._file.write(self._info)
        self._bytes += len(data)
        self._file.write(data)

    def _completed(self, frame: bytes) -> bytes:
        """The Info frame with the numbers that are known only in the end."""
        size = _frame_samples(self._rate)
        # At a constant bit rate frames differ by a byte at most, so their bytes count them.
        frames = round(self._bytes * 8 * self._rate / (self._bitrate * 1000 * size))
        padding = frames * size - DELAY - self._samples
        start = frame.index(b"Info")
        total = self._bytes + len(frame)
        contents = struct.pack(
            ">4sIII100BI9sBBIHHBB3sBBHIH",
            b"Info",
            0b1111,  # frames, bytes, table of contents and quality follow
            frames,
            total,
            *(256 * part // 100 for part in range(100)),
            100 - 10 * self._quality,
            b"LAME3.100",
            1,  # constant bit rate
            0,  # the lowpass is not told
            0,
            0,
            0,  # no replay gain
            0,
            min(self._bitrate, 255),
            (DELAY << 12 | padding).to_bytes(3, "big"),
            0,
            0,
            0,
            total,
            0,  # no checksum of the sound
        )
        checked = frame[:start] + contents
        whole = checked + struct.pack(">H", _crc16(checked))
        return whole + frame[len(whole) :]


def held_bitrate(rate: int, bitrate: int) -> int:
    """The nearest to `bitrate` that MP3 can have at this sample rate, in kilobits a second.

    From 32 kHz on up to 320, below up to 160, and below 16 kHz up to 64 (LAME's limits).
    """
    held = _bitrates(rate)
    return min(held, key=lambda one: (abs(one - bitrate), -one))


def info_frame(header: bytes, rate: int) -> bytes:
    """An empty MP3 frame with room for the Info header.

    Args:
        header: the four bytes with which frames of the file begin.
        rate: the file's sample rate.

    Returns:
        A silent frame, of the file's bit rate where that is large enough, with the name of the
        Info header in its place (http://gabriel.mp3-tech.org/mp3infotag.html).
    """
    mpeg1 = rate >= _MPEG1_FROM
    start = 4 + (32 if mpeg1 else 17)
    index = header[2] >> 4
    while (size := _frame_samples(rate) * 125 * _bitrates(rate)[index - 1] // rate) < (
        start + _INFO_BYTES
    ):
        index += 1
    # No checksum (the last bit of the second byte), and no padding (the third byte).
    plain = bytes((header[0], header[1] | 1, index << 4 | header[2] & 0b1100, header[3]))
    return (plain.ljust(start, b"\0") + b"Info").ljust(size, b"\0")


def _bitrates(rate: int) -> tuple[int, ...]:
    if rate >= _MPEG1_FROM:
        return _BITRATES_MPEG1
    if rate >= _MPEG25_BELOW:
        return _BITRATES_MPEG2
    return tuple(one for one in _BITRATES_MPEG2 if one <= _MPEG25_MOST)


def _frame_samples(rate: int) -> int:
    return 1152 if rate >= _MPEG1_FROM else 576


def _crc16(data: bytes) -> int:
    """CRC-16/ARC, the checksum of the Info header."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def retagged(
    file: EncodedFile,
    path: Path,
    *,
    tags: Mapping[str, str] | None = None,
    cover: Cover | None = None,
    track: str | None = None,
) -> EncodedFile:
    """Writes the sound of an MP3 file of ours under another track's name.

    Args:
        file: what `Encoder` made of MP3.
        path: the new file; one that is there is overwritten.
        tags: of the song.
        cover: its picture.
        track: name of the track, added to the title.

    Raises:
        OutputError: the new file cannot be written.
    """
    target = OutputFile(path)
    try:
        target.write(id3_tag(track_tags(tags or {}, track), cover))
        with file.path.open("rb") as source:
            source.seek(_tag_bytes(source.read(_ID3_HEADER)))
            while data := source.read(_COPY):
                target.write(data)
        target.check()
        size, digest = target.complete()
    except BaseException:
        target.discard()
        raise
    return replace(file, path=path, bytes=size, sha256=digest)


def _tag_bytes(start: bytes) -> int:
    """How long the ID3v2 tag is with which a file begins; 0 without one."""
    if not start.startswith(b"ID3"):
        return 0
    size = 0
    for byte in start[6:]:  # four bytes of seven bits each
        size = size << 7 | byte
    return _ID3_HEADER + size


def id3_tag(tags: Mapping[str, str], cover: Cover | None) -> bytes:
    """An ID3v2.4 tag (https://id3.org/id3v2.4.0-structure); empty when there is nothing to say."""
    frames = [
        _frame(name, _UTF8 + tags[key].encode()) for key, name in _ID3_FRAMES.items() if key in tags
    ]
    if "comment" in tags:
        frames.append(_frame(b"COMM", _UTF8 + b"und" + b"\0" + tags["comment"].encode()))
    if cover is not None:
        kind = cover.mime.encode("ascii") + b"\0\x03\0"  # 3: front cover; no description
        frames.append(_frame(b"APIC", _UTF8 + kind + cover.data))
    body = b"".join(frames)
    return b"ID3\x04\x00\x00" + _syncsafe(len(body)) + body if body else b""


def _frame(name: bytes, content: bytes) -> bytes:
    return name + _syncsafe(len(content)) + b"\0\0" + content


def _syncsafe(number: int) -> bytes:
    """Four bytes of seven bits each."""
    return bytes((number >> shift) & 0x7F for shift in (21, 14, 7, 0))
