"""Training examples: clips drawn from the pool, altered, and mixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training import effects
from training.pool import excerpt, length
from training.settings import RATE, STEMS

if TYPE_CHECKING:
    from pathlib import Path

    from training.audiofile import Audio
    from training.pool import Pool
    from training.settings import Mixing

REFERENCE = {"drums": 0.11, "bass": 0.10, "other": 0.08, "vocals": 0.085}
"""The level that a stem of a random mix is brought to before its random gain."""

AUDIBLE = 10 ** (-48 / 20)
"""What is quieter than this is taken for silence when excerpts are drawn."""


class Mixer:
    """Makes examples: the same generator state and pool give the same example.

    Args:
        pool: the clips.
        mixing: the probabilities.
        count: the length of an example in samples.
    """

    def __init__(self, pool: Pool, mixing: Mixing, count: int) -> None:
        self.pool = pool
        self.mixing = mixing
        self.count = count

    def example(self, rng: np.random.Generator) -> tuple[Audio, Audio]:
        """One example.

        Returns:
            The stems, float32 of shape (4, 2, samples) in the order of STEMS, and the mix,
            (2, samples): their sum, unless it was clipped or sent through a codec.
            The mid of the mix has a deviation of about 1.
        """
        stems = np.zeros((len(STEMS), 2, self.count), np.float32)
        drawn = self._song(rng) if rng.random() < self.mixing.together else None
        for i, stem in enumerate(STEMS):
            if drawn is None and rng.random() >= dict(self.mixing.silent)[stem]:
                stems[i] = self._stem(stem, rng)
            elif drawn and stem in drawn and rng.random() >= dict(self.mixing.absent)[stem]:
                stems[i] = self._altered(drawn[stem], rng, self.mixing.gain_db / 2)
        if rng.random() < self.mixing.mono:
            stems[:] = stems.mean(axis=1, keepdims=True)
        return self._levelled(stems, self._distorted(stems.sum(axis=0), rng), rng)

    def _song(self, rng: np.random.Generator) -> dict[str, Audio] | None:
        """The stems of one place in one song, or None where there are no songs."""
        origin = self._origin(list(self.pool.songs), rng, self.mixing.origins)
        if origin is None:
            return None
        songs = self.pool.songs[origin]
        for _ in range(4):
            song = songs[int(rng.integers(len(songs)))]
            total = min(length(path) for path in song.values())
            start = int(rng.integers(max(total - self.count, 1)))
            stems = {stem: excerpt(path, start, self.count) for stem, path in song.items()}
            if sum(effects.loudness(audio) > AUDIBLE for audio in stems.values()) > 1:
                break
        return stems

    def _stem(self, stem: str, rng: np.random.Generator) -> Audio:
        """One stem from anywhere, brought to its usual level."""
        audio = self._clip(stem, rng)
        if rng.random() < self.mixing.layer:
            audio = audio + self._clip(stem, rng) * effects.decibels(rng.normal(-3, 3))
        level = effects.loudness(audio)
        if level > AUDIBLE:
            audio = audio * np.float32(REFERENCE[stem] / level)
        return self._altered(audio, rng, self.mixing.gain_db)

    def _origin(
        self, names: list[str], rng: np.random.Generator, shares: tuple[tuple[str, float], ...]
    ) -> str | None:
        weights = [(name, weight) for name, weight in shares if name in names]
        if not weights:
            return None
        chances = np.array([weight for _, weight in weights])
        return weights[int(rng.choice(len(weights), p=chances / chances.sum()))][0]

    def _clip(self, stem: str, rng: np.random.Generator) -> Audio:
        """An excerpt of a clip, perhaps at another speed, in which something sounds."""
        have = [origin for origin, stems in self.pool.clips.items() if stem in stems]
        shares = self.mixing.voices if stem == "vocals" else self.mixing.origins
        origin = self._origin(have, rng, shares)
        if origin is None:
            return np.zeros((2, self.count), np.float32)
        factor = 1.0
        if rng.random() < self.mixing.speed:
            span = self.mixing.semitones
            factor = float(2 ** (rng.uniform(-span, span) / 12))
        need = int(self.count * factor) + 64
        for _ in range(4):
            audio = self._piece(self.pool.clips[origin][stem], need, rng)
            if effects.loudness(audio) > AUDIBLE:
                break
        if factor != 1.0:
            audio = effects.change_speed(audio, factor)
        return audio[:, : self.count]

    def _piece(self, clips: list[Path], need: int, rng: np.random.Generator) -> Audio:
        path = clips[int(rng.integers(len(clips)))]
        spare = length(path) - need
        start = int(rng.integers(spare)) if spare > 0 else 0
        piece = excerpt(path, start, need)
        return np.roll(piece, int(rng.integers(-spare)), axis=1) if spare < 0 else piece

    def _altered(self, audio: Audio, rng: np.random.Generator, gain_db: float) -> Audio:
        """What an engineer, or chance, may do to one stem."""
        mixing = self.mixing
        if rng.random() < mixing.equalise:
            audio = effects.equalise(audio, rng, mixing.equalise_db)
        if rng.random() < mixing.compress:
            peak = float(np.abs(audio).max()) + 1e-6
            audio = effects.compress(audio, peak * rng.uniform(0.1, 0.5), rng.uniform(2, 6))
        if rng.random() < mixing.clip:
            level = effects.loudness(audio) + 1e-6
            audio = effects.soft_clip(audio / level, rng.uniform(0.3, 1.5)) * np.float32(level)
        if rng.random() < mixing.reverb:
            audio = effects.reverberate(audio, rng, rng.uniform(0.2, 1.5), rng.uniform(0.1, 0.5))
        if rng.random() < mixing.narrow:
            middle = audio.mean(axis=0)
            audio = middle + (audio - middle) * np.float32(rng.uniform(0, 1))
        if rng.random() < mixing.pan:
            left = rng.uniform(-0.6, 0.6)
            audio = audio * np.array([[1 + left], [1 - left]], np.float32)
        if rng.random() < 0.5:
            audio = audio[::-1]
        sign = 1 if rng.random() < 0.5 else -1
        return audio * np.float32(sign * effects.decibels(rng.normal(0, gain_db)))

    def _distorted(self, mix: Audio, rng: np.random.Generator) -> Audio:
        """What may happen to the whole mix: a limiter driven too hard, a codec."""
        if rng.random() < self.mixing.clip:
            level = float(np.abs(mix).max()) + 1e-6
            mix = np.clip(mix, -level * rng.uniform(0.4, 0.9), level * rng.uniform(0.4, 0.9))
        if rng.random() < self.mixing.codec:
            kind, bitrate = (("mp3", 128000), ("mp3", 64000), ("aac", 96000))[int(rng.integers(3))]
            level = float(np.abs(mix).max()) + 1e-6
            mix = effects.through_codec(mix / level, kind, bitrate) * np.float32(level)
        return mix

    def _levelled(self, stems: Audio, mix: Audio, rng: np.random.Generator) -> tuple[Audio, Audio]:
        """Scales stems and mix as the program will: by the song's deviation, which is near.

        An excerpt is louder or softer than its song, so the level is drawn about 1.
        """
        deviation = max(float(mix.mean(axis=0).std()), 1e-4)
        factor = np.float32(effects.decibels(rng.normal(0, self.mixing.level_db)) / deviation)
        return stems * factor, mix * factor


def example_length(n_fft: int, hop: int, frames: int) -> int:
    """The samples under so many frames, about frames x hop / RATE seconds."""
    if frames < 1:
        raise ValueError(f"an example needs at least one frame, not {frames}")
    return (frames - 1) * hop + n_fft


def seconds(samples: int) -> float:
    """A number of samples as seconds."""
    return samples / RATE
