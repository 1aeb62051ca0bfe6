"""Stem files as DJ programs read them (Native Instruments' STEMS): a song and its stems in one MP4.

Five stereo sounds of 44.1 kHz, in AAC or ALAC: the song, drums, bass, other, vocals. Only the song
is enabled, for players that know nothing of stems. The box `moov/udta/stem` names the four in JSON.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np

from octet.audio.mp4 import Mp4File, Sound, box, tag_boxes
from octet.audio.muxed import sample_kind
from octet.tracks import IN_STEM_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from av.audio.codeccontext import AudioCodecContext

    from octet.audio.files import OutputFile
    from octet.audio.song import Cover
    from octet.formats import Encoding

_MOST_ROUNDING = 4
"""Steps by which five rounded samples can fail to sum; float32's own rounding is part of it."""

_COLOURS = {"drums": "#009E73", "bass": "#D55E00", "other": "#CC79A7", "vocals": "#56B4E9"}
"""Of the stems on the screens of DJ programs: Okabe and Ito's, which all eyes tell apart."""

# Both are off, so that the stems sound as they are; readers expect all of the figures.
_MASTERING = {
    "compressor": {
        "enabled": False,
        "input_gain": 0.5,
        "output_gain": 0.5,
        "threshold": 0,
        "ratio": 3,
        "attack": 0.003,
        "release": 0.3,
        "hp_cutoff": 300,
        "dry_wet": 50,
    },
    "limiter": {"enabled": False, "threshold": 0, "ceiling": -0.35, "release": 0.05},
}


class StemFile:
    """A stem file in the making. Its sounds are encoded side by side, in a thread each.

    Where it is lossless, the four stems sum to the song bit by bit: what rounding to integers
    leaves of the difference, a step or two, goes to `other`. Where a sample was cut, it does not.

    Args:
        file: empty, open for writing, seekable.
        encoding: `stem`; lossless if it has bits.
        rate: samples a second.
        tags: of the song, as `octet.audio.song` cleans them.
        cover: picture to carry.
    """

    def __init__(
        self,
        file: OutputFile,
        encoding: Encoding,
        rate: int,
        tags: Mapping[str, str],
        cover: Cover | None,
    ) -> None:
        self._planar = not encoding.lossless
        self._step = 1 << 8 if encoding.bits == 24 else 1
        self._streams = [_Stream(name, encoding, rate) for name in IN_STEM_FILE]
        self._boxes = tag_boxes(tags, cover) + box("stem", _description())
        self._samples = 0
        self._file = Mp4File(file, rate, [stream.sound for stream in self._streams])

    def write(self, samples: np.ndarray) -> None:
        """Takes samples of all five in, contiguous.

        Args:
            samples: float32 of shape (10, n), or of a lossless file int16 or int32 (24 bits at the
                top) of shape (n, 10): the channels of the song, drums, bass, other and vocals.
        """
        rows = samples if self._planar else np.ascontiguousarray(samples.T)
        blocks = np.split(rows, len(self._streams))
        if not self._planar:
            blocks[3] = closed(blocks, self._step)
        self._samples += rows.shape[1]
        self._encode(blocks)

    def finish(self) -> None:
        """Ends the sounds and writes the tables. The file stays open."""
        self._encode([None] * len(self._streams))
        self._file.finish(self._samples, self._streams[0].priming, self._boxes)

    def _encode(self, blocks: list[Any]) -> None:
        with ThreadPoolExecutor(len(blocks), thread_name_prefix="octet-encode-stem") as threads:
            coded = list(threads.map(_Stream.encode, self._streams, blocks))
        for stream, packets in zip(self._streams, coded, strict=True):
            self._file.add(stream.sound, packets)


class _Stream:
    """The encoder of one sound.

    Attributes:
        sound: what the file says of it.
        priming: samples that the encoder put before it, once there was a packet.
    """

    def __init__(self, name: str, encoding: Encoding, rate: int) -> None:
        codec = "alac" if encoding.lossless else "aac"
        self._kind = sample_kind(encoding).removesuffix("p") + "p"
        context = cast("AudioCodecContext", av.CodecContext.create(codec, "w"))
        context.sample_rate, context.time_base = rate, Fraction(1, rate)
        context.layout, context.format, context.thread_count = "stereo", self._kind, 1
        bitrate = 1000 * (encoding.kilobits or 0)
        if bitrate:
            context.bit_rate = bitrate
        context.open()
        self._context = context
        self._rate, self._samples, self._begun = rate, 0, False
        self.priming = 0
        bits = encoding.bits or 16
        setup, packet = bytes(context.extradata or b""), context.frame_size
        self.sound = Sound(name, codec, setup, packet, bits, bitrate)

    def encode(self, block: np.ndarray | None) -> list[bytes]:
        """The packets that are ready, of samples of shape (2, n); of None, all that are left."""
        frame = None
        if block is not None:
            frame = av.AudioFrame.from_ndarray(block, format=self._kind, layout="stereo")
            frame.rate, frame.pts = self._rate, self._samples
            frame.time_base = Fraction(1, self._rate)
            self._samples += frame.samples
        packets = self._context.encode(frame)
        if packets and not self._begun:
            self._begun, self.priming = True, max(0, -(packets[0].pts or 0))
        return [bytes(packet) for packet in packets]


def closed(blocks: list[np.ndarray], step: int) -> np.ndarray:
    """`other`, so that the four stems sum to the song as far as rounding is what parts them.

    Args:
        blocks: song, drums, bass, other and vocals, integers of shape (2, n).
        step: the least difference between two of them.
    """
    song, drums, bass, other, vocals = (block.astype(np.int64) for block in blocks)
    rest = song - drums - bass - vocals
    rounding = np.abs(rest - other) <= _MOST_ROUNDING * step
    limits = np.iinfo(blocks[3].dtype)
    fitted = np.clip(np.where(rounding, rest, other), limits.min, limits.max - step + 1)
    return fitted.astype(blocks[3].dtype)


def _description() -> bytes:
    stems = [{"name": name.title(), "color": _COLOURS[name]} for name in IN_STEM_FILE[1:]]
    return json.dumps({"mastering_dsp": _MASTERING, "version": 1, "stems": stems}).encode()
