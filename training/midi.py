"""General MIDI through FluidSynth: parts of a song played from a soundfont."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.audiofile import Audio, read_audio
from training.settings import RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.composer import Note

PROGRAMS = {
    "bass": range(32, 40),
    "piano": range(8),
    "organ": range(16, 21),
    "accordion": range(21, 24),
    "guitar": range(24, 29),
    "distorted": range(29, 31),
    "strings": range(40, 52),
    "brass": range(56, 64),
    "sax": range(64, 74),
    "synth": range(80, 88),
    "pad": range(88, 96),
    "banjo": range(104, 108),
    "clavinet": (7,),
    "bells": range(8, 15),
}
"""General MIDI program numbers, from 0, by family."""

KITS = (0, 8, 16, 24, 25, 32, 40)
"""Program numbers of drum kits."""

KEYS = {"kick": (36, 35), "snare": (38, 40), "hat": (42, 42, 44, 46), "clap": (39,),
        "rim": (37,), "ride": (51, 53), "crash": (49, 57), "tom": (41, 45, 48, 50),
        "shaker": (70, 82), "tambourine": (54,)}  # fmt: skip
"""Keys of the drum channel, by piece."""

TICKS = 480
"""Ticks a half second: the file says 120 beats a minute."""


def available(soundfont: Path | None) -> bool:
    """Whether the program and the soundfont are there."""
    return soundfont is not None and soundfont.exists() and shutil.which("fluidsynth") is not None


def midi_bytes(notes: Sequence[Note], program: int, *, drums: bool = False) -> bytes:
    """One part as a standard MIDI file of format 0."""
    channel = 9 if drums else 0
    events = [(0, 0, bytes([0xC0 | channel, program]))]
    for note in notes:
        keys = KEYS.get(note.piece, (39,))
        key = keys[int(note.velocity * 1000) % len(keys)] if drums else note.pitch
        start = int(note.start * 2 * TICKS)
        end = max(int((note.start + note.length) * 2 * TICKS), start + 1)
        velocity = int(np.clip(note.velocity * 127, 1, 127))
        events.append((start, 2, bytes([0x90 | channel, key & 127, velocity])))
        events.append((end, 1, bytes([0x80 | channel, key & 127, 0])))
    track, now = b"", 0
    for tick, _, message in sorted(events):
        track += _variable(tick - now) + message
        now = tick
    track += b"\x00\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS) + b"MTrk" + struct.pack(
        ">I", len(track)
    ) + track  # fmt: skip


def _variable(value: int) -> bytes:
    out = [value & 127]
    while value := value >> 7:
        out.append(value & 127 | 128)
    return bytes(reversed(out))


def play_part(
    notes: Sequence[Note], program: int, count: int, soundfont: Path, *, drums: bool = False
) -> Audio:
    """Plays a part, dry.

    Returns:
        float32 of shape (2, count).

    Raises:
        subprocess.CalledProcessError: FluidSynth failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder) / "part.mid", Path(folder) / "part.wav"
        score.write_bytes(midi_bytes(notes, program, drums=drums))
        subprocess.run(
            ["fluidsynth", "-niq", "-R", "0", "-C", "0", "-g", "0.6", "-r", str(RATE),
             "-F", str(sound), str(soundfont), str(score)],
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip
        audio = read_audio(sound)[:, :count]
    return np.pad(audio, ((0, 0), (0, count - audio.shape[1])))
