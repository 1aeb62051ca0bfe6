"""Songs of every accepted format, and what becomes of them in the hands of somebody hostile."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import numpy as np

from octet.audio.song import Cover
from octet.formats import Encoding
from tests.audio.pictures import png
from tests.audio.waves import encoded, muxed, sound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Mutation = Callable[[bytearray, random.Random, "Mapping[str, bytes]"], None]

SAMPLES = 6_000
RATE = 44_100

# The name of a seed, FFmpeg's muxer, its encoder, and the moving picture beside it.
MUXED: tuple[tuple[str, str, str, str | None], ...] = (
    ("aac", "adts", "aac", None),
    ("ac3 in webm", "matroska", "ac3", None),
    ("adpcm in wav", "wav", "adpcm_ms", None),
    ("aiff", "aiff", "pcm_s16be", None),
    ("alac in m4a", "ipod", "alac", None),
    ("alaw in wav", "wav", "pcm_alaw", None),
    ("au", "au", "pcm_s16be", None),
    ("avi", "avi", "pcm_s16le", None),
    ("caf", "caf", "pcm_s24le", None),
    ("eac3 in mp4", "mp4", "eac3", None),
    ("film as avi", "avi", "libmp3lame", "mpeg4"),
    ("film as mp4", "mp4", "aac", "mpeg4"),
    ("flac in ogg", "ogg", "flac", None),
    ("flv", "flv", "aac", None),
    ("ima in wav", "wav", "adpcm_ima_wav", None),
    ("mov", "mov", "pcm_s16le", None),
    ("mp2", "mp2", "mp2", None),
    ("mpegts", "mpegts", "mp2", None),
    ("opus in webm", "webm", "libopus", None),
    ("tta", "tta", "tta", None),
    ("w64", "w64", "pcm_s16le", None),
    ("wavpack", "wv", "wavpack", None),
    ("wma", "asf", "wmav2", None),
)


def seeds(folder: Path) -> dict[str, bytes]:
    """Short songs, of every container that is accepted, by their names.

    Those that Octet writes itself have tags and a cover. Of the codecs, three that are accepted
    have no encoder (WMA Lossless, WMA Pro, MPEG layer I).
    """
    songs = {one[0]: _muxed(folder / "song", *one[1:]) for one in MUXED}
    tags = {"title": "Lied", "artist": "Wir", "comment": "x" * 300}
    cover = Cover(png(16, 16), "image/png")
    for name in ("mp3", "flac", "wav", "ogg", "opus", "m4a"):
        path = folder / f"song.{name}"
        more = {} if name == "wav" else {"cover": cover}
        encoded(path, sound(SAMPLES), Encoding(name), RATE, tags=tags, **more)
        songs[name] = path.read_bytes()
    songs["ape"] = silent_ape()
    return songs


def _muxed(path: Path, muxer: str, codec: str, video: str | None) -> bytes:
    block = sound(SAMPLES)
    whole = codec in ("flac", "alac", "tta", "wavpack", "libopus") or codec.startswith("pcm_s24")
    small = codec.startswith(("adpcm", "pcm_")) or codec == "mp2"
    if whole:
        block = (block.astype(np.float64) * 2**31).astype(np.int32)
    elif small:
        block = (block * 2**15).astype(np.int16)
    rate = 48_000 if codec == "libopus" else RATE
    return muxed(path, muxer, codec, [block], rate=rate, video=video).read_bytes()


def silent_ape(frames: int = 2, blocks: int = 4096) -> bytes:
    """A Monkey's Audio file, of frames that say that they are silent; FFmpeg only reads these."""
    frame = struct.pack("<II", 0x80000000, 3) + bytes(24)
    sizes = (52, 24, 4 * frames, 0, len(frame) * frames, 0, 0)
    first = 52 + 24 + 4 * frames
    return b"".join(
        (
            b"MAC " + struct.pack("<HH7I", 3990, 0, *sizes) + bytes(16),
            struct.pack("<HHIIIHHI", 2000, 0, blocks, blocks, frames, 16, 2, RATE),
            b"".join(struct.pack("<I", first + i * len(frame)) for i in range(frames)),
            frame * frames,
        )
    )


def mutated(songs: Mapping[str, bytes], number: int) -> tuple[str, bytes]:
    """The name of a seed, and that song with 1 to 16 mutations; each number is another one."""
    chance = random.Random(number)
    name = sorted(songs)[number % len(songs)]
    data = bytearray(songs[name])
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        chance.choice(MUTATIONS)(data, chance, songs)
    return name, bytes(data)


def _place(data: bytearray, chance: random.Random) -> int:
    """A byte of the song: as often as not one of its header or of its end."""
    edge = chance.choice((64, 512, len(data), len(data)))
    place = chance.randrange(max(1, min(edge, len(data))))
    return place if chance.random() < 0.8 else max(0, len(data) - 1 - place)


def _run(chance: random.Random) -> int:
    return chance.choice((1, 2, 4, 16, 100, 1000))


def _flip(data: bytearray, chance: random.Random, _: object) -> None:
    if data:
        data[_place(data, chance)] ^= 1 << chance.randrange(8)


def _extreme(data: bytearray, chance: random.Random, _: object) -> None:
    """A number as it is not meant: none, the largest, the most negative, or any."""
    size, place = chance.choice((1, 2, 3, 4, 8)), _place(data, chance)
    top = 256**size
    values = (0, 1, top - 1, top // 2, top // 2 - 1, chance.randrange(top))
    number = chance.choice(values).to_bytes(size, "big")
    data[place : place + size] = number if chance.random() < 0.5 else number[::-1]


def _noise(data: bytearray, chance: random.Random, _: object) -> None:
    place, count = _place(data, chance), _run(chance)
    data[place : place + count] = chance.randbytes(count)


def _blank(data: bytearray, chance: random.Random, _: object) -> None:
    place, count = _place(data, chance), _run(chance)
    data[place : place + count] = chance.choice((b"\0", b"\xff")) * count


def _cut(data: bytearray, chance: random.Random, _: object) -> None:
    del data[_place(data, chance) :]


def _drop(data: bytearray, chance: random.Random, _: object) -> None:
    place = _place(data, chance)
    del data[place : place + _run(chance)]


def _repeat(data: bytearray, chance: random.Random, _: object) -> None:
    place, count = _place(data, chance), _run(chance)
    data[place:place] = data[place : place + count] * chance.choice((1, 2, 50))


def _insert(data: bytearray, chance: random.Random, _: object) -> None:
    place = _place(data, chance)
    data[place:place] = chance.randbytes(_run(chance))


def _splice(data: bytearray, chance: random.Random, songs: Mapping[str, bytes]) -> None:
    """Goes on as another song does."""
    other = songs[chance.choice(sorted(songs))]
    data[_place(data, chance) :] = other[chance.randrange(len(other)) :]


MUTATIONS: tuple[Mutation, ...] = (
    *(_flip, _extreme, _extreme, _noise, _blank),
    *(_cut, _drop, _repeat, _insert, _splice),
)
