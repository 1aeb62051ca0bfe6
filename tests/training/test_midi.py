from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.servers import missing
from training import midi
from training.composer import Note
from training.settings import RATE

SOUNDFONTS = Path("/usr/share/sounds/sf2")


@pytest.fixture(scope="module")
def soundfont():
    found = [SOUNDFONTS / f"{name}.sf2" for name in ("TimGM6mb", "FluidR3_GM")]
    usable = [path for path in found if midi.available(path)]
    if not usable:
        missing("no FluidSynth with a soundfont: apt-get install fluidsynth timgm6mb-soundfont")
    return usable[0]


def test_a_part_becomes_a_standard_midi_file():
    data = midi.midi_bytes([Note(0.5, 0.25, 60, 1.0)], program=5)

    assert data[:14] == b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x01\xe0"
    track = data[22:]
    # Program change; after 480 ticks (0.5 s) the note, after 240 its end; the end of the track.
    assert track == bytes.fromhex("00c005 83609 03c7f".replace(" ", "")) + bytes.fromhex(
        "8170803c00" + "00ff2f00"
    )


def test_lengths_of_more_than_one_byte():
    assert [midi._variable(n) for n in (0, 127, 128, 16383)] == [
        b"\x00", b"\x7f", b"\x81\x00", b"\xff\x7f",
    ]  # fmt: skip


def test_fluidsynth_plays_a_part_at_its_time_and_pitch(soundfont):
    audio = midi.play_part([Note(0.5, 1.0, 69, 0.9)], 19, 2 * RATE, soundfont)

    assert audio.shape == (2, 2 * RATE)
    assert np.abs(audio[:, : int(0.45 * RATE)]).max() < 1e-3
    spectrum = np.abs(np.fft.rfft(audio[0, int(0.7 * RATE) : int(1.3 * RATE)], RATE))
    harmonic = np.argmax(spectrum) / 440
    assert harmonic == pytest.approx(round(harmonic), rel=0.01)
