"""Small pictures for the tests, made by FFmpeg."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np


def jpeg(width: int, height: int) -> bytes:
    """The bytes of a JPEG of noise."""
    return _picture("mjpeg", "yuvj420p", width, height)


def png(width: int, height: int) -> bytes:
    """The bytes of a PNG of noise."""
    return _picture("png", "rgb24", width, height)


def _picture(codec: str, kind: str, width: int, height: int) -> bytes:
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = width, height, kind
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    frame: Any = av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format=kind)
    context.time_base = frame.time_base = Fraction(1, 25)
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
