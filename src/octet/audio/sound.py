"""The stream of sound in a container: its packets decoded, and damage found among them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import av

from octet.audio.container import DEMUXERS, open_container, wide_integers
from octet.audio.song import SongInfo, as_cover, clean_tags
from octet.audio.truncation import Claim, claim_of
from octet.errors import DamagedAudioError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from octet.audio.files import SourceFile
    from octet.audio.ogg import Link
    from octet.audio.song import Cover

SYNCHRONISED = frozenset(("mp3", "aac", "ac3", "eac3", "dts", "truehd", "mpeg"))
"""Containers whose decoders look for the beginning of each packet, and pass over junk around."""

AGAIN = "Copy or download the song again"
_SILENCE_AT_ONCE = 1 << 15
_TWO_VORBIS_BLOCKS = 1 << 14
_SKIP_NOTHING = {"flags2": "+skip_manual"}
"""Lets the decoder give all samples, where FFmpeg's idea of what is padding is wrong."""


class Silence(NamedTuple):
    """So many samples that are damaged."""

    samples: int


class SoundStream:
    """One container, or one link of a chained Ogg file, opened. A context manager.

    Args:
        source: the file, or the part of it.
        link: of an Ogg file.
        skip_damaged: put silence in the place of packets that cannot be decoded.
        before: seconds of the song that earlier links took, for errors.

    Attributes:
        kind: our name of the container.
        rate: samples a second.
        position: samples given so far.
        silenced: how many of them are silence in the place of what is damaged.
        bits: a sample, of a lossless codec; None of a lossy one.
        gain: by which the samples are to be multiplied.
    """

    def __init__(
        self,
        source: SourceFile,
        link: Link | None = None,
        *,
        skip_damaged: bool = False,
        before: float = 0.0,
    ) -> None:
        self.position = self.silenced = 0
        self._source = source
        self._link = link
        self._skip_damaged = skip_damaged
        self._before = before
        self._cover: Cover | None = None
        self._first_byte: int | None = None
        self._packets_read = self._bytes_read = self._frame = 0
        self._lost = 0  # samples of packets that could not be decoded since the last frame
        self._begin: int | None = None
        with ExitStack() as stack:
            self._container, self._stream = open_container(source)
            stack.callback(self._container.close)
            self.rate: int = self._stream.rate
            self.kind = DEMUXERS[self._container.format.name]
            self._decoder: Any = self._stream.codec_context
            self.bits, self.gain = bits_of(self._decoder), 1.0
            if integers := wide_integers(source, self._stream):
                self._decoder, self.gain = integers
                self.bits = 24
            # FFmpeg trims the end of a Vorbis stream of a single page too much, and that of ALAC
            # whose last packet is short already once more.
            self._single_page = (
                link is not None and link.pages == 1 and self._decoder.name == "vorbis"
            )
            if self._single_page or self.kind == "caf":
                self._decoder.options = _SKIP_NOTHING
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Closes the container; the file stays open."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def info(self, frame: av.AudioFrame) -> SongInfo:
        """What the container says of itself.

        Args:
            frame: the first one that was decoded.
        """
        container, stream = self._container, self._stream
        duration = None
        if container.duration is not None and container.duration > 0:
            duration = container.duration / av.time_base
        return SongInfo(
            container=self.kind,
            codec=self._decoder.codec.name.removesuffix("float"),
            rate=frame.sample_rate,
            channels=frame.layout.nb_channels,
            layout=frame.layout.name,
            bits=self.bits,
            duration=duration,
            tags=clean_tags(container.metadata, stream.metadata),
            cover=self._cover,
        )

    def claim(self) -> Claim | None:
        """The length that the container claims, once a packet was read."""
        if self._link is not None:
            return (
                Claim(self._link.position, surplus=_TWO_VORBIS_BLOCKS)
                if self._single_page
                else None
            )
        return claim_of(
            self._source,
            self._container,
            self._stream,
            self.kind,
            self._first_byte,
            self.bits is not None,
        )

    def frames(self) -> Iterator[av.AudioFrame | Silence]:
        """Frames of sound in order; pictures on the way become the cover.

        Raises:
            DamagedAudioError: a packet cannot be decoded, and is not to be skipped.
        """
        for packet in self._packets():
            if packet.stream is not self._stream:
                self._cover = self._cover or as_cover(bytes(packet))
                continue
            if self._first_byte is None:
                self._first_byte = packet.pos
            for frame in self._decoded(packet):
                if not self.position:
                    self.rate = frame.sample_rate
                self._note_gap(frame)
                yield from self._silence()
                self.position += frame.samples
                self._frame = frame.samples
                yield frame
        if self._link is not None and self._link.broken is not None and not self._skip_damaged:
            raise self.damage(self._link.broken)

    def damage(self, position: int | None = None) -> DamagedAudioError:
        """The error that says where the song breaks: at `position`, or where it was read to."""
        if self.position == 0 and self._before == 0:
            return DamagedAudioError(f"{self._source.path} is broken at its beginning", AGAIN)
        return DamagedAudioError(
            f"{self._source.path} is cut off or broken at {self.clock(position)}",
            f"{AGAIN}, or put silence in the place of what is damaged (--damaged skip)",
        )

    def clock(self, position: int | None = None) -> str:
        """The time in the song of a position in the stream, the present one unless given."""
        samples = self.position if position is None else position
        return clock(self._before + samples / self.rate)

    def _packets(self) -> Iterator[av.Packet[Any]]:
        attached = av.stream.Disposition.attached_pic
        pictures = [one for one in self._container.streams.video if one.disposition & attached]
        try:
            yield from self._container.demux(self._stream, *pictures)
        except IndexError:
            # At its very end PyAV stumbles over streams that turned up on the way (MPEG-TS).
            return
        except (av.FFmpegError, OSError) as error:
            raise self.damage() from error

    def _decoded(self, packet: av.Packet[Any]) -> list[av.AudioFrame]:
        """The frames of a packet: none of one that cannot be decoded, which is noted, or raised.

        An MP3 may begin and end with bytes that are no sound (tags, cut frames, junk), as all
        players allow; they are damage once a frame follows. Anything else is damage at once.
        """
        synchronised = self.kind in SYNCHRONISED
        try:
            # A WAV may end within a packet of FFmpeg's, if its header does not know its size.
            if packet.is_corrupt and packet.size and not synchronised and self.kind != "wav":
                raise av.InvalidDataError(0, "the packet is cut off")
            frames: list[av.AudioFrame] = self._decoder.decode(packet)
        except av.EOFError:
            return []
        except av.FFmpegError as error:
            if not synchronised and not (self._skip_damaged and self.position):
                raise self.damage() from error
            if self.position and not _is_tag(packet):
                self._lost += self._length(packet)
            return []
        if self._single_page and frames and not self._packets_read:
            frames = frames[1:]  # the first Vorbis packet gives no sound of its own
        self._packets_read += 1
        self._bytes_read += packet.size
        return frames

    def _length(self, packet: av.Packet[Any]) -> int:
        """Samples that a packet would have given. What lost its headers is judged by its bytes."""
        if self.kind in SYNCHRONISED:
            return self._frame * max(1, round(packet.size * self._packets_read / self._bytes_read))
        if packet.duration and packet.time_base:
            return round(packet.duration * packet.time_base * self.rate)
        return self._frame

    def _note_gap(self, frame: av.AudioFrame) -> None:
        """Counts lost pages of Ogg and frames of FLAC, of which only the next one's time tells."""
        told = self.kind == "flac" or (self._link is not None and self._link.broken is not None)
        if not told or not self._skip_damaged or frame.pts is None:
            return
        place = round(frame.pts * (frame.time_base or 0) * self.rate)
        if self._begin is None:
            self._begin = place
        self._lost = max(self._lost, place - self._begin - self.position)

    def _silence(self) -> Iterator[Silence]:
        """What stands for the samples that were lost."""
        if self._lost > 0 and not self._skip_damaged:
            raise self.damage()
        while self._lost > 0:
            silence = Silence(min(self._lost, _SILENCE_AT_ONCE))
            self._lost -= silence.samples
            self.position += silence.samples
            self.silenced += silence.samples
            yield silence


def clock(seconds: float) -> str:
    """A time in a song as people write it: 3:25.1."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}"


def bits_of(context: av.AudioCodecContext) -> int | None:
    """Bits a sample of a lossless codec, None of a lossy one."""
    name, extra = context.codec.name, context.extradata or b""
    # A header that names no channels leaves the decoder without a kind of samples, too.
    kind = context.format.name if context.format else ""
    if name in ("pcm_alaw", "pcm_mulaw"):
        return None
    if name in ("pcm_dvd", "truehd", "mlp"):
        return 16 if kind.startswith("s16") else 24
    if name.startswith("pcm_"):
        return int("".join(filter(str.isdigit, name)))
    if name == "flac" and len(extra) >= 34:  # STREAMINFO, RFC 9639, 8.2
        return ((extra[12] & 1) << 4 | extra[13] >> 4) + 1
    if name == "alac" and len(extra) > 17:  # the bit depth in Apple's cookie
        return extra[17]
    if name in ("flac", "alac", "ape", "tta", "wavpack", "wmalossless"):
        return {"u8": 8, "s16": 16, "flt": 32}.get(kind.removesuffix("p"), 24)
    return None


def _is_tag(packet: av.Packet[Any]) -> bool:
    return bytes(packet)[:8].startswith((b"ID3", b"TAG", b"APETAGEX", b"LYRICSBE"))
