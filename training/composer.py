"""Songs composed by rule and chance: chords, bass lines, drum patterns, melodies.

The rules are the commonplaces of popular music; the pieces are this project's own. The same
generator state gives the same song.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from training.styles import STYLES, Style

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}

PROGRESSIONS = (
    (0, 4, 5, 3), (5, 3, 0, 4), (0, 5, 3, 4), (0, 3, 4, 3), (0, 3, 0, 4), (1, 4, 0, 0),
    (0, 6, 3, 0), (0, 2, 3, 4), (5, 4, 3, 4), (0, 0, 3, 3), (0, 0, 3, 4), (3, 0, 4, 5),
    (0, 6, 5, 4), (0, 5, 1, 4), (3, 4, 2, 5), (0, 0, 0, 0),
)  # fmt: skip
"""Chords by scale degree, one a bar."""


@dataclass(frozen=True)
class Note:
    """One note: start and length in seconds, MIDI pitch, velocity from 0 to 1.

    For drums, `piece` names the instrument of the kit and the pitch means nothing.
    """

    start: float
    length: float
    pitch: int
    velocity: float
    piece: str = ""


@dataclass(frozen=True)
class Part:
    """What one player plays. `role` is drums, bass, chords, arpeggio, pad, lead or voice."""

    stem: str
    role: str
    notes: tuple[Note, ...]


@dataclass
class Song:
    """A composed song."""

    style: str
    bpm: float
    seconds: float
    parts: list[Part] = field(default_factory=list)


class Composer:
    """Composes one song.

    Args:
        rng: where chance comes from.
        bars: the song's length.
        style: a name out of STYLES; drawn when None.
    """

    def __init__(self, rng: np.random.Generator, bars: int, style: str | None = None) -> None:
        self.rng = rng
        name = style or sorted(STYLES)[int(rng.integers(len(STYLES)))]
        self.name = name
        self.style: Style = STYLES[name]
        self.bars = bars
        low, high = self.style.bpm
        self.bpm = float(rng.uniform(low, high))
        self.step = 60.0 / self.bpm / 4
        self.steps = self.style.steps
        self.scale = MODES[str(rng.choice(self.style.modes))]
        self.key = int(rng.integers(12))
        chosen = [PROGRESSIONS[int(rng.integers(len(PROGRESSIONS)))] for _ in range(2)]
        self.kick = ""
        self.chords = [chosen[(bar // 8) % 2][bar % 4] for bar in range(bars)]

    def song(self) -> Song:
        """The whole song: drums, bass, one to four others, a voice or two."""
        rng, style = self.rng, self.style
        song = Song(self.name, self.bpm, self.bars * self.steps * self.step + 1.5)
        parts = [self.drums(), self.bass()]
        if rng.random() < 0.85:
            parts.append(self.chord_part("chords"))
        if rng.random() < 0.5:
            parts.append(self.chord_part("pad"))
        if rng.random() < 0.45:
            parts.append(self.arpeggio())
        if rng.random() < 0.5 or len(parts) < 3:
            parts.append(self.melody("lead", "other", 67, busy=style.busy))
        parts.append(voice := self.voice())
        if rng.random() < 0.35:
            parts.append(self.harmony(voice))
        song.parts = [self._with_rests(part) for part in parts if part.notes]
        return song

    def pitch(self, degree: int, around: int) -> int:
        """The pitch of a scale degree (7 is an octave up), nearest to a pitch."""
        octave, step = divmod(degree, 7)
        pitch = self.key + self.scale[step] + 12 * octave
        return pitch + 12 * round((around - pitch) / 12)

    def time(self, bar: int, step: float) -> float:
        """Seconds at a sixteenth of a bar, with the style's swing and a human's error."""
        late = self.style.swing * self.step if int(step) % 2 else 0.0
        human = float(self.rng.normal(0, self.style.loose))
        return max(0.0, (bar * self.steps + step) * self.step + late + human)

    def drums(self) -> Part:
        """Patterns of sixteenths; a fill every four or eight bars, ghost notes between."""
        rng, style = self.rng, self.style
        pattern = style.drums[int(rng.integers(len(style.drums)))] if style.drums else {}
        self.kick = pattern.get("kick", "")
        notes = []
        for bar in range(self.bars):
            fill = (pattern and bar % 8 == 7) or (bar % 4 == 3 and rng.random() < 0.3)
            for piece, line in pattern.items():
                if not fill or piece in ("kick", "hat"):
                    notes += list(self._struck(bar, piece, line, stop=self.steps - 4 * bool(fill)))
            if fill:
                notes += list(self._fill(bar))
            if pattern and (bar % 8 == 0) and rng.random() < 0.6:
                notes.append(Note(self.time(bar, 0), 2.0, 49, rng.uniform(0.6, 1), "crash"))
        return Part("drums", "drums", _ordered(notes))

    def _struck(self, bar: int, piece: str, line: str, stop: int) -> Iterator[Note]:
        accents = {"X": 1.0, "x": 0.75, "o": 0.45, ".": 0.0}
        for step in range(min(stop, len(line))):
            level = accents[line[step]]
            if level == 0 and piece in ("snare", "kick") and self.rng.random() < 0.03:
                level = 0.3
            if level:
                velocity = float(np.clip(level + self.rng.normal(0, 0.07), 0.1, 1))
                yield Note(self.time(bar, step), 0.4, 36, velocity, piece)

    def _fill(self, bar: int) -> Iterator[Note]:
        for step in range(self.steps - 4, self.steps):
            if self.rng.random() < 0.8:
                piece = str(self.rng.choice(["snare", "tom", "tom"]))
                yield Note(self.time(bar, step), 0.4, 45, self.rng.uniform(0.5, 1), piece)

    def bass(self) -> Part:
        """Roots, fifths and octaves in the style's rhythm, with walks into the next chord.

        Now and then it is a low one on the strokes of the kick, or a note or two a bar.
        """
        rng = self.rng
        floor = int(rng.integers(33, 42))
        if rng.random() < 0.3:
            return self._bass_line("bass", self._struck_line(), floor - 6)
        line = self.style.bass[int(rng.integers(len(self.style.bass)))]
        return self._bass_line("bass", line, floor)

    def struck_bass(self) -> Song:
        """A song of nothing but a low bass that is struck like a drum."""
        self.drums()  # it may follow the kick
        part = self._bass_line("boom", self._struck_line(), int(self.rng.integers(25, 36)))
        return Song(self.name, self.bpm, self.bars * self.steps * self.step + 1.5, [part])

    def _struck_line(self) -> str:
        sparse = ("r...............", "r.........r.....", "......r.........", "r.....r.....r...")
        lines = [self.kick.translate(str.maketrans("Xxo", "rrr")) or sparse[0], *sparse]
        return lines[int(self.rng.integers(len(lines)))][: self.steps]

    def _bass_line(self, role: str, line: str, floor: int) -> Part:
        rng = self.rng
        notes = []
        for bar in range(self.bars):
            root = self.chords[bar]
            starts = [i for i, mark in enumerate(line) if mark != "."]
            for i, step in enumerate(starts):
                end = starts[i + 1] if i + 1 < len(starts) else self.steps
                degree = (
                    root + {"r": 0, "5": 4, "3": 2, "8": 7, "w": int(rng.integers(7))}[line[step]]
                )
                length = (end - step) * self.step * float(rng.uniform(0.55, 0.98))
                pitch = self.pitch(degree, floor + (12 if line[step] == "8" else 4))
                velocity = float(rng.uniform(0.6, 1.0))
                notes.append(Note(self.time(bar, step), length, max(pitch, 26), velocity))
        return Part("bass", role, _ordered(notes))

    def chord_part(self, role: str) -> Part:
        """Three or four voices, struck in a rhythm or held for a bar."""
        rng = self.rng
        lines = ("x...............",) if role == "pad" else self.style.chords
        line = lines[int(rng.integers(len(lines)))]
        middle = int(rng.integers(54, 66))
        tones = (0, 2, 4, 6) if rng.random() < self.style.sevenths else (0, 2, 4)
        notes = []
        for bar in range(self.bars):
            starts = [i for i, mark in enumerate(line[: self.steps]) if mark != "."]
            for i, step in enumerate(starts):
                end = starts[i + 1] if i + 1 < len(starts) else self.steps
                length = (end - step) * self.step * (0.4 if line[step] == "s" else 0.95)
                start, velocity = self.time(bar, step), float(rng.uniform(0.5, 0.9))
                strum = float(rng.uniform(0, 0.012))
                for number, tone in enumerate(tones):
                    pitch = self.pitch(self.chords[bar] + tone, middle)
                    notes.append(Note(start + number * strum, length, pitch, velocity))
        return Part("other", role, _ordered(notes))

    def arpeggio(self) -> Part:
        """Broken chords in eighths or sixteenths."""
        rng = self.rng
        every = int(rng.choice([1, 2, 2]))
        order = [(0, 2, 4, 7), (0, 4, 7, 9), (7, 4, 2, 0), (0, 2, 4, 2)][int(rng.integers(4))]
        base = int(rng.integers(58, 74))
        notes = []
        for bar in range(self.bars):
            root = self.pitch(self.chords[bar], base)
            for i, step in enumerate(range(0, self.steps, every)):
                tone = order[i % 4]
                pitch = self.pitch(self.chords[bar] + tone, root + 2 * tone)
                velocity = float(rng.uniform(0.45, 0.8))
                length = every * self.step * float(rng.uniform(0.5, 1.2))
                notes.append(Note(self.time(bar, step), length, pitch, velocity))
        return Part("other", "arpeggio", _ordered(notes))

    def melody(self, role: str, stem: str, around: int, *, busy: float) -> Part:
        """A motif of two bars, repeated and varied, on chord notes where the beat is strong."""
        rng = self.rng
        motif = [self._rhythm(busy) for _ in range(2)]
        notes: list[Note] = []
        degree = 0
        for bar in range(self.bars):
            if rng.random() < 0.12:
                continue
            starts = motif[bar % 2] if rng.random() < 0.75 else self._rhythm(busy)
            for i, step in enumerate(starts):
                end = starts[i + 1] if i + 1 < len(starts) else self.steps
                if step % 4 == 0:
                    degree = self.chords[bar] + int(rng.choice([0, 2, 4]))
                else:
                    degree += int(rng.choice([-2, -1, -1, 0, 1, 1, 2]))
                length = min((end - step) * self.step * float(rng.uniform(0.7, 1.0)), 2.5)
                pitch = self.pitch(degree, around)
                velocity = float(rng.uniform(0.6, 1.0))
                notes.append(Note(self.time(bar, step), length, pitch, velocity))
        return Part(stem, role, _ordered(notes))

    def voice(self) -> Part:
        """A melody to sing, by anyone from a bass to a soprano."""
        rng = self.rng
        around = int(rng.integers(46, 77))
        return self.melody("voice", "vocals", around, busy=float(rng.uniform(0.25, 0.7)))

    def _rhythm(self, busy: float) -> list[int]:
        """Steps of one bar on which notes begin."""
        weights = [1.0 if i % 4 == 0 else 0.7 if i % 2 == 0 else 0.25 for i in range(self.steps)]
        return [i for i, w in enumerate(weights) if self.rng.random() < w * busy] or [0]

    def harmony(self, voice: Part) -> Part:
        """A second voice a third or a sixth away."""
        interval = int(self.rng.choice([-5, -2, 2]))
        notes = []
        for note in voice.notes:
            degree = min(range(-14, 15), key=lambda d: abs(self._plain(d, note.pitch) - note.pitch))
            near = self._plain(degree + interval, note.pitch)
            notes.append(Note(note.start, note.length, near, note.velocity * 0.8))
        return Part("vocals", "voice", tuple(notes))

    def _plain(self, degree: int, around: int) -> int:
        octave, step = divmod(degree, 7)
        base = self.key + 12 * ((around - self.key) // 12)
        return base + self.scale[step] + 12 * octave

    def _with_rests(self, part: Part) -> Part:
        """Leaves some parts out for four bars at a time, so that stems come and go."""
        span = 4 * self.steps * self.step
        share = 0.3 if part.role == "voice" else 0.15
        rests = {i for i in range(-(-self.bars // 4)) if self.rng.random() < share}
        kept = tuple(n for n in part.notes if int(n.start / span) not in rests)
        return Part(part.stem, part.role, kept or part.notes)


def _ordered(notes: Sequence[Note]) -> tuple[Note, ...]:
    return tuple(sorted(notes, key=lambda note: (note.start, note.pitch, note.piece)))
