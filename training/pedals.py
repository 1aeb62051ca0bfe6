"""What players and producers put behind an instrument: float32 of shape (2, samples) throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training import effects
from training.audiofile import single
from training.settings import RATE

if TYPE_CHECKING:
    from training.audiofile import Audio


def chorus(audio: Audio, rng: np.random.Generator) -> Audio:
    """A copy whose delay wanders by some milliseconds, another way in each channel."""
    at = np.arange(audio.shape[1])
    pace, depth = rng.uniform(0.1, 2.5), rng.uniform(0.5, 4) * RATE / 1000
    level = np.float32(rng.uniform(0.3, 0.9))
    copies = []
    for channel, shift in zip(audio, (0.0, rng.uniform(0.1, 0.5)), strict=True):
        moved = depth * (2 + np.sin(2 * np.pi * (pace * at / RATE + shift)))
        copies.append(np.interp(at - moved, at, channel))
    return single(audio + level * np.stack(copies))


def tremolo(audio: Audio, rng: np.random.Generator, beat: float) -> Audio:
    """The level goes up and down, smoothly or as a gate, two to eight times a beat."""
    times = np.arange(audio.shape[1]) / RATE
    wave = np.sin(2 * np.pi * float(rng.choice([1, 2, 3, 4])) * times / beat)
    edge = float(rng.choice([1.0, 1.0, 8.0]))
    depth = rng.uniform(0.3, 1.0)
    return single(audio * (1 - depth * (0.5 - 0.5 * np.tanh(edge * wave) / np.tanh(edge))))


def filter_sweep(audio: Audio, rng: np.random.Generator, beat: float) -> Audio:
    """A resonant low-pass filter that moves: a wah at beats' pace, or a rise over many bars."""
    times = np.arange(audio.shape[1]) / RATE
    period = beat * float(rng.choice([0.5, 1, 2, 16, 32, 64]))
    middle, span = rng.uniform(8.5, 11.5), rng.uniform(0.5, 2.5)
    octaves = middle + span * np.sin(2 * np.pi * (times / period + rng.random()))
    return effects.swept(audio, 2**octaves, rng.uniform(0.7, 5))


def pump(audio: Audio, rng: np.random.Generator, beat: float) -> Audio:
    """Ducks on every beat, as by a compressor that listens to the kick."""
    since = (np.arange(audio.shape[1]) / RATE) % beat
    depth, back = rng.uniform(0.4, 0.95), rng.uniform(0.06, 0.2)
    return single(audio * (1 - depth * np.exp(-since / back)))


def grains(audio: Audio, rng: np.random.Generator, beat: float) -> Audio:
    """Granular: short pieces of what was just played, some of them backwards or an octave off."""
    span = min(int(beat * RATE * float(rng.choice([0.125, 0.25, 0.5]))), audio.shape[1] // 4)
    if span < 64:
        return audio
    window = np.sin(np.pi * (np.arange(span) + 0.5) / span).astype(np.float32) ** 2
    odd, back = rng.uniform(0.1, 0.6), rng.uniform(0.1, 0.6)
    out = np.zeros_like(audio)
    for start in range(0, audio.shape[1] - 2 * span, span // 2):
        begin = int(rng.integers(max(start - 6 * span, 0), start + 1))
        step = float(rng.choice([0.5, 2.0])) if rng.random() < odd else 1.0
        piece = audio[:, (begin + np.arange(span) * step).astype(int)]
        if rng.random() < back:
            piece = piece[:, ::-1]
        out[:, start : start + span] += piece * window
    dry = np.float32(rng.uniform(0, 1))
    return effects.reverberate(single(dry * audio + out), rng, rng.uniform(1, 4), 0.5)


def board(audio: Audio, rng: np.random.Generator, beat: float) -> Audio:
    """None to a few of these, drawn at random; `beat` in seconds."""
    if rng.random() < 0.35:
        audio = chorus(audio, rng)
    for chance, pedal in ((0.12, tremolo), (0.2, filter_sweep), (0.12, grains), (0.15, pump)):
        if rng.random() < chance:
            audio = pedal(audio, rng, beat)
    return audio


def behind_voice(audio: Audio, rng: np.random.Generator, beat: float) -> Audio:
    """A chorus now and then, grains seldom; `beat` in seconds."""
    if rng.random() >= 0.25:
        return audio
    return grains(audio, rng, beat) if rng.random() < 0.3 else chorus(audio, rng)
