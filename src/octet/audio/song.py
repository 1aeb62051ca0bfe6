"""What is known of a song: its limits, its description, its cover."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """How much song is accepted. All are counted on what is there, not on what headers say.

    Attributes:
        max_bytes: size of the file; None for any.
        max_seconds: length of the decoded sound; None for any.
        max_channels: channels of the sound, before they are mixed down.
        min_rate: lowest sample rate in Hz.
        max_rate: highest sample rate in Hz.
    """

    max_bytes: int | None = None
    max_seconds: float | None = None
    max_channels: int = 64
    min_rate: int = 2_000
    max_rate: int = 768_000


@dataclass(frozen=True)
class Cover:
    """The picture of a song: the bytes of a JPEG or PNG file, and which of the two it is."""

    data: bytes
    mime: str


@dataclass(frozen=True)
class SongInfo:
    """What a song's file says of itself.

    Attributes:
        container: short name of the file format: mp3, wav, flac, ogg, mp4, webm, ...
        codec: FFmpeg's name of the codec: mp3, pcm_s16le, flac, aac, ...
        rate: samples a second.
        channels: how many there are in the file, before they are mixed down.
        layout: FFmpeg's name of their arrangement: mono, stereo, 5.1, ...
        bits: of a lossless format: 8, 16, 20, 24 or 32 a sample; None for a lossy one.
        duration: seconds by the header's claim; None when it makes none.
        tags: title, artist, album, album_artist, date, genre, track and comment, where given.
        cover: the attached picture, if there is one.
    """

    container: str
    codec: str
    rate: int
    channels: int
    layout: str
    bits: int | None
    duration: float | None
    tags: dict[str, str] = field(default_factory=dict)
    cover: Cover | None = None
