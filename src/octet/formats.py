"""The file formats of the tracks, and what each can hold: the one list of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from octet.errors import SettingError

FormatName = Literal["mp3", "flac", "wav", "ogg", "opus", "m4a", "stem"]
"""The keys of `FORMATS`, for settings and options."""


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: what the user calls it.
        mime: its media type.
        rates: sample rates in Hz it can hold, rising; empty for any.
        bits: bits a sample it can hold without loss; empty for a lossy format.
        bitrates: least and most kilobits a second; None where there is nothing to choose. A format
            that has bits as well is lossy unless they are asked for.
        bitrate: kilobits a second unless asked otherwise, of each sound in the file.
        streams: how many stereo sounds a file holds. Of several, the file is the only track of a
            song, and has the format's name.
        extension: of its files, without the dot; the name unless given.
    """

    name: str
    mime: str
    rates: tuple[int, ...] = ()
    bits: tuple[int, ...] = ()
    bitrates: tuple[int, int] | None = None
    bitrate: int | None = None
    streams: int = 1
    extension: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "extension", self.extension or self.name)

    def nearest_rate(self, rate: int) -> int:
        """The rate at which a file holds a song of `rate` Hz.

        The same, if the format has it; else the next higher one, so that nothing is cut off;
        above all of them, the highest.
        """
        if not self.rates or rate in self.rates:
            return rate
        return next((held for held in self.rates if held > rate), self.rates[-1])


_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_AAC_RATES = (*_MP3_RATES, 64000, 88200, 96000)
_VORBIS_RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000)

FORMATS = {
    one.name: one
    for one in (
        Format("mp3", "audio/mpeg", _MP3_RATES, bitrates=(8, 320), bitrate=320),
        Format("flac", "audio/flac", bits=(16, 24)),
        Format("wav", "audio/wav", bits=(16, 24, 32)),
        Format("ogg", "audio/ogg", _VORBIS_RATES, bitrates=(64, 500), bitrate=256),
        Format("opus", "audio/ogg", (48000,), bitrates=(16, 510), bitrate=256),
        Format("m4a", "audio/mp4", _AAC_RATES, bitrates=(32, 512), bitrate=256),
        Format("stem", "audio/mp4", (44100,), (16, 24), (32, 512), 256, 5, "mp4"),
    )
}
"""The formats by name."""


def media_type(extension: str) -> str:
    """Of a track's file, by its extension without the dot."""
    found = (one.mime for one in FORMATS.values() if one.extension == extension)
    return next(found, "application/octet-stream")


_UNREAD = (
    (b"DSD ", "DSD sound (DSF)"),
    (b"FRM8", "DSD sound (DSDIFF)"),
    (b"#!AMR", "AMR speech"),
    (b".RMF", "a RealMedia file"),
    (b".ra\xfd", "a RealAudio file"),
    (b"MP+", "a Musepack file"),
    (b"MPCK", "a Musepack file"),
    (b"tBaK", "a TAK file"),
    (b"OFR ", "an OptimFROG file"),
    (b"ajkg", "a Shorten file"),
    (b"Creative Voice File", "a Creative Voice file"),
    (b"MThd", "a MIDI file (notes, no sound)"),
    (b"Extended Module", "a tracker module (notes, no recording)"),
    (b"IMPM", "a tracker module (notes, no recording)"),
    (b"#EXTM3U", "a playlist"),
    (b"[playlist]", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
)


def unread_kind(head: bytes) -> str | None:
    """What a file is that is not read, as far as its first bytes tell: "a MIDI file"."""
    return next((kind for sign, kind in _UNREAD if head.startswith(sign)), None)


@dataclass(frozen=True)
class Encoding:
    """A format and its settings.

    Args:
        name: one of `FORMATS`.
        bits: a sample, of a lossless format: 16 or 24, and 32 for floating point in wav. None
            takes the song's own (see `for_song`), or 16 where there is no song to ask. A stem file
            is lossless (ALAC) if they are given, else AAC.
        bitrate: kilobits a second of a lossy format, in ogg about so many. None takes the format's
            own default (mp3: 320). MP3 below 32 kHz has a lower ceiling, which it is cut to.
        quality: of mp3, how hard the encoder tries: 0 (slowest) to 9 (fastest); None is 5.

    Raises:
        SettingError: a format that there is not, or a setting that it does not have.
    """

    name: str = "mp3"
    bits: int | None = None
    bitrate: int | None = None
    quality: int | None = None

    def __post_init__(self) -> None:
        if self.name not in FORMATS:
            raise SettingError(
                f"there is no format {self.name!r}", f"There are {', '.join(FORMATS)}"
            )
        self._check_bits()
        self._check_bitrate()
        if self.quality is not None and (self.name != "mp3" or self.quality not in range(10)):
            raise SettingError(
                f"quality {self.quality} does not go with {self.name}",
                "It is for mp3, from 0 (slowest) to 9 (fastest)",
            )

    def _check_bits(self) -> None:
        held = self.format.bits
        if self.bits is not None and self.bits not in held:
            can = " or ".join(map(str, held))
            hint = f"It holds {can}" if held else "Leave the bits out: the format is lossy"
            raise SettingError(f"{self.name} does not hold {self.bits} bits a sample", hint)
        if self.bits is not None and self.bitrate is not None and self.format.bitrates:
            raise SettingError(
                f"{self.name} has bits or a bit rate, and not both",
                "With bits it is lossless, with a bit rate lossy",
            )

    def _check_bitrate(self) -> None:
        if self.bitrate is None:
            return
        if self.format.bitrates is None:
            have = ", ".join(name for name, one in FORMATS.items() if one.bitrates)
            raise SettingError(f"{self.name} has no bit rate to choose", f"{have} have")
        least, most = self.format.bitrates
        if not least <= self.bitrate <= most:
            raise SettingError(
                f"{self.name} cannot have {self.bitrate} kb/s", f"From {least} to {most} it can"
            )

    @property
    def format(self) -> Format:
        """The format that is meant."""
        return FORMATS[self.name]

    @property
    def lossless(self) -> bool:
        """Whether every sample comes back as it was, within the bits."""
        return bool(self.format.bits) and (self.bits is not None or not self.format.bitrates)

    @property
    def kilobits(self) -> int | None:
        """A second, of each sound: as asked for, or the format's own; None of a lossless one."""
        return None if self.lossless else self.bitrate or self.format.bitrate

    def for_song(self, bits: int | None) -> Encoding:
        """The same encoding, with the song's own bits where none were asked for.

        Args:
            bits: a sample, of the song; None for a lossy one.

        A song of more than 16 bits gets 24, floating point or 32 bits get 32 in wav; all else,
        lossy songs too, gets 16.
        """
        if self.bits is not None or not self.lossless:
            return self
        own = bits or 16
        fitting = [held for held in self.format.bits if held >= own]
        return replace(self, bits=fitting[0] if fitting else self.format.bits[-1])
