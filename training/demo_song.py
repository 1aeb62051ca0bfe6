"""The demo song: composed, sung and played by this project's own code alone, CC0.

`python -m training.demo_song OUT.ogg [--stems DIR]` renders it, always the same. No samples,
soundfonts or recordings go into it: drums, bass and keys are those of `synth`, the voice is
that of `singer`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from octet.audio.encode import Encoder
from octet.formats import Encoding
from training import effects
from training.audiofile import Audio, single
from training.settings import RATE
from training.singer import Syllable, Voice, sing
from training.synth import Kit, Patch, play, strike

if TYPE_CHECKING:
    from collections.abc import Iterable

    from training.synth import Mono

BPM = 100.0
STEP = 60 / BPM / 4
BAR = 16 * STEP
BARS = 13
SECONDS = BARS * BAR + 0.8
SEED = 8

TAGS = {
    "title": "Eight Ways Home",
    "artist": "Octet",
    "date": "2026",
    "comment": "CC0 1.0, no rights reserved. Composed and rendered by Octet's own code.",
}

CHORDS = {
    "F": (53, 57, 60, 64), "G": (55, 59, 62, 65), "Am": (57, 60, 64, 67), "C": (55, 60, 64, 67),
}  # fmt: skip
ROOTS = {"F": 41, "G": 43, "Am": 45, "C": 36}
SCORE = ("F", "G", "Am", "F", "C", "G", "F", "G", "C", "Am", "F", "G", "C")
"""One chord a bar: two bars of introduction, a verse, a chorus, an end."""
VERSE, CHORUS, END = 2, 6, 12

MELODY = {
    2: "0 3 64 la, 3 1 64 da, 4 2 67 la, 6 2 64 di, 8 7 69 la",
    3: "0 4 69 o, 4 2 67 la, 6 2 65 la, 8 7 65 lu",
    4: "0 3 64 la, 3 1 64 da, 4 2 67 la, 6 2 64 di, 8 7 72 la",
    5: "0 4 71 o, 4 2 69 la, 6 2 67 la, 8 6 67 mi, 14 2 71 na",
    6: "0 4 72 na, 4 2 69 na, 6 2 72 na, 8 4 74 ne, 12 4 72 no",
    7: "0 7 71 he, 8 2 67 la, 10 2 69 la, 12 4 71 la",
    8: "0 4 72 na, 4 2 67 na, 6 2 72 na, 8 4 76 na, 12 2 74 ne, 14 2 72 no",
    9: "0 8 72 ho, 10 2 69 la, 12 2 71 la, 14 2 72 la",
    10: "0 4 72 na, 4 2 69 na, 6 2 72 na, 8 4 74 ne, 12 4 72 no",
    11: "0 7 74 he, 8 4 71 la, 12 4 74 la",
    12: "0 11 72 la",
}
"""The sung line: start and length in sixteenths, MIDI pitch and syllable, bar by bar."""

KIT = Kit(
    kick=47, drop=5, boom=0.16, click=0.25, snare=185, snap=0.13, tom=110, metal=7200, ring=0.04
)
BASS = Patch("saw", 2, 0.04, 2.6, 5.0, 0.004, 0.35, 0.55, 0.06, 1, 1, 0, 0.8)
KEYS = Patch("fm", 2, 0.05, 6.0, 0.0, 0.003, 0.7, 0.15, 0.25, 1.3, 1, 0, 0)
PAD = Patch("saw", 4, 0.12, 2.2, 0.0, 0.35, 1.0, 0.8, 0.6, 1, 1, 0, 0)
PLUCK = Patch("pluck", 1, 0, 4.0, 0, 0.002, 0.5, 0.4, 0.12, 1, 1, 0, 0)
SINGER = Voice(size=0.9, tilt=6.0, breath=0.006, vibrato=0.32, rate=5.5, glide=0.06)


def stems() -> dict[str, Audio]:
    """The four true stems, float32 of shape (2, samples); their sum is the song.

    The song peaks at half of full scale.
    """
    rng = np.random.default_rng(SEED)
    found = {"vocals": vocals(rng), "drums": drums(rng), "bass": bass(rng), "other": keys(rng)}
    levels = {"vocals": -19.5, "drums": -20.0, "bass": -21.0, "other": -24.0}
    for name, audio in found.items():
        gain = effects.decibels(levels[name]) / effects.loudness(audio)
        found[name] = _faded(audio * np.float32(gain))
    peak = float(np.abs(sum(found.values())).max())
    return {name: audio * np.float32(0.5 / peak) for name, audio in found.items()}


def vocals(rng: np.random.Generator) -> Audio:
    """The lead in the middle; in the chorus two more voices beside it, a third below."""
    lead = list(melody())
    audio = _placed(sing(SINGER, lead, SECONDS, rng), 0.0)
    below = [
        Syllable(s.start + 0.012, s.length, third_below(int(s.pitch)), s.velocity, s.sounds)
        for s in lead
        if s.start >= CHORUS * BAR
    ]
    for side, size in ((-0.6, 0.97), (0.6, 1.06)):
        voice = Voice(size, 8.0, 0.01, 0.25, 5.2, 0.07)
        audio += _placed(sing(voice, below, SECONDS, rng), side) * np.float32(0.32)
    audio = effects.high_pass(audio, 110)
    audio = effects.compress(audio, effects.loudness(audio), 3.0)
    audio += _echo(audio, 3 * STEP, 0.14)
    return effects.reverberate(audio, rng, 1.5, 0.16)


def melody() -> Iterable[Syllable]:
    """The lead's syllables in seconds."""
    for bar, line in MELODY.items():
        for number, entry in enumerate(line.split(", ")):
            step, length, pitch, sounds = entry.split()
            start = bar * BAR + int(step) * STEP
            velocity = 0.85 if number else 0.95
            yield Syllable(start, int(length) * STEP * 0.96, float(pitch), velocity, sounds)


def third_below(pitch: int) -> float:
    """The note two steps down in C major."""
    scale = [p for p in range(40, 90) if p % 12 in (0, 2, 4, 5, 7, 9, 11)]
    return float(scale[scale.index(pitch) - 2])


def drums(rng: np.random.Generator) -> Audio:
    """Hats alone, then a beat, then the chorus with claps; fills before the turns."""
    audio = np.zeros((2, int(SECONDS * RATE)), np.float32)
    places = {"hat": 0.3, "tom": -0.3, "crash": -0.35, "clap": 0.12, "shaker": -0.4}
    for bar in range(BARS):
        for step, piece, velocity in _beat(bar):
            sound = _placed(strike(KIT, piece, velocity, rng), places.get(piece, 0.0))
            _add(audio, sound, bar * BAR + step * STEP + abs(rng.normal(0, 0.002)))
    audio = effects.compress(audio, 0.5, 2.5)
    return effects.reverberate(audio, rng, 0.5, 0.09)


def _beat(bar: int) -> Iterable[tuple[int, str, float]]:
    """The strokes of one bar: sixteenth, piece, velocity."""
    if bar == END:
        yield from ((0, "kick", 0.9), (0, "crash", 0.8))
        return
    if bar in (VERSE, CHORUS, CHORUS + 4):
        yield 0, "crash", 0.7
    for step in range(0, 16, 2):
        yield step, "hat", 0.75 if step % 4 else 0.5
    if bar < VERSE:
        return
    kicks = (0, 6, 8) if bar < CHORUS else (0, 4, 8, 11, 12)
    yield from ((step, "kick", 0.95) for step in kicks)
    fill = bar in (CHORUS - 1, CHORUS + 3, END - 1)
    yield 4, "snare", 0.85
    if not fill:
        yield 12, "snare", 0.85
    if bar >= CHORUS:
        yield from ((step, "shaker", 0.6) for step in range(1, 16, 2))
        yield 4, "clap", 0.5
    if fill:
        yield from ((11 + i, "snare" if i < 2 else "tom", 0.5 + 0.1 * i) for i in range(5))


def bass(rng: np.random.Generator) -> Audio:
    """Roots in a syncopated line, eighths in the chorus, a long last note."""
    audio = np.zeros((2, int(SECONDS * RATE)), np.float32)
    for bar, chord in enumerate(SCORE):
        root = ROOTS[chord]
        line = [(0, 5, 0), (6, 2, 0), (8, 4, 0), (12, 2, 7), (14, 2, 12)]
        if bar < VERSE:
            line = [(0, 14, 0)]
        elif bar == END:
            line = [(0, 15, 0)]
        elif bar >= CHORUS:
            line = [(step, 2, 12 if step in (6, 14) else 0) for step in range(0, 16, 2)]
        for step, length, interval in line:
            tone = play(BASS, root + interval, length * STEP * 0.9, 0.9, rng)
            _add(audio, _placed(tone, 0.0), bar * BAR + step * STEP)
    return effects.low_pass(audio, 2200)


def keys(rng: np.random.Generator) -> Audio:
    """Electric piano, a plucked figure with an echo, and a pad from the chorus on."""
    audio = np.zeros((2, int(SECONDS * RATE)), np.float32)
    plucks = np.zeros_like(audio)
    for bar, chord in enumerate(SCORE):
        tones = CHORDS[chord]
        strokes = ((0, 6), (6, 4), (10, 6)) if bar < END else ((0, 16),)
        for step, length in strokes:
            for number, pitch in enumerate(tones):
                tone = play(KEYS, pitch, length * STEP, 0.6, rng)
                start = bar * BAR + step * STEP + 0.008 * number
                _add(audio, _placed(tone, -0.3 + 0.15 * number), start)
        if bar >= CHORUS:
            for number, pitch in enumerate(tones):
                tone = play(PAD, pitch + 12, BAR, 0.5, rng) * np.float32(0.35)
                _add(audio, _placed(tone, 0.5 if number % 2 else -0.5), bar * BAR)
        if bar < END:
            for number, step in enumerate(range(0, 16, 2)):
                tone = play(PLUCK, tones[(0, 2, 1, 3)[number % 4]] + 12, 0.4, 0.7, rng)
                _add(plucks, _placed(tone, 0.35), bar * BAR + step * STEP)
    plucks = effects.high_pass(plucks, 200)
    audio += np.float32(0.8) * (plucks + _echo(plucks, 3 * STEP, 0.4))
    return effects.reverberate(effects.high_pass(audio, 120), rng, 1.2, 0.15)


def _echo(audio: Audio, seconds: float, level: float) -> Audio:
    """Repeats that change sides, without the sound itself."""
    out = np.zeros_like(audio)
    for repeat in (1, 2, 3):
        shift = int(repeat * seconds * RATE)
        side = audio[::-1] if repeat % 2 else audio
        out[:, shift:] += side[:, :-shift] * np.float32(level**repeat)
    return out


def _placed(mono: Mono, side: float) -> Audio:
    """Mono in stereo, from -1 (left) to 1 (right), at constant power."""
    angle = (side + 1) * np.pi / 4
    return single(np.stack([mono * np.cos(angle), mono * np.sin(angle)]) * np.sqrt(2))


def _add(audio: Audio, sound: Audio, seconds: float) -> None:
    start = int(seconds * RATE)
    n = min(sound.shape[1], audio.shape[1] - start)
    audio[:, start : start + n] += sound[:, :n]


def _faded(audio: Audio) -> Audio:
    """The last second fades out."""
    count = int(1.2 * RATE)
    audio[:, -count:] *= np.linspace(1, 0, count, dtype=np.float32) ** 2
    return audio


def write(path: Path, audio: Audio, *, title: str | None = None, bits: int | None = None) -> None:
    """Writes a file in the format of its ending, with the song's tags."""
    encoder = Encoder(path, Encoding(path.suffix[1:], bits=bits), RATE, tags=TAGS, track=title)
    encoder.write(audio)
    encoder.close()


def main() -> None:
    """Renders the song, and its stems where they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the file to write; its ending says the format")
    parser.add_argument("--stems", type=Path, help="a folder for the four stems, as 24-bit FLAC")
    args = parser.parse_args()
    found = stems()
    write(args.out, single(sum(found.values())))
    if args.stems:
        args.stems.mkdir(parents=True, exist_ok=True)
        for name, audio in found.items():
            write(args.stems / f"{name}.flac", audio, title=name, bits=24)


if __name__ == "__main__":
    main()
