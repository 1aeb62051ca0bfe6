"""A singer without a recording: a source-filter voice by additive synthesis.

The source is a sum of harmonics that fall off like a glottal pulse's, with vibrato, jitter and
breath; the filter is five formants that glide from sound to sound (values after Peterson and
Barney 1952 and Klatt 1980). A syllable is a consonant (or none) and a vowel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.signal

from training.audiofile import single
from training.settings import RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

Mono = npt.NDArray[np.float32]
Curve = npt.NDArray[np.float64]

CONTROL = 220
"""Samples between two control points: 5 ms."""

VOWELS = {
    "a": (730, 1150, 2500, 3400, 4500), "e": (500, 1800, 2500, 3400, 4500),
    "i": (300, 2250, 2950, 3500, 4600), "o": (480, 880, 2500, 3300, 4400),
    "u": (330, 800, 2300, 3300, 4400), "y": (300, 1700, 2200, 3300, 4400),
}  # fmt: skip
"""The formants' frequencies in Hz, for an adult of average size."""

WIDTHS = np.array([80.0, 100.0, 130.0, 200.0, 260.0])
"""The formants' bandwidths in Hz."""

VOICED = {
    "l": (360, 1000, 2700, 3400, 4500), "m": (260, 1000, 2200, 3300, 4400),
    "n": (270, 1500, 2500, 3300, 4400), "r": (380, 1150, 1550, 3000, 4200),
    "w": (310, 650, 2300, 3300, 4400), "j": (280, 2200, 2900, 3500, 4500),
}  # fmt: skip
"""Consonants that are sung: formants of the closure, through which the voice goes on."""

HISSED = {"s": (5500, 11000, 0.09), "f": (2500, 9000, 0.07), "h": (900, 5000, 0.06),
          "t": (3500, 9000, 0.03), "k": (1500, 4000, 0.04), "d": (2500, 6000, 0.015),
          "b": (400, 1500, 0.012)}  # fmt: skip
"""Consonants of noise: low and high edge in Hz, length in seconds."""


@dataclass(frozen=True)
class Voice:
    """A singer.

    Attributes:
        size: of the vocal tract; the formants are divided by it. 1 is an adult, below smaller.
        tilt: how fast the harmonics fall, dB an octave.
        breath: level of the breath's noise.
        vibrato: its depth in semitones.
        rate: of the vibrato in Hz.
        glide: seconds from note to note.
    """

    size: float = 1.0
    tilt: float = 9.0
    breath: float = 0.03
    vibrato: float = 0.3
    rate: float = 5.6
    glide: float = 0.05


@dataclass(frozen=True)
class Syllable:
    """A sung syllable: start and length in seconds, MIDI pitch, velocity, sounds like `la`."""

    start: float
    length: float
    pitch: float
    velocity: float
    sounds: str


def draw_voice(rng: np.random.Generator) -> Voice:
    """A random singer."""
    return Voice(
        size=float(rng.uniform(0.8, 1.2)), tilt=float(rng.uniform(4, 10)),
        breath=float(rng.uniform(0.003, 0.04)), vibrato=float(rng.uniform(0, 0.6)),
        rate=float(rng.uniform(4.8, 6.5)), glide=float(rng.uniform(0.02, 0.1)),
    )  # fmt: skip


def draw_syllable(rng: np.random.Generator) -> str:
    """A random syllable."""
    onset = str(rng.choice(["", *VOICED, *HISSED]))
    return onset + str(rng.choice(list(VOWELS)))


def sing(
    voice: Voice, syllables: Sequence[Syllable], total: float, rng: np.random.Generator
) -> Mono:
    """Sings a line.

    Args:
        voice: who sings.
        syllables: in order, not overlapping (the later one cuts the earlier).
        total: length of the line in seconds.
        rng: for jitter and breath.

    Returns:
        float32 of shape (samples,), about ±0.5.
    """
    count = int(total * RATE)
    points = count // CONTROL + 2
    pitch, level, formants = _controls(voice, syllables, points, rng)
    out = _harmonics(voice, pitch, level, formants, count)
    hiss = rng.standard_normal(count).astype(np.float32)
    hiss = _shaped(hiss, (1000, 7000)) * np.float32(voice.breath)
    out += hiss * np.interp(np.arange(count) / CONTROL, np.arange(points), level)
    for syllable in syllables:
        _add_hiss(out, syllable, rng)
    return single(out)


def _controls(
    voice: Voice, syllables: Sequence[Syllable], points: int, rng: np.random.Generator
) -> tuple[Curve, Curve, Curve]:
    """Pitch in MIDI numbers, level, and formants in Hz at every control point."""
    every = CONTROL / RATE
    pitch = np.full(points, float(syllables[0].pitch) if syllables else 60.0)
    level = np.zeros(points)
    formants = np.tile(np.array(VOWELS["a"], float), (points, 1))
    for i, syllable in enumerate(syllables):
        first = int(syllable.start / every)
        end = syllable.start + syllable.length
        if i + 1 < len(syllables):
            end = min(end, syllables[i + 1].start)
        last = min(max(int(end / every), first + 4), points)
        n = max(last - first, 0)
        pitch[first:] = syllable.pitch
        ramp = np.minimum(np.arange(n) / 6, 1) * np.minimum(np.arange(n, 0, -1) / 10, 1)
        level[first:last] = ramp * (0.45 + 0.55 * syllable.velocity)
        formants[first:] = VOWELS[syllable.sounds[-1]]
        onset = syllable.sounds[0]
        closure = slice(first, min(first + 12, points))
        if onset in VOICED:
            formants[closure] = VOICED[onset]
            level[closure] *= 0.45
        elif onset in HISSED:
            level[first : first + int(HISSED[onset][2] / every)] *= 0.05
        t = np.arange(n) * every
        pitch[first:last] += (
            voice.vibrato * np.clip((t - 0.25) / 0.3, 0, 1) * np.sin(2 * np.pi * voice.rate * t)
        )
    drift = scipy.signal.lfilter([0.02], [1, -0.98], rng.standard_normal(points)) * 0.5
    pitch = _smooth(pitch, voice.glide / every) + 0.12 * drift
    return pitch, _smooth(level, 3), _smooth(formants, 7) / voice.size


def _smooth(curve: Curve, width: float) -> Curve:
    n = max(int(width), 1)
    window = np.hanning(n + 2)[1:-1]
    padded = np.pad(curve, [(n // 2, n - 1 - n // 2)] + [(0, 0)] * (curve.ndim - 1), mode="edge")
    shape = (-1,) + (1,) * (curve.ndim - 1)
    smooth: Curve = scipy.signal.convolve(padded, (window / window.sum()).reshape(shape), "valid")
    return smooth


def _harmonics(voice: Voice, pitch: Curve, level: Curve, formants: Curve, count: int) -> Mono:
    """The voiced sound: harmonics of the pitch, each as loud as tilt and formants make it."""
    where = np.arange(count) / CONTROL
    grid = np.arange(len(pitch))
    hertz = 440.0 * 2 ** ((pitch - 69) / 12)
    phase = 2 * np.pi * np.cumsum(np.interp(where, grid, hertz)) / RATE
    out = np.zeros(count, np.float32)
    lowest = float(hertz.min())
    for number in range(1, min(int(9000 / lowest), 70) + 1):
        at = hertz * number
        loudness = level * _filter(at, formants) * number ** (-voice.tilt / 6.02)
        loudness = np.where(at < 10000, loudness, 0.0)
        out += (np.sin(number * phase) * np.interp(where, grid, loudness)).astype(np.float32)
    return out * np.float32(0.22)


def _filter(hertz: Curve, formants: Curve) -> Curve:
    """The formants' gain at one frequency a control point: resonances in parallel."""
    gain = np.zeros_like(hertz)
    for i, width in enumerate(WIDTHS):
        centre = formants[:, i]
        strength = (1.0, 0.75, 0.45, 0.35, 0.2)[i]
        gain += strength / np.sqrt(1 + ((hertz - centre) / width) ** 2)
    return gain + 0.06


def _shaped(noise: Mono, edges: tuple[float, float]) -> Mono:
    sections = scipy.signal.butter(2, edges, "bandpass", fs=RATE, output="sos")
    return single(scipy.signal.sosfilt(sections, noise))


def _add_hiss(out: Mono, syllable: Syllable, rng: np.random.Generator) -> None:
    """Adds the noise of a hissed or stopped consonant in place."""
    if syllable.sounds[0] not in HISSED:
        return
    low, high, seconds = HISSED[syllable.sounds[0]]
    start, n = int(syllable.start * RATE), int(seconds * RATE)
    n = min(n, len(out) - start)
    if n > 8:
        shape = np.hanning(n) if seconds > 0.05 else np.exp(-np.arange(n) / (n / 3))
        burst = _shaped(rng.standard_normal(n).astype(np.float32), (low, high)) * shape
        out[start : start + n] += (0.12 * syllable.velocity * burst).astype(np.float32)
