from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from octet.audio.decode import probe
from training.audiofile import read_audio
from training.demo_song import BAR, MELODY, SECONDS, STEP, drums, melody, third_below
from training.settings import RATE

DEMO = Path(__file__).parents[2] / "examples/demo.opus"


def test_the_demo_is_small_whole_and_says_whose_it_is():
    info = probe(DEMO)

    assert DEMO.stat().st_size < 1.5e6
    assert info.rate == 48_000  # all that Opus knows
    assert info.duration == pytest.approx(SECONDS, abs=0.05)
    assert info.tags["artist"] == "Octet"
    assert "CC0" in info.tags["comment"]


def test_the_demo_is_in_stereo_and_below_full_scale():
    audio = read_audio(DEMO)

    assert 0.3 < np.abs(audio).max() < 0.9
    middle, side = audio.sum(axis=0), audio[0] - audio[1]
    assert 0.01 < np.square(side).sum() / np.square(middle).sum() < 0.5


def test_the_melody_fits_its_bars():
    notes = list(melody())

    assert len(notes) == sum(line.count(",") + 1 for line in MELODY.values())
    for note, after in pairwise(notes):
        assert note.start + note.length <= after.start + STEP
    assert max(note.start for note in notes) < 13 * BAR


def test_harmony_is_a_third_below_in_c_major():
    assert [third_below(p) for p in (72, 67, 71)] == [69, 64, 67]


def test_the_file_holds_the_drums_that_the_code_plays():
    mix = read_audio(DEMO)[0, : 3 * RATE]

    played = drums(np.random.default_rng(0))[0, : 3 * RATE]

    # Drawn from another seed, the strokes have the same times and other noise.
    def strokes(audio):
        edges = np.square(np.diff(audio, 4, append=[0, 0, 0, 0]))
        return np.sqrt(edges.reshape(-1, 441).sum(axis=1))

    assert np.corrcoef(strokes(mix), strokes(played))[0, 1] > 0.9
