"""Songs made by hand to do harm: what is known to have hurt those who read files of sound."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from tests.worker.service import song

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_AUDIO = frozenset(("not-audio", "damaged-audio"))
BROKEN = frozenset(("not-audio", "damaged-audio", "limit"))
LIMIT = frozenset(("limit",))
ANY = BROKEN | {"complete"}
_BOMB = 1 << 30


def crafted(
    address: str, file: str, seeds: Mapping[str, bytes], seconds: int
) -> dict[str, tuple[bytes, frozenset[str]]]:
    """Songs by their names, each with the ways in which it may end.

    Args:
        address: of an HTTP server, to which nobody must be sent.
        file: the path of a song that nobody must read.
        seeds: songs that are sound.
        seconds: the longest song that is accepted.
    """
    return {
        **playlists(address, file),
        "WAV with a title of 1.7 GB": (_long_title(), ANY),
        **{f"WAV, {name}": value for name, value in lying_waves().items()},
        "silent FLAC beyond the limit": (silent_flac(seconds + 3600), LIMIT),
        "255 channels": (wave(channels=255, align=510), LIMIT),
        "ID3 of 256 MB": (b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(1000), BROKEN),
        "FLAC with a picture of 16 MB": (b"fLaC\x86\xff\xff\xff" + bytes(1000), BROKEN),
        "boxes in boxes": (_boxes(5000), BROKEN),
        "four billion samples": (_many_samples(seeds["m4a"]), ANY),
        "zlib bomb in an MP4": (_bomb(), BROKEN),
        "nothing": (b"", NOT_AUDIO),
        "a program": (b"\x7fELF\x02\x01\x01" + bytes(5000), NOT_AUDIO),
        "a page": (b"<!DOCTYPE html><script>alert(1)</script>" * 50, NOT_AUDIO),
    }


def playlists(address: str, file: str) -> dict[str, tuple[bytes, frozenset[str]]]:
    """Files that send their readers elsewhere: plain, and dressed up as something else."""
    lists = {
        "HLS": f"#EXTM3U\n#EXTINF:10,\n{address}/song.wav\n#EXTINF:10,\n{file}\n#EXT-X-ENDLIST\n",
        "ffconcat": f"ffconcat version 1.0\nfile '{file}'\nfile {address}/song.wav\n",
        "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
        "ASX": f"<asx version='3.0'><entry><ref href='{address}/song.wav'/></entry></asx>\n",
    }
    plain = {f"playlist, {name}": (text.encode(), NOT_AUDIO) for name, text in lists.items()}
    tag = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)
    return {
        **plain,
        "playlist behind an ID3 tag": (tag + lists["HLS"].encode(), NOT_AUDIO),
        "playlist in an AVI": (_avi_with_subtitles(lists["HLS"].encode()), ANY),
    }


def lying_waves() -> dict[str, tuple[bytes, frozenset[str]]]:
    """WAV headers that say what cannot be."""
    lies: dict[str, dict[str, int]] = {
        "4 GB of samples": {"size": 0xFFFFFFF0},
        "half a byte a sample": {"bits": 4},
        "no bits": {"bits": 0, "align": 0},
        "65,535 bits": {"bits": 65535},
        "no channels": {"channels": 0, "align": 0},
        "65,535 channels": {"channels": 65535},
        "no bytes a frame": {"align": 0},
        "65,535 bytes a frame": {"align": 65535},
        "no rate": {"rate": 0},
        "four billion hertz": {"rate": 0xFFFFFFFF},
        "a header of 2 GB": {"header": 0x7FFFFFFF},
        "no header": {"header": 0},
        "a codec that is none": {"kind": 0xABCD},
    }
    return {name: (wave(**lie), ANY) for name, lie in lies.items()}


def wave(
    *,
    kind: int = 1,
    channels: int = 2,
    rate: int = 44_100,
    align: int = 4,
    bits: int = 16,
    header: int = 16,
    size: int | None = None,
) -> bytes:
    """A WAV whose header says what it is told to."""
    data = song()[44:] * 20
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * 4 & 0xFFFFFFFF, align, bits)
    stated = len(data) if size is None else size
    return b"".join(
        (
            b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVEfmt " + struct.pack("<I", header),
            form + b"data" + struct.pack("<I", stated) + data,
        )
    )


def _long_title() -> bytes:
    """A WAV whose list of facts says that it has three gigabytes, and its title half of them."""
    facts = b"LIST" + struct.pack("<I", 0xBA000000) + b"INFOINAM" + struct.pack("<I", 0x67000000)
    whole = wave()
    return whole[:36] + facts + whole[36:]


def silent_flac(seconds: int, rate: int = 8000) -> bytes:
    """Hours in kilobytes: frames of 65,535 samples that are all the same (RFC 9639)."""
    block = 65_535
    frames = -(-seconds * rate // block)
    facts = rate << 44 | 0 << 41 | 15 << 36  # mono, 16 bits; the number of samples is not told
    info = struct.pack(">HH", block, block) + bytes(6) + facts.to_bytes(8, "big") + bytes(16)
    head = b"fLaC\x80" + len(info).to_bytes(3, "big") + info
    return head + b"".join(_silent_frame(number, block) for number in range(frames))


def _silent_frame(number: int, block: int) -> bytes:
    start = b"\xff\xf8\x74\x08" + _coded(number) + struct.pack(">H", block - 1)
    frame = start + bytes([_crc(start, 8, 0x07)]) + b"\0\0\0"  # a constant of 16 bits
    return frame + struct.pack(">H", _crc(frame, 16, 0x8005))


def _coded(number: int) -> bytes:
    """As UTF-8 does it."""
    return chr(number).encode("utf-8", "surrogatepass")


def _crc(data: bytes, width: int, polynomial: int) -> int:
    top, value = 1 << width - 1, 0
    for byte in data:
        value ^= byte << width - 8
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & (1 << width) - 1
    return value


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


_BRAND = _box(b"ftyp", b"M4A \0\0\0\0M4A isom")


def _boxes(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = _box(b"moov", content)
    return _BRAND + content


def _many_samples(data: bytes) -> bytes:
    """An M4A whose table of sizes says that it has four billion entries."""
    place = data.index(b"stsz") + 12
    return data[:place] + b"\xff\xff\xff\xf0" + data[place + 4 :]


def _bomb() -> bytes:
    """An MP4 whose header is compressed, and has a gigabyte."""
    # A mebibyte of zeros that stands for itself (a full flush), again and again; then the end
    # and the checksum, which of zeros tells the length alone (RFC 1950, RFC 1951).
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    mebibyte = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = struct.pack(">I", (_BOMB % 65_521) << 16 | 1)
    packed = b"\x78\xda" + mebibyte * (_BOMB >> 20) + b"\x03\0" + checksum
    method = _box(b"dcom", b"zlib")
    return _BRAND + _box(
        b"moov", _box(b"cmov", method + _box(b"cmvd", struct.pack(">I", _BOMB) + packed))
    )


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _stream_header(kind: bytes, rate: int, length: int) -> bytes:
    return struct.pack("<4s16xIIII20x", kind, 1, rate, 0, length)


def _avi_with_subtitles(text: bytes) -> bytes:
    """An AVI of PCM, and of subtitles that FFmpeg once opened as whatever they were."""
    rate, samples = 8000, bytes(8000)
    main = struct.pack("<14I", 40_000, 0, 0, 0x110, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0)
    sound = struct.pack(
        "<4s4sIHHIIIIIIII8x", b"auds", b"\0" * 4, *(0,) * 4, 1, rate, 0, 4000, *(0,) * 3
    )
    form = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    words = _stream_header(b"txts", 1, 1)
    streams = _chunk(b"LIST", b"strl" + _chunk(b"strh", sound) + _chunk(b"strf", form))
    streams += _chunk(b"LIST", b"strl" + _chunk(b"strh", words) + _chunk(b"strf", b""))
    title = struct.pack("<HI", 2, 4) + "a\0".encode("utf-16-le")
    packet = b"GAB2\0" + title + struct.pack("<HI", 4, len(text)) + text
    movie = _chunk(b"01tx", packet) + _chunk(b"00wb", samples) + _chunk(b"01tx", packet)
    header = _chunk(b"LIST", b"hdrl" + _chunk(b"avih", main) + streams)
    return _chunk(b"RIFF", b"AVI " + header + _chunk(b"LIST", b"movi" + movie))
