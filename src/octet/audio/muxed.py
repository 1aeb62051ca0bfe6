"""FLAC, WAV, Opus and M4A: FFmpeg's encoders and containers, through PyAV."""

from __future__ import annotations

import base64
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av

from octet.audio.song import cover_size, picture_block

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from av.audio.stream import AudioStream

    from octet.audio.files import OutputFile
    from octet.audio.song import Cover
    from octet.formats import Encoding

_PCM = {16: "pcm_s16le", 24: "pcm_s24le", 32: "pcm_f32le"}
_BUFFER = 1 << 18


class MuxedFile:
    """A file of FFmpeg's in the making.

    Args:
        file: empty, open for writing, seekable.
        encoding: its format; `bits` are given if it is lossless.
        rate: samples a second, one that the format can hold.
        tags: as `octet.audio.song` cleans them.
        cover: picture to carry, where the format has room for one.
    """

    def __init__(
        self,
        file: OutputFile,
        encoding: Encoding,
        rate: int,
        tags: Mapping[str, str],
        cover: Cover | None,
    ) -> None:
        self._container = av.open(
            file,
            "w",
            format={"m4a": "mp4"}.get(encoding.name, encoding.name),
            container_options=_container_options(encoding, rate),
            buffer_size=_BUFFER,
        )
        self._rate = rate
        self._kind = sample_kind(encoding)
        self._stream = cast("AudioStream", self._container.add_stream(_codec(encoding), rate=rate))
        context = self._stream.codec_context
        context.layout, context.format, context.thread_count = "stereo", self._kind, 1
        if bitrate := encoding.kilobits:
            context.bit_rate = bitrate * 1000
        self._container.metadata.update(tags)
        self._samples = 0
        self._begin(encoding, cover)

    def _begin(self, encoding: Encoding, cover: Cover | None) -> None:
        """Writes the header, and the cover, which comes before all sound."""
        if cover is None or encoding.name == "wav":
            self._container.start_encoding()
        elif encoding.name == "opus":
            block = base64.b64encode(picture_block(cover)).decode("ascii")
            self._container.metadata["METADATA_BLOCK_PICTURE"] = block
            self._container.start_encoding()
        else:
            width, height = cover_size(cover)
            codec = "png" if cover.mime == "image/png" else "mjpeg"
            picture: Any = self._container.add_mux_stream(codec, width=width, height=height)
            picture.disposition = av.stream.Disposition.attached_pic.value
            self._container.start_encoding()
            packet: av.Packet[Any] = av.Packet(cover.data)
            packet.stream, packet.pts, packet.dts = picture, 0, 0
            self._container.mux_one(packet)

    def write(self, samples: np.ndarray) -> None:
        """Takes samples in, contiguous, as `sample_kind` says.

        Args:
            samples: of shape (n, 2), or (2, n) if the kind is planar.
        """
        rows = samples if self._kind.endswith("p") else samples.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(rows, format=self._kind, layout="stereo")
        frame.rate, frame.pts, frame.time_base = self._rate, self._samples, Fraction(1, self._rate)
        self._samples += frame.samples
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Ends the sound and completes the header. The file stays open."""
        self._container.mux(self._stream.encode(None))
        self._container.close()


def sample_kind(encoding: Encoding) -> str:
    """FFmpeg's name of the samples that an encoding takes."""
    if encoding.lossless:
        return {16: "s16", 24: "s32", 32: "flt"}[encoding.bits or 16]
    return "fltp" if encoding.name in ("m4a", "stem") else "flt"


def _codec(encoding: Encoding) -> str:
    if encoding.name == "wav":
        return _PCM[encoding.bits or 16]
    return {"opus": "libopus", "m4a": "aac"}.get(encoding.name, encoding.name)


def _container_options(encoding: Encoding, rate: int) -> dict[str, str]:
    if encoding.name == "wav":
        return {"rf64": "auto"}  # beyond 4 GiB a RIFF header cannot tell the size
    if encoding.name == "m4a":
        # The edit list tells the length in these units, so they must be samples.
        return {"movie_timescale": str(rate), "brand": "M4A "}
    return {}
