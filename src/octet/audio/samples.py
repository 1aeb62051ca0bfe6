"""FFmpeg's frames as blocks of float32 samples, and channels mixed down to two."""

from __future__ import annotations

from functools import cache
from typing import Any

import av
import numpy as np

from octet.errors import DamagedAudioError

_DTYPES: dict[str, str] = {
    "u8": "u1",
    "s16": "<i2",
    "s32": "<i4",
    "s64": "<i8",
    "flt": "<f4",
    "dbl": "<f8",
}

_PLANES = 8
"""Channels from which on PyAV miscounts the planes of a frame."""

_HALF = 0.5**0.5  # -3 dB

# Who goes where, after ITU-R BS.775: (left, right) of each of FFmpeg's channel names.
_LEFT, _RIGHT, _CENTRE = (1.0, 0.0), (0.0, 1.0), (_HALF, _HALF)
_BEHIND_LEFT, _BEHIND_RIGHT, _BEHIND = (_HALF, 0.0), (0.0, _HALF), (0.5, 0.5)
_SILENT = (0.0, 0.0)
_PLACES = {
    **dict.fromkeys(("FL", "FLC", "DL", "WL", "BIL"), _LEFT),
    **dict.fromkeys(("FR", "FRC", "DR", "WR", "BIR"), _RIGHT),
    "FC": _CENTRE,
    **dict.fromkeys(("BL", "SL", "TFL", "TBL", "TSL", "SDL", "SSL", "TTL", "BFL"), _BEHIND_LEFT),
    **dict.fromkeys(("BR", "SR", "TFR", "TBR", "TSR", "SDR", "SSR", "TTR", "BFR"), _BEHIND_RIGHT),
    **dict.fromkeys(("BC", "TC", "TFC", "TBC", "BFC"), _BEHIND),
    **dict.fromkeys(("LFE", "LFE2"), _SILENT),
}

# A file that does not say which channel is which, and has this many: the usual order.
_USUAL = {
    1: ("FC",),
    2: ("FL", "FR"),
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}


def frame_samples(frame: av.AudioFrame, gain: float = 1.0) -> np.ndarray:
    """The samples of a frame at full scale ±1: an integer of b bits divided by 2^(b-1).

    Exact up to 24 bits and for float32; more is rounded to float32. Then multiplied by `gain`.

    Returns:
        float32 of shape (channels, n).

    Raises:
        DamagedAudioError: samples of a kind that no song has.
    """
    samples = _samples(frame)
    return samples if gain == 1.0 else samples * np.float32(gain)


def _samples(frame: av.AudioFrame) -> np.ndarray:
    kind = frame.format.name.removesuffix("p")
    if kind not in _DTYPES:
        raise DamagedAudioError(f"the song has samples of the unknown kind {kind}")
    dtype, channels = np.dtype(_DTYPES[kind]), frame.layout.nb_channels
    if frame.format.is_planar and channels < _PLANES:
        planes = [_plane(plane, dtype, frame.samples) for plane in frame.planes]
        return _full_scale(np.stack(planes))
    frames = _interleaved(frame) if frame.format.is_planar else [frame]
    packed = [_plane(one.planes[0], dtype, one.samples * channels) for one in frames]
    samples = np.concatenate(packed).reshape(frame.samples, channels).T
    return _full_scale(samples)


def _interleaved(frame: av.AudioFrame) -> list[av.AudioFrame]:
    resampler = av.AudioResampler(format=frame.format.packed.name)
    return [*resampler.resample(frame), *resampler.resample(None)]


def _plane(plane: Any, dtype: np.dtype[Any], count: int) -> np.ndarray:
    # PyAV's types do not tell that its planes are buffers.
    return np.frombuffer(plane, dtype, count)


def _full_scale(samples: np.ndarray) -> np.ndarray:
    kind, size = samples.dtype.kind, samples.dtype.itemsize
    if kind == "f":
        # A double beyond float32 becomes infinite, and is refused as such.
        with np.errstate(over="ignore"):
            return samples.astype(np.float32)
    if kind == "u":
        return (samples.astype(np.float32) - np.float32(128)) / np.float32(128)
    return samples.astype(np.float32) * np.float32(2.0 ** (1 - 8 * size))


def two_channels(samples: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Mixes any number of channels down to two.

    One is doubled, two stay as they are. More are mixed by the layout's rules: sides and backs
    at -3 dB, the centre at -3 dB on both sides, without the low-frequency channel (ITU-R
    BS.775, FFmpeg's default), scaled so that full scale cannot be exceeded. When the names do
    not tell, the usual order of that many channels is assumed; beyond eight, channels are
    taken as pairs of left and right, averaged, with an odd last one on both sides.

    Args:
        samples: float32 of shape (channels, n).
        names: FFmpeg's name of each channel.

    Returns:
        float32 of shape (2, n), contiguous.
    """
    if len(names) == 1:
        return np.repeat(samples, 2, axis=0)
    if len(names) == 2:  # left and right
        return np.ascontiguousarray(samples)
    return np.ascontiguousarray(_matrix(names) @ samples)


@cache
def _matrix(names: tuple[str, ...]) -> np.ndarray:
    """What `two_channels` multiplies by: float32 of shape (2, channels)."""
    if not all(name in _PLACES for name in names):
        names = _USUAL.get(len(names), names)
    places = [_PLACES.get(name, _SILENT) for name in names]
    if not all(name in _PLACES for name in names) or not np.any(places):
        places = [_LEFT, _RIGHT] * (len(names) // 2) + [_CENTRE] * (len(names) % 2)
    matrix = np.array(places, np.float32).T
    return matrix / np.float32(max(1.0, matrix.sum(axis=1).max()))
