"""Sung words: lines spoken by espeak-ng, and recorded phrases, sung through WORLD.

WORLD (Morise et al. 2016) takes a voice apart into pitch, spectral envelope and noise; put
together with a melody's pitch and times, speech becomes song.
"""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from training import effects
from training.audiofile import read_audio, single
from training.settings import RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.composer import Note
    from training.synth import Mono

LINES = (
    "over the river and under the rain we are waiting for morning again",
    "hold on to the light in the window tonight",
    "nothing is louder than silence between you and me",
    "walking along with the wind in my hair and nowhere to be",
    "give me a reason to stay a little longer",
    "all of the cities are sleeping and we are alive",
    "turn the wheel slowly and open your eyes",
    "low moon rising over the harbour lights",
    "I never wanted to know how it ends",
    "run run run until the road is gone",
    "paper boats and yellow flowers down the stream",
    "you say hello and I say maybe another day",
)
"""Lines to sing, written for this purpose."""

ONSETS = ("", "", "b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w",
          "br", "dr", "fl", "gr", "kl", "pr", "sh", "sl", "st", "tr", "ch")  # fmt: skip
HEARTS = ("a", "e", "i", "o", "u", "ai", "ee", "oo", "ou", "ie")
CODAS = ("", "", "", "l", "m", "n", "r", "s", "t", "ng", "nd", "st")


def nonsense(rng: np.random.Generator, words: int = 10) -> str:
    """Words that mean nothing, for more sounds than LINES have."""

    def word() -> str:
        count = int(rng.integers(1, 4))
        return "".join(
            str(rng.choice(part)) for _ in range(count) for part in (ONSETS, HEARTS, CODAS)
        )

    return " ".join(word() for _ in range(words))


VOICES = ("en-us", "en-gb", "en-gb-scotland", "de", "fr-fr", "es", "it", "pt-br", "sv", "nl", "pl")
VARIANTS = ("", "+f1", "+f2", "+f3", "+f4", "+f5", "+m1", "+m3", "+m4", "+m5", "+m7")

FRAME = 5.0
"""Milliseconds between WORLD's frames."""

Frames = npt.NDArray[np.float64]


@lru_cache(maxsize=1)
def _world() -> Any:
    """The WORLD package, loaded at its first use; its own import warns of setuptools' plans."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyworld
    return pyworld


@dataclass(frozen=True)
class Phrase:
    """A voice taken apart: pitch in Hz, envelope and aperiodicity, a row a frame."""

    pitch: Frames
    envelope: Frames
    noise: Frames


def analyse(mono: Mono) -> Phrase:
    """Takes a voice apart at half the rate: what lies above 11 kHz is breath and is lost."""
    half = effects.change_speed(mono[None], 2.0)[0].astype(np.float64)
    rate = RATE // 2
    world = _world()
    pitch, times = world.dio(half, rate, frame_period=FRAME)
    pitch = world.stonemask(half, pitch, times, rate)
    return Phrase(
        pitch, world.cheaptrick(half, pitch, times, rate), world.d4c(half, pitch, times, rate)
    )


def speak(line: str, voice: str, speed: int) -> Mono:
    """A line spoken by espeak-ng, float32 of shape (samples,)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.wav"
        subprocess.run(
            ["espeak-ng", "-v", voice, "-s", str(speed), "-w", str(path), line],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        return single(read_audio(path)[0])


class Choir:
    """Phrases to sing with, made once.

    Args:
        rng: draws lines and voices.
        spoken: how many phrases espeak-ng speaks.
        recordings: further voices, float32 of shape (samples,).
    """

    def __init__(
        self, rng: np.random.Generator, spoken: int, recordings: Sequence[Mono] = ()
    ) -> None:
        voices = list(recordings)
        for _ in range(spoken):
            voice = str(rng.choice(VOICES)) + str(rng.choice(VARIANTS))
            line = str(rng.choice(LINES)) if rng.random() < 0.4 else nonsense(rng)
            voices.append(speak(line, voice, int(rng.integers(110, 170))))
        self.phrases = [analyse(v) for v in voices]

    def sing(self, notes: Sequence[Note], count: int, rng: np.random.Generator) -> Mono:
        """Sings notes with the sounds of one voice.

        The phrase is stretched over a group of notes; the pitch follows the notes, with
        glides and vibrato; the envelope may be moved for a larger or smaller singer.
        """
        phrase = self.phrases[int(rng.integers(len(self.phrases)))]
        size = float(rng.uniform(0.85, 1.2))
        vibrato = float(rng.uniform(0, 0.5))
        out = np.zeros(count, np.float32)
        for group in groups(notes):
            sound = self._line(phrase, group, size, vibrato, rng)
            start = int(group[0].start * RATE)
            n = min(len(sound), count - start)
            if n > 0:
                out[start : start + n] += sound[:n]
        return out

    def _line(
        self, phrase: Phrase, notes: Sequence[Note], size: float, vibrato: float,
        rng: np.random.Generator,
    ) -> Mono:  # fmt: skip
        first = notes[0].start
        frames = int((notes[-1].start + notes[-1].length - first) * 1000 / FRAME) + 1
        steps = np.full(frames, float(notes[0].pitch))
        for note in notes:
            steps[int((note.start - first) * 1000 / FRAME) :] = note.pitch
        glide = np.hanning(14)[1:-1]
        steps = np.convolve(np.pad(steps, 6, mode="edge"), glide / glide.sum(), "same")[6:-6]
        times = np.arange(frames) * FRAME / 1000
        steps = steps + vibrato * np.sin(2 * np.pi * 5.5 * times)
        speed = float(np.clip(len(phrase.pitch) / frames, 0.35, 1.4))
        begin = int(rng.integers(max(len(phrase.pitch) - int(frames * speed), 1)))
        where = (begin + np.arange(frames) * speed).astype(int) % len(phrase.pitch)
        voiced = phrase.pitch[where] > 0
        pitch = np.where(voiced, 440 * 2 ** ((steps - 69) / 12), 0.0)
        bins = phrase.envelope.shape[1]
        moved = np.minimum((np.arange(bins) * size).astype(int), bins - 1)
        envelope = np.ascontiguousarray(phrase.envelope[where][:, moved])
        noise = np.ascontiguousarray(phrase.noise[where])
        sound = _world().synthesize(pitch, envelope, noise, RATE // 2, FRAME)
        return brightened(single(effects.change_speed(single(sound)[None], 0.5)[0]), rng)


def brightened(voice: Mono, rng: np.random.Generator) -> Mono:
    """Puts treble above 9 kHz, where WORLD at half the rate left none: an exciter's overtones."""
    rectified = np.abs(effects.high_pass(voice[None], 4500))
    return single(voice + rng.uniform(0.2, 1.2) * effects.high_pass(rectified, 9000, 4)[0])


def groups(notes: Sequence[Note]) -> list[list[Note]]:
    """Notes in breaths: a rest of a quarter second, or six seconds, begins a new one."""
    found: list[list[Note]] = []
    for note in notes:
        last = found[-1] if found else None
        fresh = last is None or note.start - (last[-1].start + last[-1].length) > 0.25
        if fresh or (last and note.start - last[0].start > 6):
            found.append([note])
        elif last is not None:
            last.append(note)
    return found
