"""LAME, the MP3 encoder, through the library that the package lameenc carries.

At equal settings it is more than four times as fast as the one inside PyAV's wheels. lameenc's
own interface cannot set the gain, so LAME's C interface (lame.h) is called in its extension
module, which exports it.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING, Any

import lameenc  # type: ignore[import-not-found]  # the package ships no types

if TYPE_CHECKING:
    import numpy as np

DELAY = 576
"""Samples of silence that LAME puts before the song. A decoder adds 529 of its own."""

_STEREO = 0
_JOINT_UP_TO = 128
"""Kilobits a second up to which left and right share their bits."""


class Lame:
    """One stream of MP3 frames at a constant bit rate, at exactly the level of its input.

    Args:
        rate: one of MP3's sample rates in Hz.
        bitrate: one of its bit rates at this sample rate, in kilobits a second.
        quality: effort, 0 (slowest) to 9 (fastest).
    """

    _encoder = ctypes.c_void_p()  # none: Ctrl-C may come before there is one to free

    def __init__(self, rate: int, bitrate: int, quality: int) -> None:
        self._library = _library()
        # LAME turns its input down, the more the lower the bit rate. It tells by how much once it
        # is set up, so a first encoder is set up for the figure alone.
        self._encoder = self._set_up(rate, bitrate, quality, 1.0)
        own_gain = self._library.lame_get_scale(self._encoder)
        self.close()
        self._encoder = self._set_up(rate, bitrate, quality, 1.0 / own_gain)

    def _set_up(self, rate: int, bitrate: int, quality: int, gain: float) -> ctypes.c_void_p:
        lame = self._library
        encoder = ctypes.c_void_p(lame.lame_init())
        for setter, value in (
            (lame.lame_set_num_channels, 2),
            (lame.lame_set_in_samplerate, rate),
            (lame.lame_set_out_samplerate, rate),
            (lame.lame_set_brate, bitrate),
            (lame.lame_set_quality, quality),
            (lame.lame_set_bWriteVbrTag, 0),  # Mp3File writes the Info header
        ):
            if setter(encoder, value) < 0:
                raise RuntimeError(f"LAME does not take {bitrate} kb/s at {rate} Hz")
        for silenced in (lame.lame_set_errorf, lame.lame_set_debugf, lame.lame_set_msgf):
            silenced(encoder, None)
        if bitrate > _JOINT_UP_TO:
            lame.lame_set_mode(encoder, _STEREO)
        lame.lame_set_scale(encoder, gain)
        if lame.lame_init_params(encoder) < 0:
            raise RuntimeError(f"LAME does not take {bitrate} kb/s at {rate} Hz")
        return encoder

    def encode(self, samples: np.ndarray) -> bytes:
        """Frames that are ready.

        Args:
            samples: int16 of shape (n, 2), contiguous.
        """
        count = samples.shape[0]
        room = ctypes.create_string_buffer(5 * count // 4 + 7200)  # lame.h: the worst case
        size = self._library.lame_encode_buffer_interleaved(
            self._encoder, samples.ctypes.data_as(ctypes.c_void_p), count, room, len(room)
        )
        return self._taken(room, size)

    def flush(self) -> bytes:
        """The last frames."""
        room = ctypes.create_string_buffer(7200)
        return self._taken(room, self._library.lame_encode_flush(self._encoder, room, len(room)))

    def close(self) -> None:
        """Frees the encoder; again does no harm."""
        if self._encoder:
            self._library.lame_close(self._encoder)
            self._encoder = ctypes.c_void_p()

    def __del__(self) -> None:
        self.close()

    @staticmethod
    def _taken(room: ctypes.Array[ctypes.c_char], size: int) -> bytes:
        if size < 0:
            raise RuntimeError(f"LAME failed with code {size}")
        return room.raw[:size]


@cache
def _library() -> Any:
    library: Any = ctypes.CDLL(lameenc.__file__)
    library.lame_init.restype = ctypes.c_void_p
    library.lame_get_scale.restype = ctypes.c_float
    library.lame_set_scale.argtypes = [ctypes.c_void_p, ctypes.c_float]
    return library
