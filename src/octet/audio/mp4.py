"""MP4 files of several sounds that play together (ISO/IEC 14496-12, and -14 for AAC).

FFmpeg's own writer has no way to add a box, and keeps 64 bytes of every packet until the end. Here
it is four, and an hour of five sounds costs 4 MB.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from octet.audio.files import OutputFile
    from octet.audio.song import Cover

_BRANDS = b"M4A \0\0\0\0M4A isomiso2mp42"
_MATRIX = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_UNDETERMINED = 0x55C4
"""The language `und` in three times five bits."""
_IN_MOVIE, _ENABLED = 6, 1
_UTF8, _JPEG, _PNG = 1, 13, 14
_MPEG4_AUDIO, _AUDIO_STREAM = 0x40, 0x15
_AAC_BUFFER = 1536
"""Bytes that a decoder has to hold of two channels (ISO/IEC 14496-3, 4.5.3)."""

_TAGS = {
    "title": "\xa9nam",
    "artist": "\xa9ART",
    "album": "\xa9alb",
    "album_artist": "aART",
    "date": "\xa9day",
    "genre": "\xa9gen",
    "comment": "\xa9cmt",
}
"""The boxes in which players look for tags, but for the track's number, which is no text."""


@dataclass
class Sound:
    """One of the sounds, and where its packets lie.

    Args:
        name: for people.
        codec: `aac` or `alac`.
        setup: what the codec says of itself: AAC's AudioSpecificConfig, ALAC's whole box.
        packet: samples of each packet but the last one.
        bits: a sample; 16 stands for all lossy sounds.
        bitrate: bits a second, 0 of a lossless one.
    """

    name: str
    codec: str
    setup: bytes
    packet: int
    bits: int = 16
    bitrate: int = 0
    sizes: array[int] = field(default_factory=lambda: array("I"))
    chunks: array[int] = field(default_factory=lambda: array("I"))
    offsets: array[int] = field(default_factory=lambda: array("Q"))


class Mp4File:
    """A file in the making: stereo sounds of one rate and one length, the first one enabled.

    A player that knows nothing of several sounds plays the first.

    Args:
        file: empty, open for writing, seekable.
        rate: samples a second, below 65536.
        sounds: what will be in it, in this order.
    """

    def __init__(self, file: OutputFile, rate: int, sounds: Sequence[Sound]) -> None:
        self._file, self._rate, self._sounds = file, rate, sounds
        brands = box("ftyp", _BRANDS)
        self._data = len(brands)
        file.write(brands + struct.pack(">I4sQ", 1, b"mdat", 0))
        self._position = self._data + 16

    def add(self, sound: Sound, packets: Sequence[bytes]) -> None:
        """Writes the next packets of a sound, all but the last one of the whole being full."""
        if not packets:
            return
        data = b"".join(packets)
        sound.sizes.extend(map(len, packets))
        sound.chunks.append(len(packets))
        sound.offsets.append(self._position)
        self._file.write(data)
        self._position += len(data)

    def finish(self, samples: int, priming: int, boxes: bytes = b"") -> None:
        """Writes the tables. The file stays open.

        Args:
            samples: length of each sound.
            priming: samples that the encoder put before them, which players leave out.
            boxes: what stands in `moov/udta`: tags, or whatever a reader looks for there.
        """
        movie = _Movie(self._rate, samples, priming)
        tracks = [movie.track(number, one) for number, one in enumerate(self._sounds, 1)]
        self._file.write(
            box(
                "moov", movie.header(len(tracks) + 1), *tracks, box("udta", boxes) if boxes else b""
            )
        )
        self._file.seek(self._data + 8)
        self._file.write(struct.pack(">Q", self._position - self._data))


@dataclass(frozen=True)
class _Movie:
    """The boxes of a movie whose clock ticks once a sample, so that its lengths are exact."""

    rate: int
    samples: int
    priming: int

    @property
    def _wide(self) -> bool:
        """Whether lengths need 64 bits: from 27 hours of 44.1 kHz on."""
        return self.samples + self.priming >= 1 << 32

    def _times(self, *figures: int) -> bytes:
        return struct.pack(f">{len(figures)}{'Q' if self._wide else 'I'}", *figures)

    def header(self, next_track: int) -> bytes:
        clock = self._times(0, 0) + struct.pack(">I", self.rate) + self._times(self.samples)
        # Speed and volume are as they are; all else is reserved.
        rest = struct.pack(">IH10x", 1 << 16, 1 << 8) + _MATRIX + bytes(24)
        return full_box("mvhd", clock, rest, struct.pack(">I", next_track), version=self._wide)

    def track(self, number: int, sound: Sound) -> bytes:
        identity = self._times(0, 0) + struct.pack(">II", number, 0) + self._times(self.samples)
        rest = struct.pack(">8xHHHH", 0, 0, 1 << 8, 0) + _MATRIX + struct.pack(">II", 0, 0)
        flags = _IN_MOVIE | (_ENABLED if number == 1 else 0)
        head = full_box("tkhd", identity, rest, version=self._wide, flags=flags)
        return box("trak", head, self._edit(), self._media(sound))

    def _edit(self) -> bytes:
        """That the sound begins after the priming, and how long it is (14496-12, 8.6.6)."""
        if not self.priming:
            return b""
        entry = self._times(self.samples, self.priming) + struct.pack(">HH", 1, 0)
        return box("edts", full_box("elst", struct.pack(">I", 1), entry, version=self._wide))

    def _media(self, sound: Sound) -> bytes:
        clock = self._times(0, 0) + struct.pack(">I", self.rate)
        clock += self._times(self.samples + self.priming)
        head = full_box("mdhd", clock, struct.pack(">HH", _UNDETERMINED, 0), version=self._wide)
        name = sound.name.encode() + b"\0"
        kind = full_box("hdlr", struct.pack(">I4s12x", 0, b"soun"), name)
        here = full_box("url ", flags=1)
        places = box("dinf", full_box("dref", struct.pack(">I", 1), here))
        info = box("minf", full_box("smhd", bytes(4)), places, self._tables(sound))
        return box("mdia", head, kind, info)

    def _tables(self, sound: Sound) -> bytes:
        count = len(sound.sizes)
        far = bool(sound.offsets) and sound.offsets[-1] >= 1 << 32
        offsets = struct.pack(">I", len(sound.offsets))
        offsets += _packed(sound.offsets, ">u8" if far else ">u4")
        return box(
            "stbl",
            full_box("stsd", struct.pack(">I", 1), self._entry(sound)),
            full_box("stts", self._durations(sound)),
            full_box("stsc", _chunk_table(sound.chunks)),
            full_box("stsz", _size_table(sound.sizes)),
            full_box("co64" if far else "stco", offsets),
            _preroll(count) if self.priming else b"",
        )

    def _durations(self, sound: Sound) -> bytes:
        full = len(sound.sizes) - 1
        runs = [(full, sound.packet)] if full > 0 else []
        if full >= 0:
            runs.append((1, self.samples + self.priming - full * sound.packet))
        return struct.pack(">I", len(runs)) + b"".join(struct.pack(">II", *run) for run in runs)

    def _entry(self, sound: Sound) -> bytes:
        form = struct.pack(">6xH8xHHHHI", 1, 2, sound.bits, 0, 0, self.rate << 16)
        if sound.codec == "alac":
            return box("alac", form, sound.setup)
        return box("mp4a", form, _aac_setup(sound))


def box(kind: str, *parts: bytes) -> bytes:
    """A box of a file: its size, its four letters, and what is in it."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind.encode("latin-1")) + body


def full_box(kind: str, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def tag_boxes(tags: Mapping[str, str], cover: Cover | None) -> bytes:
    """The box of tags and cover where players look for them, in `moov/udta`.

    Args:
        tags: as `octet.audio.song` cleans them.
        cover: picture to carry.
    """
    items = [_item(_TAGS[key], _UTF8, text.encode()) for key, text in tags.items() if key in _TAGS]
    numbers = [part.strip() for part in tags.get("track", "").split("/")[:2]]
    if all(part.isascii() and part.isdigit() and int(part) < 1 << 16 for part in numbers):
        place, among = (*map(int, numbers), 0)[:2]
        items.append(_item("trkn", 0, struct.pack(">2xHH2x", place, among)))
    if cover is not None:
        kind = _PNG if cover.mime == "image/png" else _JPEG
        items.append(_item("covr", kind, cover.data))
    handler = full_box("hdlr", struct.pack(">I4s4s9x", 0, b"mdir", b"appl"))
    return full_box("meta", handler, box("ilst", *items))


def _item(key: str, kind: int, value: bytes) -> bytes:
    return box(key, box("data", struct.pack(">II", kind, 0), value))


def _packed(figures: array[int], kind: str) -> bytes:
    return np.asarray(figures).astype(kind).tobytes()


def _size_table(sizes: array[int]) -> bytes:
    """Bytes of each packet; of packets that are all alike only once (14496-12, 8.7.3).

    FFmpeg finds a packet of a single sample in no other way.
    """
    if len({*sizes}) == 1:
        return struct.pack(">II", sizes[0], len(sizes))
    return struct.pack(">II", 0, len(sizes)) + _packed(sizes, ">u4")


def _chunk_table(chunks: array[int]) -> bytes:
    """Packets a chunk, in runs of chunks that have as many (14496-12, 8.7.4)."""
    runs: list[tuple[int, int]] = []
    for number, count in enumerate(chunks, 1):
        if not runs or runs[-1][1] != count:
            runs.append((number, count))
    entries = b"".join(struct.pack(">III", first, count, 1) for first, count in runs)
    return struct.pack(">I", len(runs)) + entries


def _preroll(packets: int) -> bytes:
    """That a decoder which jumps into the sound has to begin a packet earlier (8.9, 10.1)."""
    roll = struct.pack(">4sIIh", b"roll", 2, 1, -1)
    groups = struct.pack(">4sIII", b"roll", 1, packets, 1)
    return full_box("sgpd", roll, version=1) + full_box("sbgp", groups)


def _aac_setup(sound: Sound) -> bytes:
    """How AAC is decoded, in descriptors (14496-1, 7.2.6)."""
    rates = struct.pack(">II", sound.bitrate, sound.bitrate)
    kind = struct.pack(">BB", _MPEG4_AUDIO, _AUDIO_STREAM) + _AAC_BUFFER.to_bytes(3)
    decoder = _descriptor(4, kind + rates + _descriptor(5, sound.setup))
    return full_box("esds", _descriptor(3, bytes(3) + decoder + _descriptor(6, b"\x02")))


def _descriptor(tag: int, body: bytes) -> bytes:
    return bytes((tag, 0x80, 0x80, 0x80, len(body))) + body
