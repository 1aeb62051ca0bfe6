"""Synthesised instruments: drums, basses, pads, leads, plucks, by this project's own DSP.

A `Patch` is a set of numbers drawn once for a part; the functions turn notes into mono audio,
float32 of shape (samples,).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.signal

from training import effects
from training.audiofile import single
from training.settings import RATE

if TYPE_CHECKING:
    from collections.abc import Callable

Mono = npt.NDArray[np.float32]


def frequency(pitch: float) -> float:
    """The frequency of a MIDI pitch in Hz."""
    return float(440.0 * 2 ** ((pitch - 69) / 12))


def envelope(count: int, attack: float, decay: float, sustain: float, release: int) -> Mono:
    """Linear attack, exponential decay to `sustain`, linear release over the last samples."""
    t = np.arange(count) / RATE
    shape = sustain + (1 - sustain) * np.exp(-np.maximum(t - attack, 0) / max(decay, 1e-3))
    shape *= np.minimum(t / max(attack, 1e-3), 1)
    release = min(release, count)
    shape[count - release :] *= np.linspace(1, 0, release)
    return single(shape)


def saw(phase: npt.NDArray[np.float64], step: npt.NDArray[np.float64] | float) -> Mono:
    """A sawtooth from a phase in cycles, its jump smoothed (PolyBLEP, Valimaki 2007)."""
    t = phase % 1.0
    out = 2 * t - 1
    dt = np.broadcast_to(np.asarray(step), t.shape)
    low, high = t < dt, t > 1 - dt
    x = t[low] / dt[low]
    out[low] -= x + x - x * x - 1
    x = (t[high] - 1) / dt[high]
    out[high] -= x * x + x + x + 1
    return single(out)


@dataclass(frozen=True)
class Patch:
    """A subtractive or FM voice.

    Attributes:
        wave: saw, square, pulse (its width moves), ring, fm, sine or pluck.
        voices: detuned oscillators side by side.
        detune: their spread in semitones.
        cutoff: of the low-pass filter, in multiples of the note's frequency.
        sweep: how far the filter opens at the attack, in the same unit.
        attack, decay, sustain, release: the envelope, seconds and level.
        index, ratio: of the FM or ring modulator.
        vibrato: its depth in semitones.
        drive: saturation after the filter, 0 for none.
        resonance: of the filter, Q.
        wobble, pace: how far the filter moves up and down in octaves, and how often a second.
        sub, hiss: levels of a sine an octave below and of noise beside the oscillators.
        glide: seconds from one note's pitch to the next one's.
        punch: semitones by which a note's pitch falls at its beginning.
        fall: seconds in which it has fallen by two thirds of them.
    """

    wave: str
    voices: int
    detune: float
    cutoff: float
    sweep: float
    attack: float
    decay: float
    sustain: float
    release: float
    index: float
    ratio: float
    vibrato: float
    drive: float
    resonance: float = 0.71
    wobble: float = 0.0
    pace: float = 1.0
    sub: float = 0.0
    hiss: float = 0.0
    glide: float = 0.0
    punch: float = 0.0
    fall: float = 0.025


def draw_patch(rng: np.random.Generator, role: str) -> Patch:
    """A random voice that suits a role: bass, boom, pad, lead, chords or arpeggio."""
    if role == "boom" or (role == "bass" and rng.random() < 0.3):
        return _draw_boom(rng)
    slow = role == "pad"
    waves = {
        "bass": ["saw", "square", "pulse", "fm", "sine"],
        "pad": ["saw", "saw", "pulse", "fm", "ring"],
    }
    usual = ["saw", "saw", "square", "pulse", "fm", "pluck", "sine", "ring"]
    chance = rng.random
    short = role in ("arpeggio", "chords")
    return Patch(
        wave=str(rng.choice(waves.get(role, usual))),
        voices=int(rng.integers(1, 3 if role == "bass" else 7)),
        detune=float(rng.uniform(0.03, 0.2)),
        cutoff=float(rng.uniform(1.5, 8.0)),
        sweep=float(rng.uniform(0, 12.0)),
        resonance=float(rng.uniform(1, 6) if chance() < 0.5 else 0.71),
        wobble=float(rng.uniform(0.2, 1.5) * (chance() < 0.3)),
        pace=float(rng.choice([0.1, 0.3, 1, 2, 4, 6])),
        attack=float(rng.uniform(0.1, 0.5) if slow else rng.uniform(0.001, 0.02)),
        decay=float(rng.uniform(0.1, 0.3) if short else rng.uniform(0.2, 1.5)),
        sustain=float(rng.uniform(0, 0.3) if short else rng.uniform(0.3, 0.9)),
        release=float(rng.uniform(0.3, 0.8) if slow else rng.uniform(0.03, 0.2)),
        index=float(rng.uniform(0.5, 5.0)),
        ratio=float(rng.choice([0.5, 1, 1, 2, 3, 3.5, 7])),
        sub=float(rng.uniform(0.2, 1) * (chance() < 0.25)),
        hiss=float(rng.uniform(0.01, 0.15) * (chance() < 0.25)),
        glide=float(rng.uniform(0.02, 0.25) * (role in ("lead", "bass") and chance() < 0.4)),
        vibrato=float(rng.uniform(0, 0.5)) if role == "lead" else 0.0,
        drive=float(rng.uniform(0, 3) * (chance() < 0.4)),
    )


def _draw_boom(rng: np.random.Generator) -> Patch:
    """A bass that is struck like a drum: a sine or a dark sawtooth whose pitch falls at first.

    Every other one stays as loud as it began until it is cut off, which no drum does.
    """
    stays = rng.random() < 0.5
    return Patch(
        wave=str(rng.choice(["sine", "sine", "saw", "fm"])), voices=1, detune=0.0,
        cutoff=float(rng.uniform(1.5, 4)), sweep=float(rng.uniform(0, 6)),
        attack=float(rng.uniform(0.001, 0.01)), decay=float(rng.uniform(0.2, 1.2)),
        sustain=float(rng.uniform(0.6, 1) if stays else rng.uniform(0, 0.4)),
        release=float(rng.uniform(0.05, 0.4)),
        index=float(rng.uniform(0.3, 2)), ratio=1.0, vibrato=0.0,
        drive=float(rng.uniform(0, 4) * (rng.random() < 0.5)),
        glide=float(rng.uniform(0.03, 0.15) * (rng.random() < 0.3)),
        punch=float(rng.uniform(2, 24) * (rng.random() < 0.7)),
        fall=float(rng.uniform(0.015, 0.08)),
    )  # fmt: skip


def play(
    patch: Patch,
    pitch: float,
    length: float,
    velocity: float,
    rng: np.random.Generator,
    before: float | None = None,
) -> Mono:
    """One note of a patch; `before` is the pitch that it glides from, if it does."""
    count = int((length + patch.release) * RATE)
    t = np.arange(count) / RATE
    hertz = frequency(pitch)
    if patch.wave == "pluck":
        tone = plucked(hertz, count, rng, bright=min(patch.cutoff / 8, 0.95))
    else:
        wobble = patch.vibrato * np.sin(2 * np.pi * 5.3 * t) * np.minimum(t / 0.4, 1)
        if patch.glide and before is not None:
            wobble = wobble + (before - pitch) * np.exp(-t / patch.glide)
        wobble = wobble + patch.punch * np.exp(-t / patch.fall)
        tone = np.zeros(count, np.float32)
        for spread in np.linspace(-1, 1, patch.voices) if patch.voices > 1 else (0.0,):
            step = hertz * 2 ** ((wobble + patch.detune * spread) / 12) / RATE
            tone += oscillate(patch, np.cumsum(step) + rng.random(), step, t)
        tone /= np.float32(patch.voices**0.5)
        if patch.sub:
            below = np.sin(np.pi * np.cumsum(hertz * 2 ** (wobble / 12)) / RATE)
            tone += np.float32(patch.sub) * single(below)
        if patch.hiss:
            tone += np.float32(patch.hiss) * rng.standard_normal(count, np.float32)
        tone = filtered(patch, tone, hertz, t)
    level = 0.4 + 0.6 * velocity
    tone = tone * envelope(
        count, patch.attack, patch.decay, patch.sustain, int(patch.release * RATE)
    )
    if patch.drive:
        tone = np.tanh(tone * (1 + patch.drive)) / np.float32(1 + 0.5 * patch.drive)
    return single(tone * level)


def oscillate(
    patch: Patch,
    phase: npt.NDArray[np.float64],
    step: npt.NDArray[np.float64],
    t: npt.NDArray[np.float64],
) -> Mono:
    """One oscillator over a phase in cycles."""
    if patch.wave == "saw":
        return saw(phase, step)
    if patch.wave == "square":
        return single(saw(phase, step) - saw(phase + 0.37, step))
    if patch.wave == "pulse":
        width = 0.5 + 0.4 * np.sin(2 * np.pi * (0.3 + patch.pace / 10) * t + patch.index)
        return single(saw(phase, step) - saw(phase + width, step))
    angle = 2 * np.pi * phase
    if patch.wave == "ring":
        return single(np.sin(angle) * (0.3 + np.sin(patch.ratio * angle + patch.index)))
    if patch.wave == "fm":
        index = patch.index * np.exp(-t / (patch.decay + 0.1))
        return single(np.sin(angle + index * np.sin(patch.ratio * angle)))
    return single(np.sin(angle) + 0.2 * np.sin(2 * angle))


def filtered(patch: Patch, tone: Mono, hertz: float, t: npt.NDArray[np.float64]) -> Mono:
    """The low-pass filter: opened by the attack, moved up and down by `wobble`."""
    opening = patch.sweep * np.exp(-t / (0.5 * patch.decay + 0.03))
    moving = 2 ** (patch.wobble * np.sin(2 * np.pi * patch.pace * t))
    cutoff = np.clip(hertz * (patch.cutoff + opening) * moving, 120.0, 16000.0)
    return effects.swept(tone, cutoff, patch.resonance)


def plucked(hertz: float, count: int, rng: np.random.Generator, *, bright: float) -> Mono:
    """A plucked string (Karplus and Strong 1983), as one filter: a burst of noise in a loop."""
    period = max(int(RATE / hertz), 2)
    burst = np.zeros(count)
    burst[:period] = rng.uniform(-1, 1, period)[:count]
    loss = 0.5 ** (period / RATE / 0.7)
    loop = np.zeros(period + 2)
    loop[0] = 1.0
    loop[period], loop[period + 1] = -loss * (0.5 + bright / 2), -loss * (0.5 - bright / 2)
    return single(scipy.signal.lfilter([1.0], loop, burst))


@dataclass(frozen=True)
class Kit:
    """The tuning of a synthesised drum kit."""

    kick: float
    drop: float
    boom: float
    click: float
    snare: float
    snap: float
    tom: float
    metal: float
    ring: float


def draw_kit(rng: np.random.Generator) -> Kit:
    """A random kit, from a dry acoustic one to a booming machine."""
    return Kit(
        kick=float(rng.uniform(38, 62)), drop=float(rng.uniform(2, 8)),
        boom=float(rng.uniform(0.08, 0.5)), click=float(rng.uniform(0, 0.6)),
        snare=float(rng.uniform(150, 250)), snap=float(rng.uniform(0.06, 0.25)),
        tom=float(rng.uniform(80, 160)), metal=float(rng.uniform(4000, 9000)),
        ring=float(rng.uniform(0.03, 0.09)),
    )  # fmt: skip


def strike(kit: Kit, piece: str, velocity: float, rng: np.random.Generator) -> Mono:
    """One stroke on a piece of the kit; what the kit lacks sounds like its nearest kin."""
    drums: dict[str, Callable[[], Mono]] = {
        "kick": lambda: _skin(kit.kick, kit.drop, kit.boom, kit.click, rng),
        "tom": lambda: _skin(kit.tom * float(rng.choice([1, 0.8, 1.3])), 1.6, 0.25, 0.2, rng),
        "snare": lambda: (
            0.6 * _skin(kit.snare, 1.5, 0.1, 0.3, rng, count=int(0.4 * RATE))
            + _noise(1200, 9000, kit.snap, int(0.4 * RATE), rng)
        ),
        "clap": lambda: _clap(kit, rng),
        "rim": lambda: _noise(1500, 4000, 0.015, int(0.1 * RATE), rng),
        "hat": lambda: _noise(kit.metal, 16000, kit.ring, int(0.3 * RATE), rng) * np.float32(0.5),
        "shaker": lambda: _noise(5000, 12000, 0.04, int(0.2 * RATE), rng) * np.float32(0.35),
        "tambourine": lambda: _noise(7000, 15000, 0.08, int(0.3 * RATE), rng) * np.float32(0.4),
        "ride": lambda: _metal(kit, 0.5, rng) * np.float32(0.35),
        "crash": lambda: _metal(kit, 1.1, rng) * np.float32(0.7),
    }
    return drums.get(piece, drums["rim"])() * np.float32(velocity**1.5)


def _skin(
    hertz: float, drop: float, ring: float, click: float, rng: np.random.Generator, count: int = 0
) -> Mono:
    count = count or int(min(4 * ring + 0.1, 1.5) * RATE)
    t = np.arange(count) / RATE
    pitch = hertz * (1 + drop * np.exp(-t / 0.018))
    body = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.exp(-t / ring)
    tick = rng.standard_normal(count) * np.exp(-t / 0.003) * click
    return single(np.tanh(1.4 * body) + tick)


def _noise(low: float, high: float, ring: float, count: int, rng: np.random.Generator) -> Mono:
    sections = scipy.signal.butter(2, (low, high), "bandpass", fs=RATE, output="sos")
    hiss = scipy.signal.sosfilt(sections, rng.standard_normal(count))
    return single(1.3 * hiss * np.exp(-np.arange(count) / RATE / ring))


def _clap(kit: Kit, rng: np.random.Generator) -> Mono:
    count = int(0.4 * RATE)
    sound = np.zeros(count, np.float32)
    for delay in (0, 0.011, 0.023):
        start = int(delay * RATE)
        sound[start:] += _noise(900, 5000, 0.01, count - start, rng)
    return sound + _noise(900, 4500, kit.snap, count, rng) * np.float32(0.7)


def _metal(kit: Kit, ring: float, rng: np.random.Generator) -> Mono:
    count = int(min(3 * ring, 2.5) * RATE)
    t = np.arange(count) / RATE
    partials = kit.metal * rng.uniform(0.4, 1.6, 14)
    sound = sum(np.sin(2 * np.pi * (f * t + rng.random())) for f in partials if f < 16000) / 14
    shape = np.exp(-t / ring)
    return single(sound * shape + 0.7 * _noise(5000, 15000, ring * 0.7, count, rng))
