"""Ogg Vorbis files: encoded by libvorbis, through libsndfile, with tags and cover of any size.

FFmpeg's own Vorbis encoder, the one in PyAV's wheels, cannot aim at a bit rate, and at equal size
its error is 2 to 6 dB larger. libsndfile writes neither covers nor the album's artist, so the
comments are replaced, and the pages numbered anew, while they are on their way.
"""

from __future__ import annotations

import base64
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from octet.audio.ogg import CONTINUED, FIRST, Page, unpacked
from octet.audio.song import picture_block

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from octet.audio.files import OutputFile
    from octet.audio.song import Cover

_NOMINAL = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)
"""Kilobits a second of libvorbis' qualities 0 to 10, for stereo at 44.1 kHz."""
_NOMINAL_RATE = 44100
_NAMES = {"album_artist": "ALBUMARTIST", "track": "TRACKNUMBER", "comment": "DESCRIPTION"}
"""Names of comments that are not those of the tags in capitals."""

_HEADERS = 3
"""Packets before the sound: identification, comments, and the codebooks."""
_SERIAL = 1
_NO_PACKET_ENDS = -1


class VorbisFile:
    """An Ogg Vorbis file in the making.

    Args:
        file: empty, open for writing.
        rate: samples a second.
        bitrate: kilobits a second that are aimed at; music varies about them.
        tags: as `octet.audio.song` cleans them.
        cover: picture to carry.
    """

    def __init__(
        self,
        file: OutputFile,
        rate: int,
        bitrate: int,
        tags: Mapping[str, str],
        cover: Cover | None,
    ) -> None:
        self._encoder = soundfile.SoundFile(
            _Pages(file, _comments(tags, cover)),
            "w",
            rate,
            2,
            "VORBIS",
            format="OGG",
            compression_level=1.0 - quality(rate, bitrate),
        )

    def write(self, samples: np.ndarray) -> None:
        """Takes samples in, float32 of shape (n, 2), contiguous."""
        self._encoder.write(samples)

    def finish(self) -> None:
        """Ends the sound. The file stays open."""
        self._encoder.close()


def quality(rate: int, bitrate: int) -> float:
    """Libvorbis' quality for a bit rate in kilobits a second: 0 to 1.

    The bit rates of its qualities are known at 44.1 kHz; at lower rates they shrink in proportion.
    """
    scaled = bitrate * max(1.0, _NOMINAL_RATE / rate)
    return float(np.interp(scaled, _NOMINAL, np.linspace(0.0, 1.0, len(_NOMINAL))))


class _Pages:
    """What libsndfile takes for a file: passes pages on, with comments of our own."""

    def __init__(self, file: OutputFile, comments: bytes) -> None:
        self._file = file
        self._comments = comments
        self._buffer = b""
        self._packets = [b""]
        self._count = self._size = 0

    def write(self, data: bytes) -> int:
        self._buffer += data
        while (page := unpacked(self._buffer)) is not None:
            self._buffer = self._buffer[page.size :]
            if len(self._packets) > _HEADERS:
                self._put(page)
            else:
                self._gather(page)
        self._size += len(data)
        return len(data)

    def _gather(self, page: Page) -> None:
        """Collects the headers, and writes them once the last of them is complete."""
        place = 0
        for size in page.lacing:
            self._packets[-1] += page.body[place : place + size]
            place += size
            if size < 255:
                self._packets.append(b"")
        if len(self._packets) > _HEADERS:
            first, theirs, codebooks, _ = self._packets
            vendor = theirs[: 11 + int.from_bytes(theirs[7:11], "little")]
            for ours in (*_paged([first], FIRST), *_paged([vendor + self._comments, codebooks])):
                self._put(ours)

    def _put(self, page: Page) -> None:
        if self._file.closed:  # given up; libsndfile still writes its last words
            return
        with suppress(OSError):  # nobody above could take it; `OutputFile.check` raises it
            self._file.write(page._replace(serial=_SERIAL, number=self._count).packed())
        self._count += 1

    def read(self, count: int) -> bytes:
        raise NotImplementedError("libsndfile only writes here")

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._size

    def tell(self) -> int:
        return self._size


def _comments(tags: Mapping[str, str], cover: Cover | None) -> bytes:
    """Vorbis comments without the vendor's name before them, and with the framing bit."""
    texts = [f"{_NAMES.get(key, key.upper())}={value}".encode() for key, value in tags.items()]
    if cover is not None:
        texts.append(b"METADATA_BLOCK_PICTURE=" + base64.b64encode(picture_block(cover)))
    listed = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return struct.pack("<I", len(texts)) + listed + b"\x01"


def _paged(packets: list[bytes], flags: int = 0) -> Iterator[Page]:
    """Packets of a stream's beginning on pages, as few as they need."""
    lacing = b"".join(b"\xff" * (len(one) // 255) + bytes((len(one) % 255,)) for one in packets)
    body = b"".join(packets)
    for start in range(0, len(lacing), 255):
        part = lacing[start : start + 255]
        ends, size = any(segment < 255 for segment in part), sum(part)
        yield Page(flags, 0 if ends else _NO_PACKET_ENDS, _SERIAL, 0, part, body[:size])
        flags, body = (0 if part[-1] < 255 else CONTINUED), body[size:]
