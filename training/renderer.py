"""Composed songs to sound: every part played by samples, a synthesiser, or General MIDI."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from training import effects, midi, pedals
from training.samples import Sample, instruments
from training.settings import RATE, STEMS
from training.singer import Syllable, draw_syllable, draw_voice, sing
from training.styles import STYLES
from training.synth import draw_kit, draw_patch, play, strike

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.audiofile import Audio
    from training.composer import Note, Part, Song
    from training.synth import Mono
    from training.words import Choir

FAMILIES = {
    "guitar": ("archtop_guitar_mic", "archtop_guitar_pickup", "emily_electric_guitar_clean",
               "steel_guitar_martin"),
    "distorted": ("emily_electric_guitar_clean", "archtop_guitar_pickup"),
    "piano": ("upright_piano",),
    "organ": ("organ_all_all_all", "organ_clarinet", "organ_flutes", "organ_tremolo",
              "organ_trombone", "organ_trompette", "organ_violin"),
    "strings": ("strings_tremolo", "strings_pizzicato", "cello_bowed_osc"),
    "brass": ("tuba_sustain", "baritone_sax_sustain", "baritone_sax_staccato"),
    "sax": ("alto_sax", "baritone_sax_sustain"),
    "banjo": ("guitar_banjo", "sitar"),
}  # fmt: skip
"""Folders of samples, by family of instruments."""

COVERS = 8
"""Semitones that a sample may be shifted; farther notes go to a synthesiser."""


@dataclass
class Renderer:
    """Plays songs.

    Args:
        samples: the folder of samples; None plays without.
        soundfont: a General MIDI soundfont; None, or no FluidSynth, plays without.
        choir: sung words; None plays without.
    """

    samples: Path | None = None
    soundfont: Path | None = None
    choir: Choir | None = None
    sets: dict[str, dict[str, list[Sample]]] = field(init=False)

    def __post_init__(self) -> None:
        self.sets = {s: instruments(self.samples, s) if self.samples else {} for s in STEMS}
        if not midi.available(self.soundfont):
            self.soundfont = None

    def stems(self, song: Song, rng: np.random.Generator) -> dict[str, Audio]:
        """Plays a song.

        Returns:
            Stem name -> float32 of shape (2, samples), all of one length. The mix is their
            sum, and peaks at 0.9.
        """
        count = int(song.seconds * RATE)
        stems = {stem: np.zeros((2, count), np.float32) for stem in STEMS}
        for part in song.parts:
            audio = self.part(part, song, count, rng)
            level = effects.loudness(audio)
            if level > 1e-4:
                gain = effects.decibels(rng.normal(-20 - 2 * (part.role == "pad"), 3)) / level
                stems[part.stem] += _produced(audio * np.float32(gain), part, song, rng)
        peak = float(np.abs(sum(stems.values())).max())
        return {stem: audio * np.float32(0.9 / max(peak, 1e-6)) for stem, audio in stems.items()}

    def part(self, part: Part, song: Song, count: int, rng: np.random.Generator) -> Audio:
        """Plays one part, dry: float32 of shape (2, count)."""
        if part.role == "voice":
            return self._voice(part, count, rng)
        way = rng.random()
        if part.role == "drums":
            return self._drums(part, song, count, rng, way)
        if part.role == "boom":
            return _synthesised(part, count, rng)
        family = "bass" if part.role == "bass" else str(rng.choice(STYLES[song.style].sounds))
        if self.soundfont and way < 0.45 and family in midi.PROGRAMS:
            program = int(rng.choice(midi.PROGRAMS[family]))
            return midi.play_part(part.notes, program, count, self.soundfont)
        folders = self._folders(part.stem, family)
        if folders and way < 0.75:
            notes = self.sets[part.stem][str(rng.choice(folders))]
            return _sampled(part.notes, notes, count, rng)
        return _synthesised(part, count, rng)

    def _folders(self, stem: str, family: str) -> list[str]:
        known = self.sets[stem]
        names = known if stem == "bass" else FAMILIES.get(family, ())
        return [n for n in names if n in known and sum(s.note is not None for s in known[n]) > 3]

    def _voice(self, part: Part, count: int, rng: np.random.Generator) -> Audio:
        if self.choir is not None and rng.random() < 0.7:
            return _doubled(self.choir.sing(part.notes, count, rng))
        voice = draw_voice(rng)
        words = [draw_syllable(rng) for _ in range(int(rng.integers(1, 5)))]
        line = [
            Syllable(n.start, n.length, n.pitch, n.velocity, words[i % len(words)])
            for i, n in enumerate(part.notes)
        ]
        return _doubled(_fit(sing(voice, line, count / RATE, rng), count))

    def _drums(
        self, part: Part, song: Song, count: int, rng: np.random.Generator, way: float
    ) -> Audio:
        if self.soundfont and way < 0.3:
            kit = int(rng.choice(midi.KITS))
            return midi.play_part(part.notes, kit, count, self.soundfont, drums=True)
        pieces = self._pieces(rng) if way < 0.8 and self.sets["drums"] else {}
        synthetic = draw_kit(rng)
        places: dict[str, float] = {}
        audio = np.zeros((2, count), np.float32)
        for note in part.notes:
            if note.piece in pieces:
                sound = _stroke(pieces[note.piece], note.velocity, rng)
            else:
                sound = _doubled(strike(synthetic, note.piece, note.velocity, rng))
            side = places.setdefault(note.piece, rng.uniform(-0.4, 0.4) * (note.piece != "kick"))
            _add(audio, sound * np.array([[1 - side], [1 + side]], np.float32), note.start)
        return audio

    def _pieces(self, rng: np.random.Generator) -> dict[str, list[Sample]]:
        """A kit: for every piece one folder that has it, one shot unless it has velocities."""
        chosen: dict[str, list[Sample]] = {}
        for piece in ("kick", "snare", "hat", "tom", "crash", "ride", "clap", "rim", "shaker",
                      "tambourine"):  # fmt: skip
            have = {
                name: [s for s in shots if s.piece == piece]
                for name, shots in self.sets["drums"].items()
            }
            names = [name for name, shots in have.items() if shots]
            if names:
                shots = have[str(rng.choice(names))]
                layered = any(s.velocity is not None for s in shots)
                chosen[piece] = shots if layered else [shots[int(rng.integers(len(shots)))]]
        return chosen


def _stroke(shots: list[Sample], velocity: float, rng: np.random.Generator) -> Audio:
    nearest = min(abs((s.velocity or 100) - velocity * 127) for s in shots)
    close = [s for s in shots if abs((s.velocity or 100) - velocity * 127) <= nearest + 10]
    sound = close[int(rng.integers(len(close)))].read()
    return sound * np.float32(velocity if close[0].velocity is None else 0.5 + velocity / 2)


def _sampled(
    notes: Sequence[Note], shots: list[Sample], count: int, rng: np.random.Generator
) -> Audio:
    """Plays notes from the nearest samples, shifted by playing them faster or slower."""
    pitched = [s for s in shots if s.note is not None]
    audio = np.zeros((2, count), np.float32)
    low, high = min(s.note or 0 for s in pitched), max(s.note or 0 for s in pitched)
    for note in notes:
        pitch = note.pitch
        while pitch > high + COVERS:
            pitch -= 12
        while pitch < low - COVERS:
            pitch += 12
        away = [abs((s.note or 0) - pitch) * 16 + abs((s.velocity or 100) - 127 * note.velocity)
                for s in pitched]  # fmt: skip
        shot = pitched[int(np.argmin(away))]
        sound = shot.read()
        factor = 2 ** ((pitch - (shot.note or 0) + rng.normal(0, 0.03)) / 12)
        length = min(int(sound.shape[1] / factor), int((note.length + 0.12) * RATE))
        where = np.arange(max(length, 2)) * factor
        grid = np.arange(sound.shape[1])
        tone = np.stack([np.interp(where, grid, channel) for channel in sound])
        release = min(int(0.1 * RATE), tone.shape[1])
        tone[:, -release:] *= np.linspace(1, 0, release)
        _add(audio, (tone * (0.4 + 0.6 * note.velocity)).astype(np.float32), note.start)
    return audio


def _synthesised(part: Part, count: int, rng: np.random.Generator) -> Audio:
    patch = draw_patch(rng, part.role)
    audio = np.zeros((2, count), np.float32)
    width = rng.uniform(0, 0.5) * (part.stem != "bass")
    before = None
    for note in part.notes:
        tone = play(patch, note.pitch, note.length, note.velocity, rng, before)
        before = note.pitch
        side = rng.uniform(-width, width)
        _add(audio, tone * np.array([[1 - side], [1 + side]], np.float32), note.start)
    return audio


def _produced(audio: Audio, part: Part, song: Song, rng: np.random.Generator) -> Audio:
    """Amplifier, room, echo and place of one part."""
    drive = STYLES[song.style].drive
    if part.stem == "other" and rng.random() < drive and part.role != "pad":
        audio = effects.low_pass(effects.soft_clip(audio, rng.uniform(10, 120)), 5000)
    elif part.stem == "bass" and rng.random() < 0.25:
        audio = effects.soft_clip(audio, rng.uniform(2, 20))
    if part.stem == "other":
        audio = pedals.board(audio, rng, 60 / song.bpm)
    elif part.role == "voice":
        audio = pedals.behind_voice(audio, rng, 60 / song.bpm)
    if rng.random() < 0.5:
        threshold = effects.loudness(audio) * rng.uniform(0.7, 1.5) + 1e-6
        audio = effects.compress(audio, threshold, rng.uniform(1.5, 5))
    if part.stem != "bass" and rng.random() < 0.7:
        audio = effects.reverberate(audio, rng, rng.uniform(0.3, 2.2), rng.uniform(0.08, 0.5))
    if part.role in ("lead", "voice", "arpeggio") and rng.random() < 0.35:
        audio = _echo(audio, 60 / song.bpm * float(rng.choice([0.5, 0.75, 1.0])), rng)
    if part.stem == "other":
        side = rng.uniform(-0.7, 0.7)
        audio = audio * np.array([[1 - side], [1 + side]], np.float32)
    if part.stem != "bass":
        audio = effects.high_pass(audio, 30 if part.stem == "drums" else rng.uniform(60, 140))
    return effects.equalise(audio, rng, 2.0)


def _echo(audio: Audio, seconds: float, rng: np.random.Generator) -> Audio:
    delay, out = int(seconds * RATE), audio.copy()
    level = np.float32(rng.uniform(0.15, 0.4))
    for repeat in (1, 2, 3):
        shift = repeat * delay
        if shift < audio.shape[1]:
            out[:, shift:] += audio[:: -1 if repeat % 2 else 1, :-shift] * level**repeat
    return out


def _doubled(mono: Mono) -> Audio:
    return np.stack([mono, mono])


def _fit(mono: Mono, count: int) -> Mono:
    return np.pad(mono[:count], (0, max(count - len(mono), 0)))


def _add(audio: Audio, sound: Audio, seconds: float) -> None:
    start = int(seconds * RATE)
    n = min(sound.shape[1], audio.shape[1] - start)
    if n > 0:
        audio[:, start : start + n] += sound[:, :n]
