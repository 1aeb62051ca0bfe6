"""How long the MP3 encoder alone takes for the tracks of a song: no separator can be faster."""

from __future__ import annotations

import os
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import lameenc  # type: ignore[import-not-found]  # the package ships no types

from octet.audio.mp3 import QUALITY

if TYPE_CHECKING:
    from pathlib import Path

TRACKS = 6
"""Encoded for a song: acapella holds what vocals holds, and full what original does."""


def alone(song: Path) -> list[str]:
    """Encodes one song as often as it has tracks, on all cores.

    Args:
        song: WAV, 44.1 kHz, stereo, 16 bits.
    """
    with wave.open(str(song), "rb") as file:
        seconds = file.getnframes() / file.getframerate()
        samples = file.readframes(file.getnframes())
    start = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_encode, [samples] * TRACKS))
    took = time.perf_counter() - start
    return [
        f"- LAME alone, {TRACKS} tracks of {seconds:.0f} s on all cores, nothing separated: "
        f"{took:.1f} s: {seconds / took:.1f} times real time",
    ]


def _encode(samples: bytes) -> int:
    lame = lameenc.Encoder()
    lame.silence()
    lame.set_channels(2)
    lame.set_in_sample_rate(44100)
    lame.set_bit_rate(320)
    lame.set_quality(QUALITY)
    return len(lame.encode(samples)) + len(lame.flush())
